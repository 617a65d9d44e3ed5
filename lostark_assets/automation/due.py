"""Which fight days wait for work, found cheaply: only what was written since the last look is looked at.

A look costs two file probes a table while nothing changes. After a change it reads the days written since,
and those that waited before; once a day, and when the code is another, it looks at everything. What does not
belong here: what is done about it (``decisions``), and Dagster.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

import pyarrow.compute as pc

from lostark_assets.core.clean import CLEAN_VERSION
from lostark_assets.core.pipeline import due_logs
from lostark_assets.lake.tables import Lake
from lostark_assets.stats.pipeline import STATS_VERSION, due_stats_days

RAW, CORE, STATS = "raw_battle_logs", "core_encounters", "stats_player_dps"
WATCHED = (RAW, CORE, STATS)
CODE = f"clean {CLEAN_VERSION}, statistics {STATS_VERSION}"
FULL_LOOK_EVERY_S = 24 * 3600.0
_SLACK_S = 900.0
"""Files carry the time of their writing; the commit that shows them comes later, never by as much as this."""
_FACTS = ["encounter_id", "fight_id", "is_counted", "cleaned_at", "fight_date"]


@dataclass(frozen=True)
class Seen:
    """The lake at the last look. Times: epoch seconds; ``due``: a digest of what waits, by fight day."""

    code: str
    versions: dict[str, int | None]
    looked_at: float
    fully_looked_at: float
    due: dict[str, str] = field(default_factory=dict)


def look(lake: Lake, seen: Seen | None, now: float) -> Seen:
    """The lake now, from what was ``seen`` before (None: never)."""
    if seen is None or seen.code != CODE or now - seen.fully_looked_at >= FULL_LOOK_EVERY_S:
        return _look_at_all(lake, now)
    moved = [name for name in WATCHED if not lake.is_at(name, seen.versions.get(name))]
    if not moved:
        return seen
    # Before anything is read: what is committed meanwhile is seen by the next look.
    versions = {**seen.versions, **{name: lake.version(name) for name in moved}}
    if any(_went_back(seen.versions.get(name), versions[name]) for name in moved):
        return _look_at_all(lake, now)
    since = datetime.fromtimestamp(seen.looked_at - _SLACK_S, UTC)
    days = {date.fromisoformat(day) for day in seen.due}
    for name in moved:
        days |= lake.days_written(name, since)
    return replace(seen, versions=versions, looked_at=now, due=waiting_days(lake, days))


def _went_back(before: int | None, after: int | None) -> bool:
    return before is not None and (after is None or after < before)


def _look_at_all(lake: Lake, now: float) -> Seen:
    versions = {name: lake.version(name) for name in WATCHED}
    return Seen(CODE, versions, looked_at=now, fully_looked_at=now, due=waiting_days(lake, None))


def waiting_days(lake: Lake, days: Iterable[date] | None) -> dict[str, str]:
    """A digest of the work that waits, by fight day (of ``days``, where given); idle days are left out."""
    days = None if days is None else set(days)
    if days == set():
        return {}
    wanted = None if days is None else pc.field("fight_date").isin(sorted(days))
    raw = lake.read(RAW, columns=["log_id", "fight_date"], where=wanted)
    logs, _, _ = due_logs(lake, days) if raw.num_rows else (set(), set(), None)
    parts: dict[date, list[str]] = defaultdict(list)
    for log_id, day in zip(raw["log_id"].to_pylist(), raw["fight_date"].to_pylist(), strict=True):
        if log_id in logs:
            parts[day].append(log_id)
    stale = due_stats_days(lake, days)
    if stale:
        rows = lake.read(CORE, columns=_FACTS, days=stale)
        for day in stale:
            parts[day].append("statistics")
        for *facts, day in zip(*(rows[name].to_pylist() for name in _FACTS), strict=True):
            parts[day].append("\x1f".join(map(str, facts)))
    return {day.isoformat(): _digest(parts[day]) for day in sorted(parts)}


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\x00".join([CODE, *sorted(parts)]).encode()).hexdigest()[:16]
