"""Real PostgreSQL servers behind the lab's RDS instances, and loading a user's dump into one."""
