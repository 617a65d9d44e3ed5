"""Reading and writing the lake's Delta tables.

The only place that knows the storage format. What does not belong here: what the rows mean (``contracts``),
or when they are written (assets). Every write is one atomic Delta commit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pa_fs
from deltalake import ColumnProperties, CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from filelock import FileLock
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.table import Contract
from lostark_assets.errors import LakeBusy

_NO_COLUMN_STATISTICS = {"delta.dataSkippingNumIndexedCols": "0"}
"""Column extremes in the log serve none of our reads (ids are hashes) and make opening a dataset slow."""
ONE_FILE_BYTES = 8 << 30
"""Above every batch that we commit: a batch's rows of one day stay in one file, in the order of writing."""

_NOTE = "lostark.note"

_UNMEASURED = ColumnProperties(statistics_enabled="NONE")
"""Extremes of millions of hits or seconds take a third of the writing, and every row group has them all."""
_PLAIN_INTEGERS = ColumnProperties(
    dictionary_enabled=False, encoding="BYTE_STREAM_SPLIT", statistics_enabled="NONE"
)
_WRITER: dict[str, WriterProperties] = {
    "core_hits": WriterProperties(
        compression="LZ4_RAW",
        max_row_group_size=1 << 18,
        default_column_properties=_UNMEASURED,
        column_properties={"hit_at_ms": _PLAIN_INTEGERS, "damage": _PLAIN_INTEGERS},
    ),
    "stats_dps_timeline": WriterProperties(
        compression="LZ4_RAW",
        default_column_properties=_UNMEASURED,
        column_properties=dict.fromkeys(
            ("second", "damage", "rolling_10s_dps", "cumulative_damage"), _PLAIN_INTEGERS
        ),
    ),
    # Most payloads are gzip inside: a fast compressor for those that are not.
    "raw_battle_logs": WriterProperties(
        compression="LZ4_RAW",
        max_row_group_size=64,
        column_properties={"payload": ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")},
    ),
    # One body is some 100 KB of text that says most things twice; row groups stay small for single reads.
    "raw_armory_profiles": WriterProperties(
        compression="ZSTD",
        compression_level=6,
        max_row_group_size=64,
        column_properties={"body": ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")},
    ),
}
_DEFAULT_WRITER = WriterProperties(compression="LZ4_RAW")

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


@dataclass(frozen=True)
class Lake:
    """All tables under one folder or object-store URL."""

    url: str
    storage_options: dict[str, str] | None = None

    def table_url(self, name: str) -> str:
        """Where the table lies."""
        return f"{self.url.rstrip('/')}/{name}"

    def open(self, name: str, version: int | None = None) -> DeltaTable | None:
        """The Delta table, or None if nothing was ever committed to it."""
        try:
            return DeltaTable(self.table_url(name), version=version, storage_options=self.storage_options)
        except TableNotFoundError:
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
        table = self.open(name, version)
        if table is None:
            return ds.dataset(CONTRACTS[name].empty())
        partitions = None if days is None else [("fight_date", "in", [d.isoformat() for d in days])]
        options = ds.ParquetReadOptions(dictionary_columns=set(dictionary)) if dictionary else None
        return table.to_pyarrow_dataset(
            file_pruning_predicate=partitions, parquet_read_options=options, filesystem=self._filesystem(name)
        )

    def _filesystem(self, name: str) -> pa_fs.FileSystem | None:
        """Arrow's own filesystem where the lake is a folder; None lets delta-rs read its object store.

        delta-rs's readers are Python objects: an Arrow thread that lets go of one while the interpreter ends
        aborts the process ("terminate called without an active exception").
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
        """Rows of the newest (or the given) snapshot; an empty table where nothing was committed yet."""
        days = None if days is None else list(days)
        if days == []:
            schema = CONTRACTS[name].schema
            return pa.table({c: pa.array([], schema.field(c).type) for c in columns or schema.names})
        dataset = self.dataset(name, days=days, version=version)
        return dataset.to_table(columns=None if columns is None else list(columns), filter=where)

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
        table = self.open(name)
        if table is None or not len(wanted):
            return
        dataset = self.dataset(name, days=days, dictionary=dictionary)
        recent = _files_since(table, since)
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
        mode: Any,
        predicate: str | None = None,
        note: Mapping[str, str] | None = None,
    ) -> None:
        write_deltalake(
            self.table_url(contract.name),
            rows,
            mode=mode,
            predicate=predicate,
            partition_by=list(contract.partition_by) or None,
            writer_properties=_WRITER.get(contract.name, _DEFAULT_WRITER),
            target_file_size=ONE_FILE_BYTES,
            storage_options=self.storage_options,
            configuration=_NO_COLUMN_STATISTICS,
            # A column that a contract gains is null in the rows committed before.
            schema_mode="merge",
            commit_properties=CommitProperties(custom_metadata={_NOTE: json.dumps(note)}) if note else None,
        )

    def append(self, contract: Contract, rows: pa.Table) -> None:
        """Add rows in one commit."""
        if rows.num_rows:
            self._write(contract, rows, "append")

    def join_files(self, name: str, at_least: int = 50) -> int:
        """Join the small files of a table whose rows need no order, once it has many; how many went in.

        Rows and ids stay as they are, and so do the files of older snapshots.
        """
        table = self.open(name)
        if table is None or len(table.file_uris()) < at_least:
            return 0
        properties = _WRITER.get(name, _DEFAULT_WRITER)
        done = table.optimize.compact(max_concurrent_tasks=1, writer_properties=properties)
        return int(done["numFilesRemoved"])

    def replace_all(
        self, contract: Contract, rows: pa.Table, *, note: Mapping[str, str] | None = None
    ) -> None:
        """Put ``rows`` in place of the whole table, in one commit; ``note`` stays with its version."""
        self._write(contract, rows, "overwrite", note=note)

    def note(self, name: str, version: int) -> dict[str, str]:
        """What was noted with the commit of that version; nothing where nothing was."""
        table = self.open(name)
        # Of the whole history only: delta-rs numbers a part of it wrongly.
        commits = [] if table is None else table.history()
        return next((json.loads(c.get(_NOTE, "{}")) for c in commits if c["version"] == version), {})

    def replace_days(self, contract: Contract, rows: pa.Table, days: Iterable[date]) -> None:
        """Put ``rows`` in place of exactly the rows of ``days``, in one commit."""
        self._replace(contract, rows, _in("fight_date", [d.isoformat() for d in days]))

    def replace_rows(self, contract: Contract, rows: pa.Table, where: Mapping[str, Iterable[str]]) -> None:
        """Put ``rows`` in place of those whose columns have one of the given values each, in one commit."""
        self._replace(
            contract, rows, " AND ".join(f"({_in(name, values)})" for name, values in where.items())
        )

    def forget_versions(self, name: str) -> int:
        """Delete the files that only older snapshots need, and so these snapshots; how many files.

        Files that another process is writing stay.
        """
        table = self.open(name)
        if table is None:
            return 0
        return len(table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False))

    def replace_ids(
        self, contract: Contract, rows: pa.Table, column: str, ids: Sequence[str], days: Iterable[date]
    ) -> None:
        """Put ``rows`` in place of the rows of ``days`` whose ``column`` is one of ``ids``, in one commit.

        Days that hold nothing else are replaced whole, and ids that a table lacks are left out of the rest: a
        predicate of many thousand ids costs more than the rows.
        """
        mixed, present = self._rest_of_days(contract.name, column, set(ids), set(days))
        whole = set(days) - mixed
        parts = [_in("fight_date", [d.isoformat() for d in whole])] if whole else []
        if mixed:
            on_mixed = rows.filter(pc.is_in(rows["fight_date"], pa.array(sorted(mixed), pa.date32())))
            listed = present | set(pc.unique(on_mixed[column].cast(pa.string())).to_pylist())
            if listed:
                parts.append(
                    f"({_in('fight_date', [d.isoformat() for d in mixed])} AND {_in(column, listed)})"
                )
        if parts:
            self._replace(contract, rows, " OR ".join(parts))

    def _rest_of_days(
        self, name: str, column: str, ids: set[str], days: set[date]
    ) -> tuple[set[date], set[str]]:
        """Those of ``days`` that hold other ids too, and which of ``ids`` such days hold."""
        stored: dict[date, set[str]] = {}
        dataset = self.dataset(name, days=days, dictionary=[column])
        for batch in dataset.to_batches(columns=[column, "fight_date"]):
            if batch.num_rows:
                # A batch is of one file, and a file of one day.
                day = batch["fight_date"][0].as_py()
                stored.setdefault(day, set()).update(pc.unique(batch[column]).to_pylist())
        mixed = {day for day, found in stored.items() if day in days and not found <= ids}
        return mixed, set().union(*(stored[day] & ids for day in mixed))

    def _replace(self, contract: Contract, rows: pa.Table, predicate: str) -> None:
        if self.open(contract.name) is None:
            self.append(contract, rows)
        else:
            self._write(contract, rows, "overwrite", predicate)


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


def _in(column: str, values: Iterable[str]) -> str:
    quoted = ", ".join("'" + str(v).replace("'", "''") + "'" for v in sorted(set(values)))
    return f"{column} IN ({quoted})"
