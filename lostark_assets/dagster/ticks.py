"""Shared parts of the sensors' ticks: cursor, request memory, requests for fight days, result and reason."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import dagster as dg
import msgspec

from lostark_assets.automation.decisions import RequestMemory, WorkPlan, apply_outcomes, plan_days
from lostark_assets.automation.requests import days_run
from lostark_assets.dagster.runs import read_outcomes

_Cursor = TypeVar("_Cursor")


def new_memory() -> RequestMemory:
    """A memory without requests."""
    return RequestMemory(uuid.uuid4().hex[:12])


def read_cursor(text: str | None, kind: type[_Cursor]) -> _Cursor | None:
    """The decoded cursor; None if it is missing or of another shape: the sensor then checks everything."""
    try:
        return msgspec.json.decode(text or "", type=kind)
    except msgspec.DecodeError:
        return None


def update_memory(
    instance: dg.DagsterInstance, memory: RequestMemory, due: Mapping[str, str], now: float
) -> RequestMemory:
    """``memory`` with the outcomes of its requests applied."""
    return apply_outcomes(
        memory, due, read_outcomes(instance, {a.request for a in memory.attempts.values()}), now
    )


def request_days(
    job_name: str, plan: WorkPlan, memory: RequestMemory, due: Mapping[str, str], now: float
) -> tuple[list[dg.RunRequest], RequestMemory]:
    """One run request of ``job_name`` per list of fight days to run now, and the memory with these requests.

    Args:
        job_name: a job whose op of the same name has a config field ``days``.
        plan: the plan for ``due``.
        memory: with outcomes applied.
        due: digests of pending work, by day.
        now: epoch seconds.
    """
    requests = []
    for days in plan_days(plan, memory, now):
        config, tags = days_run(job_name, days)
        requests.append(dg.RunRequest(memory.next_request(), run_config=config, tags=tags))
        memory = memory.with_request(due, days)
    return requests, memory


def tick_result(
    context: dg.SensorEvaluationContext,
    cursor: Any,
    reason: str,
    requests: Sequence[dg.RunRequest] = (),
) -> dg.SensorResult:
    """The result of a tick: requests, or ``reason`` to skip; and the cursor if it changed."""
    text = msgspec.json.encode(cursor).decode()
    # An unchanged cursor is not written.
    changed = text if text != context.cursor else None
    if requests:
        return dg.SensorResult(run_requests=list(requests), cursor=text)
    return dg.SensorResult(skip_reason=reason, cursor=changed)


def describe_plan(plan: WorkPlan) -> str:
    """Describe what is pending and why, for users of the Dagster UI."""
    parts = [f"{len(plan.ready)} ready"] if plan.ready else []
    if plan.running:
        parts.append(f"{len(plan.running)} in progress")
    if plan.waiting:
        until = datetime.fromtimestamp(min(plan.waiting.values()), UTC)
        parts.append(f"{len(plan.waiting)} failed and will be retried, the first at {until:%H:%M:%S} UTC")
    if plan.given_up:
        shown = ", ".join(plan.given_up[:10])
        parts.append(
            f"{len(plan.given_up)} failed too often with the same input and rest until that or the code "
            f"changes: {shown}"
        )
    return "; ".join(parts) or "nothing is due"
