"""Materialization from the command line: `ingest --run`, `replay` after a fix, and `trace`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from lostark_assets.core.clean_meter import build_rules
from lostark_assets.core.pipeline import clean_days
from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.errors import PermanentError
from lostark_assets.lake.tables import open_lake
from lostark_assets.marts.migrate import libpq_url
from lostark_assets.marts.publish import find_pending
from lostark_assets.settings import Settings, get_settings
from lostark_assets.stats.pipeline import compute_days
from lostark_platform.cli import ingest as ingest_command
from lostark_platform.cli import replay as replay_command
from lostark_platform.cli.app import app
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights


def write_season(path: Path, *, encounters: int, dirt: bool) -> int:
    config = SeasonConfig(
        encounters=encounters, seed=5, start=date(2026, 9, 2), days=2, hits_per_player=20, dirt=dirt
    )
    return write_encounters_db(path, generate_fights(config)).encounters


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    for name in [name for name in os.environ if name.startswith("LOSTARK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LOSTARK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def without_dagster(monkeypatch) -> list[set[date]]:
    """Call the same pipeline directly; returns the days requested by each run."""
    requested: list[set[date]] = []

    def run_days(settings: Settings, days: set[date], say: Any, done: Any) -> None:
        requested.append(days)
        lake = open_lake(settings)
        run = clean_days(lake, days, build_rules(settings), run_id="test")
        compute_days(lake, run.days, "polars", run_id="test")
        done.days |= days

    for module in (ingest_command, replay_command):
        monkeypatch.setattr(module, "run_days", run_days)
    return requested


def lostark(*arguments: object, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert result.exit_code == code, result.output + repr(result.exception)
    return json.loads(result.stdout)


def column(table: str, name: str) -> list[Any]:
    return open_lake(get_settings()).read(table, columns=[name])[name].to_pylist()


@pytest.fixture
def reachable_home(monkeypatch) -> Iterator[Path]:
    """A home outside of pytest's folder, to which PostgreSQL's user can lose access."""
    with tempfile.TemporaryDirectory(prefix="lostark-test-") as folder:
        monkeypatch.setenv("LOSTARK_HOME", folder)
        yield Path(folder)


def test_refusals_include_logs_of_an_earlier_import(tmp_path, without_dagster):
    logs = write_season(tmp_path / "encounters.db", encounters=8, dirt=True)
    lostark("ingest", tmp_path / "encounters.db", "--no-check")

    done = lostark("ingest", tmp_path / "encounters.db", "--run", code=1)

    refused = Counter(column("core_quarantine", "reason_code"))
    assert (done["totals"]["new"], done["totals"]["known"]) == (0, logs)
    assert done["totals"]["quarantined"] == refused
    assert refused
    assert lostark("ingest", tmp_path / "encounters.db", "--run")["totals"]["quarantined"] == {}


def test_ingest_with_run_computes_statistics_that_can_be_traced(tmp_path, reachable_home):
    logs = write_season(tmp_path / "encounters.db", encounters=8, dirt=True)
    command = [sys.executable, "-c", "from lostark_platform.cli.app import app; app()"]
    arguments = ["ingest", str(tmp_path / "encounters.db"), "--run", "--json"]

    process = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=580, check=False)

    assert process.stdout, process.stderr
    done = json.loads(process.stdout)
    assert done["run"]["success"], process.stderr
    assert len(done["run"]["run_ids"]) >= 2
    refused = Counter(column("core_quarantine", "reason_code"))
    assert done["totals"]["quarantined"] == refused
    assert len(column("core_encounters", "log_id")) + len(column("core_quarantine", "log_id")) == logs
    assert process.returncode == (1 if refused else 0)

    with embedded_postgres(get_settings()) as databases:
        due = find_pending(open_lake(get_settings()), databases.lostark)
        with psycopg.connect(libpq_url(databases.lostark)) as connection:
            published = connection.execute("SELECT encounter_id FROM marts.encounters").fetchall()
            newest = connection.execute("SELECT max(version) FROM marts.publications").fetchone()
    assert sorted(id_ for (id_,) in published) == sorted(column("core_encounters", "encounter_id"))
    assert (due.days, due.tables, newest) == ({}, {}, (done["run"]["publish_version"],))

    [row] = lostark("sql", "select encounter_id, player_name, dps from stats_player_dps limit 1")
    lineage = lostark("trace", row["encounter_id"], row["player_name"])
    assert lineage["stats"]["dps"] == row["dps"]
    assert set(lineage["checks"].values()) == {True}
    assert lineage["raw"]["source_is_still_there"]
    assert lineage["stats"]["stats_run_id"] in done["run"]["run_ids"]
    assert lostark("ingest", tmp_path / "encounters.db", "--run")["run"] == {
        "success": True, "days": [], "run_ids": [], "failed": [], "publish_version": None,
    }  # fmt: skip


def test_a_failed_run_is_reported_and_the_logs_are_ingested(tmp_path, monkeypatch):
    logs = write_season(tmp_path / "encounters.db", encounters=6, dirt=False)
    monkeypatch.setattr("lostark_platform.services.materialize.materialize_days", refuse_to_run)

    done = lostark("ingest", tmp_path / "encounters.db", "--run", code=1)

    assert done["run"]["failed"] == ["PostgreSQL does not start"]
    assert (done["run"]["success"], done["totals"]["new"]) == (False, logs)


def refuse_to_run(*_: object) -> None:
    raise PermanentError("PostgreSQL does not start")


def test_logs_ingested_without_run_are_materialized_by_a_later_run(tmp_path, without_dagster):
    write_season(tmp_path / "encounters.db", encounters=6, dirt=False)
    lostark("ingest", tmp_path / "encounters.db")

    done = lostark("ingest", tmp_path / "encounters.db", "--run")

    assert done["totals"]["new"] == 0
    assert without_dagster == [set(column("core_encounters", "fight_date"))]


def test_a_replay_after_a_fix_releases_every_log_once(tmp_path, without_dagster, monkeypatch):
    logs = write_season(tmp_path / "encounters.db", encounters=6, dirt=False)
    monkeypatch.setenv("LOSTARK_EARLIEST_FIGHT_DATE", "2026-10-01")
    refused = lostark("ingest", tmp_path / "encounters.db", "--run", code=1)
    assert refused["totals"]["quarantined"] == {"impossible_time": logs}
    assert lostark("replay", code=1)["still_quarantined"] == {"impossible_time": logs}
    entries = lostark("quarantine", "--reason", "impossible_time")
    assert entries["total"] == logs
    one = entries["entries"][0]["log_id"]
    traced = CliRunner().invoke(app, ["trace", one, "Anyone"])
    assert "impossible_time" in traced.stderr

    monkeypatch.setenv("LOSTARK_EARLIEST_FIGHT_DATE", "2022-01-01")
    first = lostark("replay", one[:20])
    rest = lostark("replay", "--reason", "impossible_time")

    assert (first["logs_released"], rest["logs_released"]) == (1, logs - 1)
    assert column("core_quarantine", "log_id") == []
    assert sorted(column("core_encounters", "log_id")) == sorted(column("raw_battle_logs", "log_id"))
    assert set(column("stats_player_dps", "log_id")) == set(column("raw_battle_logs", "log_id"))
    assert lostark("replay")["logs"] == 0
    assert CliRunner().invoke(app, ["replay", one]).exit_code == 1


def test_a_trace_before_the_statistics_reports_what_is_missing(tmp_path, monkeypatch):
    write_season(tmp_path / "encounters.db", encounters=6, dirt=False)
    lostark("ingest", tmp_path / "encounters.db")
    log_id = column("raw_battle_logs", "log_id")[0]
    assert "not cleaned yet" in CliRunner().invoke(app, ["trace", log_id, "Anyone"]).stderr

    clean_days(open_lake(get_settings()), None, build_rules(get_settings()), run_id="test")
    [player, *_] = lostark("sql", f"select player_name from core_players where log_id = '{log_id}'")

    assert lostark("trace", log_id[:12], player["player_name"].upper())["stats"] is None
    text = CliRunner().invoke(app, ["trace", log_id, player["player_name"]]).stdout
    assert "no statistics yet" in text
    unknown = CliRunner().invoke(app, ["trace", log_id, player["player_name"] + "x"])
    assert unknown.exit_code == 1
    assert player["player_name"] in unknown.stderr
