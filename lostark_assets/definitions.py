"""The Dagster code location of phase 1. Building the definitions connects to nothing and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from lostark_assets.contracts.registry import list_tables
from lostark_assets.dagster.core_assets import core_assets
from lostark_assets.dagster.game_event_assets import game_event_assets
from lostark_assets.dagster.ingest import ingest_job
from lostark_assets.dagster.jobs import VALIDATE_JOB, phase_one_jobs
from lostark_assets.dagster.mart_assets import mart_assets
from lostark_assets.dagster.open_api_assets import open_api_assets
from lostark_assets.dagster.partitions import fight_days
from lostark_assets.dagster.raw_assets import raw_assets
from lostark_assets.dagster.schedules import automation_schedules
from lostark_assets.dagster.sensors import automation_sensors
from lostark_assets.dagster.specs import in_group
from lostark_assets.dagster.stats_assets import stats_assets
from lostark_assets.dagster.validation import validation_checks, validation_job, validation_schedule
from lostark_assets.lake.tables import open_lake
from lostark_assets.observability.logs import configure_logs
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.configured import has_demo


def build_defs(
    *, settings: Settings | None = None, resources: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """All of phase 1; ``resources`` replace ours by name (``lake``, ``settings``)."""
    settings = settings or get_settings()
    configure_logs(settings, "dagster")
    days = fight_days(settings)
    tables = list_tables("raw", "core", "stats")
    checks = validation_checks(VALIDATE_JOB, tables)
    layers = {
        "raw": [*raw_assets(), *open_api_assets()],
        "core": [*core_assets(days), *game_event_assets()],
        "stats": stats_assets(days),
        "mart": mart_assets(days),
    }
    return dg.Definitions(
        assets=[
            in_group(asset, layer, is_demo=has_demo(settings))
            for layer, assets in layers.items()
            for asset in assets
        ],
        asset_checks=[checks],
        jobs=[ingest_job, *phase_one_jobs(), validation_job(VALIDATE_JOB, checks)],
        sensors=automation_sensors(),
        schedules=[
            *automation_schedules(settings),
            validation_schedule("validation_of_tables", VALIDATE_JOB, tables),
        ],
        resources={"settings": settings, "lake": open_lake(settings), **(resources or {})},
        executor=dg.in_process_executor,
    )


defs = build_defs()
