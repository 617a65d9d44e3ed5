"""What was said already, and what is to be said now. Pure: a state goes in, a state and messages come out.

One problem is one message when it appears and one when it is over. What does not belong here: finding
problems (``detect``), wording and sending (``messages``, ``channels``), keeping the state (``store``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from lostark_platform.alerts.detect import Detected
from lostark_platform.alerts.problems import Problem

CALM = timedelta(seconds=60)
"""A problem must stay away this long before it counts as over; each time it comes back, twice as long."""
MAX_CALM = timedelta(hours=1)
_FLAPPING_REMEMBERED = timedelta(hours=24)


@dataclass(frozen=True)
class Open:
    """A problem that is going on. ``told_at``: when it was said; None while it is muted."""

    problem: Problem
    told_at: datetime | None
    away_since: datetime | None = None


@dataclass(frozen=True)
class State:
    """What is going on, what is muted until when, and when problems were over lately (by key)."""

    open: Mapping[str, Open] = field(default_factory=dict)
    muted: Mapping[str, datetime] = field(default_factory=dict)
    ended: Mapping[str, tuple[datetime, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One problem in a message. ``ended_at`` only where it is over."""

    problem: Problem
    ended_at: datetime | None = None


@dataclass(frozen=True)
class Message:
    """Problems of one kind that began, or ended, at one look."""

    status: Literal["problem", "recovered"]
    kind: str
    at: datetime
    items: tuple[Item, ...]


def reconcile(state: State, found: Detected, now: datetime) -> tuple[State, list[Message]]:
    """The state after ``found``, and what is new in it: at most one message a kind and status.

    A problem that another one explains is not opened, but stays open where it was. Kinds that could not be
    judged stay as they are.
    """
    muted = {key: until for key, until in state.muted.items() if until > now}
    ended = {
        key: recent
        for key, times in state.ended.items()
        if (recent := tuple(at for at in times if now - at < _FLAPPING_REMEMBERED))
    }
    present = {problem.key: problem for problem in found.problems}
    going_on: dict[str, Open] = {}
    began: list[Item] = []
    over: list[Item] = []
    for key, problem in present.items():
        before = state.open.get(key)
        if before is None and key in found.explained:
            continue
        one = _seen(before, problem)
        if one.told_at is None and not is_muted(muted, problem):
            one = replace(one, told_at=now)
            began.append(Item(one.problem))
        going_on[key] = one
    for key, before in state.open.items():
        if key in present:
            continue
        if before.problem.kind in found.unjudged:
            going_on[key] = before
            continue
        away_since = before.away_since or now
        if now - away_since < _calm(ended.get(key, ())):
            going_on[key] = replace(before, away_since=away_since)
            continue
        if before.told_at is not None:
            ended[key] = (*ended.get(key, ()), now)
            if not is_muted(muted, before.problem):
                over.append(Item(before.problem, away_since))
    messages = [*_grouped("problem", began, now), *_grouped("recovered", over, now)]
    return State(going_on, muted, ended), messages


def mute(state: State, key: str, until: datetime) -> State:
    """Say nothing about ``key`` (a problem, or a whole kind) before ``until``."""
    return replace(state, muted={**state.muted, key: until})


def is_muted(muted: Mapping[str, datetime], problem: Problem) -> bool:
    """Whether the problem or its kind is muted."""
    return problem.key in muted or problem.kind in muted


def _seen(before: Open | None, problem: Problem) -> Open:
    """The problem as it is now, since it first began."""
    if before is None:
        return Open(problem, None)
    return replace(
        before, problem=replace(problem, since=min(before.problem.since, problem.since)), away_since=None
    )


def _calm(ends: tuple[datetime, ...]) -> timedelta:
    return min(CALM * 2 ** min(len(ends), 16), MAX_CALM)


def _grouped(status: Literal["problem", "recovered"], items: Iterable[Item], now: datetime) -> list[Message]:
    kinds: dict[str, list[Item]] = {}
    for item in sorted(items, key=lambda item: item.problem.since):
        kinds.setdefault(item.problem.kind, []).append(item)
    return [Message(status, kind, now, tuple(group)) for kind, group in kinds.items()]
