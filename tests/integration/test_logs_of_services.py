"""Every service's log lines on stdout: JSON with the same fields, from an upload's request to its run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from lostark_assets.database.postgres import embedded_postgres, short_private_dir
from lostark_assets.settings import get_settings
from lostark_platform.services.api import api_service
from lostark_platform.services.dagster import DagsterUi, code_locations, dagster_services, write_workspace
from lostark_platform.services.dagster_home import create_dagster_tables, prepare_dagster_home
from lostark_platform.services.mlflow import mlflow_service
from lostark_platform.services.supervisor import Service, _is_ready
from lostark_simulator.season import SeasonConfig, generate_fights
from lostark_simulator.upload_json import write_upload_json

REQUEST_ID = "from-the-gateway_1"
FIELDS = {"time", "level", "event", "service", "pid"}
LEVELS = {"info", "warning", "error", "critical"}
PASSWORD = "hunter2hunter2"
_SCRIPT = [sys.executable, "-m", "lostark_platform.services.console_script"]
_RUN = """query($id: String!) { runsOrError(filter: {tags: [{key: "lostark/request_id", value: $id}]}) {
  ... on Runs { results { runId status } } } }"""


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 120.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
    return found


class Platform:
    """Services as a container starts them, each with its stdout and stderr in one file."""

    def __init__(self, folder: Path, api: str, ui: DagsterUi, mlflow: str) -> None:
        self.folder, self.api, self.ui, self.mlflow = folder, api, ui, mlflow
        self.processes: list[subprocess.Popen[bytes]] = []
        self.run_id = ""

    def start(self, service: Service) -> None:
        env = {**os.environ, **service.env, "LOSTARK_LOGS": "stdout", "LOSTARK_BATTLE_LOG_TOKEN": PASSWORD}
        command = list(service.argv)
        if Path(command[0]).name == service.name:
            command = [*_SCRIPT, service.name, service.name, *command[1:]]
        with (self.folder / service.name).open("wb") as output:
            self.processes.append(
                subprocess.Popen(command, env=env, cwd=service.cwd, stdout=output, stderr=output)
            )

    def stop(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(60)

    def output(self, service: str) -> list[str]:
        return (self.folder / service).read_text(encoding="utf-8").splitlines()

    def lines(self, service: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output(service) if line.startswith("{")]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """The platform after one upload was ingested, stopped again."""
    folder = tmp_path_factory.mktemp("logs")
    mlflow_port = free_port()
    settings = get_settings(
        home=folder / "home", api_port=free_port(), open_uploads=True, sources=(str(folder / "none"),)
    )
    (folder / "none").mkdir()
    ui = DagsterUi("127.0.0.1", free_port())
    with ExitStack() as stack:
        databases = stack.enter_context(embedded_postgres(settings))
        variables = prepare_dagster_home(settings, databases)
        variables |= {"LOSTARK_SOURCES": str(folder / "none"), "LOSTARK_OPEN_UPLOADS": "true"}
        create_dagster_tables(databases)
        sockets = short_private_dir(f"lostark-logs-{os.getpid()}")
        stack.callback(shutil.rmtree, sockets, ignore_errors=True)
        locations = code_locations(sockets)
        workspace = write_workspace(settings, {place.name: place.address for place in locations})
        services = [
            *dagster_services(ui, variables, locations, workspace),
            api_service(settings, variables | {"LOSTARK_DAGSTER_URL": ui.url}),
            mlflow_service(settings, databases.mlflow or "", mlflow_port),
        ]
        output = folder / "output"
        output.mkdir()
        platform = Platform(output, settings.api_url, ui, f"http://127.0.0.1:{mlflow_port}")
        stack.callback(platform.stop)
        for service in services:
            platform.start(service)
        for service in services:
            wait_for(partial(_is_ready, service), f"{service.name} is not ready")
        use(platform, folder)
        time.sleep(2)
    return platform


def use(platform: Platform, folder: Path) -> None:
    """Upload a log with a request id, wait for its run, and request a page of each service."""
    config = SeasonConfig(encounters=1, seed=5, days=1, hits_per_player=20, dirt=False)
    [fight, *_] = generate_fights(config)
    content = write_upload_json(folder / "fight.json", fight).read_bytes()
    with httpx.Client(trust_env=False, timeout=30) as client:
        uploaded = client.post(
            f"{platform.api}/v1/battle-logs?name=fight.json",
            content=content,
            headers={"X-Request-ID": REQUEST_ID},
        )
        assert uploaded.status_code == 202, uploaded.text
        assert uploaded.headers["x-request-id"] == REQUEST_ID
        client.get(f"{platform.api}/v1/characters/KR/Namelike?after=Secretlike")
        client.get(f"{platform.mlflow}/api/2.0/mlflow/experiments/get?experiment_id=0")

        def find_run() -> str | None:
            asked = {"query": _RUN, "variables": {"id": REQUEST_ID}}
            runs = client.post(f"{platform.ui.url}/graphql", json=asked).json()["data"]["runsOrError"]
            return next((run["runId"] for run in runs["results"] if run["status"] == "SUCCESS"), None)

        platform.run_id = wait_for(find_run, "no run has the request's id and succeeded")


SERVICES = ("api", "code-lostark_assets", "code-lostark_ml", "dagster-webserver", "dagster-daemon", "mlflow")


@pytest.mark.parametrize("service", SERVICES)
def test_every_line_of_a_service_is_json_with_the_same_fields(platform, service):
    output = platform.output(service)

    assert output
    assert [line for line in output if not line.startswith("{")] == []
    for line in map(json.loads, output):
        assert line.keys() >= FIELDS, line
        assert line["service"] == service
        assert line["level"] in LEVELS
        assert line["time"].endswith("Z")
        assert line["event"] != "library_message" or line["logger"]
    assert PASSWORD not in "".join(output)


def test_the_upload_is_followed_from_the_request_to_the_lines_of_its_run(platform):
    of_request = [line for line in platform.lines("api") if line.get("request_id") == REQUEST_ID]
    of_run = [line for line in platform.lines("code-lostark_assets") if line.get("run_id") == platform.run_id]

    assert [line["event"] for line in of_request] == ["upload_received", "request"]
    assert (of_request[1]["route"], of_request[1]["status"]) == ("/v1/battle-logs", 202)
    assert {line["request_id"] for line in of_run} == {REQUEST_ID}
    events = [line["event"] for line in of_run]
    assert (events[0], events[-1]) == ("run_started", "run_succeeded")
    assert "upload_collected" in events


def test_names_in_paths_and_queries_are_in_no_line(platform):
    text = "\n".join(platform.output("api"))

    assert '"route": "/v1/characters/{region}/{player_name}"' in text
    assert "Namelike" not in text
    assert "Secretlike" not in text
