"""Delivery of messages to channels: persistent, in order, with exponential backoff after failures.

Delivery is at least once: a process killed between sending a message and recording it sends it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from lostark_assets.observability.logs import get_logger
from lostark_platform.alerts.channels import Channel, ChannelFailed
from lostark_platform.alerts.messages import Text

_SENT_AT_ONCE = 10
_FIRST_PAUSE = timedelta(seconds=30)
_MAX_PAUSE = timedelta(minutes=30)
_KEPT_FOR = timedelta(days=7)
_KEPT = 200

log = get_logger()


@dataclass(frozen=True)
class Pause:
    """A channel that failed ``failures`` times in a row and is not tried before ``until``."""

    failures: int
    until: datetime
    reason: str


@dataclass(frozen=True)
class Outgoing:
    """A message and the channels that it was not delivered to yet."""

    text: Text
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Outbox:
    """Undelivered messages, oldest first, and the pauses of failing channels."""

    messages: tuple[Outgoing, ...] = ()
    pauses: Mapping[str, Pause] = field(default_factory=dict)


def put(outbox: Outbox, texts: Sequence[Text], channels: Sequence[Channel], now: datetime) -> Outbox:
    """Add ``texts`` for all ``channels``; messages over a week old, or too many, are dropped and logged."""
    names = tuple(channel.name for channel in channels)
    waiting = [*outbox.messages, *(Outgoing(text, names) for text in texts if names)]
    kept = [message for message in waiting if now - message.text.at < _KEPT_FOR][-_KEPT:]
    if len(kept) < len(waiting):
        log.error("alert_dropped", messages=len(waiting) - len(kept), kept_days=_KEPT_FOR.days)
    return replace(outbox, messages=tuple(kept))


def deliver(outbox: Outbox, channels: Sequence[Channel], now: datetime) -> Outbox:
    """Send waiting messages; channels fail independently.

    A channel gets its messages in order. One that fails is paused: half a minute, doubling up to half
    an hour, or as long as it requests. Channels that are no longer configured are dropped.
    """
    messages = list(outbox.messages)
    pauses = {name: outbox.pauses[name] for name in (c.name for c in channels) if name in outbox.pauses}
    for channel in channels:
        pause = pauses.get(channel.name)
        if pause is not None and pause.until > now:
            continue
        sent, failure = _send(channel, messages)
        messages = sent
        if failure is None:
            pauses.pop(channel.name, None)
        else:
            pauses[channel.name] = _paused(pause, failure, now)
            log.warning(
                "alert_channel_failed",
                channel=channel.name,
                reason=failure.reason,
                failures=pauses[channel.name].failures,
                next_try_at=pauses[channel.name].until,
            )
    known = {channel.name for channel in channels}
    left = [replace(m, missing=tuple(n for n in m.missing if n in known)) for m in messages]
    return Outbox(tuple(message for message in left if message.missing), pauses)


def _send(channel: Channel, messages: list[Outgoing]) -> tuple[list[Outgoing], ChannelFailed | None]:
    done, count = list(messages), 0
    for place, message in enumerate(messages):
        if channel.name not in message.missing or count >= _SENT_AT_ONCE:
            continue
        try:
            channel.send(message.text)
        except ChannelFailed as failure:
            return done, failure
        count += 1
        missing = tuple(name for name in message.missing if name != channel.name)
        done[place] = replace(message, missing=missing)
        log.info("alert_sent", channel=channel.name, title=message.text.title)
    return done, None


def _paused(before: Pause | None, failure: ChannelFailed, now: datetime) -> Pause:
    failures = 1 + (before.failures if before else 0)
    pause = min(_FIRST_PAUSE * 2 ** min(failures - 1, 10), _MAX_PAUSE)
    if failure.retry_after_s is not None:
        pause = timedelta(seconds=failure.retry_after_s)
    return Pause(failures, now + pause, failure.reason)
