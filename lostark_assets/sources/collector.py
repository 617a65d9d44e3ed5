"""Fetching the new logs of sources into shared commits, so that many small files cost a few commits only.

A log is identified by source, source's id and content hash. A batch is one commit, so a crash loses at most
the current batch, which the next collection fetches again. The cursor of a paged source only advances past
committed logs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.raw import RAW_BATTLE_LOGS
from lostark_assets.errors import LostarkError, SourceError
from lostark_assets.lake.tables import Lake
from lostark_assets.settings import BATCH_BYTES
from lostark_assets.sources.protocol import (
    FetchedLog,
    Listed,
    PagedSource,
    Source,
    Unreadable,
    compute_log_id,
    content_sha256,
    escape_undecodable,
    fight_day,
    instant,
)

Progress = Callable[[int, int], None]
"""Called with logs fetched and logs to fetch."""
OnCommit = Callable[[set[date]], None]
"""Called after a commit with the fight days of its logs."""
_MAX_BATCH_S = 30.0
"""Maximum time between commits of a slow source's logs."""
_Key = tuple[str, str, str]
"""Source, source's id of a log, fingerprint in the listing."""


@dataclass
class Collected:
    """Result of one collection. ``days`` are the fight days of the new logs, ``all_days`` those of all.

    ``log_ids``: all logs that the source has now, including known ones.
    """

    source: str
    log_format: str
    path: str
    found: int = 0
    new: int = 0
    known: int = 0
    new_log_ids: list[str] = field(default_factory=list)
    days: set[date] = field(default_factory=set)
    log_ids: list[str] = field(default_factory=list)
    all_days: set[date] = field(default_factory=set)
    payload_bytes: int = 0
    problems: list[Unreadable] = field(default_factory=list)


class StoreFailed(Exception):
    """A batch could not be stored: nothing of it is in the lake. The cause is what the lake raised."""


@dataclass(frozen=True)
class CollectOptions:
    """How logs are collected. ``earliest``: older fights have no valid start.

    ``on_commit`` may work on what is stored already while a long collection goes on.
    """

    run_id: str
    earliest: date
    batch_bytes: int = BATCH_BYTES
    progress: Progress | None = None
    on_commit: OnCommit | None = None


class Collector:
    """Collects sources of known ``names``, one after the other; the caller holds their locks.

    ``on_store`` is called after each commit, before ``on_commit``: all logs fetched before are stored.
    """

    def __init__(
        self,
        lake: Lake,
        names: Collection[str],
        options: CollectOptions,
        on_store: Callable[[], None] = lambda: None,
    ) -> None:
        self._lake, self._options, self._on_store = lake, options, on_store
        self._known, self._log_ids = _read_known(lake, names)
        self._batch: list[tuple[dict[str, Any], Collected]] = []
        self._bytes = 0
        self._begun = time.monotonic()
        self._fetched = self._to_fetch = 0
        self._paged: tuple[PagedSource, str] | None = None

    @property
    def is_stored(self) -> bool:
        """Whether everything that was fetched is stored."""
        return not self._batch

    def collect(self, source: Source, done: Collected) -> None:
        """Fetch the new logs of ``source``; the last ones are stored by the next ``commit``.

        Raises:
            SourceError, SourceBusy: the source can't be read; what was fetched before is kept.
            StoreFailed: as ``commit``.
        """
        _check_name(source)
        try:
            if isinstance(source, PagedSource):
                self._collect_pages(source, done)
            else:
                self._take(source, self._find_new(source, source.list_logs(), done), done)
        finally:
            done.problems = list(source.problems)

    def commit(self) -> None:
        """Store the current batch, then save the cursor of the last completely stored page.

        Raises:
            StoreFailed: nothing of the batch is stored, whichever sources it is of.
        """
        batch, self._batch, self._bytes = self._batch, [], 0
        try:
            if batch:
                self._lake.append(RAW_BATTLE_LOGS, _table([row for row, _ in batch]))
            for row, done in batch:
                _count(done, row)
            if self._paged is not None:
                source, cursor = self._paged
                source.save_cursor(cursor)
                self._paged = None
        except Exception as error:
            raise StoreFailed(str(error)) from error
        self._on_store()
        if batch and self._options.on_commit:
            self._options.on_commit({row["fight_date"] for row, _ in batch})
        self._begun = time.monotonic()

    def _collect_pages(self, source: PagedSource, done: Collected) -> None:
        try:
            for page in source.list_pages():
                self._take(source, self._find_new(source, page.logs, done), done)
                self._paged = source, page.cursor
                if not self._batch:
                    self.commit()
            self.commit()
            source.finish()
        except LostarkError:
            # Fetched logs used up budget: they are kept, only the cursor is not saved.
            self.commit()
            raise
        finally:
            source.close()

    def _find_new(self, source: Source, listing: Iterable[Listed], done: Collected) -> list[Listed]:
        wanted, seen = [], set()
        for listed in listing:
            done.found += 1
            key = (source.name, listed.source_log_id, listed.fingerprint)
            if key not in self._known and listed.legacy_fingerprint:
                legacy = (source.name, listed.source_log_id, listed.legacy_fingerprint())
                key = legacy if legacy in self._known else key
            if key in self._known:
                done.known += 1
                _add_log(done, *self._known[key])
            elif key in seen:
                done.known += 1
            else:
                seen.add(key)
                wanted.append(listed)
        # Sorted by day: a batch then has few days, each of which is one file per table.
        return sorted(wanted, key=lambda listed: listed.started_ms or 0)

    def _take(self, source: Source, wanted: list[Listed], done: Collected) -> None:
        self._to_fetch += len(wanted)
        # Closed explicitly: an unfinished fetch may hold connections.
        with closing(source.fetch(wanted)) as logs:
            for log in logs:
                self._add(source, log, done)

    def _add(self, source: Source, log: FetchedLog, done: Collected) -> None:
        row = _raw_row(source, log, self._options)
        log_id, day = str(row["log_id"]), row["fight_date"]
        # A listing may change while the content stays.
        _add_log(done, log_id, day)
        self._known[source.name, log.source_log_id, log.fingerprint] = log_id, day
        if log_id in self._log_ids:
            done.known += 1
        else:
            self._log_ids.add(log_id)
            self._batch.append((row, done))
            self._bytes += len(log.payload)
        self._fetched += 1
        if self._options.progress:
            self._options.progress(self._fetched, self._to_fetch)
        is_old = time.monotonic() - self._begun > _MAX_BATCH_S
        if self._bytes >= self._options.batch_bytes or (is_old and self._batch):
            self.commit()


def _read_known(lake: Lake, names: Collection[str]) -> tuple[dict[_Key, tuple[str, date]], set[str]]:
    """Id and fight day of the stored logs of sources, by their listing; and all their ids."""
    columns = ["source", "source_log_id", "listing_fingerprint", "log_id", "fight_date"]
    rows = lake.read(RAW_BATTLE_LOGS.name, columns=columns, where=pc.field("source").isin(sorted(names)))
    sources, ids, fingerprints, log_ids, days = (rows[name].to_pylist() for name in columns)
    keys = zip(sources, ids, fingerprints, strict=True)
    return dict(zip(keys, zip(log_ids, days, strict=True), strict=True)), set(log_ids)


def _add_log(done: Collected, log_id: str, day: date) -> None:
    done.log_ids.append(log_id)
    done.all_days.add(day)


def _count(done: Collected, row: dict[str, Any]) -> None:
    done.new += 1
    done.new_log_ids.append(row["log_id"])
    done.days.add(row["fight_date"])
    done.payload_bytes += row["payload_bytes"]


def _check_name(source: Source) -> None:
    """Texts are stored as UTF-8; one file that can't be named must not keep the others of its batch out."""
    try:
        (source.path + source.name).encode()
    except UnicodeEncodeError:
        shown = escape_undecodable(source.path)
        raise SourceError(shown, "bytes that are none", "a name in UTF-8", "Rename it.") from None


def _raw_row(source: Source, log: FetchedLog, options: CollectOptions) -> dict[str, Any]:
    (log.source_log_id + log.fingerprint).encode()
    sha256 = content_sha256(log.payload)
    now = datetime.now(UTC)
    return {
        "log_id": compute_log_id(source.name, log.source_log_id, sha256),
        "source": source.name,
        "source_log_id": log.source_log_id,
        "content_sha256": sha256,
        "log_format": source.log_format,
        "fight_started_at": instant(log.fight_started_ms),
        "fight_date": fight_day(log.fight_started_ms, now, options.earliest),
        "listing_fingerprint": log.fingerprint,
        "source_path": source.path,
        "payload_bytes": len(log.payload),
        "payload": log.payload,
        "fetched_at": now,
        "fetch_run_id": options.run_id,
    }


def _table(batch: list[dict[str, Any]]) -> pa.Table:
    schema = RAW_BATTLE_LOGS.schema
    columns = [
        _chunked([row[f.name] for row in batch])
        if f.name == "payload"
        else pa.array([row[f.name] for row in batch], f.type)
        for f in schema
    ]
    return pa.table(columns, schema=schema)


def _chunked(payloads: list[bytes]) -> pa.ChunkedArray:
    """The payloads as one column without copying them, which would cost as much as hashing them."""
    return pa.chunked_array(
        [
            pa.LargeBinaryArray.from_buffers(
                pa.large_binary(), 1, [None, pa.py_buffer(np.array([0, len(payload)])), pa.py_buffer(payload)]
            )
            for payload in payloads
        ]
    )
