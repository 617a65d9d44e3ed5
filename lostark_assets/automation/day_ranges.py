"""Group fight days into a few ranges, each computed by one run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta


def group_days(
    days: Iterable[date], present: Iterable[date] = (), longest_gap: int = 7
) -> list[tuple[date, date]]:
    """Group days into a few ranges, one run each.

    A gap is bridged if it is short and none of its days has data (``present``): an empty day costs less than
    another run, and a day with data must not be recomputed without need.
    """
    filled, result = set(present), list[tuple[date, date]]()
    for day in sorted(set(days)):
        if result and _bridges(result[-1][1], day, filled, longest_gap):
            result[-1] = (result[-1][0], day)
        else:
            result.append((day, day))
    return result


def _bridges(last: date, day: date, filled: set[date], longest_gap: int) -> bool:
    gap: Sequence[date] = [last + timedelta(days=n) for n in range(1, (day - last).days)]
    return len(gap) <= longest_gap and not filled & set(gap)
