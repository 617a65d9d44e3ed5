"""One evaluation: reconcile detected problems with the state, save it, deliver messages, save again.

The state is saved before anything is sent, so that no message is lost if the process is killed in between.
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

OFF_AFTER = timedelta(minutes=5)

log = get_logger()


def wake(memory: Memory, now: datetime) -> Memory:
    """``memory`` at the start of an evaluation. A gap of five minutes means that the platform was off."""
    was_off = memory.last_evaluated_at is None or now - memory.last_evaluated_at > OFF_AFTER
    online_since = now if was_off or memory.online_since is None else memory.online_since
    return replace(memory, last_evaluated_at=now, online_since=online_since)


def conclude(
    path: Path, memory: Memory, found: Detected, channels: Sequence[Channel], now: datetime
) -> tuple[Memory, list[Message]]:
    """Reconcile ``found`` with the state, log new messages and deliver them to ``channels``."""
    # Problems quote errors of third parties: anything that resembles a secret is redacted.
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
