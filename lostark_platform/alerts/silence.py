"""Detects when a source brings no logs for longer than usual, given its weekly pattern.

Time is weighted by activity: each hour of the week counts by the number of fights usual in it, and
maintenance counts zero, so that past gaps are comparable with the current one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

HISTORY = timedelta(days=56)
_BIN_S = 600
_HOUR_S = 3600
_WEEK_S = 7 * 24 * _HOUR_S
_HOURS_OF_WEEK = 168
_MIN_FIGHTS = 20
_MIN_HISTORY = timedelta(days=14)
_MIN_SILENCE = timedelta(hours=1)
_SILENCE_WITHOUT_HISTORY = timedelta(hours=24)
_MIN_ARRIVAL_HISTORY = timedelta(days=7)
_ONE_ARRIVAL_S = 120
_SILENCE_FACTOR = 2.0
_CAP = 3.0
_FLOOR_SHARE = 0.05
# The epoch was a Thursday, so Wednesday began six days after it. Korea: 06:00 KST is Tuesday 21:00 UTC. The
# usual end is 10:00 KST and 12:00 UTC; it is often late, and the first raids come later still.
_WEEKLY_MAINTENANCE_S = (
    ((5 * 24 + 21) * _HOUR_S, 6 * _HOUR_S),
    ((6 * 24 + 7) * _HOUR_S, 6 * _HOUR_S),
)

Window = tuple[datetime, datetime]


@dataclass(frozen=True)
class Activity:
    """A source's fight starts and log arrivals, both in any order."""

    fights: Sequence[datetime]
    arrivals: Sequence[datetime]


@dataclass(frozen=True)
class Silence:
    """A source's current silence: ``limit_share`` of 1 or above is longer than usual."""

    since: datetime
    limit_share: float
    longest_usual_h: float
    has_history: bool


def weekly_maintenance(first: datetime, last: datetime) -> list[Window]:
    """The weekly maintenance windows of Korea and the West between two instants."""
    windows = []
    week = int(first.timestamp() // _WEEK_S) - 1
    while week * _WEEK_S <= last.timestamp():
        for offset_s, length_s in _WEEKLY_MAINTENANCE_S:
            begin = datetime.fromtimestamp(week * _WEEK_S + offset_s, UTC)
            windows.append((begin, begin + timedelta(seconds=length_s)))
        week += 1
    return [(begin, end) for begin, end in windows if end > first and begin < last]


def judge_silence(
    activity: Activity, now: datetime, *, online_since: datetime, closed: Iterable[Window] = ()
) -> Silence | None:
    """Compare the source's current silence with its past gaps; None if no log ever arrived.

    ``closed`` are announced maintenance windows, in addition to the weekly ones. Silence begins at
    ``online_since`` at the earliest, since the platform was off before.
    """
    if not activity.arrivals:
        return None
    since = max(*activity.arrivals, online_since)
    start = now - HISTORY
    fights = np.array(sorted(at.timestamp() for at in activity.fights if start <= at <= now))
    arrivals = _distinct(sorted(at.timestamp() for at in activity.arrivals if at >= start))
    clock = _Clock(fights, start, now, [*weekly_maintenance(start, now), *closed])
    silence = clock.between(since, now)
    open_s = clock.open_seconds(since, now)
    has_fight_history = len(fights) >= _MIN_FIGHTS and fights[-1] - fights[0] >= _MIN_HISTORY.total_seconds()
    has_arrival_history = (
        len(arrivals) > 1 and arrivals[-1] - arrivals[0] >= _MIN_ARRIVAL_HISTORY.total_seconds()
    )
    shortest = _MIN_SILENCE if has_fight_history and has_arrival_history else _SILENCE_WITHOUT_HISTORY
    usual = max(clock.longest_usual_gap(fights), clock.longest_usual_gap(arrivals))
    limit = max(_SILENCE_FACTOR * usual, clock.compute_mass(shortest.total_seconds()))
    share = min(silence / limit, open_s / shortest.total_seconds())
    return Silence(since, share, usual / clock.mean_per_hour, has_fight_history and has_arrival_history)


class _Clock:
    """Activity as a function of time: a running sum over bins of ten minutes, in expected fights."""

    def __init__(self, fights: np.ndarray, start: datetime, now: datetime, closed: list[Window]) -> None:
        first = start.timestamp() // _BIN_S * _BIN_S
        self._edges = np.arange(first, now.timestamp() + _BIN_S, _BIN_S)
        week = _hours_of_week(self._edges[:-1])
        is_open = np.ones(len(week))
        for begin, end in closed:
            covered = np.minimum(self._edges[1:], end.timestamp()) - np.maximum(
                self._edges[:-1], begin.timestamp()
            )
            is_open -= np.clip(covered / _BIN_S, 0, 1)
        self._is_open = np.clip(is_open, 0, 1)
        weights = _profile(fights, now)[week] * (_BIN_S / _HOUR_S) * self._is_open
        self._mass = np.concatenate([[0.0], np.cumsum(weights)])
        self._seconds = np.concatenate([[0.0], np.cumsum(self._is_open * _BIN_S)])
        self.mean_per_hour = max(float(self._mass[-1]) / max(float(self._seconds[-1]) / _HOUR_S, 1e-9), 1e-9)

    def at(self, instants: np.ndarray) -> np.ndarray:
        return np.interp(instants, self._edges, self._mass)

    def between(self, first: datetime, last: datetime) -> float:
        low, high = self.at(np.array([first.timestamp(), last.timestamp()]))
        return float(high - low)

    def open_seconds(self, first: datetime, last: datetime) -> float:
        low, high = np.interp([first.timestamp(), last.timestamp()], self._edges, self._seconds)
        return float(high - low)

    def compute_mass(self, seconds: float) -> float:
        """Average activity of a period of that length."""
        return self.mean_per_hour * seconds / _HOUR_S

    def longest_usual_gap(self, instants: np.ndarray) -> float:
        """The second longest past gap, or beyond one in a thousand: past outages are outliers."""
        if len(instants) < 3:
            return 0.0
        gaps = np.sort(np.diff(self.at(instants)))[::-1]
        return float(gaps[min(1 + len(gaps) // 1000, len(gaps) - 1)])


def _profile(fights: np.ndarray, now: datetime) -> np.ndarray:
    """Expected fights in each hour of the week, smoothed: (hour of week + hour of day) and a floor.

    An hour's count is capped at a multiple of the median of hours with any: a bulk upload counts like a busy
    hour.
    """
    if not len(fights):
        return np.full(_HOURS_OF_WEEK, 1.0 / _HOURS_OF_WEEK)
    weeks = max((now.timestamp() - fights[0]) / _WEEK_S, 1.0)
    hours, counts = np.unique(fights // _HOUR_S, return_counts=True)
    counts = np.minimum(counts, _CAP * np.median(counts))
    by_week = np.bincount(_hours_of_week(hours * _HOUR_S), counts, _HOURS_OF_WEEK) / weeks
    by_day = np.tile(by_week.reshape(7, 24).mean(axis=0), 7)
    # A few weeks are a small sample for one hour of the week: the hour of the day counts as four more.
    profile = (weeks * by_week + 4 * by_day) / (weeks + 4)
    return np.maximum(profile, _FLOOR_SHARE * profile.mean())


def _hours_of_week(instants: np.ndarray) -> np.ndarray:
    return (instants // _HOUR_S % _HOURS_OF_WEEK).astype(np.int64)


def _distinct(instants: list[float]) -> np.ndarray:
    """Starts of arrivals: arrivals within two minutes count as one."""
    values = np.array(instants)
    if not len(values):
        return values
    return values[np.concatenate([[True], np.diff(values) > _ONE_ARRIVAL_S])]
