"""``lostark alerts``: current problems, muting, and a test message to the channels."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lostark_assets.automation.backlog import Backlog, read_backlog
from lostark_assets.automation.backlog_text import describe_backlog
from lostark_assets.errors import NotFound, SettingsError
from lostark_assets.ledger import open_ledger
from lostark_assets.settings import Settings
from lostark_platform.alerts.channels import ChannelFailed, build_channels
from lostark_platform.alerts.deliver import Pause
from lostark_platform.alerts.messages import Text, at, describe_duration
from lostark_platform.alerts.problems import KINDS, RUNBOOK, get_anchor
from lostark_platform.alerts.reconcile import mute as mute_in
from lostark_platform.alerts.store import load, locked, memory_path, save
from lostark_platform.terminal import print_table, say

_UNITS_S = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}
_MAX_MUTE = timedelta(days=90)


@dataclass(frozen=True)
class Alerts:
    """Open problems, mutes with their end, messages that are not delivered yet, and the backlog."""

    problems: list[dict[str, Any]]
    muted: dict[str, datetime]
    unsent: dict[str, int]
    pauses: dict[str, Pause]
    last_evaluated_at: datetime | None
    backlog: Backlog

    def document(self) -> dict[str, Any]:
        """``--json``."""
        return {
            "problems": self.problems,
            "muted": self.muted,
            "unsent": self.unsent,
            "failing_channels": {name: pause.reason for name, pause in self.pauses.items()},
            "last_evaluated_at": self.last_evaluated_at,
            "backlog": asdict(self.backlog),
        }


def read_alerts(settings: Settings) -> Alerts:
    """The state after the sensor's last evaluation."""
    now = datetime.now(UTC)
    memory = load(memory_path(settings))
    muted = {key: until for key, until in memory.state.muted.items() if until > now}
    problems = []
    for key, one in sorted(memory.state.open.items()):
        problem = one.problem
        until = muted.get(key, muted.get(problem.kind))
        problems.append(
            {
                "key": key,
                "since": problem.since,
                "what": problem.what,
                "likely_cause": problem.likely_cause,
                "runbook": get_anchor(problem.kind),
                "reported_at": one.reported_at,
                "muted_until": until,
            }
        )
    unsent = Counter(name for message in memory.outbox.messages for name in message.missing)
    return Alerts(
        problems,
        muted,
        dict(unsent),
        dict(memory.outbox.pauses),
        memory.last_evaluated_at,
        read_backlog(open_ledger(settings), now),
    )


def show_alerts(alerts: Alerts) -> None:
    """Print problems as a table; undelivered messages and the time of the last evaluation on stderr."""
    now = datetime.now(UTC)
    rows = [
        (
            p["key"],
            describe_duration(now - p["since"]),
            p["what"],
            p["likely_cause"],
            p["runbook"],
            _until(p["muted_until"]),
        )
        for p in alerts.problems
    ]
    if rows:
        print_table(("key", "for", "what", "likely cause", "runbook", "muted until"), rows)
    else:
        say("no problems at the last evaluation")
    for key, until in alerts.muted.items():
        if all(key != p["key"] for p in alerts.problems):
            say(f"{key} is muted until {_until(until)}")
    for name, count in alerts.unsent.items():
        pause = alerts.pauses.get(name)
        say(
            f"{name}: {count} messages wait" + (f"; {pause.reason}, retry {at(pause.until)}" if pause else "")
        )
    say(f"backlog: {describe_backlog(alerts.backlog)}")
    if alerts.last_evaluated_at is None:
        say("not evaluated yet: the sensor `alerts` runs while the platform is up")
    else:
        say(f"last evaluated {describe_duration(now - alerts.last_evaluated_at)} ago")


def mute(settings: Settings, key: str, duration: str) -> datetime:
    """Suppress messages about a problem or a kind for a time; returns the end.

    Raises:
        SettingsError: ``duration`` is invalid.
        NotFound: ``key`` is neither a problem nor a kind.
    """
    delta = parse_duration(duration)
    if key.split(":", 1)[0] not in KINDS:
        raise NotFound(
            f"{key}: expected a key as `lostark alerts` lists them, or a kind, one of {', '.join(KINDS)}. "
            "Nothing was muted."
        )
    path = memory_path(settings)
    until = datetime.now(UTC) + delta
    with locked(path):
        memory = load(path)
        save(path, memory.with_state(mute_in(memory.state, key, until)))
    return until


def parse_duration(text: str) -> timedelta:
    """Parse ``30min``, ``2h``, ``1d`` and the like: above zero, at most 90 days."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)\s*(s|min|m|h|d)", text.strip())
    delta = timedelta(seconds=float(match[1]) * _UNITS_S[match[2]]) if match else timedelta()
    if not timedelta() < delta <= _MAX_MUTE:
        raise SettingsError(
            f"--for: expected a duration such as 30min or 2h, at most 90d, found {text!r}. Nothing was muted."
        )
    return delta


def send_test(settings: Settings) -> dict[str, str | None]:
    """Send a test message to every channel; returns the error of each, None if it was accepted."""
    text = Text(
        "Test: alerts reach this channel",
        is_over=True,
        at=datetime.now(UTC),
        facts=(("What", "`lostark alerts test` was run; there is no problem"), ("Runbook", RUNBOOK)),
    )
    outcomes: dict[str, str | None] = {}
    for channel in build_channels(settings):
        try:
            channel.send(text)
        except ChannelFailed as error:
            outcomes[channel.name] = error.reason
        else:
            outcomes[channel.name] = None
    return outcomes


def show_test(outcomes: dict[str, str | None]) -> None:
    """Print one row per channel."""
    if not outcomes:
        say(
            "no channel is configured: alerts only go to logs/events.jsonl. See LOSTARK_ALERT_* in the README"
        )
    else:
        print_table(("channel", "outcome"), [(name, error or "sent") for name, error in outcomes.items()])


def _until(instant: datetime | None) -> str:
    return "" if instant is None else at(instant)
