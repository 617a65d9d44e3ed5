"""From a source to the raw table: fetch what is new, in batches, once.

Append-only and idempotent: a log is known by source, source's id and content hash. A batch is one commit, so
a crash loses at most the batch in hand, which the next collection fetches again. What does not belong here:
the meaning of a log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.raw import RAW_BATTLE_LOGS
from lostark_assets.lake.tables import Lake
from lostark_assets.sources.protocol import (
    FetchedLog,
    Listed,
    Source,
    Unreadable,
    content_sha256,
    fight_day,
    instant,
    log_id_of,
)

Progress = Callable[[int, int], None]
"""Called with logs fetched and logs to fetch."""


@dataclass
class Collected:
    """What one collection did. ``days`` are the fight days of the new logs."""

    source: str
    log_format: str
    path: str
    found: int = 0
    new: int = 0
    known: int = 0
    new_log_ids: list[str] = field(default_factory=list)
    days: set[date] = field(default_factory=set)
    payload_bytes: int = 0
    problems: list[Unreadable] = field(default_factory=list)


def collect(
    source: Source,
    lake: Lake,
    *,
    run_id: str,
    earliest: date,
    batch_bytes: int = 128 << 20,
    progress: Progress | None = None,
) -> Collected:
    """Bring what is new at ``source`` into the raw table.

    Raises:
        SourceError, SourceBusy: the source can't be read; logs committed before stay.
    """
    done = Collected(source.name, source.log_format, source.path)
    with lake.lock(RAW_BATTLE_LOGS.name):
        fingerprints, log_ids = _known(lake, source.name)
        wanted = []
        for listed in source.list_logs():
            done.found += 1
            if (listed.source_log_id, listed.fingerprint) in fingerprints:
                done.known += 1
            else:
                wanted.append(listed)
        for batch in _batches(
            _new_rows(source, wanted, log_ids, done, run_id, earliest, progress), batch_bytes
        ):
            lake.append(RAW_BATTLE_LOGS, _table(batch))
            _count(done, batch)
    done.problems = list(source.problems)
    return done


def _known(lake: Lake, source: str) -> tuple[set[tuple[str, str]], set[str]]:
    columns = ["source_log_id", "listing_fingerprint", "log_id"]
    rows = lake.read(RAW_BATTLE_LOGS.name, columns=columns, where=pc.field("source") == source)
    ids, fingerprints = rows["source_log_id"].to_pylist(), rows["listing_fingerprint"].to_pylist()
    return set(zip(ids, fingerprints, strict=True)), set(rows["log_id"].to_pylist())


def _new_rows(
    source: Source,
    wanted: list[Listed],
    log_ids: set[str],
    done: Collected,
    run_id: str,
    earliest: date,
    progress: Progress | None,
) -> Iterator[dict[str, object]]:
    """The raw rows of logs whose content we don't have; a listing may change while the content stays."""
    for count, log in enumerate(source.fetch(wanted), start=1):
        row = _raw_row(source, log, run_id, earliest)
        if row["log_id"] in log_ids:
            done.known += 1
        else:
            log_ids.add(str(row["log_id"]))
            yield row
        if progress:
            progress(count, len(wanted))


def _raw_row(source: Source, log: FetchedLog, run_id: str, earliest: date) -> dict[str, object]:
    sha256 = content_sha256(log.payload)
    now = datetime.now(UTC)
    return {
        "log_id": log_id_of(source.name, log.source_log_id, sha256),
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


def _table(batch: list[dict[str, object]]) -> pa.Table:
    schema = RAW_BATTLE_LOGS.schema
    return pa.table([pa.array([row[f.name] for row in batch], f.type) for f in schema], schema=schema)


def _batches(rows: Iterator[dict[str, object]], batch_bytes: int) -> Iterator[list[dict[str, object]]]:
    batch: list[dict[str, object]] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += int(str(row["payload_bytes"]))
        if size >= batch_bytes:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _count(done: Collected, batch: list[dict[str, object]]) -> None:
    done.new += len(batch)
    done.new_log_ids.extend(str(row["log_id"]) for row in batch)
    done.days.update(row["fight_date"] for row in batch)  # type: ignore[misc]
    done.payload_bytes += sum(len(row["payload"]) for row in batch)  # type: ignore[arg-type]
