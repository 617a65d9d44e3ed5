"""Percentiles among a pool that slides with time.

The pool of a row is its group (the caller's code: same gate, difficulty, spec, …) over the last weeks up to
the row's own day. A static pool is wrong in this game: gear improves so fast that the median player of week
10 would be at the 89th percentile of the first four weeks.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit

DAYS = 28
MINIMUM = 20
Z_95 = 1.959963984540054


def pool_percentiles(
    group: np.ndarray,
    day: np.ndarray,
    value: np.ndarray,
    is_member: np.ndarray,
    item_level: np.ndarray | None = None,
    *,
    is_target: np.ndarray | None = None,
    days: int = DAYS,
    tolerance: float = 5.0,
    minimum: int = MINIMUM,
) -> pa.Table:
    """Percentile of every row within its pool.

    The pool of a row: the members of its group from ``day - days + 1`` to ``day``, and within ``tolerance``
    of its item level where levels are given; the row itself only if it is a member. The percentile is the
    inverse of the quantile function with linear interpolation: the smallest member stands at 0, the largest
    at 100, equal members share the mean of their places, values outside clip.

    Args:
        group: int code of each row, -1 for a row that has no pool.
        day: int day number.
        value: what is ranked; NaN for a row that has no pool.
        is_member: whether the row counts in pools.
        item_level: float, NaN for a row that has no pool; None to ignore levels.
        is_target: whether a percentile is requested; False costs nothing and gives null. None requests all.
        days: length of the window.
        tolerance: greatest difference of item level, both ends included.
        minimum: with fewer members there is no percentile, only n.

    Returns:
        percentile, low, high (0..100) and n, in the order of the rows; low and high are the 95 % Wilson
        interval of a share measured on n players. All four are null for a row without a pool or not
        requested.
    """
    # Copies, as Numba would compile everything once more for arrays that are read-only.
    value = np.array(value, np.float64)
    has_pool = (np.asarray(group) >= 0) & ~np.isnan(value)
    level = value if item_level is None else np.array(item_level, np.float64)
    has_pool &= ~np.isnan(level)
    rows = np.flatnonzero(has_pool)
    group, day = np.array(group, np.int64), np.array(day, np.int64)
    order = rows[np.lexsort((level[rows], day[rows], group[rows]))]
    requested = np.array(np.ones(len(value)) if is_target is None else is_target, np.bool_)
    percentile = np.full(len(value), np.nan)
    n = np.full(len(value), -1, np.int64)
    _slide(
        order, group, day, value, np.array(is_member, np.bool_), requested, level, item_level is not None,
        days, tolerance, percentile, n,
    )  # fmt: skip
    low, high = _wilson(percentile / 100, n)
    no_number = n < max(minimum, 1)
    return pa.table(
        {
            "percentile": pa.array(percentile, mask=no_number),
            "low": pa.array(100 * low, mask=no_number),
            "high": pa.array(100 * high, mask=no_number),
            "n": pa.array(n, mask=n < 0),
        }
    )


def _wilson(share: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's 95 % interval of a share measured on n."""
    n = np.maximum(n, 1)
    centre = share + Z_95**2 / (2 * n)
    spread = Z_95 * np.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n**2))
    scale = 1 + Z_95**2 / n
    return np.clip((centre - spread) / scale, 0, 1), np.clip((centre + spread) / scale, 0, 1)


@njit(cache=True, nogil=True)
def _slide(order, group, day, value, is_member, requested, level, use_level, days, tolerance, percentile, n):
    """Walk the rows by group and day with a pool that is kept sorted by level.

    Where levels do not count, ``level`` is the value. A day costs one merge into the pool; a row then costs a
    binary search, or a pass over the levels in reach.
    """
    pool = np.empty(len(order)), np.empty(len(order)), np.empty(len(order), np.int64)
    spare = np.empty(len(order)), np.empty(len(order)), np.empty(len(order), np.int64)
    size = start = 0
    while start < len(order):
        first = order[start]
        if start == 0 or group[first] != group[order[start - 1]]:
            size = 0
        stop = start + 1
        while stop < len(order) and group[order[stop]] == group[first] and day[order[stop]] == day[first]:
            stop += 1
        size = _merge(order[start:stop], day[first], days, is_member, level, value, pool, size, spare)
        pool, spare = spare, pool
        keys, values, _ = pool
        for row in order[start:stop]:
            if not requested[row]:
                continue
            if use_level:
                n[row], percentile[row] = _place_by_level(
                    keys[:size], values[:size], level[row], value[row], tolerance
                )
            else:
                n[row], percentile[row] = size, _place(keys[:size], value[row])
        start = stop


@njit(cache=True, nogil=True)
def _merge(rows, today, days, is_member, level, value, pool, size, merged):
    """Write the pool without what is too old, but with today's members, to ``merged``; its size."""
    keys, values, born = pool
    new_keys, new_values, new_born = merged
    made = i = 0
    for row in rows:
        if not is_member[row]:
            continue
        while i < size and keys[i] <= level[row]:
            if born[i] > today - days:
                new_keys[made], new_values[made], new_born[made] = keys[i], values[i], born[i]
                made += 1
            i += 1
        new_keys[made], new_values[made], new_born[made] = level[row], value[row], today
        made += 1
    while i < size:
        if born[i] > today - days:
            new_keys[made], new_values[made], new_born[made] = keys[i], values[i], born[i]
            made += 1
        i += 1
    return made


@njit(cache=True, nogil=True)
def _first_at_least(ordered, x):
    """Index of the first element that is not below ``x``."""
    low, high = 0, len(ordered)
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < x:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _place(pool, x):
    """Percentile of ``x`` in a sorted pool, NaN if that is empty."""
    if len(pool) == 0:
        return np.nan
    left = _first_at_least(pool, x)
    right = left
    while right < len(pool) and pool[right] == x:
        right += 1
    below = pool[left - 1] if left > 0 else np.nan
    above = pool[right] if right < len(pool) else np.nan
    return _interpolate(len(pool), left, right - left, below, above, x)


@njit(cache=True, nogil=True)
def _place_by_level(levels, values, level, x, tolerance):
    """Number of members within reach of ``level`` and the percentile of ``x`` among them."""
    start = _first_at_least(levels, level - tolerance - 1e-6)
    stop = _first_at_least(levels, level + tolerance + 1e-6)
    n = less = equal = 0
    below, above = -np.inf, np.inf
    for i in range(start, stop):
        if abs(levels[i] - level) > tolerance:
            continue
        n += 1
        if values[i] < x:
            less += 1
            below = max(below, values[i])
        elif values[i] > x:
            above = min(above, values[i])
        else:
            equal += 1
    return n, (_interpolate(n, less, equal, below, above, x) if n else np.nan)


@njit(cache=True, nogil=True)
def _interpolate(n, less, equal, below, above, x):
    """Percentile from the members below, equal to and above ``x``; a pool of one stands at 50."""
    if equal == 0 and less == 0:
        return 0.0
    if equal == 0 and less == n:
        return 100.0
    if n == 1:
        return 50.0
    place = less + (equal - 1) / 2
    if equal == 0:
        place = less - 1 + (x - below) / (above - below)
    return 100 * place / (n - 1)
