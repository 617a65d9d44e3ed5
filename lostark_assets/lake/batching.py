"""Splitting fight days into batches that fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date


def split_batches(days: Iterable[date], rows_by_day: Mapping[date, int], most_rows: int) -> list[set[date]]:
    """Ascending days in batches of at most ``most_rows``; a larger day is a batch of its own."""
    batches: list[set[date]] = []
    rows = 0
    for day in sorted(days):
        here = rows_by_day.get(day, 0)
        if not batches or rows + here > most_rows:
            batches.append(set())
            rows = 0
        batches[-1].add(day)
        rows += here
    return batches
