"""Conformal prediction intervals, from forecasts of weeks that the model had not seen.

Each of the newest weeks is forecast by a model of the weeks before it, as in production; quantiles of those
errors are the ends of the interval. Each spec has its own quantiles, shrunk to the global ones by its
number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

SHRINK_ROWS = 150.0
"""A spec with this many rows stands halfway between its own quantile and the global one."""
MIN_PER_SPEC = 20
PERCENTS = (
    0.5,
    1,
    2.5,
    5,
    10,
    15,
    20,
    25,
    30,
    35,
    40,
    45,
    50,
    55,
    60,
    65,
    70,
    75,
    80,
    85,
    90,
    95,
    97.5,
    99,
    99.5,
)
"""Where quantiles of the errors are kept: a percentile lies between them."""


@dataclass(frozen=True)
class Intervals:
    """Ends of the interval as departures of log DPS from the expected one, and quantiles of the errors.

    ``quantiles`` stand at ``percents``; those at the interval's ends are its ends.
    """

    level: float
    rows: int
    low: float
    high: float
    by_spec: dict[str, tuple[float, float]]
    percents: tuple[float, ...] = ()
    quantiles: tuple[float, ...] = ()
    quantiles_by_spec: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def ends(self, spec: str) -> tuple[float, float]:
        """The ends of a spec's interval."""
        return self.by_spec.get(spec, (self.low, self.high))

    def around(self, log_dps: np.ndarray, spec: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper ends in log DPS."""
        low = spec.map({s: ends[0] for s, ends in self.by_spec.items()}).fillna(self.low)
        high = spec.map({s: ends[1] for s, ends in self.by_spec.items()}).fillna(self.high)
        return log_dps + low.to_numpy(float), log_dps + high.to_numpy(float)

    def percentile(self, error: np.ndarray, spec: pd.Series) -> np.ndarray:
        """Share of fights, in percent, that reach less; ``error`` is true minus expected log DPS.

        NaN stays NaN. Never below the first of ``percents`` or above the last: the tails are unknown.
        """
        found = np.full(len(error), np.nan)
        if self.percents:
            for name, at in pd.Series(np.arange(len(error))).groupby(spec.to_numpy(object)):
                quantiles = self.quantiles_by_spec.get(str(name), self.quantiles)
                found[at] = np.interp(error[at], quantiles, self.percents)
        return found


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
    percents = np.array(sorted({*PERCENTS, 100 * tail, 100 - 100 * tail}))
    quantiles = np.percentile(error, percents)
    by_spec, quantiles_by_spec = {}, {}
    for name, at in pd.Series(np.arange(len(error))).groupby(spec.to_numpy(object)):
        if len(at) >= MIN_PER_SPEC:
            own = _ends(error[at.to_numpy()], tail)
            share = len(at) / (len(at) + SHRINK_ROWS)
            by_spec[str(name)] = (low + share * (own[0] - low), high + share * (own[1] - high))
            shrunk = quantiles + share * (np.percentile(error[at.to_numpy()], percents) - quantiles)
            quantiles_by_spec[str(name)] = _around_ends(shrunk, percents, tail, by_spec[str(name)])
    return Intervals(
        level,
        len(error),
        low,
        high,
        by_spec,
        tuple(percents.tolist()),
        _around_ends(quantiles, percents, tail, (low, high)),
        quantiles_by_spec,
    )


def _around_ends(
    quantiles: np.ndarray, percents: np.ndarray, tail: float, ends: tuple[float, float]
) -> tuple[float, ...]:
    """The quantiles with the interval's ends in their places, and none on the wrong side of them."""
    low, high = ends
    at_low, at_high = (int(np.argmin(np.abs(percents - p))) for p in (100 * tail, 100 - 100 * tail))
    found = np.clip(quantiles, low, high)
    found[:at_low] = np.minimum(quantiles[:at_low], low)
    found[at_high:] = np.maximum(quantiles[at_high:], high)
    found[at_low], found[at_high] = low, high
    return tuple(found.tolist())


def _ends(error: np.ndarray, tail: float) -> tuple[float, float]:
    """Conformal ends: one row more than the plain quantile, for the row that is to come."""
    ordered = np.sort(error)
    skip = int(np.floor(tail * (len(ordered) + 1)))
    last = len(ordered) - 1
    return float(ordered[max(skip - 1, 0)]), float(ordered[min(last - skip + 1, last)])
