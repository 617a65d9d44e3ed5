"""One JSON line per event: complete lines from several processes, bound ids, rotation, no secrets."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from lostark_assets.automation.requests import REQUEST_ID_TAG
from lostark_assets.dagster.event_log_handler import DagsterEventsHandler
from lostark_assets.observability import logs
from lostark_assets.observability.logs import (
    EventsFile,
    LineStream,
    bind_run,
    configure_logs,
    get_logger,
    redacted,
)
from lostark_assets.observability.redact import REMOVED, Redactor, list_secrets
from lostark_assets.settings import Settings, get_settings

WRITER = """
import sys
from pathlib import Path
from lostark_assets.observability.logs import EventsFile
file = EventsFile(Path(sys.argv[1]), max_bytes=40_000, kept=9)
for number in range(500):
    file.write('{"who": "%s", "number": %d, "filler": "%s"}' % (sys.argv[2], number, "x" * 200))
"""


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch):
    monkeypatch.setattr(logs._OUTPUT, "file", None)
    monkeypatch.setattr(logs._OUTPUT, "redactor", Redactor())
    monkeypatch.setattr(logs._OUTPUT, "service", None)
    monkeypatch.setattr(logs._OUTPUT, "stderr", False)
    monkeypatch.setattr(logs._OUTPUT, "run_ids", {})


def lines(settings: Settings) -> list[dict]:
    text = (settings.logs_dir / "events.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_fact_is_one_line_with_time_level_name_service_and_ids(tmp_path):
    settings = get_settings(home=tmp_path)
    configure_logs(settings, "cli")

    with bind_run(run_id="r1", asset="raw_battle_logs", source=None):
        get_logger().info("collection_done", source="demo", new=3)
    get_logger().warning("two\nlines", who="한국어", nan=float("nan"))

    first, second = lines(settings)
    assert first["time"].endswith("Z")
    assert first.pop("pid") > 0
    assert {k: v for k, v in first.items() if k != "time"} == {
        "level": "info", "event": "collection_done", "service": "cli",
        "run_id": "r1", "asset": "raw_battle_logs", "source": "demo", "new": 3,
    }  # fmt: skip
    assert (second["event"], second["who"], second["nan"]) == ("two\nlines", "한국어", "nan")
    assert "run_id" not in second


def test_nothing_is_created_before_the_first_fact(tmp_path):
    configure_logs(get_settings(home=tmp_path / "home"), "cli")

    assert not (tmp_path / "home").exists()


def test_unconfigured_facts_go_to_the_standard_logger(caplog):
    with caplog.at_level(logging.INFO, logger="lostark"):
        get_logger().warning("odd", token="abc")

    assert caplog.records[0].levelno == logging.WARNING
    assert json.loads(caplog.records[0].getMessage())["token"] == REMOVED


def test_an_error_is_written_with_its_traceback_on_one_line(tmp_path):
    settings = get_settings(home=tmp_path)
    configure_logs(settings, "cli")
    try:
        int("http://user:hunter2@host/ is down")
    except ValueError:
        get_logger().exception("failed")

    (line,) = lines(settings)
    assert line["level"] == "error"
    assert "ValueError" in line["exception"]
    assert "hunter2" not in json.dumps(line)


def test_services_also_write_to_stderr(tmp_path, capsys):
    configure_logs(get_settings(home=tmp_path), "mock-server", stderr=True)
    get_logger().info("started")

    captured = capsys.readouterr()
    assert json.loads(captured.err)["service"] == "mock-server"
    assert captured.out == ""


def test_processes_that_write_at_once_tear_and_lose_no_line_while_files_rotate(tmp_path):
    path = tmp_path / "events.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in ("one", "two")]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]

    files = list(tmp_path.glob("events.jsonl*"))
    written = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert len(files) > 3
    assert all(file.stat().st_size <= 41_000 for file in files)
    assert sorted((w["who"], w["number"]) for w in written) == [
        (who, number) for who in ("one", "two") for number in range(500)
    ]


def test_only_so_many_files_are_kept(tmp_path):
    file = EventsFile(tmp_path / "events.jsonl", max_bytes=100, kept=2)
    for number in range(20):
        file.write(f"{number:060d}")

    assert sorted(path.name for path in tmp_path.glob("events.jsonl*")) == [
        "events.jsonl", "events.jsonl.1", "events.jsonl.2",
    ]  # fmt: skip
    assert int((tmp_path / "events.jsonl").read_text()) == 19


def test_a_log_that_cannot_be_written_stops_nothing_and_is_said_once(tmp_path, capsys):
    (tmp_path / "taken").write_text("a file where the folder should be")
    file = EventsFile(tmp_path / "taken/events.jsonl")
    file.write("{}")
    file.write("{}")

    assert capsys.readouterr().err.count("can't be written") == 1


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer eyJhbGciOi.J9.sig",
        "{'authorization': 'bearer abcdef123456'}",
        "authorization=S3CRETS3CRET",
        "POST https://discord.com/api/webhooks/123456/S3CRETS3CRET failed",
        "https://hooks.slack.com/services/T0/B0/S3CRETS3CRET",
        "smtp://me:S3CRETS3CRET@mail.example:587",
    ],
)
def test_what_looks_like_a_secret_is_removed(text):
    cleaned = Redactor().text(text)

    assert REMOVED in cleaned
    assert not any(word in cleaned for word in ("S3CRET", "eyJhbGci", "abcdef123456"))


def test_known_secrets_go_in_every_spelling_and_depth():
    redactor = Redactor({"p@ss/word", "https://example.org/hooks/abcdefghijklmnop", "abc"})

    assert redactor.text("p%40ss%2Fword, p@ss/word") == f"{REMOVED}, {REMOVED}"
    assert "abcdefghijklmnop" not in redactor.text("cut: /hooks/abcdefghijklmnop?x")
    assert redactor.text("abc") == REMOVED
    assert redactor.text("abcd stays: too short to look for inside words").startswith("abcd")
    assert redactor.value({"a": [{"b": ("p@ss/word",)}], "api_key": "x", "tokens": 3}) == {
        "a": [{"b": [REMOVED]}], "api_key": REMOVED, "tokens": 3,
    }  # fmt: skip
    assert "word" not in repr(redactor)
    assert redactor.value(SecretStr("zzz")) == REMOVED


def test_every_secret_setting_is_known_lists_too(tmp_path):
    settings = get_settings(home=tmp_path, postgres_url="postgresql://u:hunter2hunter2@host/db")
    configure_logs(settings, "cli")

    assert "hunter2hunter2" in "".join(list_secrets(settings))
    assert redacted("password is hunter2hunter2") == f"password is {REMOVED}"


def test_libraries_that_log_addresses_are_silenced(tmp_path):
    logging.getLogger("httpx").setLevel(logging.DEBUG)
    configure_logs(get_settings(home=tmp_path), "cli")

    assert logging.getLogger("httpx").level == logging.WARNING


def build_record(event, message="said", level=logging.INFO):
    record = logging.LogRecord("dagster", level, "", 0, message, (), None)
    record.dagster_meta = {
        "run_id": "r1", "job_name": "fight_days", "step_key": "core_tables",
        "dagster_event": event, "orig_message": message,
    }  # fmt: skip
    return record


def dagster_event(kind, **data):
    asset_key = SimpleNamespace(to_user_string=lambda: "core_players")
    return SimpleNamespace(
        event_type_value=kind, asset_key=asset_key, event_specific_data=SimpleNamespace(**data)
    )


def test_what_dagster_says_in_a_run_becomes_facts_with_run_step_and_asset(tmp_path: Path):
    settings = get_settings(home=tmp_path)
    configure_logs(settings, "dagster")
    handler = DagsterEventsHandler()
    inner = SimpleNamespace(message="ContractViolated: core_players: 1 rule broken\n", cause=None)
    outer = SimpleNamespace(message="DagsterExecutionStepExecutionError", cause=inner)
    for record in (
        build_record(dagster_event("ASSET_MATERIALIZATION"), level=logging.DEBUG),
        build_record(dagster_event("ASSET_MATERIALIZATION"), level=logging.DEBUG),
        build_record(None, "a detail", level=logging.DEBUG),
        build_record(dagster_event("HANDLED_OUTPUT")),
        build_record(dagster_event("STEP_SUCCESS", duration_ms=1234.5)),
        build_record(dagster_event("STEP_FAILURE", error=outer), level=logging.ERROR),
        build_record(None, "cleaned 3 of 9 logs"),
    ):
        handler.emit(record)

    found = lines(settings)
    assert [line["event"] for line in found] == [
        "asset_materialized", "step_succeeded", "step_failed", "run_message",
    ]  # fmt: skip
    assert all(line["run_id"] == "r1" and line["job"] == "fight_days" for line in found)
    assert found[0]["asset"] == "core_players"
    assert found[1]["duration_s"] == 1.234
    assert found[2]["error"] == "ContractViolated: core_players: 1 rule broken"


def test_while_a_run_is_under_way_every_event_of_the_process_has_its_ids(tmp_path: Path):
    settings = get_settings(home=tmp_path)
    configure_logs(settings, "code-lostark_assets")
    handler = DagsterEventsHandler()
    tags = {REQUEST_ID_TAG: "requesting"}

    get_logger().info("before")
    for kind, written in (("PIPELINE_START", "during"), ("PIPELINE_FAILURE", "after")):
        record = build_record(dagster_event(kind, error=None))
        record.dagster_meta["job_tags"] = tags
        handler.emit(record)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(get_logger().info, written).result()
        with bind_run(request_id="of an upload"):
            get_logger().info("upload_collected")

    ids = [(line["event"], line.get("run_id"), line.get("request_id")) for line in lines(settings)]
    assert ids == [
        ("before", None, None),
        ("run_started", "r1", "requesting"),
        ("during", "r1", "requesting"),
        ("upload_collected", "r1", "of an upload"),
        ("run_failed", "r1", "requesting"),
        ("after", None, None),
        ("upload_collected", None, "of an upload"),
    ]


def test_the_end_of_a_long_traceback_is_kept(tmp_path):
    settings = get_settings(home=tmp_path)
    configure_logs(settings, "cli")
    error = ValueError("x" * 9_000 + " the end")
    get_logger().error("failed", exc_info=error, detail="y" * 9_000)

    (line,) = lines(settings)
    assert line["exception"].endswith(" the end")
    assert (len(line["exception"]), len(line["detail"])) == (8_001, 8_001)
    assert line["detail"].endswith("y…")


def test_a_line_reaches_stdout_whole_although_dagster_redirects_it(tmp_path):
    code = """
import os
from lostark_assets.observability.logs import LineStream
stream = LineStream(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
stream.write("x" * 200_000)
stream.write("한국어 \\ud800")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)

    assert done.stdout.decode().splitlines() == ["x" * 200_000, "한국어 \\ud800"]


def test_a_reader_that_is_gone_stops_nothing():
    read, write = os.pipe()
    stream = LineStream(write)
    os.close(read)
    os.close(write)

    stream.write("lost")
