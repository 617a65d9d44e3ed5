"""One look: remember, judge the facts, say what is new, deliver, remember.

The memory is written before anything is sent, so that a process killed in between forgets no message. What
does not belong here: gathering facts, and when to look (``sensors``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from lostark_assets.observability.logs import get_logger, redacted
from lostark_platform.alerts.channels import Channel
from lostark_platform.alerts.deliver import deliver, put
from lostark_platform.alerts.detect import Detected
from lostark_platform.alerts.messages import render_text
from lostark_platform.alerts.reconcile import Message, reconcile
from lostark_platform.alerts.store import Memory, save

ASLEEP_AFTER = timedelta(minutes=5)

log = get_logger()


def wake(memory: Memory, now: datetime) -> Memory:
    """``memory`` at the beginning of a look. After a pause of five minutes the platform was off meanwhile."""
    slept = memory.last_look_at is None or now - memory.last_look_at > ASLEEP_AFTER
    listening_since = now if slept or memory.listening_since is None else memory.listening_since
    return replace(memory, last_look_at=now, listening_since=listening_since)


def conclude(
    path: Path, memory: Memory, found: Detected, channels: Sequence[Channel], now: datetime
) -> tuple[Memory, list[Message]]:
    """Reconcile ``found``, log what is new, and hand it to ``channels``."""
    # Other people's errors are quoted in problems: no channel and no file gets what looks like a secret.
    quoted = [replace(p, what=redacted(p.what), subject=redacted(p.subject)) for p in found.problems]
    state, messages = reconcile(memory.state, replace(found, problems=quoted), now)
    for message in messages:
        _log(message)
    outbox = put(memory.outbox, [render_text(message) for message in messages], channels, now)
    memory = replace(memory, state=state, outbox=outbox)
    save(path, memory)
    if outbox.messages or outbox.pauses:
        memory = replace(memory, outbox=deliver(outbox, channels, now))
        save(path, memory)
    return memory, messages


def _log(message: Message) -> None:
    for item in message.items:
        problem = item.problem
        facts = {
            "kind": problem.kind,
            "subject": problem.subject,
            "what": problem.what,
            "since": problem.since,
        }
        if item.ended_at is None:
            log.error("problem", **facts, likely_cause=problem.likely_cause, runbook=problem.runbook)
        else:
            lasted_s = round((item.ended_at - problem.since).total_seconds())
            log.info("recovered", **facts, ended_at=item.ended_at, lasted_s=lasted_s)
