"""Messages reach their channels in each channel's format, wait while one fails, and contain no secret."""

from __future__ import annotations

import email
import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest

from lostark_assets.errors import SettingsError
from lostark_assets.settings import get_settings
from lostark_platform.alerts.channels import (
    ChannelFailed,
    Discord,
    Mail,
    Slack,
    build_channels,
    discord_body,
    slack_body,
)
from lostark_platform.alerts.deliver import Outbox, deliver, put
from lostark_platform.alerts.messages import Text
from tests.pure.alerts.receivers import mails, webhooks

NOW = datetime(2026, 10, 30, 20, tzinfo=UTC)
TEXT = Text(
    "A source does not respond: 한국 <demo>",
    is_over=False,
    at=NOW,
    facts=(("What", "a < b & c"), ("Since", "2026-10-30 20:00:00 UTC"), ("Runbook", "docs/runbook.md#x")),
)
SECRET = "S3CRET-T0KEN-0123456789"


def build_text(number: int) -> Text:
    return Text(f"message {number}", is_over=False, at=NOW, facts=())


def test_discord_gets_an_embed_without_mentions():
    with webhooks() as server:
        Discord(server.url("/api/webhooks/1/abc")).send(TEXT)

    ((path, body),) = server.received
    assert path == "/api/webhooks/1/abc"
    assert body["allowed_mentions"] == {"parse": []}
    (embed,) = body["embeds"]
    assert embed["title"] == TEXT.title
    assert embed["color"] == 0xC0392B
    assert embed["timestamp"] == "2026-10-30T20:00:00+00:00"
    assert embed["fields"][0] == {"name": "What", "value": "a < b & c", "inline": False}


def test_slack_gets_blocks_with_its_own_escapes_and_a_text_for_notifications():
    with webhooks() as server:
        server.status, server.response_body = 200, b"ok"
        Slack(server.url("/services/T/B/x")).send(TEXT)

    ((_, body),) = server.received
    assert body["text"] == ":rotating_light: A source does not respond: 한국 &lt;demo&gt;"
    assert body["blocks"][0]["text"] == {"type": "plain_text", "text": TEXT.title, "emoji": False}
    assert body["blocks"][1]["text"] == {"type": "mrkdwn", "text": "*What*\na &lt; b &amp; c"}


def test_bodies_stay_within_the_limits_of_the_services():
    long = Text(
        "t" * 5000, is_over=True, at=NOW, facts=tuple((f"label{n}" * 99, "v" * 9000) for n in range(99))
    )
    discord, slack = discord_body(long), slack_body(long)
    (embed,) = discord["embeds"]

    assert len(embed["title"]) <= 256
    assert len(embed["fields"]) <= 25
    assert all(len(f["name"]) <= 256 and len(f["value"]) <= 1024 for f in embed["fields"])
    assert len(embed["title"]) + sum(len(f["name"]) + len(f["value"]) for f in embed["fields"]) <= 6000
    assert embed["color"] == 0x27AE60
    assert len(slack["blocks"]) <= 50
    assert len(slack["blocks"][0]["text"]["text"]) <= 150
    assert all(len(block["text"]["text"]) <= 3000 for block in slack["blocks"][1:])


def test_mail_is_plain_text_to_all_recipients():
    with mails() as server:
        Mail(f"smtp://127.0.0.1:{server.port}", ("a@example.org", "b@example.org")).send(TEXT)

    (received,) = server.received
    mail = email.message_from_string(received, policy=email.policy.default)
    assert mail["Subject"] == f"[Lost Ark analytics] {TEXT.title}"
    assert mail["To"] == "a@example.org, b@example.org"
    assert "What: a < b & c" in mail.get_content()
    assert [line for line in server.commands if line.startswith("rcpt")] == [
        "rcpt TO:<a@example.org>", "rcpt TO:<b@example.org>",
    ]  # fmt: skip


def test_a_password_goes_to_a_mail_server_without_tls_only_on_this_machine(monkeypatch):
    with mails(offers_login=True) as server:
        Mail(f"smtp://me%40example.org:{SECRET}@127.0.0.1:{server.port}", ("a@example.org",)).send(TEXT)
        assert any(line.startswith("AUTH") for line in server.commands)
        assert "From: me@example.org" in server.received[0]

        server.commands.clear()
        monkeypatch.setattr("lostark_platform.alerts.channels._is_loopback", lambda host: False)
        with pytest.raises(ChannelFailed, match="no TLS"):
            Mail(f"smtp://me:{SECRET}@127.0.0.1:{server.port}", ("a@example.org",)).send(TEXT)
        assert not any(line.startswith("AUTH") for line in server.commands)


@pytest.mark.parametrize(
    ("status", "headers", "body", "retry_after_s"),
    [
        (429, {"retry-after": "7"}, b"", 7.0),
        (429, {"content-type": "application/json"}, b'{"retry_after": 1.5}', 1.5),
        (429, {"retry-after": "999999"}, b"", 3600.0),
        (429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, b"", None),
        (404, {}, b"no_service", None),
        (302, {"location": "http://127.0.0.1:1/"}, b"", None),
        (500, {"content-type": "application/json"}, b"[]", None),
    ],
)
def test_an_error_contains_status_and_delay_but_no_address(status, headers, body, retry_after_s):
    with webhooks() as server:
        server.status, server.response_headers, server.response_body = status, headers, body
        with pytest.raises(ChannelFailed, match=str(status)) as caught:
            Slack(server.url(f"/services/{SECRET}")).send(TEXT)

    assert caught.value.retry_after_s == retry_after_s
    assert SECRET not in str(caught.value)


def test_an_unreachable_address_is_reported_without_the_address():
    for channel in (
        Discord(f"http://127.0.0.1:9/{SECRET}"),
        Mail(f"smtp://me:{SECRET}@127.0.0.1:9", ("a@example.org",)),
    ):
        with pytest.raises(ChannelFailed) as caught:
            channel.send(TEXT)
        assert "127.0.0.1" not in str(caught.value)
        assert caught.value.__suppress_context__
        assert SECRET not in repr(channel)


def test_channels_come_from_the_settings_and_a_wrong_one_is_named_without_its_value(monkeypatch):
    assert build_channels(get_settings()) == []
    monkeypatch.setenv("LOSTARK_ALERT_DISCORD_WEBHOOK", f"https://discord.com/api/webhooks/1/{SECRET}")
    monkeypatch.setenv("LOSTARK_ALERT_SLACK_WEBHOOK", "https://hooks.slack.com/services/x")
    monkeypatch.setenv("LOSTARK_ALERT_SMTP_URL", "smtps://user:word@mail.example.org")
    with pytest.raises(SettingsError, match="LOSTARK_ALERT_MAIL_TO"):
        build_channels(get_settings())
    monkeypatch.setenv("LOSTARK_ALERT_MAIL_TO", "a@example.org, b@example.org")
    settings = get_settings()
    assert [channel.name for channel in build_channels(settings)] == ["discord", "slack", "mail"]
    assert settings.alert_mail_to == ("a@example.org", "b@example.org")
    assert SECRET not in repr(settings)

    monkeypatch.setenv("LOSTARK_ALERT_DISCORD_WEBHOOK", SECRET)
    with pytest.raises(SettingsError, match="LOSTARK_ALERT_DISCORD_WEBHOOK") as caught:
        get_settings()
    assert SECRET not in str(caught.value)


class FakeChannel:
    """A channel that fails while ``failure`` is set."""

    def __init__(self, name: str) -> None:
        self.name, self.received, self.failure = name, [], None

    def send(self, text: Text) -> None:
        if self.failure is not None:
            raise self.failure
        self.received.append(text.title)


def test_a_failing_channel_blocks_no_other_and_gets_all_messages_later_in_order():
    good, bad = FakeChannel("good"), FakeChannel("bad")
    bad.failure = ChannelFailed("down")
    outbox, now = Outbox(), NOW
    for number in range(3):
        outbox = deliver(put(outbox, [build_text(number)], [good, bad], now), [good, bad], now)
        now += timedelta(seconds=30)

    assert good.received == ["message 0", "message 1", "message 2"]
    assert [message.missing for message in outbox.messages] == [("bad",)] * 3
    bad.failure = None
    outbox = deliver(outbox, [good, bad], now + timedelta(hours=1))
    assert bad.received == good.received
    assert outbox == Outbox()


def test_a_failing_channel_is_retried_with_backoff_or_as_requested():
    bad = FakeChannel("bad")
    bad.failure = ChannelFailed("down")
    outbox, tries, now = put(Outbox(), [build_text(1)], [bad], NOW), [], NOW
    for _ in range(2 * 24 * 60):
        before = outbox
        outbox = deliver(outbox, [bad], now)
        if outbox.pauses != before.pauses:
            tries.append(now)
        now += timedelta(seconds=30)
    gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(tries)]
    assert gaps[:4] == [30, 60, 120, 240]
    assert max(gaps) == 1800

    bad.failure = ChannelFailed("429", retry_after_s=7)
    outbox = deliver(outbox, [bad], now + timedelta(hours=1))
    assert outbox.pauses["bad"].until == now + timedelta(hours=1, seconds=7)


def test_undeliverable_messages_and_removed_channels_are_dropped():
    bad = FakeChannel("bad")
    bad.failure = ChannelFailed("down")
    outbox = deliver(put(Outbox(), [build_text(n) for n in range(300)], [bad], NOW), [bad], NOW)

    assert len(outbox.messages) == 200
    assert len(put(outbox, [], [bad], NOW + timedelta(days=8)).messages) == 0
    assert deliver(outbox, [], NOW) == Outbox()


def test_without_a_channel_nothing_is_kept():
    assert put(Outbox(), [build_text(1)], [], NOW) == Outbox()
    assert json.dumps(discord_body(build_text(1)))
