"""``lostark forget``: erase a character's name everywhere, and verify by search that it is gone.

In raw logs, core, statistics and ML tables an anonymous name replaces it, a different one in each log: the
statistics of a fight stay complete, and the player's fights can't be linked. Rows about the character alone
are deleted, and so are older versions of every table that changed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from lostark_assets.contracts.raw import RAW_BATTLE_LOGS
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.table import Contract
from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.errors import LostarkError
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.ledger import open_ledger
from lostark_assets.marts.migrate import libpq_url
from lostark_assets.marts.names import Names, build_names
from lostark_assets.marts.publish import publish
from lostark_assets.marts.tables import DAY_TABLES, WHOLE_MARTS
from lostark_assets.settings import Settings
from lostark_assets.sources.collect import collect_all
from lostark_assets.sources.collector import Collected, CollectOptions
from lostark_assets.sources.configured import list_uploads, sources_at
from lostark_assets.sources.detect import Found
from lostark_assets.sources.landing import record_result
from lostark_assets.sources.protocol import Source, compute_encounter_id, content_sha256
from lostark_platform.erasure.files import count_files, redact_files
from lostark_platform.erasure.rename import Renaming, build_pattern, spellings
from lostark_platform.terminal import Say, progress

RAW = RAW_BATTLE_LOGS.name
PROFILES = "raw_armory_profiles"
ANONYMOUS_PREFIX = "Unknown-"
"""Cleaning treats names with this prefix as unknown (``is_name_known`` is false)."""
_NAMES, _IDENTIFYING = (
    {c.name for contract in CONTRACTS.values() for c in contract.columns if c.personal == kind}
    for kind in ("name", "identifier")
)
_BATCH_BYTES = 64 << 20
UPLOADS = "waiting uploads"


@dataclass
class Proof:
    """Matches of the name, and the number of items searched, by place."""

    found: dict[str, int] = field(default_factory=dict)
    searched: dict[str, int] = field(default_factory=dict)

    @property
    def is_gone(self) -> bool:
        """Whether no place has a match."""
        return not self.found

    def record(self, place: str, found: int, searched: int) -> None:
        """Add ``found`` matches among ``searched`` items at ``place``."""
        self.searched[place] = self.searched.get(place, 0) + searched
        if found:
            self.found[place] = self.found.get(place, 0) + found

    def document(self) -> dict[str, Any]:
        """``--json``."""
        return {"is_gone": self.is_gone, "found": self.found, "searched": self.searched}


@dataclass
class Erasure:
    """Number of changed items by place, and the fight days that changed."""

    changed: dict[str, int] = field(default_factory=dict)
    days: set[date] = field(default_factory=set)
    files_deleted: int = 0

    def document(self) -> dict[str, Any]:
        """``--json``."""
        return {
            "changed": self.changed,
            "days": sorted(self.days),
            "old_files_deleted": self.files_deleted,
        }


@dataclass(frozen=True)
class _Databases:
    marts: str
    dagster: str
    mlflow: str | None = None

    def all(self) -> list[str]:
        return list(dict.fromkeys(filter(None, (self.marts, self.dagster, self.mlflow))))


class _AnonymousNames:
    """An anonymous name for each log, derived with a secret that is not kept: it can't be recomputed."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def get(self, encounter_id: str) -> str:
        digest = hmac.new(self._secret, encounter_id.encode(), hashlib.sha256).hexdigest()
        return f"{ANONYMOUS_PREFIX}{digest[:8]}"


def forget(settings: Settings, player: str, say: Say, *, region: str | None = None) -> Erasure:
    """Erase ``player`` (of ``region``, by default of all) from lake, marts, log files and caches."""
    lake, done, anonymous_names = open_lake(settings), Erasure(), _AnonymousNames()
    touched: set[str] = set()
    if region is None:
        # Skipped for a single region: the region of an upload is unknown before it is cleaned.
        say(UPLOADS)
        _collect_uploads(lake, settings)
    with _hold_locks(lake):
        spared = _find_other_regions(lake, region)
        say("raw logs")
        _erase_in_raw(lake, settings, player, spared, anonymous_names, done, touched)
        for name, contract in CONTRACTS.items():
            if name != RAW:
                _erase_in_table(lake, contract, player, region, spared, anonymous_names, done, touched)
    for name in sorted(touched):
        done.files_deleted += lake.forget_versions(name)
    with _databases(settings) as databases:
        say("published marts")
        _republish(lake, databases.marts, settings, done, touched)
        if region is None:
            _erase_previews(databases, player, done)
    if region is None:
        for place, count in redact_files(settings, player).items():
            done.changed[place] = count
    _clear_response_cache(settings)
    return done


@contextmanager
def _hold_locks(lake: Lake) -> Iterator[None]:
    """Lock out writers, whose rows would be overwritten or derived from rows that are about to change.

    Writers that call a remote service may hold a table for minutes. Those locks are acquired first, so that
    cleaning and statistics are not blocked meanwhile.
    """
    with ExitStack() as held:
        for name in (*(name for name in CONTRACTS if name != RAW), "core", "stats"):
            held.enter_context(lake.lock(name))
        yield


def prove(settings: Settings, player: str) -> Proof:
    """Search the newest version of every table, the databases and the data folder's files for the name.

    If player names are hashed in the marts, those are searched for the hash as well.
    """
    lake, proof = open_lake(settings), Proof()
    for name, contract in CONTRACTS.items():
        proof.record(name, *_count_in_table(lake, settings, contract, player))
    with _databases(settings) as databases:
        for url in databases.all():
            for place, found, searched in _count_in_database(url, player, build_names(settings)):
                proof.record(place, found, searched)
    for place, found, searched in count_files(settings, player):
        proof.record(place, found, searched)
    proof.record(UPLOADS, *_count_in_uploads(settings, player))
    return proof


def _collect_uploads(lake: Lake, settings: Settings) -> None:
    """Collect waiting uploads into the raw table first, where names are replaced.

    An upload that can't be read stays, and the search reports whether it contains the name.
    """

    def on_result(source: Source, done: Collected, error: Exception | None) -> None:
        if error is None:
            record_result(source.path, done)

    run_id = f"forget-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
    uploads = (found.source for found in _list_uploads(settings) if found.source is not None)
    options = CollectOptions(run_id, settings.earliest_fight_date)
    collect_all(uploads, lake, open_ledger(settings), on_result, options)


def _list_uploads(settings: Settings) -> Iterator[Found]:
    for origin in list_uploads(settings):
        yield from sources_at(origin, settings)


def _count_in_uploads(settings: Settings, player: str) -> tuple[int, int]:
    """Waiting uploads: number of logs with the name, and searched. Unreadable ones are searched as files."""
    renaming = Renaming(player, ANONYMOUS_PREFIX, int(settings.max_log_bytes))
    held = searched = 0
    for found in _list_uploads(settings):
        if found.source is None:
            continue
        with suppress(LostarkError, OSError):
            for log in found.source.fetch(found.source.list_logs()):
                searched += 1
                held += renaming.log(found.source.log_format, log.payload) is not None
    return held, searched


def _find_other_regions(lake: Lake, region: str | None) -> set[str]:
    """Encounters of other regions, where the name belongs to another player."""
    if region is None:
        return set()
    rows = lake.read("core_encounters", columns=["encounter_id", "region"])
    other = pc.and_(pc.is_valid(rows["region"]), pc.not_equal(rows["region"], region))
    return set(rows.filter(pc.fill_null(other, fill_value=False))["encounter_id"].to_pylist())


def _erase_in_raw(
    lake: Lake,
    settings: Settings,
    player: str,
    spared: set[str],
    anonymous_names: _AnonymousNames,
    done: Erasure,
    touched: set[str],
) -> None:
    """Rewrite raw logs. They keep id and listing fingerprint, so that they are not collected again."""
    batch: dict[str, list[dict[str, Any]]] = {}
    size = 0

    def commit() -> None:
        nonlocal size
        for source, rows in batch.items():
            table = pa.Table.from_pylist(rows, schema=RAW_BATTLE_LOGS.schema)
            ids = [row["log_id"] for row in rows]
            lake.replace_rows(RAW_BATTLE_LOGS, table, {"source": [source], "log_id": ids})
        batch.clear()
        size = 0

    limit, named = int(settings.max_log_bytes), re.compile(build_pattern(player))
    for row in _raw_rows(lake):
        encounter_id = compute_encounter_id(row["log_id"])
        if encounter_id in spared:
            continue
        renaming = Renaming(player, anonymous_names.get(encounter_id), limit)
        payload = renaming.log(row["log_format"], row["payload"])
        # The source file may be named after the player.
        path = row["source_path"] and named.sub(renaming.new, row["source_path"])
        if payload is None and path == row["source_path"]:
            continue
        payload = row["payload"] if payload is None else payload
        row |= {
            "source_path": path,
            "payload": payload,
            "payload_bytes": len(payload),
            "content_sha256": content_sha256(payload),
        }
        batch.setdefault(row["source"], []).append(row)
        size += len(payload)
        done.changed[RAW] = done.changed.get(RAW, 0) + 1
        touched.add(RAW)
        if size >= _BATCH_BYTES:
            commit()
    commit()


def _raw_rows(lake: Lake) -> Iterator[dict[str, Any]]:
    total, seen = lake.count(RAW), 0
    with progress("raw logs", total) as step:
        for batch in lake.dataset(RAW).to_batches(batch_size=64):
            for row in batch.to_pylist():
                seen += 1
                step(seen, total)
                yield row


def _erase_in_table(
    lake: Lake,
    contract: Contract,
    player: str,
    region: str | None,
    spared: set[str],
    anonymous_names: _AnonymousNames,
    done: Erasure,
    touched: set[str],
) -> None:
    """Rename the character's rows in tables by log, and delete them in others."""
    rows = lake.read(contract.name)
    hit = _find_name(rows, player)
    if "encounter_id" in rows.schema.names and spared:
        hit = pc.and_(hit, pc.invert(pc.is_in(rows["encounter_id"], pa.array(sorted(spared)))))
    if region is not None and "encounter_id" not in rows.schema.names and "region" in rows.schema.names:
        hit = pc.and_(hit, pc.fill_null(pc.equal(rows["region"], region), fill_value=True))
    count = pc.sum(hit).as_py() or 0
    if not count:
        return
    days = set()
    if "fight_date" in contract.partition_by:
        days = set(rows.filter(hit)["fight_date"].to_pylist())
        of_days = pc.is_in(rows["fight_date"], pa.array(sorted(days), pa.date32()))
        rows, hit = rows.filter(of_days), hit.filter(of_days)
    has_log = {"encounter_id", "log_id"} & set(rows.schema.names)
    changed = _rename_rows(rows, hit, player, anonymous_names) if has_log else rows.filter(pc.invert(hit))
    if days:
        lake.replace_days(contract, changed, days)
    else:
        lake.replace_all(contract, changed)
    done.changed[contract.name] = count
    done.days |= days
    touched.add(contract.name)


def _find_name(rows: pa.Table, player: str) -> pa.ChunkedArray:
    """Mask of rows with the name, as a value of a name column or anywhere in a text column."""
    hit: Any = pa.chunked_array([pa.repeat(pa.scalar(value=False), rows.num_rows)])
    values = pa.array(sorted(spellings(player)), pa.string())
    for name in _text_columns(rows.schema):
        if name in _NAMES:
            here = pc.is_in(rows[name], values)
        else:
            here = pa.chunked_array([_matches(rows[name], player)])
        hit = pc.or_(hit, pc.fill_null(here, fill_value=False))
    return hit


def _matches(column: pa.ChunkedArray, player: str) -> pa.Array:
    """Mask of texts that contain the name; each distinct text is searched once."""
    texts = pc.unique(column)
    pattern = re.compile(build_pattern(player))
    held = pa.array([t for t in texts.to_pylist() if t is not None and pattern.search(t)], pa.string())
    return pc.is_in(column, held).combine_chunks()


def _text_columns(schema: pa.Schema) -> list[str]:
    known = {"raid_name", "gate_name", "boss_name", "class_name", "spec_name", "skill_name", "difficulty"}
    return [f.name for f in schema if pa.types.is_string(f.type) and f.name not in known]


def _rename_rows(
    rows: pa.Table, hit: pa.ChunkedArray, player: str, anonymous_names: _AnonymousNames
) -> pa.Table:
    by_log = "encounter_id" not in rows.schema.names
    ids = rows["log_id" if by_log else "encounter_id"].to_pylist()
    flags, pattern, names = hit.to_pylist(), re.compile(build_pattern(player)), spellings(player)
    get_name = lambda key: anonymous_names.get(compute_encounter_id(key) if by_log else key)  # noqa: E731
    for at, column in enumerate(rows.schema):
        values = None
        if column.name in _text_columns(rows.schema):
            old = rows[column.name].to_pylist()
            within = None if column.name in _NAMES else pattern
            values = [
                _replace_name(text, get_name(key), names, within) if flag and text else text
                for text, key, flag in zip(old, ids, flags, strict=True)
            ]
        elif column.name == "is_name_known":
            values = pc.and_(rows[column.name], pc.invert(hit)).to_pylist()
        if values is not None:
            rows = rows.set_column(at, column, pa.array(values, column.type))
    if "player_name" in rows.schema.names:
        personal = [n for n in rows.schema.names if n in _IDENTIFYING or n.startswith("profile_")]
        for name in personal:
            at = rows.schema.get_field_index(name)
            column = rows.schema.field(at)
            nothing = pa.scalar(None, column.type)
            rows = rows.set_column(at, column, pc.if_else(hit, nothing, rows[name]))
    return rows


def _replace_name(text: str, anonymous: str, names: set[str], pattern: re.Pattern[str] | None) -> str:
    if pattern is None:
        return anonymous if text in names else text
    return pattern.sub(anonymous, text)


def _republish(lake: Lake, url: str, settings: Settings, done: Erasure, touched: set[str]) -> None:
    tables = [name for name in WHOLE_MARTS if lake.version(name) is not None]
    if not (done.days or touched & WHOLE_MARTS.keys()):
        return
    days = done.days if touched & set(DAY_TABLES) else set()
    publish(lake, url, days, tables, build_names(settings))
    # Deleted rows stay on the disk until then.
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        for schema, table in _columns(connection):
            if schema == "marts":
                connection.execute(sql.SQL("VACUUM {}").format(sql.Identifier(schema, table)))


@contextmanager
def _databases(settings: Settings) -> Iterator[_Databases]:
    with embedded_postgres(settings) as databases:
        yield _Databases(databases.lostark, databases.dagster, databases.mlflow)


def _columns(connection: psycopg.Connection) -> dict[tuple[str, str], list[str]]:
    """Columns that hold text, by schema and table."""
    rows = connection.execute(
        "SELECT table_schema, table_name, column_name FROM information_schema.columns "
        "JOIN information_schema.tables USING (table_catalog, table_schema, table_name) "
        "WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema') "
        "AND (data_type IN ('text', 'character varying', 'json', 'jsonb') OR udt_name = '_text')"
    )
    found: dict[tuple[str, str], list[str]] = {}
    for schema, table, column in rows:
        found.setdefault((schema, table), []).append(column)
    return found


def _count_in_database(url: str, player: str, names: Names) -> Iterator[tuple[str, int, int]]:
    wanted = [player] if names.salt is None else [player, names.public(player)]
    pattern = "|".join(_postgres_pattern(name) for name in wanted)
    with psycopg.connect(libpq_url(url)) as connection:
        database = connection.info.dbname
        for (schema, table), columns in sorted(_columns(connection).items()):
            name = sql.Identifier(schema, table)
            where = sql.SQL(" OR ").join(
                sql.SQL("{}::text ~ %(pattern)s").format(sql.Identifier(column)) for column in columns
            )
            query = sql.SQL("SELECT count(*) FILTER (WHERE {}), count(*) FROM {}").format(where, name)
            found, searched = connection.execute(query, {"pattern": pattern}).fetchone() or (0, 0)
            yield f"database {database}, {schema}.{table}", found, searched


def _erase_previews(databases: _Databases, player: str, done: Erasure) -> None:
    """Replace the name in table previews, which Dagster's event log keeps as Markdown.

    Only in table cells: elsewhere in an event the same letters may be a word of Dagster's own.
    """
    options = "|".join(_escaped_spellings(player))
    values = {"old": rf"(\|\s*)(?:{options})(?=\s*\|)", "new": rf"\1{ANONYMOUS_PREFIX}preview"}
    with psycopg.connect(libpq_url(databases.dagster)) as connection:
        if connection.execute("SELECT to_regclass('event_logs')").fetchone() == (None,):
            return
        changed = connection.execute(
            "UPDATE event_logs SET event = regexp_replace(event, %(old)s, %(new)s, 'g') "
            "WHERE event ~ %(old)s",
            values,
        ).rowcount
    if changed:
        done.changed["Dagster's previews"] = changed


def _postgres_pattern(name: str) -> str:
    return rf"(?<![[:alnum:]_])(?:{'|'.join(_escaped_spellings(name))})(?![[:alnum:]_])"


def _escaped_spellings(name: str) -> list[str]:
    return [re.sub(r"([^\w\s])", r"\\\1", spelling) for spelling in sorted(spellings(name))]


def _count_in_table(lake: Lake, settings: Settings, contract: Contract, player: str) -> tuple[int, int]:
    if contract.name == RAW:
        renaming = Renaming(player, ANONYMOUS_PREFIX, int(settings.max_log_bytes))
        found = searched = 0
        for row in _raw_rows(lake):
            searched += 1
            held = renaming.log(row["log_format"], row["payload"]) is not None
            found += held or bool(re.search(build_pattern(player), row["source_path"] or ""))
        return found, searched
    rows = lake.read(contract.name)
    hit = _find_name(rows, player)
    if "body" in rows.schema.names:
        pattern = re.compile(build_pattern(player))
        bodies = [
            bool(pattern.search((b or b"").decode("utf-8", "replace"))) for b in rows["body"].to_pylist()
        ]
        hit = pc.or_(hit, pa.chunked_array([pa.array(bodies, pa.bool_())]))
    return pc.sum(hit).as_py() or 0, rows.num_rows


def _clear_response_cache(settings: Settings) -> None:
    """Delete cached responses in Redis. Those in the API's memory are invalidated by the publish."""
    if settings.redis_url is None:
        return
    import redis  # noqa: PLC0415 - only where one is configured

    redis_client = redis.Redis.from_url(settings.redis_url.get_secret_value())
    try:
        for key in redis_client.scan_iter("lostark:*"):
            redis_client.delete(key)
    finally:
        redis_client.close()
