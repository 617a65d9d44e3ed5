"""Copying files into and out of a backup, with the digest of what was copied."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow.fs as pa_fs
from deltalake import DeltaTable

from lostark_assets.errors import TransientError

_BLOCK_BYTES = 4 << 20
_COMMIT = re.compile(r"(\d{20})\.(?:json|checkpoint\..*parquet|checkpoint\.parquet)$")
_LOG = "_delta_log"
_TRIES = 3


class CopiedFile(msgspec.Struct, frozen=True):
    """One file of a backup; ``path`` is relative to its folder."""

    path: str
    bytes: int
    sha256: str


class TableChanged(TransientError):
    """Files of the version that is copied were deleted meanwhile."""


def copy_file(source: BinaryIO, target: Path, root: Path) -> CopiedFile:
    """Copy what is left of ``source`` to ``target``, below the backup's folder ``root``."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        while block := source.read(_BLOCK_BYTES):
            digest.update(block)
            size += file.write(block)
    return CopiedFile(target.relative_to(root).as_posix(), size, digest.hexdigest())


def describe_file(path: Path, root: Path) -> CopiedFile:
    """Size and digest of a file that is there."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return CopiedFile(path.relative_to(root).as_posix(), path.stat().st_size, digest)


def copy_folder(source: Path, target: Path, root: Path) -> Iterator[CopiedFile]:
    """Copy the files of a folder and below; those that vanish meanwhile, and locks, are left out."""
    for path in sorted(source.rglob("*")):
        if path.suffix == ".lock" or not path.is_file():
            continue
        try:
            with path.open("rb") as file:
                yield copy_file(file, target / path.relative_to(source), root)
        except FileNotFoundError:
            continue


def copy_sqlite(source: Path, target: Path, root: Path) -> CopiedFile:
    """Copy a SQLite database that others may be writing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)
    return describe_file(target, root)


def copy_table(files: pa_fs.FileSystem, target: Path, root: Path) -> tuple[int, list[CopiedFile]]:
    """Copy the newest version of a Delta table with its log and the files of older versions.

    Args:
        files: a filesystem whose root is the table.
        target: the folder of the copy.
        root: the backup's folder.

    Returns:
        The version, and the copied files.

    Raises:
        TableChanged: its files were deleted, every time that it was tried.
    """
    for _ in range(_TRIES):
        version, copied = _copy_version(files, target, root)
        table = DeltaTable(str(target))
        missing = [uri for uri in table.file_uris() if not Path(uri.removeprefix("file://")).exists()]
        if table.version() == version and not missing:
            return version, copied
        for one in copied:
            (root / one.path).unlink()
    raise TableChanged(
        f"{target.name}: expected {len(missing)} more files of version {version}, found them deleted. The "
        "backup is not complete. Try again when no erasure runs."
    )


def _copy_version(files: pa_fs.FileSystem, target: Path, root: Path) -> tuple[int, list[CopiedFile]]:
    commits = {path: int(found[1]) for path in _list(files, _LOG) if (found := _COMMIT.search(path))}
    version = max(number for path, number in commits.items() if path.endswith(".json"))
    wanted = [path for path, number in commits.items() if number <= version]
    # Listed after the log: what the version needs is there. What is written meanwhile belongs to no version.
    wanted += [path for path in _list(files, "") if not path.startswith((_LOG, "."))]
    copied = []
    for path in sorted(wanted):
        try:
            with files.open_input_stream(path, compression=None) as source:
                copied.append(copy_file(source, target / path, root))
        except FileNotFoundError:
            continue
    return version, copied


def _list(files: pa_fs.FileSystem, folder: str) -> list[str]:
    selector = pa_fs.FileSelector(folder, recursive=True)
    return [found.path for found in files.get_file_info(selector) if found.type == pa_fs.FileType.File]


def find_damage(root: Path, files: Iterable[CopiedFile]) -> list[str]:
    """What differs from what was written: one sentence per file, none if all are whole."""
    found = []
    for one in files:
        path = root / one.path
        if not path.is_file():
            found.append(f"{one.path} is missing")
        elif describe_file(path, root) != one:
            found.append(f"{one.path} has other content")
    return found
