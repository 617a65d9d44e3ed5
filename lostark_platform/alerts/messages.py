"""The text of an alert message, the same for every channel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lostark_platform.alerts.problems import KINDS, get_anchor
from lostark_platform.alerts.reconcile import Item, Message

_ITEMS_SHOWN = 8
_MAX_LINE = 700


@dataclass(frozen=True)
class Text:
    """A rendered message: ``facts`` are pairs of label and value in reading order."""

    title: str
    is_over: bool
    at: datetime
    facts: tuple[tuple[str, str], ...]

    def plain(self) -> str:
        """Title and facts as lines."""
        return "\n".join([self.title, *(f"{label}: {value}" for label, value in self.facts)])


def render_text(message: Message) -> Text:
    """What, since when, which asset or source, the likely cause, and the runbook line."""
    title = f"{'Recovered: ' if message.status == 'recovered' else ''}{KINDS[message.kind]}"
    subjects = ", ".join(item.problem.subject for item in message.items[:_ITEMS_SHOWN])
    title = f"{title}: {_short(subjects, 150)}"
    facts = [fact for item in message.items[:_ITEMS_SHOWN] for fact in _facts(item, message.kind)]
    if len(message.items) > _ITEMS_SHOWN:
        facts.append(("More", f"{len(message.items) - _ITEMS_SHOWN} others; `lostark alerts` lists all"))
    if message.status == "problem":
        causes = dict.fromkeys(item.problem.likely_cause for item in message.items)
        facts.append(("Likely cause", _short("; ".join(causes), _MAX_LINE)))
    facts.append(("Runbook", get_anchor(message.kind)))
    return Text(title, message.status == "recovered", message.at, tuple(facts))


def _facts(item: Item, kind: str) -> list[tuple[str, str]]:
    problem = item.problem
    where = (_SUBJECTS.get(kind, "Subject"), problem.subject)
    if item.ended_at is None:
        return [("What", _short(problem.what, _MAX_LINE)), ("Since", at(problem.since)), where]
    lasted = describe_duration(item.ended_at - problem.since)
    return [
        ("What was", _short(problem.what, _MAX_LINE)),
        ("Lasted", f"{lasted}, from {at(problem.since)} to {at(item.ended_at)}"),
        where,
    ]


_SUBJECTS = {
    "run_failed": "Job",
    "source_failing": "Source",
    "no_new_logs": "Source",
    "quarantine_jump": "Source",
    "slow_step": "Asset step",
    "disk_nearly_full": "Disk of",
    "sensor_stopped": "Sensor",
}


def at(instant: datetime) -> str:
    """Format an instant in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def describe_duration(duration: timedelta) -> str:
    """A duration in its two largest units: ``3 h 20 min``."""
    seconds = max(round(duration.total_seconds()), 0)
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for unit, size in units:
        count, seconds = divmod(seconds, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
