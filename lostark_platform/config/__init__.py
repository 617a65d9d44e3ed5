"""Configuration files of Dagster and uvicorn, packaged. The project's root links to Dagster's."""

from __future__ import annotations

from pathlib import Path

DAGSTER_YAML = Path(__file__).with_name("dagster.yaml")
WORKSPACE_YAML = Path(__file__).with_name("workspace.yaml")
UVICORN_LOGS_YAML = Path(__file__).with_name("uvicorn_logs.yaml")
SERVICES_FILE = "services.json"
"""File of the data folder in which the supervisor records the processes of its services."""
RESTORING_FILE = "restoring"
"""Marks a data folder into which a backup is being restored, or whose restoring was interrupted."""
