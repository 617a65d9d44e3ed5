"""The alert sensor on a real instance: webhooks get each problem once, and its end once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster import instance_for_test
from pydantic import SecretStr

from lostark_assets.automation.backlog import follow
from lostark_assets.automation.collection import poll_sources
from lostark_assets.automation.requests import INGEST_JOB, ingest_run
from lostark_assets.definitions import build_defs
from lostark_assets.lake.tables import open_lake
from lostark_assets.ledger import LEDGER_FILE, BacklogSample, CollectionRecord, Ledger
from lostark_assets.observability.logs import configure_logs, get_logger
from lostark_assets.settings import Settings, get_settings
from lostark_platform.alerts.observations import Queue
from lostark_platform.alerts.store import load, memory_path
from lostark_platform.dagster.alert_sensor import alert_sensor
from lostark_platform.dagster.run_observations import ended_runs, queue, ticking
from lostark_simulator.mock_server.config import MockServerConfig
from lostark_simulator.mock_server.running import running_mock_server
from tests.pure.alerts.receivers import Webhooks, webhooks

SECRET = "S3CRET-T0KEN-0123456789"


class Platform:
    """An instance, the sensor and a webhook receiver, with a controlled clock."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance, receiver: Webhooks) -> None:
        self.settings, self.instance, self.receiver = settings, instance, receiver
        self.now = datetime.now(UTC) + timedelta(seconds=5)
        self.lake = open_lake(settings)
        self.sensor = alert_sensor(clock=self._seconds)
        self.ledger = Ledger(settings.state_dir / LEDGER_FILE)

    def _seconds(self) -> float:
        return self.now.timestamp()

    def tick(self, times: int = 1) -> list[tuple[str, str]]:
        """Evaluate the sensor every half minute; returns path and title of each message received."""
        before = len(self.receiver.received)
        for _ in range(times):
            resources = {"lake": self.lake, "settings": self.settings}
            with dg.build_sensor_context(instance=self.instance, resources=resources) as context:
                self.sensor.evaluate_tick(context)
            self.now += timedelta(seconds=30)
        return [
            (path.strip("/").split("/")[0], get_title(body)) for path, body in self.receiver.received[before:]
        ]

    def record_collection(self, outcome: str, source: str = "demo") -> None:
        self.ledger.record_collection(
            CollectionRecord(
                source, "battle_logs", self.now, self.now, outcome, 1, int(outcome != "ok"),
                error=None if outcome == "ok" else f"no response, Bearer {SECRET}",
            )
        )  # fmt: skip


def get_title(body: dict) -> str:
    return body["embeds"][0]["title"] if "embeds" in body else body["blocks"][0]["text"]["text"]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with webhooks() as receiver, dg.DagsterInstance.ephemeral() as instance:
        settings = get_settings(
            home=tmp_path / "home",
            battle_log_urls=("demo=http://127.0.0.1:9",),
            alert_discord_webhook=receiver.url(f"/api/webhooks/1/{SECRET}"),
            alert_slack_webhook=receiver.url(f"/services/{SECRET}"),
        )
        configure_logs(settings, "test")
        yield Platform(settings, instance, receiver)


@dg.op(config_schema={"succeeds": bool})
def work(context) -> None:
    if not context.op_config["succeeds"]:
        raise dg.Failure("the input is broken", allow_retries=False)


@dg.job(name="some_job", executor_def=dg.in_process_executor)
def some_job() -> None:
    work()


def run_job(platform: Platform, *, succeeds: bool) -> None:
    config = {"ops": {"work": {"config": {"succeeds": succeeds}}}}
    some_job.execute_in_process(run_config=config, instance=platform.instance, raise_on_error=False)


def test_a_failed_run_and_its_recovery_are_sent_once_to_each_channel(platform):
    assert platform.tick() == []
    run_job(platform, succeeds=False)
    assert sorted(platform.tick(10)) == [
        ("api", "Runs fail: some_job"), ("services", "Runs fail: some_job"),
    ]  # fmt: skip
    run_job(platform, succeeds=False)
    assert platform.tick(10) == []
    run_job(platform, succeeds=True)
    assert sorted(platform.tick(10)) == [
        ("api", "Recovered: Runs fail: some_job"), ("services", "Recovered: Runs fail: some_job"),
    ]  # fmt: skip
    facts = {
        field["name"]: field["value"] for field in platform.receiver.received[0][1]["embeds"][0]["fields"]
    }
    assert "the input is broken" in facts["What"]
    assert "step work" in facts["What"]
    assert facts["Runbook"] == "docs/runbook.md#runs-fail"


def test_a_failing_source_and_its_recovery_are_sent_once(platform):
    platform.tick()
    received = []
    for _ in range(10):
        platform.record_collection("unavailable")
        received += platform.tick(2)
    assert sorted(received) == [
        ("api", "A source does not respond: demo"), ("services", "A source does not respond: demo"),
    ]  # fmt: skip
    platform.record_collection("ok")
    assert len(platform.tick(10)) == 2


def test_manual_imports_are_not_monitored(platform):
    for _ in range(5):
        platform.record_collection("refused", "http:elsewhere:80")
        assert platform.tick(2) == []


def test_no_secret_is_in_logs_state_or_messages(platform):
    platform.receiver.status = 500
    for _ in range(4):
        platform.record_collection("unavailable")
        platform.tick(2)
    platform.receiver.status = 204
    platform.tick(3)

    home = platform.settings.home
    assert platform.receiver.received
    events = [json.loads(line) for line in (home / "logs/events.jsonl").read_text().splitlines()]
    assert {"problem", "alert_channel_failed", "alert_sent"} <= {event["event"] for event in events}
    for path in [*(home / "logs").iterdir(), memory_path(platform.settings)]:
        assert SECRET not in path.read_text(), path
    assert SECRET not in json.dumps([body for _, body in platform.receiver.received])


def test_a_channel_that_is_down_gets_both_messages_later(platform):
    platform.receiver.status = 503
    run_job(platform, succeeds=False)
    platform.tick(3)
    run_job(platform, succeeds=True)
    platform.tick(6)
    platform.receiver.status = 204
    titles = [title for path, title in platform.tick(200) if path == "api"]

    assert titles == ["Runs fail: some_job", "Recovered: Runs fail: some_job"]


def test_every_sensor_and_schedule_of_the_platform_is_monitored(platform):
    repository = build_defs(settings=platform.settings).get_repository_def()
    with instance_for_test() as instance:
        monitored = ticking(instance, repository, ["alerts"])

    names = {one.name for one in monitored}
    assert {"due_fight_days", "due_across_days"} <= names
    assert "alerts" not in names
    assert all(one.last_tick_at is None and one.every_s >= 1 for one in monitored)


def test_a_failed_observation_does_not_affect_others(platform, monkeypatch):
    platform.tick()
    monkeypatch.setattr("lostark_platform.alerts.observe.read_disks", lambda settings: 1 / 0)
    run_job(platform, succeeds=False)

    assert len(platform.tick(2)) == 2
    assert load(memory_path(platform.settings)).state.open.keys() == {"run_failed:some_job"}


def test_a_stuck_queue_and_its_recovery_are_sent_once(platform, monkeypatch):
    platform.tick()
    waiting = Queue(2, platform.now, 0)
    monkeypatch.setattr("lostark_platform.dagster.run_observations.queue", lambda instance: waiting)

    assert platform.tick(9) == []
    assert {title for _, title in platform.tick(10)} == {"Runs wait and none starts: run queue"}
    waiting = Queue()
    assert {title for _, title in platform.tick(10)} == {"Recovered: Runs wait and none starts: run queue"}


def test_the_queue_is_empty_without_queued_runs(platform):
    assert queue(platform.instance) == Queue()


def test_a_step_duration_has_its_number_of_logs(platform):
    @dg.asset
    def some_table():
        return dg.MaterializeResult(metadata={"logs cleaned now": 17})

    done = dg.materialize([some_table], instance=platform.instance)
    found = ended_runs(platform.instance, None, (), datetime.now(UTC), [])

    assert found.is_caught_up
    assert [(run.run_id, run.succeeded) for run in found.runs] == [(done.run_id, True)]
    assert [(step.step, step.work) for step in found.steps] == [("some_table", 17.0)]
    assert found.steps[0].seconds > 0
    second = ended_runs(platform.instance, found.until, found.seen, datetime.now(UTC), [])
    assert second.runs == []


def test_a_collection_leaves_no_secret_behind(platform, capfd):
    settings = platform.settings.model_copy(update={"http_total_timeout_s": 3.0})
    with running_mock_server(MockServerConfig(history=3, battle_log_token="another-token")) as url:
        settings = settings.model_copy(
            update={"battle_log_urls": (f"demo={url}",), "battle_log_token": SecretStr(SECRET)}
        )
        configure_logs(settings, "test", stderr=True)
        get_logger().info("request", headers={"Authorization": f"Bearer {SECRET}"}, note=f"token {SECRET}")
        job = build_defs(settings=settings).resolve_job_def(INGEST_JOB)
        config, tags = ingest_run("ingest", ["demo"])
        done = job.execute_in_process(
            instance=platform.instance, run_config=config, tags=tags, raise_on_error=False
        )
    assert not done.success
    records = Ledger(settings.state_dir / LEDGER_FILE).collections(datetime.now(UTC) - timedelta(hours=1))
    assert [record.outcome for record in records] == ["refused"]
    events = "".join(str(entry) for entry in platform.instance.all_logs(done.run_id))
    captured = capfd.readouterr()
    files = [path for path in settings.home.rglob("*") if path.is_file()]
    assert any(path.name == LEDGER_FILE for path in files)
    written = b"".join(path.read_bytes() for path in files)
    for place in (events, captured.out, captured.err, repr(settings), str(records)):
        assert SECRET not in place
    assert SECRET.encode() not in written
    assert b'"request"' in written


class Outage(BaseHTTPRequestHandler):
    """A service in maintenance, which echoes what it was sent."""

    def do_GET(self):
        body = f"<h1>Back at noon</h1> {self.headers['authorization']}".encode()
        self.send_response(503)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("polls", [3, 12])
def test_the_alert_of_an_outage_has_the_services_own_last_answer(platform, polls):
    """After 20 failures the circuit is open, and no request is made."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Outage) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"demo=http://127.0.0.1:{server.server_port}"
        platform.settings = platform.settings.model_copy(
            update={
                "battle_log_urls": (address,),
                "battle_log_token": SecretStr(SECRET),
                "http_total_timeout_s": 1.0,
            }
        )
        for _ in range(polls):
            poll_sources(platform.settings, {}, platform.now.timestamp())
            platform.now += timedelta(seconds=40)
        server.shutdown()
    last = platform.ledger.last_collection("demo")
    assert ("the circuit is open" in last.error) == (polls == 12)
    platform.tick()

    [said] = [json.dumps(body) for path, body in platform.receiver.received if path.startswith("/api/")]
    assert "status 503 (text/html)" in said
    assert "Back at noon" in said
    assert SECRET not in said


def test_sensors_of_another_code_location_are_monitored_while_they_tick(platform):
    repository = build_defs(settings=platform.settings).get_repository_def()
    now = datetime.now(UTC)
    with instance_for_test() as instance:
        elsewhere = InstanceWithFailedTicks(
            instance,
            {
                "due_model": [now - timedelta(minutes=n) for n in (1, 2, 3)],
                "dropped_long_ago": [now - timedelta(days=3)],
            },
        )
        monitored = {one.name: one for one in ticking(elsewhere, repository)}

    assert "dropped_long_ago" not in monitored
    assert monitored["due_model"].every_s == 60
    assert monitored["due_model"].failures_in_a_row == 3
    assert "registry is down" in monitored["due_model"].error


@pytest.mark.parametrize(
    ("cron", "timezone", "longest_s"),
    [
        ("*/7 * * * *", None, 7 * 60),
        ("0 6 * * 3", "Asia/Seoul", 7 * 86400),
        ("0 0 1 * *", "UTC", 31 * 86400),
        (["0 6 * * *", "0 18 * * *"], None, 86400),
    ],
)
def test_a_schedules_interval_is_read_from_its_cron_expression(cron, timezone, longest_s):
    @dg.schedule(
        name="elsewhere", cron_schedule=cron, execution_timezone=timezone, target="*",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )  # fmt: skip
    def some_schedule():
        return None

    repository = SimpleNamespace(sensor_defs=[], schedule_defs=[some_schedule])
    with instance_for_test() as instance:
        assert [one.every_s for one in ticking(instance, repository)] == [longest_s]


def test_being_behind_is_sent_once_and_so_is_its_end(platform):
    came, collected = [], 0

    def sample_and_tick(arrived: int, published: int) -> list[tuple[str, str]]:
        """Half a minute: what arrived, what was published, a sample, and an evaluation of the alerts."""
        nonlocal came, collected
        came, collected = [*came, *[platform.now] * arrived][published:], collected + arrived
        now = platform.now
        sample = BacklogSample(now, now, 0, len(came), came[0] if came else None, 0, collected)
        limit = timedelta(seconds=platform.settings.alert_waiting_s)
        platform.ledger.record_backlog(follow(platform.ledger.backlog_samples(), sample, limit))
        return platform.tick()

    burst = [sample_and_tick(100, 0), *(sample_and_tick(0, 10) for _ in range(10))]
    assert [message for messages in burst for message in messages] == []
    messages = [message for _ in range(14) for message in sample_and_tick(10, 5)]
    assert sorted(messages) == [
        ("api", "Logs wait for their page: pages"), ("services", "Logs wait for their page: pages"),
    ]  # fmt: skip
    messages = [message for _ in range(10) for message in sample_and_tick(0, 20)]
    assert sorted(messages) == [
        ("api", "Recovered: Logs wait for their page: pages"),
        ("services", "Recovered: Logs wait for their page: pages"),
    ]


class TickStatus(Enum):
    """Values as in Dagster's enum, whose class is private."""

    FAILURE = "FAILURE"


class InstigatorStatus(Enum):
    """Values as in Dagster's enum, whose class is private."""

    DECLARED_IN_CODE = "DECLARED_IN_CODE"


class InstanceWithFailedTicks:
    """Dagster's instance with records of another location's sensors: only its daemon can write real ones."""

    def __init__(self, instance: dg.DagsterInstance, ticks: dict[str, list[datetime]]) -> None:
        self._instance, self._ticks = instance, ticks

    def all_instigator_state(self):
        ours = self._instance.all_instigator_state()
        return [*ours, *(
            SimpleNamespace(
                instigator_name=name, instigator_origin_id=name, selector_id=name,
                status=InstigatorStatus.DECLARED_IN_CODE, instigator_data=SimpleNamespace(min_interval=60),
            )
            for name in self._ticks
        )]  # fmt: skip

    def get_ticks(self, origin_id: str, selector_id: str, limit: int):
        if origin_id not in self._ticks:
            return self._instance.get_ticks(origin_id, selector_id, limit=limit)
        error = SimpleNamespace(message="the registry is down", cause=None)
        return [
            SimpleNamespace(status=TickStatus.FAILURE, timestamp=at.timestamp(), error=error)
            for at in self._ticks[origin_id][:limit]
        ]
