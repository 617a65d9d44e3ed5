"""Cutting long work into parts that fit into memory: payload into batches, fight days into passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date


def split_batches(days: Iterable[date], rows_by_day: Mapping[date, int], most_rows: int) -> list[set[date]]:
    """Ascending days in passes of at most ``most_rows``; a day that has more is a pass of its own."""
    passes: list[set[date]] = []
    rows = 0
    for day in sorted(days):
        here = rows_by_day.get(day, 0)
        if not passes or rows + here > most_rows:
            passes.append(set())
            rows = 0
        passes[-1].add(day)
        rows += here
    return passes
