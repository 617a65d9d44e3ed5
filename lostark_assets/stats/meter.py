"""Timeline and bursts of logs without hits, from the series that the meter itself stored.

What the series mean was read in LOA Logs' source and confirmed on the 32 players of the five real fights of
v1.13.5:

* ``meter_rolling_dps`` element t stands at t s after the fight's start, t = 0 .. ceil(length) - 1, and tells
  the damage from t-5 to t+5 s (both ends included, on the wall clock, intermission not removed) divided by a
  constant. The constant is 10 in current versions and **was 5 in older ones**: there the stored "10 s
  average" is twice the truth (its sum over the fight is 1.97 to 2.00 times the damage dealt). It is found per
  log from the two series themselves: windows side by side against the cumulative damage at their end give
  4.99 to 5.12 on the real players. At the ends the window covers less than 10 s, which the meter ignores;
  here it divides by what is covered. With both corrected, mean DPS times length is 0.99 to 1.02 of the damage
  dealt.
* ``meter_average_dps`` element j is the damage of all hits up to and with the second 5j, on the meter's wall
  clock cut to whole seconds, divided by 5j + 1 (not 5j: the second itself counts). So its first element is
  the damage of the first, partial second, and ``element * (5j + 1)`` is cumulative damage, short by less than
  5j + 1. As the fight starts inside a second, it reaches to between 5j and 5j + 1 s after the start. The last
  element lies up to 5 s before the end (0.976 to 1.000 of the damage dealt; 1.000 where a step falls on the
  end), so it is not the stored DPS.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

STEP_S = 5
HALF_WINDOW_S = 5
OLD_DIVISOR, DIVISOR = 5, 10
_NULL = -1


class _Series(NamedTuple):
    """Flat list columns: ``values[starts[i]:starts[i + 1]]`` is row i; a null list is empty."""

    values: np.ndarray
    starts: np.ndarray


def meter_timeline(players: pa.Table) -> pa.Table:
    """The timeline of logs without hits: one row a second of the fight for each player who has a series.

    Args:
        players: encounter_id, player_name, length_ms (wall clock, intermission included), meter_rolling_dps,
            meter_average_dps (lists of integers, may be null); other columns are ignored.

    Returns:
        The columns of ``stats_dps_timeline`` but fight_date. ``damage`` is null, ``cumulative_damage`` is
        known every 5 s and null between, ``rolling_10s_dps`` is null where the series is too short.
    """
    players, length_ms, rolling, average = _columns(players)
    divisors = _divisors(players["encounter_id"], rolling, average)
    present = (np.diff(rolling.starts) > 0) | (np.diff(average.starts) > 0)
    seconds = np.where(present, -(-length_ms // 1000), 0)
    rows = np.repeat(np.arange(len(seconds)), seconds)
    second = np.empty(len(rows), np.int32)
    dps = np.empty(len(rows), np.int64)
    cumulative = np.empty(len(rows), np.int64)
    _fill(seconds, length_ms, divisors, *rolling, *average, second, dps, cumulative)
    owners = pa.array(rows)
    return pa.table(
        {
            "encounter_id": players["encounter_id"].take(owners),
            "player_name": players["player_name"].take(owners),
            "second": pa.array(second),
            "damage": pa.nulls(len(rows), pa.int64()),
            "rolling_10s_dps": pa.array(dps, mask=dps == _NULL),
            "cumulative_damage": pa.array(cumulative, mask=cumulative == _NULL),
            "measured_by": pa.repeat("meter", len(rows)),
        }
    )


def meter_bursts(players: pa.Table) -> pa.Table:
    """Peak and opener of logs without hits: encounter_id, player_name, peak_10s_dps, opener_dps.

    ``peak_10s_dps`` is the best window that lies inside the fight as a whole. ``opener_dps`` is the DPS of
    the first 30 s, from the windows at 5, 15 and 25 s, which are exact, where the average at 30 s is blurred
    by up to a second. Both are null where the series or the fight is too short.

    Args:
        players: as for :func:`meter_timeline`.
    """
    players, length_ms, rolling, average = _columns(players)
    divisors = _divisors(players["encounter_id"], rolling, average)
    peak, opener = np.full(len(length_ms), _NULL, np.int64), np.full(len(length_ms), _NULL, np.int64)
    _bursts(length_ms, divisors, *rolling, peak, opener)
    return pa.table(
        {
            "encounter_id": players["encounter_id"],
            "player_name": players["player_name"],
            "peak_10s_dps": pa.array(peak, mask=peak == _NULL),
            "opener_dps": pa.array(opener, mask=opener == _NULL),
        }
    )


def _columns(players: pa.Table) -> tuple[pa.Table, np.ndarray, _Series, _Series]:
    length_ms = players["length_ms"].cast(pa.int64()).to_numpy()
    return (
        players,
        np.maximum(length_ms, 1000),
        _flat(players["meter_rolling_dps"]),
        _flat(players["meter_average_dps"]),
    )


def _flat(column: pa.ChunkedArray) -> _Series:
    sizes = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    values = pc.list_flatten(column).cast(pa.int64())
    return _Series(values.to_numpy(), np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)]))


def _divisors(encounter_id: pa.ChunkedArray, rolling: _Series, average: _Series) -> np.ndarray:
    """What the meter divided its windows by, per row; all players of one log share it."""
    encounter_id = encounter_id.cast(pa.string()).combine_chunks()
    codes = encounter_id.dictionary_encode().indices.to_numpy()
    sums = np.zeros((2, int(codes.max(initial=-1)) + 1))
    _compare(codes, *rolling, *average, sums)
    windows, known = sums
    return np.where(
        known * np.sqrt(OLD_DIVISOR * DIVISOR) > windows * OLD_DIVISOR * DIVISOR, DIVISOR, OLD_DIVISOR
    )[codes]


@njit(cache=True, nogil=True)
def _compare(codes, rolling, rolling_starts, average, average_starts, sums):
    """Add up, by log, the windows side by side from the start (0) and the damage up to their end (1)."""
    for i in range(len(codes)):
        r, a = rolling_starts[i], average_starts[i]
        windows = min((rolling_starts[i + 1] - r + 4) // 10, (average_starts[i + 1] - a - 1) // 2)
        if windows > 0:
            for w in range(windows):
                sums[0, codes[i]] += rolling[r + HALF_WINDOW_S + 10 * w]
            sums[1, codes[i]] += average[a + 2 * windows] * (10 * windows + 1)
        elif rolling_starts[i + 1] > r and average_starts[i + 1] > a + 1:
            sums[0, codes[i]] += rolling[r]
            sums[1, codes[i]] += average[a + 1] * (STEP_S + 1)


@njit(cache=True, nogil=True)
def _fill(
    seconds, length_ms, divisors, rolling, rolling_starts, average, average_starts, second, dps, cumulative
):
    row = 0
    for i in range(len(seconds)):
        r, a, length = rolling_starts[i], average_starts[i], length_ms[i]
        for t in range(seconds[i]):
            second[row] = t
            dps[row] = cumulative[row] = _NULL
            if r + t < rolling_starts[i + 1]:
                covered = min(length, (t + HALF_WINDOW_S) * 1000) - max(0, (t - HALF_WINDOW_S) * 1000)
                dps[row] = rolling[r + t] * divisors[i] * 1000 // covered
            step, off = divmod(t, STEP_S)
            if off == 0 and a + step < average_starts[i + 1]:
                cumulative[row] = average[a + step] * (t + 1)
            row += 1


@njit(cache=True, nogil=True)
def _bursts(length_ms, divisors, rolling, starts, peak, opener):
    for i in range(len(length_ms)):
        start = starts[i]
        size = starts[i + 1] - start
        best = np.int64(_NULL)
        for t in range(HALF_WINDOW_S, min(size, length_ms[i] // 1000 - HALF_WINDOW_S + 1)):
            best = max(best, rolling[start + t])
        if best >= 0:
            peak[i] = best * divisors[i] // (2 * HALF_WINDOW_S)
        if size > 25 and length_ms[i] >= 30_000:
            opener[i] = (rolling[start + 5] + rolling[start + 15] + rolling[start + 25]) * divisors[i] // 30
