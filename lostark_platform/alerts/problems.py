"""Problems, and the closed list of their kinds with their sections in the runbook."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

RUNBOOK = "docs/runbook.md"

KINDS: dict[str, str] = {
    "run_failed": "Runs fail",
    "source_failing": "A source does not respond",
    "no_new_logs": "No new battle logs",
    "quarantine_jump": "More logs are refused than usual",
    "slow_step": "A step takes far longer than usual",
    "stuck_queue": "Runs wait and none starts",
    "falling_behind": "Logs wait for their page",
    "disk_nearly_full": "The disk is nearly full",
    "sensor_stopped": "A sensor or schedule stopped",
    "model_degraded": "The model errs more than it promised",
    "model_drift": "A spec deals other damage than expected",
}
"""Kind to its title, which is also the heading of its paragraph in the runbook."""


def get_anchor(kind: str) -> str:
    """Page and anchor of the runbook section of a kind."""
    return f"{RUNBOOK}#{KINDS[kind].lower().replace(' ', '-')}"


@dataclass(frozen=True)
class Problem:
    """A current problem. Its ``key`` is the same at every evaluation.

    ``subject`` is the asset, source, job or disk; ``what`` describes expected and found; ``since`` is the
    best estimate of its beginning.
    """

    kind: str
    subject: str
    what: str
    since: datetime
    likely_cause: str

    @property
    def key(self) -> str:
        """Kind and subject."""
        return f"{self.kind}:{self.subject}"

    @property
    def runbook(self) -> str:
        """The runbook section of its kind."""
        return get_anchor(self.kind)


def consequences(problems: Iterable[Problem]) -> frozenset[str]:
    """Keys of ``problems`` that another one explains: each cause gets one message.

    A source that does not respond brings no logs; while a sensor is stopped, none are collected; and while no
    run starts, none are published.
    """
    problems = list(problems)
    failing = {p.subject for p in problems if p.kind == "source_failing"}
    standing = any(p.kind == "sensor_stopped" for p in problems)
    idle = any(p.kind == "stuck_queue" for p in problems)
    silent = [p for p in problems if p.kind == "no_new_logs" and (standing or p.subject in failing)]
    waiting = [p for p in problems if p.kind == "falling_behind" and idle]
    return frozenset(p.key for p in (*silent, *waiting))
