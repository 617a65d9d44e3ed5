"""Request budgets: at most N requests in any window, shared by all processes.

An exact sliding window in a SQLite file of the state folder. A service's own counters are not used: they are
neither shared nor monotonic.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from pyrate_limiter import Limiter, Rate, RateItem, SQLiteBucket
from pyrate_limiter.limiter import SingleBucketFactory

_TRANSIT_S = 0.5
"""Added to the window: the service counts a request when it arrives."""
_CLEANUP_INTERVAL = 1000
_TABLE = "rate_bucket"


@dataclass(frozen=True)
class Budget:
    """At most ``requests`` in any ``window_s``, shared by all users of the same ``name``; 0: no limit."""

    name: str
    requests: int
    window_s: float = 60.0


def count_used(budget: Budget, folder: Path, now: float) -> int:
    """Requests that count against ``budget`` at ``now`` [s since 1970]; nothing is locked or created."""
    file = _file(budget, folder)
    if not file.exists():
        return 0
    since_ms = int((now - budget.window_s - _TRANSIT_S) * 1000)
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        query = f"SELECT count(*) FROM {_TABLE} WHERE item_timestamp >= ?"  # noqa: S608 - our name
        return int(connection.execute(query, (since_ms,)).fetchone()[0])


def _file(budget: Budget, folder: Path) -> Path:
    return folder / f"{quote(budget.name, safe='')}.sqlite"


class BudgetGate:
    """Delays requests until the budget allows them. Use it as a context manager."""

    def __init__(self, budget: Budget, folder: Path) -> None:
        """``folder`` holds one file for each budget."""
        self._budget = budget
        self._folder = folder
        self._limiter: Limiter | None = None
        self._bucket: SQLiteBucket | None = None
        self._taken = 0

    def __enter__(self) -> BudgetGate:
        if self._budget.requests:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = _file(self._budget, self._folder)
            window_ms = int((self._budget.window_s + _TRANSIT_S) * 1000)
            rate = Rate(self._budget.requests, window_ms)
            self._bucket = SQLiteBucket.init_from_file(
                [rate], table=_TABLE, db_path=str(file), use_file_lock=True
            )
            # The library's clean-up thread would keep the file open for the life of the process.
            self._limiter = Limiter(SingleBucketFactory(self._bucket, schedule_leak=False), buffer_ms=5)
            self._bucket.leak(self._bucket.now())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._limiter is not None and self._bucket is not None:
            self._limiter.close()
            self._bucket.close()
            self._limiter = self._bucket = None

    async def take(self) -> float:
        """Wait until one more request is allowed; returns the seconds waited. Cancelling uses no budget."""
        if self._limiter is None or self._bucket is None:
            return 0.0
        if self._bucket.put(RateItem(self._budget.name, self._bucket.now())):
            waited_s = 0.0
        else:
            before = time.monotonic()
            await self._limiter.try_acquire_async(self._budget.name)
            waited_s = time.monotonic() - before
        self._taken += 1
        if self._taken % _CLEANUP_INTERVAL == 0:
            self._bucket.leak(self._bucket.now())
        return waited_s
