"""What is asked for next, from facts alone: what is due, what was tried, what runs now.

A subject is a fight day, a source, or the tables across days. What was asked for is remembered with
its *input*, a digest of what waited. A request that leaves the same input due has not helped, whatever became
of its run, so neither a failing run nor one that succeeds in vain can be repeated without end. What does not
belong here: looking at the lake (``due``), at Dagster (``sensors``), and clocks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

from lostark_assets.automation.day_ranges import ranges

FIRST_PAUSE_S = 60.0
MAX_PAUSE_S = 3600.0
TRIES = 3
"""So often the same input is tried. Then it rests until it, or the code that works on it, is another."""
RUNS_AT_ONCE = 5
"""Ranges of days asked for in one tick; the others come with a later one."""
ACROSS_DAYS_EVERY_S = 300.0
ACROSS_DAYS_LATEST_S = 900.0
COLLECTION_PATIENCE_S = 600.0

Outcome = Literal["running", "succeeded", "failed", "unknown"]
"""What became of a request; ``unknown``: Dagster has no run of it."""


@dataclass(frozen=True)
class Attempt:
    """The last request of a subject. ``failed_at``: epoch seconds.

    ``failures`` counts requests in a row that did not help, ``same`` those of them with this very input,
    ``together`` the subjects that shared the run.
    """

    input: str
    request: str
    is_settled: bool = False
    failures: int = 0
    same: int = 0
    failed_at: float = 0.0
    together: int = 1


@dataclass(frozen=True)
class Memory:
    """What a sensor remembers of its requests. ``name`` tells them from those of an earlier memory."""

    name: str
    requests: int = 0
    attempts: dict[str, Attempt] = field(default_factory=dict)
    failed_in_a_row: int = 0
    last_failed_at: float = 0.0

    def next_request(self) -> str:
        """Key of the next request: the same if a tick dies before it is remembered, so it is run once."""
        return f"{self.name}-{self.requests}"

    def asked(self, due: Mapping[str, str], subjects: Collection[str]) -> Memory:
        """This memory after one request for ``subjects``."""
        key, attempts = self.next_request(), dict(self.attempts)
        for subject in subjects:
            before = attempts.get(subject)
            attempts[subject] = Attempt(
                due[subject],
                key,
                failures=before.failures if before else 0,
                same=before.same if before and before.input == due[subject] else 0,
                together=len(subjects),
            )
        return replace(self, requests=self.requests + 1, attempts=attempts)


@dataclass(frozen=True)
class Choice:
    """What to ask for, what waits until when (epoch seconds), what runs, and what was given up."""

    ask: list[str] = field(default_factory=list)
    waiting: dict[str, float] = field(default_factory=dict)
    running: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)


def pause_s(failures: int, longest_s: float = MAX_PAUSE_S) -> float:
    """Seconds to wait after so many failures in a row: 1 min, 4 min, 16 min, then an hour."""
    return 0.0 if failures < 1 else min(FIRST_PAUSE_S * 4.0 ** min(failures - 1, 9), longest_s)


def settle(memory: Memory, due: Mapping[str, str], outcomes: Mapping[str, Outcome], now: float) -> Memory:
    """Judge the requests that ended, by whether they helped; what is not due any more is forgotten."""
    attempts, failed, helped = {}, set(), set()
    for subject, attempt in memory.attempts.items():
        if attempt.is_settled or outcomes.get(attempt.request, "unknown") == "running":
            if subject in due or not attempt.is_settled:
                attempts[subject] = attempt
            continue
        has_succeeded = outcomes.get(attempt.request) == "succeeded"
        if subject not in due or (has_succeeded and due[subject] != attempt.input):
            helped.add(attempt.request)
            continue
        failed.add(attempt.request)
        attempts[subject] = replace(
            attempt, is_settled=True, failures=attempt.failures + 1, same=attempt.same + 1, failed_at=now
        )
    in_a_row, last = memory.failed_in_a_row, memory.last_failed_at
    if helped - failed:
        in_a_row = 0
    if failed:
        in_a_row, last = in_a_row + 1, now
    return replace(memory, attempts=attempts, failed_in_a_row=in_a_row, last_failed_at=last)


def choose(
    memory: Memory,
    due: Mapping[str, str],
    now: float,
    *,
    busy: Collection[str] = (),
    tries: int | None = TRIES,
    longest_s: float = MAX_PAUSE_S,
) -> Choice:
    """Sort what is due; runs work on ``busy``, whoever started them. ``tries`` None: never give up."""
    choice = Choice()
    for subject in sorted(due):
        attempt = memory.attempts.get(subject)
        if subject in busy or (attempt and not attempt.is_settled):
            choice.running.append(subject)
        elif attempt is None:
            choice.ask.append(subject)
        elif tries is not None and _is_hopeless(attempt, due[subject], tries):
            choice.given_up.append(subject)
        elif now < (until := attempt.failed_at + pause_s(attempt.failures, longest_s)):
            choice.waiting[subject] = until
        else:
            choice.ask.append(subject)
    return choice


def _is_hopeless(attempt: Attempt, waits: str, tries: int) -> bool:
    """Tried often enough, and at last alone: days that failed together may be one bad day's company."""
    return attempt.same >= tries and attempt.together == 1 and attempt.input == waits


def plan_days(
    choice: Choice, memory: Memory, present: Collection[date], now: float
) -> list[tuple[date, date]]:
    """The ranges of fight days to run now, each one run, the newest first: those are looked at.

    Days that never failed go together. Days that failed are tried again together, since most failures pass;
    then one run after the other, in ever smaller parts of the range, so that one bad day ends up alone. While
    runs fail in a row, the pauses grow.
    """
    fresh = [date.fromisoformat(day) for day in choice.ask if day not in memory.attempts]
    again = sorted(
        (day for day in choice.ask if day in memory.attempts), key=lambda day: memory.attempts[day].failed_at
    )
    resting = {*choice.waiting, *choice.running, *choice.given_up, *again}
    blocked = {*present, *map(date.fromisoformat, resting)}
    plan = ranges(fresh, blocked)[-RUNS_AT_ONCE:][::-1]
    rests = now < memory.last_failed_at + pause_s(memory.failed_in_a_row)
    if again and not choice.running and not rests:
        oldest = memory.attempts[again[0]]
        part = oldest.together if oldest.failures == 1 else max(oldest.together // 4, 1)
        plan += ranges(map(date.fromisoformat, again[:part]), blocked)[:1]
    return plan


def is_time_across_days(*, days_wait: bool, last_asked_at: float, now: float) -> bool:
    """Whether the tables across days are worth a run: soon where no day waits, later in any case."""
    return now - last_asked_at >= (ACROSS_DAYS_LATEST_S if days_wait else ACROSS_DAYS_EVERY_S)


def is_time_for_days(collecting_since: float | None, now: float) -> bool:
    """Whether fight days may be asked for: not while a collection brings more, unless that takes long."""
    return collecting_since is None or now - collecting_since >= COLLECTION_PATIENCE_S
