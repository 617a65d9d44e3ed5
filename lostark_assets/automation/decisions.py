"""Deciding which runs to request next, from what is due, what was tried and what is running. Pure.

A subject is a fight day, a source, or the tables across days. A request is remembered with its *input*, a
digest of the pending work. A request that leaves the same input due did not help, whatever the outcome of its
run, so neither a failing run nor one that succeeds without effect is repeated endlessly.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

FIRST_BACKOFF_S = 60.0
MAX_BACKOFF_S = 3600.0
MAX_TRIES = 3
"""How often the same input is tried; after that, only when the input or the code has changed."""
MAX_RUNS_PER_TICK = 5
"""Runs requested in one tick; the others follow in a later one."""
MAX_DAYS_PER_RUN = 400
ACROSS_DAYS_INTERVAL_S = 300.0
ACROSS_DAYS_MAX_DELAY_S = 900.0
MAX_COLLECTION_WAIT_S = 600.0

RunOutcome = Literal["running", "succeeded", "failed", "unknown"]
"""Outcome of a request's run; ``unknown``: Dagster has no run for it."""


@dataclass(frozen=True)
class Attempt:
    """The last request of a subject. ``failed_at``: epoch seconds.

    ``failures`` counts consecutive requests that did not help, ``same`` those of them with the same input,
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
class RequestMemory:
    """A sensor's requests so far, kept in its cursor. ``name`` makes its run keys unique."""

    name: str
    requests: int = 0
    attempts: dict[str, Attempt] = field(default_factory=dict)
    failed_in_a_row: int = 0
    last_failed_at: float = 0.0

    def next_request(self) -> str:
        """Run key of the next request: unchanged if a tick dies before saving it, so that it runs once."""
        return f"{self.name}-{self.requests}"

    def with_request(self, due: Mapping[str, str], subjects: Collection[str]) -> RequestMemory:
        """A copy that includes one request for ``subjects``."""
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
class WorkPlan:
    """Subjects to request now, waiting (until epoch seconds), running, and given up."""

    ready: list[str] = field(default_factory=list)
    waiting: dict[str, float] = field(default_factory=dict)
    running: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)


def compute_backoff_s(failures: int, max_s: float = MAX_BACKOFF_S) -> float:
    """Seconds to wait after N consecutive failures: 1 min, 4 min, 16 min, then an hour."""
    return 0.0 if failures < 1 else min(FIRST_BACKOFF_S * 4.0 ** min(failures - 1, 9), max_s)


def apply_outcomes(
    memory: RequestMemory, due: Mapping[str, str], outcomes: Mapping[str, RunOutcome], now: float
) -> RequestMemory:
    """Count the requests that ended as helpful or failed; subjects that are no longer due are dropped."""
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


def plan_work(
    memory: RequestMemory,
    due: Mapping[str, str],
    now: float,
    *,
    busy: Collection[str] = (),
    tries: int | None = MAX_TRIES,
    max_s: float = MAX_BACKOFF_S,
) -> WorkPlan:
    """Sort what is due. Some run already works on ``busy``; with ``tries`` None nothing is given up."""
    plan = WorkPlan()
    for subject in sorted(due):
        attempt = memory.attempts.get(subject)
        if subject in busy or (attempt and not attempt.is_settled):
            plan.running.append(subject)
        elif attempt is None:
            plan.ready.append(subject)
        elif tries is not None and _is_exhausted(attempt, due[subject], tries):
            plan.given_up.append(subject)
        elif now < (until := attempt.failed_at + compute_backoff_s(attempt.failures, max_s)):
            plan.waiting[subject] = until
        else:
            plan.ready.append(subject)
    return plan


def _is_exhausted(attempt: Attempt, pending: str, tries: int) -> bool:
    """Tried often enough, the last time alone: of days that failed together, only one may be broken."""
    return attempt.same >= tries and attempt.together == 1 and attempt.input == pending


def plan_days(plan: WorkPlan, memory: RequestMemory, now: float) -> list[list[str]]:
    """The fight days to run now, one run per list, newest first, since users look at recent fights.

    Days that never failed go together. Failed days are first retried together, since most failures are
    transient; then one run at a time in ever smaller parts, which isolates a broken day. The backoff grows
    with consecutive failures.
    """
    fresh = sorted((day for day in plan.ready if day not in memory.attempts), reverse=True)
    retries = sorted(
        (day for day in plan.ready if day in memory.attempts), key=lambda day: memory.attempts[day].failed_at
    )
    starts = range(0, len(fresh), MAX_DAYS_PER_RUN)[:MAX_RUNS_PER_TICK]
    planned = [sorted(fresh[i : i + MAX_DAYS_PER_RUN]) for i in starts]
    rests = now < memory.last_failed_at + compute_backoff_s(memory.failed_in_a_row)
    if retries and not plan.running and not rests:
        oldest = memory.attempts[retries[0]]
        part = oldest.together if oldest.failures == 1 else max(oldest.together // 4, 1)
        planned.append(sorted(retries[:part]))
    return planned


def is_across_days_due(*, days_wait: bool, last_requested_at: float, now: float) -> bool:
    """Whether the tables across days are due: soon if no day is pending, after a maximum delay otherwise."""
    return now - last_requested_at >= (ACROSS_DAYS_MAX_DELAY_S if days_wait else ACROSS_DAYS_INTERVAL_S)


def can_request_days(collecting_since: float | None, now: float) -> bool:
    """Whether fight days may be requested: not during a collection, which adds more, unless it takes long."""
    return collecting_since is None or now - collecting_since >= MAX_COLLECTION_WAIT_S
