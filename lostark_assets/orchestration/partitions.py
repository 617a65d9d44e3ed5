"""How assets are partitioned: raw by source, everything per fight by fight day.

What does not belong here: which days need work (``core.pipeline``, ``stats.pipeline``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import dagster as dg

from lostark_assets.settings import Settings

SOURCES = dg.DynamicPartitionsDefinition(name="battle_log_sources")
DRAWN_DAYS = 100
"""A longer range goes without pictures: every partition's event keeps a copy of its metadata."""
ONE_PASS = dg.BackfillPolicy.single_run()


def fight_days(settings: Settings) -> dg.DailyPartitionsDefinition:
    """One partition a UTC day, from the earliest fight date up to today."""
    return dg.DailyPartitionsDefinition(
        start_date=settings.earliest_fight_date.isoformat(), timezone="UTC", end_offset=1
    )


def days_of(context: dg.AssetExecutionContext) -> list[date] | None:
    """The fight days of a run, one or a range; None for a run of checks alone, which has no partition."""
    if not context.has_partition_key and not context.has_partition_key_range:
        return None
    return [date.fromisoformat(key) for key in context.partition_keys]


def ranges(
    days: Iterable[date], present: Iterable[date] = (), longest_gap: int = 7
) -> list[tuple[date, date]]:
    """Days as few ranges, each one run.

    A gap is bridged if it is short and no day in it has data (``present``): an empty day costs less than
    another run, and a day with data is not touched unasked.
    """
    filled, result = set(present), []
    for day in sorted(set(days)):
        if result and _bridges(result[-1][1], day, filled, longest_gap):
            result[-1] = (result[-1][0], day)
        else:
            result.append((day, day))
    return result


def _bridges(last: date, day: date, filled: set[date], longest_gap: int) -> bool:
    gap: Sequence[date] = [last + timedelta(days=n) for n in range(1, (day - last).days)]
    return len(gap) <= longest_gap and not filled & set(gap)
