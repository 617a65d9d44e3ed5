"""Publishing marts: one transaction replaces exactly the given days, and readers see all of it or nothing."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import polars as pl
import psycopg
from psycopg import sql

from lostark_assets.contracts.code_versions import MARTS_VERSION
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.errors import MACHINE_ERRORS, DatabaseUnavailable, PermanentError
from lostark_assets.lake.batching import find_culprit_logs, split_batches
from lostark_assets.lake.tables import Lake
from lostark_assets.marts.frames import day_frames, rows_at, whole_frame
from lostark_assets.marts.migrate import libpq_url, migrate
from lostark_assets.marts.names import Names
from lostark_assets.marts.tables import (
    DAY_MARTS,
    DAY_TABLES,
    PLAYERS,
    PUBLISHED,
    SCHEMA,
    WHOLE_MARTS,
    Mart,
)
from lostark_assets.observability.logs import report_long_wait

LOGS_PER_TRANSACTION = 500
"""A longer range takes several transactions: it need not fit into memory, and others publish in between."""
_LOCK = 0x105_7A4D
_MAX_IDS = 10_000
"""Of more ids than this, all published ones are read: faster than looking them up."""
_PLAIN = Names()
_COMPLETE = {name: PUBLISHED[name].mart for name in DAY_TABLES if PUBLISHED[name].is_complete}
"""Table by fight day of which every row is published → its mart."""


@dataclass(frozen=True)
class Publication:
    """What was published: ``rows`` written by mart; ``version`` is that of the last transaction.

    ``read_at``: days of each transaction, and the versions of the lake's tables that it read.
    """

    version: int
    days: list[date]
    tables: list[str]
    rows: Counter[str]
    read_at: list[tuple[list[date], Mapping[str, int | None]]]
    seconds: float

    def followed_by(self, later: Publication) -> Publication:
        """Both as one."""
        return Publication(
            later.version,
            self.days + later.days,
            self.tables + later.tables,
            self.rows + later.rows,
            self.read_at + later.read_at,
            self.seconds + later.seconds,
        )


@dataclass(frozen=True)
class PendingChanges:
    """Lake changes that are not published yet: digests by fight day, and by completely replaced table."""

    days: dict[date, str] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)


class RowsRefused(PermanentError):
    """Rows of single logs can't be published: ``errors`` by log id. Earlier publications were kept."""

    def __init__(self, errors: dict[str, Exception]) -> None:
        """``errors``: what each log's rows raised, by log id."""
        self.errors = errors
        super().__init__(f"{len(errors)} logs can't be published: {next(iter(errors.values()))}")


def publish(
    lake: Lake,
    url: str,
    days: Iterable[date] = (),
    tables: Collection[str] = (),
    names: Names = _PLAIN,
) -> Publication | None:
    """Put the lake's rows of ``days`` and of whole ``tables`` into the marts; None if there are none.

    Days without rows in the lake lose theirs. A transaction takes whole days of up to 500 logs. Publishing
    again changes nothing but the version.

    Raises:
        RowsRefused: without some single logs the days could be published.
        DatabaseUnavailable: PostgreSQL can't be reached or refuses; what was published before stays.
    """
    days, tables = sorted(set(days)), sorted(set(tables))
    done = None
    with _explained("publishing"):
        migrate(url)
        with psycopg.connect(libpq_url(url)) as connection:
            counts = lake.rows_by_day("core_encounters") if len(days) > 1 else {}
            parts = split_batches(days, counts, LOGS_PER_TRANSACTION) or [set()] * bool(tables)
            for part in parts:
                last = _publish_or_blame(connection, lake, sorted(part), tables, names)
                done = last if done is None else done.followed_by(last)
                tables = []
    return done


def _publish_or_blame(
    connection: psycopg.Connection, lake: Lake, days: list[date], tables: list[str], names: Names
) -> Publication:
    try:
        return _publish_part(connection, lake, days, tables, names)
    except Exception as error:
        if _is_of_the_machine(error):
            raise
        errors = find_culprit_logs(
            lake,
            days,
            lambda only: _publish_part(connection, lake, days, [], names, only),
            lambda error: _is_of_the_machine(error) or connection.broken,
        )
        if not errors:
            raise
        raise RowsRefused(errors) from None


def _is_of_the_machine(error: Exception) -> bool:
    """Whether no log is to blame: a full disk, a connection that is lost, a lock."""
    is_too_large = isinstance(error, psycopg.errors.ProgramLimitExceeded)
    return isinstance(error, (*MACHINE_ERRORS, psycopg.OperationalError)) and not is_too_large


def find_pending(lake: Lake, url: str, names: Names = _PLAIN) -> PendingChanges:
    """Days and tables whose files differ from those that were published."""
    with _explained("reading the state of"):
        migrate(url)
        with psycopg.connect(libpq_url(url)) as connection:
            days_at = connection.execute("SELECT fight_date, digest FROM marts.day_states").fetchall()
            tables_at = connection.execute("SELECT table_name, digest FROM marts.table_states").fetchall()
    published: dict[date, str] = dict(days_at)
    tables: dict[str, str] = dict(tables_at)
    wanted = _day_digests(lake, {name: lake.version(name) for name in DAY_TABLES}, names)
    gone = dict.fromkeys(published.keys() - wanted.keys(), "no rows")
    whole = {name: _table_digest(lake.version(name), names) for name in WHOLE_MARTS}
    return PendingChanges(
        {day: digest for day, digest in wanted.items() if published.get(day) != digest} | gone,
        {name: digest for name, digest in whole.items() if digest and tables.get(name) != digest},
    )


def published_rows(url: str, days: Sequence[date]) -> dict[str, int]:
    """Published rows by lake table, counted in the database."""
    with _explained("counting"), psycopg.connect(libpq_url(url)) as connection:
        return {table: _count_rows(connection, mart, days) for table, mart in _COMPLETE.items()}


def published_among(url: str, encounter_ids: Collection[str]) -> set[str]:
    """Those of ``encounter_ids`` that are on the pages; none before the first publish."""
    query = "SELECT encounter_id FROM marts.encounters"
    with _explained("reading"), psycopg.connect(libpq_url(url)) as connection:
        try:
            if len(encounter_ids) > _MAX_IDS:
                rows = connection.execute(query).fetchall()
            else:
                rows = connection.execute(
                    f"{query} WHERE encounter_id = ANY(%s)", [list(encounter_ids)]
                ).fetchall()
        except psycopg.errors.UndefinedTable:
            return set()
    return {encounter_id for (encounter_id,) in rows}.intersection(encounter_ids)


def _count_rows(connection: psycopg.Connection, mart: str, days: Sequence[date]) -> int:
    query = sql.SQL("SELECT count(*) FROM {} WHERE fight_date = ANY(%s)")
    row = connection.execute(query.format(sql.Identifier(SCHEMA, mart)), [list(days)]).fetchone()
    assert row is not None
    return row[0]


def lake_rows(lake: Lake, done: Publication) -> dict[str, int]:
    """The rows that ``done`` should have published, counted in the lake as it was read."""
    counted = dict.fromkeys(_COMPLETE, 0)
    for days, versions in done.read_at:
        for table, rows in _count_in_lake(lake, days, versions).items():
            counted[table] += rows
    return counted


def _count_in_lake(lake: Lake, days: Sequence[date], versions: Mapping[str, int | None]) -> dict[str, int]:
    marts = {mart.name: mart for mart in DAY_MARTS}
    counted = {}
    for table, mart in _COMPLETE.items():
        key = list(marts[mart].key)
        rows = rows_at(lake, table, versions[table], days=days, columns=key)
        # A row of the mart can stand for several of the lake.
        is_one_to_one = set(key) == set(CONTRACTS[table].key)
        counted[table] = rows.num_rows if is_one_to_one else rows.group_by(key).aggregate([]).num_rows
    return counted


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise DatabaseUnavailable(
            f"PostgreSQL failed while {what} marts: {str(error).strip() or type(error).__name__}. The "
            "transaction was rolled back; earlier publications were kept. See LOSTARK_POSTGRES_URL, or "
            "postgres.log in the logs folder."
        ) from error


def _publish_part(
    connection: psycopg.Connection,
    lake: Lake,
    days: list[date],
    tables: list[str],
    names: Names,
    only: set[str] | None = None,
) -> Publication:
    """One transaction; with ``only``, of the rows of these encounters, and rolled back."""
    started = time.monotonic()
    with connection.transaction(force_rollback=only is not None):
        # Before the lake is read: a process that waits here then publishes the newest rows.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        report_long_wait("publish", time.monotonic() - started)
        versions = {name: lake.version(name) for name in (*DAY_TABLES, *tables)} if days or tables else {}
        frames = day_frames(lake, days, versions, names, only) if days else {}
        characters = _read_characters(connection, days) if days else set()
        for mart, rows in frames.items():
            _replace(connection, mart, rows, days)
        whole = {}
        for table in tables:
            mart = WHOLE_MARTS[table]
            whole[mart] = whole_frame(lake, table, mart, versions[table], names)
            _replace(connection, mart, whole[mart], None)
        if days:
            _refresh_characters(connection, characters | set(frames[PLAYERS]["player_name"].unique()))
        version = _record(connection, lake, days, tables, versions, names, frames | whole)
    rows_written = Counter({mart.name: rows.height for mart, rows in (frames | whole).items()})
    read_at: list[tuple[list[date], Mapping[str, int | None]]] = [(days, versions)]
    return Publication(version, days, tables, rows_written, read_at, time.monotonic() - started)


def _replace(connection: psycopg.Connection, mart: Mart, rows: pl.DataFrame, days: list[date] | None) -> None:
    table = sql.Identifier(SCHEMA, mart.name)
    if days is None:
        # Not TRUNCATE: it would block readers until the commit, and some would see an empty table.
        connection.execute(sql.SQL("DELETE FROM {}").format(table))
    else:
        connection.execute(sql.SQL("DELETE FROM {} WHERE fight_date = ANY(%s)").format(table), [days])
    if rows.is_empty():
        return
    columns = sql.SQL(", ").join(map(sql.Identifier, mart.names))
    command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(table, columns)
    with connection.cursor() as cursor, cursor.copy(command) as copy:
        copy.write(_as_csv(rows))


def _as_csv(rows: pl.DataFrame) -> bytes:
    """CSV for COPY: null is an empty field, an empty text is quoted, a list is an array literal."""
    lists = [_array_literals(rows[name]) for name, dtype in rows.schema.items() if isinstance(dtype, pl.List)]
    return rows.with_columns(lists).write_csv(include_header=False, null_value="").encode()


def _array_literals(values: pl.Series) -> pl.Series:
    if values.dtype == pl.List(pl.String):
        quoted = [
            None if texts is None else "{" + ",".join(map(_quoted, texts)) + "}" for texts in values.to_list()
        ]
        return pl.Series(values.name, quoted, pl.String)
    joined = values.list.eval(pl.element().cast(pl.String).fill_null("NULL")).list.join(",")
    return ("{" + joined + "}").alias(values.name)


def _quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    return '"' + text.replace("\x00", "").replace("\\", "\\\\").replace('"', '\\"') + '"'


def _read_characters(connection: psycopg.Connection, days: list[date]) -> set[str]:
    query = "SELECT DISTINCT player_name FROM marts.players WHERE fight_date = ANY(%s)"
    return {name for (name,) in connection.execute(query, [days])}


def _refresh_characters(connection: psycopg.Connection, names: set[str]) -> None:
    """Compute the characters of ``names`` from the published players."""
    connection.execute("DELETE FROM marts.characters WHERE player_name = ANY(%s)", [list(names)])
    connection.execute(
        """
        INSERT INTO marts.characters
        SELECT DISTINCT ON (player_name, region_known)
            region_known, player_name, class_name, spec_name, is_support, item_level, combat_power,
            count(*) OVER of_character, count(*) FILTER (WHERE is_cleared) OVER of_character,
            min(fight_started_at) OVER of_character, fight_started_at
        FROM (
            SELECT *, coalesce(region, 'unknown') AS region_known FROM marts.players
            WHERE player_name = ANY(%s) AND is_counted AND is_name_known
        ) AS known
        WINDOW of_character AS (PARTITION BY player_name, region_known)
        ORDER BY player_name, region_known, fight_started_at DESC, encounter_id DESC
        """,
        [list(names)],
    )


def _record(
    connection: psycopg.Connection,
    lake: Lake,
    days: list[date],
    tables: list[str],
    versions: dict[str, int | None],
    names: Names,
    frames: Mapping[Mart, pl.DataFrame],
) -> int:
    row = connection.execute(
        """
        INSERT INTO marts.publications (version, published_at, days, tables, row_counts, lake_versions)
        SELECT coalesce(max(version), 0) + 1, %s, %s, %s, %s, %s FROM marts.publications RETURNING version
        """,
        [
            datetime.now(UTC),
            days,
            tables,
            json.dumps({mart.name: rows.height for mart, rows in frames.items()}),
            json.dumps(versions),
        ],
    ).fetchone()
    assert row is not None
    version: int = row[0]
    digests = _day_digests(lake, versions, names) if days else {}
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM marts.day_states WHERE fight_date = ANY(%s)", [days])
        cursor.executemany(
            "INSERT INTO marts.day_states VALUES (%s, %s, %s)",
            [(day, digests[day], version) for day in days if day in digests],
        )
        cursor.execute("DELETE FROM marts.table_states WHERE table_name = ANY(%s)", [tables])
        cursor.executemany(
            "INSERT INTO marts.table_states VALUES (%s, %s, %s)",
            [(name, _table_digest(versions[name], names), version) for name in tables],
        )
    return version


def _day_digests(lake: Lake, versions: Mapping[str, int | None], names: Names) -> dict[date, str]:
    """A digest of every day's files in the lake at ``versions``."""
    found = {
        name: {} if versions[name] is None else lake.day_digests(name, versions[name]) for name in DAY_TABLES
    }
    days = set().union(*found.values())
    return {
        day: " ".join([MARTS_VERSION, names.mode, *(of_day.get(day, "-") for of_day in found.values())])
        for day in days
    }


def _table_digest(version: int | None, names: Names) -> str:
    return "" if version is None else f"{MARTS_VERSION} {names.mode} {version}"
