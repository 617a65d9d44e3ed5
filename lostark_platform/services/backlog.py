"""The backlog in the run log of ``lostark up``: when it matters, every minute while it does, and its end."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from lostark_assets.automation.backlog import Backlog, read_backlog
from lostark_assets.automation.backlog_text import describe_backlog
from lostark_assets.ledger import open_ledger
from lostark_assets.settings import Settings

POLL_S = 15.0
_REPEAT = timedelta(minutes=1)
_ORDINARY_WAIT_S = 60.0


class BacklogReport:
    """Decides which figures are worth a line."""

    def __init__(self) -> None:
        """Nothing was reported yet."""
        self._last: str | None = None
        self._reported_at = datetime.min.replace(tzinfo=UTC)

    def get_line(self, backlog: Backlog, now: datetime) -> str | None:
        """The line to print at ``now``, if any; logs that wait for seconds are ordinary work."""
        is_ordinary = backlog.state == "catching_up" and (backlog.oldest_waits_s or 0.0) < _ORDINARY_WAIT_S
        state = "up_to_date" if is_ordinary else backlog.state
        if self._last is None and state == "unknown":
            return None  # the first sample comes within seconds
        is_repeated = state in ("catching_up", "falling_behind") and now - self._reported_at >= _REPEAT
        if state == self._last and not is_repeated:
            return None
        self._last, self._reported_at = state, now
        return f"backlog: {describe_backlog(backlog)}"


@contextmanager
def reporting_backlog(settings: Settings, say: Callable[[str], None]) -> Iterator[None]:
    """Report the backlog in a thread while the context is open."""
    stopped = threading.Event()
    thread = threading.Thread(
        target=report_backlog, args=(settings, say, stopped.wait), name="backlog", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def report_backlog(
    settings: Settings, say: Callable[[str], None], is_stopped: Callable[[float], bool]
) -> None:
    """Report the backlog every 15 s that ``is_stopped`` waits, until it returns True."""
    report, ledger = BacklogReport(), open_ledger(settings)
    while not is_stopped(POLL_S):
        now = datetime.now(UTC)
        try:
            line = report.get_line(read_backlog(ledger, now), now)
        except sqlite3.Error as error:
            line = f"backlog: the ledger can't be read: {error}"
        if line is not None:
            say(line)
