"""A service that offers the battle-log HTTP contract: the mock server, another platform.

Listed by cursor, page by page; fetched concurrently, with a bounded number of bytes in flight. Payloads are
the uncompressed upload JSON, checked against the listed SHA-256. The listing restarts from the beginning once
a day, after logs that could not be fetched, and when the service has dropped the cursor: known logs only cost
a comparison, and no log is missed behind a cursor.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from lostark_assets.contracts.battle_log_api import (
    AFTER,
    CURSOR_FORGOTTEN_STATUS,
    LIMIT,
    LIST_PATH,
    MAX_LIMIT,
    BattleLogEntry,
    BattleLogPage,
)
from lostark_assets.errors import CircuitOpen, SourceRefused, SourceUnavailable
from lostark_assets.gateway.client import Counts, Gateway, GatewayConfig, quote_segment
from lostark_assets.ledger import Ledger
from lostark_assets.sources.protocol import FetchedLog, Listed, ListedPage, Unreadable, content_sha256
from lostark_assets.sources.upload_json import FORMAT, fight_start_ms

RELIST_AFTER = timedelta(hours=24)
RELIST_AFTER_MISSED = timedelta(minutes=10)
_IN_FLIGHT_BYTES = 64 << 20
_TASKS_PER_SLOT = 4
_MAX_ERASED_AT_ONCE = 3
Clock = Callable[[], datetime]


def now_utc() -> datetime:
    """The time now."""
    return datetime.now(UTC)


@dataclass
class BattleLogHttp:
    """The service at ``gateway.base_url`` as a source of battle logs; ``gateway.source`` is its name."""

    gateway: GatewayConfig
    ledger: Ledger
    page_size: int = MAX_LIMIT
    clock: Clock = now_utc
    log_format: str = FORMAT
    problems: list[Unreadable] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    _missed: bool = False
    _listed_all: bool = False
    _runner: asyncio.Runner | None = field(default=None, repr=False)
    _client: Gateway | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Name of the source."""
        return self.gateway.source

    @property
    def path(self) -> str:
        """Address of the service."""
        return self.gateway.base_url

    def list_logs(self) -> Iterator[Listed]:
        """New logs since the cursor."""
        for page in self.list_pages():
            yield from page.logs

    def list_pages(self) -> Iterator[ListedPage]:
        """Pages from the cursor on, or from the beginning if the whole listing is due.

        Raises:
            SourceUnavailable, CircuitOpen, SourceRefused: as the gateway says.
        """
        self._missed = False
        cursor = None if self._is_relist_due() else self.ledger.cursor(self.name)
        self._listed_all = cursor is None
        seen, forgotten = {cursor}, 0
        while True:
            try:
                page = self._run(self._page(cursor, self.page_size))
            except SourceRefused as error:
                forgotten += 1
                is_cursor = cursor is not None and error.status == CURSOR_FORGOTTEN_STATUS
                if not is_cursor or forgotten > _MAX_ERASED_AT_ONCE:
                    raise
                self.ledger.forget_cursor(self.name)
                cursor, seen, self._listed_all = None, {None}, True
                continue
            if page.logs or page.next_cursor != cursor:
                yield ListedPage([_listed(entry) for entry in page.logs], page.next_cursor)
            if not page.logs or page.next_cursor == cursor:
                return
            if page.next_cursor in seen:
                raise SourceUnavailable(
                    f"{self.name}: GET {LIST_PATH}: expected a listing that ends, found a repeated cursor. "
                    "Earlier logs were kept. Check the service."
                )
            cursor = page.next_cursor
            seen.add(cursor)

    def fetch(self, wanted: Iterable[Listed]) -> Generator[FetchedLog, None, None]:
        """The wanted logs in order, some of them prefetched; deleted logs are left out.

        A single log that can't be fetched is recorded as a problem and requested again soon.
        """
        self._open()
        runner, waiting = self._runner, iter(wanted)
        assert runner is not None
        loop = runner.get_loop()
        tasks: deque[tuple[asyncio.Task[FetchedLog | None], int]] = deque()
        flying, most = 0, _TASKS_PER_SLOT * self.gateway.concurrency
        try:
            while True:
                while len(tasks) < most and (not tasks or flying < _IN_FLIGHT_BYTES):
                    listed = next(waiting, None)
                    if listed is None:
                        break
                    size = listed.locator.size_bytes
                    flying += size
                    tasks.append((loop.create_task(self._fetch(listed)), size))
                if not tasks:
                    return
                runner.run(_first_done(tasks[0][0]))
                while tasks and tasks[0][0].done():
                    task, size = tasks.popleft()
                    flying -= size
                    log = task.result()
                    if log is not None:
                        yield log
        finally:
            runner.run(_cancel([task for task, _ in tasks]))

    def save_cursor(self, cursor: str) -> None:
        """Continue the next listing after ``cursor``, or restart it soon if a log before it was missed."""
        if self._missed:
            self._relist_at(self.clock() + RELIST_AFTER_MISSED)
        self.ledger.set_cursor(self.name, cursor)

    def finish(self) -> None:
        """Schedule the next full listing."""
        if self._missed:
            self._relist_at(self.clock() + RELIST_AFTER_MISSED)
        elif self._listed_all:
            self._relist_at(self.clock() + RELIST_AFTER)

    def close(self) -> None:
        """Close the connections and their event loop."""
        if self._runner is not None:
            with suppress(RuntimeError):
                if self._client is not None:
                    self._runner.run(self._client.__aexit__(None, None, None))
            self._runner.close()
        self._runner = self._client = None

    def probe(self) -> str | None:
        """The reason to collect, found with at most one request; None if there is nothing new.

        Raises:
            SourceUnavailable, CircuitOpen, SourceRefused: the service can't be read.
        """
        cursor = self.ledger.cursor(self.name)
        if cursor is not None and self._is_relist_due():
            return "the whole listing is due"
        try:
            page = self._run(self._page(cursor, 1))
        except SourceRefused as error:
            if cursor is None or error.status != CURSOR_FORGOTTEN_STATUS:
                raise
            return "the cursor is forgotten"
        return f"log {page.logs[0].id} updated at {page.logs[0].updated_at:%F %T} UTC" if page.logs else None

    def _is_relist_due(self) -> bool:
        at = self.ledger.get_value(_relist_key(self.name))
        return at is None or datetime.fromisoformat(at) <= self.clock()

    def _relist_at(self, at: datetime) -> None:
        self.ledger.set_value(_relist_key(self.name), at.isoformat())

    async def _page(self, cursor: str | None, limit: int) -> BattleLogPage:
        assert self._client is not None
        after = "" if cursor is None else f"&{AFTER}={quote_segment(cursor)}"
        response = await self._client.get(
            f"{LIST_PATH}?{LIMIT}={limit}{after}", check=BattleLogPage.model_validate_json
        )
        return response.value

    async def _fetch(self, listed: Listed) -> FetchedLog | None:
        assert self._client is not None
        path = f"{LIST_PATH}/{quote_segment(listed.source_log_id)}"
        try:
            response = await self._client.get(path, check=_HashCheck(listed.fingerprint))
        except CircuitOpen:
            raise
        except SourceUnavailable as error:
            self._missed = True
            self.problems.append(Unreadable(path, str(error)))
            return None
        except SourceRefused as error:
            if error.kind == "unauthorised":
                raise
            if error.kind not in ("not_found", "gone"):
                self.problems.append(Unreadable(path, str(error)))
            return None
        entry: BattleLogEntry = listed.locator
        started_ms = fight_start_ms(response.body) or int(entry.fight_started_at.timestamp() * 1000)
        return FetchedLog(listed.source_log_id, response.value, response.body, started_ms)

    def _run(self, request: Any) -> Any:
        self._open()
        assert self._runner is not None
        return self._runner.run(request)

    def _open(self) -> None:
        if self._runner is None:
            self._runner = asyncio.Runner()
            client = Gateway(self.gateway)
            client.counts = self.counts
            self._client = self._runner.run(client.__aenter__())


class _HashCheck:
    """Accepts a body with the listed SHA-256, and returns its hash.

    A different body is damaged, or the log was uploaded again since it was listed: valid JSON that is
    received twice identically. The latter is stored under its own hash, and listed again later.
    """

    def __init__(self, expected: str) -> None:
        self._expected = expected
        self._before = ""

    def __call__(self, body: bytes) -> str:
        found = content_sha256(body)
        if found == self._expected:
            return found
        msgspec.json.decode(body)
        if found == self._before:
            return found
        self._before = found
        raise ValueError(f"expected the listed SHA-256 {self._expected[:12]}…, found {found[:12]}…")


def _listed(entry: BattleLogEntry) -> Listed:
    return Listed(entry.id, entry.content_sha256, entry)


def _relist_key(source: str) -> str:
    return f"relist_at:{source}"


async def _first_done(task: asyncio.Task[Any]) -> None:
    await asyncio.wait([task])


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
