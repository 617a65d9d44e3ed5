"""A circuit breaker for each source, whose state outlives the process.

After N consecutive failures no requests are made to a source for a while; then a single one probes it.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, nullcontext
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from lostark_assets.errors import CircuitOpen

_CLOSED, _OPENED, _HALF_OPENED = "closed", "opened", "half-opened"
_FILE = "circuits.db"
_BUSY_TIMEOUT_S = 15.0
_VERSION = 2
_SCHEMA = f"""
BEGIN IMMEDIATE;
DROP TABLE IF EXISTS circuits;
CREATE TABLE circuits (
    source TEXT PRIMARY KEY, state TEXT NOT NULL, failures INTEGER NOT NULL, opened_at REAL,
    last_failure TEXT NOT NULL
);
PRAGMA user_version = {_VERSION};
COMMIT;
"""


class BadResponse(Exception):
    """Raised inside ``Circuit.closed`` for a response that counts as a failure of the source.

    Its text says what was found; it is kept, and quoted while the circuit is open.
    """


class _State(NamedTuple):
    name: str = _CLOSED
    failures: int = 0
    opened_at: float | None = None
    last_failure: str = ""


def read_open_circuits(folder: Path) -> set[str]:
    """The sources whose circuit is open, by the states in ``folder``; nothing is locked or created."""
    path = folder / _FILE
    if not path.exists():
        return set()
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT source FROM circuits WHERE state = ?", (_OPENED,)).fetchall()
    return {source for (source,) in rows}


class Circuit:
    """The circuit of ``source``: opens for ``open_s`` after N consecutive ``failures``."""

    def __init__(self, source: str, folder: Path, *, failures: int, open_s: float) -> None:
        """``folder`` holds the states of all sources in one file."""
        self._source = source
        self._path = folder / _FILE
        self._max_failures = failures
        self._open_s = open_s
        self._probing = asyncio.Lock()

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Let one request through. While the circuit is not closed, one at a time.

        Raises:
            CircuitOpen: the circuit is open; no request was made.
        """
        async with nullcontext() if self._state.name == _CLOSED else self._probing:
            is_probe = self._state.name != _CLOSED
            if is_probe:
                self._start_probe()
            try:
                yield
            except BadResponse as failure:
                self._count_failure(str(failure))
                raise
            except Exception:
                self._count_success()  # refused or rate limited: the source works
                raise
            except BaseException:
                # A cancelled request is neither a failure nor a success, but a probe must not close the
                # circuit.
                if is_probe:
                    self._count_failure(self._state.last_failure)
                raise
            self._count_success()

    def _start_probe(self) -> None:
        left_s = (self._state.opened_at or 0.0) + self._open_s - time.time()
        if left_s >= 0:
            raise CircuitOpen(
                f"{self._source}: the circuit is open for {math.ceil(left_s)} s more, after repeated "
                f"failures; the last one: {self._state.last_failure or 'not recorded'}. No request was made, "
                "earlier responses were kept. It is retried automatically."
            )
        # Not stored: if the process dies during the probe, the next one probes again.
        self._state = _State(_HALF_OPENED, last_failure=self._state.last_failure)

    def _count_failure(self, found: str) -> None:
        name, failures = self._state[:2]
        if name == _OPENED:
            return  # a request from before it opened
        if name == _HALF_OPENED or failures + 1 >= self._max_failures:
            self._store(_State(_OPENED, opened_at=time.time(), last_failure=found))
        else:
            self._store(_State(failures=failures + 1, last_failure=found))

    def _count_success(self) -> None:
        if self._state.name == _HALF_OPENED or self._state.failures:
            self._store(_State())

    @cached_property
    def _state(self) -> _State:
        with closing(self._connection()) as connection:
            row = connection.execute(
                "SELECT state, failures, opened_at, last_failure FROM circuits WHERE source = ?",
                (self._source,),
            ).fetchone()
        state = _State(*row) if row else _State()
        # A clock that was put back must not keep a circuit open for longer.
        opened_at = None if state.opened_at is None else min(state.opened_at, time.time())
        return state._replace(opened_at=opened_at)

    def _store(self, state: _State) -> None:
        self._state = state
        with closing(self._connection()) as connection, connection:
            connection.execute(
                "INSERT OR REPLACE INTO circuits VALUES (?, ?, ?, ?, ?)", (self._source, *state)
            )

    def _connection(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S)
        connection.execute("PRAGMA synchronous = NORMAL")
        if connection.execute("PRAGMA user_version").fetchone()[0] < _VERSION:
            connection.executescript(_SCHEMA)
        return connection
