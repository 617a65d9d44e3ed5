"""Which fight days wait for work, found cheaply: only what was written since the last look is looked at.

A look costs two file probes a table while nothing changes. After a change it reads the days written since,
and those that waited before. Once a day, and when the code is another, it goes over every day, a bounded part
with each look. What does not belong here: what is done about it (``decisions``), and Dagster.
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
_ROWS_A_LOOK = 50_000
"""Of the full look: statistics rows whose days one look goes over, about a second of work."""
_DAYS_AT_ONCE = 100
_FACTS = ["encounter_id", "fight_id", "is_counted", "cleaned_at", "fight_date"]


@dataclass(frozen=True)
class Seen:
    """The lake at the last look. Times: epoch seconds; ``due``: a digest of what waits, by fight day.

    ``unlooked`` are the days that the full look has still to go over, ascending.
    """

    code: str
    versions: dict[str, int | None]
    looked_at: float
    fully_looked_at: float
    due: dict[str, str] = field(default_factory=dict)
    unlooked: list[str] = field(default_factory=list)


def look(lake: Lake, seen: Seen | None, now: float) -> Seen:
    """The lake now, from what was ``seen`` before (None: never)."""
    if seen is None or seen.code != CODE or now - seen.fully_looked_at >= FULL_LOOK_EVERY_S:
        return _go_over(lake, _begin_full_look(lake, seen, now), set())
    moved = [name for name in WATCHED if not lake.is_at(name, seen.versions.get(name))]
    if not moved:
        return _go_over(lake, seen, set()) if seen.unlooked else seen
    # Before anything is read: what is committed meanwhile is seen by the next look.
    versions = {**seen.versions, **{name: lake.version(name) for name in moved}}
    if any(_went_back(seen.versions.get(name), versions[name]) for name in moved):
        return _go_over(lake, _begin_full_look(lake, seen, now), set())
    since = datetime.fromtimestamp(seen.looked_at - _SLACK_S, UTC)
    days = {day for name in moved for day in lake.days_written(name, since)}
    if len(days) > _DAYS_AT_ONCE:
        # Two old years at once, or files that were joined: too much for one look.
        return _go_over(lake, _begin_full_look(lake, seen, now), set())
    return _go_over(lake, replace(seen, versions=versions, looked_at=now), days)


def _went_back(before: int | None, after: int | None) -> bool:
    return before is not None and (after is None or after < before)


def _begin_full_look(lake: Lake, seen: Seen | None, now: float) -> Seen:
    versions = {name: lake.version(name) for name in WATCHED}
    raw = lake.read(RAW, columns=["fight_date"])
    days = {*pc.unique(raw["fight_date"]).to_pylist(), *lake.days(CORE), *lake.days(STATS)}
    unlooked = sorted(day.isoformat() for day in days)
    return Seen(CODE, versions, now, now, seen.due if seen else {}, unlooked)


def _go_over(lake: Lake, seen: Seen, days: set[date]) -> Seen:
    """Look at ``days``, at those that waited, and at the next part of a full look, newest days first."""
    unlooked = list(seen.unlooked)
    days = days | {date.fromisoformat(day) for day in seen.due}
    if unlooked:
        rows_of, rows = lake.rows_by_day(STATS), 0
        while unlooked and rows <= _ROWS_A_LOOK:
            day = date.fromisoformat(unlooked.pop())
            days.add(day)
            rows += rows_of.get(day, 0)
    return replace(seen, unlooked=unlooked, due=waiting_days(lake, days))


def waiting_days(lake: Lake, days: set[date]) -> dict[str, str]:
    """A digest of the work that waits on each of ``days``; idle ones are left out."""
    if not days:
        return {}
    wanted = pc.field("fight_date").isin(sorted(days))
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
