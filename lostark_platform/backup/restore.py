"""``lostark restore``: a backup into an empty data folder and empty databases."""

from __future__ import annotations

import shutil
from pathlib import Path

from lostark_assets.database.creation import create_database
from lostark_assets.database.dumps import count_tables, restore_database
from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.errors import PermanentError
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.settings import Settings
from lostark_ml.registry.mlflow_database import configured_databases
from lostark_platform.backup.databases import list_databases
from lostark_platform.backup.files import find_damage
from lostark_platform.backup.manifest import DATABASES, LAKE, LANDING, MLFLOW, STATE, Manifest, read_manifest
from lostark_platform.config import RESTORING_FILE
from lostark_platform.terminal import Say

_HARMLESS = {"logs", "numba", "postgres", "postgres.lock", "postgres.users", "up.lock"}
"""What an unused data folder may have: caches, and the databases, which are checked by themselves."""
_BLOCK_BYTES = 4 << 20


def restore_backup(settings: Settings, source: Path, say: Say) -> Manifest:
    """Restore the backup in ``source``.

    Everything is verified before anything is written. While it is being restored the data folder is marked,
    and no platform starts on it.

    Raises:
        PermanentError: the backup is damaged, or folder, lake or databases are not empty.
    """
    manifest = read_manifest(source)
    say(f"verifying {len(manifest.files):,} files, {manifest.bytes:,} bytes")
    if damage := find_damage(source, manifest.files):
        raise PermanentError(
            f"{source}: expected {len(manifest.files):,} files as they were written, found {len(damage)} "
            f"damaged: {'; '.join(damage[:5])}. Nothing was restored. Use another backup."
        )
    lake = open_lake(settings)
    _refuse_used(settings, lake, manifest)
    for setting, url in configured_databases(settings).items():
        create_database(url, setting)
    with embedded_postgres(settings) as databases:
        urls = _get_urls(list_databases(settings, databases), manifest)
        for url in urls.values():
            if found := count_tables(url):
                raise PermanentError(
                    f"{settings.home}: expected empty databases, found {found} tables. Nothing was restored. "
                    "Restore into a new LOSTARK_HOME, or name empty databases."
                )
        marker = settings.home / RESTORING_FILE
        settings.home.mkdir(parents=True, exist_ok=True)
        marker.write_text(str(source.absolute()))
        for name, url in urls.items():
            say(f"restoring the database {name}")
            restore_database(url, source / DATABASES / f"{name}.dump")
    for name, target in (
        (LANDING, settings.landing_dir),
        (STATE, settings.state_dir),
        (MLFLOW, settings.mlflow_artifacts_dir.parent),
    ):
        if (source / name).is_dir():
            shutil.copytree(source / name, target, dirs_exist_ok=True)
    for name in manifest.tables:
        say(f"restoring {name}")
        _upload_table(source / LAKE / name, lake, name)
        if lake.version(name) != manifest.tables[name]:
            raise PermanentError(
                f"{name}: expected version {manifest.tables[name]}, found {lake.version(name)}. The data "
                "folder is not usable: delete it and restore again."
            )
    marker.unlink()
    return manifest


def _refuse_used(settings: Settings, lake: Lake, manifest: Manifest) -> None:
    home = settings.home
    names = home.iterdir() if home.exists() else ()
    used = sorted(path.name for path in names if path.name not in _HARMLESS and not _is_empty(path))
    used += [f"the table {name}" for name in manifest.tables if lake.version(name) is not None]
    if used:
        raise PermanentError(
            f"{home}: expected a new data folder, found {', '.join(used[:5])}. Nothing was restored. Name "
            "another with LOSTARK_HOME, or move this one away."
        )


def _is_empty(path: Path) -> bool:
    """A volume may be mounted at a folder."""
    return path.is_dir() and not any(path.iterdir())


def _get_urls(urls: dict[str, str], manifest: Manifest) -> dict[str, str]:
    found = {name: url for name, url in urls.items() if name in manifest.databases}
    if missing := sorted(set(manifest.databases) - set(found)):
        raise PermanentError(
            f"expected a database for {', '.join(missing)}, found none in the settings. Nothing was "
            "restored. Restore it with pg_restore yourself, or use the embedded PostgreSQL."
        )
    return found


def _upload_table(source: Path, lake: Lake, name: str) -> None:
    """Copy a table's files, its log last and in order, so that no version is there before its files."""
    files = lake.open_files(name)
    paths = sorted(path for path in source.rglob("*") if path.is_file())
    paths.sort(key=lambda path: "_delta_log" in path.parts)
    for path in paths:
        to = path.relative_to(source).as_posix()
        # Also of the table itself, which has no folder yet.
        files.create_dir(to.rpartition("/")[0] or ".", recursive=True)
        # Buffered, since delta-rs's streams take no Arrow buffers, which unbuffered writes hand on.
        stream = files.open_output_stream(to, compression=None, buffer_size=2 * _BLOCK_BYTES)
        with path.open("rb") as file, stream as sink:
            shutil.copyfileobj(file, sink, _BLOCK_BYTES)
