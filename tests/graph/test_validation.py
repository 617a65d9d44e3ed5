"""The validation job on a lake: stored rows that fit, rows that other software broke, and nothing to do."""

from __future__ import annotations

from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lostark_assets.contracts import suites
from lostark_assets.contracts.registry import list_tables
from lostark_assets.core.clean_meter import build_rules
from lostark_assets.core.pipeline import clean_days
from lostark_assets.dagster.jobs import STORED_ROWS_FIT, VALIDATE_JOB
from lostark_assets.definitions import build_defs
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.collect import collect
from lostark_assets.sources.loa_logs_db import LoaLogsDb
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a lake with eight cleaned logs."""
    folder = tmp_path_factory.mktemp("validated")
    season = SeasonConfig(encounters=8, seed=11, days=2, start=date(2026, 9, 2), hits_per_player=40)
    write_encounters_db(folder / "encounters.db", generate_fights(season))
    settings = get_settings(home=folder / "home", api_port=8123)
    lake = open_lake(settings)
    collect(LoaLogsDb(folder / "encounters.db"), lake, run_id="test", earliest=settings.earliest_fight_date)
    clean_days(lake, None, build_rules(settings), run_id="test")
    return settings


@pytest.fixture(scope="module")
def lake(settings: Settings) -> Lake:
    return open_lake(settings)


@pytest.fixture(scope="module")
def defs(settings: Settings) -> dg.Definitions:
    return build_defs(settings=settings)


def validate(defs: dg.Definitions) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the job: the evaluation of each table that exists."""
    job = defs.resolve_job_def(VALIDATE_JOB)
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        assert result.success
        evaluations = result.get_asset_check_evaluations()
    assert {one.check_name for one in evaluations} == {STORED_ROWS_FIT}
    return {one.asset_key.to_user_string(): one for one in evaluations}


def evaluate_schedule(defs: dg.Definitions, settings: Settings) -> list[Any] | str:
    """The run requests of the schedule, or why it skips."""
    schedule = defs.resolve_schedule_def("validation_of_tables")
    with dg.instance_for_test() as instance:
        resources = {"lake": open_lake(settings), "settings": settings}
        tick = schedule.evaluate_tick(dg.build_schedule_context(instance, resources=resources))
    return tick.skip_message or list(tick.run_requests)


def test_stored_rows_are_judged_once_and_rows_broken_later_are_shown(
    defs: dg.Definitions, settings: Settings, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(evaluate_schedule(defs, settings)) == 1
    checks = validate(defs)
    assert set(checks) == {
        name for name in list_tables("raw", "core", "stats") if lake.version(name) is not None
    }
    assert [name for name, check in checks.items() if not check.passed] == []
    assert checks["core_players"].metadata["data docs"].value == "http://127.0.0.1:8123/data-docs/"
    assert checks["core_players"].metadata["rows"].value == lake.count("core_players")
    pages = settings.data_docs_dir
    assert "core_players" in (pages / "index.html").read_text()
    assert list((pages / "validations" / "core_players").rglob("*.html"))

    assert evaluate_schedule(defs, settings) == "no table changed since its last validation"
    with monkeypatch.context() as patch:
        patch.setattr(suites, "DataDocs", None)  # nothing changed, so nothing is judged
        unchanged = validate(defs)
    assert {name: check.metadata for name, check in unchanged.items()} == {
        name: check.metadata for name, check in checks.items()
    }

    append_directly(lake, "core_players", item_level=-5.0)
    assert len(evaluate_schedule(defs, settings)) == 1
    checks = validate(defs)
    failed = checks["core_players"]
    assert [name for name, check in checks.items() if not check.passed] == ["core_players"]
    assert failed.severity == dg.AssetCheckSeverity.ERROR
    assert "item_level is" in str(failed.description)
    assert "-5.0" in str(failed.metadata["findings"].value)
    [page] = (pages / "validations" / "core_players").rglob("*.html")
    assert "-5.0" in page.read_text()
    assert evaluate_schedule(defs, settings) == "no table changed since its last validation"


def append_directly(lake: Lake, name: str, **broken: Any) -> None:
    """One more row past the commit path, as other software would write it."""
    rows, table = lake.read(name), lake.open(name)
    assert table is not None
    row = rows.slice(0, 1).to_pylist()[0] | broken
    write_deltalake(table, pa.Table.from_pylist([row], schema=rows.schema), mode="append")
