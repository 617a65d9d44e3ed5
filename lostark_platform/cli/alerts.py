"""``lostark alerts``: what is wrong now, muting, and a test of the channels.

What does not belong here: looking for problems, which the sensor does while the platform runs.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lostark_assets.errors import NotFound, SettingsError
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
    """Problems that go on, what is muted until when, and messages that a channel does not have yet."""

    problems: list[dict[str, Any]]
    muted: dict[str, datetime]
    unsent: dict[str, int]
    pauses: dict[str, Pause]
    last_look_at: datetime | None

    def document(self) -> dict[str, Any]:
        """``--json``."""
        return {
            "problems": self.problems,
            "muted": self.muted,
            "unsent": self.unsent,
            "failing_channels": {name: pause.reason for name, pause in self.pauses.items()},
            "last_look_at": self.last_look_at,
        }


def read_alerts(settings: Settings) -> Alerts:
    """What the last look left behind."""
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
                "told_at": one.told_at,
                "muted_until": until,
            }
        )
    unsent = Counter(name for message in memory.outbox.messages for name in message.missing)
    return Alerts(problems, muted, dict(unsent), dict(memory.outbox.pauses), memory.last_look_at)


def show_alerts(alerts: Alerts) -> None:
    """Problems as a table; what is unsent, and when was looked, as messages."""
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
        say("nothing is wrong, as far as the last look could tell")
    for key, until in alerts.muted.items():
        if all(key != p["key"] for p in alerts.problems):
            say(f"{key} is muted until {_until(until)}")
    for name, count in alerts.unsent.items():
        pause = alerts.pauses.get(name)
        say(
            f"{name}: {count} messages wait" + (f"; {pause.reason}, again {at(pause.until)}" if pause else "")
        )
    if alerts.last_look_at is None:
        say("nobody has looked yet: the sensor `alerts` looks while the platform runs")
    else:
        say(f"last look {describe_duration(now - alerts.last_look_at)} ago")


def mute(settings: Settings, key: str, how_long: str) -> datetime:
    """Say nothing about a problem or a kind for a time; returns until when.

    Raises:
        SettingsError: ``how_long`` is no length of time.
        NotFound: ``key`` is neither a problem nor a kind.
    """
    length = parse_length(how_long)
    if key.split(":", 1)[0] not in KINDS:
        raise NotFound(
            f"{key}: expected a key as `lostark alerts` lists them, or a kind, one of {', '.join(KINDS)}. "
            "Nothing was muted."
        )
    path = memory_path(settings)
    until = datetime.now(UTC) + length
    with locked(path):
        memory = load(path)
        save(path, memory.with_state(mute_in(memory.state, key, until)))
    return until


def parse_length(text: str) -> timedelta:
    """``30min``, ``2h``, ``1d`` and the like, above zero and at most 90 days."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)\s*(s|min|m|h|d)", text.strip())
    length = timedelta(seconds=float(match[1]) * _UNITS_S[match[2]]) if match else timedelta()
    if not timedelta() < length <= _MAX_MUTE:
        raise SettingsError(
            f"--for: expected a length like 30min, 2h or 1d, at most 90d, found {text!r}. Nothing was muted."
        )
    return length


def send_test(settings: Settings) -> dict[str, str | None]:
    """Send a message to every channel, now; the error of each, None where it was taken."""
    text = Text(
        "Test: alerts reach this channel",
        is_over=True,
        at=datetime.now(UTC),
        facts=(("What", "somebody ran `lostark alerts test`; nothing is wrong"), ("Runbook", RUNBOOK)),
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
    """One row a channel."""
    if not outcomes:
        say(
            "no channel is configured: alerts only go to logs/events.jsonl. See LOSTARK_ALERT_* in the README"
        )
    else:
        print_table(("channel", "outcome"), [(name, error or "taken") for name, error in outcomes.items()])


def _until(instant: datetime | None) -> str:
    return "" if instant is None else at(instant)
