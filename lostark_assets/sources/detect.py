"""Finding the sources at a path, and detecting a file's format by its content."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lostark_assets.errors import SourceBusy, SourceError, SourceMissing, UnexpectedError, UnknownFormat
from lostark_assets.gunzip import GZIP_MAGIC, gunzip_start
from lostark_assets.observability.logs import report_unexpected
from lostark_assets.settings import Settings
from lostark_assets.sources.loa_logs_db import SQLITE_MAGIC, LoaLogsDb
from lostark_assets.sources.player_table import (
    PARQUET_MAGIC,
    PlayerTable,
    csv_header,
    missing_columns,
    parquet_columns,
)
from lostark_assets.sources.protocol import Source
from lostark_assets.sources.upload_json import UploadJson, is_battle_log_json, looks_like_upload_json

_HEAD_BYTES = 65536
_OTHER_JSON, _OTHER_TABLE = "JSON of something else", "a table of something else"
_OTHER_CONTENT = {_OTHER_JSON, _OTHER_TABLE}
_SIDE_FILES = ("-wal", "-shm", "-journal")
"""Name endings of SQLite's own files beside a database."""
_OUR_SUFFIXES = {".db", ".sqlite", ".sqlite3", ".json", ".parquet", ".csv"}


@dataclass(frozen=True)
class ImportArguments:
    """Arguments of an import, for what its files don't contain; ``source`` names the source."""

    source: str | None = None
    raid: str | None = None
    gate: str | None = None
    boss: str | None = None
    difficulty: str | None = None
    region: str | None = None

    def given_names(self) -> list[str]:
        """Names of the given arguments that describe the logs themselves."""
        return [name for name, value in self.context().items() if value is not None]

    def context(self) -> Mapping[str, str | None]:
        """The arguments that are stored with every log of a table."""
        return {
            "raid": self.raid,
            "gate": self.gate,
            "boss": self.boss,
            "difficulty": self.difficulty,
            "region": self.region,
        }


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes above which a file or an unpacked part is refused."""

    max_file_bytes: int = 1 << 30
    max_part_bytes: int = 256 << 20


@dataclass(frozen=True)
class Found:
    """One file or URL: a source to read, or an error. ``skipped``: what else a file in a folder is."""

    path: Path | str
    source: Source | None = None
    error: SourceError | SourceBusy | UnexpectedError | None = None
    skipped: str = field(default="")


def find_sources(
    path: Path, arguments: ImportArguments = ImportArguments(), limits: Limits = Limits()
) -> Iterator[Found]:
    """The sources at ``path``: itself, or every file of a folder (and below), in name order."""
    if not path.exists():
        yield Found(path, error=SourceMissing(path))
        return
    if not path.is_dir():
        yield _found(path, arguments, limits, named=True)
        return
    unreadable: list[OSError] = []
    files = sorted(walk_files(path, unreadable.append))
    for error in unreadable:
        culprit = Path(error.filename or path)
        yield Found(culprit, error=_unreadable(culprit, error))
    for file in files:
        if not file.name.endswith(_SIDE_FILES):
            yield _found(file, arguments, limits, named=False)


def walk_files(folder: Path, on_error: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """The files of ``folder`` and below that are not hidden; unreadable folders go to ``on_error``."""
    for parent, folders, names in os.walk(folder, onerror=on_error):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _unreadable(path: Path, error: OSError) -> SourceBusy:
    return SourceBusy(
        f"{path}: expected a readable file, found {error}. It was not collected, nothing was changed. "
        "Check its permissions and its disk; a watched folder is tried again by itself."
    )


def _found(path: Path, arguments: ImportArguments, limits: Limits, *, named: bool) -> Found:
    """A file ``named`` by the user must be a battle log; one inside a folder may be something else."""
    try:
        if not (named or path.is_file()):
            return Found(path, skipped="no regular file")
        return Found(path, open_source(path, arguments, limits))
    except UnknownFormat as error:
        damaged = any(s.lower() in _OUR_SUFFIXES for s in path.suffixes) and error.found not in _OTHER_CONTENT
        if named or damaged:
            return Found(path, error=error)
        return Found(path, skipped=error.found)
    except OSError as error:
        return Found(path, error=_unreadable(path, error))
    except Exception as error:  # noqa: BLE001 - a file may hold anything: it alone is refused
        return Found(path, error=report_unexpected(f"opening {path}", error))


def open_source(
    path: Path, arguments: ImportArguments = ImportArguments(), limits: Limits = Limits()
) -> Source:
    """The source that reads ``path``, chosen by the file's content.

    Raises:
        UnknownFormat: none of the formats we read.
        OSError: the file can't be opened.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise UnknownFormat(path, "an empty file", "a battle log", "Check how it was written.")
    if head.startswith(SQLITE_MAGIC):
        return LoaLogsDb(path, arguments.source or "loa_logs")
    if head.startswith(PARQUET_MAGIC):
        lacking = missing_columns(parquet_columns(path))
        if lacking:
            raise UnknownFormat(path, _OTHER_TABLE, f"a player table with {lacking}", "Is it another export?")
        return _player_table(path, arguments)
    if looks_like_upload_json(head, path.suffixes):
        _refuse_other_json(path, head)
        return UploadJson(
            path,
            arguments.source or "upload_json",
            max_file_bytes=limits.max_file_bytes,
            max_part_bytes=limits.max_part_bytes,
        )
    columns = csv_header(head)
    if columns and not missing_columns(columns):
        return _player_table(path, arguments)
    what = _OTHER_TABLE if columns else "none of their signatures"
    raise UnknownFormat(
        path,
        what,
        "LOA Logs encounters.db, upload JSON (.json, .json.gz) or a player table (Parquet, CSV)",
        "",
    )


def _player_table(path: Path, arguments: ImportArguments) -> PlayerTable:
    name = arguments.source or f"player_table:{path.stem}"
    return PlayerTable(path, name, {**arguments.context(), "file_name": path.stem})


def _refuse_other_json(path: Path, head: bytes) -> None:
    """Refuse valid JSON that is no battle log, rather than treat it as a broken one."""
    plain = gunzip_start(head) if head.startswith(GZIP_MAGIC) else head
    if is_battle_log_json(plain) or (path.stat().st_size > _HEAD_BYTES and _has_marks(path, head)):
        return
    import json  # noqa: PLC0415 - only for small files that hold no mark of a battle log

    try:
        if path.stat().st_size <= _HEAD_BYTES:
            json.loads(plain)
        elif head.startswith(GZIP_MAGIC):
            return
    except (ValueError, RecursionError):
        return
    raise UnknownFormat(path, _OTHER_JSON, "a LOA Logs upload", "It has none of a battle log's fields.")


def _has_marks(path: Path, head: bytes) -> bool:
    if head.startswith(GZIP_MAGIC):
        return True
    tail = b""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            if is_battle_log_json(tail + block):
                return True
            tail = block[-64:]
    return False


def build_limits(settings: Settings) -> Limits:
    """The size limits of the settings."""
    return Limits(max_file_bytes=int(settings.max_log_bytes), max_part_bytes=int(settings.max_part_bytes))
