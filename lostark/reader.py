"""Reading tables of the lake as pandas frames with Arrow dtypes, polars frames or Arrow tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.table import Contract
from lostark_assets.errors import NotFound, WrongUsage
from lostark_assets.lake.reading import LakeReader
from lostark_assets.lake.tables import open_lake
from lostark_assets.settings import get_settings

if TYPE_CHECKING:
    import polars as pl

Day: TypeAlias = date | str
Days: TypeAlias = Day | tuple[Day | None, Day | None]
"""One fight day (a date or text such as ``2026-11-30``), or first and last of a range; None: open."""
Filter: TypeAlias = pc.Expression | Mapping[str, Any]
"""An Arrow expression, or column name to the value that it has, or to a list of values that it may have."""
LakeLocation: TypeAlias = LakeReader | str | PathLike[str]


@overload
def read(
    table: str,
    *,
    days: Days | None = None,
    columns: Sequence[str] | None = None,
    where: Filter | None = None,
    version: int | None = None,
    as_: Literal["pandas"] = "pandas",
    lake: LakeLocation | None = None,
) -> pd.DataFrame: ...
@overload
def read(
    table: str,
    *,
    days: Days | None = None,
    columns: Sequence[str] | None = None,
    where: Filter | None = None,
    version: int | None = None,
    as_: Literal["polars"],
    lake: LakeLocation | None = None,
) -> pl.DataFrame: ...
@overload
def read(
    table: str,
    *,
    days: Days | None = None,
    columns: Sequence[str] | None = None,
    where: Filter | None = None,
    version: int | None = None,
    as_: Literal["arrow"],
    lake: LakeLocation | None = None,
) -> pa.Table: ...
def read(
    table: str,
    *,
    days: Days | None = None,
    columns: Sequence[str] | None = None,
    where: Filter | None = None,
    version: int | None = None,
    as_: Literal["pandas", "polars", "arrow"] = "pandas",
    lake: LakeLocation | None = None,
) -> Any:
    """Rows of one table of the lake.

    Args:
        table: a name of :func:`tables`.
        days: one fight day, or ``(first, last)`` with both included. Only files of these days are read.
        columns: the columns to return; all by default.
        where: ``{"spec_name": ["Igniter", "Reflux"], "is_cleared": True}``, or an Arrow expression.
        version: a Delta version of the table; the newest by default.
        as_: ``pandas`` (Arrow dtypes), ``polars`` or ``arrow``.
        lake: folder or URL of another lake than the one that the ``LOSTARK_*`` settings name.

    Returns:
        The rows in stored order. A table to which nothing has been committed yet is empty, with its columns.

    Raises:
        NotFound: no such table, column, version or lake folder.
        WrongUsage: days that are no dates, a table without fight days, or an unknown ``as_``.
    """
    if as_ not in ("pandas", "polars", "arrow"):
        raise WrongUsage(f"as_: expected 'pandas', 'polars' or 'arrow', found {as_!r}")
    contract = _get_contract(table)
    wanted = _check_columns(contract, columns)
    reader = _open(lake)
    rows = reader.read(
        table,
        columns=wanted,
        days=_choose_days(reader, contract, days),
        where=_build_filter(contract, where),
        version=version,
    )
    if as_ == "pandas":
        return rows.to_pandas(types_mapper=pd.ArrowDtype)
    return _to_polars(rows) if as_ == "polars" else rows


def scan(
    table: str,
    *,
    days: Days | None = None,
    version: int | None = None,
    lake: LakeLocation | None = None,
) -> pl.LazyFrame:
    """One table as a polars LazyFrame: ``collect`` reads only the columns and rows that the query needs.

    Raises:
        NotFound: no such table, version or lake folder.
        WrongUsage: days that are no dates, or a table without fight days.
    """
    import polars as pl  # noqa: PLC0415 - half a second that pandas users do not need

    contract = _get_contract(table)
    reader = _open(lake)
    chosen = _choose_days(reader, contract, days)
    if chosen == []:
        return _to_polars(contract.empty()).lazy()
    return pl.scan_pyarrow_dataset(reader.dataset(table, days=chosen, version=version)).select(contract.names)


def tables() -> list[str]:
    """Names of the tables of the lake."""
    return list(CONTRACTS)


def describe(table: str) -> pd.DataFrame:
    """The columns of a table: name, type, unit, whether it may be null, and what it means.

    Raises:
        NotFound: no such table.
    """
    columns = _get_contract(table).columns
    return pd.DataFrame(
        {
            "column": [c.name for c in columns],
            "type": [str(c.dtype) for c in columns],
            "unit": [c.unit for c in columns],
            "nullable": [c.nullable for c in columns],
            "description": [c.description for c in columns],
        }
    )


def _get_contract(table: str) -> Contract:
    if table not in CONTRACTS:
        raise NotFound(f"table {table!r}: {_suggest(table, CONTRACTS)}")
    return CONTRACTS[table]


def _suggest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"not found. Did you mean {' or '.join(close)}?"
    return f"expected one of {', '.join(known)}"


def _check_columns(contract: Contract, columns: Sequence[str] | None) -> list[str] | None:
    if isinstance(columns, str):
        columns = [columns]
    for name in columns or ():
        if name not in contract.by_name:
            raise NotFound(f"{contract.name}, column {name!r}: {_suggest(name, contract.names)}")
    return contract.names if columns is None else list(columns)


def _open(lake: LakeLocation | None) -> LakeReader:
    if lake is None:
        reader: LakeReader = open_lake(get_settings())
    elif isinstance(lake, LakeReader):
        return lake
    else:
        reader = LakeReader(str(fspath(lake)))
    if "://" not in reader.url and not Path(reader.url).is_dir():
        raise NotFound(
            f"lake {reader.url}: no such folder. Start the platform once, set LOSTARK_HOME or "
            "LOSTARK_LAKE_URL, or pass lake=."
        )
    return reader


def _choose_days(reader: LakeReader, contract: Contract, days: Days | None) -> list[date] | None:
    if days is None:
        return None
    if "fight_date" not in contract.partition_by:
        raise WrongUsage(f"days: {contract.name} has no partitions by fight day. Filter with where=.")
    if isinstance(days, (date, str)):
        return [_to_date(days)]
    if not isinstance(days, tuple) or len(days) != 2:
        raise WrongUsage(f"days: expected a date or (first, last), found {days!r}")
    first, last = (None if day is None else _to_date(day) for day in days)
    if first and last and first > last:
        raise WrongUsage(f"days: expected the first day before the last, found {first} and {last}")
    stored = reader.days(contract.name)
    return [day for day in stored if (not first or day >= first) and (not last or day <= last)]


def _to_date(day: Day) -> date:
    try:
        # A datetime and a pandas Timestamp are dates too, with a time that no partition has.
        return date.fromisoformat(day if isinstance(day, str) else day.isoformat()[:10])
    except (ValueError, AttributeError) as error:
        raise WrongUsage(f"days: expected a date such as 2026-11-30, found {day!r}") from error


def _build_filter(contract: Contract, where: Filter | None) -> pc.Expression | None:
    if where is None or isinstance(where, pc.Expression):
        return where
    _check_columns(contract, list(where))
    combined = None
    for name, value in where.items():
        one = pc.field(name)
        if value is None:
            condition = one.is_null()
        elif isinstance(value, (list, tuple, set, frozenset)):
            condition = one.isin(list(value))
        else:
            condition = one == value
        combined = condition if combined is None else combined & condition
    return combined


def _to_polars(rows: pa.Table) -> pl.DataFrame:
    import polars as pl  # noqa: PLC0415 - half a second that pandas users do not need

    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    return frame
