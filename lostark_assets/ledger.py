"""The ledger: outcomes of collections, listing cursors of sources, reported problems, samples of the backlog.

One SQLite file that several processes write concurrently; every call is one short transaction, so that a
process killed at any point leaves no partial rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from lostark_assets.settings import Settings

LEDGER_FILE = "operations.db"
CollectionOutcome = Literal["ok", "unavailable", "refused", "failed"]
OUTCOMES: tuple[CollectionOutcome, ...] = get_args(CollectionOutcome)
"""From the best to the worst."""
_BUSY_TIMEOUT_S = 15.0
_KEPT = timedelta(days=180)
_SAMPLES_KEPT = timedelta(minutes=15)
_VERSION = 3
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS collections (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, kind TEXT NOT NULL,
    started_at TEXT NOT NULL, ended_at TEXT NOT NULL, outcome TEXT NOT NULL,
    requests INTEGER NOT NULL, failed_requests INTEGER NOT NULL,
    found INTEGER NOT NULL, new INTEGER NOT NULL, known INTEGER NOT NULL, error TEXT
);
CREATE INDEX IF NOT EXISTS collections_by_time ON collections (started_at);
CREATE INDEX IF NOT EXISTS collections_by_source ON collections (source, started_at);
CREATE TABLE IF NOT EXISTS cursors (source TEXT PRIMARY KEY, cursor TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS notes (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS problems (
    kind TEXT NOT NULL, subject TEXT NOT NULL, what TEXT NOT NULL, likely_cause TEXT NOT NULL,
    since TEXT NOT NULL, PRIMARY KEY (kind, subject)
);
CREATE TABLE IF NOT EXISTS backlog (
    at TEXT PRIMARY KEY, online_since TEXT NOT NULL, uploads INTEGER NOT NULL, logs INTEGER NOT NULL,
    oldest_since TEXT, runs_queued INTEGER NOT NULL, collected INTEGER NOT NULL, behind_since TEXT
);
PRAGMA user_version = {_VERSION};
COMMIT;
"""


@dataclass(frozen=True)
class CollectionRecord:
    """One collection of one source. ``failed_requests`` includes attempts whose retry succeeded.

    Outcomes: ``ok``; ``unavailable`` (it may work later), ``refused`` (a key, a permission or a resource is
    missing), ``failed`` (anything else that needs attention).
    """

    source: str
    kind: str
    started_at: datetime
    ended_at: datetime
    outcome: CollectionOutcome
    requests: int = 0
    failed_requests: int = 0
    found: int = 0
    new: int = 0
    known: int = 0
    error: str | None = None


@dataclass(frozen=True)
class ReportedProblem:
    """A problem that another component detected; ``kind`` is one of the alerts' kinds."""

    kind: str
    subject: str
    what: str
    likely_cause: str
    since: datetime


@dataclass(frozen=True)
class BacklogSample:
    """What waited at one time. ``uploads``: not collected yet; ``logs``: collected and not on the pages yet.

    ``online_since``: samples follow each other without a gap since then. ``oldest_since``: since when the
    oldest of them waits. ``collected``: logs in the raw table, ever. ``behind_since``: see
    ``automation.backlog.find_beginning``.
    """

    at: datetime
    online_since: datetime
    uploads: int
    logs: int
    oldest_since: datetime | None
    runs_queued: int
    collected: int
    behind_since: datetime | None = None

    @property
    def waiting(self) -> int:
        """Uploads and logs."""
        return self.uploads + self.logs


_COLUMNS = ", ".join(field.name for field in fields(CollectionRecord))
_SAMPLE_TIMES = ("at", "online_since", "oldest_since", "behind_since")


@dataclass(frozen=True)
class Ledger:
    """The ledger in the file ``path``; the file and its folder are created at the first call."""

    path: Path

    def record_collection(self, record: CollectionRecord) -> None:
        """Add a collection, and delete those more than 180 days older.

        Raises:
            ValueError: an unknown outcome, or a time without a zone.
        """
        if record.outcome not in OUTCOMES:
            raise ValueError(f"expected an outcome of {OUTCOMES}, found {record.outcome!r}")
        row = [_text(value) if isinstance(value, datetime) else value for value in astuple(record)]
        marks = ", ".join("?" * len(row))
        with self._transaction() as connection:
            connection.execute(f"INSERT INTO collections ({_COLUMNS}) VALUES ({marks})", row)  # noqa: S608 - our names
            oldest = _text(record.started_at - _KEPT)
            connection.execute("DELETE FROM collections WHERE started_at < ?", (oldest,))

    def collections(self, since: datetime, source: str | None = None) -> list[CollectionRecord]:
        """Collections that started at or after ``since``, oldest first; of one source if given."""
        query = f"SELECT {_COLUMNS} FROM collections WHERE started_at >= ?"  # noqa: S608 - our names
        values = [_text(since)]
        if source is not None:
            query += " AND source = ?"
            values.append(source)
        with self._transaction() as connection:
            rows = connection.execute(f"{query} ORDER BY started_at, id", values).fetchall()
        return [_record(row) for row in rows]

    def collections_after(self, last: int | None) -> tuple[int, list[CollectionRecord]]:
        """Collections recorded after number ``last``, in that order, and the number of the newest.

        None: no records, only the number, from which following ones are read.
        """
        with self._transaction() as connection:
            newest = connection.execute("SELECT coalesce(max(id), 0) FROM collections").fetchone()[0]
            query = f"SELECT {_COLUMNS} FROM collections WHERE id > ? AND id <= ? ORDER BY id"  # noqa: S608 - our names
            rows = connection.execute(query, (newest if last is None else last, newest)).fetchall()
        return newest, [_record(row) for row in rows]

    def last_collection(
        self, source: str, kind: str | None = None, outcome: CollectionOutcome | None = None
    ) -> CollectionRecord | None:
        """The newest collection of ``source``, of one kind and outcome if given."""
        query = f"SELECT {_COLUMNS} FROM collections WHERE source = ?"  # noqa: S608 - our names
        values = [source]
        for column, value in (("kind", kind), ("outcome", outcome)):
            if value is not None:
                query += f" AND {column} = ?"
                values.append(value)
        with self._transaction() as connection:
            row = connection.execute(f"{query} ORDER BY started_at DESC, id DESC LIMIT 1", values).fetchone()
        return None if row is None else _record(row)

    def cursor(self, source: str) -> str | None:
        """The cursor from which the listing of ``source`` continues; None: from its beginning."""
        return self._value("SELECT cursor FROM cursors WHERE source = ?", source)

    def set_cursor(self, source: str, cursor: str) -> None:
        """Continue the listing of ``source`` after ``cursor``: everything before it is committed."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO cursors VALUES (?, ?)", (source, cursor))

    def forget_cursor(self, source: str) -> None:
        """Restart the listing of ``source`` from its beginning."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM cursors WHERE source = ?", (source,))

    def get_value(self, key: str) -> str | None:
        """The value stored under ``key``."""
        return self._value("SELECT value FROM notes WHERE key = ?", key)

    def set_value(self, key: str, value: str | None) -> None:
        """Store a value under ``key``; None deletes it."""
        with self._transaction() as connection:
            if value is None:
                connection.execute("DELETE FROM notes WHERE key = ?", (key,))
            else:
                connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (key, value))

    def report(self, kind: str, problems: Iterable[ReportedProblem]) -> None:
        """Replace the problems of ``kind``; none clears them. A persisting problem keeps its ``since``.

        Raises:
            ValueError: a problem of another kind, two of the same subject, or a time without a zone.
        """
        rows = [_report_row(kind, problem) for problem in problems]
        if len({row[1] for row in rows}) < len(rows):
            raise ValueError(f"expected each subject of {kind} once, found {sorted(row[1] for row in rows)}")
        with self._transaction() as connection:
            known = connection.execute("SELECT subject, since FROM problems WHERE kind = ?", (kind,))
            began = dict(known.fetchall())
            connection.execute("DELETE FROM problems WHERE kind = ?", (kind,))
            kept = [(*row[:4], min(row[4], began.get(row[1], row[4]))) for row in rows]
            connection.executemany("INSERT INTO problems VALUES (?, ?, ?, ?, ?)", kept)

    def reported_problems(self) -> list[ReportedProblem]:
        """All current problems, by kind and subject."""
        query = "SELECT kind, subject, what, likely_cause, since FROM problems ORDER BY kind, subject"
        with self._transaction() as connection:
            rows = connection.execute(query).fetchall()
        return [
            ReportedProblem(kind, subject, what, cause, datetime.fromisoformat(since))
            for kind, subject, what, cause, since in rows
        ]

    def record_backlog(self, sample: BacklogSample) -> None:
        """Add a sample of the backlog, and delete those more than a quarter of an hour older."""
        row = [_text(value) if isinstance(value, datetime) else value for value in astuple(sample)]
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO backlog VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            connection.execute("DELETE FROM backlog WHERE at < ?", (_text(sample.at - _SAMPLES_KEPT),))

    def backlog_samples(self) -> list[BacklogSample]:
        """The samples of the last quarter of an hour that the platform ran, oldest first."""
        with self._transaction() as connection:
            rows = connection.execute("SELECT * FROM backlog ORDER BY at").fetchall()
        return [BacklogSample(**_with_times(BacklogSample, row, _SAMPLE_TIMES)) for row in rows]

    def _value(self, query: str, key: str) -> str | None:
        with self._transaction() as connection:
            row = connection.execute(query, (key,)).fetchone()
        return None if row is None else row[0]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A new connection per call: threads and forked processes must not share one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT_S)) as connection:
            if connection.execute("PRAGMA user_version").fetchone()[0] < _VERSION:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(_SCHEMA)
            connection.execute("PRAGMA synchronous = NORMAL")
            with connection:
                yield connection


def _record(row: tuple[object, ...]) -> CollectionRecord:
    return CollectionRecord(**_with_times(CollectionRecord, row, ("started_at", "ended_at")))


def _with_times(kind: type, row: tuple[object, ...], times: tuple[str, ...]) -> dict[str, Any]:
    values: dict[str, Any] = dict(zip((field.name for field in fields(kind)), row, strict=True))
    return values | {name: datetime.fromisoformat(values[name]) for name in times if values[name] is not None}


def _report_row(kind: str, problem: ReportedProblem) -> tuple[str, str, str, str, str]:
    if problem.kind != kind:
        raise ValueError(f"expected problems of kind {kind!r}, found {problem.kind!r}")
    return kind, problem.subject, problem.what, problem.likely_cause, _text(problem.since)


def _text(at: datetime) -> str:
    """UTC, always with microseconds, so that texts sort like times."""
    if at.tzinfo is None:
        raise ValueError(f"expected a time with its zone, found {at.isoformat()}")
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def open_ledger(settings: Settings) -> Ledger:
    """The ledger of the settings; nothing is read or created yet."""
    return Ledger(settings.state_dir / LEDGER_FILE)
