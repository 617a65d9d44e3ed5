"""PostgreSQL: the embedded server, or the one that the settings name."""
