"""What a problem is, and the closed list of kinds with their paragraphs in the runbook.

What does not belong here: finding problems (``detect``), wording messages (``messages``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

RUNBOOK = "docs/runbook.md"

KINDS: dict[str, str] = {
    "run_failed": "Runs fail",
    "source_failing": "A source does not answer",
    "no_new_logs": "No new battle logs",
    "quarantine_jump": "More logs are refused than usual",
    "slow_step": "A step takes far longer than usual",
    "stuck_queue": "Runs wait and none starts",
    "disk_nearly_full": "The disk is nearly full",
    "sensor_stopped": "A sensor or schedule stopped",
    "model_degraded": "The model errs more than it promised",
    "model_drift": "A spec deals other damage than expected",
}
"""Kind to its title, which is also the heading of its paragraph in the runbook."""


def get_anchor(kind: str) -> str:
    """The runbook line of a kind: page and anchor of its heading."""
    return f"{RUNBOOK}#{KINDS[kind].lower().replace(' ', '-')}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong now. The same thing has the same ``key`` at every look.

    ``subject`` is the asset, source, job or disk; ``what`` says expected against found; ``since`` is when it
    began as far as that can be told; ``likely_cause`` is a guess and worded as one.
    """

    kind: str
    subject: str
    what: str
    since: datetime
    likely_cause: str

    @property
    def key(self) -> str:
        """By what it is known: kind and subject."""
        return f"{self.kind}:{self.subject}"

    @property
    def runbook(self) -> str:
        """Where the runbook says what to do."""
        return get_anchor(self.kind)


def consequences(problems: Iterable[Problem]) -> frozenset[str]:
    """Keys of ``problems`` that another of them explains: one cause is one message.

    A source that does not answer brings no logs; and while a sensor stands still, silence tells nothing.
    """
    problems = list(problems)
    failing = {p.subject for p in problems if p.kind == "source_failing"}
    standing = any(p.kind == "sensor_stopped" for p in problems)
    silent = [p for p in problems if p.kind == "no_new_logs"]
    return frozenset(p.key for p in silent if standing or p.subject in failing)
