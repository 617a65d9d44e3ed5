"""One battle log of the mock server's season: its listing entry, and the inputs to regenerate it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True)
class LogRecord:
    """A log in its newest revision; times in epoch ms.

    ``fight_started_ms`` is by the uploader's clock, ``true_start_ms`` by the game's; ``weeks`` counts from
    the season's start to the characters' growth.
    """

    id: str
    number: int
    upload: int
    revision: int
    true_start_ms: int
    weeks: float
    fight_started_ms: int
    updated_ms: int
    content_sha256: str
    size_bytes: int

    @property
    def key(self) -> tuple[int, str]:
        """Its sort key in the listing."""
        return (self.updated_ms, self.id)

    def entry(self, skew_ms: int = 0) -> dict[str, Any]:
        """The listing entry; ``skew_ms`` is the offset of the server's clock."""
        return {
            "id": self.id,
            "content_sha256": self.content_sha256,
            "fight_started_at": utc_text(self.fight_started_ms),
            "updated_at": utc_text(self.updated_ms + skew_ms),
            "size_bytes": self.size_bytes,
        }

    @cached_property
    def entry_json(self) -> bytes:
        """The entry as JSON, cached."""
        return _encoder.encode(self.entry())

    def line(self) -> bytes:
        """The record as a line of the state file."""
        return _encoder.encode(asdict(self)) + b"\n"


def utc_text(epoch_ms: int) -> str:
    """Epoch ms as RFC 3339 text in UTC."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).isoformat(timespec="milliseconds")[:23] + "Z"


def page_json(entries: list[bytes], next_cursor: str) -> bytes:
    """A page of the listing from entries in JSON."""
    return b'{"logs":[' + b",".join(entries) + b'],"next_cursor":' + _encoder.encode(next_cursor) + b"}"
