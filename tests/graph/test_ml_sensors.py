"""The sensors of phase 2 on a real lake, registry and runs: what they request, and when they don't."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pyarrow as pa
import pytest

from lostark_assets.automation.requests import op_name
from lostark_assets.contracts.core import CORE_GAME_EVENTS
from lostark_assets.lake.tables import Lake
from lostark_assets.settings import get_settings
from lostark_assets.sources.configured import open_landing
from lostark_assets.sources.landing import COLLECTED
from lostark_ml.dagster.jobs import MONITOR_JOB, SCORE_JOB, TRAIN_JOB
from lostark_ml.dagster.sensors import (
    INPUT_TAG,
    INPUTS_EVERY_S,
    MONITOR_EVERY_S,
    SCORE_EVERY_S,
    SCORE_PAUSE_S,
    build_ml_sensors,
)
from lostark_ml.definitions import build_defs
from lostark_ml.monitoring.retraining_inputs import (
    collect_retraining_inputs,
    count_unpromoted,
    find_patches_since,
    read_population_fights,
)
from lostark_ml.registry.aliases import read_history
from lostark_ml.registry.lifecycle import FIGHTS_TAG, PROMOTE_TAG, UNTIL_TAG
from lostark_ml.serving.score_days import find_days_to_score, score_days
from tests.model_lake import World, write_statistics

HOUR = 3600.0


class Ticking:
    """A world, an instance and the sensors, driven tick by tick; the clock is ours."""

    def __init__(self, world: World, instance: dg.DagsterInstance, **settings: object) -> None:
        self.world, self.instance = world, instance
        self.settings = get_settings(home=world.home, sources=(), **settings)
        # Runs and files bear the real time: ours begins there.
        self.now = datetime.now(UTC).timestamp()
        self.sensors = {s.name: s for s in build_ml_sensors(clock=lambda: self.now)}
        self.cursors: dict[str, str | None] = {}
        self.defs = build_defs(settings=self.settings)
        self.repository = self.defs.get_repository_def()

    def tick(self, sensor: str, *, after: float = 60.0) -> dg.SensorResult:
        self.now += after
        resources = {"lake": self.world.lake, "settings": self.settings, "registries": self.world}
        wanted = {
            "due_expected_dps": {"lake", "settings"},
            "due_monitoring": {"lake"},
            "alias_moves": {"lake", "registries"},
        }.get(sensor, set(resources))
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(sensor),
            repository_def=self.repository,
            resources={name: resources[name] for name in wanted},
        ) as context:
            data = self.sensors[sensor].evaluate_tick(context)
        self.cursors[sensor] = data.cursor
        return data

    def has_run(self, job: str, request: dg.RunRequest, status: dg.DagsterRunStatus) -> dg.DagsterRun:
        return self.instance.create_run_for_job(
            self.defs.resolve_job_def(job),
            status=status,
            run_config=request.run_config,
            tags={**request.tags, "dagster/run_key": request.run_key},
        )

    def score(self, request: dg.RunRequest) -> None:
        """What a run of days leaves behind, without the run."""
        days = [date.fromisoformat(day) for day in requested_days(request)]
        score_days(self.world.lake, self.world.registry, days, datetime.now(UTC))
        self.has_run(SCORE_JOB, request, dg.DagsterRunStatus.SUCCESS)


def requested_days(request: dg.RunRequest) -> list[str]:
    return request.run_config["ops"][op_name(SCORE_JOB)]["config"]["days"]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as instance:
        yield instance


@pytest.fixture
def ticking(world: World, instance: dg.DagsterInstance) -> Ticking:
    return Ticking(world, instance, retrain_new_fights=100, retrain_pause_h=6)


# due_model -------------------------------------------------------------------------------------------


def test_the_first_model_waits_for_enough_fights_and_is_requested_once(season, tmp_path, instance) -> None:
    world = season.copy(tmp_path / "world")
    fights = len(read_population_fights(world.lake))
    waiting = Ticking(world, instance, retrain_first_fights=fights + 1)
    assert f"the first model waits for {fights + 1:,}" in waiting.tick("due_model").skip_message
    ticking = Ticking(world, instance, retrain_first_fights=fights)

    [request] = ticking.tick("due_model").run_requests

    assert request.tags["lostark/trigger"] == "first"
    assert request.tags["lostark/because"] == f"no model yet, and {fights:,} fights (expected {fights:,})"
    run = ticking.has_run(TRAIN_JOB, request, dg.DagsterRunStatus.STARTED)
    assert ticking.tick("due_model").skip_message == "a model is being trained"
    ticking.instance.report_run_failed(run)
    assert "it pauses until" in ticking.tick("due_model").skip_message
    again = ticking.tick("due_model", after=12 * HOUR).run_requests
    assert [r.run_key == request.run_key for r in again] == [False]


def test_new_fights_are_a_reason_once_and_the_same_data_never_again(ticking: Ticking) -> None:
    world = ticking.world
    assert "expected 10" in ticking.tick("due_model").skip_message
    known = int(world.registry.version(1).tags[FIGHTS_TAG])
    world.play()
    new = len(read_population_fights(world.lake)) - known
    assert ticking.tick("due_model").run_requests == []

    [request] = ticking.tick("due_model", after=INPUTS_EVERY_S).run_requests

    assert request.tags["lostark/trigger"] == "new_fights"
    assert f"{new:,} fights since the snapshot of the newest version" in request.tags["lostark/because"]
    assert request.tags[INPUT_TAG].startswith(f"statistics {world.lake.version('stats_player_dps')},")
    ticking.has_run(TRAIN_JOB, request, dg.DagsterRunStatus.SUCCESS)
    for _ in range(3):
        data = ticking.tick("due_model", after=30 * 24 * HOUR)
        assert data.run_requests == []
        assert "read the same data and code, and was promoted" in data.skip_message


def test_after_a_refusal_it_waits_twice_as_long_also_with_new_data(ticking: Ticking) -> None:
    world = ticking.world
    world.play()
    [request] = ticking.tick("due_model").run_requests
    ticking.has_run(TRAIN_JOB, request, dg.DagsterRunStatus.SUCCESS)
    world.registry.tag(1, {PROMOTE_TAG: "no"})
    world.play()

    waiting = ticking.tick("due_model", after=10 * HOUR)
    requested = ticking.tick("due_model", after=2 * HOUR)

    assert "it pauses until" in waiting.skip_message
    assert "fights since the snapshot of the newest version" in waiting.skip_message
    assert [r.tags["lostark/trigger"] for r in requested.run_requests] == ["new_fights"]


def test_an_idle_tick_reads_neither_statistics_nor_registry(ticking: Ticking, monkeypatch) -> None:
    said = ticking.tick("due_model").skip_message
    monkeypatch.setattr(Lake, "read", None)
    monkeypatch.setattr(World, "open", None)

    assert ticking.tick("due_model", after=INPUTS_EVERY_S - 1).skip_message == said


def test_a_registry_or_lake_without_statistics_requests_nothing(
    tmp_path, registry_template, instance
) -> None:
    ticking = Ticking(World(tmp_path / "home"), instance)

    assert ticking.tick("due_model").skip_message == "no statistics yet"
    assert ticking.tick("due_expected_dps").skip_message == "no champion to score with yet"


# What it knows ---------------------------------------------------------------------------------------


def test_retraining_inputs_count_the_population_and_what_is_new_since_the_newest_version(
    world: World,
) -> None:
    played = world.play()
    inputs = collect_retraining_inputs(world.lake, world.registry, world.now, input_digest="x", last=None)
    rows = world.players()
    clear = rows[rows["is_cleared"] & rows["is_counted"] & ~rows["is_dead"] & ~rows["is_support"]]

    assert inputs.fights == clear["fight_id"].nunique()
    assert inputs.trained_fights == int(world.registry.version(1).tags[FIGHTS_TAG])
    assert inputs.new_fights == len(set(clear["fight_id"]) & set(played["fight_id"]))
    assert inputs.problems == []
    assert inputs.patches == []


def test_patches_since_the_newest_version_count_the_fights_after_them(world: World) -> None:
    newest = world.registry.version(1)
    until = datetime.fromisoformat(newest.tags[UNTIL_TAG])
    rows = [
        {"kind": "patch", "event_name": "too old", "title": "x", "starts_at": until - timedelta(days=3)},
        {"kind": "patch", "event_name": None, "title": "Balance", "starts_at": until + timedelta(days=1)},
        {"kind": "event", "event_name": "a party", "title": "x", "starts_at": until + timedelta(days=1)},
    ]
    table = pa.Table.from_pylist(rows)
    at = table["starts_at"].cast(pa.timestamp("us", "UTC"))
    table = table.set_column(table.column_names.index("starts_at"), "starts_at", at)
    world.lake.append(CORE_GAME_EVENTS, CORE_GAME_EVENTS.conform(table))
    starts = [until + timedelta(hours=h) for h in (1, 23, 25, 48)]

    [patch] = find_patches_since(world.lake, newest, starts)

    assert (patch.name, patch.fights_after) == ("Balance", 2)
    assert find_patches_since(world.lake, None, starts) == []


def test_unpromoted_attempts_are_counted_back_to_the_last_promotion(world: World) -> None:
    one = world.registry.version(1)

    def with_tags(*verdicts: str | None) -> list:
        return [replace(one, tags={} if v is None else {PROMOTE_TAG: v}) for v in verdicts]

    assert count_unpromoted(with_tags("no", None, "yes", "no")) == 2
    assert count_unpromoted(with_tags("yes", "no")) == 0
    assert count_unpromoted([]) == 0


# due_expected_dps ------------------------------------------------------------------------------------


def test_exactly_the_days_whose_statistics_changed_are_scored(ticking: Ticking) -> None:
    world = ticking.world
    days = world.lake.days("stats_player_dps")
    [request] = ticking.tick("due_expected_dps").run_requests
    assert requested_days(request) == [str(day) for day in sorted(days)]
    assert ticking.tick("due_expected_dps").run_requests == []
    ticking.score(request)
    assert ticking.tick("due_expected_dps").run_requests == []
    assert find_days_to_score(world.lake) == {}
    assert ticking.tick("due_expected_dps").skip_message == "no fight day is due for scoring"

    rows = world.players()
    late = rows[rows["fight_date"] == days[3]].assign(is_ark_passive_active=True)
    write_statistics(world.lake, late)
    [again] = ticking.tick("due_expected_dps").run_requests
    assert requested_days(again) == [str(days[3])]
    ticking.score(again)
    played = sorted(set(world.play()["fight_date"]))

    [newest] = ticking.tick("due_expected_dps").run_requests

    assert requested_days(newest) == [str(day) for day in played]


def test_days_wait_while_a_scoring_works_on_them(ticking: Ticking) -> None:
    [request] = ticking.tick("due_expected_dps").run_requests
    run = ticking.has_run(SCORE_JOB, request, dg.DagsterRunStatus.STARTED)

    waiting = ticking.tick("due_expected_dps", after=SCORE_PAUSE_S)
    ticking.instance.report_run_failed(run)
    ticking.tick("due_expected_dps")
    again = ticking.tick("due_expected_dps", after=60)

    assert waiting.run_requests == []
    assert "in progress" in waiting.skip_message
    assert len(again.run_requests) == 1
    assert again.run_requests[0].run_key != request.run_key


def test_fights_of_a_source_are_scored_once_a_minute_and_those_of_an_upload_at_once(ticking: Ticking) -> None:
    world = ticking.world
    [request] = ticking.tick("due_expected_dps").run_requests
    ticking.score(request)
    rows = world.players()
    day = max(rows["fight_date"])
    write_statistics(world.lake, rows[rows["fight_date"] == day].assign(is_ark_passive_active=True))

    soon = ticking.tick("due_expected_dps", after=SCORE_EVERY_S)
    collected = open_landing(ticking.settings).folder / COLLECTED
    collected.mkdir(parents=True)
    os.utime(collected, (ticking.now, ticking.now))
    [at_once] = ticking.tick("due_expected_dps", after=SCORE_EVERY_S).run_requests

    assert soon.skip_message == "fights were scored within the last minute"
    assert str(day) in requested_days(at_once)
    ticking.score(at_once)
    os.utime(collected, (0, 0))
    write_statistics(world.lake, rows[rows["fight_date"] == day].assign(is_ark_passive_active=False))
    assert ticking.tick("due_expected_dps", after=SCORE_PAUSE_S - 1).run_requests == []
    assert len(ticking.tick("due_expected_dps", after=1.0).run_requests) == 1


# due_monitoring --------------------------------------------------------------------------------------


def test_predictions_are_monitored_after_fights_were_scored_and_at_most_every_five_minutes(
    ticking: Ticking,
) -> None:
    [scoring] = ticking.tick("due_expected_dps").run_requests
    ticking.score(scoring)
    [first] = ticking.tick("due_monitoring").run_requests
    assert ticking.tick("due_monitoring").skip_message == "no fight was scored since the last monitoring"
    run = ticking.has_run(MONITOR_JOB, first, dg.DagsterRunStatus.STARTED)
    ticking.score(scoring)

    soon = ticking.tick("due_monitoring", after=1)
    busy = ticking.tick("due_monitoring", after=MONITOR_EVERY_S)
    ticking.instance.report_run_failed(run)
    [second] = ticking.tick("due_monitoring").run_requests

    assert (soon.run_requests, busy.run_requests) == ([], [])
    assert second.run_key != first.run_key


# alias_moves -----------------------------------------------------------------------------------------


def test_an_alias_change_is_reported_to_dagster_once_whatever_its_origin(ticking: Ticking) -> None:
    world = ticking.world
    [first] = ticking.tick("alias_moves").asset_events
    assert first.asset_key == dg.AssetKey("ml_champion_history")
    assert first.metadata["dagster/row_count"].value == 2
    assert first.metadata["newly recorded"].value == 0
    assert ticking.tick("alias_moves").asset_events == []

    world.submit(world.registry.load(1))
    ticking.tick("alias_moves")
    world.registry.move_alias("champion", 2)
    [moved] = ticking.tick("alias_moves").asset_events

    assert moved.metadata["newly recorded"].value == 1
    assert "champion to version 2 (outside by unknown)" in moved.metadata["newest"].value
    assert read_history(world.lake, "lostark_dps")[-1].to_version == 2
    assert ticking.tick("alias_moves").skip_message == "no alias has moved"


def test_without_any_model_no_alias_has_moved(season, tmp_path, instance) -> None:
    ticking = Ticking(season.copy(tmp_path / "world"), instance)

    assert ticking.tick("alias_moves").skip_message == "no alias has moved"


def test_all_sensors_are_on_and_request_existing_jobs(ticking: Ticking) -> None:
    jobs = {job.name for job in ticking.defs.jobs}

    assert set(ticking.sensors) >= {"due_model", "due_expected_dps", "alias_moves"}
    assert all(s.default_status == dg.DefaultSensorStatus.RUNNING for s in ticking.sensors.values())
    assert jobs >= {TRAIN_JOB, SCORE_JOB}
