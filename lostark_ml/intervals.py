"""Intervals that hold: conformal, from forecasts of later weeks that the model had not seen.

For each of the newest weeks a model of the weeks before it forecasts it, as in use; the quantiles of those
errors are the interval's ends. Specs have quantiles of their own, shrunk to the global ones by their number
of rows. What does not belong here: fitting those models (``training``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

SHRINK_ROWS = 150.0
"""A spec with this many rows stands halfway between its own quantile and the global one."""
FEWEST_OF_SPEC = 20


@dataclass(frozen=True)
class Intervals:
    """Ends of the interval as departures of log DPS from the expected one."""

    level: float
    rows: int
    low: float
    high: float
    by_spec: dict[str, tuple[float, float]]

    def around(self, log_dps: np.ndarray, spec: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends in log DPS."""
        low = spec.map({s: ends[0] for s, ends in self.by_spec.items()}).fillna(self.low)
        high = spec.map({s: ends[1] for s, ends in self.by_spec.items()}).fillna(self.high)
        return log_dps + low.to_numpy(float), log_dps + high.to_numpy(float)


def calibrate(error: np.ndarray, spec: pd.Series, level: float = 0.9) -> Intervals:
    """Intervals of ``level`` from errors (true minus expected log DPS) of forecasts.

    Raises:
        ValueError: there are too few errors to know the quantile at all.
    """
    tail = (1 - level) / 2
    if len(error) < 1 / tail:
        message = (
            f"a {level:.0%} interval needs at least {round(1 / tail)} forecast errors, found {len(error)}"
        )
        raise ValueError(message)
    low, high = _ends(error, tail)
    by_spec = {}
    for name, at in pd.Series(np.arange(len(error))).groupby(spec.to_numpy(object)):
        if len(at) >= FEWEST_OF_SPEC:
            own = _ends(error[at.to_numpy()], tail)
            share = len(at) / (len(at) + SHRINK_ROWS)
            by_spec[str(name)] = (low + share * (own[0] - low), high + share * (own[1] - high))
    return Intervals(level, len(error), low, high, by_spec)


def _ends(error: np.ndarray, tail: float) -> tuple[float, float]:
    """Conformal ends: one row more than the plain quantile, for the row that is to come."""
    ordered = np.sort(error)
    skip = int(np.floor(tail * (len(ordered) + 1)))
    last = len(ordered) - 1
    return float(ordered[max(skip - 1, 0)]), float(ordered[min(last - skip + 1, last)])
