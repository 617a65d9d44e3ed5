"""Reading the lake's Delta tables: snapshots, files and rows."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pa_fs
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.errors import NotFound
from lostark_assets.lake.files import covers_all, read_files, split_groups

METADATA_KEY = "lostark.note"
"""Key in Delta's commit info; unchanged, since existing commits have it."""
_MAX_FILES_KEPT = 1000
"""Of a cached dataset: the footers of 100 files of 80 columns take some 20 MB."""


@dataclass
class OpenTable:
    """A table at one version, the identity of its newest commit's file, and its cached datasets."""

    table: DeltaTable
    commit: tuple[int, ...] | None
    datasets: dict[tuple[str, ...], ds.Dataset] = field(default_factory=dict)


@dataclass(frozen=True)
class LakeReader:
    """All tables under one folder or object-store URL, for reading.

    In a folder a table stays open until the next commit to it: opening reads its log, and the first read of a
    dataset the footer of every file.
    """

    url: str
    storage_options: dict[str, str] | None = None
    _snapshots: dict[str, OpenTable] = field(default_factory=dict, init=False, repr=False, compare=False)
    _written: dict[str, OpenTable] = field(default_factory=dict, init=False, repr=False, compare=False)

    def table_url(self, name: str) -> str:
        """Path or URL of the table."""
        return f"{self.url.rstrip('/')}/{name}"

    def open(self, name: str, version: int | None = None) -> DeltaTable | None:
        """The Delta table, or None if nothing was ever committed to it.

        Raises:
            NotFound: it has no such ``version``.
        """
        snapshot = self._snapshot(name, version)
        return None if snapshot is None else snapshot.table

    def _snapshot(self, name: str, version: int | None = None) -> OpenTable | None:
        known = self._snapshots.get(name) if version is None else None
        if known and self._is_newest(name, known):
            return known
        if version is None and (written := self._last_written(name)):
            # The last writer's table now belongs to this reader; the next writer opens its own.
            self._snapshots[name] = written
            return written
        table = self._opened(name, version)
        if table is None:
            return None
        found = OpenTable(table, None)
        if version is None:
            found.commit = self._newest_commit(name, table.version())
            self._snapshots[name] = found
        return found

    def _opened(self, name: str, version: int | None = None) -> DeltaTable | None:
        """The newest version, None where there is no table; or the given one.

        Raises:
            NotFound: there is no such version, or its log was cleaned up.
        """
        try:
            return DeltaTable(self.table_url(name), version=version, storage_options=self.storage_options)
        except DeltaError as error:
            # If the store is unreachable, opening the newest version raises as well.
            if version is not None and (self._opened(name) or isinstance(error, TableNotFoundError)):
                raise NotFound(
                    f"{name}: expected version {version}, which its log does not have, or no longer: "
                    f"{error}. Its newest rows are unchanged. Request a newer version."
                ) from error
            if version is None and isinstance(error, TableNotFoundError):
                return None
            raise

    def _last_written(self, name: str) -> OpenTable | None:
        """The table of this process's last writer, if no commit followed; only one caller gets it."""
        known = self._written.pop(name, None)
        return known if known and self._is_newest(name, known) else None

    def _is_newest(self, name: str, known: OpenTable) -> bool:
        return known.commit is not None and known.commit == self._newest_commit(name, known.table.version())

    def _newest_commit(self, name: str, version: int) -> tuple[int, ...] | None:
        """Identity of this commit's file; None if it is not the newest, or on an object store."""
        if "://" in self.url:
            return None
        log = Path(self.table_url(name)) / "_delta_log"
        if (log / f"{version + 1:020}.json").exists():
            return None
        with contextlib.suppress(FileNotFoundError):
            found = (log / f"{version:020}.json").stat()
            return version, found.st_ino, found.st_mtime_ns
        return None

    def version(self, name: str) -> int | None:
        """The newest committed version of the table, by which models and pages refer to a snapshot."""
        table = self.open(name)
        return None if table is None else table.version()

    def is_at(self, name: str, version: int | None) -> bool:
        """Whether ``version`` still is the table's newest (None: there is no table), without opening it."""
        if "://" in self.url:
            return self.version(name) == version
        log = Path(self.table_url(name)) / "_delta_log"
        if version is None:
            return not log.is_dir()
        # If the version's file is missing, it was cleaned up or the table was replaced: open the table.
        if not (log / f"{version:020}.json").exists():
            return self.version(name) == version
        return not (log / f"{version + 1:020}.json").exists()

    def days_written(self, name: str, since: datetime) -> set[date]:
        """Fight days of the files written at or after ``since``, rewritten rows included."""
        table = self.open(name)
        if table is None:
            return set()
        recent = _files_since(table, since) or set()
        if "fight_date" in CONTRACTS[name].partition_by:
            added = pa.table(table.get_add_actions(flatten=True))
            pairs = zip(added["path"].to_pylist(), added["partition.fight_date"].to_pylist(), strict=True)
            return {as_date(at) for path, at in pairs if unquote(Path(path).name) in recent}
        return set(pc.unique(self.rows_written(name, ["fight_date"], since)["fight_date"]).to_pylist())

    def rows_written(self, name: str, columns: Sequence[str], since: datetime) -> pa.Table:
        """Some columns of the files written at or after ``since``, rewritten rows included."""
        dataset = self.dataset(name)
        table = self.open(name)
        recent = set() if table is None else _files_since(table, since) or set()
        parts = [
            fragment.to_table(schema=dataset.schema, columns=list(columns))
            for fragment in dataset.get_fragments()
            if Path(fragment.path).name in recent
        ]
        empty = CONTRACTS[name].empty().select(list(columns))
        return pa.concat_tables([empty, *parts], promote_options="permissive")

    def dataset(
        self,
        name: str,
        *,
        days: Iterable[date] | None = None,
        dictionary: Sequence[str] = (),
        version: int | None = None,
    ) -> ds.Dataset:
        """The table's snapshot as an Arrow dataset, only files of ``days`` where given."""
        return self._dataset(name, self._snapshot(name, version), days, dictionary)

    def _dataset(
        self,
        name: str,
        snapshot: OpenTable | None,
        days: Iterable[date] | None = None,
        dictionary: Sequence[str] = (),
    ) -> ds.Dataset:
        """The snapshot with every column of the contract, also before the first commit that has it.

        A dataset of all days is cached with its files' footers.
        """
        if snapshot is None:
            return ds.dataset(CONTRACTS[name].empty())
        key = tuple(sorted(dictionary))
        if days is None and key in snapshot.datasets:
            return snapshot.datasets[key]
        made = snapshot.table.to_pyarrow_dataset(
            file_pruning_predicate=None
            if days is None
            else [("fight_date", "in", [d.isoformat() for d in days])],
            parquet_read_options=ds.ParquetReadOptions(dictionary_columns=set(dictionary))
            if dictionary
            else None,
            filesystem=self._filesystem(name),
        )
        if "://" not in self.url:
            # Reading ahead pays off on an object store, but costs a third on a local disk.
            made.format.default_fragment_scan_options = ds.ParquetFragmentScanOptions(pre_buffer=False)
        known = made.schema.names
        gained = [pa.field(f.name, f.type) for f in CONTRACTS[name].schema if f.name not in known]
        if gained:
            made = made.replace_schema(pa.schema([*made.schema, *gained]))
        if days is None and len(made.files) <= _MAX_FILES_KEPT:
            snapshot.datasets[key] = made
        return made

    def _filesystem(self, name: str) -> pa_fs.FileSystem | None:
        """Arrow's own filesystem if the lake is a folder; None lets delta-rs read its object store.

        delta-rs's readers are Python objects: an Arrow thread that releases one while the interpreter shuts
        down aborts the process ("terminate called without an active exception").
        """
        if "://" in self.url:
            return None
        return pa_fs.SubTreeFileSystem(str(Path(self.table_url(name)).absolute()), pa_fs.LocalFileSystem())

    def read(
        self,
        name: str,
        *,
        columns: Sequence[str] | None = None,
        days: Iterable[date] | None = None,
        where: pc.Expression | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """Rows of the newest version, or of the given one; empty before the first commit.

        Raises:
            NotFound: there is no such ``version``.
        """
        days = None if days is None else list(days)
        if days == []:
            schema = CONTRACTS[name].schema
            return pa.table({c: pa.array([], schema.field(c).type) for c in columns or schema.names})
        dataset = self.dataset(name, days=days, version=version)
        wanted = dataset.schema.names if columns is None else list(columns)
        if wanted and "://" not in self.url and isinstance(dataset, ds.FileSystemDataset):
            schema = pa.schema([dataset.schema.field(c) for c in wanted])
            if where is None or covers_all(schema, where):
                return read_files(dataset, schema, where, CONTRACTS[name].partition_by)
        return dataset.to_table(columns=wanted, filter=where)

    def frame(self, name: str, columns: Sequence[str], engine: str) -> Any:
        """Some columns of all rows, read by the given engine.

        Polars reads a hundred files with many columns in a third of Arrow's time.
        """
        table = self.open(name)
        in_the_path = set(columns) & set(CONTRACTS[name].partition_by)
        if engine != "polars" or "://" in self.url or table is None or in_the_path:
            return self.read(name, columns=columns)
        import polars as pl  # noqa: PLC0415 - takes half a second to import

        wanted = cast("pl.DataFrame", pl.from_arrow(CONTRACTS[name].empty().select(list(columns))))
        files = [str(Path(self.table_url(name), path)) for path in self.dataset(name).files]
        if not files:
            return wanted
        return pl.scan_parquet(
            files, schema=wanted.schema, missing_columns="insert", extra_columns="ignore", glob=False
        ).collect()

    def groups_with(
        self,
        name: str,
        id_column: str,
        ids: Iterable[str],
        columns: Sequence[str],
        *,
        since: datetime | None = None,
        days: Iterable[date] | None = None,
        dictionary: Sequence[str] = (),
        all_there: bool = False,
    ) -> Iterator[pa.Table]:
        """The rows whose ``id_column`` is one of ``ids``, a row group at a time, in stored order.

        Reads no file written before ``since`` (the wanted rows are not older), and of the others only the row
        groups with wanted rows. ``all_there`` says that every id has rows: those missing in the newer files,
        because a clock was put back, are searched in the older ones.
        """
        wanted = pa.array(sorted(set(ids)), pa.string())
        snapshot = self._snapshot(name)
        if snapshot is None or not len(wanted):
            return
        recent = _files_since(snapshot.table, since)
        if recent == set() and not all_there:
            return
        dataset = self._dataset(name, snapshot, days, dictionary)
        schema = dataset.schema

        def find_path(fragment: ds.ParquetFileFragment) -> Path | None:
            return None if "://" in self.url else Path(self.table_url(name), fragment.path)

        fragments = sorted(dataset.get_fragments(), key=lambda f: f.path)
        newer = [f for f in fragments if recent is None or Path(f.path).name in recent]
        found: set[str] = set()
        for fragment in newer:
            for ids_here, rows in split_groups(
                fragment, schema, id_column, wanted, columns, find_path(fragment)
            ):
                if all_there:
                    found.update(pc.unique(ids_here).to_pylist())
                yield rows
        missing = pa.array(sorted(set(wanted.to_pylist()) - found), pa.string())
        if all_there and len(missing) and len(newer) < len(fragments):
            for fragment in [f for f in fragments if f not in newer]:
                for _, rows in split_groups(
                    fragment, schema, id_column, missing, columns, find_path(fragment)
                ):
                    yield rows

    def days(self, name: str) -> list[date]:
        """The fight days with rows, ascending."""
        table = self.open(name)
        if table is None:
            return []
        return sorted({date.fromisoformat(p["fight_date"]) for p in table.partitions()})

    def head(
        self, name: str, columns: Sequence[str], *, days: Iterable[date] | None = None, rows: int = 50
    ) -> pa.Table:
        """The first rows (of ``days``, where given), without reading the others."""
        return self.dataset(name, days=days).head(rows, columns=list(columns))

    def rows_by_day(self, name: str) -> dict[date, int]:
        """Number of rows of each fight day, from the table's log only."""
        table = self.open(name)
        counts: dict[date, int] = {}
        if table is not None:
            added = pa.table(table.get_add_actions(flatten=True))
            pairs = zip(
                added["partition.fight_date"].to_pylist(), added["num_records"].to_pylist(), strict=True
            )
            for at, rows in pairs:
                day = as_date(at)
                counts[day] = counts.get(day, 0) + rows
        return counts

    def day_digests(self, name: str, version: int | None = None) -> dict[date, str]:
        """A digest of the files of each fight day, which changes exactly when a commit rewrites the day."""
        table = self.open(name, version)
        paths: dict[date, list[str]] = {}
        if table is not None:
            added = pa.table(table.get_add_actions(flatten=True))
            for path, at in zip(
                added["path"].to_pylist(), added["partition.fight_date"].to_pylist(), strict=True
            ):
                paths.setdefault(as_date(at), []).append(path)
        return {
            day: hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()[:16]
            for day, found in paths.items()
        }

    def count(self, name: str, days: Iterable[date] | None = None) -> int:
        """Number of rows."""
        days = None if days is None else list(days)
        return 0 if days == [] else self.dataset(name, days=days).count_rows()

    def commit_metadata(self, name: str, version: int) -> dict[str, str]:
        """The metadata committed with that version; empty if there was none."""
        table = self.open(name)
        # The whole history: delta-rs numbers a limited one wrongly.
        commits = [] if table is None else table.history()
        return next((json.loads(c.get(METADATA_KEY, "{}")) for c in commits if c["version"] == version), {})


def _files_since(table: DeltaTable, since: datetime | None) -> set[str] | None:
    """Names of the files written at or after ``since``; None for all. Delta stores the time in ms."""
    if since is None:
        return None
    added = pa.table(table.get_add_actions(flatten=True))
    paths, written = added["path"].to_pylist(), added["modification_time"].to_pylist()
    floor = since.timestamp() - 5
    return {unquote(Path(p).name) for p, at in zip(paths, written, strict=True) if _seconds(at) >= floor}


def _seconds(at: Any) -> float:
    return at.timestamp() if isinstance(at, datetime) else at / 1000


def as_date(at: date | str) -> date:
    """A day from the log, which has it as a date or as text."""
    return at if isinstance(at, date) else date.fromisoformat(at)
