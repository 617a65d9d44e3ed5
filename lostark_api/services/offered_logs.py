"""The platform's upload JSON as the battle-log API lists it, for another platform to collect.

The listing comes from the raw table's small columns and is cached until the table changes.
"""

from __future__ import annotations

import hashlib
import re
import threading
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow.compute as pc

from lostark_assets.contracts.battle_log_api import BattleLogEntry
from lostark_assets.errors import NotFound
from lostark_assets.lake.tables import Lake
from lostark_assets.sources.upload_json import FORMAT

HOLD_BACK = timedelta(seconds=90)
"""Age from which logs are listed: batches are committed late, and no cursor may pass them."""
FIRST = "0.0"
_TABLE = "raw_battle_logs"
_COLUMNS = [
    "log_id", "source", "source_log_id", "content_sha256", "fight_started_at", "fetched_at", "payload_bytes",
]  # fmt: skip
_CURSOR = re.compile(r"(\d{1,18})\.([0-9a-f]{32}|0)")
_Key = tuple[int, str]


class ForgottenCursor(Exception):
    """The cursor is not from this platform."""


@dataclass(frozen=True)
class _Offered:
    entry: BattleLogEntry
    log_id: str


@dataclass
class OfferedLogs:
    """The newest content of every upload JSON in the raw table, in the order of arrival."""

    lake: Lake
    hold_back: timedelta = HOLD_BACK
    _version: int | None = None
    _is_read: bool = False
    _keys: list[_Key] = field(default_factory=list, repr=False)
    _logs: list[_Offered] = field(default_factory=list, repr=False)
    _by_id: dict[str, _Offered] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def page(self, after: str | None, limit: int, now: datetime) -> tuple[list[BattleLogEntry], str]:
        """Logs after a cursor, oldest first, and the cursor after the last of them.

        Raises:
            UnknownCursor: the caller has to start without one.
        """
        position = _position(after or FIRST)
        with self._lock:
            self._refresh()
            first = bisect_right(self._keys, position)
            end = bisect_right(self._keys, (_micros(now - self.hold_back), "g"))
            found = self._logs[first : max(min(first + limit, end), first)]
        if not found:
            return [], after or FIRST
        last = found[-1].entry
        return [one.entry for one in found], f"{_micros(last.updated_at)}.{last.id}"

    def payload(self, entry_id: str) -> bytes:
        """The newest upload JSON of a log, byte for byte.

        Raises:
            NotFound: there is no such log.
        """
        with self._lock:
            self._refresh()
            offered = self._by_id.get(entry_id)
        since = offered.entry.updated_at if offered else None
        groups = self.lake.groups_with(
            _TABLE, "log_id", [offered.log_id], ["payload"], since=since, all_there=True
        ) if offered else []  # fmt: skip
        for rows in groups:
            return rows["payload"][0].as_py()
        raise NotFound(f"{entry_id}: expected the id of a log as the listing has it, found none.")

    def _refresh(self) -> None:
        if self._is_read and self.lake.is_at(_TABLE, self._version):
            return
        version = self.lake.version(_TABLE)
        rows = self.lake.read(_TABLE, columns=_COLUMNS, where=pc.field("log_format") == FORMAT)
        newest: dict[str, _Offered] = {}
        for row in rows.sort_by([("fetched_at", "ascending"), ("log_id", "ascending")]).to_pylist():
            offered = _offered(row)
            newest[offered.entry.id] = offered
        keyed = sorted((_key(offered.entry), offered) for offered in newest.values())
        self._keys, self._logs = [key for key, _ in keyed], [offered for _, offered in keyed]
        self._by_id, self._version, self._is_read = newest, version, True


def _offered(row: dict[str, Any]) -> _Offered:
    name = f"{row['source']}\x00{row['source_log_id']}".encode()
    entry = BattleLogEntry.model_construct(
        id=hashlib.sha256(name).hexdigest()[:32],
        content_sha256=row["content_sha256"],
        fight_started_at=row["fight_started_at"] or row["fetched_at"],
        updated_at=row["fetched_at"],
        size_bytes=row["payload_bytes"],
    )
    return _Offered(entry, str(row["log_id"]))


def _key(entry: BattleLogEntry) -> _Key:
    return _micros(entry.updated_at), entry.id


def _position(cursor: str) -> _Key:
    parts = _CURSOR.fullmatch(cursor)
    if parts is None:
        raise ForgottenCursor
    return int(parts[1]), parts[2]


def _micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
