"""The Pulumi programs' parts: settings, and the components of a site and of the link."""
