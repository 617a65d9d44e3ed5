"""A real Prometheus and Alertmanager on a running platform: trouble reaches the webhook, and so does its end.

The rules are tested by promtool; here their waiting times are cut, so that minutes become seconds.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
import yaml
from filelock import FileLock

from lostark_assets.settings import get_settings, project_root
from lostark_platform.services.dagster_home import dagster_instance
from lostark_simulator.season import SeasonConfig, generate_fights
from lostark_simulator.upload_json import write_upload_json
from tests.deploy.waiting import free_port, wait_for
from tests.pure.test_prometheus import GENERATOR

DEPLOY = project_root() / "deploy"
LAKE_BYTES = 3 << 30
"""More than the two gigabytes below which a disk counts as nearly full."""
_LOSTARK = "from lostark_platform.cli.app import app; app()"
pytestmark = [
    pytest.mark.deploy,
    pytest.mark.skipif(
        not all(map(shutil.which, ("prometheus", "prometheus-alertmanager"))),
        reason="needs the programs prometheus and prometheus-alertmanager",
    ),
]


def make_log(seed: int = 5) -> bytes:
    config = SeasonConfig(encounters=1, seed=seed, days=1, hits_per_player=20, dirt=False)
    [fight, *_] = generate_fights(config)
    with tempfile.TemporaryDirectory() as folder:
        return write_upload_json(Path(folder) / "fight.json", fight).read_bytes()


@contextmanager
def running(command: list[str], log: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **env}, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT if "-c" in command else signal.SIGTERM)
            process.wait(60)


class Webhook:
    """Receives Alertmanager's messages."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.received += [alert | {"receiver": body["receiver"]} for alert in body["alerts"]]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Silence."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def alerts(self, name: str, status: str, **labels: str) -> list[dict[str, Any]]:
        return [
            one
            for one in self.received
            if one["labels"]["alertname"] == name
            and one["status"] == status
            and labels.items() <= one["labels"].items()
        ]


def write_prometheus(folder: Path, targets: dict[str, int], alertmanager: int) -> Path:
    """The repository's configuration with other addresses and short times."""
    text = (DEPLOY / "prometheus/prometheus.yml").read_text()
    config = yaml.safe_load(text.replace("15s", "1s"))
    assert {one["job_name"] for one in config["scrape_configs"]} == set(targets)
    for one in config["scrape_configs"]:
        one["static_configs"][0]["targets"] = [f"127.0.0.1:{targets[one['job_name']]}"]
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{alertmanager}"]
    (folder / "rules").mkdir()
    for file in (DEPLOY / "prometheus/rules").glob("*.yml"):
        (folder / "rules" / file.name).write_text(re.sub(r"for: \d+[mh]", "for: 2s", file.read_text()))
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def write_alertmanager(folder: Path, webhook: Webhook) -> Path:
    """The repository's configuration with short times, and addresses instead of the files that hold them."""
    config = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text())
    config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    for receiver in config["receivers"]:
        for hook in receiver.get("webhook_configs", ()):
            hook["url"] = f"http://127.0.0.1:{webhook.server.server_port}/{Path(hook.pop('url_file')).name}"
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def ports() -> dict[str, int]:
    return {
        name: free_port() for name in ("api", "platform", "prometheus", "alertmanager", "dagster", "mlflow")
    }


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    webhook = Webhook()
    yield webhook
    webhook.server.shutdown()


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Path]:
    """The folder of the lake: a file system of its own, of 3 GB, where this may be mounted."""
    folder = tmp_path / "lake"
    folder.mkdir()
    image = tmp_path / "lake.img"
    with image.open("wb") as file:
        file.truncate(LAKE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, folder], check=False, capture_output=True)
    if mounted.returncode:
        yield folder
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def monitored(tmp_path: Path, lake: Path, ports: dict[str, int], webhook: Webhook) -> Iterator[Path]:
    """A platform with a source that nothing listens at, and what watches it; the data folder."""
    home, targets = tmp_path / "home", {name: ports[name] for name in ("api", "platform", "prometheus")}
    env = {
        "LOSTARK_HOME": str(home),
        "LOSTARK_LAKE_URL": str(lake),
        "LOSTARK_ALERT_WAITING_S": "5",
        "LOSTARK_BATTLE_LOG_URLS": f"nothing=http://127.0.0.1:{free_port()}",
        "LOSTARK_API_PORT": str(ports["api"]),
        "LOSTARK_METRICS_PORT": str(ports["platform"]),
        "LOSTARK_DAGSTER_PORT": str(ports["dagster"]),
        "LOSTARK_MLFLOW_PORT": str(ports["mlflow"]),
    }
    alertmanager = [
        "prometheus-alertmanager", f"--config.file={write_alertmanager(tmp_path, webhook)}",
        f"--web.listen-address=127.0.0.1:{ports['alertmanager']}", "--cluster.listen-address=",
        f"--storage.path={tmp_path / 'alertmanager'}",
    ]  # fmt: skip
    prometheus = [
        "prometheus", f"--config.file={write_prometheus(tmp_path, targets, ports['alertmanager'])}",
        f"--web.listen-address=127.0.0.1:{ports['prometheus']}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
    ]  # fmt: skip
    log = tmp_path / "up.log"
    with running([sys.executable, "-c", _LOSTARK, "up"], log, **env) as up:

        def is_ready() -> bool:
            assert up.poll() is None, log.read_text()
            with httpx.Client(trust_env=False) as client:
                try:
                    return client.get(f"http://127.0.0.1:{ports['platform']}/metrics").is_success
                except httpx.TransportError:
                    return False

        wait_for(is_ready, 240)
        with (
            running(alertmanager, tmp_path / "alertmanager.log"),
            running(prometheus, tmp_path / "prometheus.log"),
        ):
            yield home


def upload(ports: dict[str, int], seed: int) -> Callable[[], bool]:
    """Post a log; the returned function tells whether its fight is published."""
    api = f"http://127.0.0.1:{ports['api']}/v1/battle-logs"
    sent = httpx.post(f"{api}?name={seed}.json", content=make_log(seed), trust_env=False, timeout=30)
    assert sent.status_code == 202, sent.text
    ticket = f"{api}/tickets/{sent.json()['ticket']}"
    return lambda: httpx.get(ticket, trust_env=False).json()["state"] == "published"


def build_check_job(*, passed: bool) -> dg.JobDefinition:
    """A job in which a check of the platform passes or fails."""

    @dg.asset_check(asset=dg.AssetKey("core_encounters"), name="contract_holds")
    def contract_holds() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=passed)

    job = dg.define_asset_job("planted", selection=dg.AssetSelection.checks(contract_holds))
    return dg.Definitions(asset_checks=[contract_holds], jobs=[job]).resolve_job_def("planted")


def query(ports: dict[str, int], expression: str) -> list[dict[str, Any]]:
    url = f"http://127.0.0.1:{ports['prometheus']}/api/v1/query"
    try:
        answer = httpx.get(url, params={"query": expression}, trust_env=False)
    except httpx.TransportError:
        return []
    # While it starts it answers 503.
    assert answer.status_code in {200, 503}, answer.text
    return answer.json()["data"]["result"] if answer.is_success else []


def test_trouble_reaches_the_webhook_and_so_does_its_end(monitored, ports, webhook) -> None:
    wait_for(lambda: len(query(ports, "up == 1")) == 3)
    assert wait_for(lambda: webhook.alerts("Watchdog", "firing"))[0]["receiver"] == "watchdog"
    failing = wait_for(lambda: webhook.alerts("SourceFailing", "firing", source="nothing"))
    assert failing[0]["receiver"] == "operators"
    assert webhook.alerts("TargetDown", "firing") == []

    [api] = [one for one in json.loads((monitored / "services.json").read_text()) if one["name"] == "api"]
    os.kill(api["pid"], signal.SIGSTOP)
    try:
        wait_for(lambda: webhook.alerts("TargetDown", "firing", job="api"))
    finally:
        os.kill(api["pid"], signal.SIGCONT)
    wait_for(lambda: webhook.alerts("TargetDown", "resolved", job="api"))

    [metrics] = [
        one for one in json.loads((monitored / "services.json").read_text()) if one["name"] == "metrics"
    ]
    os.kill(metrics["pid"], signal.SIGKILL)
    wait_for(lambda: webhook.alerts("TargetDown", "firing", job="platform"))
    # The supervisor starts it again.
    wait_for(lambda: webhook.alerts("TargetDown", "resolved", job="platform"))
    wait_for(lambda: len(query(ports, "lostark_exporter_part_up == 1")) == 7)


def test_a_full_disk_a_backlog_and_a_failing_check_are_reported_and_end(
    monitored, lake, ports, webhook
) -> None:
    settings = get_settings(home=monitored)
    wait_for(upload(ports, 5))

    # Another writer holds the lock of the uploads, and hangs.
    with FileLock(lake / ".locks/raw_battle_logs-upload%3Ajson.lock"):
        waiting = upload(ports, 6)
        wait_for(lambda: webhook.alerts("FallingBehind", "firing"), 180)
        assert not waiting()
    wait_for(waiting)
    wait_for(lambda: webhook.alerts("FallingBehind", "resolved"), 180)

    with dagster_instance(settings) as instance:
        for passed, status in ((False, "firing"), (True, "resolved")):
            build_check_job(passed=passed).execute_in_process(instance=instance)
            wait_for(lambda status=status: webhook.alerts("AssetCheckFails", status, check="contract_holds"))

    if not os.path.ismount(lake):
        pytest.skip("a file system can't be mounted here: the full disk was not tried")
    filling = lake / "filling"
    subprocess.run(["fallocate", "--length", str(shutil.disk_usage(lake).free - 8192), filling], check=True)
    late = upload(ports, 7)
    wait_for(lambda: webhook.alerts("DiskNearlyFull", "firing"))
    events = monitored / "logs/events.jsonl"
    wait_for(lambda: "No space left on device" in events.read_text())
    # What is published already is still served, and the upload is kept.
    assert httpx.get(f"http://127.0.0.1:{ports['api']}/v1/fights", trust_env=False).json()["fights"]
    assert not late()
    filling.unlink()
    wait_for(lambda: webhook.alerts("DiskNearlyFull", "resolved"))
    wait_for(late, 600)


def test_every_panel_of_every_dashboard_has_data(monitored, ports) -> None:
    wait_for(lambda: len(query(ports, "up == 1")) == 3)
    # A fight on its page, answers of the API, and rates of both.
    api = f"http://127.0.0.1:{ports['api']}"
    upload = httpx.post(
        f"{api}/v1/battle-logs?name=fight.json", content=make_log(), trust_env=False, timeout=30
    )
    assert upload.status_code == 202, upload.text
    wait_for(lambda: httpx.get(f"{api}/v1/fights", trust_env=False).json()["fights"])
    missing = {
        (dashboard.title, panel.title, legend): expression
        for dashboard in GENERATOR.DASHBOARDS
        if dashboard.source == GENERATOR.PROMETHEUS
        for panel in dashboard.panels
        if not panel.empty_when
        for legend, expression in panel.queries.items()
    }

    def is_complete() -> bool:
        httpx.get(f"{api}/v1/gates", trust_env=False)
        for key in [key for key, expression in missing.items() if query(ports, expression)]:
            del missing[key]
        return not missing

    try:
        wait_for(is_complete, 150)
    except AssertionError:
        pytest.fail(f"no data: {sorted(missing)}")
