"""Validating the content of an uploaded file before anything else opens it.

Stricter than the collector is for local files: there a damaged file is worth saving, here it can be uploaded
again; and a stranger's file may be malicious (decompression bombs, a database that computes).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
from isal import isal_zlib

from lostark_assets.errors import UnknownFormat
from lostark_assets.gunzip import DAMAGED, GZIP_MAGIC
from lostark_assets.sources import loa_logs_db, player_table, upload_json
from lostark_assets.sources.detect import Limits, open_source

MAX_TABLE_BYTES = 64 << 20
_BLOCK = 1 << 20
_GZIP_WINDOW = 31
_SPACE = b"\xef\xbb\xbf \t\r\n"
_HIDDEN_GENERATED = (2, 3)
_ROWS_PER_BATCH = 256


@dataclass(frozen=True)
class Examined:
    """Format and source of an uploaded file. Only files of the same origin share a ``source``."""

    log_format: str
    source: str


def examine(path: Path, limits: Limits) -> Examined:
    """The format of an uploaded file, and the source that its logs belong to.

    Raises:
        UnknownFormat: no supported format, truncated, too large once unpacked, or malicious.
    """
    source = open_source(path, limits=limits)
    if source.log_format == loa_logs_db.FORMAT:
        return Examined(source.log_format, f"upload:db-{_database(path)}")
    if source.log_format == upload_json.FORMAT:
        _json(path, limits)
        return Examined(source.log_format, "upload:json")
    return Examined(source.log_format, f"upload:table-{_table(path, limits)}")


def _json(path: Path, limits: Limits) -> None:
    first, last, has_mark, tail, size = b"", b"", False, b"", 0
    for block in _plain_blocks(path, limits.max_part_bytes):
        size += len(block)
        first = first or block.lstrip(_SPACE)[:1]
        last = block.rstrip(_SPACE)[-1:] or last
        has_mark = has_mark or upload_json.is_battle_log_json(tail + block)
        tail = block[-64:]
    if size > limits.max_file_bytes:
        raise _refused(path, f"{size:,} bytes of JSON", f"at most {limits.max_file_bytes:,}")
    if first not in (b"{", b"["):
        raise _refused(path, "text that is no JSON", "a LOA Logs upload")
    if last not in (b"}", b"]"):
        raise _refused(path, "JSON that ends in the middle", "a whole file", "Send it again.")
    if not has_mark:
        raise _refused(path, "JSON of something else", "a LOA Logs upload")


def _plain_blocks(path: Path, limit: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        is_packed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        if not is_packed:
            yield from iter(lambda: file.read(_BLOCK), b"")
            return
        stream, size = isal_zlib.decompressobj(_GZIP_WINDOW), 0
        waiting = file.read(_BLOCK)
        while waiting and not stream.eof:
            try:
                plain = stream.decompress(waiting, _BLOCK)
            except DAMAGED as error:
                raise _refused(path, f"damage ({error})", "a whole gzip file", "Send it again.") from error
            size += len(plain)
            if size > limit:
                raise _refused(path, "more than that", f"at most {limit:,} bytes unpacked")
            yield plain
            waiting = stream.unconsumed_tail or file.read(_BLOCK)
        while not stream.eof and (plain := stream.decompress(b"", _BLOCK)):
            size += len(plain)
            yield plain
        if not stream.eof:
            raise _refused(path, "its end missing", "a whole gzip file", "Send it again.")


def _database(path: Path) -> str:
    """A name for the database that is stable while it grows: derived from its first encounter."""
    with path.open("rb") as file:
        header = file.read(100)
    page_bytes = int.from_bytes(header[16:18], "big")
    expected = (65536 if page_bytes == 1 else page_bytes) * int.from_bytes(header[28:32], "big")
    if path.stat().st_size < expected:
        found = f"{path.stat().st_size:,} bytes"
        raise _refused(path, found, f"{expected:,} bytes, as its header says", "Send it again.")
    uri = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            kinds = dict(
                connection.execute("SELECT name, type || upper(substr(sql, 1, 14)) FROM sqlite_master")
            )
            for table in ("encounter", "entity", "encounter_preview"):
                _only_data(path, connection, table, kinds.get(table))
            columns = {row[1] for row in connection.execute("PRAGMA table_info(encounter)")}
            if not {"id", "last_combat_packet"} <= columns:
                raise _refused(path, "another table encounter", "that of LOA Logs")
            wanted = ["id", "last_combat_packet", *sorted(columns & {"fight_start", "local_player"})]
            query = f"SELECT {', '.join(wanted)} FROM encounter ORDER BY id LIMIT 1"  # noqa: S608 - fixed names
            row = connection.execute(query).fetchone()
    except sqlite3.DatabaseError as error:
        raise _refused(path, f"damage ({error})", "a SQLite database", "Send it again.") from error
    if row is None:
        raise _refused(path, "a database without encounters", "battle logs")
    return _digest(repr(row))


def _only_data(path: Path, connection: sqlite3.Connection, table: str, kind: str | None) -> None:
    """Refuse views, virtual tables and generated columns: reading them may compute endlessly."""
    if kind is None and table == "encounter_preview":
        return
    if kind is None:
        raise _refused(path, "a database of something else", "encounters.db of LOA Logs")
    hidden = [row[6] for row in connection.execute(f"PRAGMA table_xinfo({table})")]
    if not kind.startswith("tableCREATE TABLE"):
        raise _refused(path, f"{table} that is no plain table", "encounters.db of LOA Logs")
    if set(hidden) & set(_HIDDEN_GENERATED):
        raise _refused(path, f"{table} with computed columns", "encounters.db of LOA Logs")


def _table(path: Path, limits: Limits) -> str:
    """A name for the table, derived from its file's name, its columns and its first row."""
    size = path.stat().st_size
    if size > MAX_TABLE_BYTES:
        raise _refused(path, f"{size:,} bytes", f"a table of at most {MAX_TABLE_BYTES:,}", "Split it.")
    with path.open("rb") as file:
        head = file.read(len(player_table.PARQUET_MAGIC))
        file.seek(0)
        beginning = b"".join(file.readline(65536) for _ in range(2))
    if head != player_table.PARQUET_MAGIC:
        player_table.check_table(path)
        return _digest(f"{path.stem}\n{beginning!r}")
    first, unpacked = "", 0
    try:
        with pq.ParquetFile(path) as parquet:
            for batch in parquet.iter_batches(batch_size=_ROWS_PER_BATCH):
                first = first or repr(batch.slice(0, 1).to_pylist())
                unpacked += batch.nbytes
                if unpacked > limits.max_part_bytes:
                    raise _refused(path, "more", f"at most {limits.max_part_bytes:,} bytes unpacked")
    except (pa.ArrowException, OSError) as error:
        raise _refused(path, f"damage ({error})", "a Parquet table", "Send it again.") from error
    player_table.check_table(path)
    return _digest(f"{path.stem}\n{first}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:12]


def _refused(path: Path, found: str, expected: str, advice: str = "") -> UnknownFormat:
    return UnknownFormat(path, found, expected, advice)
