"""``lostark sql``: one read-only query over the lake, with DuckDB.

Every table of the lake is there by its asset name. The query sees nothing else: no files, no network, no
settings.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from typing import Any, TextIO

import duckdb
import pyarrow as pa

from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.errors import WrongUsage
from lostark_assets.lake.tables import Lake
from lostark_platform.terminal import to_json_value

_READ_ONLY = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI}
_OF_ALL_TABLES = re.compile(r"\bshow\b|information_schema|duckdb_|pg_catalog|sqlite_master", re.IGNORECASE)
_ROWS_A_BATCH = 10_000


class WrongQuery(WrongUsage):
    """The query does not parse, refers to unknown names, or would change data."""


def run_query(lake: Lake, query: str, *, limit: int | None = None) -> pa.Table:
    """The rows of ``query``, at most ``limit``.

    Raises:
        WrongQuery: with DuckDB's message and the tables that there are.
    """
    with duckdb.connect(":memory:", config={"python_enable_replacements": False}) as connection:
        try:
            _refuse_changes(connection, query)
            _register(connection, lake, query)
            relation = connection.sql(query)
            if relation is None:
                raise WrongQuery("The query gives no rows. Nothing was read or changed.")
            return (relation if limit is None else relation.limit(limit)).to_arrow_table()
        except duckdb.Error as error:
            raise WrongQuery(f"{error}\nTables: {', '.join(CONTRACTS)}") from error


def _refuse_changes(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    statements = connection.extract_statements(query)
    if len(statements) != 1:
        raise WrongQuery(f"Expected one query, found {len(statements)}. Nothing was read or changed.")
    if statements[0].type not in _READ_ONLY:
        raise WrongQuery(
            "Expected a query that reads (SELECT, WITH, DESCRIBE, SUMMARIZE, …), found "
            f"{statements[0].type.name}. Nothing was read or changed."
        )


def _register(connection: duckdb.DuckDBPyConnection, lake: Lake, query: str) -> None:
    """Register only the tables that the query names: opening each takes time."""
    text, names = query.lower(), list(CONTRACTS)
    for name in names if _OF_ALL_TABLES.search(query) else [name for name in names if name in text]:
        connection.register(name, lake.dataset(name))
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def column_names(table: pa.Table) -> list[str]:
    """Unique column names: a second ``x`` becomes ``x_1``."""
    names: list[str] = []
    for name in table.column_names:
        unique, count = name, 0
        while unique in names:
            count += 1
            unique = f"{name}_{count}"
        names.append(unique)
    return names


def iterate_rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    """The rows as Python values, read in batches."""
    for batch in table.to_batches(max_chunksize=_ROWS_A_BATCH):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def write_json(table: pa.Table, out: TextIO) -> None:
    """Write a JSON list with one object per row."""
    names = column_names(table)
    out.write("[")
    for count, row in enumerate(iterate_rows(table)):
        document = dict(zip(names, map(to_json_value, row), strict=True))
        out.write((",\n " if count else "\n ") + json.dumps(document, ensure_ascii=False, allow_nan=False))
    out.write("\n]\n" if table.num_rows else "]\n")


def write_csv(table: pa.Table, out: TextIO) -> None:
    """Write CSV with a header; nulls are empty, lists are JSON."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(column_names(table))
    writer.writerows([_csv_value(to_json_value(value)) for value in row] for row in iterate_rows(table))


def _csv_value(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value
