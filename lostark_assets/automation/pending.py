"""Fight days with pending work: logs that are not cleaned yet, cleaned rows without statistics."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import pyarrow.compute as pc

from lostark_assets.core.pipeline import due_logs
from lostark_assets.lake.tables import Lake
from lostark_assets.stats.pipeline import due_stats_days


def pending_days(lake: Lake, sources: Collection[str] | None = None) -> set[date]:
    """The fight days with due logs or statistics, for all sources or the given ones."""
    of_sources = None if sources is None else pc.field("source").isin(sorted(sources))
    raw = lake.read("raw_battle_logs", columns=["log_id", "fight_date"], where=of_sources)
    if not raw.num_rows:
        return set()
    day_of = dict(zip(raw["log_id"].to_pylist(), raw["fight_date"].to_pylist(), strict=True))
    due, _, _ = due_logs(lake, None, only=set(day_of))
    days = {day_of[log_id] for log_id in due}
    core = lake.read("core_encounters", columns=["fight_date"], where=of_sources)
    return days | set(due_stats_days(lake)) & set(pc.unique(core["fight_date"]).to_pylist())
