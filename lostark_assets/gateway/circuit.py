"""A circuit breaker for each source, whose state outlives the process.

After N consecutive failures no requests are made to a source for a while; then a single one probes it.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

from purgatory import AsyncAbstractUnitOfWork, AsyncCircuitBreakerFactory
from purgatory.domain.model import CLOSED, Context, OpenedState
from purgatory.service._async.repository import AsyncAbstractRepository

from lostark_assets.errors import CircuitOpen

_BUSY_TIMEOUT_S = 15.0
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS circuits "
    "(source TEXT PRIMARY KEY, state TEXT NOT NULL, failures INTEGER NOT NULL, opened_at REAL)"
)


class BadResponse(Exception):
    """Raised inside ``Circuit.closed`` for a response that counts as a failure of the source."""


class Circuit:
    """The circuit of ``source``: opens for ``open_s`` after N consecutive ``failures``."""

    def __init__(self, source: str, folder: Path, *, failures: int, open_s: float) -> None:
        """``folder`` holds the states of all sources in one file."""
        self._source = source
        self._open_s = open_s
        self._stored = _Stored(folder / "circuits.db", failures, open_s)
        self._factory = AsyncCircuitBreakerFactory(failures, open_s, uow=_Unit(self._stored))
        self._probing = asyncio.Lock()

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Let one request through. While the circuit is not closed, one at a time.

        Raises:
            CircuitOpen: the circuit is open; no request was made.
        """
        if (await self._stored.get(self._source)).state == CLOSED:
            async with self._breaker():
                yield
        else:
            async with self._probing, self._breaker():
                yield

    @asynccontextmanager
    async def _breaker(self) -> AsyncIterator[None]:
        is_closed = (await self._stored.get(self._source)).state == CLOSED
        ended: list = [(Exception, lambda error: not isinstance(error, BadResponse))]
        breaker = await self._factory.get_breaker(self._source, exclude=ended)
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(breaker)
                try:
                    yield
                except asyncio.CancelledError:
                    # A cancelled request is neither a failure nor a success, but a probe must not close the
                    # circuit.
                    if is_closed:
                        stack.pop_all()
                    raise
        except OpenedState as error:
            left_s = math.ceil(max(error.opened_at + self._open_s - time.time(), 0.0))
            raise CircuitOpen(
                f"{self._source}: the circuit is open for {left_s} s more, after repeated failures. No "
                "request was made, earlier responses were kept. It is retried automatically."
            ) from None


class _Stored(AsyncAbstractRepository):
    """Circuit states, kept in a file. One object per source: purgatory counts in it."""

    def __init__(self, path: Path, failures: int, open_s: float) -> None:
        self.messages = []
        self._path = path
        self._limits = (failures, open_s)
        self._contexts: dict[str, Context] = {}

    async def get(self, name: str) -> Context:
        context = self._contexts.get(name)
        if context is None:
            with closing(self._connection()) as connection:
                row = connection.execute(
                    "SELECT state, failures, opened_at FROM circuits WHERE source = ?", (name,)
                ).fetchone()
            state, failures, opened_at = row or (CLOSED, 0, None)
            # A clock that was put back must not keep a circuit open for longer.
            opened_at = None if opened_at is None else min(opened_at, time.time())
            context = self._contexts[name] = Context(name, *self._limits, state, failures, opened_at)
        return context

    async def register(self, context: Context) -> None:
        """Never called: ``get`` always finds one."""

    async def update_state(self, name: str, state: str, opened_at: float | None) -> None:
        self._write(name, state, 0, opened_at)

    async def inc_failures(self, name: str, failure_count: int) -> None:
        self._write(name, CLOSED, failure_count, None)

    async def reset_failure(self, name: str) -> None:
        self._write(name, CLOSED, 0, None)

    def _write(self, name: str, state: str, failures: int, opened_at: float | None) -> None:
        with closing(self._connection()) as connection, connection:
            connection.execute(
                "INSERT OR REPLACE INTO circuits VALUES (?, ?, ?, ?)", (name, state, failures, opened_at)
            )

    def _connection(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(_SCHEMA)
        return connection


class _Unit(AsyncAbstractUnitOfWork):
    """Every write of the repository is a transaction of its own."""

    def __init__(self, contexts: _Stored) -> None:
        self.contexts = contexts

    async def commit(self) -> None:
        """Writes are committed immediately."""

    async def rollback(self) -> None:
        """Writes were committed immediately."""
