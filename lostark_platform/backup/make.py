"""``lostark backup``: a copy of the data folder and the databases while the platform runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.database.dumps import dump_database
from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.errors import PermanentError
from lostark_assets.lake.tables import open_lake
from lostark_assets.settings import Settings, package_version
from lostark_platform.backup.databases import list_databases
from lostark_platform.backup.files import (
    CopiedFile,
    copy_file,
    copy_folder,
    copy_sqlite,
    copy_table,
    describe_file,
)
from lostark_platform.backup.manifest import (
    DATABASES,
    FORMAT,
    LAKE,
    LANDING,
    MLFLOW,
    STATE,
    Manifest,
    write_manifest,
)
from lostark_platform.terminal import Say

_SQLITE_SUFFIXES = {".db", ".sqlite"}


def make_backup(settings: Settings, target: Path, say: Say) -> Manifest:
    """Copy everything into the new folder ``target``; it has that name once it is complete.

    The order makes the copy consistent although the platform goes on: what refers to something is copied
    before it. An upload waits before its log is raw, a cursor of the ledger stands before the logs it counts
    as collected, and derived rows stand before the raw logs that they come from. What a restored platform
    lacks, it computes or collects once more.

    Raises:
        PermanentError: ``target`` exists, or a database can't be dumped.
    """
    if target.exists():
        raise PermanentError(
            f"{target}: expected a new folder, found one that exists. Nothing was written. Name another."
        )
    began_at, lake = datetime.now(UTC), open_lake(settings)
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    say("copying uploads that wait, and the ledger")
    files = list(copy_folder(settings.landing_dir, partial / LANDING, partial))
    files += _copy_state(settings, partial)
    say("dumping the databases")
    databases = _dump_databases(settings, partial / DATABASES)
    files += [describe_file(path, partial) for path in sorted((partial / DATABASES).iterdir())]
    files += copy_folder(settings.mlflow_artifacts_dir.parent, partial / MLFLOW, partial)
    tables: dict[str, int] = {}
    # By layer, from the last to the first.
    for name in reversed(CONTRACTS):
        if lake.version(name) is not None:
            say(f"copying {name}")
            tables[name], copied = copy_table(lake.open_files(name), partial / LAKE / name, partial)
            files += copied
    manifest = Manifest(FORMAT, package_version(), began_at, datetime.now(UTC), tables, databases, files)
    write_manifest(partial, manifest)
    partial.rename(target)
    return manifest


def _copy_state(settings: Settings, partial: Path) -> Iterator[CopiedFile]:
    folder = settings.state_dir
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix in _SQLITE_SUFFIXES:
            yield copy_sqlite(path, partial / STATE / path.name, partial)
        elif path.suffix == ".json":
            with path.open("rb") as file:
                yield copy_file(file, partial / STATE / path.name, partial)


def _dump_databases(settings: Settings, folder: Path) -> list[str]:
    folder.mkdir()
    with embedded_postgres(settings) as databases:
        urls = list_databases(settings, databases)
        for name, url in urls.items():
            dump_database(url, folder / f"{name}.dump")
    return sorted(urls)
