"""Differences of logarithms as whole damage/s that sum exactly. Pure.

What does not belong here: what the differences are of (``context``, ``gap``).
"""

from __future__ import annotations

from functools import cache
from math import comb

import numpy as np
from numba import njit, vectorize


def logarithmic_mean(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(one - other) / (ln one - ln other), the scale between differences of logs and of numbers; both > 0."""
    return _mean_of_two(np.asarray(one, float), np.asarray(other, float))


@vectorize(cache=True)
def _mean_of_two(one, other):
    log_ratio = np.log(one / other)
    return other * (np.expm1(log_ratio) / log_ratio if log_ratio != 0 else 1.0)


@cache
def shapley_shares(groups: int) -> np.ndarray:
    """By how much each mixture (rows) counts in the part of each group (columns).

    A mixture is numbered by the groups that are changed in it, a bit a group. A part is what changing the
    group brings, averaged over all orders of changing them one after the other.
    """
    shares = np.zeros((2**groups, groups))
    for group in range(groups):
        for mask in range(2**groups):
            if not mask >> group & 1:
                share = 1 / (groups * comb(groups - 1, mask.bit_count()))
                shares[mask, group] -= share
                shares[mask | 1 << group, group] += share
    return shares


@njit(cache=True, nogil=True)
def whole_parts(mixtures, shares, start, end):
    """Parts (rows, groups) in whole numbers that sum to ``end - start``, whole numbers themselves.

    Args:
        mixtures: logarithms (rows, mixtures): of ``start`` in the first column, of ``end`` in the last.
        shares: ``shapley_shares``. What rounding leaves goes to the largest part.
        start: by row.
        end: by row.
    """
    rows, groups = len(mixtures), shares.shape[1]
    whole = np.empty((rows, groups))
    for row in range(rows):
        scale = _mean_of_two(max(end[row], 1.0), max(start[row], 1.0))
        left, largest, most = end[row] - start[row], 0, -1.0
        for group in range(groups):
            part = 0.0
            for mixture in range(len(shares)):
                part += shares[mixture, group] * (mixtures[row, mixture] - mixtures[row, 0])
            part *= scale
            whole[row, group] = np.rint(part)
            left -= whole[row, group]
            if abs(part) > most:
                largest, most = group, abs(part)
        whole[row, largest] += left
    return whole
