"""What every sensor's tick shares: its cursor, its memory, requests for fight days, and what it says.

What does not belong here: what a sensor looks at, and what is due.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import dagster as dg
import msgspec

from lostark_assets.automation.decisions import Choice, Memory, plan_days, settle
from lostark_assets.dagster.partitions import SOURCES
from lostark_assets.dagster.runs import range_tags, read_outcomes

_Cursor = TypeVar("_Cursor")


def new_memory() -> Memory:
    """Nothing asked for yet."""
    return Memory(uuid.uuid4().hex[:12])


def read_cursor(text: str | None, kind: type[_Cursor]) -> _Cursor | None:
    """The cursor, or None where there is none of this shape: then the sensor looks at everything."""
    try:
        return msgspec.json.decode(text or "", type=kind)
    except msgspec.DecodeError:
        return None


def settled(instance: dg.DagsterInstance, memory: Memory, due: Mapping[str, str], now: float) -> Memory:
    """``memory`` after what became of its requests."""
    return settle(memory, due, read_outcomes(instance, {a.request for a in memory.attempts.values()}), now)


def request_days(
    choice: Choice,
    memory: Memory,
    due: Mapping[str, str],
    present: Collection[date],
    now: float,
    *,
    job_name: str | None = None,
) -> tuple[list[dg.RunRequest], Memory]:
    """One run for each range of fight days to run now, and the memory of having asked for them.

    Args:
        choice: of ``due``.
        memory: settled.
        due: what waits, by day.
        present: days with data, which no range touches unasked.
        now: epoch seconds.
        job_name: of the job to run, where the sensor asks for several.
    """
    requests = []
    for first, last in plan_days(choice, memory, present, now):
        start, end = first.isoformat(), last.isoformat()
        tags = range_tags(start, end)
        requests.append(dg.RunRequest(memory.next_request(), job_name=job_name, tags=tags))
        memory = memory.asked(due, [day for day in choice.ask if start <= day <= end])
    return requests, memory


def tick_result(
    context: dg.SensorEvaluationContext,
    cursor: Any,
    reason: str,
    requests: Sequence[dg.RunRequest] = (),
    new_sources: Sequence[str] = (),
) -> dg.SensorResult:
    """What a tick ends with: requests, or ``reason``; and the cursor where it changed."""
    text = msgspec.json.encode(cursor).decode()
    # An unchanged cursor isn't written again.
    changed = text if text != context.cursor else None
    if requests:
        partitions = [SOURCES.build_add_request(list(new_sources))] if new_sources else None
        return dg.SensorResult(
            run_requests=list(requests), dynamic_partitions_requests=partitions, cursor=text
        )
    return dg.SensorResult(skip_reason=reason, cursor=changed)


def in_words(choice: Choice) -> str:
    """What waits and why, for people who look at the sensor."""
    parts = [f"{len(choice.ask)} ready"] if choice.ask else []
    if choice.running:
        parts.append(f"{len(choice.running)} being worked on")
    if choice.waiting:
        until = datetime.fromtimestamp(min(choice.waiting.values()), UTC)
        parts.append(f"{len(choice.waiting)} failed and tried again, the first at {until:%H:%M:%S} UTC")
    if choice.given_up:
        shown = ", ".join(choice.given_up[:10])
        parts.append(
            f"{len(choice.given_up)} failed too often with the same input and rest until that or the code "
            f"changes: {shown}"
        )
    return "; ".join(parts) or "nothing waits"
