"""Differences of logarithms as whole damage/s that sum exactly. Pure."""

from __future__ import annotations

from functools import cache
from math import comb

import numpy as np

from lostark_ml.features.kernels import log_mean


def logarithmic_mean(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(one - other) / (ln one - ln other), the scale between differences of logs and of numbers; both > 0."""
    return log_mean(np.asarray(one, float), np.asarray(other, float))


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
