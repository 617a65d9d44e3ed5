"""Channels of alerts: Discord and Slack webhooks, mail. Each call is one attempt; ``deliver`` retries.

No error contains an address: a webhook's address is its password.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import httpx

from lostark_assets.errors import SettingsError
from lostark_assets.settings import Settings
from lostark_platform.alerts.messages import Text

TIMEOUT_S = 5.0
_MAX_WAIT_S = 3600.0
_RED, _GREEN = 0xC0392B, 0x27AE60
_SLACK_HEADER, _SLACK_TEXT, _SLACK_BLOCKS = 150, 3000, 50
_DISCORD_TITLE, _DISCORD_DESCRIPTION, _DISCORD_NAME, _DISCORD_VALUE, _DISCORD_FIELDS = (
    256,
    4096,
    256,
    1024,
    25,
)
_DISCORD_TOTAL = 6000


class ChannelFailed(Exception):
    """A channel refused a message. ``retry_after_s`` holds the delay it requested, if any."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        """``reason`` without any address."""
        self.reason = reason
        self.retry_after_s = retry_after_s
        super().__init__(reason)


class Channel(Protocol):
    """A destination of alert messages."""

    @property
    def name(self) -> str:
        """Its name in settings, logs and the terminal."""

    def send(self, text: Text) -> None:
        """Send one message.

        Raises:
            ChannelFailed: the channel refused it; a retry may succeed.
        """


@dataclass(frozen=True)
class Discord:
    """A Discord webhook: one embed a message."""

    url: str = field(repr=False)
    name: str = "discord"

    def send(self, text: Text) -> None:
        """Post the message; raises :class:`ChannelFailed`."""
        _post(self.url, discord_body(text))


@dataclass(frozen=True)
class Slack:
    """A Slack incoming webhook: header, facts, and a plain text for notifications."""

    url: str = field(repr=False)
    name: str = "slack"

    def send(self, text: Text) -> None:
        """Post the message; raises :class:`ChannelFailed`."""
        _post(self.url, slack_body(text))


@dataclass(frozen=True)
class Mail:
    """Mail by SMTP: ``smtp://user:password@host:587`` (STARTTLS) or ``smtps://…:465`` (TLS)."""

    url: str = field(repr=False)
    to: tuple[str, ...]
    name: str = "mail"

    def send(self, text: Text) -> None:
        """Send the message; raises :class:`ChannelFailed`."""
        parts = urlsplit(self.url)
        host, user = parts.hostname or "localhost", unquote(parts.username or "")
        try:
            if parts.scheme == "smtps":
                context = ssl.create_default_context()
                port = parts.port or 465
                client: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=context)
            else:
                client = smtplib.SMTP(host, parts.port or 25, timeout=TIMEOUT_S)
            with client:
                is_private = parts.scheme == "smtps" or _start_tls(client)
                if user:
                    if not is_private and not _is_loopback(host):
                        raise ChannelFailed(
                            "the mail server offers no TLS, the password was not sent: use smtps://"
                        )
                    client.login(user, unquote(parts.password or ""))
                client.send_message(build_mail(text, user if "@" in user else self.to[0], self.to))
        except smtplib.SMTPResponseException as error:
            raise ChannelFailed(f"the mail server returned {error.smtp_code}") from None
        except (OSError, smtplib.SMTPException) as error:
            raise ChannelFailed(f"mail could not be sent: {type(error).__name__}") from None


def build_channels(settings: Settings) -> list[Channel]:
    """The channels that the settings name.

    Raises:
        SettingsError: a mail server without a recipient.
    """
    channels: list[Channel] = []
    if settings.alert_discord_webhook is not None:
        channels.append(Discord(settings.alert_discord_webhook.get_secret_value()))
    if settings.alert_slack_webhook is not None:
        channels.append(Slack(settings.alert_slack_webhook.get_secret_value()))
    if settings.alert_smtp_url is not None:
        if not settings.alert_mail_to:
            raise SettingsError(
                "LOSTARK_ALERT_MAIL_TO: expected addresses beside LOSTARK_ALERT_SMTP_URL, found none."
            )
        channels.append(Mail(settings.alert_smtp_url.get_secret_value(), settings.alert_mail_to))
    return channels


def discord_body(text: Text) -> dict[str, Any]:
    """The JSON that a Discord webhook takes, within Discord's limits; it mentions no user."""
    fields: list[dict[str, Any]] = []
    room = _DISCORD_TOTAL - _DISCORD_TITLE
    for label, value in text.facts[:_DISCORD_FIELDS]:
        name, shown = _cut(label, _DISCORD_NAME), _cut(value, _DISCORD_VALUE)
        room -= len(name) + len(shown)
        if room < 0:
            break
        fields.append({"name": name, "value": shown, "inline": False})
    return {
        "username": "Lost Ark analytics",
        "allowed_mentions": {"parse": []},
        "embeds": [
            {
                "title": _cut(text.title, _DISCORD_TITLE),
                "color": _GREEN if text.is_over else _RED,
                "timestamp": text.at.isoformat(),
                "fields": fields,
            }
        ],
    }


def slack_body(text: Text) -> dict[str, Any]:
    """The JSON that a Slack incoming webhook takes, within Slack's limits."""
    mark = ":white_check_mark:" if text.is_over else ":rotating_light:"
    sections = [
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": _cut(f"*{label}*\n{_slack_text(value)}", _SLACK_TEXT)},
        }
        for label, value in text.facts[: _SLACK_BLOCKS - 1]
    ]
    header = {"type": "plain_text", "text": _cut(text.title, _SLACK_HEADER), "emoji": False}
    return {
        "text": f"{mark} {_cut(_slack_text(text.title), _SLACK_TEXT)}",
        "blocks": [{"type": "header", "text": header}, *sections],
    }


def build_mail(text: Text, sender: str, to: Sequence[str]) -> EmailMessage:
    """The message as a mail in plain text."""
    mail = EmailMessage()
    # A header takes no line breaks: names in it come from outside.
    mail["Subject"] = " ".join(f"[Lost Ark analytics] {text.title}".split())
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Date"] = format_datetime(text.at)
    mail["Message-ID"] = make_msgid(domain="lostark-analytics.invalid")
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text.plain() + "\n")
    return mail


def _post(url: str, body: dict[str, Any]) -> None:
    try:
        response = httpx.post(url, json=body, timeout=TIMEOUT_S, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ChannelFailed(f"the webhook could not be reached: {type(error).__name__}") from None
    if not response.is_success:
        raise ChannelFailed(f"the webhook returned {response.status_code}", _retry_after_s(response))


def _retry_after_s(response: httpx.Response) -> float | None:
    """Seconds to wait, from the header or Discord's JSON body; capped at an hour."""
    delay: Any = response.headers.get("retry-after")
    if delay is None and response.headers.get("content-type", "").startswith("application/json"):
        try:
            delay = response.json().get("retry_after")
        except (ValueError, AttributeError):
            delay = None
    try:
        return min(max(float(delay), 0.0), _MAX_WAIT_S) if delay is not None else None
    except (TypeError, ValueError):
        return None


def _start_tls(client: smtplib.SMTP) -> bool:
    client.ehlo()
    if not client.has_extn("starttls"):
        return False
    client.starttls(context=ssl.create_default_context())
    client.ehlo()
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _slack_text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
