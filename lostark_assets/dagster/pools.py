"""Pools: of the runs that use a pool, one at a time is started, manual and automatic (``dagster.yaml``)."""

FIGHT_DAYS = "fight_days"
"""Assets by fight day that are materialised by hand; the job ``ingest`` shares only the lake's locks."""
TABLES = "tables"
OPEN_API = "open_api"
MODEL = "model"
SCORES = "scores"
