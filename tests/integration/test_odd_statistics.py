"""A log that makes computing or publishing a fight day fail is refused alone, and the rest goes in.

``LOSTARK_MUTATIONS=2000`` tries that many logs with odd core rows instead of a few.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lostark_assets.automation.due import check_lake
from lostark_assets.automation.isolation import compute_or_refuse, publish_or_refuse
from lostark_assets.contracts.code_versions import CLEAN_VERSION, COMPUTING, LATER_STEPS, STATS_VERSION
from lostark_assets.contracts.expectations import examine
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.table import Column, Contract
from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.pipeline import clean_days, due_logs
from lostark_assets.dagster.stats_checks import same_players
from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.errors import ContractViolated, DatabaseUnavailable
from lostark_assets.lake.tables import Lake
from lostark_assets.marts import publish as publishing
from lostark_assets.marts.frames import day_frames
from lostark_assets.marts.migrate import libpq_url
from lostark_assets.marts.names import Names
from lostark_assets.marts.publish import find_pending
from lostark_assets.marts.tables import ENCOUNTERS
from lostark_assets.observability.logs import configure_logs
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.protocol import compute_encounter_id
from lostark_assets.stats import pipeline
from lostark_platform.cli.ingest import ingest
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights
from tests.integration.test_odd_inputs import read_events, read_quarantine

DAY = date(2026, 9, 2)
SEASON = SeasonConfig(
    encounters=20, days=1, start=DAY, hits_per_player=3, dirt=False, duplicate_share=0.0, seed=2
)
RULES = Rules(now=datetime(2027, 1, 1, tzinfo=UTC))
MUTATIONS = int(os.environ.get("LOSTARK_MUTATIONS", "40"))
KEPT = {"encounter_id", "log_id", "fight_date"}
MUTATED = ("core_encounters", "core_players", "core_skills", "core_hits")


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake of a day whose logs are cleaned."""
    home = tmp_path_factory.mktemp("cleaned")
    write_encounters_db(home / "encounters.db", generate_fights(SEASON))
    settings = get_settings(home=home)
    ingest(settings, [str(home / "encounters.db")], lambda *_: None, check=False)
    clean_days(Lake(settings.lake_url), None, RULES, run_id="t")
    return home / "lake"


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    settings = get_settings(home=tmp_path)
    configure_logs(settings, "test")
    yield settings
    configure_logs(get_settings(), "test")


@pytest.fixture
def lake(settings: Settings, cleaned: Path) -> Lake:
    return Lake(str(shutil.copytree(cleaned, settings.home / "lake")))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_postgres(get_settings(home=tmp_path_factory.mktemp("home"))) as databases:
        yield databases.lostark


def get_log_ids(lake: Lake) -> list[str]:
    return sorted(lake.read("core_encounters", columns=["log_id"])["log_id"].to_pylist())


def get_encounters(lake: Lake, table: str) -> set[str]:
    return set(lake.read(table, columns=["encounter_id"])["encounter_id"].to_pylist())


def raise_for(monkeypatch: pytest.MonkeyPatch, name: str, log_ids: list[str]) -> None:
    """Let a function of the statistics, whose first argument has encounters, raise for the logs."""
    function, culprits = getattr(pipeline, name), pa.array(map(compute_encounter_id, log_ids))

    def fail_for_logs(rows: Any, *more: Any) -> Any:
        if pc.any(pc.is_in(rows["encounter_id"].cast(pa.string()), culprits)).as_py():
            raise OverflowError("int too large")
        return function(rows, *more)

    monkeypatch.setattr(pipeline, name, fail_for_logs)


def break_contract_for(monkeypatch: pytest.MonkeyPatch, log_id: str) -> None:
    """Let the statistics of the log have a negative DPS."""
    compute, culprit = pipeline.player_statistics, compute_encounter_id(log_id)

    def negative_dps(*arguments: Any) -> pa.Table:
        rows = compute(*arguments)
        is_culprit = pc.equal(rows["encounter_id"], culprit)
        place = rows.schema.get_field_index("dps")
        return rows.set_column(place, "dps", pc.if_else(is_culprit, pa.scalar(-1), rows["dps"]))

    monkeypatch.setattr(pipeline, "player_statistics", negative_dps)


def test_a_log_that_makes_the_statistics_raise_is_refused_alone(lake, settings, monkeypatch):
    log_ids = get_log_ids(lake)
    raise_for(monkeypatch, "player_statistics", log_ids[3:4])

    run = compute_or_refuse(lake, [DAY], "polars", run_id="t")

    [(reason, detail)] = read_quarantine(lake)
    [event] = read_events(settings, "unexpected_error")
    kept = set(map(compute_encounter_id, set(log_ids) - {log_ids[3]}))
    assert (run.refused, reason) == (1, "unexpected_error")
    assert detail == f"{event['error_id']}: OverflowError: int too large"
    assert event["subject"] == f"statistics of log {log_ids[3]}"
    assert lake.read("core_quarantine").select(["locator", "clean_version"]).to_pylist() == [
        {"locator": "statistics", "clean_version": f"{CLEAN_VERSION}, statistics {STATS_VERSION}"}
    ]
    assert "fail_for_logs" in event["exception"]
    for table in ("core_encounters", "core_players", "core_hits", "stats_player_dps", "stats_dps_timeline"):
        assert get_encounters(lake, table) == kept, table
    assert same_players(lake, [DAY]).passed


def test_a_log_whose_statistics_break_the_contract_is_refused_alone(lake, settings, monkeypatch):
    log_ids = get_log_ids(lake)
    break_contract_for(monkeypatch, log_ids[7])

    run = compute_or_refuse(lake, [DAY], "polars", run_id="t")

    [(reason, detail)] = read_quarantine(lake)
    assert (run.refused, reason) == (1, "unexpected_error")
    assert "ContractViolated: stats_player_dps: 1 contract rules broken" in detail
    assert all(finding.passed for finding in run.findings["stats_player_dps"] if finding.severity == "error")
    assert get_encounters(lake, "stats_player_dps") == get_encounters(lake, "core_encounters")
    assert lake.count("core_encounters") == len(log_ids) - 1


@pytest.mark.parametrize("culprits", [1, 5])
def test_logs_that_break_their_timelines_leave_no_timeline(lake, settings, monkeypatch, culprits):
    log_ids = get_log_ids(lake)
    raise_for(monkeypatch, "player_statistics", log_ids[:culprits])

    run = compute_or_refuse(lake, [DAY], "polars", run_id="t")

    assert run.refused == culprits
    assert get_encounters(lake, "stats_dps_timeline") == set(map(compute_encounter_id, log_ids[culprits:]))
    assert run.seconds == lake.count("stats_dps_timeline")


def test_a_refused_log_is_due_again_only_after_a_change_of_the_code(lake, settings, monkeypatch):
    log_ids = get_log_ids(lake)
    with monkeypatch.context() as broken:
        raise_for(broken, "player_statistics", log_ids[3:4])
        compute_or_refuse(lake, [DAY], "polars", run_id="t")
    assert due_logs(lake, None)[0] == set()
    assert check_lake(lake, None, datetime.now(UTC).timestamp()).due == {}

    monkeypatch.setitem(LATER_STEPS, COMPUTING, "next")
    assert due_logs(lake, None)[0] == {log_ids[3]}
    clean_days(lake, None, RULES, run_id="t")
    compute_or_refuse(lake, [DAY], "polars", run_id="t")

    assert get_log_ids(lake) == log_ids
    assert get_encounters(lake, "stats_player_dps") == set(map(compute_encounter_id, log_ids))
    assert lake.count("core_quarantine") == 0


def test_statistics_that_fail_for_every_log_refuse_none(lake, settings, monkeypatch):
    log_ids = get_log_ids(lake)
    raise_for(monkeypatch, "player_statistics", log_ids)

    with pytest.raises(OverflowError):
        compute_or_refuse(lake, [DAY], "polars", run_id="t")

    assert get_log_ids(lake) == log_ids
    assert lake.count("stats_player_dps") == lake.count("core_quarantine") == 0


def test_a_disk_that_fails_refuses_no_log(lake, settings, monkeypatch):
    def fail(*_: Any) -> None:
        raise OSError("disk")

    monkeypatch.setattr(pipeline, "player_statistics", fail)
    with pytest.raises(OSError, match="disk"):
        compute_or_refuse(lake, [DAY], "polars", run_id="t")
    assert lake.count("core_quarantine") == 0


def set_value(lake: Lake, table: str, log_id: str, column: str, value: Any) -> None:
    """Set one column of the log's rows, unchecked."""
    rows = lake.read(table, days=[DAY])
    place = rows.schema.get_field_index(column)
    is_log = pc.equal(rows["encounter_id"], compute_encounter_id(log_id))
    values = pc.if_else(is_log, pa.scalar(value, rows.schema.field(place).type), rows[column])
    lake.replace_days(CONTRACTS[table], rows.set_column(place, rows.schema.field(place), values), [DAY])


def publish_day(lake: Lake, url: str) -> Any:
    return publish_or_refuse(lake, url, [DAY], Names(), "polars", run_id="t")


def read_published(url: str) -> set[str]:
    with psycopg.connect(libpq_url(url)) as connection:
        return {e for (e,) in connection.execute("SELECT encounter_id FROM marts.encounters")}


def test_a_log_that_postgresql_refuses_is_refused_alone(lake, settings, url):
    log_ids = get_log_ids(lake)
    compute_or_refuse(lake, [DAY], "polars", run_id="t")
    # Its players have one key.
    set_value(lake, "stats_player_dps", log_ids[5], "player_name", "Bob")

    done = publish_day(lake, url)

    [(reason, detail)] = read_quarantine(lake)
    assert reason == "unexpected_error"
    assert "UniqueViolation: duplicate key value" in detail
    kept = set(map(compute_encounter_id, set(log_ids) - {log_ids[5]}))
    assert read_published(url) == get_encounters(lake, "stats_player_dps") == kept
    assert done.days == [DAY]
    assert DAY not in find_pending(lake, url).days
    assert due_logs(lake, None)[0] == set()


def test_a_log_that_breaks_the_marts_is_refused_alone(lake, settings, url, monkeypatch):
    log_ids = get_log_ids(lake)
    compute_or_refuse(lake, [DAY], "polars", run_id="t")
    culprit = compute_encounter_id(log_ids[0])

    def fail_for_one(*arguments: Any) -> Any:
        frames = day_frames(*arguments)
        if culprit in frames[ENCOUNTERS]["encounter_id"]:
            raise ValueError("odd")
        return frames

    monkeypatch.setattr("lostark_assets.marts.publish.day_frames", fail_for_one)
    publish_day(lake, url)

    assert [reason for reason, _ in read_quarantine(lake)] == ["unexpected_error"]
    assert read_published(url) == set(map(compute_encounter_id, log_ids[1:]))


def test_while_the_database_is_away_no_log_is_refused(lake, settings):
    compute_or_refuse(lake, [DAY], "polars", run_id="t")
    with pytest.raises(DatabaseUnavailable):
        publish_day(lake, "postgresql+psycopg2://nobody@127.0.0.1:9/lostark")
    assert lake.count("core_quarantine") == 0


@pytest.mark.parametrize("error", [psycopg.errors.DiskFull, psycopg.errors.DeadlockDetected])
def test_a_database_that_fails_for_some_rows_refuses_no_log(lake, settings, url, monkeypatch, error):
    """A full disk takes a few logs and refuses more: none of them is to blame."""
    compute_or_refuse(lake, [DAY], "polars", run_id="t")
    replace = publishing._replace

    def fail_for_many(connection: Any, mart: Any, rows: Any, days: Any) -> None:
        if mart == ENCOUNTERS and rows.height > 3:
            raise error("no room")
        replace(connection, mart, rows, days)

    monkeypatch.setattr(publishing, "_replace", fail_for_many)
    with pytest.raises(DatabaseUnavailable, match="no room"):
        publish_day(lake, url)
    assert lake.count("core_quarantine") == 0


ODD_TEXTS = [
    "", "é" * 300, "로스트아크", "🐉" * 40, "a'b\"c\\", "{a,b}", "NULL", "\u202eabc", "e\u0301", "-", "\t",
]  # fmt: skip


def pick_odd_value(column: Column, rng: random.Random) -> Any:
    """A value of the column's type, extreme but within its bounds, or null."""
    dtype = column.dtype
    if column.nullable and rng.random() < 0.25:
        return None
    if pa.types.is_list(dtype):
        item = Column(column.name, dtype.value_type, "")
        return [pick_odd_value(item, rng) for _ in range(rng.choice([0, 1, 3, 5000]))]
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype):
        return pick_odd_number(column, rng)
    others = {
        pa.bool_(): [True, False],
        pa.string(): column.allowed or ODD_TEXTS,
        pa.date32(): [DAY],
    }
    return rng.choice(others.get(dtype, [datetime(y, 9, 2, 12, tzinfo=UTC) for y in (1, 1970, 2026, 9999)]))


def pick_odd_number(column: Column, rng: random.Random) -> float:
    low, high = column.bounds
    odd = [low, high, 0, 1, -1, 2**31, 2**53 + 1, 2**62, 1e-300, 1e300, 0.5, float("nan"), float("inf")]
    value = rng.choice(odd)
    if pa.types.is_floating(column.dtype):
        return float(value)
    return int(value) if abs(value) < 2**63 else int(low)


def mutate_rows(contract: Contract, rows: pa.Table, rng: random.Random) -> pa.Table:
    """The rows of one log with a few odd values, as far as the contract allows them."""
    for _ in range(8):
        column = rng.choice([c for c in contract.columns if c.name not in KEPT])
        found = rows.to_pylist()
        for row in found if rng.random() < 0.3 else [rng.choice(found)]:
            row[column.name] = pick_odd_value(column, rng)
        try:
            odd = contract.conform(pa.Table.from_pylist(found, schema=rows.schema))
            odd = odd.sort_by([(name, "ascending") for name in contract.storage.sorted_by or contract.key])
        except (pa.ArrowException, OverflowError, ContractViolated):
            continue
        if all(finding.passed for finding in examine(contract, odd) if finding.severity == "error"):
            rows = odd
    return rows


def mutate_day(lake: Lake, rng: random.Random, good: str) -> None:
    """Put odd values into one table of every log but ``good``."""
    tables = {name: lake.read(name, days=[DAY]) for name in MUTATED}
    parts: dict[str, list[pa.Table]] = {name: [] for name in MUTATED}
    for log_id in get_log_ids(lake):
        chosen = rng.choice(MUTATED)
        for name, table in tables.items():
            ids = table["encounter_id"].cast(pa.string())
            rows = CONTRACTS[name].conform(table.filter(pc.equal(ids, compute_encounter_id(log_id))))
            is_odd = log_id != good and name == chosen and rows.num_rows
            parts[name].append(mutate_rows(CONTRACTS[name], rows, rng) if is_odd else rows)
    for name, rows in parts.items():
        lake.replace_days(CONTRACTS[name], pa.concat_tables(rows), [DAY])


def test_odd_core_rows_never_keep_a_good_log_out(cleaned, settings, url, tmp_path):
    rng = random.Random("odd core rows")
    refused: list[str] = []
    for number in range(0, MUTATIONS, SEASON.encounters):
        lake = Lake(str(shutil.copytree(cleaned, tmp_path / f"lake{number}")))
        log_ids = get_log_ids(lake)
        good = rng.choice(log_ids)
        mutate_day(lake, rng, good)

        run = compute_or_refuse(lake, [DAY], rng.choice(["polars", "pandas"]), run_id="t")
        publish_day(lake, url)

        entries = read_quarantine(lake)
        refused += [detail for _, detail in entries]
        assert run.refused <= len(entries)
        assert lake.count("core_encounters") + len(entries) == len(log_ids)
        assert get_encounters(lake, "stats_player_dps") == get_encounters(lake, "core_encounters")
        assert read_published(url) == get_encounters(lake, "core_encounters")
        assert compute_encounter_id(good) in read_published(url)
        assert same_players(lake, [DAY]).passed
    sys.stderr.write(f"{len(refused)} of {MUTATIONS} refused: {sorted(set(refused))}\n")
    assert len(refused) < MUTATIONS / 4
