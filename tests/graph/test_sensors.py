"""The sensors on a real lake and real runs: which days they request, and when they don't."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from lostark_assets.automation.collection import SERVICE_INTERVAL_S, PollResult
from lostark_assets.automation.decisions import MAX_TRIES
from lostark_assets.automation.requests import INGEST_JOB, op_name, run_config, uploads_run
from lostark_assets.core import pipeline
from lostark_assets.core.clean_meter import build_rules
from lostark_assets.dagster.jobs import ACROSS_DAYS_JOB
from lostark_assets.dagster.sensors import automation_sensors
from lostark_assets.definitions import build_defs
from lostark_assets.errors import PermanentError
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.collect import collect
from lostark_assets.sources.configured import open_landing
from lostark_assets.sources.landing import Ticket
from lostark_assets.sources.loa_logs_db import LoaLogsDb
from lostark_assets.stats.pipeline import compute_days, due_stats_days
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.mock_server.config import MockServerConfig
from lostark_simulator.mock_server.growing_season import GrowingSeason
from lostark_simulator.mock_server.running import running_season
from lostark_simulator.season import SeasonConfig, generate_fights

FIRST = date(2026, 9, 2)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    empty = tmp_path / "no-logs"
    empty.mkdir()
    return get_settings(home=tmp_path / "home", sources=(empty,))


class Platform:
    """A lake, an instance and the sensors, driven tick by tick; the clock is ours."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings, self.instance, self.lake = settings, instance, open_lake(settings)
        self.now = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
        self.defs = build_defs(settings=settings)
        self.sensors = {s.name: s for s in automation_sensors(clock=lambda: self.now)}
        self.cursors: dict[str, str | None] = {}

    def add_logs(self, days: int, *, first: date = FIRST, encounters: int = 6) -> None:
        path = self.settings.home.parent / f"{first}-{days}-{encounters}.db"
        season = SeasonConfig(
            encounters=encounters, seed=days, days=days, start=first, hits_per_player=10, dirt=False
        )
        write_encounters_db(path, generate_fights(season))
        source = LoaLogsDb(path, path.stem)
        collect(source, self.lake, run_id="test", earliest=self.settings.earliest_fight_date)

    def tick(self, sensor: str, *, remember: bool = True) -> dg.SensorResult:
        resources = {"lake": self.lake, "settings": self.settings}
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(sensor), resources=resources
        ) as context:
            data = self.sensors[sensor].evaluate_tick(context)
        if remember:
            self.cursors[sensor] = data.cursor
        self.now += 30
        return data

    def run(self, job: str, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            run_config=request.run_config,
            tags={**request.tags, "dagster/run_key": request.run_key},
            raise_on_error=False,
        )

    def work(self, request: dg.RunRequest, *, fails: bool = False) -> None:
        """What a run of fight days leaves behind, without the run: rows and a run record."""
        if not fails:
            days = {date.fromisoformat(day) for day in requested_days(request)}
            cleaned = pipeline.clean_days(self.lake, days, build_rules(self.settings), run_id="test")
            compute_days(self.lake, cleaned.days, "polars", run_id="test")
        self.instance.create_run_for_job(
            self.defs.resolve_job_def(INGEST_JOB),
            status=dg.DagsterRunStatus.FAILURE if fails else dg.DagsterRunStatus.SUCCESS,
            run_config=request.run_config,
            tags={**request.tags, "dagster/run_key": request.run_key},
        )

    def raw_days(self) -> set[str]:
        return {
            d.isoformat()
            for d in self.lake.read("raw_battle_logs", columns=["fight_date"])["fight_date"].to_pylist()
        }


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    with dg.DagsterInstance.local_temp() as instance:
        yield Platform(settings, instance)


def requested(request: dg.RunRequest) -> dict[str, object]:
    return request.run_config["ops"][op_name(INGEST_JOB)]["config"]


def requested_days(request: dg.RunRequest) -> list[str]:
    return requested(request)["days"]


def requests_seen(data) -> list[list[str]]:
    return [requested_days(request) for request in data.run_requests]


def test_new_logs_are_one_run_over_exactly_their_days_and_then_nothing(platform: Platform) -> None:
    assert platform.tick("due_fight_days").skip_message == "no fight day is due"
    platform.add_logs(3)
    days = sorted(platform.raw_days())

    data = platform.tick("due_fight_days")

    assert requests_seen(data) == [days]
    assert platform.tick("due_fight_days").run_requests == []
    assert platform.run(INGEST_JOB, data.run_requests[0]).success
    assert platform.tick("due_fight_days").run_requests == []
    idle = platform.tick("due_fight_days")
    assert idle.skip_message == "no fight day is due"
    assert due_stats_days(platform.lake) == []


def test_a_late_log_asks_for_its_own_day_alone(platform: Platform) -> None:
    platform.add_logs(3)
    platform.work(platform.tick("due_fight_days").run_requests[0])
    platform.tick("due_fight_days")
    late = FIRST - timedelta(days=30)
    platform.add_logs(1, first=late, encounters=2)

    assert requests_seen(platform.tick("due_fight_days")) == [[late.isoformat()]]


def test_days_that_were_materialised_manually_are_not_requested(platform: Platform) -> None:
    platform.add_logs(2)
    request = platform.tick("due_fight_days", remember=False).run_requests[0]
    platform.work(request)

    assert platform.tick("due_fight_days").skip_message == "no fight day is due"


def test_a_tick_that_was_not_remembered_asks_again_under_the_same_key(platform: Platform) -> None:
    platform.tick("due_fight_days")
    platform.add_logs(2)

    keys = {platform.tick("due_fight_days", remember=False).run_requests[0].run_key for _ in range(2)}

    assert len(keys) == 1


def test_a_day_that_always_fails_is_run_three_times_and_again_with_new_code(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.add_logs(1)
    runs = 0
    for _ in range(40):
        data = platform.tick("due_fight_days")
        for request in data.run_requests:
            platform.work(request, fails=True)
            runs += 1
    assert runs == MAX_TRIES
    assert "rest until" in data.skip_message

    monkeypatch.setattr("lostark_assets.automation.due.CODE", "clean next, statistics 1")
    platform.now += 3600
    assert len(platform.tick("due_fight_days").run_requests) == 1


def fail(*_: object, **__: object) -> None:
    raise PermanentError("no")


def test_days_wait_while_a_run_of_anyone_works_on_them(platform: Platform) -> None:
    platform.tick("due_fight_days")
    platform.add_logs(1)
    tags = {"dagster/partition": FIRST.isoformat()}
    run = platform.instance.create_run_for_job(
        platform.defs.resolve_job_def("across_days"), status=dg.DagsterRunStatus.STARTED, tags=tags
    )

    waiting = platform.tick("due_fight_days")
    platform.instance.report_run_canceled(run)

    assert waiting.run_requests == []
    assert waiting.skip_message == "1 in progress"
    assert len(platform.tick("due_fight_days").run_requests) == 1


def test_days_wait_for_the_end_of_a_collection(platform: Platform) -> None:
    platform.tick("due_fight_days")
    platform.add_logs(1)
    collecting = platform.instance.create_run_for_job(
        platform.defs.resolve_job_def(INGEST_JOB),
        run_config=run_config(INGEST_JOB, {"sources": ["slow"]}),
    )
    begin = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_START.value, INGEST_JOB)
    platform.instance.report_dagster_event(begin, collecting.run_id)
    platform.now = datetime.now(UTC).timestamp()

    assert "wait for the collection" in platform.tick("due_fight_days").skip_message
    platform.instance.report_run_failed(collecting)
    assert len(platform.tick("due_fight_days").run_requests) == 1


def test_a_table_that_was_deleted_is_made_again(platform: Platform) -> None:
    import shutil

    platform.add_logs(2)
    platform.work(platform.tick("due_fight_days").run_requests[0])
    platform.tick("due_fight_days")
    shutil.rmtree(platform.lake.table_url("core_encounters"))

    assert len(platform.tick("due_fight_days").run_requests) == 1


def test_a_fight_of_tomorrow_waits_for_its_day(platform: Platform) -> None:
    """More than a day ahead it lies on the day that it was fetched: which it is depends on the hour."""
    today = datetime.now(UTC).date()
    tomorrow = (today + timedelta(days=1)).isoformat()
    platform.add_logs(1, first=today + timedelta(days=1))
    days = platform.raw_days()

    found = requests_seen(platform.tick("due_fight_days"))

    assert days
    assert days <= {today.isoformat(), tomorrow}
    assert {day for of_run in found for day in of_run} == days - {tomorrow}


def test_the_tables_across_days_follow_the_statistics_once(platform: Platform) -> None:
    assert platform.tick("due_across_days").run_requests == []
    platform.add_logs(2)
    platform.work(platform.tick("due_fight_days").run_requests[0])

    [request] = platform.tick("due_across_days").run_requests

    assert platform.tick("due_across_days").run_requests == []
    assert platform.run(ACROSS_DAYS_JOB, request).success
    for _ in range(10):
        assert platform.tick("due_across_days").run_requests == []
    assert "unchanged" in platform.tick("due_across_days").skip_message


def test_an_idle_tick_asks_neither_dagster_nor_the_tables(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.add_logs(2)
    platform.work(platform.tick("due_fight_days").run_requests[0])
    across = platform.tick("due_across_days").run_requests[0]
    platform.instance.create_run_for_job(
        platform.defs.resolve_job_def(ACROSS_DAYS_JOB),
        status=dg.DagsterRunStatus.SUCCESS,
        tags={"dagster/run_key": across.run_key},
    )
    # The fourth publishes; tests/integration/test_publish.py has a database for it.
    idle = [sensor for sensor in platform.sensors if sensor != "due_marts"]
    for sensor in idle:
        platform.tick(sensor), platform.tick(sensor)
    cursors = dict(platform.cursors)
    monkeypatch.setattr(Lake, "open", fail)
    monkeypatch.setattr(platform.instance, "get_run_records", fail)

    assert [platform.tick(sensor).run_requests for sensor in idle] == [[], [], []]
    assert platform.cursors == cursors


def test_a_log_that_is_collected_while_its_day_is_cleaned_is_the_next_runs(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen in a demo under load: the day's run failed its own accounting, for a log that it never saw."""
    platform.add_logs(1)
    request = platform.tick("due_fight_days").run_requests[0]
    resolve_fights = pipeline.resolve_fights

    def collect_meanwhile(*arguments):
        platform.add_logs(1, encounters=3)
        return resolve_fights(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "resolve_fights", collect_meanwhile)
        assert platform.run(INGEST_JOB, request).success

    assert len(platform.tick("due_fight_days").run_requests) == 1


def test_half_cleaned_days_of_a_killed_run_are_due_again(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.add_logs(2)
    request = platform.tick("due_fight_days").run_requests[0]
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "resolve_fights", fail)
        assert not platform.run(INGEST_JOB, request).success
    assert platform.lake.count("core_encounters")

    platform.tick("due_fight_days")
    platform.now += 60
    data = platform.tick("due_fight_days")

    assert len(data.run_requests) == 1


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[str, GrowingSeason]]:
    config = MockServerConfig(
        state_dir=tmp_path / "mock-server", history=3, new_fight_every_s=0, tiny_logs=True
    )
    with running_season(config) as (url, season):
        yield url, season


def collecting(
    tmp_path: Path, instance: dg.DagsterInstance, *urls: str, sources: tuple[Path, ...] = ()
) -> Platform:
    return Platform(get_settings(home=tmp_path / "home", sources=sources, battle_log_urls=urls), instance)


def test_news_are_collected_once_and_only_where_they_are(
    tmp_path: Path, service: tuple[str, GrowingSeason]
) -> None:
    url, season = service
    with dg.DagsterInstance.local_temp() as instance:
        platform = collecting(tmp_path, instance, f"one={url}", "gone=http://127.0.0.1:9")
        first = platform.tick("new_battle_logs")

        assert [requested(request) for request in first.run_requests] == [{"sources": ["one"]}]
        assert first.run_requests[0].tags["lostark/concurrency_group"] == "ingest one"
        assert platform.tick("new_battle_logs").run_requests == []
        assert platform.run(INGEST_JOB, first.run_requests[0]).success
        assert platform.lake.count("raw_battle_logs") == season.logs
        platform.now += 600
        assert platform.tick("new_battle_logs").run_requests == []
        idle = platform.tick("new_battle_logs")
        assert "no new battle logs" in idle.skip_message
        assert "http://127.0.0.1:9 can't be read" in idle.skip_message

        season.grow(1)
        [request] = platform.tick("new_battle_logs").run_requests
        assert request.run_key != first.run_requests[0].run_key


def test_a_service_that_grows_steadily_is_collected_every_half_minute(
    tmp_path: Path, service: tuple[str, GrowingSeason]
) -> None:
    url, season = service
    with dg.DagsterInstance.local_temp() as instance:
        platform = collecting(tmp_path, instance, f"one={url}")
        requested_at = platform.now
        [first] = platform.tick("new_battle_logs").run_requests
        assert platform.run(INGEST_JOB, first).success
        season.grow(1)
        platform.now = requested_at + SERVICE_INTERVAL_S - 1
        early = platform.tick("new_battle_logs")
        platform.now = requested_at + SERVICE_INTERVAL_S

        assert early.run_requests == []
        assert "collected less than 30 s ago: one" in early.skip_message
        assert len(platform.tick("new_battle_logs").run_requests) == 1


def test_a_file_that_is_dropped_into_a_watched_folder_is_collected(tmp_path: Path) -> None:
    folder = tmp_path / "watched"
    folder.mkdir()
    season = SeasonConfig(encounters=3, seed=1, days=1, start=FIRST, hits_per_player=10, dirt=False)
    with dg.DagsterInstance.local_temp() as instance:
        platform = collecting(tmp_path, instance, sources=(folder,))
        assert platform.tick("new_battle_logs").run_requests == []
        write_encounters_db(folder / "encounters.db", generate_fights(season))

        [request] = platform.tick("new_battle_logs").run_requests
        assert requested(request) == {"sources": ["loa_logs"]}
        assert platform.run(INGEST_JOB, request).success

        assert platform.lake.count("raw_battle_logs")
        assert platform.tick("new_battle_logs").run_requests == []


def test_a_collection_that_keeps_failing_is_retried_with_backoff_forever(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = PollResult(due={"one": "log 1"})
    monkeypatch.setattr("lostark_assets.dagster.sensors.poll_sources", lambda *_, **_options: found)
    job, runs = platform.defs.resolve_job_def(INGEST_JOB), 0
    for _ in range(240):
        for request in platform.tick("new_battle_logs").run_requests:
            tags = {**request.tags, "dagster/run_key": request.run_key}
            platform.instance.create_run_for_job(
                job, status=dg.DagsterRunStatus.FAILURE, run_config=request.run_config, tags=tags
            )
            runs += 1

    assert 8 <= runs <= 12


def test_uploads_have_a_run_of_their_own_before_everything_else(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp() as instance:
        platform = collecting(tmp_path, instance)
        assert platform.tick("new_battle_logs").run_requests == []
        send(platform.settings, "a")
        send(platform.settings, "b")

        [request] = platform.tick("new_battle_logs").run_requests

        assert requested(request) == {"uploads": True}
        assert request.tags["dagster/priority"] == "10"
        assert request.tags["lostark/concurrency_group"] == "uploads"
        assert platform.tick("new_battle_logs").run_requests == []


def test_uploads_wait_for_the_run_that_the_api_has_requested(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp() as instance:
        platform = collecting(tmp_path, instance)
        send(platform.settings, "a")
        config, tags = uploads_run()
        run = instance.create_run_for_job(
            platform.defs.resolve_job_def(INGEST_JOB),
            status=dg.DagsterRunStatus.STARTING,
            run_config=config,
            tags=tags,
        )

        waiting = platform.tick("new_battle_logs")
        instance.report_run_canceled(run)

        assert waiting.run_requests == []
        assert waiting.skip_message == "1 in progress"
        assert len(platform.tick("new_battle_logs").run_requests) == 1


def send(settings: Settings, name: str) -> None:
    landing = open_landing(settings)
    ticket, path = landing.begin(f"{name}.json")
    path.write_text("{}")
    landing.accept(Ticket(ticket, path.name, "upload:json", "upload_json", 2, "", datetime.now(UTC)))
