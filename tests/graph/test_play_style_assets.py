"""Play styles in Dagster: what the asset writes and shows, and when the sensor requests it."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from datetime import UTC, datetime

import dagster as dg
import pytest

from lostark_assets.automation.requests import run_config
from lostark_assets.contracts import expectations
from lostark_assets.contracts.expectations import Finding
from lostark_assets.lake.tables import Lake
from lostark_assets.settings import get_settings
from lostark_ml.dagster.jobs import SCORE_JOB
from lostark_ml.dagster.resources import ModelRegistries
from lostark_ml.dagster.sensors import build_ml_sensors
from lostark_ml.dagster.style_assets import build_player_clusters_asset
from lostark_ml.definitions import build_defs
from lostark_ml.registry.model_registry import ModelRegistry
from lostark_ml.registry.names import STYLE_MODEL
from lostark_ml.styles.clusters import StylePolicy
from lostark_ml.styles.refresh import CLUSTERS, refresh_styles
from tests.pure.ml.planted_styles import characters, write

DAY_S = 86_400
QUICK = StylePolicy(styles=(2, 3), tries=2, resamples=2)


class RegistriesOnDisk(ModelRegistries):
    """Those of one SQLite file."""

    def __init__(self, settings, folder):
        super().__init__(settings)
        object.__setattr__(self, "folder", folder)

    def open(self, model_name="lostark_dps"):
        return nullcontext(
            ModelRegistry(f"sqlite:///{self.folder / 'mlflow.db'}", self.folder / "a", model_name)
        )


@pytest.fixture(scope="module")
def empty_mlflow(tmp_path_factory):
    from lostark_ml.registry.mlflow_database import prepare_database

    folder = tmp_path_factory.mktemp("mlflow")
    prepare_database(f"sqlite:///{folder / 'mlflow.db'}", folder / "a")
    return folder


class Platform:
    """A lake with planted styles, an instance and the sensors; the clock is ours."""

    def __init__(self, tmp_path, empty_mlflow, instance):
        settings = get_settings(home=tmp_path / "home")
        self.instance, self.lake = instance, Lake(str(tmp_path / "lake"))
        self.registries = RegistriesOnDisk(settings, shutil.copytree(empty_mlflow, tmp_path / "mlflow"))
        self.resources = {"lake": self.lake, "settings": settings, "registries": self.registries}
        self.defs = build_defs(settings=settings, resources=self.resources)
        self.now = datetime.now(UTC).timestamp()
        self.sensors = {sensor.name: sensor for sensor in build_ml_sensors(clock=lambda: self.now)}
        self.cursors = {}

    def tick(self, name, *, remember=True):
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(name),
            resources=self.resources,
            definitions=self.defs,
        ) as context:
            result = self.sensors[name].evaluate_tick(context)
        if remember:
            self.cursors[name] = result.cursor
        return result

    def look(self):
        with self.registries.open(STYLE_MODEL) as registry:
            return refresh_styles(self.lake, registry, datetime.now(UTC), QUICK)

    def materialise(self):
        return dg.materialize(
            [build_player_clusters_asset()],
            instance=self.instance,
            resources={name: self.resources[name] for name in ("lake", "registries")},
            raise_on_error=False,
        )


@pytest.fixture
def platform(tmp_path, empty_mlflow):
    with dg.DagsterInstance.local_temp() as instance:
        yield Platform(tmp_path, empty_mlflow, instance)


def get_checks(result):
    return {e.check_name: (e.passed, e.severity.value) for e in result.get_asset_check_evaluations()}


def test_the_asset_writes_styles_and_shows_evidence_pages_and_map(platform):
    write(platform.lake, characters(240))
    result = platform.materialise()
    (event,) = result.asset_materializations_for_node("ml_player_clusters_table")
    shown = {name: value.value for name, value in event.metadata.items()}

    assert result.success
    assert get_checks(result) == {
        "contract_holds": (True, "ERROR"),
        "styles_are_not_specs": (True, "WARN"),
    }
    assert (shown["version"], shown["styles"], shown["is new"], shown["dagster/row_count"]) == (
        1,
        3,
        True,
        240,
    )
    assert "| stability (adjusted Rand) | 0." in shown["evidence"]
    assert shown["pages"].count("## Why it is believed") == 3
    assert shown["map"].startswith("![the map of play styles](data:image/svg+xml;base64,")
    assert platform.lake.count(CLUSTERS) == 240


def test_a_broken_contract_fails_the_run_and_writes_nothing(platform, monkeypatch):
    write(platform.lake, characters(60, specs=2))
    broken = Finding("fights at least 1", "error", 60, 1, [{"fights": 0}])
    monkeypatch.setattr(expectations, "examine", lambda *_: [broken])
    result = platform.materialise()

    assert not result.success
    assert get_checks(result)["contract_holds"] == (False, "ERROR")
    assert platform.lake.version(CLUSTERS) is None


def test_the_asset_stands_in_the_group_of_models_behind_statistics_and_scores(platform):
    spec = platform.defs.resolve_assets_def(CLUSTERS).specs_by_key[dg.AssetKey(CLUSTERS)]

    assert spec.group_name == "ml"
    assert {d.asset_key.to_user_string() for d in spec.deps} == {"stats_player_dps", "ml_expected_dps"}
    assert platform.defs.resolve_assets_def(CLUSTERS).op.pool == "model"


def test_styles_are_requested_once_there_are_scores_and_then_once_a_day(platform):
    sensor = "due_player_clusters"
    assert platform.tick(sensor).skip_message == "no fight is scored yet"

    write(platform.lake, characters(60, specs=2))
    keys = {platform.tick(sensor, remember=False).run_requests[0].run_key for _ in range(2)}
    first = platform.tick(sensor).run_requests
    assert (len(keys), len(first)) == (1, 1)

    platform.look()
    platform.now += DAY_S - 60
    assert platform.tick(sensor).skip_message == "play styles were refreshed within the last day"
    platform.now += 120
    assert platform.tick(sensor).skip_message == "no fight was scored since play styles were refreshed"

    write(platform.lake, characters(70, specs=2))
    (second,) = platform.tick(sensor).run_requests
    assert second.run_key != first[0].run_key


def test_a_failed_refresh_is_requested_again_the_next_day(platform):
    write(platform.lake, characters(60, specs=2))
    platform.tick("due_player_clusters")
    platform.now += DAY_S + 60

    assert len(platform.tick("due_player_clusters").run_requests) == 1


def test_styles_wait_while_fights_are_being_scored(platform):
    write(platform.lake, characters(60, specs=2))
    job = platform.defs.resolve_job_def(SCORE_JOB)
    config = run_config(SCORE_JOB, {"days": ["2026-09-02"]})
    run = platform.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, run_config=config)
    waiting = platform.tick("due_player_clusters")
    platform.instance.report_run_canceled(run)

    assert waiting.skip_message == "fights are being scored, or play styles refreshed"
    assert len(platform.tick("due_player_clusters").run_requests) == 1


def test_an_alias_change_of_the_styles_is_reported_like_that_of_the_model(platform):
    write(platform.lake, characters(120, planted=False))
    platform.look()
    first_tick = platform.tick("alias_moves")
    with platform.registries.open(STYLE_MODEL) as registry:
        registry.move_alias("challenger", 1)
    outside = platform.tick("alias_moves")

    (event,), (second,) = first_tick.asset_events, outside.asset_events
    assert event.metadata["newest"].value.startswith("lostark_play_styles: champion to version 1 (promote by")
    assert "challenger to version 1 (outside by unknown)" in second.metadata["newest"].value
    assert second.metadata["newly recorded"].value == 1
