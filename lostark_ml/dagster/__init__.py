"""Dagster wiring of phase 2: assets, checks, jobs, sensors, resources."""
