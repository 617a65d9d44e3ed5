"""Runs that a person starts wait for automatic ones of the same pool, as the platform configures Dagster."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster import instance_for_test
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon

import lostark_assets.definitions
import lostark_ml.definitions
import lostark_platform
from lostark_assets.automation.requests import INGEST_JOB, run_config, uploads_run
from lostark_assets.dagster.jobs import ACROSS_DAYS_JOB, PROFILES_JOB
from lostark_assets.settings import get_settings
from lostark_ml.dagster.jobs import MONITOR_JOB, SCORE_JOB, STYLES_JOB, TRAIN_JOB

CONFIG = Path(lostark_platform.__file__).parent / "config/dagster.yaml"
POOLS = {
    "fight_days": {"raw_battle_logs", "core_encounters", "stats_player_dps", "mart_fights"},
    "tables": {"stats_dps_distribution", "stats_raid_progression", "mart_tables"},
    "open_api": {"raw_armory_profiles", "raw_game_notices", "core_game_events"},
    "model": {
        "ml_training_set",
        "ml_dps_challenger",
        "ml_dps_evaluation",
        "ml_dps_champion",
        "ml_dps_monitoring",
        "ml_player_clusters",
    },
    "scores": {"ml_expected_dps"},
}
REPOSITORY = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("location"), "__repository__")
POOL_OF = {asset: pool for pool, assets in POOLS.items() for asset in assets}


@pytest.fixture(scope="module")
def locations(tmp_path_factory):
    settings = get_settings(home=tmp_path_factory.mktemp("home"), open_api_keys=("a-key",))
    return [
        module.build_defs(settings=settings)
        for module in (lostark_assets.definitions, lostark_ml.definitions)
    ]


@pytest.fixture
def instance():
    """An instance with a queue and the platform's own concurrency settings."""
    coordinator = {"module": "dagster._core.run_coordinator", "class": "QueuedRunCoordinator"}
    concurrency = yaml.safe_load(CONFIG.read_text())["concurrency"]
    with instance_for_test(
        overrides={"concurrency": concurrency, "run_coordinator": coordinator}
    ) as instance:
        # A pool is limited from the second time on that Dagster sees it.
        for pool in POOLS:
            instance.event_log_storage.initialize_concurrency_limit_to_default(pool)
        yield instance


class Queue:
    """Runs, and which of them Dagster's daemon would start now."""

    def __init__(self, instance, locations):
        self.instance, self.locations = instance, locations

    def add(self, *, job=None, asset=None, status="QUEUED", config=None):
        """A run of a job, or of an asset alone as the Dagster UI starts it."""
        name = job or "__ASSET_JOB"
        defs = next(d for d in self.locations if self.has(d, job, asset))
        found = defs.resolve_job_def(name)
        if asset:
            found = found.get_subset(asset_selection={dg.AssetKey(asset)})
        return self.instance.create_run_for_job(
            found,
            run_config=config,
            status=dg.DagsterRunStatus(status),
            tags=dict(found.tags),
            remote_job_origin=RemoteJobOrigin(REPOSITORY, name),
        ).run_id

    @staticmethod
    def has(defs, job, asset):
        repository = defs.get_repository_def()
        return (
            repository.has_job(job)
            if job
            else dg.AssetKey(asset) in repository.asset_graph.materializable_asset_keys
        )

    def startable(self):
        daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
        runs = daemon._get_runs_to_dequeue(self.instance, self.instance.get_concurrency_config(), None)
        return {run.run_id for run in runs}


@pytest.fixture
def queue(instance, locations):
    return Queue(instance, locations)


def test_every_asset_that_can_be_materialised_has_its_pool(locations):
    found = {}
    for defs in locations:
        for asset in defs.resolve_asset_graph().materializable_asset_keys:
            found[asset.to_user_string()] = defs.resolve_assets_def(asset).op.pool

    assert {asset: pool for asset, pool in POOL_OF.items() if found.get(asset) != pool} == {}
    assert {asset for asset, pool in found.items() if pool not in POOLS} == set()


@pytest.mark.parametrize(
    ("job", "asset", "config"),
    [
        (ACROSS_DAYS_JOB, "stats_dps_distribution", None),
        (ACROSS_DAYS_JOB, "mart_tables", None),
        (PROFILES_JOB, "core_game_events", None),
        (TRAIN_JOB, "ml_dps_challenger", None),
        (MONITOR_JOB, "ml_training_set", None),
        (STYLES_JOB, "ml_dps_champion", None),
        (SCORE_JOB, "ml_expected_dps", run_config(SCORE_JOB, {"days": ["2026-11-01"]})),
    ],
)
def test_a_run_by_hand_waits_for_the_automatic_one_and_the_other_way_round(queue, job, asset, config):
    automatic = queue.add(job=job, status="STARTED", config=config)
    by_hand = queue.add(asset=asset)
    other = queue.add(asset="core_encounters")

    assert queue.startable() == {other}
    queue.instance.delete_run(automatic)
    queue.add(asset=asset, status="STARTED")
    waiting = queue.add(job=job, config=config)
    assert queue.startable() == {other}
    assert {by_hand, waiting} & queue.startable() == set()


def test_two_ranges_of_days_by_hand_run_one_after_the_other_and_an_upload_beside_them(queue):
    config, tags = uploads_run()
    queue.add(asset="core_encounters", status="STARTED")
    queue.add(asset="stats_player_dps")
    upload = queue.add(job=INGEST_JOB, config=config)
    queue.instance.add_run_tags(upload, tags)

    assert queue.startable() == {upload}


def test_an_ingest_by_hand_waits_for_the_automatic_one(queue):
    queue.add(job=INGEST_JOB, status="STARTED")
    queue.add(job=INGEST_JOB)

    assert queue.startable() == set()
