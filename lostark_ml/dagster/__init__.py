"""Dagster wiring of the models: assets, checks, jobs, sensors, resources."""
