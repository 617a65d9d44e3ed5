"""``lostark simulate serve`` as a process: it prints its address, serves, stops and resumes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import httpx
import pytest
from typer.testing import CliRunner

from lostark_assets.contracts.battle_log_api import LIST_PATH
from lostark_simulator.mock_server.listening import listen

COMMAND = [sys.executable, "-c", "from lostark_platform.cli.app import app; app()", "simulate", "serve"]
FEW = ["--history", "2", "--every", "0", "--hits-per-player", "20", "--no-dirt"]
_START_LIMIT_S = 60


def start(home, *options):
    """A process that serves, and its address from the first line of its output."""
    process = subprocess.Popen(
        [*COMMAND, *FEW, *options],
        env={**os.environ, "LOSTARK_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, process.stdout.readline().strip()


def stop(process, how=signal.SIGTERM):
    process.send_signal(how)
    return process.communicate(timeout=_START_LIMIT_S)[1]


def test_it_serves_stops_and_resumes(tmp_path):
    process, url = start(tmp_path, "--port", "0")
    try:
        before = httpx.get(url + LIST_PATH).json()
        grown = httpx.post(f"{url}/mock-server/grow", json={"fights": 1}).json()["logs"]
    finally:
        output = stop(process)
    second, url = start(tmp_path, "--port", "0")
    try:
        after = httpx.get(url + LIST_PATH, params={"after": before["next_cursor"]}).json()
        is_demo_data = httpx.get(f"{url}/mock-server").json()["is_demo_data"]
    finally:
        stop(second, signal.SIGINT)

    assert len(before["logs"]) >= 2
    assert after["logs"] == grown
    assert is_demo_data is True
    assert "demo data" in output
    assert f"{LIST_PATH}" in output
    assert process.returncode == second.returncode == 0
    events = [json.loads(line) for line in (tmp_path / "logs" / "events.jsonl").read_text().splitlines()]
    assert [(one["event"], one["logs"]) for one in events if one["service"] == "mock-server"] == [
        ("mock_server_started", len(before["logs"])),
        ("mock_server_stopped", len(before["logs"]) + len(grown)),
        ("mock_server_started", len(before["logs"]) + len(grown)),
        ("mock_server_stopped", len(before["logs"]) + len(grown)),
    ]
    assert (tmp_path / "state" / "mock_server" / "season.jsonl").exists()


def test_a_given_port_in_use_is_an_error_with_advice(tmp_path):
    taken = listen()
    port = taken.getsockname()[1]
    process, url = start(tmp_path, "--port", str(port))
    output = process.communicate(timeout=_START_LIMIT_S)[1]
    taken.close()

    assert (process.returncode, url) == (1, "")
    assert f"127.0.0.1:{port}: expected a free port, found none" in output
    assert "--port" in output
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simulate", "somewhere", "--port", "1"], "need 'serve'"),
        (["simulate", "serve", "--fault", "404", "--faults", "0.1"], "reordered_page"),
        (["simulate", "serve", "--faults", "2"], "less than or equal to 1"),
    ],
)
def test_invalid_options_are_usage_errors(monkeypatch, tmp_path, arguments, message):
    from lostark_platform.cli.app import app

    monkeypatch.setenv("LOSTARK_HOME", str(tmp_path))
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 2
    assert message in " ".join(re.sub("[│╭╮╰╯─]", " ", result.output).split())
    assert list(tmp_path.iterdir()) == []
