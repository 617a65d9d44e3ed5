"""What a backup holds: ``manifest.json``, written last, so that a folder without it is no backup."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from lostark_assets.errors import PermanentError
from lostark_platform.backup.files import CopiedFile

FORMAT = 1
MANIFEST = "manifest.json"
LAKE, LANDING, STATE, MLFLOW, DATABASES = "lake", "landing", "state", "mlflow", "databases"


class Manifest(msgspec.Struct, frozen=True):
    """Content of a backup. ``tables``: versions of the lake's tables; ``databases``: names of dumps."""

    format: int
    package_version: str
    began_at: datetime
    ended_at: datetime
    tables: dict[str, int]
    databases: list[str]
    files: list[CopiedFile]

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write it into the backup's folder."""
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup.

    Raises:
        PermanentError: the folder is no backup, or one of a newer platform.
    """
    path = folder / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise PermanentError(
            f"{folder}: expected a backup with {MANIFEST}, found {error}. Nothing was restored. Name the "
            "folder that `lostark backup` wrote; one whose name ends with .partial is not finished."
        ) from error
    if manifest.format > FORMAT:
        raise PermanentError(
            f"{folder}: expected a backup of format {FORMAT} or older, found {manifest.format}, written by "
            f"version {manifest.package_version}. Nothing was restored. Update the platform."
        )
    return manifest
