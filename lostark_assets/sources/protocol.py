"""The protocol of battle-log sources, and the ids of logs.

A source lists its logs cheaply, then fetches the new ones: bytes and identity.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Listed:
    """One log in the cheap listing; ``fingerprint`` changes when the log does.

    ``started_ms``: the fight's start in epoch ms, if the listing has it. ``legacy_fingerprint`` computes the
    fingerprint that older versions stored.
    """

    source_log_id: str
    fingerprint: str
    locator: Any = field(default=None, repr=False)
    started_ms: int | None = None
    legacy_fingerprint: Callable[[], str] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class FetchedLog:
    """One log for the raw table; ``fight_started_ms``: epoch ms, None if it needs parsing."""

    source_log_id: str
    fingerprint: str
    payload: bytes
    fight_started_ms: int | None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part of a source that could not be read; the rest is still collected."""

    where: str
    reason: str


class Source(Protocol):
    """One source of battle logs."""

    log_format: str
    problems: list[Unreadable]

    @property
    def name(self) -> str:
        """Name of the source."""
        ...

    @property
    def path(self) -> str:
        """Path or address of the source."""
        ...

    def list_logs(self) -> Iterator[Listed]:
        """List all logs, cheaply."""
        ...

    def fetch(self, wanted: Iterable[Listed]) -> Generator[FetchedLog, None, None]:
        """Fetch the wanted logs; logs deleted since the listing are left out."""
        ...


@dataclass(frozen=True, slots=True)
class ListedPage:
    """A page of a listing; the listing continues at ``cursor`` once its logs are committed."""

    logs: list[Listed]
    cursor: str


@runtime_checkable
class PagedSource(Source, Protocol):
    """A source that is listed page by page and keeps a cursor."""

    def list_pages(self) -> Iterator[ListedPage]:
        """List the logs since the last saved cursor."""
        ...

    def save_cursor(self, cursor: str) -> None:
        """Everything listed before ``cursor`` is committed."""
        ...

    def finish(self) -> None:
        """The listing came to its end and all of it is committed."""
        ...

    def close(self) -> None:
        """Close connections; the source can be used again."""
        ...


def escape_undecodable(text: str) -> str:
    """``text`` with what UTF-8 can't encode escaped: names of files may hold any bytes."""
    return text.encode("utf-8", "backslashreplace").decode()


def content_sha256(payload: bytes) -> str:
    """SHA-256 of the bytes, lower hex."""
    return hashlib.sha256(payload).hexdigest()


def compute_log_id(source: str, source_log_id: str, sha256: str) -> str:
    """The id of a log: 32 hex digits from its source, the source's id and its content."""
    return hashlib.sha256(f"{source}\x00{source_log_id}\x00{sha256}".encode()).hexdigest()[:32]


def compute_encounter_id(log_id: str) -> str:
    """The encounter of a log: the first 16 digits of its id."""
    return log_id[:16]


def instant(epoch_ms: int | None) -> datetime | None:
    """Epoch ms as a UTC instant; None if missing or outside of the years 2000 to 2100."""
    if epoch_ms is None or not 946_684_800_000 <= epoch_ms <= 4_102_444_800_000:
        return None
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)


def fight_day(epoch_ms: int | None, fetched_at: datetime, earliest: date) -> date:
    """The UTC day whose partition a log belongs to.

    An invalid start (missing, before ``earliest``, more than a day after fetching) falls to the day of
    fetching, where the log is then quarantined.
    """
    started = instant(epoch_ms)
    if started is None or started.date() < earliest or (started - fetched_at).days >= 1:
        return fetched_at.date()
    return started.date()
