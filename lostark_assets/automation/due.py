"""Finding the fight days with pending work cheaply: only what was written since the last check is read.

While nothing changes, a check costs two file lookups per table. After a change it reads the days written
since, and those that were due before. Once a day, and after a change of the code version, every day is
checked, a bounded number per call.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime

import msgspec
import pyarrow.compute as pc
from msgspec import structs

from lostark_assets.contracts.code_versions import CLEAN_VERSION, STATS_VERSION
from lostark_assets.core.pipeline import due_logs
from lostark_assets.lake.tables import Lake
from lostark_assets.stats.pipeline import due_stats_days

RAW, CORE, STATS = "raw_battle_logs", "core_encounters", "stats_player_dps"
WATCHED = (RAW, CORE, STATS)
CODE = f"clean {CLEAN_VERSION}, statistics {STATS_VERSION}"
FULL_CHECK_INTERVAL_S = 24 * 3600.0
_SLACK_S = 900.0
"""Files carry the time they were written; the commit that adds them follows within less than this."""
_ROWS_PER_CHECK = 50_000
"""In the full check: statistics rows of the days checked per call, about a second of work."""
_MAX_DAYS_PER_CHECK = 100
_INPUT_COLUMNS = ["encounter_id", "fight_id", "is_counted", "cleaned_at", "fight_date"]


class LakeState(
    msgspec.Struct,
    frozen=True,
    # Stored sensor cursors have these names.
    rename={"checked_at": "looked_at", "fully_checked_at": "fully_looked_at", "unchecked": "unlooked"},
):
    """The lake as of the last check. Times: epoch seconds; ``due``: a digest of pending work by fight day.

    ``unchecked`` are the days that the full check still has to visit, ascending.
    """

    code: str
    versions: dict[str, int | None]
    checked_at: float
    fully_checked_at: float
    due: dict[str, str] = msgspec.field(default_factory=dict)
    unchecked: list[str] = msgspec.field(default_factory=list)


def check_lake(lake: Lake, seen: LakeState | None, now: float) -> LakeState:
    """The lake's state now, from the state ``seen`` before (None: first check)."""
    if seen is None or seen.code != CODE or now - seen.fully_checked_at >= FULL_CHECK_INTERVAL_S:
        return _check_days(lake, _begin_full_check(lake, seen, now), set())
    moved = [name for name in WATCHED if not lake.is_at(name, seen.versions.get(name))]
    if not moved:
        return _check_days(lake, seen, set()) if seen.unchecked else seen
    # Before anything is read: what is committed meanwhile is found by the next check.
    versions = {**seen.versions, **{name: lake.version(name) for name in moved}}
    if any(_was_reset(seen.versions.get(name), versions[name]) for name in moved):
        return _check_days(lake, _begin_full_check(lake, seen, now), set())
    since = datetime.fromtimestamp(seen.checked_at - _SLACK_S, UTC)
    days = {day for name in moved for day in lake.days_written(name, since)}
    if len(days) > _MAX_DAYS_PER_CHECK:
        # Two old years at once, or compacted files: too much for one call.
        return _check_days(lake, _begin_full_check(lake, seen, now), set())
    return _check_days(lake, structs.replace(seen, versions=versions, checked_at=now), days)


def _was_reset(before: int | None, after: int | None) -> bool:
    return before is not None and (after is None or after < before)


def _begin_full_check(lake: Lake, seen: LakeState | None, now: float) -> LakeState:
    versions = {name: lake.version(name) for name in WATCHED}
    raw = lake.read(RAW, columns=["fight_date"])
    days = {*pc.unique(raw["fight_date"]).to_pylist(), *lake.days(CORE), *lake.days(STATS)}
    unchecked = sorted(day.isoformat() for day in days)
    return LakeState(CODE, versions, now, now, seen.due if seen else {}, unchecked)


def _check_days(lake: Lake, seen: LakeState, days: set[date]) -> LakeState:
    """Check ``days``, those that were due, and the next part of a full check, newest days first."""
    unchecked = list(seen.unchecked)
    days = days | {date.fromisoformat(day) for day in seen.due}
    if unchecked:
        rows_of, rows = lake.rows_by_day(STATS), 0
        while unchecked and rows <= _ROWS_PER_CHECK:
            day = date.fromisoformat(unchecked.pop())
            days.add(day)
            rows += rows_of.get(day, 0)
    return structs.replace(seen, unchecked=unchecked, due=find_due_days(lake, days))


def find_due_days(lake: Lake, days: set[date]) -> dict[str, str]:
    """A digest of the pending work of each of ``days``; days without any are left out."""
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
        rows = lake.read(CORE, columns=_INPUT_COLUMNS, days=stale)
        for day in stale:
            parts[day].append("statistics")
        for *facts, day in zip(*(rows[name].to_pylist() for name in _INPUT_COLUMNS), strict=True):
            parts[day].append("\x1f".join(map(str, facts)))
    return {day.isoformat(): _digest(parts[day]) for day in sorted(parts)}


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\x00".join([CODE, *sorted(parts)]).encode()).hexdigest()[:16]
