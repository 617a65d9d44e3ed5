"""Collecting a source: new logs are fetched and appended to the raw table in batches.

Append-only and idempotent: a log is identified by source, source's id and content hash. A batch is one
commit, so a crash loses at most the current batch, which the next collection fetches again. The cursor of a
paged source only advances past committed logs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.raw import RAW_BATTLE_LOGS
from lostark_assets.errors import LostarkError, SourceRefused, TransientError
from lostark_assets.lake.tables import Lake
from lostark_assets.ledger import CollectionOutcome, CollectionRecord, Ledger
from lostark_assets.observability.logs import report_unexpected
from lostark_assets.settings import BATCH_BYTES
from lostark_assets.sources.protocol import (
    FetchedLog,
    Listed,
    PagedSource,
    Source,
    Unreadable,
    compute_log_id,
    content_sha256,
    fight_day,
    instant,
)

Progress = Callable[[int, int], None]
"""Called with logs fetched and logs to fetch."""
OnCommit = Callable[[set[date]], None]
"""Called after a commit with the fight days of its logs."""
KIND = "battle_logs"
_MAX_BATCH_S = 30.0
"""Maximum time between commits of a slow source's logs."""
_MAX_ERROR = 2000


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


def collect(
    source: Source,
    lake: Lake,
    *,
    run_id: str,
    earliest: date,
    batch_bytes: int = BATCH_BYTES,
    progress: Progress | None = None,
    on_commit: OnCommit | None = None,
    done: Collected | None = None,
) -> Collected:
    """Append the new logs of ``source`` to the raw table; ``done`` holds the progress, also after a failure.

    ``on_commit`` may work on what is stored already while a long collection goes on.

    Raises:
        SourceError, SourceBusy: the source can't be read; earlier commits are kept.
    """
    done = done or Collected(source.name, source.log_format, source.path)
    # One lock per source: a slow one must not block the others. Concurrent appends don't conflict.
    with lake.lock(f"{RAW_BATTLE_LOGS.name}-{quote(source.name, safe='')}"):
        _Collection(source, lake, done, run_id, earliest, batch_bytes, progress, on_commit).work()
    done.problems = list(source.problems)
    return done


def collect_and_record(
    source: Source, lake: Lake, ledger: Ledger, *, done: Collected | None = None, **options: Any
) -> Collected:
    """``collect``, and record its outcome in the ledger."""
    started = datetime.now(UTC)
    done = done or Collected(source.name, source.log_format, source.path)
    outcome: CollectionOutcome = "failed"
    error = None
    try:
        collect(source, lake, done=done, **options)
        outcome = "ok"
        error = "; ".join(f"{p.where}: {p.reason}" for p in done.problems) or None
    except (LostarkError, OSError) as raised:
        outcome, error = classify_outcome(raised), str(raised)
        raise
    except Exception as raised:
        # A source may hold anything: whatever it makes a library raise, it alone fails.
        unexpected = report_unexpected(f"collecting {source.path}", raised)
        error = str(unexpected)
        raise unexpected from raised
    finally:
        counts = getattr(source, "counts", None)
        ledger.record_collection(
            CollectionRecord(
                source=source.name,
                kind=KIND,
                started_at=started,
                ended_at=datetime.now(UTC),
                outcome=outcome,
                requests=counts.requests if counts else 0,
                failed_requests=counts.failed if counts else 0,
                found=done.found,
                new=done.new,
                known=done.known,
                error=error and error[:_MAX_ERROR],
            )
        )
    return done


def classify_outcome(error: Exception) -> CollectionOutcome:
    """The ledger's outcome of a collection or probe that ended with ``error``."""
    if isinstance(error, TransientError | OSError):
        return "unavailable"
    return "refused" if isinstance(error, SourceRefused) else "failed"


class _Collection:
    """State of a running collection: known logs, the current batch, the cursor to save after it."""

    def __init__(
        self,
        source: Source,
        lake: Lake,
        done: Collected,
        run_id: str,
        earliest: date,
        batch_bytes: int,
        progress: Progress | None,
        on_commit: OnCommit | None,
    ) -> None:
        self._source, self._lake, self._done = source, lake, done
        self._run_id, self._earliest, self._batch_bytes = run_id, earliest, batch_bytes
        self._progress, self._on_commit = progress, on_commit
        self._known, self._log_ids = _known(lake, source.name)
        self._fingerprints = set(self._known)
        self._batch: list[dict[str, Any]] = []
        self._bytes = 0
        self._begun = time.monotonic()
        self._fetched = self._to_fetch = 0
        self._cursor: str | None = None

    def work(self) -> None:
        if not isinstance(self._source, PagedSource):
            self._take(self._new_ones(self._source.list_logs()))
            self._commit()
            return
        try:
            for page in self._source.list_pages():
                self._take(self._new_ones(page.logs))
                self._cursor = page.cursor
                if not self._batch:
                    self._commit()
            self._commit()
            self._source.finish()
        except LostarkError:
            # Fetched logs used up budget: they are kept, only the cursor is not saved.
            self._commit()
            raise
        finally:
            self._source.close()

    def _new_ones(self, listing: Iterable[Listed]) -> list[Listed]:
        wanted = []
        for listed in listing:
            self._done.found += 1
            key = (listed.source_log_id, listed.fingerprint)
            if key not in self._fingerprints and listed.legacy_fingerprint:
                legacy_fingerprint = (listed.source_log_id, listed.legacy_fingerprint())
                key = legacy_fingerprint if legacy_fingerprint in self._known else key
            if key in self._fingerprints:
                self._done.known += 1
                self._is_there(*self._known.get(key, (None, None)))
            else:
                self._fingerprints.add(key)
                wanted.append(listed)
        # Sorted by day: a batch then has few days, each of which is one file per table.
        return sorted(wanted, key=lambda listed: listed.started_ms or 0)

    def _is_there(self, log_id: object, day: object) -> None:
        if isinstance(log_id, str) and isinstance(day, date):
            self._done.log_ids.append(log_id)
            self._done.all_days.add(day)

    def _take(self, wanted: list[Listed]) -> None:
        self._to_fetch += len(wanted)
        # Closed explicitly: an unfinished fetch may hold connections.
        with closing(self._source.fetch(wanted)) as logs:
            self._take_logs(logs)

    def _take_logs(self, logs: Iterable[FetchedLog]) -> None:
        for log in logs:
            row = _raw_row(self._source, log, self._run_id, self._earliest)
            # A listing may change while the content stays.
            self._is_there(row["log_id"], row["fight_date"])
            if row["log_id"] in self._log_ids:
                self._done.known += 1
            else:
                self._log_ids.add(str(row["log_id"]))
                self._batch.append(row)
                self._bytes += len(log.payload)
            self._fetched += 1
            if self._progress:
                self._progress(self._fetched, self._to_fetch)
            is_old = time.monotonic() - self._begun > _MAX_BATCH_S
            if self._bytes >= self._batch_bytes or (is_old and self._batch):
                self._commit()

    def _commit(self) -> None:
        """Write the current batch, then save the cursor of the last completely stored page."""
        days = {row["fight_date"] for row in self._batch}
        if self._batch:
            self._lake.append(RAW_BATTLE_LOGS, _table(self._batch))
            _count(self._done, self._batch)
        self._batch, self._bytes = [], 0
        if self._cursor is not None and isinstance(self._source, PagedSource):
            self._source.save_cursor(self._cursor)
            self._cursor = None
        if days and self._on_commit:
            self._on_commit(days)
        self._begun = time.monotonic()


def _known(lake: Lake, source: str) -> tuple[dict[tuple[str, str], tuple[str, date]], set[str]]:
    """Id and fight day of the source's stored logs, by source's id and fingerprint; and all their ids."""
    columns = ["source_log_id", "listing_fingerprint", "log_id", "fight_date"]
    rows = lake.read(RAW_BATTLE_LOGS.name, columns=[*columns, "source"], where=pc.field("source") == source)
    ids, fingerprints, log_ids, days = (rows[name].to_pylist() for name in columns)
    keys, found = zip(ids, fingerprints, strict=True), zip(log_ids, days, strict=True)
    return dict(zip(keys, found, strict=True)), set(log_ids)


def _raw_row(source: Source, log: FetchedLog, run_id: str, earliest: date) -> dict[str, Any]:
    sha256 = content_sha256(log.payload)
    now = datetime.now(UTC)
    return {
        "log_id": compute_log_id(source.name, log.source_log_id, sha256),
        "source": source.name,
        "source_log_id": log.source_log_id,
        "content_sha256": sha256,
        "log_format": source.log_format,
        "fight_started_at": instant(log.fight_started_ms),
        "fight_date": fight_day(log.fight_started_ms, now, earliest),
        "listing_fingerprint": log.fingerprint,
        "source_path": source.path,
        "payload_bytes": len(log.payload),
        "payload": log.payload,
        "fetched_at": now,
        "fetch_run_id": run_id,
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


def _count(done: Collected, batch: list[dict[str, Any]]) -> None:
    done.new += len(batch)
    done.new_log_ids.extend(str(row["log_id"]) for row in batch)
    done.days.update(row["fight_date"] for row in batch)
    done.payload_bytes += sum(len(row["payload"]) for row in batch)
