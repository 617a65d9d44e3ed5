"""Robust baselines (median and MAD), and confidence intervals of shares. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

_MAD_TO_SIGMA = 1.4826
"""Scales the median absolute deviation to the standard deviation of a normal distribution."""


@dataclass(frozen=True)
class Baseline:
    """Middle and spread of positive values on the log scale."""

    middle: float
    sigma_log: float
    n: int

    def limit(self, sigmas: float, smallest_sigma: float) -> float:
        """The value ``sigmas`` above the middle; a spread below ``smallest_sigma`` counts as that."""
        return self.middle * math.exp(sigmas * max(self.sigma_log, smallest_sigma))


def fit_baseline(values: Sequence[float]) -> Baseline:
    """Median and scaled MAD of the logarithms of ``values``, which are positive and at least one."""
    logs = [math.log(value) for value in values]
    middle = median(logs)
    return Baseline(math.exp(middle), _MAD_TO_SIGMA * median(abs(x - middle) for x in logs), len(logs))


def share_bounds(hits: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's interval of a share of ``hits`` in ``n``, valid for small samples; (0, 1) if n is 0."""
    if n <= 0:
        return 0.0, 1.0
    share, z2 = hits / n, z * z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)
