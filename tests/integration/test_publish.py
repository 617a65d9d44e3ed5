"""Publishing into a real PostgreSQL: exactly the touched days, all or nothing, and the lake's numbers."""

from __future__ import annotations

import threading
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import psycopg
import pytest

from lostark_assets.automation.requests import INGEST_JOB, op_name
from lostark_assets.dagster.sensors import automation_sensors
from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.definitions import build_defs
from lostark_assets.errors import DatabaseUnavailable
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.marts import publish as publishing
from lostark_assets.marts.migrate import HEAD, libpq_url, migrate, read_revision
from lostark_assets.marts.names import Names
from lostark_assets.marts.publish import PendingChanges, find_pending, lake_rows, publish, published_rows
from lostark_assets.marts.tables import DAY_MARTS, WHOLE_MARTS
from lostark_assets.settings import get_settings
from tests.serving.season_lake import START, add_fights

_STATS = "stats_player_dps"
WHOLE = ["stats_dps_distribution", "stats_raid_progression"]


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Lake:
    folder = tmp_path_factory.mktemp("season")
    lake = Lake(str(folder / "lake"))
    add_fights(lake, folder)
    return lake


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with embedded_postgres(get_settings(home=tmp_path_factory.mktemp("home"))) as databases:
        yield databases.lostark


@pytest.fixture
def url(server) -> str:
    with psycopg.connect(libpq_url(server), autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS marts CASCADE")
    return server


def fetch_rows(url: str, question: str, *values: object) -> list[tuple]:
    with psycopg.connect(libpq_url(url)) as connection:
        return connection.execute(question, values).fetchall()


def test_the_migrations_make_exactly_the_columns_that_are_published(url):
    migrate(url)

    for mart in (*DAY_MARTS, *WHOLE_MARTS.values()):
        found = fetch_rows(
            url,
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0",
            mart.table,
        )
        types = {name: kind.replace("timestamp with time zone", "timestamptz") for name, kind in found}
        assert types == mart.postgres_types, mart.name


def test_migrations_of_several_starters_are_applied_once(url):
    errors: list[Exception] = []

    def start() -> None:
        try:
            migrate(url)
        except Exception as error:  # noqa: BLE001 - a thread's error is shown by the assertion
            errors.append(error)

    starters = [threading.Thread(target=start) for _ in range(4)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()

    assert errors == []
    with psycopg.connect(libpq_url(url)) as connection:
        assert read_revision(connection) == HEAD


def test_a_database_that_has_both_former_version_tables_upgrades_and_keeps_its_keys(url):
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        migrate(url)
        connection.execute("DROP TABLE IF EXISTS access.alembic_version")
        connection.execute("UPDATE marts.alembic_version SET version_num = 'm0001'")
        connection.execute("CREATE TABLE access.alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute("INSERT INTO access.alembic_version VALUES ('a0001')")
        connection.execute(
            "INSERT INTO access.keys (name, key_sha256, scopes, requests_per_minute) "
            "VALUES ('guild', '\\x00', '{upload}', 7)"
        )
    try:
        migrate(url)

        with psycopg.connect(libpq_url(url)) as connection:
            assert read_revision(connection) == HEAD
        assert fetch_rows(url, "SELECT name, requests_per_minute FROM access.keys") == [("guild", 7)]
        assert fetch_rows(url, "SELECT to_regclass('access.alembic_version')") == [(None,)]
    finally:
        with psycopg.connect(libpq_url(url), autocommit=True) as connection:
            connection.execute("DELETE FROM access.keys")


def test_what_is_published_equals_the_lake_player_by_player(url, lake):
    done = publish(lake, url, lake.days("core_encounters"), WHOLE)

    assert published_rows(url, done.days) == lake_rows(lake, done)
    wanted = pl.from_arrow(lake.read("stats_player_dps")).sort("encounter_id", "player_name")
    found = fetch_rows(
        url,
        "SELECT encounter_id, player_name, dps, crit_rate, spec_percentile_n FROM marts.players "
        'ORDER BY encounter_id COLLATE "C", player_name COLLATE "C"',
    )
    columns = ["encounter_id", "player_name", "dps", "crit_rate", "spec_percentile_n"]
    assert found == wanted.select(columns).rows()


def test_many_days_are_published_in_several_transactions_and_told_as_one(url, lake, monkeypatch):
    days = lake.days("core_encounters")
    before = publish(lake, url, days).version
    monkeypatch.setattr(publishing, "LOGS_PER_TRANSACTION", 1)

    done = publish(lake, url, days, WHOLE)

    assert len(days) > 1
    assert (done.version, done.days, done.tables) == (before + len(days), sorted(days), sorted(WHOLE))
    assert [part for part, _ in done.read_at] == [[day] for day in sorted(days)]
    assert done.rows["players"] == lake.count(_STATS)
    assert published_rows(url, done.days) == lake_rows(lake, done)
    assert find_pending(lake, url) == PendingChanges()


def test_a_table_that_came_while_its_day_was_published_is_the_next_publishs(url, lake, monkeypatch):
    """Seen in a demo: the first statistics were committed right after the versions had been looked up."""
    version = Lake.version
    with monkeypatch.context() as patch:
        patch.setattr(Lake, "version", lambda at, name: None if name == _STATS else version(at, name))
        done = publish(lake, url, lake.days("core_encounters"))

        assert published_rows(url, done.days) == lake_rows(lake, done)
        assert published_rows(url, done.days)[_STATS] == 0
    assert find_pending(lake, url).days.keys() == set(done.days)

    again = publish(lake, url, lake.days("core_encounters"))
    assert published_rows(url, again.days)[_STATS] == lake.count(_STATS)


def test_a_timeline_ends_with_the_damage_that_the_player_did(url, lake):
    publish(lake, url, lake.days("core_encounters"))

    ends = fetch_rows(
        url,
        "SELECT encounter_id, player_name, cumulative_damage[cardinality(cumulative_damage)], "
        "cardinality(dps), cardinality(cumulative_damage) FROM marts.timelines",
    )
    seconds = pl.from_arrow(lake.read("stats_dps_timeline"))
    wanted = seconds.group_by("encounter_id", "player_name").agg(
        pl.col("cumulative_damage").max(), pl.col("second").max()
    )
    assert {(e, p): (damage, points) for e, p, damage, points, _ in ends} == {
        (e, p): (damage, second // 10 + 1) for e, p, damage, second in wanted.iter_rows()
    }
    assert all(points == cumulative for *_, points, cumulative in ends)


def test_a_character_is_its_newest_fight_and_counts_all(url, lake):
    publish(lake, url, lake.days("core_encounters"))

    players = pl.from_arrow(lake.read("stats_player_dps")).filter("is_counted", "is_name_known")
    wanted = (
        players.sort("fight_started_at")
        .group_by("player_name", "region")
        .agg(pl.col("spec_name").last(), pl.len(), pl.col("is_cleared").sum())
    )
    found = fetch_rows(url, "SELECT player_name, region, spec_name, fights, clears FROM marts.characters")
    assert sorted(found) == sorted(wanted.rows())


def test_publishing_a_day_touches_that_day_only(url, lake):
    days = lake.days("core_encounters")
    publish(lake, url, days)
    before = dict(fetch_rows(url, "SELECT encounter_id, xmin::text FROM marts.encounters"))

    publish(lake, url, days[:1])

    after = dict(fetch_rows(url, "SELECT encounter_id, xmin::text FROM marts.encounters"))
    touched = {row[0] for row in fetch_rows(
        url, "SELECT encounter_id FROM marts.encounters WHERE fight_date = %s", days[0]
    )}  # fmt: skip
    assert touched
    assert {key for key in before if before[key] != after[key]} == touched


def test_only_what_changed_waits_and_nothing_after_a_publish(url, lake, tmp_path):
    copy = Lake(str(tmp_path / "lake"))
    add_fights(copy, tmp_path, encounters=20)
    found = find_pending(copy, url)
    publish(copy, url, found.days, found.tables)

    assert find_pending(copy, url) == publishing.PendingChanges()
    add_fights(copy, tmp_path, start=date(2026, 10, 7), encounters=20, seed=5)
    assert min(find_pending(copy, url).days) > max(found.days)
    assert set(find_pending(copy, url).tables) == set(WHOLE)
    assert set(find_pending(copy, url, Names(b"x" * 16)).days) == set(copy.days("core_encounters"))


def test_a_day_that_left_the_lake_leaves_the_marts(url, lake, tmp_path):
    empty = Lake(str(tmp_path / "lake"))
    publish(lake, url, lake.days("core_encounters"))
    gone = find_pending(empty, url)
    publish(empty, url, gone.days)

    assert set(gone.days) == set(lake.days("core_encounters"))
    assert fetch_rows(url, "SELECT count(*) FROM marts.players") == [(0,)]
    assert fetch_rows(url, "SELECT count(*) FROM marts.characters") == [(0,)]


def test_a_publish_that_fails_leaves_everything_as_it_was(url, lake, monkeypatch):
    publish(lake, url, lake.days("core_encounters"), WHOLE)
    before = fetch_rows(url, "SELECT count(*), max(xmin::text) FROM marts.players")

    def fails(*_: object) -> None:
        raise psycopg.errors.DiskFull("no space left")

    monkeypatch.setattr(publishing, "_refresh_characters", fails)
    with pytest.raises(DatabaseUnavailable, match=r"no space left.*earlier publications were kept"):
        publish(lake, url, lake.days("core_encounters"))

    assert fetch_rows(url, "SELECT count(*), max(xmin::text) FROM marts.players") == before
    assert fetch_rows(url, "SELECT max(version) FROM marts.publications") == [(1,)]


def test_readers_see_all_of_a_publish_or_nothing(url, lake, monkeypatch):
    days = lake.days("core_encounters")
    publish(lake, url, days)
    seen = []
    refresh = publishing._refresh_characters

    def look_then_refresh(connection: psycopg.Connection, names: set[str]) -> None:
        seen.extend(fetch_rows(url, "SELECT count(*) FROM marts.players"))
        refresh(connection, names)

    monkeypatch.setattr(publishing, "_refresh_characters", look_then_refresh)
    publish(lake, url, days)

    assert seen == fetch_rows(url, "SELECT count(*) FROM marts.players")


def test_hidden_names_are_nowhere_in_the_database(url, lake):
    names = set(lake.read("stats_player_dps")["player_name"].to_pylist())
    publish(lake, url, lake.days("core_encounters"), WHOLE, Names(b"a secret of enough bytes"))

    tables = fetch_rows(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'marts'")
    stored = " ".join(str(fetch_rows(url, f"SELECT * FROM marts.{table}")) for (table,) in tables)
    assert [name for name in names if f"'{name}'" in stored] == []
    assert len(set(fetch_rows(url, "SELECT DISTINCT player_name FROM marts.players"))) == len(names)


def test_odd_names_are_published_as_text(url, lake, tmp_path):
    odd = ["x" * 50_000, "'; DROP TABLE marts.players; --", "<b>", 'a"b,c\\', "nul\x00l"]
    names = Names()
    shown = [names.public(name) for name in odd]

    assert len(shown[0]) == 64
    assert shown[1:] == ["'; DROP TABLE marts.players; --", "<b>", 'a"b,c\\', "null"]
    texts = pl.DataFrame({"a": shown, "b": [[t, None] for t in odd], "c": [[1, None]] * 5})
    with psycopg.connect(libpq_url(url)) as connection:
        connection.execute("CREATE TEMP TABLE odd (a text, b text[], c bigint[])")
        with connection.cursor().copy("COPY odd FROM STDIN (FORMAT csv)") as copy:
            copy.write(publishing._as_csv(texts))
        found = connection.execute("SELECT * FROM odd").fetchall()
    assert found == [(s, [t.replace("\x00", ""), None], [1, None]) for s, t in zip(shown, odd, strict=True)]


def test_a_missing_database_is_reported_as_such(lake):
    with pytest.raises(DatabaseUnavailable, match="LOSTARK_POSTGRES_URL"):
        publish(lake, "postgresql+psycopg2://nobody@127.0.0.1:1/lostark", lake.days("core_encounters"))


@pytest.fixture
def platform(url, lake: Lake, tmp_path: Path):
    settings = get_settings(home=tmp_path / "home", postgres_url=url, lake_url=lake.url, sources=(tmp_path,))
    assert open_lake(settings) == lake
    with dg.DagsterInstance.ephemeral() as instance:
        yield settings, instance


def tick(settings, instance, cursor: str | None) -> dg.SensorResult:
    sensor = next(s for s in automation_sensors() if s.name == "due_marts")
    context = dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        resources={"lake": open_lake(settings), "settings": settings},
        definitions=build_defs(settings=settings),
    )
    return sensor(context)


def test_the_sensor_asks_for_what_changed_and_the_runs_publish_it(url, lake, platform, monkeypatch):
    settings, instance = platform
    first = tick(settings, instance, None)
    defs = build_defs(settings=settings)

    days, tables = (
        request.run_config["ops"][op_name(INGEST_JOB)]["config"] for request in first.run_requests
    )
    assert days == {"days": [day.isoformat() for day in sorted(lake.days("stats_player_dps"))]}
    assert tables == {"tables": True}
    for request in first.run_requests:
        tags = {**request.tags, "dagster/run_key": request.run_key}
        result = defs.resolve_job_def(INGEST_JOB).execute_in_process(
            instance=instance, tags=tags, run_config=request.run_config
        )
        assert all(check.passed for check in result.get_asset_check_evaluations())
    assert find_pending(lake, url) == publishing.PendingChanges()
    second = tick(settings, instance, first.cursor)
    assert second.run_requests in (None, [])
    monkeypatch.setattr(Lake, "open", None)  # an idle tick opens no table and queries no database
    third = tick(settings, instance, second.cursor or first.cursor)
    assert third.skip_reason.skip_message == "everything is published"


def test_the_check_of_the_published_rows_fails_when_rows_are_missing(url, lake, platform, monkeypatch):
    settings, instance = platform
    missing = dict.fromkeys(("stats_player_dps", "stats_dps_timeline", "ml_expected_dps"), 0)
    monkeypatch.setattr("lostark_assets.dagster.mart_assets.published_rows", lambda *_: missing)
    tags = {
        "dagster/asset_partition_range_start": START.isoformat(),
        "dagster/asset_partition_range_end": START.isoformat(),
    }
    by_hand = dg.define_asset_job("by_hand", dg.AssetSelection.assets("mart_fights"))
    job = dg.Definitions.merge(build_defs(settings=settings), dg.Definitions(jobs=[by_hand])).resolve_job_def(
        "by_hand"
    )
    result = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)

    assert [check.passed for check in result.get_asset_check_evaluations()] == [False]
