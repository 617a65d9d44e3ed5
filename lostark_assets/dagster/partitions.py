"""How assets are partitioned: raw logs by source, tables per fight by fight day."""

from __future__ import annotations

from datetime import date

import dagster as dg

from lostark_assets.settings import Settings

SOURCES = dg.DynamicPartitionsDefinition(name="battle_log_sources")
MAX_CHART_DAYS = 100
"""A longer range gets no charts: every partition's event stores a copy of the metadata."""
SINGLE_RUN = dg.BackfillPolicy.single_run()


def fight_days(settings: Settings) -> dg.DailyPartitionsDefinition:
    """One partition per UTC day, from the earliest fight date up to today."""
    return dg.DailyPartitionsDefinition(
        start_date=settings.earliest_fight_date.isoformat(), timezone="UTC", end_offset=1
    )


def get_days(context: dg.AssetExecutionContext) -> list[date] | None:
    """The fight days of a run, one or a range; None for a run of checks only, which has no partition."""
    if not context.has_partition_key and not context.has_partition_key_range:
        return None
    return [date.fromisoformat(key) for key in context.partition_keys]
