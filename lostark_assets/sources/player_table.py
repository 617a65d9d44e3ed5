"""Player tables (Parquet, CSV): one row per player and encounter, of every era of public exports.

A log is the rows of one encounter id as stored: typed values from Parquet, text from CSV, plus raid, gate and
difficulty from the import's arguments or the file's name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from lostark_assets.arrow import plain
from lostark_assets.errors import UnknownFormat
from lostark_assets.sources.protocol import FetchedLog, Listed, Unreadable, content_sha256

FORMAT = "player_table"
PARQUET_MAGIC = b"PAR1"
START_COLUMNS = ("timestamp", "date")
_NEEDED = ({"id"}, {"dps"}, {"duration"}, set(START_COLUMNS), {"class", "spec"})
_LATEST_MS = 1e15
_encode = msgspec.msgpack.Encoder().encode


class PlayerTable:
    """One Parquet or CSV file."""

    log_format = FORMAT

    def __init__(self, path: Path, name: str, context: Mapping[str, str | None]) -> None:
        """``context`` holds raid, gate, boss, difficulty and region of the import, if given."""
        self.path = str(path)
        self.name = name
        self.problems: list[Unreadable] = []
        self._context = {k: v for k, v in sorted(context.items()) if v is not None}

    def list_logs(self) -> Iterator[Listed]:
        """The encounters of the table; the fingerprint is the content hash.

        Raises:
            UnknownFormat: damaged, or a table without the columns that every era has.
        """
        table = _read(Path(self.path))
        _refuse_duplicate_columns(table.column_names, self.path)
        table = plain(table)
        has_id = find_rows_with_id(table, self.path)
        if without := table.num_rows - (pc.sum(has_id).as_py() or 0):
            self.problems.append(Unreadable(self.path, f"{without} rows without an encounter id"))
        yield from split_encounters(table.filter(has_id), self._context, self.problems)

    def fetch(self, wanted: Iterable[Listed]) -> Generator[FetchedLog, None, None]:
        """The wanted encounters."""
        for listed in wanted:
            payload, started = listed.locator
            yield FetchedLog(listed.source_log_id, listed.fingerprint, payload, started)


def check_table(path: Path) -> None:
    """Read the table as its collection will, without listing its encounters.

    Raises:
        UnknownFormat: damaged, or a table without the columns that every era has.
    """
    table = _read(path)
    _refuse_duplicate_columns(table.column_names, str(path))
    find_rows_with_id(table, str(path))


def split_encounters(
    table: pa.Table, context: Mapping[str, str], problems: list[Unreadable]
) -> Iterator[Listed]:
    """The encounters of a player table, each with its raw payload and start; all rows have an id.

    One whose values can't be read goes to ``problems``.
    """
    table = table.take(pc.sort_indices(table, [("id", "ascending")]))
    ids = table["id"].combine_chunks()
    starts = np.flatnonzero(pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)) + 1
    bounds = [0, *starts.tolist(), len(ids)] if len(ids) else [0]
    for first, end in pairwise(bounds):
        rows = table.slice(first, end - first)
        try:
            yield _list_encounter(rows, context)
        except (ValueError, OverflowError, TypeError, msgspec.MsgspecError) as error:
            where = f"encounter {_id_text(rows['id'][0].as_py())}"
            problems.append(Unreadable(where, f"a value that can't be read: {error}. It was left out."))


def _list_encounter(rows: pa.Table, context: Mapping[str, str]) -> Listed:
    values = [column.to_pylist() for column in rows.columns]
    payload = _encode(
        {
            "context": context,
            "columns": rows.column_names,
            "rows": [list(map(_plain, row)) for row in zip(*values, strict=True)],
        }
    )
    by_name = dict(zip(rows.column_names, values, strict=True))
    start = next(by_name[c][0] for c in START_COLUMNS if c in by_name)
    return Listed(_id_text(by_name["id"][0]), content_sha256(payload), (payload, epoch_ms(start)))


def find_rows_with_id(table: pa.Table, path: str) -> pa.ChunkedArray:
    """Which rows have an encounter id.

    Raises:
        UnknownFormat: columns that every era has are missing.
    """
    problem = missing_columns(table.column_names)
    if problem:
        raise UnknownFormat(
            path,
            f"columns {table.column_names}",
            f"a player table with {problem}",
            "Is it another export?",
        )
    return pc.invert(pc.is_null(table["id"], nan_is_null=True))


def missing_columns(columns: Iterable[str]) -> str:
    """Describe which of the columns that every era has are missing; empty if none."""
    have = set(columns)
    return " and ".join("/".join(sorted(any_of)) for any_of in _NEEDED if not any_of & have)


def epoch_ms(value: Any) -> int | None:
    """A fight start as epoch ms: number, digits, or ISO time (UTC where it has no offset); else None."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return int(value) if abs(value) < _LATEST_MS else None
    if isinstance(value, datetime):
        return round((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp() * 1000)
    for reading in (int, float, datetime.fromisoformat):
        with contextlib.suppress(ValueError):
            return epoch_ms(reading(str(value).strip()))
    return None


def _refuse_duplicate_columns(names: list[str], path: str) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UnknownFormat(
            path,
            f"more than one column {', '.join(twice)}",
            "each column once",
            "Rename or drop one of them.",
        )


def _id_text(value: Any) -> str:
    """An id as text; one that went through a float column is still the same id."""
    text = str(value).strip()
    return text.removesuffix(".0")


def _plain(value: Any) -> Any:
    """Convert values without a MessagePack type to ISO text."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def _read(path: Path) -> pa.Table:
    try:
        with path.open("rb") as file:
            head = file.readline(65536)
        if head.startswith(PARQUET_MAGIC):
            with pq.ParquetFile(path) as parquet:
                return parquet.read()
        names = [c.strip().strip('"') for c in head.decode("utf-8-sig").strip().split(",")]
        texts = pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True
        )
        return pa_csv.read_csv(path, convert_options=texts)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise UnknownFormat(
            path, f"damage ({error})", "a Parquet or CSV table", "Fetch the file again."
        ) from error


def parquet_columns(path: Path) -> list[str]:
    """The column names of a Parquet file.

    Raises:
        UnknownFormat: the file is damaged.
    """
    try:
        return pq.read_schema(path).names
    except (pa.ArrowInvalid, OSError) as error:
        raise UnknownFormat(path, f"damage ({error})", "a Parquet table", "Fetch the file again.") from error


def csv_header(head: bytes) -> list[str]:
    """The column names of text that may be CSV; empty where it is not."""
    try:
        line = head.split(b"\n", 1)[0].decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return []
    return [c.strip().strip('"') for c in line.split(",")] if "," in line else []
