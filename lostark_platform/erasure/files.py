"""Search the data folder's files for a name, compressed ones too, and redact it in logs and the ledger."""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import IO

from lostark_assets.gunzip import GZIP_MAGIC
from lostark_assets.ledger import LEDGER_FILE
from lostark_assets.settings import Settings
from lostark_assets.sources.loa_logs_db import SQLITE_MAGIC
from lostark_platform.erasure.rename import build_pattern, spellings

_SEARCHED_AS_TABLES = {"lake", "postgres"}
_BLOCK = 1 << 20
_UNREADABLE = (OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile, sqlite3.Error)
"""Errors of a damaged or encrypted archive; the part before the damage has been searched."""


def count_files(settings: Settings, player: str) -> Iterator[tuple[str, int, int]]:
    """For each folder of the data folder: label, number of files with the name, number searched."""
    limit = int(settings.max_log_bytes)
    for part in sorted(settings.home.glob("*")):
        if part.name not in _SEARCHED_AS_TABLES:
            files = list(_list_files(part))
            matches = sum(_contains(path, player, limit) for path in files)
            place = f"files in {part.name}" if part.is_dir() else "files of the data folder"
            yield place, matches, len(files)


def redact_files(settings: Settings, player: str) -> dict[str, int]:
    """Redact the name in log files, Dagster's captured output and upload tickets; returns matches by place.

    Files are overwritten in place, byte for byte, since other processes have them open.
    """
    texts = {
        "log files": _list_files(settings.logs_dir),
        "Dagster's captured output": _list_files(settings.dagster_home),
        "tickets of uploads": settings.landing_dir.rglob(".*.json"),
    }
    done = {place: sum(_redact(path, player) for path in files) for place, files in texts.items()}
    done["ledger of collections"] = _redact_ledger(settings.state_dir / LEDGER_FILE, player)
    return {place: count for place, count in done.items() if count}


def _list_files(place: Path) -> Iterable[Path]:
    found = [place] if place.is_file() else sorted(place.rglob("*"))
    return [path for path in found if path.is_file()]


def _contains(path: Path, player: str, limit: int) -> bool:
    pattern = _bytes_pattern(player)
    try:
        texts = (block for file in _streams(path) for _, block in _blocks(file, player, limit))
        return any(map(pattern.search, chain(texts, _values(path))))
    except _UNREADABLE:
        return False


def _values(path: Path) -> Iterator[bytes]:
    """Text and blob values of an SQLite file, one by one: the file stores them without separators."""
    with path.open("rb") as file:
        if file.read(len(SQLITE_MAGIC)) != SQLITE_MAGIC:
            return
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=15)) as connection:
        connection.text_factory = bytes
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            quoted = table.decode().replace('"', '""')
            for row in connection.execute(f'SELECT * FROM "{quoted}"'):  # noqa: S608 - quoted
                yield from (value for value in row if isinstance(value, bytes))


def _streams(path: Path) -> Iterator[IO[bytes]]:
    """The file as it is, then its decompressed content if it is a gzip or zip file."""
    with path.open("rb") as file:
        is_gzip = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        yield file
    if is_gzip:
        with gzip.open(path) as decompressed:
            yield decompressed  # type: ignore[misc]
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    yield member


def _bytes_pattern(player: str) -> re.Pattern[bytes]:
    """The name in UTF-8 or escaped as in ASCII JSON, but not as part of a longer (also Korean) name."""
    forms = {form for name in spellings(player) for form in (name, json.dumps(name)[1:-1])}
    escaped = [re.escape(form.encode()) for form in sorted(forms, key=len, reverse=True)]
    options = b"|".join(escaped)
    return re.compile(rb"(?<![\w\x80-\xff])(?:" + options + rb")(?![\w\x80-\xff])")


def _blocks(file: IO[bytes], player: str, limit: int | None = None) -> Iterator[tuple[int, bytes]]:
    """The file in blocks that overlap by more than the name's length, each with its offset."""
    overlap, at, tail = 18 * len(player) + 8, 0, b""
    while (block := file.read(_BLOCK)) and (limit is None or at < limit):
        yield at, tail + block
        tail = (tail + block)[-overlap:]
        at = file.tell() - len(tail)


def _redact(path: Path, player: str) -> int:
    pattern = _bytes_pattern(player)
    try:
        with path.open("rb") as file:
            places = {
                (at + found.start(), found.end() - found.start())
                for at, block in _blocks(file, player)
                for found in pattern.finditer(block)
            }
        if places:
            with path.open("r+b") as file:
                for at, length in sorted(places):
                    file.seek(at)
                    file.write(b"x" * length)
    except FileNotFoundError:  # rotated away meanwhile
        return 0
    return len(places)


def _redact_ledger(path: Path, player: str) -> int:
    """Redact error texts in the ledger, which may quote a file name or a player name."""
    if not path.exists():
        return 0
    changed = 0
    with _writing(path, build_pattern(player)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            columns = [
                row[1] for row in connection.execute(f'PRAGMA table_info("{table}")') if row[2] == "TEXT"
            ]
            for column in columns:
                changed += connection.execute(
                    f'UPDATE "{table}" SET "{column}" = redacted("{column}") WHERE is_named("{column}")'  # noqa: S608 - names of our own schema
                ).rowcount
    return changed


@contextmanager
def _writing(path: Path, pattern: str) -> Iterator[sqlite3.Connection]:
    compiled = re.compile(pattern)
    with closing(sqlite3.connect(path, timeout=15)) as connection:
        connection.create_function("is_named", 1, lambda t: t is not None and bool(compiled.search(t)))
        connection.create_function("redacted", 1, lambda text: compiled.sub("x", text))
        before = connection.total_changes
        with connection:
            yield connection
        if connection.total_changes != before:
            # The old texts stay in freed pages and in the write-ahead log until then.
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
