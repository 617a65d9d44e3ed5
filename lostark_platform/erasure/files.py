"""Finding a name in the data folder's files, packed ones too, and blotting it out of those that keep texts.

What does not belong here: tables, databases, and battle logs (``forget``).
"""

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

_SEARCHED_ELSEWHERE = {"lake", "postgres"}
"""As tables."""
_BLOCK = 1 << 20
_UNREADABLE = (OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile, sqlite3.Error)
"""What a damaged or encrypted pack ends with; what stands before the damage was searched."""


def count_files(settings: Settings, player: str) -> Iterator[tuple[str, int, int]]:
    """By folder of the data folder: its name, how many files hold the name, how many were searched."""
    limit = int(settings.max_log_bytes)
    for part in sorted(settings.home.glob("*")):
        if part.name not in _SEARCHED_ELSEWHERE:
            files = list(_list_files(part))
            held = sum(_holds(path, player, limit) for path in files)
            yield f"files in {part.name}" if part.is_dir() else "files of the data folder", held, len(files)


def blot_files(settings: Settings, player: str) -> dict[str, int]:
    """Blot the name out of logs, of what Dagster captured and of tickets; place to how often it stood there.

    Byte for byte, since whoever writes them has them open.
    """
    texts = {
        "log files": _list_files(settings.logs_dir),
        "Dagster's captured output": _list_files(settings.dagster_home),
        "tickets of uploads": settings.landing_dir.glob("*/.*.json"),
    }
    done = {place: sum(_blot(path, player) for path in files) for place, files in texts.items()}
    done["ledger of collections"] = _blot_ledger(settings.state_dir / LEDGER_FILE, player)
    return {place: count for place, count in done.items() if count}


def _list_files(place: Path) -> Iterable[Path]:
    found = [place] if place.is_file() else sorted(place.rglob("*"))
    return [path for path in found if path.is_file()]


def _holds(path: Path, player: str, limit: int) -> bool:
    pattern = _bytes_pattern(player)
    try:
        texts = (block for file in _streams(path) for _, block in _blocks(file, player, limit))
        return any(map(pattern.search, chain(texts, _values(path))))
    except _UNREADABLE:
        return False


def _values(path: Path) -> Iterator[bytes]:
    """Texts and bytes of an SQLite file, one by one: in the file itself nothing stands between them."""
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
    """The file as it is, then what it holds if it is a gzip or a zip."""
    with path.open("rb") as file:
        is_gzip = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        yield file
    if is_gzip:
        with gzip.open(path) as unpacked:
            yield unpacked  # type: ignore[misc]
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as pack:
            for name in pack.namelist():
                with pack.open(name) as member:
                    yield member


def _bytes_pattern(player: str) -> re.Pattern[bytes]:
    """The name in UTF-8 or as JSON writes it in ASCII; not as a part of a longer one, Korean ones too."""
    forms = {form for name in spellings(player) for form in (name, json.dumps(name)[1:-1])}
    escaped = [re.escape(form.encode()) for form in sorted(forms, key=len, reverse=True)]
    options = b"|".join(escaped)
    return re.compile(rb"(?<![\w\x80-\xff])(?:" + options + rb")(?![\w\x80-\xff])")


def _blocks(file: IO[bytes], player: str, limit: int | None = None) -> Iterator[tuple[int, bytes]]:
    """The file in blocks that overlap by more than the name, each with where it begins."""
    overlap, at, tail = 18 * len(player) + 8, 0, b""
    while (block := file.read(_BLOCK)) and (limit is None or at < limit):
        yield at, tail + block
        tail = (tail + block)[-overlap:]
        at = file.tell() - len(tail)


def _blot(path: Path, player: str) -> int:
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


def _blot_ledger(path: Path, player: str) -> int:
    """The ledger's texts are errors of sources and notes of detectors: either may name a file or a player."""
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
                    f'UPDATE "{table}" SET "{column}" = blotted("{column}") WHERE is_named("{column}")'  # noqa: S608 - names of our own schema
                ).rowcount
    return changed


@contextmanager
def _writing(path: Path, pattern: str) -> Iterator[sqlite3.Connection]:
    compiled = re.compile(pattern)
    with closing(sqlite3.connect(path, timeout=15)) as connection:
        connection.create_function("is_named", 1, lambda t: t is not None and bool(compiled.search(t)))
        connection.create_function("blotted", 1, lambda text: compiled.sub("x", text))
        before = connection.total_changes
        with connection:
            yield connection
        if connection.total_changes != before:
            # Until then the old texts stand in freed pages, and in the write-ahead log.
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
