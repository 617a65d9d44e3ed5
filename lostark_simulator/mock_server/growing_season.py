"""The season of a mock server: an initial history, then new fights over time, late and edited logs included.

Fight ``i`` depends on seed, i and its time only: one line per log is stored, and payloads are regenerated on
request.
"""

from __future__ import annotations

import hashlib
import math
import threading
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from isal import igzip

from lostark_simulator.fight import Fight
from lostark_simulator.mock_server.body_cache import BodyCache
from lostark_simulator.mock_server.calendar import is_weekly_maintenance
from lostark_simulator.mock_server.config import MockServerConfig
from lostark_simulator.mock_server.documents import fight_start_ms, tiny_bytes, upload_bytes
from lostark_simulator.mock_server.log_record import LogRecord
from lostark_simulator.mock_server.season_state import SeasonState
from lostark_simulator.season import DAY_MS, SeasonConfig, generate_fight

WEEK_MS = 7 * DAY_MS
LAST_WEEK = 30.0
_MINUTE_MS = 60_000
_MAX_FIGHT_MS = 25 * _MINUTE_MS
_LATEST_HISTORY_MS = 60 * _MINUTE_MS
_GZIP_LEVEL = 1
_SHAPE = "history history_days seed characters hits_per_player dirt tiny_logs region".split()
_HISTORY_CHANCES, _GROWTH_CHANCES = 30_000_000, 40_000_000
_RECENT = 50


class CursorExpired(Exception):
    """The cursor belongs to another season, or was issued before all cursors expired."""


@dataclass(frozen=True)
class Page:
    """One page of the listing; ``earlier`` are the logs just before it, which a server may repeat."""

    records: list[LogRecord]
    earlier: list[LogRecord]
    next_cursor: str


class GrowingSeason:
    """The season of one configuration. Thread-safe.

    Raises:
        SourceBusy: another mock server uses the season in the state folder.
    """

    def __init__(self, config: MockServerConfig) -> None:
        self.config = config
        self.is_paused = False
        self._fights = SeasonConfig(
            seed=config.seed,
            days=config.history_days,
            hits_per_player=config.hits_per_player,
            dirt=config.dirt,
            characters=config.characters,
        )
        self._cache = BodyCache(config.cache_bytes)
        # Generating a fight takes tens of ms; listings don't wait for these locks.
        self._making = threading.RLock()
        self._lock = threading.Lock()
        self._state = SeasonState(config.state_dir)
        self._state.open()
        if not self._can_resume():
            self._begin()
        self._newest = {record.id: record for record in self._state.records}
        self._listing = sorted(self._newest.values(), key=lambda record: record.key)
        self._keys = [record.key for record in self._listing]
        self._next_number = max((record.number + 1 for record in self._state.records), default=0)
        self._next_number = max(self._next_number, config.history)
        self._due_s = config.clock() + config.new_fight_every_s

    @property
    def token(self) -> str:
        """The unique id of the season."""
        return self._state.header["token"]

    @property
    def epoch_ms(self) -> int:
        """Time of the first start in epoch ms: the end of the history."""
        return self._state.header["epoch_ms"]

    @property
    def started_ms(self) -> int:
        """Start of the history in epoch ms."""
        return self.epoch_ms - self.config.history_days * DAY_MS

    @property
    def logs(self) -> int:
        """Number of logs, without revisions."""
        return len(self._newest)

    def weeks_at(self, epoch_ms: float) -> float:
        """Weeks of character progression: by the calendar in the history, faster after it."""
        grown_ms = min(epoch_ms, self.epoch_ms) - self.started_ms
        grown_ms += max(epoch_ms - self.epoch_ms, 0.0) * self.config.speed
        return min(max(grown_ms / WEEK_MS, 0.0), LAST_WEEK)

    def page(self, after: str | None, limit: int) -> Page:
        """Logs after a cursor, oldest first.

        Raises:
            CursorExpired: the cursor is not one of this season's.
        """
        with self._lock:
            place = 0 if after is None else bisect_right(self._keys, self._parse_cursor(after))
            records = self._listing[place : place + limit]
            earlier = self._listing[max(place - 5, 0) : place]
            last = records[-1].key if records else (self._keys[place - 1] if place else (0, "0"))
            return Page(records, earlier, self._cursor(last))

    def find(self, log_id: str) -> LogRecord | None:
        """The newest revision of a log."""
        return self._newest.get(log_id)

    def ready_body(self, record: LogRecord) -> bytes | None:
        """The gzip body of a log, if it is cached."""
        return self._cache.get((record.id, record.revision))

    def body(self, record: LogRecord) -> bytes:
        """The gzip body of a log; regenerated if it is not cached, in about 20 ms."""
        with self._making:
            ready = self.ready_body(record)
            return ready if ready is not None else self._pack(record, self._content(record))

    def advance(self) -> list[LogRecord]:
        """Add a fight if one is due by the clock; fights missed during a long pause are not made up for."""
        every, now = self.config.new_fight_every_s, self.config.clock()
        if every <= 0 or self.is_paused or now < self._due_s:
            return []
        self._due_s = self._due_s + every if now < self._due_s + every else now + every
        is_down = self.config.weekly_maintenance and is_weekly_maintenance(now)
        return [] if is_down else self.grow(1)

    def seconds_to_next(self) -> float:
        """Seconds until a fight is due; infinite while the season stands still."""
        stands_still = self.is_paused or self.config.new_fight_every_s <= 0
        return math.inf if stands_still else max(self._due_s - self.config.clock(), 0.0)

    def grow(self, fights: int = 1, *, late_days: float | None = None) -> list[LogRecord]:
        """Add ``fights`` now, ``late_days`` after they were fought (None: random)."""
        came: list[LogRecord] = []
        with self._making:
            for _ in range(fights):
                came += self._grow_one(late_days)
        return came

    def add_revisions(self, count: int = 1) -> list[LogRecord]:
        """Add edited revisions of the ``count`` newest logs."""
        with self._making:
            return [self._edit(record) for record in (self._listing[-count:] if count else [])]

    def expire_cursors(self) -> None:
        """Expire every cursor issued so far."""
        with self._lock:
            self._state.next_generation()

    def close(self) -> None:
        """Release the state folder."""
        self._state.close()

    def _can_resume(self) -> bool:
        """Whether this configuration and code would reproduce the stored season."""
        records = self._state.records
        if self._state.header.get("shape") != self._shape() or not records:
            return False
        return _sha256(self._content(records[0])) == records[0].content_sha256

    def _shape(self) -> dict[str, Any]:
        return {name: getattr(self.config, name) for name in _SHAPE}

    def _begin(self) -> None:
        epoch_ms = int(self.config.clock() * 1000)
        token = _sha256(f"{self.config.seed} {epoch_ms}".encode())[:8]
        header = {"shape": self._shape(), "epoch_ms": epoch_ms, "token": token}
        self._state.header = header
        history = [record for number in range(self.config.history) for record in self._read_history(number)]
        self._state.begin(header, sorted(history, key=lambda record: record.key))

    def _read_history(self, number: int) -> list[LogRecord]:
        """The logs of one fight of the history, as of its end."""
        config = self.config
        rng = np.random.default_rng([config.seed, _HISTORY_CHANCES + number])
        span_ms = config.history_days * DAY_MS - _LATEST_HISTORY_MS
        start_ms = self.started_ms + int(rng.random() * span_ms)
        came_ms = start_ms + _MAX_FIGHT_MS
        if rng.random() < config.late_share:
            came_ms += int(rng.uniform(1, 5) * DAY_MS)
        revision = int(rng.random() < config.reupload_share)
        if revision:
            came_ms += int(rng.uniform(0.05, 2) * DAY_MS)
        delays = (rng.random(8) * 30 * _MINUTE_MS).astype(int).tolist()
        fight, weeks = self._fight(number, self.weeks_at(start_ms)), self.weeks_at(start_ms)
        records = []
        for upload in range(1 if fight is None else len(fight.uploads)):
            updated_ms = min(came_ms + delays[upload], self.epoch_ms - delays[upload] // 60)
            edited = revision if upload == 0 else 0
            records.append(self._record(number, upload, edited, start_ms, weeks, updated_ms, fight))
        return records

    def _grow_one(self, late_days: float | None) -> list[LogRecord]:
        config, number, now_ms = self.config, self._next_number, self._now_ms()
        self._next_number += 1
        rng = np.random.default_rng([config.seed, _GROWTH_CHANCES + number])
        days = float(rng.uniform(1, 10)) if rng.random() < config.late_share else 0.0
        days = days if late_days is None else late_days
        weeks = max(self.weeks_at(now_ms) - days / 7, 0.0)
        fight = self._fight(number, weeks)
        wall_ms = 0 if fight is None else fight.wall_ms
        # Other uploaders' clocks are up to 5 s ahead, and nothing starts in the future.
        start_ms = now_ms - wall_ms - int(rng.uniform(8_000, 45_000)) - int(days * DAY_MS)
        uploads = 1 if fight is None else len(fight.uploads)
        came = [self._record(number, upload, 0, start_ms, weeks, now_ms, fight) for upload in range(uploads)]
        came = [self._arrive(record) for record in came]
        if rng.random() < config.reupload_share and late_days is None:
            recent = self._listing[-_RECENT - uploads : -uploads]
            came += [self._edit(recent[int(rng.integers(len(recent)))])] if recent else []
        return came

    def _edit(self, record: LogRecord) -> LogRecord:
        content = self._content(replace(record, revision=record.revision + 1))
        edited = replace(
            record,
            revision=record.revision + 1,
            updated_ms=self._now_ms(),
            content_sha256=_sha256(content),
            size_bytes=len(content),
        )
        return self._arrive(edited)

    def _arrive(self, record: LogRecord) -> LogRecord:
        """Put a log at the end of the listing, after every position that a cursor may have passed."""
        with self._lock:
            if self._keys and record.key <= self._keys[-1]:
                record = replace(record, updated_ms=self._keys[-1][0] + 1)
            older = self._newest.get(record.id)
            if older is not None:
                place = bisect_right(self._keys, older.key) - 1
                del self._listing[place], self._keys[place]
            # Saved before it is listed, so that listed logs survive a restart.
            self._state.add([record])
            self._newest[record.id] = record
            self._listing.append(record)
            self._keys.append(record.key)
            return record

    def _record(
        self,
        number: int,
        upload: int,
        revision: int,
        start_ms: int,
        weeks: float,
        updated_ms: int,
        fight: Fight | None,
    ) -> LogRecord:
        record = LogRecord(
            id=f"{self.token}-{number:06d}-{upload}",
            number=number,
            upload=upload,
            revision=revision,
            true_start_ms=start_ms,
            weeks=weeks,
            fight_started_ms=start_ms,
            updated_ms=updated_ms,
            content_sha256="",
            size_bytes=0,
        )
        content = self._content(record, fight)
        record = replace(record, content_sha256=_sha256(content), size_bytes=len(content))
        if fight is not None:
            record = replace(record, fight_started_ms=fight_start_ms(fight, upload))
        self._pack(record, content)
        return record

    def _fight(self, number: int, weeks: float) -> Fight | None:
        if self.config.tiny_logs:
            return None
        fight = generate_fight(self._fights, number, weeks)
        fight.region = self.config.region
        return fight

    def _content(self, record: LogRecord, fight: Fight | None = None) -> bytes:
        """The upload JSON of a log."""
        fight = fight or self._fight(record.number, record.weeks)
        if fight is None:
            return tiny_bytes(self.config.seed, record.number, record.true_start_ms, record.revision)
        fight.started_at_ms = record.true_start_ms
        return upload_bytes(fight, record.upload, record.revision)

    def _pack(self, record: LogRecord, content: bytes) -> bytes:
        packed = igzip.compress(content, _GZIP_LEVEL, mtime=0)
        self._cache.put((record.id, record.revision), packed)
        return packed

    def _now_ms(self) -> int:
        return int(self.config.clock() * 1000)

    def _cursor(self, key: tuple[int, str]) -> str:
        return f"{self.token}.{self._state.generation}.{key[0]}.{key[1]}"

    def _parse_cursor(self, cursor: str) -> tuple[int, str]:
        token, generation, updated_ms, log_id = [*cursor.split("."), "", "", "", ""][:4]
        if token != self.token or generation != str(self._state.generation) or not updated_ms.isdecimal():
            raise CursorExpired
        return (int(updated_ms), log_id)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
