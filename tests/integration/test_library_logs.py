"""A process with ``LOSTARK_LOGS=stdout``: whatever logs, prints or fails in it, each line is JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

CODE = """
import logging, sys, threading, warnings
import uvicorn
from dagster._utils.log import configure_loggers, create_console_logger
from lostark_assets.observability.logs import bind_run, configure_logs, get_logger
from lostark_assets.settings import get_settings

configure_logs(get_settings(), sys.argv[1])
get_logger().info("started", source="demo")
import mlflow
logging.getLogger("mlflow.server").info("model %s", "loaded")
logging.getLogger("alembic.runtime").info("unimportant")
logging.getLogger("urllib3").warning("GET http://user:hunter2hunter2@host/")
logging.config.dictConfig({"version": 1, "root": {"level": "WARNING", "handlers": []}})
uvicorn.Config("none:app")
logging.getLogger("uvicorn.error").info("serving")
configure_loggers(formatter="colored")
with bind_run(run_id="r1", request_id="q1"):
    logging.getLogger("dagster.daemon").info("ticked")
create_console_logger("dagster", "DEBUG").error("repeated")
warnings.warn("old")
print("two\\nlines", "\\n  ", sep="")
print("of stderr", file=sys.stderr)
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("some").exception("failed")
thread = threading.Thread(target=lambda: {}["missing"], name="worker")
thread.start()
thread.join()
raise ValueError("password is " + "hunter2hunter2")
"""
URL = "postgresql://u:hunter2hunter2@host/db"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run the code as a service; what it writes."""
    home = tmp_path_factory.mktemp("home")

    def run(service: str, logs: str = "stdout") -> subprocess.CompletedProcess[str]:
        env = {
            **os.environ,
            "LOSTARK_HOME": str(home / logs),
            "LOSTARK_LOGS": logs,
            "LOSTARK_POSTGRES_URL": URL,
        }
        return subprocess.run(
            [sys.executable, "-c", CODE, service], env=env, capture_output=True, text=True, check=False
        )

    return run


def test_every_line_of_a_service_is_an_event_on_stdout(run):
    done = run("metrics")
    lines = [json.loads(line) for line in done.stdout.splitlines()]

    assert (done.returncode, done.stderr) == (1, "")
    assert all(line.keys() >= {"time", "level", "event", "service", "pid"} for line in lines)
    assert {line["service"] for line in lines} == {"metrics"}
    assert "hunter2" not in done.stdout
    assert [(line["event"], line["level"], line.get("logger")) for line in lines] == [
        ("started", "info", None),
        ("library_message", "info", "mlflow.server"),
        ("library_message", "warning", "urllib3"),
        ("library_message", "info", "uvicorn.error"),
        ("library_message", "info", "dagster.daemon"),
        ("library_message", "warning", "dagster"),
        ("output", "info", None),
        ("output", "info", None),
        ("output", "warning", None),
        ("library_message", "error", "some"),
        ("uncaught_exception", "critical", None),
        ("uncaught_exception", "critical", None),
    ]
    assert (lines[1]["message"], lines[6]["message"]) == ("model loaded", "two")
    assert (lines[4]["run_id"], lines[4]["request_id"]) == ("r1", "q1")
    assert "UserWarning: old" in lines[5]["message"]
    assert lines[9]["exception"].endswith("ZeroDivisionError: division by zero")
    assert (lines[10]["thread"], lines[10]["error"]) == ("worker", "KeyError")
    assert lines[11]["exception"].endswith("ValueError: password is [removed]")


def test_a_command_keeps_stdout_for_its_result(run):
    done = run("cli")

    assert done.stdout == "two\nlines\n  \n"
    written = [line for line in done.stderr.splitlines() if line != "of stderr"]
    assert {json.loads(line)["service"] for line in written} == {"cli"}


def test_with_files_nothing_of_a_library_is_changed(run):
    done = run("metrics", "files")

    assert "two\nlines" in done.stdout
    assert "INFO mlflow.server: model loaded" in done.stderr
    assert "Traceback" in done.stderr
    assert '"event": "started"' not in done.stdout + done.stderr


def test_the_variable_names_the_service_of_a_process_and_its_children(run, monkeypatch):
    monkeypatch.setenv("LOG_SERVICE", "code-lostark_ml")

    assert {json.loads(line)["service"] for line in run("dagster").stdout.splitlines()} == {"code-lostark_ml"}
