"""Writing the lake's Delta tables. Every write is one atomic Delta commit.

Only this module, ``reading`` and ``files`` know the storage format.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pa_fs
import stamina
from deltalake import ColumnProperties, CommitProperties, DeltaTable, WriterProperties
from deltalake import Field as DeltaField
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions
from filelock import FileLock

from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.table import Contract
from lostark_assets.errors import LakeBusy
from lostark_assets.lake.files import build_schema, format_text, group_rows, shaped, write_file, write_rows
from lostark_assets.lake.reading import METADATA_KEY, LakeReader, OpenTable, as_date
from lostark_assets.observability.logs import report_long_wait
from lostark_assets.settings import Settings

_CONFIGURATION = {
    # Column statistics in the log serve none of our reads (ids are hashes) and slow down opening a dataset.
    "delta.dataSkippingNumIndexedCols": "0",
    # Opening a table reads every commit since the last checkpoint, .4 ms each.
    "delta.checkpointInterval": "10",
}
"""Properties of new tables."""
_WHOLE_LOG = {"delta.enableExpiredLogCleanup": "false"}
"""Otherwise a checkpoint removes the log of versions older than a month."""


def _retry_commits(write: Callable[..., None]) -> Callable[..., None]:
    """Repeat a write that lost to another writer."""

    @functools.wraps(write)
    def retried(lake: Lake, contract: Contract, *args: Any, **options: Any) -> None:
        # By default stamina logs each retry to stdout, where commands write their JSON.
        stamina.instrumentation.set_on_retry_hooks([])
        attempts = stamina.retry_context(
            CommitFailedError, attempts=8, timeout=None, wait_initial=0.05, wait_jitter=0.2
        )
        try:
            for attempt in attempts:
                with attempt:
                    write(lake, contract, *args, **options)
        except CommitFailedError as error:
            raise LakeBusy(
                f"{contract.name}: eight attempts to commit lost to other writers. Nothing of this commit "
                "was written. Run it again when the other writers are done."
            ) from error

    return retried


@dataclass(frozen=True)
class Lake(LakeReader):
    """All tables under one folder or object-store URL, for reading and writing."""

    def _for_writing(self, name: str) -> DeltaTable | None:
        """The table as the last writer left it, for one writer only: its commit must not affect a reader."""
        known = self._last_written(name)
        return known.table if known else self._opened(name)

    def _list_files(self, name: str) -> set[str]:
        """Paths of the files of the newest version."""
        table = self._opened(name)
        added = [] if table is None else pa.table(table.get_add_actions())["path"].to_pylist()
        return set(map(unquote, added))

    def _keep_for_writing(self, name: str, table: DeltaTable) -> None:
        self._written[name] = OpenTable(table, self._newest_commit(name, table.version()))

    def open_files(self, name: str) -> pa_fs.FileSystem:
        """A filesystem whose root is the table, its log included."""
        local = self._filesystem(name)
        if self.url.startswith("file://"):
            # Unlike other object stores, file:// needs the folder to exist.
            Path(url2pathname(urlsplit(self.table_url(name)).path)).mkdir(parents=True, exist_ok=True)
        return local or pa_fs.PyFileSystem(DeltaStorageHandler(self.table_url(name), self.storage_options))

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
        started = time.monotonic()
        with FileLock(folder / f"{name}.lock"):
            report_long_wait(name, time.monotonic() - started)
            yield

    @_retry_commits
    def _write(
        self,
        contract: Contract,
        rows: pa.Table,
        replaced: Mapping[str, Iterable[object]] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """One commit: adds ``rows``, and removes the rows that have one of the given values in each column.

        An empty ``replaced`` matches all rows.
        """
        fs, table = self.open_files(contract.name), self._for_writing(contract.name)
        schema = DeltaSchema.from_arrow(build_schema(contract, rows))
        actions: list[AddAction | RemoveAction] = []
        try:
            if table is not None and replaced != {}:
                _gain_columns(table, schema)
            if table is not None:
                _keep_versions(table, contract)
            actions.extend(write_rows(fs, contract, rows))
            if replaced and table is not None:
                actions.extend(self._without(table, contract, replaced))
            if actions or not replaced:
                self._commit(table, contract, schema, actions, metadata, replaced)
            elif table is not None:
                self._keep_for_writing(contract.name, table)
        except BaseException:
            self._withdraw(contract.name, fs, actions)
            raise

    def _withdraw(self, name: str, fs: pa_fs.FileSystem, actions: list[AddAction | RemoveAction]) -> None:
        """Delete files that were written but not committed; an interrupt can come after the commit."""
        committed = self._list_files(name)
        for action in actions:
            if isinstance(action, AddAction) and action.path not in committed:
                fs.delete_file(action.path)

    def _commit(
        self,
        table: DeltaTable | None,
        contract: Contract,
        schema: DeltaSchema,
        actions: list[AddAction | RemoveAction],
        metadata: Mapping[str, str] | None,
        replaced: Mapping[str, Iterable[object]] | None,
    ) -> None:
        partition_by = list(contract.partition_by)
        properties = CommitProperties(
            custom_metadata={METADATA_KEY: json.dumps(metadata)} if metadata else None,
            # delta-rs can't know which rows a replacement matches: a concurrent commit may have added some.
            max_commit_retries=None if replaced is None else 0,
        )
        if table is None:
            try:
                create_table_with_add_actions(
                    self.table_url(contract.name),
                    schema,
                    [action for action in actions if isinstance(action, AddAction)],
                    partition_by=partition_by,
                    configuration=_CONFIGURATION | _get_log_properties(contract),
                    storage_options=self.storage_options,
                    commit_properties=properties,
                )
            except DeltaError as error:
                is_ours = not self._list_files(contract.name).isdisjoint(action.path for action in actions)
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
        """Actions that remove the rows: files that also hold other rows are rewritten without them."""
        values = {name: set(map(format_text, wanted)) for name, wanted in replaced.items()}
        keys = {
            n: pa.array(sorted(v), pa.string()) for n, v in values.items() if n not in contract.partition_by
        }
        days = map(as_date, values["fight_date"]) if "fight_date" in values else None
        dataset = self._dataset(contract.name, OpenTable(table, None), days, list(keys))
        fragments = {Path(f.path).name: f for f in dataset.get_fragments()} if keys else {}
        for added in pa.table(table.get_add_actions()).to_pylist():
            at = {
                name: None if v is None else format_text(v) for name, v in added.get("partition", {}).items()
            }
            if any(at[name] not in values[name] for name in at.keys() & values.keys()):
                continue
            if keys:
                fragment = fragments[unquote(Path(added["path"]).name)]
                goes = _is_replaced(fragment.to_table(schema=dataset.schema, columns=list(keys)), keys)
                if not pc.any(goes).as_py():
                    continue
                if not pc.all(goes).as_py():
                    rest = (shaped(contract, rows) for rows in _rest(fragment, dataset.schema, keys))
                    yield write_file(self.open_files(contract.name), contract, at, rest)
            now_ms = int(time.time() * 1000)
            # The log's paths are percent-encoded, and an action's path is encoded when it is written.
            yield RemoveAction(unquote(added["path"]), True, now_ms, added["size_bytes"], at)  # noqa: FBT003

    def append(self, contract: Contract, rows: pa.Table) -> None:
        """Add rows in one commit."""
        if rows.num_rows:
            self._write(contract, rows)

    def join_files(self, name: str, at_least: int = 50) -> int:
        """Compact a table whose rows need no order, once it has ``at_least`` files.

        Returns how many files were joined. Rows are unchanged, and the files of older versions are kept.
        """
        found = self.open(name)
        table = None if found is None or len(found.file_uris()) < at_least else self._for_writing(name)
        if table is None:
            return 0
        contract = CONTRACTS[name]
        size_column = contract.storage.size_column
        sizes = self.read(name, columns=[size_column]) if size_column else None
        done = table.optimize.compact(max_concurrent_tasks=1, writer_properties=_joined(contract, sizes))
        return int(done["numFilesRemoved"])

    def replace_all(
        self, contract: Contract, rows: pa.Table, *, metadata: Mapping[str, str] | None = None
    ) -> None:
        """Replace the whole table with ``rows``, in one commit that carries ``metadata``."""
        self._write(contract, rows, {}, metadata)

    def replace_days(self, contract: Contract, rows: pa.Table, days: Iterable[date]) -> None:
        """Replace exactly the rows of ``days`` with ``rows``, in one commit."""
        self.replace_rows(contract, rows, {"fight_date": days})

    def replace_rows(self, contract: Contract, rows: pa.Table, where: Mapping[str, Iterable[object]]) -> None:
        """Replace the rows whose columns have one of the given values each with ``rows``, in one commit."""
        self._write(contract, rows, {name: list(values) for name, values in where.items()})

    def forget_versions(self, name: str) -> int:
        """Delete older versions and their files; returns the number of files.

        Uncommitted files younger than an hour are kept: another process may be writing them.
        """
        table = self._for_writing(name)
        if table is None:
            return 0
        known = table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        # The log drops removed files after a week, and never had those of a writer that was killed.
        unknown = table.vacuum(retention_hours=1, enforce_retention_duration=False, dry_run=False, full=True)
        return len(known) + len(unknown)


def _joined(contract: Contract, sizes: pa.Table | None) -> WriterProperties:
    """Writer options for compacted files."""
    rows, size = (0, 0) if sizes is None else (sizes.num_rows, pc.sum(sizes.column(0)).as_py())
    whole = ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")
    return WriterProperties(
        compression="LZ4_RAW",
        max_row_group_size=group_rows(contract.storage, rows, size),
        column_properties=dict.fromkeys(contract.binary_columns, whole),
    )


def _get_log_properties(contract: Contract) -> dict[str, str]:
    return _WHOLE_LOG if contract.keeps_every_version else {}


def _keep_versions(table: DeltaTable, contract: Contract) -> None:
    """Give a table of an older version the properties of new tables."""
    wanted = _get_log_properties(contract)
    if wanted and not wanted.items() <= table.metadata().configuration.items():
        table.alter.set_table_properties(wanted)


def _gain_columns(table: DeltaTable, schema: DeltaSchema) -> None:
    """Add the contract's new columns to the table; they are null in older rows."""
    known = {f.name for f in table.schema().fields}
    gained = [DeltaField(f.name, f.type) for f in schema.fields if f.name not in known]
    if gained:
        table.alter.add_columns(gained)


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


def open_lake(settings: Settings) -> Lake:
    """The lake of the settings; nothing is read or created yet."""
    return Lake(settings.lake_url)
