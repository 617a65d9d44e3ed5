"""The code location of phase 1: everything that Dagster shows, on one screen.

What does not belong here: any asset's body, and anything that connects or writes at import.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from lostark_assets.alerts.sensors import alert_sensor
from lostark_assets.automation.schedules import automation_schedules
from lostark_assets.automation.sensors import automation_sensors
from lostark_assets.core.assets import core_assets
from lostark_assets.core.game_event_assets import game_event_assets
from lostark_assets.observability.logs import configure_logs
from lostark_assets.orchestration.jobs import phase_one_jobs
from lostark_assets.orchestration.partitions import fight_days
from lostark_assets.orchestration.specs import in_group
from lostark_assets.publish.assets import mart_assets
from lostark_assets.resources import lake_of
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.assets import raw_assets
from lostark_assets.sources.configured import has_demo
from lostark_assets.sources.open_api_assets import open_api_assets
from lostark_assets.stats.assets import stats_assets


def build_defs(
    *, settings: Settings | None = None, resources: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """All of phase 1; ``resources`` replace ours by name (``lake``, ``settings``)."""
    settings = settings or get_settings()
    configure_logs(settings, "dagster")
    days = fight_days(settings)
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
        jobs=phase_one_jobs(),
        sensors=[*automation_sensors(), alert_sensor()],
        schedules=automation_schedules(settings),
        resources={"settings": settings, "lake": lake_of(settings), **(resources or {})},
        executor=dg.in_process_executor,
    )


defs = build_defs()
