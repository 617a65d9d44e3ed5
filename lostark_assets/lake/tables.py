"""Reading and writing the lake's Delta tables.

The only place that knows the storage format. What does not belong here: what the rows mean (``contracts``),
or when they are written (assets). Every write is one atomic Delta commit.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pa_fs
from deltalake import ColumnProperties, CommitProperties, DeltaTable, WriterProperties
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions
from filelock import FileLock
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.table import Contract
from lostark_assets.errors import LakeBusy
from lostark_assets.lake.files import RAW_GROUP_ROWS, schema_of, shaped, text_of, write_file, write_rows

_CONFIGURATION = {
    # Column extremes in the log serve none of our reads (ids are hashes) and make opening a dataset slow.
    "delta.dataSkippingNumIndexedCols": "0",
    # Whoever opens a table reads every commit since the last checkpoint, .4 ms each.
    "delta.checkpointInterval": "10",
}
"""Of tables made from now on."""
_NOTE = "lostark.note"

_JOINED = WriterProperties(
    compression="LZ4_RAW",
    max_row_group_size=RAW_GROUP_ROWS,
    column_properties={
        name: ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")
        for name in ("payload", "body")
    },
)
"""Of the raw tables, whose files alone are joined."""

_MOST_FILES_KEPT = 1000
"""Of a dataset that is kept: the footers of 100 files of 80 columns take some 20 MB."""

_retry_commits = retry(
    retry=retry_if_exception_type(CommitFailedError),
    stop=stop_after_attempt(8),
    wait=wait_random_exponential(multiplier=0.1, max=5),
    retry_error_callback=lambda state: _give_up(state.args[1]),
)


def _give_up(contract: Contract) -> None:
    raise LakeBusy(
        f"{contract.name}: eight attempts to commit lost to other writers. Nothing of this commit was "
        "written. Run it again when the other writers are done."
    )


@dataclass
class _Snapshot:
    """A table as it was opened, by the file of its newest commit, and what was made of it."""

    table: DeltaTable
    commit: tuple[int, ...] | None
    datasets: dict[tuple[str, ...], ds.Dataset] = field(default_factory=dict)


@dataclass(frozen=True)
class Lake:
    """All tables under one folder or object-store URL.

    In a folder a table stays open until somebody commits to it: opening reads its log, and the first reading
    of a dataset the footer of every file.
    """

    url: str
    storage_options: dict[str, str] | None = None
    _snapshots: dict[str, _Snapshot] = field(default_factory=dict, init=False, repr=False, compare=False)
    _written: dict[str, _Snapshot] = field(default_factory=dict, init=False, repr=False, compare=False)

    def table_url(self, name: str) -> str:
        """Where the table lies."""
        return f"{self.url.rstrip('/')}/{name}"

    def open(self, name: str, version: int | None = None) -> DeltaTable | None:
        """The Delta table, or None if nothing was ever committed to it."""
        snapshot = self._snapshot(name, version)
        return None if snapshot is None else snapshot.table

    def _snapshot(self, name: str, version: int | None = None) -> _Snapshot | None:
        known = self._snapshots.get(name) if version is None else None
        if known and self._is_newest(name, known):
            return known
        if version is None and (written := self._last_written(name)):
            # What the last writer left is this reader's now, and the next writer opens the table anew.
            self._snapshots[name] = written
            return written
        table = self._opened(name, version)
        if table is None:
            return None
        found = _Snapshot(table, None)
        if version is None:
            found.commit = self._newest_commit(name, table.version())
            self._snapshots[name] = found
        return found

    def _opened(self, name: str, version: int | None = None) -> DeltaTable | None:
        try:
            return DeltaTable(self.table_url(name), version=version, storage_options=self.storage_options)
        except TableNotFoundError:
            return None

    def _for_writing(self, name: str) -> DeltaTable | None:
        """The table as the last writer left it, for one writer alone: a commit moves it, under no reader."""
        known = self._last_written(name)
        return known.table if known else self._opened(name)

    def _last_written(self, name: str) -> _Snapshot | None:
        """The table that the last writer here left, if nobody committed since; only one may take it."""
        known = self._written.pop(name, None)
        return known if known and self._is_newest(name, known) else None

    def _files_of(self, name: str) -> set[str]:
        """Paths of the files that the newest commit left."""
        table = self._opened(name)
        added = [] if table is None else pa.table(table.get_add_actions())["path"].to_pylist()
        return set(map(unquote, added))

    def _keep_for_writing(self, name: str, table: DeltaTable) -> None:
        self._written[name] = _Snapshot(table, self._newest_commit(name, table.version()))

    def _is_newest(self, name: str, known: _Snapshot) -> bool:
        return known.commit is not None and known.commit == self._newest_commit(name, known.table.version())

    def _newest_commit(self, name: str, version: int) -> tuple[int, ...] | None:
        """What tells this commit's file from any other; None if it is not the newest, or nobody knows."""
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
        """The newest committed version of the table: the snapshot id that a model or a page can name."""
        table = self.open(name)
        return None if table is None else table.version()

    def is_at(self, name: str, version: int | None) -> bool:
        """Whether ``version`` still is the table's newest (None: there is no table), without opening it."""
        if "://" in self.url:
            return self.version(name) == version
        log = Path(self.table_url(name)) / "_delta_log"
        if version is None:
            return not log.is_dir()
        # A version that is not there was cleaned up, or the table is another one: the slow way tells.
        if not (log / f"{version:020}.json").exists():
            return self.version(name) == version
        return not (log / f"{version + 1:020}.json").exists()

    def days_written(self, name: str, since: datetime) -> set[date]:
        """Fight days of the files written at or after ``since``; rows rewritten by then count as written."""
        table = self.open(name)
        if table is None:
            return set()
        recent = _files_since(table, since) or set()
        if "fight_date" in CONTRACTS[name].partition_by:
            added = pa.table(table.get_add_actions(flatten=True))
            pairs = zip(added["path"].to_pylist(), added["partition.fight_date"].to_pylist(), strict=True)
            return {_as_date(at) for path, at in pairs if unquote(Path(path).name) in recent}
        dataset, days = self.dataset(name), set()
        for fragment in dataset.get_fragments():
            if Path(fragment.path).name in recent:
                days |= set(pc.unique(fragment.to_table(columns=["fight_date"])["fight_date"]).to_pylist())
        return days

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
        snapshot: _Snapshot | None,
        days: Iterable[date] | None = None,
        dictionary: Sequence[str] = (),
    ) -> ds.Dataset:
        """A dataset of all days is kept: what was read of its files' footers is not read again."""
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
            # Reading ahead of the decoder pays on an object store, and costs a third here.
            made.format.default_fragment_scan_options = ds.ParquetFragmentScanOptions(pre_buffer=False)
        if days is None and len(made.files) <= _MOST_FILES_KEPT:
            snapshot.datasets[key] = made
        return made

    def _filesystem(self, name: str) -> pa_fs.FileSystem | None:
        """Arrow's own filesystem where the lake is a folder; None lets delta-rs read its object store.

        delta-rs's readers are Python objects: an Arrow thread that lets go of one while the interpreter ends
        aborts the process ("terminate called without an active exception").
        """
        if "://" in self.url:
            return None
        return pa_fs.SubTreeFileSystem(str(Path(self.table_url(name)).absolute()), pa_fs.LocalFileSystem())

    def _files(self, name: str) -> pa_fs.FileSystem:
        """The table's folder, to write files."""
        local = self._filesystem(name)
        if self.url.startswith("file://"):
            # Of all object stores this one has folders, which somebody must make.
            Path(url2pathname(urlsplit(self.table_url(name)).path)).mkdir(parents=True, exist_ok=True)
        return local or pa_fs.PyFileSystem(DeltaStorageHandler(self.table_url(name), self.storage_options))

    def read(
        self,
        name: str,
        *,
        columns: Sequence[str] | None = None,
        days: Iterable[date] | None = None,
        where: pc.Expression | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """Rows of the newest (or the given) snapshot; an empty table where nothing was committed yet."""
        days = None if days is None else list(days)
        if days == []:
            schema = CONTRACTS[name].schema
            return pa.table({c: pa.array([], schema.field(c).type) for c in columns or schema.names})
        dataset = self.dataset(name, days=days, version=version)
        return dataset.to_table(columns=None if columns is None else list(columns), filter=where)

    def frame(self, name: str, columns: Sequence[str], engine: str) -> Any:
        """Some columns of all rows, read by the engine that will compute with them.

        Polars reads a hundred files of many columns in a third of Arrow's time.
        """
        table = self.open(name)
        in_the_path = set(columns) & set(CONTRACTS[name].partition_by)
        if engine != "polars" or "://" in self.url or table is None or in_the_path:
            return self.read(name, columns=columns)
        import polars as pl  # noqa: PLC0415 - half a second that nobody else needs

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
        groups that hold a wanted row. With ``all_there`` every id has rows: those that the newer files lack,
        since a clock was put back, are looked for in the older ones.
        """
        wanted = pa.array(sorted(set(ids)), pa.string())
        snapshot = self._snapshot(name)
        if snapshot is None or not len(wanted):
            return
        recent = _files_since(snapshot.table, since)
        if recent == set() and not all_there:
            return
        dataset = self._dataset(name, snapshot, days, dictionary)
        fragments = sorted(dataset.get_fragments(), key=lambda f: f.path)
        newer = [f for f in fragments if recent is None or Path(f.path).name in recent]
        found: set[str] = set()
        for fragment in newer:
            for ids_here, rows in _groups(fragment, dataset.schema, id_column, wanted, list(columns)):
                if all_there:
                    found.update(pc.unique(ids_here).to_pylist())
                yield rows
        missing = pa.array(sorted(set(wanted.to_pylist()) - found), pa.string())
        if all_there and len(missing) and len(newer) < len(fragments):
            for fragment in [f for f in fragments if f not in newer]:
                for _, rows in _groups(fragment, dataset.schema, id_column, missing, list(columns)):
                    yield rows

    def days(self, name: str) -> list[date]:
        """The fight days that have rows, ascending."""
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
        """Number of rows of each fight day, from the table's log alone."""
        table = self.open(name)
        counts: dict[date, int] = {}
        if table is not None:
            added = pa.table(table.get_add_actions(flatten=True))
            pairs = zip(
                added["partition.fight_date"].to_pylist(), added["num_records"].to_pylist(), strict=True
            )
            for at, rows in pairs:
                day = _as_date(at)
                counts[day] = counts.get(day, 0) + rows
        return counts

    def day_digests(self, name: str, version: int | None = None) -> dict[date, str]:
        """A digest of the files of each fight day: it changes exactly when a commit rewrites the day."""
        table = self.open(name, version)
        paths: dict[date, list[str]] = {}
        if table is not None:
            added = pa.table(table.get_add_actions(flatten=True))
            for path, at in zip(
                added["path"].to_pylist(), added["partition.fight_date"].to_pylist(), strict=True
            ):
                paths.setdefault(_as_date(at), []).append(path)
        return {
            day: hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()[:16]
            for day, found in paths.items()
        }

    def count(self, name: str, days: Iterable[date] | None = None) -> int:
        """Number of rows."""
        days = None if days is None else list(days)
        return 0 if days == [] else self.dataset(name, days=days).count_rows()

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keep other processes on this machine from a read-then-write of the same table.

        On an object store there is no lock; Delta's commit protocol refuses the second writer instead.
        """
        if "://" in self.url:
            yield
            return
        folder = Path(self.url) / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{name}.lock"):
            yield

    @_retry_commits
    def _write(
        self,
        contract: Contract,
        rows: pa.Table,
        replaced: Mapping[str, Iterable[object]] | None = None,
        note: Mapping[str, str] | None = None,
    ) -> None:
        """One commit: ``rows`` go in, and the rows that have one of the values in each column go out.

        An empty ``replaced`` names all rows.
        """
        fs, table = self._files(contract.name), self._for_writing(contract.name)
        schema = DeltaSchema.from_arrow(schema_of(contract, rows))
        actions: list[AddAction | RemoveAction] = []
        try:
            if table is not None and replaced != {}:
                _gain_columns(table, schema)
            actions.extend(write_rows(fs, contract, rows))
            if replaced and table is not None:
                actions.extend(self._without(table, contract, replaced))
            if actions or not replaced:
                self._commit(table, contract, schema, actions, note, replaced)
            elif table is not None:
                self._keep_for_writing(contract.name, table)
        except BaseException:
            self._withdraw(contract.name, fs, actions)
            raise

    def _withdraw(self, name: str, fs: pa_fs.FileSystem, actions: list[AddAction | RemoveAction]) -> None:
        """Delete what was written and not committed; an interrupt can come after the commit."""
        committed = self._files_of(name)
        for action in actions:
            if isinstance(action, AddAction) and action.path not in committed:
                fs.delete_file(action.path)

    def _commit(
        self,
        table: DeltaTable | None,
        contract: Contract,
        schema: DeltaSchema,
        actions: list[AddAction | RemoveAction],
        note: Mapping[str, str] | None,
        replaced: Mapping[str, Iterable[object]] | None,
    ) -> None:
        partition_by = list(contract.partition_by)
        properties = CommitProperties(
            custom_metadata={_NOTE: json.dumps(note)} if note else None,
            # delta-rs can't know which rows a replacement looked for: whatever came between may hold some.
            max_commit_retries=None if replaced is None else 0,
        )
        if table is None:
            try:
                create_table_with_add_actions(
                    self.table_url(contract.name),
                    schema,
                    actions,
                    partition_by=partition_by,
                    configuration=_CONFIGURATION,
                    storage_options=self.storage_options,
                    commit_properties=properties,
                )
            except DeltaError as error:
                is_ours = not self._files_of(contract.name).isdisjoint(action.path for action in actions)
                if is_ours or self._opened(contract.name) is None:
                    raise
                raise CommitFailedError("another writer made the table") from error
            return
        mode = "overwrite" if replaced == {} else "append"
        table.create_write_transaction(actions, mode, schema, partition_by, commit_properties=properties)
        table.update_incremental()
        self._keep_for_writing(contract.name, table)

    def _without(
        self, table: DeltaTable, contract: Contract, replaced: Mapping[str, Iterable[object]]
    ) -> Iterator[AddAction | RemoveAction]:
        """What takes the rows out of the table: files that hold others too are written anew without them."""
        values = {name: set(map(text_of, wanted)) for name, wanted in replaced.items()}
        keys = {
            n: pa.array(sorted(v), pa.string()) for n, v in values.items() if n not in contract.partition_by
        }
        days = map(_as_date, values["fight_date"]) if "fight_date" in values else None
        dataset = self._dataset(contract.name, _Snapshot(table, None), days, list(keys))
        fragments = {Path(f.path).name: f for f in dataset.get_fragments()} if keys else {}
        for added in pa.table(table.get_add_actions()).to_pylist():
            at = {name: None if v is None else text_of(v) for name, v in added.get("partition", {}).items()}
            if any(at[name] not in values[name] for name in at.keys() & values.keys()):
                continue
            if keys:
                fragment = fragments[unquote(Path(added["path"]).name)]
                goes = _is_replaced(fragment.to_table(schema=dataset.schema, columns=list(keys)), keys)
                if not pc.any(goes).as_py():
                    continue
                if not pc.all(goes).as_py():
                    rest = (shaped(contract, rows) for rows in _rest(fragment, dataset.schema, keys))
                    yield write_file(self._files(contract.name), contract, at, rest)
            now_ms = int(time.time() * 1000)
            # The log has the path percent-encoded, and an action's is encoded when it is written.
            yield RemoveAction(unquote(added["path"]), True, now_ms, added["size_bytes"], at)  # noqa: FBT003

    def append(self, contract: Contract, rows: pa.Table) -> None:
        """Add rows in one commit."""
        if rows.num_rows:
            self._write(contract, rows)

    def join_files(self, name: str, at_least: int = 50) -> int:
        """Join the small files of a table whose rows need no order, once it has many; how many went in.

        Rows and ids stay as they are, and so do the files of older snapshots.
        """
        found = self.open(name)
        table = None if found is None or len(found.file_uris()) < at_least else self._for_writing(name)
        if table is None:
            return 0
        done = table.optimize.compact(max_concurrent_tasks=1, writer_properties=_JOINED)
        return int(done["numFilesRemoved"])

    def replace_all(
        self, contract: Contract, rows: pa.Table, *, note: Mapping[str, str] | None = None
    ) -> None:
        """Put ``rows`` in place of the whole table, in one commit; ``note`` stays with its version."""
        self._write(contract, rows, {}, note)

    def note(self, name: str, version: int) -> dict[str, str]:
        """What was noted with the commit of that version; nothing where nothing was."""
        table = self.open(name)
        # Of the whole history only: delta-rs numbers a part of it wrongly.
        commits = [] if table is None else table.history()
        return next((json.loads(c.get(_NOTE, "{}")) for c in commits if c["version"] == version), {})

    def replace_days(self, contract: Contract, rows: pa.Table, days: Iterable[date]) -> None:
        """Put ``rows`` in place of exactly the rows of ``days``, in one commit."""
        self.replace_rows(contract, rows, {"fight_date": days})

    def replace_rows(self, contract: Contract, rows: pa.Table, where: Mapping[str, Iterable[object]]) -> None:
        """Put ``rows`` in place of those whose columns have one of the given values each, in one commit."""
        self._write(contract, rows, {name: list(values) for name, values in where.items()})

    def forget_versions(self, name: str) -> int:
        """Delete the files that only older snapshots need, and so these snapshots; how many files.

        Files that another process is writing stay: of those that no log knows, all that are younger than an
        hour.
        """
        table = self._for_writing(name)
        if table is None:
            return 0
        known = table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        # The log forgets a removed file after a week, and knows none of a writer that was killed.
        unknown = table.vacuum(retention_hours=1, enforce_retention_duration=False, dry_run=False, full=True)
        return len(known) + len(unknown)


def _gain_columns(table: DeltaTable, schema: DeltaSchema) -> None:
    """A column that a contract gains is null in the rows committed before."""
    known = {f.name for f in table.schema().fields}
    gained = [f for f in schema.fields if f.name not in known]
    if gained:
        table.alter.add_columns(gained)


def _groups(
    fragment: ds.ParquetFileFragment, schema: pa.Schema, id_column: str, wanted: pa.Array, columns: list[str]
) -> Iterator[tuple[pa.ChunkedArray, pa.Table]]:
    """The ids and rows of ``wanted``, row group by row group; groups without any are skipped."""
    for group in fragment.split_by_row_group():
        ids_here = group.to_table(schema=schema, columns=[id_column])[id_column]
        hit = pc.is_in(ids_here, wanted)
        if pc.any(hit).as_py():
            rows = group.to_table(schema=schema, columns=columns)
            if pc.all(hit).as_py():
                yield ids_here, rows
            else:
                yield ids_here.filter(hit), rows.filter(hit)


def _files_since(table: DeltaTable, since: datetime | None) -> set[str] | None:
    """Names of the files written at or after ``since``; None for all. Delta notes the time in ms."""
    if since is None:
        return None
    added = pa.table(table.get_add_actions(flatten=True))
    paths, written = added["path"].to_pylist(), added["modification_time"].to_pylist()
    floor = since.timestamp() - 5
    return {unquote(Path(p).name) for p, at in zip(paths, written, strict=True) if _seconds(at) >= floor}


def _seconds(at: Any) -> float:
    return at.timestamp() if isinstance(at, datetime) else at / 1000


def _as_date(at: date | str) -> date:
    return at if isinstance(at, date) else date.fromisoformat(at)


def _is_replaced(rows: pa.Table, keys: Mapping[str, pa.Array]) -> pa.ChunkedArray:
    """Which rows have one of the values in each of the columns."""
    found = [pc.is_in(rows[name].cast(pa.string()), wanted) for name, wanted in keys.items()]
    return functools.reduce(pc.and_, found)


def _rest(
    fragment: ds.ParquetFileFragment, schema: pa.Schema, keys: Mapping[str, pa.Array]
) -> Iterator[pa.Table]:
    """The other rows of a file, row group by row group."""
    for group in fragment.split_by_row_group():
        rows = group.to_table(schema=schema)
        yield rows.filter(pc.invert(_is_replaced(rows, keys)))
