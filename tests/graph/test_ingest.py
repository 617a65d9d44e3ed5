"""The job ``ingest``: from sources and uploads to the marts in one run, whatever fails on the way."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pyarrow.compute as pc
import pytest
from pydantic import SecretStr

from lostark_assets.automation.due import check_lake
from lostark_assets.automation.requests import INGEST_JOB, run_config
from lostark_assets.contracts.expectations import Finding
from lostark_assets.core import pipeline
from lostark_assets.dagster import ingest
from lostark_assets.dagster.jobs import select_assets
from lostark_assets.dagster.mart_assets import FIGHTS
from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.definitions import build_defs
from lostark_assets.errors import PermanentError
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.marts.migrate import libpq_url
from lostark_assets.marts.publish import find_pending
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.configured import open_landing
from lostark_assets.sources.landing import Landed, Ticket
from lostark_assets.stats import pipeline as stats
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights
from lostark_simulator.upload_json import write_upload_json

FIRST = date(2026, 9, 2)
DAY_TABLES = {
    "core_encounters", "core_players", "core_skills", "core_hits", "core_quarantine", "stats_player_dps",
    "stats_dps_timeline", FIGHTS,
}  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_postgres(get_settings(home=tmp_path_factory.mktemp("home"))) as databases:
        yield databases.lostark


@pytest.fixture(scope="module")
def season(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("season") / "encounters.db"
    config = SeasonConfig(encounters=24, seed=11, days=4, start=FIRST, hits_per_player=20)
    write_encounters_db(path, generate_fights(config))
    return path


@pytest.fixture
def settings(tmp_path: Path, season: Path, database: str) -> Settings:
    with psycopg.connect(libpq_url(database)) as connection:
        connection.execute("DROP SCHEMA IF EXISTS marts CASCADE")
    return get_settings(home=tmp_path / "home", sources=(season,), postgres_url=SecretStr(database))


@pytest.fixture
def lake(settings: Settings) -> Lake:
    return open_lake(settings)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def run(settings: Settings, instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    job = build_defs(settings=settings).resolve_job_def(INGEST_JOB)
    return job.execute_in_process(
        instance=instance, run_config=run_config(INGEST_JOB, config), raise_on_error=False
    )


def upload(settings: Settings, folder: Path, *, seed: int) -> Landed:
    config = SeasonConfig(encounters=1, seed=seed, days=1, start=FIRST, hits_per_player=20, dirt=False)
    [fight, *_] = generate_fights(config)
    landing = open_landing(settings)
    ticket, path = landing.begin(f"{seed}.json.gz")
    path.write_bytes(write_upload_json(folder / path.name, fight, gzip=True).read_bytes())
    return landing.accept(Ticket(ticket, path.name, "upload:json", "upload_json", 1, "", datetime.now(UTC)))


def due_days(lake: Lake) -> dict[str, str]:
    return check_lake(lake, None, datetime.now(UTC).timestamp()).due


def materialized(instance: dg.DagsterInstance) -> dict[str, set[str]]:
    return {
        key.to_user_string(): set(instance.get_materialized_partitions(key))
        for key in instance.all_asset_keys()
    }


def checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], bool]:
    return {
        (c.asset_key.to_user_string(), c.check_name): c.passed for c in result.get_asset_check_evaluations()
    }


@pytest.mark.parametrize("location", ["lostark_platform.definitions", "lostark_ml.definitions"])
def test_the_code_locations_load_completely(location: str) -> None:
    dg.Definitions.validate_loadable(importlib.import_module(location).defs)


def test_one_run_takes_a_source_to_the_marts(
    settings: Settings, lake: Lake, instance: dg.DagsterInstance, database: str
) -> None:
    result = run(settings, instance, sources=["loa_logs"])

    assert result.success
    days = {day.isoformat() for day in lake.days("core_encounters")}
    assert len(days) >= 4
    reported = materialized(instance)
    assert reported.pop("raw_battle_logs") == {"loa_logs"}
    assert reported.keys() == DAY_TABLES
    assert reported["core_encounters"] == reported["stats_player_dps"] == reported[FIGHTS] == days
    assert due_days(lake) == {}
    assert find_pending(lake, database).days == {}
    assert run(settings, instance, sources=["loa_logs"]).success
    assert lake.count("raw_battle_logs") == len(set(lake.read("raw_battle_logs")["log_id"].to_pylist()))


def test_its_checks_are_those_of_the_assets(
    settings: Settings, lake: Lake, instance: dg.DagsterInstance
) -> None:
    done = checks(run(settings, instance, sources=["loa_logs"]))

    defs = build_defs(settings=settings)
    wanted = {
        (key.asset_key.to_user_string(), key.name)
        for key in select_assets("raw_battle_logs", *DAY_TABLES).resolve_checks(defs.resolve_asset_graph())
    }
    assert done.keys() == wanted
    assert all(passed for (_, name), passed in done.items() if name != "values_plausible")


def test_materialisations_carry_the_code_version_of_their_asset(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    assert run(settings, instance, sources=["loa_logs"]).success

    graph = build_defs(settings=settings).resolve_asset_graph()
    for name in {"raw_battle_logs", *DAY_TABLES}:
        key = dg.AssetKey(name)
        event = instance.get_latest_materialization_event(key)
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.tags["dagster/code_version"] == graph.get(key).code_version


def test_an_upload_is_published_and_only_its_day_is_touched(
    settings: Settings, lake: Lake, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    assert run(settings, instance, sources=["loa_logs"]).success
    before = set(lake.open("core_encounters").file_uris())
    landed = upload(settings, tmp_path, seed=5)

    result = run(settings, instance, uploads=True)

    assert result.success
    found = open_landing(settings).find(landed.ticket.ticket).result
    assert found is not None
    assert found.new == 1
    assert open_landing(settings).waiting() == []
    changed = before ^ set(lake.open("core_encounters").file_uris())
    assert changed
    assert all(f"fight_date={found.days[0]}" in file for file in changed)


def test_what_is_uploaded_while_uploads_are_ingested_belongs_to_the_same_run(
    settings: Settings, lake: Lake, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch
) -> None:
    upload(settings, tmp_path, seed=5)
    clean_days, seeds = ingest.clean_days, iter([6, 7])

    def clean_while_uploading(*arguments: Any, **options: Any) -> Any:
        if (seed := next(seeds, None)) is not None:
            upload(settings, tmp_path, seed=seed)
        return clean_days(*arguments, **options)

    monkeypatch.setattr(ingest, "clean_days", clean_while_uploading)

    assert run(settings, instance, uploads=True).success
    assert open_landing(settings).waiting() == []
    assert lake.count("core_encounters") == 3


def test_an_upload_that_is_no_battle_log_stops_no_later_one(
    settings: Settings, lake: Lake, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch
) -> None:
    broken = upload(settings, tmp_path, seed=5)
    broken.file.write_bytes(b"no battle log")
    clean_days, seeds = ingest.clean_days, iter([7])

    def clean_while_uploading(*arguments: Any, **options: Any) -> Any:
        if (seed := next(seeds, None)) is not None:
            upload(settings, tmp_path, seed=seed)
        return clean_days(*arguments, **options)

    monkeypatch.setattr(ingest, "clean_days", clean_while_uploading)
    upload(settings, tmp_path, seed=6)

    # It is the uploader's problem, which the ticket reports, and no alert of the operator's.
    assert run(settings, instance, uploads=True).success
    assert open_landing(settings).waiting() == []
    assert lake.count("core_encounters") == 2
    assert lake.read("core_quarantine")["reason_code"].to_pylist() == ["invalid_json"]


def test_an_upload_that_makes_the_statistics_fail_is_refused_and_keeps_no_other_out(
    settings: Settings, lake: Lake, instance: dg.DagsterInstance, database: str, tmp_path: Path, monkeypatch
) -> None:
    landed = [upload(settings, tmp_path, seed=seed) for seed in (5, 6)]
    compute = stats.player_statistics

    def fail_for_two(encounters: Any, *more: Any) -> Any:
        return compute(encounters, *more) if encounters.num_rows < 2 else 1 / 0

    monkeypatch.setattr(stats, "player_statistics", fail_for_two)

    assert run(settings, instance, uploads=True).success
    results = [open_landing(settings).find(one.ticket.ticket).result for one in landed]
    assert all(result is not None and result.error is None for result in results)
    assert lake.read("core_quarantine")["reason_code"].to_pylist() == ["unexpected_error"]
    assert lake.count("core_encounters") == 1
    assert find_pending(lake, database).days == {}
    assert due_days(lake) == {}


def test_fight_days_of_a_long_collection_are_published_before_it_ends(
    settings: Settings, lake: Lake, instance: dg.DagsterInstance, database: str, monkeypatch
) -> None:
    monkeypatch.setattr(ingest, "PROCESS_EVERY_S", 0.0)
    settings = settings.model_copy(update={"batch_bytes": 20_000})
    published = []
    publish = ingest.publish_pending

    def count_logs(*arguments: Any) -> Any:
        published.append(lake.count("raw_battle_logs"))
        return publish(*arguments)

    monkeypatch.setattr(ingest, "publish_pending", count_logs)

    assert run(settings, instance, sources=["loa_logs"]).success
    assert published == sorted(published)
    assert published[0] < lake.count("raw_battle_logs")
    assert find_pending(lake, database).days == {}


def test_a_day_that_breaks_its_contract_stops_no_other_day(
    settings: Settings, lake: Lake, instance: dg.DagsterInstance, monkeypatch
) -> None:
    monkeypatch.setattr(ingest, "LOGS_PER_ROUND", 0)
    assert run(settings, instance, sources=["loa_logs"]).success
    bad = sorted(lake.days("core_encounters"))[1]
    good = lake.read("core_players", days=[bad])
    build_tables = pipeline.build_tables

    def negative_dps(cleaned: Any) -> dict[str, Any]:
        tables = build_tables(cleaned)
        if bad in tables["core_encounters"]["fight_date"].to_pylist():
            players = tables["core_players"]
            place = players.schema.get_field_index("dps")
            negative = pc.negate(players["dps"])
            tables["core_players"] = players.set_column(place, players.schema.field(place), negative)
        return tables

    monkeypatch.setattr(pipeline, "build_tables", negative_dps)
    monkeypatch.setattr(pipeline, "CLEAN_VERSION", "next")
    days = sorted(day.isoformat() for day in lake.days("core_encounters"))
    started_at = datetime.now(UTC)

    result = run(settings, instance, days=days)

    assert not result.success
    failed = [
        c for c in result.get_asset_check_evaluations() if not c.passed and c.check_name == "contract_holds"
    ]
    assert [c.asset_key.to_user_string() for c in failed] == ["core_players"]
    rows = lake.read("core_encounters", columns=["fight_date", "cleaned_at"])
    at = dict(zip(*(rows[name].to_pylist() for name in rows.column_names), strict=True))
    assert {day for day, cleaned_at in at.items() if cleaned_at >= started_at} == set(at) - {bad}
    assert lake.read("core_players", days=[bad]).equals(good)


def test_while_the_database_is_away_everything_else_is_done_and_the_days_stay_due_for_publishing(
    settings: Settings, lake: Lake, instance: dg.DagsterInstance, database: str
) -> None:
    away = settings.model_copy(
        update={"postgres_url": SecretStr("postgresql+psycopg2://nobody@127.0.0.1:9/lostark")}
    )

    result = run(away, instance, sources=["loa_logs"])

    assert not result.success
    [event] = [e for e in result.all_events if e.is_step_failure]
    assert "PostgreSQL failed" in event.step_failure_data.error.to_string()
    assert due_days(lake) == {}
    pending = find_pending(lake, database).days
    assert set(pending) == set(lake.days("core_encounters"))
    assert FIGHTS not in materialized(instance)

    assert run(settings, instance, days=[day.isoformat() for day in pending]).success
    assert find_pending(lake, database).days == {}


def test_a_check_that_fails_after_the_commit_fails_the_run_and_blocks_what_follows(
    settings: Settings, lake: Lake, instance: dg.DagsterInstance, database: str, monkeypatch
) -> None:
    lost = Finding("raw_logs_in_equal_encounters_plus_quarantine", "error", 10, 1)
    with monkeypatch.context() as patch:
        patch.setattr("lostark_assets.dagster.core_checks.accounted", lambda *_: lost)
        result = run(settings, instance, sources=["loa_logs"])

    assert not result.success
    assert not checks(result)[("core_encounters", lost.rule)]
    assert lake.count("core_encounters")
    assert lake.count("stats_player_dps") == 0
    assert lake.days("core_encounters") != find_pending(lake, database).days.keys()
    assert run(settings, instance, days=sorted(due_days(lake))).success
    assert find_pending(lake, database).days == {}


def test_published_rows_that_are_missing_fail_the_run(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch
) -> None:
    missing = dict.fromkeys(("stats_player_dps", "stats_dps_timeline", "ml_expected_dps"), 0)
    monkeypatch.setattr("lostark_assets.dagster.mart_assets.published_rows", lambda *_: missing)

    result = run(settings, instance, sources=["loa_logs"])

    assert not result.success
    assert not checks(result)[(FIGHTS, "mart_rows_equal_lake_rows")]


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    with monkeypatch.context() as patch:

        def fail(*_: Any, **__: Any) -> None:
            raise PermanentError("killed")

        patch.setattr(ingest, name, fail)
        yield


@pytest.mark.parametrize("step", ["clean_days", "compute_or_refuse", "publish_pending"])
def test_a_run_that_stops_between_two_steps_is_finished_by_the_next(
    settings: Settings, lake: Lake, instance: dg.DagsterInstance, database: str, step: str, monkeypatch
) -> None:
    with failing(monkeypatch, step):
        assert not run(settings, instance, sources=["loa_logs"]).success
    days = {*due_days(lake), *(day.isoformat() for day in find_pending(lake, database).days)}

    assert days
    assert run(settings, instance, days=sorted(days)).success
    assert due_days(lake) == {}
    assert find_pending(lake, database).days == {}


def test_a_day_that_is_computed_already_is_neither_computed_nor_published_again(
    settings: Settings, lake: Lake, instance: dg.DagsterInstance
) -> None:
    assert run(settings, instance, sources=["loa_logs"]).success
    versions = {name: lake.version(name) for name in DAY_TABLES - {FIGHTS}}
    reported = materialized(instance)

    yesterday = (FIRST - timedelta(days=1)).isoformat()
    result = run(settings, instance, days=[*reported[FIGHTS], yesterday])

    assert result.success
    assert list(result.get_asset_materialization_events()) == []
    assert {name: lake.version(name) for name in versions} == versions
