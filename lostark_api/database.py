"""Consistent reads of the marts: a pool of connections, and snapshots that never mix two publishes.

What does not belong here: questions (``queries``) and HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from lostark_assets.errors import DatabaseUnavailable
from lostark_assets.marts.migrate import libpq_url

CONNECTIONS = 4
_PATIENCE_S = 3.0
_OPTIONS = "-c statement_timeout=10000 -c default_transaction_read_only=on -c jit=off"
_VERSION = "SELECT version, published_at FROM marts.publications ORDER BY version DESC LIMIT 1"

Row = dict[str, Any]
Query = str | sql.Composable


@dataclass(frozen=True)
class Snapshot:
    """The marts as one publish left them. ``version`` 0: nothing was published yet."""

    connection: psycopg.AsyncConnection[Row]
    version: int
    published_at: datetime | None

    async def rows(self, question: Query, values: Mapping[str, Any] | None = None) -> list[Row]:
        """All rows of the answer."""
        async with self.connection.cursor(binary=True) as cursor:
            await cursor.execute(question, values)  # type: ignore[arg-type]
            return await cursor.fetchall()

    async def row(self, question: Query, values: Mapping[str, Any] | None = None) -> Row | None:
        """The first row of the answer, if there is one."""
        rows = await self.rows(question, values)
        return rows[0] if rows else None


class Marts:
    """The database of the marts; reading only."""

    def __init__(self, url: str, connections: int = CONNECTIONS) -> None:
        self._pool = AsyncConnectionPool(
            libpq_url(url),
            min_size=1,
            max_size=connections,
            timeout=_PATIENCE_S,
            open=False,
            kwargs={"row_factory": dict_row, "options": _OPTIONS, "connect_timeout": 3},
        )

    async def open(self) -> None:
        """Begin to connect; a database that is not there yet is waited for by the reads."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Let go of all connections."""
        await self._pool.close()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Reads of one moment, whatever is published meanwhile.

        Raises:
            DatabaseUnavailable: PostgreSQL can't be reached, is too slow, or has no marts.
        """
        try:
            async with self._pool.connection() as connection:
                await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
                row = await (await connection.execute(_VERSION)).fetchone()
                yield (
                    Snapshot(connection, row["version"], row["published_at"])
                    if row
                    else Snapshot(connection, 0, None)
                )
        except (psycopg.OperationalError, PoolTimeout, psycopg.errors.UndefinedTable) as error:
            raise DatabaseUnavailable(
                f"The marts can't be read: {str(error).strip() or type(error).__name__}. Nothing was changed."
            ) from error


@dataclass
class Where:
    """Conditions that come together one by one, and their values."""

    conditions: list[sql.Composable] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, condition: str, **values: Any) -> Where:
        """``condition`` holds; left out if the only value is None."""
        if values and all(value is None for value in values.values()):
            return self
        self.conditions.append(sql.SQL(condition))  # type: ignore[arg-type]
        self.values |= values
        return self

    def into(self, question: str, **parts: sql.Composable) -> sql.Composed:
        """``question`` with ``{where}`` filled in."""
        where = sql.SQL(" AND ").join(self.conditions) if self.conditions else sql.SQL("TRUE")
        return sql.SQL(question).format(where=where, **parts)  # type: ignore[arg-type]


def compose_columns(columns: Sequence[str], table: str | None = None) -> sql.Composed:
    """Column names, for a list of columns."""
    return sql.SQL(", ").join(sql.Identifier(table, c) if table else sql.Identifier(c) for c in columns)
