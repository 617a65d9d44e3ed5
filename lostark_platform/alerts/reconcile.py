"""Reconciles detected problems with the open ones: one message when a problem begins, one when it ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from lostark_platform.alerts.detect import Detected
from lostark_platform.alerts.problems import Problem

MIN_ABSENCE = timedelta(seconds=60)
"""A problem must be absent for this long to count as over; the time doubles whenever it comes back."""
MAX_ABSENCE = timedelta(hours=1)
_FLAPPING_WINDOW = timedelta(hours=24)


@dataclass(frozen=True)
class Open:
    """An open problem. ``reported_at`` is None while it is muted; ``absent_since`` while it is detected."""

    problem: Problem
    reported_at: datetime | None
    absent_since: datetime | None = None


@dataclass(frozen=True)
class State:
    """Open problems, mutes with their end, and recent ends of problems (by key)."""

    open: Mapping[str, Open] = field(default_factory=dict)
    muted: Mapping[str, datetime] = field(default_factory=dict)
    ended: Mapping[str, tuple[datetime, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One problem in a message. ``ended_at`` is None unless it is over."""

    problem: Problem
    ended_at: datetime | None = None


@dataclass(frozen=True)
class Message:
    """Problems of one kind that began, or ended, at one evaluation."""

    status: Literal["problem", "recovered"]
    kind: str
    at: datetime
    items: tuple[Item, ...]


def reconcile(state: State, found: Detected, now: datetime) -> tuple[State, list[Message]]:
    """The state after ``found``, and at most one message per kind and status.

    A problem that another one explains is not opened, but stays open if it was. Problems of unknown kinds
    stay as they are.
    """
    muted = {key: until for key, until in state.muted.items() if until > now}
    ended = {
        key: recent
        for key, times in state.ended.items()
        if (recent := tuple(at for at in times if now - at < _FLAPPING_WINDOW))
    }
    present = {problem.key: problem for problem in found.problems}
    still_open: dict[str, Open] = {}
    began: list[Item] = []
    over: list[Item] = []
    for key, problem in present.items():
        before = state.open.get(key)
        if before is None and key in found.explained:
            continue
        one = _update(before, problem)
        if one.reported_at is None and not is_muted(muted, problem):
            one = replace(one, reported_at=now)
            began.append(Item(one.problem))
        still_open[key] = one
    for key, before in state.open.items():
        if key in present:
            continue
        if before.problem.kind in found.unknown:
            still_open[key] = before
            continue
        absent_since = before.absent_since or now
        if now - absent_since < _required_absence(ended.get(key, ())):
            still_open[key] = replace(before, absent_since=absent_since)
            continue
        if before.reported_at is not None:
            ended[key] = (*ended.get(key, ()), now)
            if not is_muted(muted, before.problem):
                over.append(Item(before.problem, absent_since))
    messages = [*_grouped("problem", began, now), *_grouped("recovered", over, now)]
    return State(still_open, muted, ended), messages


def mute(state: State, key: str, until: datetime) -> State:
    """Suppress messages about ``key`` (a problem, or a whole kind) until ``until``."""
    return replace(state, muted={**state.muted, key: until})


def is_muted(muted: Mapping[str, datetime], problem: Problem) -> bool:
    """Whether the problem or its kind is muted."""
    return problem.key in muted or problem.kind in muted


def _update(before: Open | None, problem: Problem) -> Open:
    """The current problem, with its first beginning."""
    if before is None:
        return Open(problem, None)
    return replace(
        before, problem=replace(problem, since=min(before.problem.since, problem.since)), absent_since=None
    )


def _required_absence(ends: tuple[datetime, ...]) -> timedelta:
    return min(MIN_ABSENCE * 2 ** min(len(ends), 16), MAX_ABSENCE)


def _grouped(status: Literal["problem", "recovered"], items: Iterable[Item], now: datetime) -> list[Message]:
    kinds: dict[str, list[Item]] = {}
    for item in sorted(items, key=lambda item: item.problem.since):
        kinds.setdefault(item.problem.kind, []).append(item)
    return [Message(status, kind, now, tuple(group)) for kind, group in kinds.items()]
