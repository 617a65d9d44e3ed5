"""The Dagster code location of the models.

It is separate from the data pipeline, so that a broken model dependency never stops collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from lostark_assets.contracts.registry import list_tables
from lostark_assets.dagster.partitions import fight_days
from lostark_assets.dagster.specs import in_group
from lostark_assets.dagster.validation import validation_checks, validation_job, validation_schedule
from lostark_assets.lake.tables import open_lake
from lostark_assets.observability.logs import configure_logs
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.configured import has_demo
from lostark_ml.dagster.jobs import VALIDATE_JOB, build_model_jobs
from lostark_ml.dagster.model_assets import build_history_spec, build_ml_assets
from lostark_ml.dagster.resources import ModelRegistries
from lostark_ml.dagster.scoring import score_job
from lostark_ml.dagster.sensors import build_ml_sensors
from lostark_ml.dagster.style_assets import build_player_clusters_asset


def build_defs(
    *, settings: Settings | None = None, resources: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """All of phase 2; ``resources`` replace ours by name (``lake``, ``settings``, ``registries``)."""
    settings = settings or get_settings()
    configure_logs(settings, "dagster")
    is_demo = has_demo(settings)
    tables = list_tables("ml")
    checks = validation_checks(VALIDATE_JOB, tables)
    return dg.Definitions(
        assets=[
            in_group(asset, "ml", is_demo=is_demo)
            for asset in [
                *build_ml_assets(fight_days(settings)),
                build_player_clusters_asset(),
                dg.AssetsDefinition(specs=[build_history_spec()]),
            ]
        ],
        asset_checks=[checks],
        jobs=[score_job, *build_model_jobs(), validation_job(VALIDATE_JOB, checks)],
        schedules=[validation_schedule("validation_of_model_tables", VALIDATE_JOB, tables)],
        sensors=build_ml_sensors(),
        resources={
            "settings": settings,
            "lake": open_lake(settings),
            "registries": ModelRegistries(settings),
            **(resources or {}),
        },
        executor=dg.in_process_executor,
    )


defs = build_defs()
