"""LOA Logs ``encounters.db``: every layout since 2023.

The player's file is opened read-only and only for moments at a time, so that the meter can write meanwhile. A
log is the encounter's row, its preview row and its entity rows, packed value by value (MessagePack keeps
SQLite's types, so a blob stays the same bytes). ``favorite`` is left out: it is a bookmark of the meter's
window, not part of the fight. What does not belong here: reading the values (``core.parse``).
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from lostark_assets.errors import SourceBusy, UnknownFormat
from lostark_assets.sources.protocol import FetchedLog, Listed, Unreadable

FORMAT = "loa_logs_db"
SQLITE_MAGIC = b"SQLite format 3\x00"
_BUSY_TIMEOUT_S = 5.0
_ROWS_A_READ = 512
_BLOBS = {"buffs", "debuffs", "applied_shield_buffs", "misc", "boss_hp_log", "stagger_log", "players"}
_ENTITY_GLANCE = ("class_id", "gear_score", "max_hp", "is_dead", "skills", "damage_stats")
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
        parts = [_glance("e", c, _BLOBS) for c in self.encounter] + [
            _glance("p", c, _BLOBS) for c in self.preview
        ]
        join = " LEFT JOIN encounter_preview p ON p.id = e.id" if self.preview else ""
        return f"SELECT e.id, {', '.join(parts)} FROM encounter e{join}"  # noqa: S608 - quoted names of the file

    def entity_glance(self) -> str:
        """What of an entity row stands before its blobs, and the blobs' sizes (kept in the row's header)."""
        parts = [_glance("e", c, _ENTITY_BLOBS) for c in _ENTITY_GLANCE if c in self.entity]
        return f"SELECT e.rowid, e.encounter_id, {', '.join(parts)} FROM entity e"  # noqa: S608 - quoted names of the file


def _glance(table: str, column: str, blobs: set[str]) -> str:
    name = f'{table}."{column}"'
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
        """Encounters, each with a fingerprint of its small values and the sizes of its blobs.

        Raises:
            SourceMissing: no such file.
            SourceBusy: the file stayed locked for five seconds.
            UnknownFormat: not SQLite, or SQLite of other software.
        """
        with _opened(Path(self.path)) as connection:
            layout = _layout(connection, self.path)
            seen: dict[int, int] = {}
            rowids: dict[int, list[int]] = {}
            for rowid, encounter_id, *values in self._pages(connection, layout.entity_glance(), "rowid"):
                seen[encounter_id] = zlib.crc32(repr(values).encode(), seen.get(encounter_id, 0))
                rowids.setdefault(encounter_id, []).append(rowid)
            for row in self._pages(connection, layout.listing(), "id"):
                encounter_id = row[0]
                glance = repr((row, seen.get(encounter_id))).encode("utf-8", "backslashreplace")
                fingerprint = hashlib.blake2b(glance, digest_size=12).hexdigest()
                yield Listed(str(encounter_id), fingerprint, (encounter_id, rowids.get(encounter_id, [])))

    def fetch(self, wanted: Iterable[Listed]) -> Iterator[FetchedLog]:
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

    def _pages(self, connection: sqlite3.Connection, query: str, key: str) -> Iterator[tuple[Any, ...]]:
        """Rows in key order, some hundred at a time, so that no lock is held while we work.

        A damaged page ends the reading; what came before it still counts.
        """
        last, limit = -(1 << 63), _ROWS_A_READ
        while True:
            try:
                page = connection.execute(
                    f"{query} WHERE e.{key} > ? ORDER BY e.{key} LIMIT ?", (last, limit)
                ).fetchall()
            except sqlite3.DatabaseError as error:
                if _is_locked(error):
                    raise _busy(self.path) from error
                if limit > 1:
                    limit = 1
                    continue
                self.problems.append(Unreadable(f"{self.path}, rows after {key} {last}", str(error)))
                return
            yield from page
            if len(page) < limit:
                return
            last = page[-1][0]


def _read_log(connection: sqlite3.Connection, layout: _Layout, listed: Listed) -> FetchedLog | None:
    encounter_id, rowids = listed.locator
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
    connection: sqlite3.Connection, layout: _Layout, encounter_id: int, rowids: list[int]
) -> list[tuple[Any, ...]]:
    """Entity rows by rowid: files exist without an index on encounter_id. VACUUM may have moved rows."""
    columns, at = _quoted(layout.entity), layout.entity.index("encounter_id")
    every = f"SELECT {columns} FROM entity WHERE"  # noqa: S608 - quoted names of the file
    by_rowid = f"{every} rowid IN ({','.join(map(str, rowids))}) ORDER BY rowid"
    rows = connection.execute(by_rowid).fetchall() if rowids else []
    if len(rows) != len(rowids) or any(row[at] != encounter_id for row in rows):
        rows = connection.execute(f"{every} encounter_id = ? ORDER BY rowid", (encounter_id,)).fetchall()
    return rows


def _quoted(columns: Iterable[str]) -> str:
    return ", ".join(f'"{c}"' for c in columns)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection that leaves no file behind beside the player's.

    A file whose writer died in the middle can't be read in place without repairing it: a copy is repaired
    instead.
    """
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(SQLITE_MAGIC):
        raise UnknownFormat(
            path, "an empty file" if not header else "something else", "a SQLite database", ""
        )
    in_wal_mode = header[18:20] == b"\x02\x02"
    wal = Path(f"{path}-wal")
    has_wal = wal.exists() and wal.stat().st_size > 0
    mode = "mode=ro&immutable=1" if in_wal_mode and not has_wal else "mode=ro"
    connection = _connect(path, mode)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        if _is_locked(error):
            raise _busy(path) from error
    except sqlite3.DatabaseError as error:
        connection.close()
        raise UnknownFormat(
            path, f"damage ({error})", "a SQLite database", "Restore it from a copy."
        ) from error
    else:
        with closing(connection):
            yield connection
        return
    with tempfile.TemporaryDirectory(prefix="lostark-db-") as folder:
        copy = Path(folder) / path.name
        for suffix in ("", "-wal", "-journal"):
            if Path(f"{path}{suffix}").exists():
                shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
        with closing(_connect(copy, "mode=rw")) as connection:
            yield connection


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
