"""Consistent reads of the marts: a connection pool, and snapshots that never mix two publishes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from lostark_assets.errors import DatabaseUnavailable
from lostark_assets.marts.migrate import libpq_url

MAX_CONNECTIONS = 4
_TIMEOUT_S = 3.0
_OPTIONS = "-c statement_timeout=10000 -c default_transaction_read_only=on -c jit=off"
_VERSION = "SELECT version, published_at FROM marts.publications ORDER BY version DESC LIMIT 1"

Row = dict[str, Any]
Query = LiteralString | sql.SQL | sql.Composed


@dataclass(frozen=True)
class MartsSnapshot:
    """The marts as one publish left them. ``version`` 0: nothing has been published yet."""

    connection: psycopg.AsyncConnection[DictRow]
    version: int
    published_at: datetime | None

    async def fetch_all(self, query: Query, values: Mapping[str, Any] | None = None) -> list[Row]:
        """All rows of the result.

        Raises:
            DatabaseUnavailable: the connection was lost, or the query takes too long.
        """
        with _translated_errors():
            async with self.connection.cursor(binary=True) as cursor:
                await cursor.execute(query, values)
                return await cursor.fetchall()

    async def fetch_one(self, query: Query, values: Mapping[str, Any] | None = None) -> Row | None:
        """The first row of the result, if any."""
        rows = await self.fetch_all(query, values)
        return rows[0] if rows else None


class Marts:
    """The marts' database, read-only."""

    def __init__(self, url: str, max_connections: int = MAX_CONNECTIONS) -> None:
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection[DictRow]] = AsyncConnectionPool(
            libpq_url(url),
            min_size=1,
            max_size=max_connections,
            timeout=_TIMEOUT_S,
            open=False,
            kwargs={"row_factory": dict_row, "options": _OPTIONS, "connect_timeout": 3},
        )

    async def open(self) -> None:
        """Start connecting, without waiting for a database that is not up yet."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[MartsSnapshot]:
        """Reads of one moment, whatever is published meanwhile.

        Raises:
            DatabaseUnavailable: PostgreSQL can't be reached, is too slow, or has no marts.
        """
        with _translated_errors():
            async with self._pool.connection() as connection:
                await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
                row = await (await connection.execute(_VERSION)).fetchone()
                yield (
                    MartsSnapshot(connection, row["version"], row["published_at"])
                    if row
                    else MartsSnapshot(connection, 0, None)
                )


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except (psycopg.OperationalError, PoolTimeout, psycopg.errors.UndefinedTable) as error:
        raise DatabaseUnavailable(
            f"The marts can't be read: {str(error).strip() or type(error).__name__}. Nothing was changed."
        ) from error


@dataclass
class Where:
    """A WHERE clause and its values, built condition by condition."""

    conditions: list[sql.Composable] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, condition: LiteralString, **values: Any) -> Where:
        """Require ``condition``; left out if all its values are None."""
        if values and all(value is None for value in values.values()):
            return self
        self.conditions.append(sql.SQL(condition))
        self.values |= values
        return self

    def add_equal(self, column: str, value: object) -> None:
        """Require ``value`` in ``column``; left out if it is None."""
        if value is not None:
            self.conditions.append(sql.SQL("{} = {}").format(sql.Identifier(column), sql.Placeholder(column)))
            self.values[column] = value

    def into(self, query: LiteralString, **parts: sql.Composable) -> sql.Composed:
        """``query`` with ``{where}`` filled in."""
        where = sql.SQL(" AND ").join(self.conditions) if self.conditions else sql.SQL("TRUE")
        return sql.SQL(query).format(where=where, **parts)


def compose_columns(columns: Sequence[str], table: str | None = None) -> sql.Composed:
    """Column names, for a list of columns."""
    return sql.SQL(", ").join(sql.Identifier(table, c) if table else sql.Identifier(c) for c in columns)
