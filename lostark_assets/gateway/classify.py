"""Classifying a response: accepted, retryable, or a permanent failure. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

FAILURE_KINDS = (
    "rate_limited",  # 429
    "maintenance",  # 503
    "server_error",  # 500, 502, 504 and other 5xx
    "timeout",
    "connection",  # refused, reset, cut in the middle
    "short_body",  # fewer bytes than announced, a torn gzip stream
    "wrong_type",  # a content type that was not requested
    "malformed",  # the caller's check rejects the body
    "unauthorised",  # 401, 403
    "not_found",  # 404
    "gone",  # 410
    "client_error",  # other 3xx and 4xx
    "too_large",  # more bytes than allowed
)
Decision = Literal["take", "retry", "permanent"]
_KIND_OF_STATUS = {401: "unauthorised", 403: "unauthorised", 404: "not_found", 410: "gone"}
_TRANSIENT = {408: "timeout", 425: "server_error", 429: "rate_limited", 503: "maintenance"}
_SHOWN_BYTES = 80


@dataclass(frozen=True)
class Verdict:
    """What to do with a response; ``retry_after_s`` if the service says when to retry."""

    decision: Decision
    kind: str = ""
    found: str = ""
    retry_after_s: float | None = None


TAKE = Verdict("take")


def classify(
    status: int,
    headers: Mapping[str, str],
    start: bytes,
    accept: Sequence[str],
    *,
    now: datetime | None = None,
) -> Verdict:
    """Classify a response with ``status``, lower-case ``headers`` and a body that begins with ``start``.

    ``accept`` are the requested content types; if empty, any is accepted. ``now`` is used if the service does
    not send its own time.
    """
    if status in _TRANSIENT or status >= 500:
        kind = _TRANSIENT.get(status, "server_error")
        found = f"status {status}" + _excerpt(headers, start)
        return Verdict("retry", kind, found, retry_after_s(status, headers, now or datetime.now(UTC)))
    if not 200 <= status < 300:
        kind = _KIND_OF_STATUS.get(status, "client_error")
        return Verdict("permanent", kind, f"status {status}" + _excerpt(headers, start))
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if accept and media not in {wanted.lower() for wanted in accept}:
        return Verdict("retry", "wrong_type", f"content type {media or 'none'}" + _excerpt({}, start))
    return TAKE


def retry_after_s(status: int, headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds until the service allows a retry; None if it doesn't say.

    Times are relative to the service's own ``Date``: its clock, or ours, may be wrong.
    """
    at = _instant(headers.get("date", "")) or now
    value = headers.get("retry-after", "").strip()
    if value:
        if value.isascii() and value.isdigit():
            return float(value)
        until = _instant(value)
        if until is not None:
            return max((until - at).total_seconds(), 0.0)
    reset = headers.get("x-ratelimit-reset", "").strip()
    if status == 429 and reset.isascii() and reset.isdigit():
        return max(int(reset) - at.timestamp(), 0.0)
    return None


def _instant(value: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _excerpt(headers: Mapping[str, str], start: bytes) -> str:
    media = headers.get("content-type", "")
    shown = " ".join(start[:_SHOWN_BYTES].decode("utf-8", "replace").split())
    return (f" ({media})" if media else "") + (f" that begins with {shown!r}" if shown else "")
