"""How far the platform is behind: one figure, computed from samples of what waits. Pure.

A sensor records a sample every 15 s (``automation.waiting``); run log, doctor, alerts, API and pages all read
the figure that ``compute_backlog`` makes of the last ten minutes of them.

Arrivals come in bursts, so the rates of the whole window don't say whether the backlog shrinks: an import of
10,000 logs that arrived five minutes ago has a rate in above the rate out until it is done. What counts is
the time since the backlog was largest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

from lostark_assets.ledger import BacklogSample, Ledger

WINDOW = timedelta(minutes=10)
MAX_GAP = timedelta(minutes=2)
"""Samples further apart mean that the platform was off; a figure without a younger sample is old."""
YOUNG = timedelta(minutes=2)
"""A backlog this young, or whose oldest log waits less than half of it, is ordinary work."""
STALL = timedelta(minutes=5)
"""A backlog of which nothing was published for this long does not shrink, whatever it did before."""
GROWTH = timedelta(minutes=5)
_MINUTE = timedelta(minutes=1)
_MIN_GROWTH = 10
_MAX_EXTRAPOLATION = 10
"""An estimate that rests on less than a tenth of what it is about is a guess."""
_USUAL_UPLOAD_S = 5.0
"""From an upload to its fight's page on an idle platform: 2.5 s (decision 28)."""
_OVERDUE_FACTOR, _OVERDUE_S = 3.0, 30.0
"""Who has waited three times as long as estimated is not promised the same again."""

State = Literal["up_to_date", "catching_up", "falling_behind", "unknown"]


@dataclass(frozen=True)
class Backlog:
    """The figure. Counts, rates [logs/min] and times are those of ``observed_at``; None: never observed.

    ``unknown``: nothing was observed lately. ``estimate_s``: until nothing waits; None if there is no honest
    estimate. ``throughput_per_minute``: logs out per minute of work. ``behind_since``: since when the alert
    ``falling_behind`` holds.
    """

    state: State
    uploads_waiting: int | None = None
    logs_waiting: int | None = None
    oldest_waits_since: datetime | None = None
    oldest_waits_s: float | None = None
    runs_queued: int | None = None
    logs_in_per_minute: float | None = None
    logs_out_per_minute: float | None = None
    throughput_per_minute: float | None = None
    estimate_s: float | None = None
    observed_at: datetime | None = None
    behind_since: datetime | None = None


def compute_backlog(samples: Sequence[BacklogSample], now: datetime) -> Backlog:
    """The figure at ``now`` from ``samples`` in the order of their times."""
    recent = _unbroken(samples)
    if not recent:
        return Backlog("unknown")
    newest = recent[-1]
    state, estimate_s = _judge(recent)
    is_old = now - newest.at > MAX_GAP
    minutes = (newest.at - recent[0].at) / _MINUTE
    came, went = _flow(recent)
    published, worked = _count_work(recent)
    return Backlog(
        state="unknown" if is_old else state,
        uploads_waiting=newest.uploads,
        logs_waiting=newest.logs,
        oldest_waits_since=newest.oldest_since,
        oldest_waits_s=_waits(newest).total_seconds() if newest.oldest_since else None,
        runs_queued=newest.runs_queued,
        logs_in_per_minute=came / minutes if minutes else None,
        logs_out_per_minute=went / minutes if minutes else None,
        throughput_per_minute=published / (worked / _MINUTE) if published else None,
        estimate_s=None if is_old else estimate_s,
        observed_at=newest.at,
        behind_since=newest.behind_since,
    )


def read_backlog(ledger: Ledger, now: datetime) -> Backlog:
    """The figure at ``now``, from the ledger's samples."""
    return compute_backlog(ledger.backlog_samples(), now)


def follow(before: Sequence[BacklogSample], sample: BacklogSample, limit: timedelta) -> BacklogSample:
    """``sample`` after the samples ``before``: since when the platform runs, and since when it is behind.

    ``limit``: how long the oldest log may wait.
    """
    last = before[-1] if before else None
    if last is not None and sample.at - last.at <= MAX_GAP:
        sample = replace(sample, online_since=last.online_since, behind_since=last.behind_since)
    return replace(sample, behind_since=find_beginning([*before, sample], limit))


def find_beginning(samples: Sequence[BacklogSample], limit: timedelta) -> datetime | None:
    """Since when the platform is too far behind, at the newest of ``samples``; None if it is not.

    That is so if the oldest log waits for ``limit`` while the backlog does not shrink, or if the backlog grew
    for five minutes; and until the oldest waits less than half the limit. An import that makes progress is
    not. Time while the platform was off does not count.
    """
    recent = _unbroken(samples)
    newest = recent[-1]
    if newest.oldest_since is None:
        return None
    since = max(newest.oldest_since, newest.online_since)
    waited, grows = newest.at - since, _grows(recent)
    if newest.behind_since is not None:
        return newest.behind_since if grows or waited >= limit / 2 else None
    is_stuck = waited >= limit and _judge(recent)[0] != "catching_up"
    return since if grows or is_stuck else None


def estimate_upload_s(backlog: Backlog, uploads_before: int, waited_s: float) -> float | None:
    """Seconds until an upload that waits for ``waited_s`` is on the pages; None: there is no honest estimate.

    Uploads are worked on in their order: those that arrive later do not matter.
    """
    if backlog.state in ("unknown", "falling_behind"):
        return None
    each_s = 60 / backlog.throughput_per_minute if backlog.throughput_per_minute else _USUAL_UPLOAD_S
    expected_s = max((uploads_before + 1) * each_s, _USUAL_UPLOAD_S)
    return None if _is_overdue(waited_s, expected_s) else expected_s


def _is_overdue(waited_s: float, expected_s: float) -> bool:
    return waited_s > max(_OVERDUE_FACTOR * expected_s, _OVERDUE_S)


def _unbroken(samples: Sequence[BacklogSample]) -> list[BacklogSample]:
    """The samples of the last ten minutes before the newest one, since the last gap."""
    recent: list[BacklogSample] = []
    for sample in reversed(samples):
        if recent and (recent[-1].at - sample.at > MAX_GAP or recent[0].at - sample.at > WINDOW):
            break
        recent.append(sample)
    return recent[::-1]


def _flow(samples: Sequence[BacklogSample]) -> tuple[int, int]:
    """Logs that came and went between ``samples``; their difference is what the backlog grew by.

    An upload is one log until it is collected. Logs that wait although they did not arrive, such as after a
    publish was undone, count as coming.
    """
    came = went = 0
    for before, after in pairwise(samples):
        arrived = after.collected + after.uploads - before.collected - before.uploads
        rise = after.waiting - before.waiting
        came += max(arrived, rise, 0)
        went += max(arrived, rise, 0) - rise
    return came, went


def _judge(recent: Sequence[BacklogSample]) -> tuple[State, float | None]:
    """State and estimate [s] at the newest of samples without a gap."""
    newest = recent[-1]
    if not newest.waiting:
        return "up_to_date", 0.0
    busy = _since_idle(recent)
    if newest.at - busy[0].at < YOUNG or _waits(newest) < YOUNG / 2:
        estimate_s = _extrapolate(newest.waiting, *_count_work(recent))
        is_kept = estimate_s is not None and not _is_overdue(_waits(newest).total_seconds(), estimate_s)
        return "catching_up", estimate_s if is_kept else None
    peak = max(busy, key=lambda sample: (sample.waiting, sample.at))
    lately = [sample for sample in busy if newest.at - sample.at <= STALL]
    shrank = peak.waiting - newest.waiting
    if newest.at - peak.at >= YOUNG and shrank > 0 and _flow(lately)[1] > 0:
        return "catching_up", _extrapolate(newest.waiting, shrank, newest.at - peak.at)
    return "falling_behind", None


def _waits(sample: BacklogSample) -> timedelta:
    return sample.at - (sample.oldest_since or sample.at)


def _since_idle(recent: Sequence[BacklogSample]) -> list[BacklogSample]:
    """The samples since the last one at which nothing waited."""
    idle = max((n for n, sample in enumerate(recent) if not sample.waiting), default=-1)
    return list(recent[idle + 1 :])


def _count_work(recent: Sequence[BacklogSample]) -> tuple[int, timedelta]:
    """Logs published, and the time in which there was something to publish."""
    published, worked = 0, timedelta()
    for before, after in pairwise(recent):
        went = _flow((before, after))[1]
        if went or before.waiting:
            published += went
            worked += after.at - before.at
    return published, worked


def _extrapolate(waiting: int, done: int, took: timedelta) -> float | None:
    """Seconds until ``waiting`` are done, if ``done`` took that long."""
    return took.total_seconds() * waiting / done if waiting <= _MAX_EXTRAPOLATION * done else None


def _grows(recent: Sequence[BacklogSample]) -> bool:
    """Whether more waited at the end of each of the last five minutes than before, and ten more after all."""
    newest = recent[-1]
    ends = []
    for minutes_ago in range(GROWTH // _MINUTE, -1, -1):
        until = newest.at - minutes_ago * _MINUTE
        last = next((sample for sample in reversed(recent) if sample.at <= until), None)
        if last is None or not last.waiting:
            return False
        ends.append(last.waiting)
    return ends[-1] - ends[0] >= _MIN_GROWTH and all(a <= b for a, b in pairwise(ends))
