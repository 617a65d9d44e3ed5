"""Figures inside a fight: everything that is computed from single hits, or from the meter's own series.

Pure functions from Arrow to Arrow. Hits are sorted by encounter, player, skill and time (the contract of
``core_hits``), so each player and skill is one run of rows: runs are found where a key changes, and one scan
sums them in registers. There is no group-by, no hash and no sort. The same function serves one machine (chunk
after chunk, see :func:`stream_hit_figures`) and a cluster (``mapInArrow``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from lostark_assets.errors import NotFound
from lostark_assets.stats.meter import meter_bursts, meter_timeline

__all__ = ["HitFigures", "hit_figures", "meter_bursts", "meter_timeline", "stream_hit_figures"]

ACTIVITY_GAP_MS = 5_000
OPENER_MS = 30_000
WINDOW_S = 10
COLUMNS = (
    "encounter_id", "player_name", "skill_id", "hit_at_ms", "damage", "is_crit", "is_back_attack",
    "is_front_attack",
)  # fmt: skip

RUN_FIGURES = (
    "hits", "crits", "back_attacks", "front_attacks",
    "damage", "crit_damage", "back_attack_damage", "front_attack_damage", "max_hit_damage",
)  # fmt: skip
PLAYER_FIGURES = (
    *RUN_FIGURES,
    "first_hit_at_ms",
    "last_hit_at_ms",
    "active_ms",
    "peak_10s_dps",
    "opener_damage",
)
SKILL_FIGURES = ("hits", "crits", "back_attacks", "front_attacks", "damage", "crit_damage", "max_hit_damage")

_NULL = -1
_NO_FIRST = 2**31 - 1
_NO_LAST = -(2**31)


class HitFigures(NamedTuple):
    """What the hits of whole encounters give; ids are dictionary arrays, which ``contract.conform`` plains.

    ``players``: one row a player, in input order: encounter_id, player_name, hits, crits, back_attacks,
    front_attacks, damage, crit_damage, back_attack_damage, front_attack_damage, max_hit_damage,
    first_hit_at_ms, last_hit_at_ms, active_s, peak_10s_dps (null in fights under 10 s), opener_damage (hits
    before 30 s). ``skills``: one row a player's skill: encounter_id, player_name, skill_id and the sums of
    its hits. ``timeline``: one row a player's second; null if it was not asked for.
    """

    players: pa.Table
    skills: pa.Table
    timeline: pa.Table | None


def hit_figures(
    hits: pa.Table | pa.RecordBatch, lengths_ms: Mapping[str, int], *, timeline: bool = True
) -> HitFigures:
    """All figures that the hits of whole encounters give.

    A fight of ``lengths_ms`` (duration and intermission, at least one second) has ``ceil(length / 1000)``
    seconds. Hits before the start count into second 0, hits at or after the end into the last second. The row
    of second t of the timeline tells the window of the bins t-5 to t+4, that is the time from t-5 to t+5 s as
    far as it lies inside the fight, and divides by the time it covers. ``active_s`` is exact to the
    millisecond whatever the bins; one hit alone gives 0.

    Args:
        hits: columns of ``core_hits`` (others are ignored), whole encounters, in the contract's order; ids
            are plain strings or, which costs nothing, dictionary arrays.
        lengths_ms: milliseconds from the fight's start to its end on the wall clock, by encounter_id.
        timeline: also make the rows by second.

    Raises:
        ValueError: the hits are not in the contract's order, or hold nulls.
        NotFound: ``lengths_ms`` lacks an encounter.
    """
    columns = _Columns(hits)
    player_starts, run_starts = columns.runs()
    player_rows = run_starts[player_starts[:-1]]
    lengths = _lengths(columns, player_rows, lengths_ms)
    seconds = -(-lengths // 1000)
    rows = int(seconds.sum()) if timeline else 0
    players = np.empty((len(PLAYER_FIGURES), len(lengths)), np.int64)
    skills = np.empty((len(RUN_FIGURES), len(run_starts) - 1), np.int64)
    keys, series = _reused((3, rows), np.int32), _reused((3, rows), np.int64)
    crit, back, front = columns.flags
    _scan(
        player_starts, run_starts, columns.encounter, columns.player, columns.hit_at_ms, columns.damage,
        crit, back, front, lengths, _bin_count(columns.hit_at_ms, seconds), timeline, players, skills, keys,
        series,
    )  # fmt: skip
    return HitFigures(
        _players_table(columns, player_rows, players),
        _skills_table(columns, run_starts[:-1], skills),
        _timeline_table(columns, keys, series) if timeline else None,
    )


def stream_hit_figures(
    batches: Iterable[pa.RecordBatch | pa.Table], lengths_ms: Mapping[str, int], *, timeline: bool = True
) -> Iterator[HitFigures]:
    """:func:`hit_figures` of a stream whose batches end anywhere.

    The last encounter of a batch waits for the next one; memory is bounded by two batches and the longest
    encounter. Each encounter comes out exactly once, in the order of the stream.

    Raises:
        ValueError: the hits are not in the contract's order, within a batch or across batches.
        NotFound: ``lengths_ms`` lacks an encounter.
    """
    waiting: list[pa.Table] = []
    waiting_id: str | None = None
    done: set[str] = set()
    for batch in batches:
        if batch.num_rows == 0:
            continue
        table = _one_chunk(batch)
        encounter = table.column("encounter_id").chunk(0)
        first_end, last_start = _first_and_last_encounter(encounter)
        start = 0
        if waiting_id is not None and encounter[0].as_py() == waiting_id:
            waiting.append(table.slice(0, first_end))
            if first_end == table.num_rows:
                continue
            start = first_end
        if waiting:
            yield _finish(pa.concat_tables(waiting), lengths_ms, done, timeline=timeline)
        if start < last_start:
            yield _finish(table.slice(start, last_start - start), lengths_ms, done, timeline=timeline)
        waiting, waiting_id = [table.slice(last_start)], encounter[last_start].as_py()
    if waiting:
        yield _finish(pa.concat_tables(waiting), lengths_ms, done, timeline=timeline)


def _finish(hits: pa.Table, lengths_ms: Mapping[str, int], done: set[str], *, timeline: bool) -> HitFigures:
    figures = hit_figures(hits, lengths_ms, timeline=timeline)
    ids = set(figures.players["encounter_id"].unique().to_pylist())
    if repeated := ids & done:
        message = f"hits of encounter {min(repeated)} occur twice in the stream; core_hits must be sorted"
        raise ValueError(message)
    done |= ids
    return figures


class _Columns:
    """The arrays that the kernel reads, without a copy where Arrow allows it."""

    def __init__(self, hits: pa.Table | pa.RecordBatch) -> None:
        table = _one_chunk(hits)
        for name in table.column_names:
            if table.column(name).null_count:
                message = f"core_hits.{name} holds {table.column(name).null_count} nulls; none are allowed"
                raise ValueError(message)
        arrays = [_chunk(table, name) for name in COLUMNS]
        self.encounter, self.encounter_names = _codes(arrays[0])
        self.player, self.player_names = _codes(arrays[1])
        self.skill_id = _numbers(arrays[2], pa.int64())
        self.hit_at_ms = _numbers(arrays[3], pa.int32())
        self.damage = _numbers(arrays[4], pa.int64())
        self.flags = _bytes(arrays[5]), _bytes(arrays[6]), _bytes(arrays[7])

    def runs(self) -> tuple[np.ndarray, np.ndarray]:
        """The first run of each player, and the first row of each run; a run is one skill of one player."""
        rows = len(self.encounter) + 1
        players, runs = np.empty(rows, np.int64), np.empty(rows, np.int64)
        seen = np.zeros(len(self.encounter_names), np.bool_)
        seen_in = np.full(len(self.player_names), -1, np.int64)
        found = _find_runs(self.encounter, self.player, self.skill_id, players, runs, seen, seen_in)
        player_count, run_count, bad = found
        if bad >= 0:
            message = (
                "hits are not sorted by encounter, player and skill: row "
                f"{bad} (encounter {self.encounter_names[int(self.encounter[bad])]}) comes back to "
                "a key that was left before. Sort the chunk as the contract of core_hits says."
            )
            raise ValueError(message)
        return players[: player_count + 1], runs[: run_count + 1]


def _one_chunk(hits: pa.Table | pa.RecordBatch) -> pa.Table:
    """The needed columns, each one array; one dictionary for all of a column."""
    if isinstance(hits, pa.RecordBatch):
        hits = pa.Table.from_batches([hits])
    hits = hits.select(COLUMNS)
    if all(column.num_chunks == 1 for column in hits.columns):
        return hits
    return hits.unify_dictionaries().combine_chunks()


def _chunk(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _codes(array: pa.Array) -> tuple[np.ndarray, pa.Array]:
    if not pa.types.is_dictionary(array.type):
        array = pc.dictionary_encode(array)
    return _numbers(array.indices, pa.int32()), array.dictionary


def _numbers(array: pa.Array, dtype: pa.DataType) -> np.ndarray:
    return (array if array.type == dtype else array.cast(dtype)).to_numpy(zero_copy_only=True)


def _bytes(array: pa.Array) -> np.ndarray:
    """One byte a flag."""
    if len(array) == 0:
        return np.zeros(0, np.uint8)
    packed = np.frombuffer(array.buffers()[1], np.uint8)
    start, skipped = divmod(array.offset, 8)
    end = start + -(-(skipped + len(array)) // 8)
    return np.unpackbits(packed[start:end], bitorder="little")[skipped : skipped + len(array)]


def _first_and_last_encounter(encounter: pa.Array) -> tuple[int, int]:
    """Where the first encounter ends and where the last one starts."""
    codes, _ = _codes(encounter)
    return _prefix(codes), len(codes) - _prefix(codes[::-1])


@njit(cache=True, nogil=True)
def _prefix(codes):
    """How many codes at the start are equal."""
    for i in range(len(codes)):
        if codes[i] != codes[0]:
            return i
    return len(codes)


def _lengths(columns: _Columns, player_rows: np.ndarray, lengths_ms: Mapping[str, int]) -> np.ndarray:
    """Fight length of each player, at least one second."""
    known, places = np.unique(columns.encounter[player_rows], return_inverse=True)
    names = columns.encounter_names.take(pa.array(known)).to_pylist()
    if missing := [name for name in names if name not in lengths_ms]:
        message = f"{len(missing)} encounters have hits but no fight length, such as {missing[0]}"
        raise NotFound(message)
    return np.maximum(np.array([lengths_ms[name] for name in names], np.int64), 1000)[places]


def _bin_count(hit_at_ms: np.ndarray, seconds: np.ndarray) -> int:
    last_hit_s = int(hit_at_ms.max()) // 1000 if len(hit_at_ms) else 0
    return max(last_hit_s + 1, int(seconds.max(initial=0)), 1)


@njit(cache=True, nogil=True)
def _find_runs(encounter, player, skill, player_starts, run_starts, seen, seen_in):
    """Fill the starts; returns the numbers of players and runs and the first row that is out of order, or -1.

    ``seen`` marks encounters that were met, ``seen_in`` the encounter run in which a player was last met.
    """
    players = runs = encounters = 0
    start, size = 0, len(encounter)
    while start < size:
        e, p, s = encounter[start], player[start], skill[start]
        new_encounter = start == 0 or e != encounter[start - 1]
        if new_encounter:
            if seen[e]:
                return players, runs, start
            seen[e] = True
            encounters += 1
        if new_encounter or p != player[start - 1]:
            if seen_in[p] == encounters:
                return players, runs, start
            seen_in[p] = encounters
            player_starts[players] = runs
            players += 1
        elif s < skill[start - 1]:
            return players, runs, start
        run_starts[runs] = start
        runs += 1
        start += 1
        while start < size and (encounter[start] == e) & (player[start] == p) & (skill[start] == s):
            start += 1
    player_starts[players] = runs
    run_starts[runs] = size
    return players, runs, -1


@njit(cache=True, nogil=True)
def _scan(
    player_starts, run_starts, encounter, player, hit_at_ms, damage, crit, back, front, lengths, bin_count,
    timeline, players, skills, keys, series,
):  # fmt: skip
    """Fill all outputs, player by player; the bins of one player stay in cache and are used again."""
    bins = np.zeros(bin_count, np.int64)
    first_in = np.full(bin_count, _NO_FIRST, np.int32)
    last_in = np.full(bin_count, _NO_LAST, np.int32)
    row = 0
    for p in range(len(lengths)):
        opener, latest = np.int64(0), 0
        for run in range(player_starts[p], player_starts[p + 1]):
            hits = slice(run_starts[run], run_starts[run + 1])
            _sum_hits(damage[hits], crit[hits], back[hits], front[hits], skills[:, run])
            early, last_at = _bin_hits(hit_at_ms[hits], damage[hits], bins, first_in, last_in)
            opener += early
            latest = max(latest, last_at)
        _sum_runs(skills, player_starts[p], player_starts[p + 1], players[:, p])
        seconds = (lengths[p] + 999) // 1000
        used = latest // 1000 + 1
        first, last, active = _activity(bins[: max(used, seconds)], first_in[:used], last_in[:used], seconds)
        players[9, p], players[10, p], players[11, p] = first, last, active
        players[12, p] = _peak(bins, lengths[p] // 1000)
        players[13, p] = opener
        if timeline:
            hit = run_starts[player_starts[p]]
            keys[0, row : row + seconds] = encounter[hit]
            keys[1, row : row + seconds] = player[hit]
            _series(bins, lengths[p], seconds, keys[2], series, row)
            row += seconds
        bins[:seconds] = 0


@njit(cache=True, nogil=True)
def _sum_hits(damage, crit, back, front, out):
    """The sums of one run, in registers; masks instead of branches, so that it is compiled to vector code."""
    crits = backs = fronts = np.int64(0)
    total = crit_damage = back_damage = front_damage = largest = np.int64(0)
    for i in range(len(damage)):
        amount = damage[i]
        is_crit, is_back, is_front = np.int64(crit[i]), np.int64(back[i]), np.int64(front[i])
        crits += is_crit
        backs += is_back
        fronts += is_front
        total += amount
        crit_damage += amount & -is_crit
        back_damage += amount & -is_back
        front_damage += amount & -is_front
        largest = max(largest, amount)
    out[0], out[1], out[2], out[3] = len(damage), crits, backs, fronts
    out[4], out[5], out[6], out[7], out[8] = total, crit_damage, back_damage, front_damage, largest


@njit(cache=True, nogil=True)
def _bin_hits(hit_at_ms, damage, bins, first_in, last_in):
    """Add one run to the bins by second; the damage of its hits before 30 s, and the time of the latest."""
    opener, latest = np.int64(0), hit_at_ms[0]
    for i in range(len(hit_at_ms)):
        at = hit_at_ms[i]
        second = np.uint32(max(at, 0)) // np.uint32(1000)
        bins[second] += damage[i]
        first_in[second] = min(first_in[second], at)
        last_in[second] = max(last_in[second], at)
        opener += damage[i] if at < OPENER_MS else 0
        latest = max(latest, at)
    return opener, latest


@njit(cache=True, nogil=True)
def _sum_runs(skills, start, stop, out):
    """A player's sums are the sums over their runs, the largest hit the maximum."""
    for figure in range(9):
        out[figure] = 0
        for run in range(start, stop):
            value = skills[figure, run]
            out[figure] = max(out[figure], value) if figure == 8 else out[figure] + value


@njit(cache=True, nogil=True)
def _activity(bins, first_in, last_in, seconds):
    """First hit, last hit and active ms.

    Gaps over the limit lie between two bins, as a bin is shorter, the one with hits before the start too.
    Empties the bins of time and folds the damage after the end into the last second.
    """
    first = previous = np.int64(_NO_LAST)
    idle = np.int64(0)
    for b in range(len(last_in)):
        if last_in[b] == _NO_LAST:
            continue
        if previous == _NO_LAST:
            first = np.int64(first_in[b])
        elif first_in[b] - previous > ACTIVITY_GAP_MS:
            idle += first_in[b] - previous
        previous = np.int64(last_in[b])
        first_in[b], last_in[b] = _NO_FIRST, _NO_LAST
        if b >= seconds:
            bins[seconds - 1] += bins[b]
            bins[b] = 0
    return first, previous, previous - first - idle


@njit(cache=True, nogil=True)
def _peak(bins, whole_seconds):
    """Best DPS over ten whole seconds of the fight, or -1."""
    if whole_seconds < WINDOW_S:
        return np.int64(_NULL)
    window = bins[:WINDOW_S].sum()
    best = window
    for t in range(WINDOW_S, whole_seconds):
        window += bins[t] - bins[t - WINDOW_S]
        best = max(best, window)
    return best // WINDOW_S


@njit(cache=True, nogil=True)
def _series(bins, length, seconds, second, series, row):
    """The timeline of one player from ``row`` on: second, and damage, rolling DPS, cumulative damage."""
    half = WINDOW_S // 2
    window = bins[: min(half - 1, seconds)].sum()
    cumulative = np.int64(0)
    for t in range(seconds):
        if t + half - 1 < seconds:
            window += bins[t + half - 1]
        if t - half - 1 >= 0:
            window -= bins[t - half - 1]
        covered = min(length, (t + half) * 1000) - max(0, (t - half) * 1000)
        cumulative += bins[t]
        second[row + t] = t
        series[0, row + t] = bins[t]
        series[1, row + t] = window // WINDOW_S if covered == WINDOW_S * 1000 else window * 1000 // covered
        series[2, row + t] = cumulative


def _reused(shape: tuple[int, int], dtype: type) -> np.ndarray:
    """An empty array from Arrow's pool, which keeps the pages of tables that were let go: no page faults."""
    buffer = pa.allocate_buffer(shape[0] * shape[1] * np.dtype(dtype).itemsize)
    return np.frombuffer(buffer, dtype).reshape(shape)


def _named(codes: np.ndarray, names: pa.Array) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes), names, safe=False)


def _players_table(columns: _Columns, rows: np.ndarray, figures: np.ndarray) -> pa.Table:
    table: dict[str, pa.Array] = {
        "encounter_id": _named(columns.encounter[rows], columns.encounter_names),
        "player_name": _named(columns.player[rows], columns.player_names),
    }
    for name, values in zip(PLAYER_FIGURES, figures, strict=True):
        if name == "active_ms":
            table["active_s"] = pa.array(values / 1000)
        elif name == "peak_10s_dps":
            table[name] = pa.array(values, mask=values == _NULL)
        else:
            table[name] = pa.array(values)
    return pa.table(table)


def _skills_table(columns: _Columns, rows: np.ndarray, figures: np.ndarray) -> pa.Table:
    by_name = dict(zip(RUN_FIGURES, figures, strict=True))
    return pa.table(
        {
            "encounter_id": _named(columns.encounter[rows], columns.encounter_names),
            "player_name": _named(columns.player[rows], columns.player_names),
            "skill_id": pa.array(columns.skill_id[rows]),
            **{name: pa.array(by_name[name]) for name in SKILL_FIGURES},
        }
    )


def _timeline_table(columns: _Columns, keys: np.ndarray, series: np.ndarray) -> pa.Table:
    return pa.table(
        {
            "encounter_id": _named(keys[0], columns.encounter_names),
            "player_name": _named(keys[1], columns.player_names),
            "second": pa.array(keys[2]),
            "damage": pa.array(series[0]),
            "rolling_10s_dps": pa.array(series[1]),
            "cumulative_damage": pa.array(series[2]),
            "measured_by": _named(np.zeros(keys.shape[1], np.int8), pa.array(["hits"])),
        }
    )
