"""The sample product: what the hosts of both products run in the lab."""
