"""How fast sliding-pool percentiles are: a million player rows, against a plain NumPy loop on a sample.

The rows are half a year of 2000 pools (gate, difficulty, spec). Both ways are timed in one process, in turns,
in CPU seconds; the plain loop runs on a sample of the rows and is scaled.

Run: ``python tests/benchmarks/bench_percentiles.py [--rows 1000000] [--rounds 3]``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from lostark_assets.stats.percentiles import DAYS, pool_percentiles

SAMPLE = 300


def build_rows(count: int) -> tuple[np.ndarray, ...]:
    """group, day, value, is_member, item level of ``count`` player rows."""
    random = np.random.default_rng(5)
    group = (2000 * random.random(count) ** 2).astype(np.int64)
    day = random.integers(0, 182, count)
    value = random.lognormal(17 + 0.002 * day, 0.3)
    return group, day, value, random.random(count) < 0.85, 1660 + np.round(60 * random.random(count), 2)


def plain_loop(group, day, value, is_member, level, targets: np.ndarray) -> list[float]:
    """One mask and one interpolation a target, as one would write it at first."""
    places = []
    for i in targets:
        pool = is_member & (group == group[i]) & (day <= day[i]) & (day > day[i] - DAYS)
        pool &= np.abs(level - level[i]) <= 5
        members = np.sort(value[pool])
        enough = len(members) >= 20
        place = np.interp(value[i], members, np.linspace(0, 100, len(members)), 0, 100) if enough else np.nan
        places.append(place)
    return places


def cpu_seconds(work: Callable[[], object]) -> tuple[float, object]:
    """CPU seconds of ``work`` and what it returned."""
    before = time.process_time()
    result = work()
    return time.process_time() - before, result


def main(arguments: list[str] | None = None) -> int:
    """Print seconds, rows per second and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    *columns, level = build_rows(options.rows)
    targets = np.random.default_rng(1).choice(options.rows, SAMPLE, replace=False)
    for levels in (None, level):
        pool_percentiles(*(column[:1000] for column in columns), None if levels is None else levels[:1000])
    spent: dict[str, list[float]] = {"whole pool": [], "within 5 levels": [], "plain loop": []}
    for _ in range(options.rounds):
        spent["whole pool"].append(cpu_seconds(lambda: pool_percentiles(*columns))[0])
        seconds, table = cpu_seconds(lambda: pool_percentiles(*columns, level))
        spent["within 5 levels"].append(seconds)
        seconds, expected = cpu_seconds(lambda: plain_loop(*columns, level, targets))
        spent["plain loop"].append(seconds * options.rows / SAMPLE)
    found = np.array(table["percentile"].to_pylist(), float)[targets]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    median = {name: statistics.median(rounds) for name, rounds in spent.items()}
    for name, seconds in median.items():
        print(f"{name:16} {seconds:10.3f} CPU s {options.rows / seconds:12,.0f} rows/s")
    ratio = median["plain loop"] / median["within 5 levels"]
    print(f"plain loop / within 5 levels {ratio:,.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
