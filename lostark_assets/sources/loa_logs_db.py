"""LOA Logs ``encounters.db``: every layout since 2023.

The player's file is opened read-only and only for short moments, so that the meter can write meanwhile. A
log is the encounter's row, its preview row and its entity rows, packed value by value (MessagePack keeps
SQLite's types, so a blob stays the same bytes). ``favorite`` is left out: it is a bookmark of the meter's
window, not part of the fight.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from lostark_assets.errors import SourceBusy, SourceMissing, UnknownFormat
from lostark_assets.sources.protocol import FetchedLog, Listed, Unreadable

FORMAT = "loa_logs_db"
SQLITE_MAGIC = b"SQLite format 3\x00"
_BUSY_TIMEOUT_S = 5.0
_ROWS_PER_READ = 512
_MIN_KEY = -(1 << 63)
_NO_ROWS = -1
_LARGEST_FILE = 1 << 40
_BLOBS = {"buffs", "debuffs", "applied_shield_buffs", "boss_hp_log", "stagger_log"}
_ONCE_BY_LENGTH = ("misc", "players")
_ENTITY_SUMMARY = ("class_id", "gear_score", "max_hp", "is_dead", "skills", "damage_stats")
_ENTITY_BLOBS = {"skills", "damage_stats"}
_LEFT_OUT = {"favorite"}
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True)
class _Layout:
    """The columns that this file has; ``preview`` is empty before 1.13.5."""

    encounter: list[str]
    preview: list[str]
    entity: list[str]

    def listing(self) -> str:
        """Every small value of an encounter and the sizes of its blobs, keyed by e.id."""
        parts = [_summary_expression("e", c, _BLOBS) for c in self.encounter] + [
            _summary_expression("p", c, _BLOBS) for c in self.preview
        ]
        join = " LEFT JOIN encounter_preview p ON p.id = e.id" if self.preview else ""
        return f"SELECT e.id, {', '.join(parts)} FROM encounter e{join}"  # noqa: S608 - quoted names of the file

    def find_columns(self, *wanted: str) -> list[int]:
        """Positions of these columns in a row of the listing."""
        names = [None, *self.encounter, *self.preview]
        return [place for place, name in enumerate(names) if name in wanted]

    def entity_summary(self) -> str:
        """Query of the entity columns before the blobs, and of the blobs' sizes (in the row's header)."""
        parts = [_summary_expression("e", c, _ENTITY_BLOBS) for c in _ENTITY_SUMMARY if c in self.entity]
        return f"SELECT e.rowid, e.encounter_id, {', '.join(parts)} FROM entity e"  # noqa: S608 - quoted names of the file


def _summary_expression(table: str, column: str, blobs: set[str]) -> str:
    name = f"{table}.{_quote(column)}"
    return f"length({name})" if column in blobs else name


class LoaLogsDb:
    """One ``encounters.db`` file."""

    log_format = FORMAT

    def __init__(self, path: Path, name: str = "loa_logs") -> None:
        """``path`` of the file, ``name`` of the source it belongs to."""
        self.path = str(path)
        self.name = name
        self.problems: list[Unreadable] = []

    def list_logs(self) -> Iterator[Listed]:
        """Encounters, each with a fingerprint of its small values, its texts and the sizes of its blobs.

        Raises:
            SourceMissing: no such file.
            SourceBusy: the file stayed locked for five seconds.
            UnknownFormat: not SQLite, or SQLite of other software.
        """
        with _opened(Path(self.path)) as connection:
            layout = _layout(connection, self.path)
            checksums, rowids = self._entities(connection, layout)
            starts, once_by_length = layout.find_columns("fight_start"), layout.find_columns(*_ONCE_BY_LENGTH)
            for row in self._pages(connection, layout.listing(), "id"):
                if row is not None:
                    encounter_id = row[0]
                    checksum = checksums.get(encounter_id)
                    legacy_fingerprint = partial(_legacy_fingerprint, row, checksum, once_by_length)
                    at = rowids.get(encounter_id, rowids.get(None, []))
                    started_ms = next((row[i] for i in starts if isinstance(row[i], int)), None)
                    yield Listed(
                        str(encounter_id),
                        _fingerprint(row, checksum),
                        (encounter_id, at),
                        started_ms,
                        legacy_fingerprint,
                    )

    def _entities(
        self, connection: sqlite3.Connection, layout: _Layout
    ) -> tuple[dict[Any, int], dict[Any, list[int] | None]]:
        """By encounter: a checksum of its entities' small values, and their rowids.

        If a damaged page may have hidden some, the rowids are None: fetching then searches them by encounter.
        The key None does the same for encounters without any entity.
        """
        checksums: dict[Any, int] = {}
        rowids: dict[Any, list[int] | None] = {}
        before, after_gap = None, False
        for row in self._pages(connection, layout.entity_summary(), "rowid"):
            if row is None:
                rowids[before] = rowids[None] = None
                after_gap = True
                continue
            rowid, encounter_id, *values = row
            checksums[encounter_id] = zlib.crc32(repr(values).encode(), checksums.get(encounter_id, 0))
            if after_gap:
                rowids[encounter_id], after_gap = None, False
            known = rowids.setdefault(encounter_id, [])
            if known is not None:
                known.append(rowid)
            before = encounter_id
        return checksums, rowids

    def fetch(self, wanted: Iterable[Listed]) -> Generator[FetchedLog, None, None]:
        """The wanted encounters' rows; an encounter deleted since the listing is left out."""
        with _opened(Path(self.path)) as connection:
            layout = _layout(connection, self.path)
            for listed in wanted:
                try:
                    log = _read_log(connection, layout, listed)
                except sqlite3.DatabaseError as error:
                    if _is_locked(error):
                        raise _busy(self.path) from error
                    self.problems.append(
                        Unreadable(f"{self.path}, encounter {listed.source_log_id}", str(error))
                    )
                    continue
                if log is not None:
                    yield log

    def _pages(
        self, connection: sqlite3.Connection, query: str, key: str
    ) -> Iterator[tuple[Any, ...] | None]:
        """Rows in key order, some hundred at a time, so that no lock is held between them.

        A damaged page only loses its own rows: None is yielded instead, and reading continues behind it.
        """
        last, limit = _MIN_KEY, _ROWS_PER_READ
        while True:
            try:
                page = _page(connection, query, key, last, limit)
            except sqlite3.DatabaseError as error:
                if _is_locked(error):
                    raise _busy(self.path) from error
                if limit > 1:
                    limit = 1
                    continue
                behind = _behind_damage(connection, query, key, last)
                where = f"{self.path}, rows after {key} {max(last, 0)}"
                self.problems.append(Unreadable(where, f"{error}; {_goes_on(key, behind)}"))
                yield None
                if behind is None:
                    return
                last, limit = behind - 1, _ROWS_PER_READ
                continue
            for row in page:
                last = row[0]
                yield row
            if len(page) < limit:
                return


def _fingerprint(row: Sequence[Any], checksum: int | None) -> str:
    text = repr((row, checksum)).encode("utf-8", "backslashreplace")
    return hashlib.blake2b(text, digest_size=12).hexdigest()


def _legacy_fingerprint(row: Sequence[Any], checksum: int | None, places: Iterable[int]) -> str:
    """The fingerprint of older versions, which only used the length of these columns."""
    values = list(row)
    for place in places:
        if isinstance(values[place], str | bytes):
            values[place] = len(values[place])
    return _fingerprint(tuple(values), checksum)


def _page(
    connection: sqlite3.Connection, query: str, key: str, last: int, limit: int
) -> list[tuple[Any, ...]]:
    """Rows after ``last``; a damaged tree whose keys don't ascend is an error too."""
    after = f"{query} WHERE e.{key} > ? ORDER BY e.{key} LIMIT ?"
    rows = connection.execute(after, (last, limit)).fetchall()
    keys = [last, *(row[0] for row in rows)]
    if keys != sorted(set(keys)):
        raise sqlite3.DatabaseError("database disk image is malformed: keys descend")
    return rows


def _behind_damage(connection: sqlite3.Connection, query: str, key: str, last: int) -> int | None:
    """The first key behind a damaged page that can be read again, None if there is none."""

    def readable(step: int) -> int | None:
        try:
            rows = _page(connection, query, key, max(last, 0) + step, 1)
        except sqlite3.DatabaseError as error:
            if _is_locked(error):
                raise _busy("the database") from error
            return None
        return rows[0][0] if rows else _NO_ROWS

    step = next((1 << n for n in range(62) if readable(1 << n) is not None), None)
    if step is None:
        return None
    low, high = step // 2, step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if readable(middle) is not None else (middle, high)
    found = readable(high)
    return None if found == _NO_ROWS else found


def _goes_on(key: str, behind: int | None) -> str:
    return "nothing behind it can be read" if behind is None else f"reading goes on at {key} {behind}"


def _read_log(connection: sqlite3.Connection, layout: _Layout, listed: Listed) -> FetchedLog | None:
    encounter_id, rowids = listed.locator
    connection.execute("BEGIN")
    try:
        return _read_rows(connection, layout, listed, encounter_id, rowids)
    finally:
        connection.rollback()


def _read_rows(
    connection: sqlite3.Connection,
    layout: _Layout,
    listed: Listed,
    encounter_id: int,
    rowids: list[int] | None,
) -> FetchedLog | None:
    """All rows of a log, read in one transaction."""
    encounter = _one(connection, "encounter", layout.encounter, encounter_id)
    if encounter is None:
        return None
    preview = _one(connection, "encounter_preview", layout.preview, encounter_id) if layout.preview else None
    payload = _encode(
        {
            "encounter": encounter,
            "preview": preview,
            "entity_columns": layout.entity,
            "entities": _entities(connection, layout, encounter_id, rowids),
        }
    )
    started = (preview or {}).get("fight_start") or encounter.get("fight_start")
    return FetchedLog(
        listed.source_log_id, listed.fingerprint, payload, started if isinstance(started, int) else None
    )


def _one(connection: sqlite3.Connection, table: str, columns: list[str], key: int) -> dict[str, Any] | None:
    query = f"SELECT {_quoted(columns)} FROM {table} WHERE id = ?"  # noqa: S608 - quoted names of the file
    row = connection.execute(query, (key,)).fetchone()
    return None if row is None else {c: v for c, v in zip(columns, row, strict=True) if v is not None}


def _entities(
    connection: sqlite3.Connection, layout: _Layout, encounter_id: int, rowids: list[int] | None
) -> list[tuple[Any, ...]]:
    """Entity rows by rowid: files exist without an index on encounter_id. VACUUM may have moved rows."""
    columns, at = _quoted(layout.entity), layout.entity.index("encounter_id")
    every = f"SELECT {columns} FROM entity WHERE"  # noqa: S608 - quoted names of the file
    rows: list[tuple[Any, ...]] = []
    if rowids:
        by_rowid = f"{every} rowid IN ({','.join(map(str, rowids))}) ORDER BY rowid"
        rows = connection.execute(by_rowid).fetchall()
    if rowids is None or len(rows) != len(rowids) or any(row[at] != encounter_id for row in rows):
        rows = connection.execute(f"{every} encounter_id = ? ORDER BY rowid", (encounter_id,)).fetchall()
    if rowids is None and not rows:
        raise sqlite3.DatabaseError("none of its players can be read")
    return rows


def _quoted(columns: Iterable[str]) -> str:
    return ", ".join(_quote(c) for c in columns)


def _quote(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection that creates no file beside the player's.

    A file that SQLite can't read without writing is copied first, and the copy is repaired: a file whose
    writer crashed, a write-ahead log without its shared memory, a truncated file.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except FileNotFoundError as error:
        raise SourceMissing(path) from error
    if not header.startswith(SQLITE_MAGIC):
        raise UnknownFormat(
            path, "an empty file" if not header else "something else", "a SQLite database", ""
        )
    connection = _in_place(path, in_wal_mode=header[18:20] == b"\x02\x02")
    if connection is not None:
        with closing(connection):
            yield connection
        return
    with tempfile.TemporaryDirectory(prefix="lostark-db-") as folder:
        copy = Path(folder) / path.name
        for suffix in ("", "-wal", "-journal"):
            if Path(f"{path}{suffix}").exists():
                shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
        if not Path(f"{copy}-journal").exists():
            _fill_up(copy, header)
        with closing(_connect(copy, "mode=rw")) as connection:
            yield connection


def _in_place(path: Path, *, in_wal_mode: bool) -> sqlite3.Connection | None:
    """A connection to the file itself; None if only a copy can be read."""
    wal, shared_memory = Path(f"{path}-wal"), Path(f"{path}-shm")
    has_wal = wal.exists() and wal.stat().st_size > 0
    if in_wal_mode and has_wal and not shared_memory.exists():
        return None
    connection = _connect(path, "mode=ro&immutable=1" if in_wal_mode and not has_wal else "mode=ro")
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        if _is_locked(error):
            raise _busy(path) from error
        return None
    except sqlite3.DatabaseError:
        connection.close()
        return None
    return connection


def _fill_up(copy: Path, header: bytes) -> None:
    """Extend a truncated file to the size in its header: SQLite refuses shorter files completely."""
    page_bytes = int.from_bytes(header[16:18], "big")
    expected = (65536 if page_bytes == 1 else page_bytes) * int.from_bytes(header[28:32], "big")
    if copy.stat().st_size < expected <= _LARGEST_FILE:
        os.truncate(copy, expected)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{mode}", uri=True, timeout=_BUSY_TIMEOUT_S
    )
    connection.text_factory = _text
    return connection


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _is_locked(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _busy(path: object) -> SourceBusy:
    return SourceBusy(
        f"{path}: locked by another program for more than {_BUSY_TIMEOUT_S:.0f} s (the meter saving?). "
        "The file was left as it is and what was read before stays in the lake. Try again in a moment."
    )


def _layout(connection: sqlite3.Connection, path: str) -> _Layout:
    try:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        encounter, entity = _columns(connection, "encounter"), _columns(connection, "entity")
        preview = _columns(connection, "encounter_preview")
    except sqlite3.DatabaseError as error:
        if _is_locked(error):
            raise _busy(path) from error
        raise UnknownFormat(
            path, f"damage ({error})", "a SQLite database", "Restore it from a copy."
        ) from error
    if not {"id", "last_combat_packet"} <= set(encounter) or not {"name", "encounter_id"} <= set(entity):
        found = f"a database with the tables {', '.join(sorted(map(str, tables))) or '(none)'}"
        raise UnknownFormat(
            path, found, "the tables encounter and entity of LOA Logs", "Is it another meter's?"
        )
    return _Layout(
        [c for c in encounter if c not in _LEFT_OUT], [c for c in preview if c not in _LEFT_OUT], entity
    )


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
