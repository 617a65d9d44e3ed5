"""Dagster wiring of the platform: the alert sensor, and what it reads from Dagster's storage."""
