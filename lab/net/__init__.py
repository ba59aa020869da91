"""The network of the lab: balancers, TLS in front of databases, links between regions, names."""
