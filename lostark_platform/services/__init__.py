"""Processes of the platform on one machine: services, the supervisor, the Dagster home."""
