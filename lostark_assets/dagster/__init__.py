"""Dagster wiring of phase 1: assets, checks, jobs, partitions, sensors, schedules."""
