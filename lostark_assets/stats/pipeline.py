"""Computing the statistics of fight days: figures from hits per due log, all other figures per day.

Figures from hits are computed once per log and kept; shares, rates and percentiles of a day are recomputed,
since they are cheap and depend on the other logs. Rows are validated before they replace a day. Where a day
fails, single logs are tried without writing anything until those at fault are found.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.code_versions import STATS_VERSION
from lostark_assets.contracts.expectations import Finding, examine, merge, raise_if_broken
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.stats import (
    STATS_DPS_DISTRIBUTION,
    STATS_DPS_TIMELINE,
    STATS_PLAYER_DPS,
    STATS_RAID_PROGRESSION,
)
from lostark_assets.contracts.table import Contract
from lostark_assets.errors import MACHINE_ERRORS
from lostark_assets.lake.batching import find_culprit_logs, split_batches
from lostark_assets.lake.tables import Lake
from lostark_assets.sources.protocol import compute_encounter_id
from lostark_assets.stats import distribution, progression
from lostark_assets.stats.dps import (
    FROM_ENCOUNTERS,
    FROM_PLAYERS,
    POOL_COLUMNS,
    player_statistics,
    with_percentiles,
)
from lostark_assets.stats.engine import Engine
from lostark_assets.stats.hits import COLUMNS, HitFigures, stream_hit_figures
from lostark_assets.stats.meter import meter_bursts, meter_timeline

POOL_DAYS = 28
PLAYERS_PER_BATCH = 100_000
"""Player rows that are computed at once: a longer range of days takes several batches, one commit each."""
_YIELD_LOCK_S = 0.1
"""Processes that wait for the lock poll it every 50 ms."""
TIMELINE_ROWS_PER_COMMIT = 4_000_000
MIN_COVERAGE = 0.95
_IDS = ["encounter_id", "player_name"]
_ENCOUNTERS = [
    "encounter_id", "fight_date", "duration_ms", "intermission_ms", *FROM_ENCOUNTERS,
]  # fmt: skip
_KEPT = ["active_s", "max_hit_damage", "peak_10s_dps", "opener_dps"]
Progress = Callable[[int, int], None]
"""Called with logs computed and logs due."""
Refuse = Callable[[dict[str, Exception]], object]
"""Called with what logs raised, by log id; it removes their rows from the core tables."""


@dataclass
class StatsRun:
    """Result of one computation."""

    days: set[date] = field(default_factory=set)
    due: int = 0
    refused: int = 0
    rows: int = 0
    seconds: int = 0
    findings: dict[str, list[Finding]] = field(default_factory=dict)


def compute_days(
    lake: Lake,
    days: Iterable[date],
    engine: Engine,
    *,
    run_id: str,
    progress: Progress | None = None,
    refuse: Refuse | None = None,
) -> StatsRun:
    """Statistics of ``days``: timelines and bursts of the logs that are due, then every figure of the days.

    With ``refuse``, logs that make a batch fail are handed to it, and the batch is computed without them.

    Raises:
        ContractViolated: a blocking rule is broken, and no single log is to blame; the days keep their rows.
    """
    run = StatsRun(days=set(days))
    if not run.days:
        return run
    # Percentiles look back, so earlier days go first.
    for number, part in enumerate(
        split_batches(run.days, lake.rows_by_day("core_players"), PLAYERS_PER_BATCH)
    ):
        if number:
            time.sleep(_YIELD_LOCK_S)
        while True:
            # Locked per batch: a reader of finished statistics need not wait for years of them.
            with lake.lock("stats"):
                errors = _compute_or_blame(lake, run, part, engine, run_id, progress, refuse)
            if not errors or refuse is None:
                break
            refuse(errors)
            run.refused += len(errors)
    return run


def _compute_or_blame(
    lake: Lake,
    run: StatsRun,
    days: set[date],
    engine: Engine,
    run_id: str,
    progress: Progress | None,
    refuse: Refuse | None,
) -> dict[str, Exception]:
    """Compute ``days``; or what single logs raise, by log id, whose timelines are removed."""
    attempt = StatsRun(due=run.due)
    try:
        _compute_batch(lake, attempt, days, engine, run_id, progress)
    except MACHINE_ERRORS:
        raise
    except Exception:
        found = {}
        if refuse is not None:
            found = find_culprit_logs(
                lake,
                days,
                lambda only: _compute_batch(lake, StatsRun(), days, engine, "", None, only),
                lambda error: isinstance(error, MACHINE_ERRORS),
            )
        if not found:
            raise
        ids = {compute_encounter_id(log_id) for log_id in found}
        _remove_timelines(lake, days, _with_timeline(lake, days, ids))
        return found
    run.due = attempt.due
    run.rows += attempt.rows
    run.seconds += attempt.seconds
    for name, findings in attempt.findings.items():
        run.findings[name] = merge([*run.findings.get(name, []), *findings])
    return {}


def _compute_batch(
    lake: Lake,
    run: StatsRun,
    days: set[date],
    engine: Engine,
    run_id: str,
    progress: Progress | None,
    only: set[str] | None = None,
) -> None:
    """Compute and store ``days``; with ``only``, compute these encounters and store nothing."""

    def read(table: str, columns: list[str]) -> pa.Table:
        rows = lake.read(table, columns=columns, days=days)
        return rows if only is None else rows.filter(pc.is_in(rows["encounter_id"], _ids(only)))

    encounters = read("core_encounters", _ENCOUNTERS)
    before = read(STATS_PLAYER_DPS.name, [*_IDS, *_KEPT, "stats_version", "cleaned_at"])
    due, replaced, since = _due(encounters, before)
    run.due += len(due)
    if only is None:
        _remove_timelines(lake, days, _with_timeline(lake, days, due | replaced))
    bursts = _bursts_of_due(lake, run, days, encounters, due, since, progress, is_stored=only is None)
    kept = before.filter(pc.invert(pc.is_in(before["encounter_id"], _ids(due))))
    all_bursts = pa.concat_tables([kept.select([*_IDS, *_KEPT]), *bursts], promote_options="permissive")
    players = read("core_players", [*FROM_PLAYERS, "hit_coverage"])
    rows = _player_rows(lake, days, encounters, players, all_bursts, engine, run_id)
    _examine(run, STATS_PLAYER_DPS, rows)
    if only is None:
        lake.replace_days(STATS_PLAYER_DPS, rows, days)
    run.rows += rows.num_rows


def _ids(values: Iterable[str]) -> pa.Array:
    return pa.array(sorted(values), pa.string())


def _due(encounters: pa.Table, before: pa.Table) -> tuple[set[str], set[str], datetime | None]:
    """Encounters to compute, those whose rows are replaced, and the oldest time of cleaning.

    Statistics are current if they carry the log's time of cleaning. Their own time of computation says
    nothing: the log may have been cleaned while they were computed.
    """
    done: dict[str, tuple[str, datetime]] = {}
    for e, version, at in zip(
        *(before[c].to_pylist() for c in ("encounter_id", "stats_version", "cleaned_at")), strict=True
    ):
        done[e] = (version, at)
    due, since = set(), None
    for e, cleaned_at in zip(
        encounters["encounter_id"].to_pylist(), encounters["cleaned_at"].to_pylist(), strict=True
    ):
        if done.get(e) != (STATS_VERSION, cleaned_at):
            due.add(e)
            since = cleaned_at if since is None else min(since, cleaned_at)
    gone = done.keys() - set(encounters["encounter_id"].to_pylist())
    return due, (due & done.keys()) | gone, since


def _bursts_of_due(
    lake: Lake,
    run: StatsRun,
    days: set[date],
    encounters: pa.Table,
    due: set[str],
    since: datetime | None,
    progress: Progress | None,
    *,
    is_stored: bool,
) -> list[pa.Table]:
    """Burst figures of the due logs; also writes their timelines, or only validates them."""
    is_due = encounters.filter(pc.is_in(encounters["encounter_id"], _ids(due)))
    lengths = pc.add(is_due["duration_ms"], pc.fill_null(is_due["intermission_ms"], 0)).to_pylist()
    ids = is_due["encounter_id"].to_pylist()
    lengths_ms = dict(zip(ids, (max(ms, 1000) for ms in lengths), strict=True))
    day_of = dict(zip(ids, is_due["fight_date"].to_pylist(), strict=True))
    with_hits = {e for e, d in zip(ids, is_due["detail_level"].to_pylist(), strict=True) if d == "hits"}
    writer = _TimelineWriter(lake, run, day_of, is_stored=is_stored)
    bursts: list[pa.Table] = []
    done = run.due - len(due)
    for figures in _hit_figures(lake, with_hits, lengths_ms, days, since):
        bursts.append(_hit_bursts(figures))
        if figures.timeline is not None:
            writer.add(figures.timeline, "hits")
        done += len(pc.unique(figures.players["encounter_id"]))
        if progress:
            progress(done, run.due)
    bursts += _meter_parts(lake, days, {e: lengths_ms[e] for e in due - with_hits if e in lengths_ms}, writer)
    writer.flush()
    return bursts


def _with_timeline(lake: Lake, days: set[date], ids: set[str]) -> set[str]:
    """Logs with stored timelines, which must be removed: of an earlier version or an interrupted run."""
    stored: set[str] = set()
    for rows in lake.groups_with(
        STATS_DPS_TIMELINE.name,
        "encounter_id",
        ids,
        ["encounter_id"],
        days=days,
        dictionary=["encounter_id"],
    ):
        stored.update(pc.unique(rows["encounter_id"].cast(pa.string())).to_pylist())
    return stored


def _remove_timelines(lake: Lake, days: set[date], ids: set[str]) -> None:
    if ids:
        where: dict[str, Iterable[object]] = {"fight_date": days, "encounter_id": ids}
        lake.replace_rows(STATS_DPS_TIMELINE, STATS_DPS_TIMELINE.empty(), where)


def _hit_figures(
    lake: Lake, with_hits: set[str], lengths_ms: dict[str, int], days: set[date], since: datetime | None
) -> Iterator[HitFigures]:
    groups = lake.groups_with(
        "core_hits",
        "encounter_id",
        with_hits,
        COLUMNS,
        since=since,
        days=days,
        dictionary=_IDS,
        all_there=True,
    )
    return stream_hit_figures(groups, lengths_ms)


def _hit_bursts(figures: HitFigures) -> pa.Table:
    table = figures.players
    for name in _IDS:
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(pa.string()))
    return table.select([*_IDS, "active_s", "max_hit_damage", "peak_10s_dps", "opener_damage"])


def _meter_parts(
    lake: Lake, days: set[date], lengths_ms: dict[str, int], writer: _TimelineWriter
) -> list[pa.Table]:
    """Bursts and timelines of logs without hits, from the meter's own series."""
    if not lengths_ms:
        return []
    columns = [*_IDS, "meter_rolling_dps", "meter_average_dps"]
    has_series = pc.is_valid(pc.field("meter_rolling_dps")) | pc.is_valid(pc.field("meter_average_dps"))
    players = lake.read("core_players", columns=columns, days=days, where=has_series)
    players = players.filter(pc.is_in(players["encounter_id"], pa.array(sorted(lengths_ms), pa.string())))
    if not players.num_rows:
        return []
    length = pa.array([lengths_ms[e] for e in players["encounter_id"].to_pylist()], pa.int64())
    players = players.append_column("length_ms", length)
    writer.add(meter_timeline(players), "meter")
    return [meter_bursts(players)]


class _TimelineWriter:
    """Collects timeline rows and commits them by the million, or only validates them."""

    def __init__(self, lake: Lake, run: StatsRun, day_of: dict[str, date], *, is_stored: bool) -> None:
        self._lake, self._run, self._day_of, self._is_stored = lake, run, day_of, is_stored
        self._parts: list[pa.Table] = []
        self._rows = 0

    def add(self, timeline: pa.Table, measured_by: str) -> None:
        """Some encounters' seconds."""
        ids = timeline["encounter_id"].combine_chunks()
        encoded = ids if pa.types.is_dictionary(ids.type) else ids.dictionary_encode()
        days = pa.array([self._day_of.get(e) for e in encoded.dictionary.to_pylist()], pa.date32())
        timeline = timeline.append_column("fight_date", days.take(encoded.indices))
        if "measured_by" not in timeline.column_names:
            timeline = timeline.append_column("measured_by", pa.repeat(measured_by, len(timeline)))
        self._parts.append(STATS_DPS_TIMELINE.conform(timeline))
        self._rows += len(timeline)
        if self._rows >= TIMELINE_ROWS_PER_COMMIT:
            self.flush()

    def flush(self) -> None:
        """Validate and commit what was collected."""
        if not self._parts:
            return
        rows = pa.concat_tables(self._parts)
        _examine(self._run, STATS_DPS_TIMELINE, rows)
        if self._is_stored:
            self._lake.append(STATS_DPS_TIMELINE, rows)
        self._run.seconds += rows.num_rows
        self._parts, self._rows = [], 0


def _player_rows(
    lake: Lake,
    days: set[date],
    encounters: pa.Table,
    players: pa.Table,
    bursts: pa.Table,
    engine: Engine,
    run_id: str,
) -> pa.Table:
    covered = players.filter(
        pc.fill_null(pc.greater_equal(players["hit_coverage"], MIN_COVERAGE), fill_value=True)
    )
    bursts = bursts.join(covered.select(_IDS), _IDS, join_type="inner")
    rows = player_statistics(encounters, players, bursts, engine)
    rows = with_percentiles(rows, _pool(lake, days, rows), engine)
    now = datetime.now(UTC)
    for name, value, dtype in (
        ("stats_version", STATS_VERSION, pa.string()),
        ("computed_at", now, pa.timestamp("us", tz="UTC")),
        ("stats_run_id", run_id, pa.string()),
    ):
        rows = rows.append_column(name, pa.repeat(pa.scalar(value, dtype), len(rows)))
    return STATS_PLAYER_DPS.conform(rows).sort_by(
        [("fight_started_at", "ascending"), ("encounter_id", "ascending"), ("damage_share", "descending")]
    )


def _pool(lake: Lake, days: set[date], rows: pa.Table) -> pa.Table:
    """The percentile pool of ``days``: stored rows of the days before, and ``rows``."""
    back = {d - timedelta(days=n) for d in days for n in range(1, POOL_DAYS)} - days
    older = lake.read(STATS_PLAYER_DPS.name, columns=list(POOL_COLUMNS), days=back)
    rows = rows.select(POOL_COLUMNS)
    return pa.concat_tables([older.cast(rows.schema), rows])


def refresh_distribution(lake: Lake, engine: Engine) -> StatsRun:
    """Recompute the distribution table from all player statistics."""
    with lake.lock("stats"):
        players = lake.frame(STATS_PLAYER_DPS.name, distribution.NEEDED, engine)
        return _refresh(lake, STATS_DPS_DISTRIBUTION, distribution.dps_distribution(players, engine))


def refresh_progression(lake: Lake, engine: Engine) -> StatsRun:
    """Recompute the progression table from all player statistics."""
    with lake.lock("stats"):
        hp_left = lake.frame("core_encounters", ["encounter_id", "boss_hp_left"], engine)
        players = lake.frame(STATS_PLAYER_DPS.name, progression.NEEDED, engine)
        return _refresh(lake, STATS_RAID_PROGRESSION, progression.raid_progression(players, hp_left, engine))


def _refresh(lake: Lake, contract: Contract, rows: pa.Table) -> StatsRun:
    run = StatsRun(rows=rows.num_rows)
    rows = contract.conform(rows)
    _examine(run, contract, rows)
    lake.replace_all(contract, rows)
    return run


def _examine(run: StatsRun, contract: Contract, rows: pa.Table) -> None:
    found = examine(CONTRACTS[contract.name], rows)
    run.findings[contract.name] = merge([*run.findings.get(contract.name, []), *found])
    raise_if_broken(contract.name, {contract.name: found}, run.findings)


def due_stats_days(lake: Lake, days: Iterable[date] | None = None) -> list[date]:
    """Fight days (of ``days``, if given) whose statistics are outdated, ascending.

    That is, logs were cleaned since, now belong to another fight, or were removed.
    """
    columns, days = (
        ["encounter_id", "fight_date", "fight_id", "is_counted"],
        None if days is None else set(days),
    )
    core = lake.read("core_encounters", columns=[*columns, "cleaned_at"], days=days)
    stats = lake.read(STATS_PLAYER_DPS.name, columns=[*columns, "stats_version", "cleaned_at"], days=days)
    due, _, _ = _due(core, stats)
    now = _by_encounter(core, columns)
    before = _by_encounter(stats, columns)
    waiting = {now[e][0] for e in due}
    waiting |= {facts[0] for e, facts in before.items() if now.get(e) != facts}
    waiting |= {facts[0] for e, facts in now.items() if before.get(e, facts) != facts}
    return sorted(waiting)


def _by_encounter(table: pa.Table, columns: list[str]) -> dict[str, tuple[Any, ...]]:
    key, *facts = (table[c].to_pylist() for c in columns)
    return dict(zip(key, zip(*facts, strict=True), strict=True))
