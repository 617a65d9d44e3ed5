"""Phase 2 as Dagster runs it: two jobs from statistics to champion and scores, checks on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date

import dagster as dg
import pyarrow as pa
import pytest

from lostark_assets.automation.requests import run_config
from lostark_assets.contracts.ml import ML_EXPECTED_DPS
from lostark_assets.dagster.mart_assets import FIGHTS
from lostark_assets.settings import get_settings
from lostark_ml.dagster import model_assets as assets
from lostark_ml.dagster.checks import (
    BEATS_BASELINES,
    EVERY_PLAYER_IS_SCORED,
    NO_TARGET_LEAKAGE,
    build_challenger_findings,
    find_unscored_players,
)
from lostark_ml.dagster.jobs import MONITOR_JOB, SCORE_JOB, TRAIN_JOB
from lostark_ml.definitions import build_defs
from lostark_ml.registry import lifecycle
from lostark_ml.serving import score_days as scoring
from tests.model_lake import POLICY, World

WHY = {"lostark/trigger": "new_fights", "lostark/because": "500 fights since the snapshot"}


@contextmanager
def run(
    world: World, job: str, tags: dict[str, str], config: dict[str, object] | None = None
) -> Iterator[dg.ExecuteInProcessResult]:
    settings = get_settings(home=world.home, sources=())
    defs = build_defs(settings=settings, resources={"lake": world.lake, "registries": world})
    with dg.DagsterInstance.ephemeral() as instance:
        yield defs.resolve_job_def(job).execute_in_process(
            instance=instance, tags=tags, run_config=config, raise_on_error=False
        )


def build_scoring_config(days: Sequence[date]) -> dict[str, object]:
    return run_config(SCORE_JOB, {"days": [day.isoformat() for day in days]})


def get_metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, object]:
    event, *_ = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey(asset)]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def get_checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], bool]:
    return {
        (c.asset_key.to_user_string(), c.check_name): c.passed for c in result.get_asset_check_evaluations()
    }


@pytest.fixture
def small_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "build_lifecycle_policy", lambda _settings: POLICY)


def get_days(world: World, first: int, last: int) -> list[date]:
    return world.lake.days("stats_player_dps")[first:last]


def test_two_jobs_lead_from_statistics_to_a_champion_and_its_scores(
    season: World, tmp_path, small_thresholds
) -> None:
    world = season.copy(tmp_path / "world")
    with run(world, TRAIN_JOB, WHY) as trained:
        assert trained.success
        training_set = get_metadata(trained, "ml_training_set")
        challenger, champion = (get_metadata(trained, f"ml_dps_{n}") for n in ("challenger", "champion"))
        decision = get_metadata(trained, "ml_dps_evaluation")["decision"]
        passed = get_checks(trained)

    assert training_set["rows to learn from"] == int(
        world.lake.read("ml_training_set", columns=["exclusion_reason"])["exclusion_reason"].null_count
    )
    assert training_set["dagster/row_count"] == world.lake.count("stats_player_dps")
    assert "support" in training_set["left out"]
    assert challenger["version"] == champion["champion version"] == 1
    assert challenger["why"] == WHY["lostark/because"]
    assert challenger["mape"] == world.registry.metrics(world.registry.version(1))["mape"]
    assert champion["promoted"] is True
    assert decision.startswith("promote: there is no champion, and every baseline is beaten")
    assert passed["ml_dps_challenger", NO_TARGET_LEAKAGE]
    assert passed["ml_dps_challenger", BEATS_BASELINES]
    assert all(passed[name, "contract_holds"] for name in ("ml_training_set", "ml_dps_evaluation"))

    days = get_days(world, -4, None)
    with run(world, SCORE_JOB, {}, build_scoring_config(days)) as scored:
        assert scored.success
        expected, passed = get_metadata(scored, "ml_expected_dps"), get_checks(scored)
    assert world.lake.days("ml_expected_dps") == days
    assert expected["champions"] == "version 1"
    assert passed["ml_expected_dps", EVERY_PLAYER_IS_SCORED]
    assert passed["ml_expected_dps", "contract_holds"]
    assert get_metadata(scored, FIGHTS)["dagster/row_count"]
    with run(world, MONITOR_JOB, {}) as monitored:
        assert monitored.success
        rows = get_metadata(monitored, "ml_dps_monitoring")["dagster/row_count"]
    assert rows == world.lake.count("ml_dps_monitoring") > 0


def test_a_training_set_that_breaks_its_contract_stops_the_run_before_any_model(
    world: World, small_thresholds, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = lifecycle.build_training_set
    monkeypatch.setattr(
        lifecycle,
        "build_training_set",
        lambda lake: replace(made := build(lake), frame=made.frame.assign(item_level=-5.0)),
    )
    with run(world, TRAIN_JOB, {}) as result:
        steps = {e.step_key for e in result.all_events if e.is_step_success}
        passed = get_checks(result)

    assert not result.success
    assert steps == set()
    assert passed["ml_training_set", "contract_holds"] is False
    assert world.lake.version("ml_training_set") == 0
    assert len(world.registry.versions()) == 1


def test_scores_that_break_their_contract_leave_the_days_as_they_were(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = get_days(world, 0, 2)
    with run(world, SCORE_JOB, {}, build_scoring_config(days)) as first:
        assert first.success
    before = world.lake.read("ml_expected_dps")
    score = scoring.score_rows

    def broken(*arguments, **options):
        table = score(*arguments, **options)
        return pa.concat_tables([table, table.slice(0, 1)])

    monkeypatch.setattr(scoring, "score_rows", broken)
    with run(world, SCORE_JOB, {}, build_scoring_config(days)) as second:
        passed = get_checks(second)

    assert not second.success
    assert passed["ml_expected_dps", "contract_holds"] is False
    assert world.lake.read("ml_expected_dps").equals(before)


def test_a_player_without_a_row_of_expectations_fails_the_check(world: World) -> None:
    days = get_days(world, 0, 2)
    with run(world, SCORE_JOB, {}, build_scoring_config(days)) as result:
        assert result.success
    assert find_unscored_players(world.lake, days).passed
    rows = world.lake.read("ml_expected_dps", days=days[:1])
    world.lake.replace_days(ML_EXPECTED_DPS, rows.slice(1), days[:1])

    found = find_unscored_players(world.lake, days)

    assert (found.passed, found.failed, found.severity) == (False, 1, "error")


def test_without_a_champion_no_day_is_scored_and_the_run_gives_the_fix(season: World, tmp_path) -> None:
    world = season.copy(tmp_path / "world")
    day = get_days(world, 0, 1)[0]
    with run(world, SCORE_JOB, {}, build_scoring_config([day])) as result:
        failures = [e.step_failure_data.error for e in result.all_events if e.is_step_failure]

    assert not result.success
    assert any("lostark model promote" in str(error) for error in failures)
    assert world.lake.count("ml_expected_dps") == 0


GOOD = {
    "leak_shuffled_r2": 0.0,
    "leak_id_gain": 0.001,
    "mape": 0.15,
    "baseline.ridge.mape": 0.16,
    "baseline.four-week_median.mape": 0.18,
}


@pytest.mark.parametrize(
    ("changed", "broken"),
    [
        ({}, []),
        ({"leak_shuffled_r2": 0.03}, [(NO_TARGET_LEAKAGE, 1, "error")]),
        ({"leak_id_gain": 0.01}, [(NO_TARGET_LEAKAGE, 1, "error")]),
        ({"leak_shuffled_r2": 0.5, "leak_id_gain": 0.1}, [(NO_TARGET_LEAKAGE, 2, "error")]),
        ({"mape": 0.17}, [(BEATS_BASELINES, 1, "warn")]),
        ({"mape": 0.16}, [(BEATS_BASELINES, 1, "warn")]),
        ({"mape": 0.2}, [(BEATS_BASELINES, 2, "warn")]),
    ],
)
def test_leaks_and_unbeaten_baselines_are_found_in_the_figures(changed, broken) -> None:
    found = build_challenger_findings({**GOOD, **changed})

    assert [(f.rule, f.failed, f.severity) for f in found if not f.passed] == broken
    assert [f.checked for f in found] == [2, 2]


def test_leakage_that_could_not_be_measured_does_not_pass() -> None:
    measured = {name: value for name, value in GOOD.items() if name != "leak_shuffled_r2"}

    [leak, _] = build_challenger_findings(measured)

    assert not leak.passed
