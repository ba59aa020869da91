"""What every verb shares: plan, journal, lease, errors, command line."""
