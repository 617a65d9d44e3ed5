"""The exporter's parts on real storages: what they count, what they leave out, and what a failure does."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psutil
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.gateway.budget import Budget, BudgetGate
from lostark_assets.ledger import BacklogSample, CollectionRecord, open_ledger
from lostark_assets.settings import Settings, get_settings, project_root
from lostark_platform.alerts.problems import KINDS
from lostark_platform.alerts.store import memory_path
from lostark_platform.dagster.run_metrics import RunMetrics
from lostark_platform.metrics.exporter import Exporter, Part
from lostark_platform.metrics.families import Durations, single
from lostark_platform.metrics.lake import LakeMetrics
from lostark_platform.metrics.machine import read_disk_space, read_problems, read_services
from lostark_platform.metrics.sources import SourceMetrics
from tests.model_lake import World, write_statistics

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
Samples = dict[str, float]


def samples(metrics: Iterable[Metric]) -> Samples:
    """Values by ``name{label="value",…}``, as Prometheus would read them."""
    return {
        f"{one.name}{{{','.join(f'{k}={v}' for k, v in sorted(one.labels.items()))}}}": one.value
        for metric in metrics
        for one in metric.samples
    }


# The exporter ----------------------------------------------------------------------------------------


class Failing:
    """A part whose reading can be broken."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def read(self, now: float) -> Iterator[Metric]:
        if self.error is not None:
            raise self.error
        yield single("lostark_answer", "The answer.", 42.0)


def scrape(exporter: Exporter) -> Samples:
    registry = CollectorRegistry()
    registry.register(exporter)
    return samples(text_string_to_metric_families(generate_latest(registry).decode()))


def test_what_can_no_longer_be_read_is_dropped_and_counted() -> None:
    failing, good = Failing(), Failing()
    parts = [Part("bad", 1, failing.read), Part("good", 1, good.read)]
    exporter = Exporter(parts)
    before = scrape(exporter)
    exporter.refresh(parts[0], 100.0)
    after = scrape(exporter)
    failing.error = RuntimeError("postgresql://me:secret@host/db is gone")
    exporter.refresh(parts[0], 200.0)
    broken = scrape(exporter)

    assert before["lostark_exporter_part_up{part=bad}"] == 0
    assert "lostark_answer{}" not in before
    assert after["lostark_answer{}"] == 42
    assert after["lostark_exporter_part_up{part=bad}"] == 1
    assert "lostark_answer{}" not in broken
    assert broken["lostark_exporter_part_up{part=bad}"] == 0
    assert broken["lostark_exporter_part_failures_total{part=bad}"] == 1
    assert broken["lostark_exporter_part_timestamp_seconds{part=bad}"] == 100


def test_a_part_that_hangs_delays_no_other_and_no_scrape() -> None:
    released, answered = threading.Event(), threading.Event()

    def hang(_now: float) -> Iterator[Metric]:
        released.wait(30)
        yield single("lostark_late", "Late.", 1.0)

    def answer(_now: float) -> Iterator[Metric]:
        yield single("lostark_answer", "The answer.", 42.0)
        answered.set()

    exporter = Exporter([Part("hangs", 0.01, hang), Part("works", 0.01, answer)])
    exporter.start()
    try:
        assert answered.wait(10)
        deadline = time.monotonic() + 10
        while "lostark_answer{}" not in (found := scrape(exporter)):
            assert time.monotonic() < deadline
        assert "lostark_late{}" not in found
        assert not released.is_set()
    finally:
        released.set()
        exporter.stop()


def test_durations_are_cumulative_and_end_with_infinity() -> None:
    durations = Durations((1.0, 10.0))
    for seconds in (0.5, 1.0, 5.0, 50.0):
        durations.observe(("a",), seconds)
    found = samples([durations.family("lostark_x_seconds", "X.", ["job"])])

    assert [found[f"lostark_x_seconds_bucket{{job=a,le={le}}}"] for le in ("1", "10", "+Inf")] == [2, 3, 4]
    assert found["lostark_x_seconds_count{job=a}"] == 4
    assert found["lostark_x_seconds_sum{job=a}"] == 56.5


# Runs ------------------------------------------------------------------------------------------------


@dg.asset(check_specs=[dg.AssetCheckSpec("is_fine", asset="thing")])
def thing(context):
    """Its check passes unless the run says otherwise."""
    yield dg.Output(1)
    passed = context.run.tags.get("bad") is None
    yield dg.AssetCheckResult(check_name="is_fine", passed=passed, severity=dg.AssetCheckSeverity.ERROR)


@dg.op
def fail() -> None:
    """Fails."""
    raise ValueError("on purpose")


@dg.job
def failing_job() -> None:
    """Fails."""
    fail()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp() as instance:
        yield instance


def materialize(instance: dg.DagsterInstance, **tags: str) -> None:
    job = dg.Definitions(assets=[thing], jobs=[dg.define_asset_job("things")]).resolve_job_def("things")
    job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def test_runs_are_counted_once_and_only_those_that_ended_since(instance: dg.DagsterInstance) -> None:
    materialize(instance, bad="yes")
    runs = RunMetrics(instance, datetime.now(UTC).timestamp())
    first = samples(runs.read(0.0))
    materialize(instance)
    failing_job.execute_in_process(instance=instance, raise_on_error=False)
    second = samples(runs.read(0.0))
    again = samples(runs.read(0.0))

    assert not [name for name in first if name.startswith("lostark_runs_total")]
    assert first["lostark_asset_check_passed{asset=thing,check=is_fine,severity=error}"] == 0
    assert second["lostark_runs_total{job=things,outcome=succeeded}"] == 1
    assert second["lostark_runs_total{job=failing_job,outcome=failed}"] == 1
    assert second["lostark_run_seconds_count{job=things}"] == 1
    assert second["lostark_asset_check_passed{asset=thing,check=is_fine,severity=error}"] == 1
    assert second["lostark_asset_check_evaluations_total{outcome=passed,severity=error}"] == 1
    assert again == second


def test_more_runs_than_one_page_are_all_counted(instance: dg.DagsterInstance, monkeypatch) -> None:
    monkeypatch.setattr("lostark_platform.dagster.run_observations._MAX_RUNS", 2)
    runs = RunMetrics(instance, datetime.now(UTC).timestamp())
    for _ in range(5):
        materialize(instance)

    assert samples(runs.read(0.0))["lostark_runs_total{job=things,outcome=succeeded}"] == 5


def test_runs_that_wait_are_shown_with_their_age_and_made_up_names_are_one(instance) -> None:
    runs = RunMetrics(instance, datetime.now(UTC).timestamp())
    for name in ("__ASSET_JOB_0", "__ASSET_JOB_1", "failing_job"):
        instance.create_run_for_job(
            failing_job if name == "failing_job" else dg.GraphDefinition(name="g", node_defs=[]).to_job(name),
            status=dg.DagsterRunStatus.NOT_STARTED,
        )
    found = samples(runs.read(0.0))

    assert found["lostark_runs_active{job=(assets),state=queued}"] == 2
    assert found["lostark_runs_active{job=failing_job,state=queued}"] == 1
    assert found["lostark_runs_queued{}"] == 3
    assert time.time() - found["lostark_runs_oldest_queued_timestamp_seconds{}"] < 60


# Sources ---------------------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return get_settings(
        home=tmp_path / "home",
        battle_log_urls=("demo=http://127.0.0.1:9",),
        battle_log_requests_per_minute=60,
    )


def record(settings: Settings, source: str, outcome: str = "ok", **counts: int) -> None:
    ended_at = datetime.now(UTC)
    open_ledger(settings).record_collection(
        CollectionRecord(source, "logs", ended_at - timedelta(seconds=2), ended_at, outcome, **counts)  # type: ignore[arg-type]
    )


def read(part: SourceMetrics, now: datetime | None = None) -> Samples:
    return samples(part.read((now or datetime.now(UTC)).timestamp()))


def test_collections_are_counted_from_zero_and_names_without_end_are_one(settings: Settings) -> None:
    record(settings, "demo", new=1000)
    part = SourceMetrics(settings)
    first = read(part)
    record(settings, "demo", requests=10, failed_requests=3, new=5, known=2)
    record(settings, "demo", "unavailable", requests=1, failed_requests=1)
    for number in range(50):
        record(settings, f"player_table:{number}", new=1)
        record(settings, f"upload:db-{number}", new=1)
    second = read(part)

    assert first["lostark_source_collections_total{outcome=ok,source=demo}"] == 0
    assert "lostark_source_logs_total{source=demo,state=new}" not in first
    assert second["lostark_source_collections_total{outcome=ok,source=demo}"] == 1
    assert second["lostark_source_collections_total{outcome=unavailable,source=demo}"] == 1
    assert second["lostark_source_requests_total{result=ok,source=demo}"] == 7
    assert second["lostark_source_requests_total{result=failed,source=demo}"] == 4
    assert second["lostark_source_logs_total{source=demo,state=new}"] == 5
    assert second["lostark_source_logs_total{source=other,state=new}"] == 50
    assert second["lostark_source_logs_total{source=uploads,state=new}"] == 50
    assert second["lostark_source_collection_seconds_bucket{le=1,source=demo}"] == 0
    assert second["lostark_source_collection_seconds_bucket{le=2.5,source=demo}"] == 2
    assert time.time() - second["lostark_source_last_success_timestamp_seconds{source=demo}"] < 60
    assert not [name for name in second if "player_table" in name or "db-1" in name]


def test_an_open_circuit_and_the_used_part_of_a_budget_are_shown(settings: Settings) -> None:
    part = SourceMetrics(settings)
    before = read(part)
    assert list(settings.state_dir.glob("circuits*")) == []
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(settings.state_dir / "circuits.db") as connection:
        connection.execute("CREATE TABLE circuits (source TEXT, state TEXT)")
        connection.execute("INSERT INTO circuits VALUES ('demo', 'opened'), ('other', 'opened')")
    budget = Budget("demo", settings.battle_log_requests_per_minute)

    async def take(count: int) -> None:
        with BudgetGate(budget, settings.state_dir / "budgets") as gate:
            for _ in range(count):
                await gate.take()

    asyncio.run(take(3))
    after, later = read(part), read(part, datetime.now(UTC) + timedelta(seconds=61))

    limit = settings.battle_log_requests_per_minute
    assert before["lostark_source_circuit_open{source=demo}"] == 0
    assert before["lostark_source_budget_used_requests{source=demo}"] == 0
    assert after["lostark_source_circuit_open{source=demo}"] == 1
    assert after["lostark_source_budget_used_requests{source=demo}"] == 3
    assert after["lostark_source_budget_requests{source=demo}"] == limit
    assert later["lostark_source_budget_used_requests{source=demo}"] == 0


def test_the_backlog_has_no_sample_where_nothing_is_known(settings: Settings) -> None:
    part = SourceMetrics(settings)
    unknown = read(part, NOW)
    oldest = NOW - timedelta(minutes=2)
    open_ledger(settings).record_backlog(BacklogSample(NOW, NOW - timedelta(hours=1), 2, 7, oldest, 1, 100))
    known = read(part, NOW)

    assert not [name for name in unknown if name.startswith("lostark_backlog_")]
    assert known["lostark_backlog_logs{stage=collected}"] == 7
    assert known["lostark_backlog_logs{stage=uploaded}"] == 2
    assert known["lostark_backlog_oldest_timestamp_seconds{}"] == oldest.timestamp()
    assert known["lostark_backlog_observed_timestamp_seconds{}"] == NOW.timestamp()
    assert "lostark_backlog_behind_timestamp_seconds{}" not in known


# Lake, machine ---------------------------------------------------------------------------------------


def test_tables_and_the_model_are_shown_and_read_again_only_when_they_change(
    world: World, monkeypatch
) -> None:
    part = LakeMetrics(world.lake)
    first = samples(part.read(0.0))
    opened: list[str] = []
    read_table = part._read_table
    monkeypatch.setattr(part, "_read_table", lambda name: (opened.append(name), read_table(name))[1])
    again = samples(part.read(0.0))
    assert (again, opened) == (first, [])
    rows = world.players()
    newest = rows[rows["fight_date"] == max(rows["fight_date"])]
    write_statistics(world.lake, newest.assign(is_ark_passive_active=True))
    changed = samples(part.read(0.0))

    name = "{layer=stats,table=stats_player_dps}"
    assert opened == ["core_encounters", "core_players", "stats_player_dps"]
    assert first[f"lostark_table_rows{name}"] == len(rows)
    assert changed[f"lostark_table_version{name}"] == first[f"lostark_table_version{name}"] + 1
    assert changed[f"lostark_table_written_timestamp_seconds{name}"] == pytest.approx(time.time(), abs=120)
    assert first[f"lostark_table_bytes{name}"] > first[f"lostark_table_files{name}"] > 0
    assert first["lostark_model_champion_version{}"] == 1
    assert first["lostark_model_alias_changes_total{action=promote,alias=champion}"] == 1


def test_a_table_that_cannot_be_read_is_read_again(world: World, monkeypatch) -> None:
    part = LakeMetrics(world.lake)
    with monkeypatch.context() as broken:
        broken.setattr(part, "_read_champion", lambda: iter([1 / 0]))
        with pytest.raises(ZeroDivisionError):
            list(part.read(0.0))
        with pytest.raises(ZeroDivisionError):
            list(part.read(0.0))

    assert samples(part.read(0.0))["lostark_model_champion_version{}"] == 1


def test_services_are_up_while_their_process_is_the_recorded_one(settings: Settings) -> None:
    assert samples(read_services(settings)) == {}
    settings.home.mkdir(parents=True, exist_ok=True)
    created_at = psutil.Process().create_time()
    entries = [("alive", os.getpid(), created_at), ("gone", 2**22 + 1, 0.0), ("another", os.getpid(), 5.0)]
    recorded = [{"name": name, "pid": pid, "created_at": at} for name, pid, at in entries]
    (settings.home / "services.json").write_text(json.dumps(recorded))
    found = samples(read_services(settings))

    up = {name: found[f"lostark_service_up{{service={name}}}"] for name in ("alive", "gone", "another")}
    assert up == {"alive": 1, "gone": 0, "another": 0}
    assert found["lostark_service_cpu_seconds_total{service=alive}"] > 0
    assert found["lostark_service_resident_bytes{service=alive}"] > 1e6
    assert found["lostark_service_started_timestamp_seconds{service=alive}"] == created_at


def test_problems_are_zero_by_kind_and_a_damaged_state_is_left_alone(settings: Settings) -> None:
    found = samples(read_problems(settings))
    assert {name: found[f"lostark_problems_open{{kind={name}}}"] for name in KINDS} == dict.fromkeys(KINDS, 0)
    path = memory_path(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{")
    with pytest.raises(ValueError, match="JSON"):
        list(read_problems(settings))
    assert path.read_text() == "{"


def test_disks_have_their_size(settings: Settings) -> None:
    found = samples(read_disk_space(settings))
    name = "{disk=data folder}"
    assert 0 < found[f"lostark_disk_free_bytes{name}"] < found[f"lostark_disk_total_bytes{name}"]


def test_a_year_of_data_has_few_series(
    world: World, settings: Settings, instance: dg.DagsterInstance
) -> None:
    """What grows is bounded: tables, reasons, jobs and checks are closed lists, sources are configured."""
    for number in range(365):
        record(settings, f"player_table:{number}", new=1)
    sources = SourceMetrics(settings)
    for number in range(365):
        record(settings, f"player_table:{number}", new=1)
    runs = RunMetrics(instance, time.time())
    parts = [sources.read(time.time()), LakeMetrics(world.lake).read(0.0), runs.read(0.0)]
    parts += [read_problems(settings), read_disk_space(settings), read_services(settings)]
    metrics = [metric for part in parts for metric in part]
    count = len(samples(metrics))

    page = (project_root() / "docs/monitoring.md").read_text(encoding="utf-8")
    names = {f"{one.name}_total" if one.type == "counter" else one.name for one in metrics}
    assert names - set(re.findall(r"`(lostark_\w+)`", page)) == set()
    # By job: 3 outcomes, 2 states, 13 of a histogram; by check 1; by sensor 3; by service 5.
    jobs, checks, sensors, services, reasons = 20, 100, 30, 10, 60
    largest = count + 18 * jobs + checks + 3 * sensors + 5 * services + reasons + 5 * len(CONTRACTS)
    assert largest < 3000
