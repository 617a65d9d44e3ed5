"""``lostark`` from a terminal and from scripts: input, output, exit codes."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lostark_assets.lake.tables import open_lake
from lostark_assets.settings import get_settings
from lostark_platform.cli.app import app
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights

LOCKER = """
    import sqlite3, sys, time
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    print("locked", flush=True)
    time.sleep(600)
"""
HARMLESS_UPLOAD = {"entities": {}, "fightStart": 1_790_000_000_000}


def write_season(path: Path, *, seed: int, dirt: bool) -> int:
    config = SeasonConfig(
        encounters=12, seed=seed, start=date(2026, 9, 2), days=3, hits_per_player=20, dirt=dirt
    )
    return write_encounters_db(path, generate_fights(config)).encounters


@pytest.fixture(scope="module")
def seasons(tmp_path_factory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("seasons")
    counts = {
        name: write_season(folder / f"{name}.db", seed=3, dirt=name == "dirty") for name in ("clean", "dirty")
    }
    return {"folder": folder, **counts}


@pytest.fixture
def clean_db(seasons, tmp_path) -> Path:
    return Path(shutil.copy(seasons["folder"] / "clean.db", tmp_path / "clean.db"))


@pytest.fixture
def dirty_db(seasons, tmp_path) -> Path:
    return Path(shutil.copy(seasons["folder"] / "dirty.db", tmp_path / "dirty.db"))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    for name in [name for name in os.environ if name.startswith("LOSTARK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LOSTARK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def lostark(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.stdout


def ingest(*paths: Path, code: int = 0) -> dict[str, Any]:
    return json.loads(lostark("ingest", *paths, "--json", code=code))


def raw_rows() -> list[tuple[str, str]]:
    rows = open_lake(get_settings()).read("raw_battle_logs", columns=["log_id", "content_sha256"])
    return sorted(zip(*(column.to_pylist() for column in rows.columns), strict=True))


def run_lostark(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from lostark_platform.cli.app import app; app()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_process_exits_with_0_and_prints_exactly_one_document(clean_db, seasons):
    first = run_lostark("ingest", clean_db, "--json")
    sql = run_lostark("sql", "select count(*) as logs from raw_battle_logs", "--json")

    assert (first.returncode, sql.returncode) == (0, 0), first.stderr + sql.stderr
    [entry] = json.loads(first.stdout)["paths"]
    assert (entry["format"], entry["found"], entry["new"], entry["known"]) == (
        "loa_logs_db", seasons["clean"], seasons["clean"], 0,
    )  # fmt: skip
    assert json.loads(sql.stdout) == [{"logs": seasons["clean"]}]
    assert "LOA Logs encounters.db" in first.stderr


def test_a_failing_process_exits_with_1_or_2_without_a_traceback(clean_db, tmp_path):
    refused = run_lostark("ingest", tmp_path / "nowhere.db", clean_db, "--json", "--no-check")
    wrong = run_lostark("ingest", "--no-such-option")
    query = run_lostark("sql", "selec 1")

    assert [refused.returncode, wrong.returncode, query.returncode] == [1, 2, 2]
    assert "nothing there" in refused.stderr
    assert json.loads(refused.stdout)["totals"]["errors"] == 1
    assert "syntax error" in query.stderr
    assert "core_hits" in query.stderr
    assert "Traceback" not in refused.stderr + wrong.stderr + query.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--raid", "Echidn"], "Nearest: Echidna"),
        (["--raid", "Echidna", "--gate", "G7"], "which means Echidna G1, Echidna G2; found 'G7'"),
        (["--gate", "G1"], "expected --raid beside it"),
        (["--difficulty", "Nope"], "expected one of Solo"),
        (["--region", "kr"], "expected capitals such as KR"),
    ],
)
def test_invalid_options_are_refused_before_anything_is_read(clean_db, arguments, message):
    result = CliRunner().invoke(app, ["ingest", str(clean_db), *arguments])

    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert raw_rows() == []


def test_options_for_player_tables_are_reported_as_ignored_for_logs(clean_db, seasons):
    options = ["--raid", "에키드나", "--gate", "1관문", "--difficulty", "하드", "--region", "EUC"]
    result = CliRunner().invoke(app, ["ingest", str(clean_db), *options, "--no-check"])

    assert result.exit_code == 0
    message = " ".join(result.stderr.split())
    assert "--raid, --gate, --difficulty, --region ignored: the file is not a player table" in message
    assert len(raw_rows()) == seasons["clean"]


def test_an_invalid_setting_is_a_usage_error(monkeypatch, clean_db):
    monkeypatch.setenv("LOSTARK_BATCH_BYTES", "many")

    result = CliRunner().invoke(app, ["ingest", str(clean_db)])

    assert result.exit_code == 2
    assert "LOSTARK_BATCH_BYTES" in result.stderr


def test_refused_logs_are_counted_by_reason_before_cleaning(dirty_db, seasons):
    done = ingest(dirty_db, code=1)

    truth = sqlite3.connect(dirty_db).execute("select count(*) from encounter").fetchone()[0]
    assert done["paths"][0]["new"] == truth == seasons["dirty"]
    assert done["totals"]["quarantined"].get("invalid_json") == 1
    assert done["run"] is None
    assert ingest(dirty_db)["totals"]["quarantined"] == {}


def test_repeated_ingests_in_another_order_or_from_a_copy_change_nothing(clean_db, dirty_db, tmp_path):
    ingest(clean_db, dirty_db, code=1)
    before = raw_rows()
    folder = tmp_path / "copies"
    folder.mkdir()
    shutil.copy(clean_db, folder / "encounters.db")

    second = ingest(dirty_db, clean_db, folder)

    assert second["totals"]["new"] == 0
    assert second["totals"]["known"] == second["totals"]["found"]
    assert raw_rows() == before


def test_the_text_output_has_format_counts_and_reasons(dirty_db, tmp_path):
    (dirty_db.parent / "logs").mkdir()
    shutil.copy(dirty_db, tmp_path / "logs/encounters.db")
    (tmp_path / "logs/readme.txt").write_text("not a log")

    text = lostark("ingest", tmp_path / "logs", code=1)

    for expected in ("LOA Logs encounters.db", "invalid_json", "readme.txt", "skipped"):
        assert expected in text


def test_a_folder_without_battle_logs_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()

    done = ingest(tmp_path / "empty", code=1)

    assert "folder without any" in done["paths"][0]["error"]


def bad_inputs(folder: Path, good: Path) -> dict[str, Path]:
    """One file of each invalid kind."""
    bad = {
        name: folder / name
        for name in ("text.db", "empty.db", "other.db", "half.db", "bomb.json", "bomb.json.gz")
    }
    bad["text.db"].write_text("hello")
    bad["empty.db"].touch()
    other = sqlite3.connect(bad["other.db"])
    other.execute("create table places (id integer)")
    other.close()
    content = good.read_bytes()
    bad["half.db"].write_bytes(content[: len(content) // 2])
    bad["bomb.json"].write_text('{"entities":' + "[" * 300_000)
    spaces = json.dumps(HARMLESS_UPLOAD)[:-1].encode() + b" " * (8 << 20) + b"}"
    bad["bomb.json.gz"].write_bytes(gzip.compress(spaces))
    bad["missing"] = folder / "missing.db"
    return bad


def test_bad_input_is_one_error_or_quarantine_entry_and_the_rest_is_ingested(
    tmp_path, clean_db, seasons, monkeypatch
):
    monkeypatch.setenv("LOSTARK_MAX_PART_BYTES", "4MiB")
    bad = bad_inputs(tmp_path, clean_db)

    done = ingest(*bad.values(), clean_db, code=1)

    by_name = {Path(entry["path"]).name: entry for entry in done["paths"]}
    for name in ("text.db", "empty.db", "other.db", "missing.db"):
        assert by_name[name]["error"], name
        assert by_name[name]["new"] == 0
    assert "places" in by_name["other.db"]["error"]
    assert by_name["half.db"]["error"] or by_name["half.db"]["problems"]
    assert by_name["bomb.json"]["quarantined"] == {"invalid_json": 1}
    assert by_name["bomb.json.gz"]["quarantined"] == {"payload_too_large": 1}
    good = by_name["clean.db"]
    assert good["error"] is None
    assert good["new"] + good["known"] == good["found"] == seasons["clean"]


def test_a_locked_file_is_an_error_and_the_rest_is_ingested(tmp_path, clean_db, seasons):
    locked = Path(shutil.copy(clean_db, tmp_path / "locked.db"))
    locker = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(LOCKER), str(locked)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert locker.stdout.readline() == "locked\n"
        done = ingest(locked, clean_db, code=1)
    finally:
        locker.kill()
        locker.communicate()

    assert "locked" in done["paths"][0]["error"]
    assert done["paths"][1]["new"] == seasons["clean"]
    assert ingest(locked)["totals"]["new"] == 0


def test_an_undecodable_file_name_does_not_stop_the_others(tmp_path, clean_db, seasons):
    strange = Path(os.fsdecode(bytes(tmp_path) + b"/\xff.db"))
    shutil.copy(clean_db, strange)

    done = json.loads(lostark("ingest", strange, clean_db, "--json", "--no-check", code=1))

    assert done["totals"]["new"] + done["totals"]["known"] >= seasons["clean"]


def test_the_list_of_reasons_is_closed_and_documented():
    reasons = json.loads(lostark("quarantine", "reasons", "--json"))

    assert "invalid_json" in reasons
    assert all(reasons.values())
    lostark("quarantine", "--reason", "bad_luck", code=2)
    lostark("replay", "--reason", "bad_luck", code=2)
    lostark("quarantine", "nonsense", code=2)


def test_commands_on_an_empty_lake_return_empty_results():
    assert json.loads(lostark("quarantine", "--json"))["total"] == 0
    assert json.loads(lostark("replay", "--json"))["logs"] == 0
    assert json.loads(lostark("sql", "select * from core_hits", "--json")) == []
    lostark("trace", "abc", "Someone", code=1)


def test_simulate_writes_ground_truth_and_never_overwrites_a_file(tmp_path):
    lostark("simulate", tmp_path / "simulated", "--encounters", 20, "--hits-per-player", 5, "--no-dirt")

    assert {file.name for file in (tmp_path / "simulated").iterdir()} >= {
        "encounters.db",
        "encounters.truth.parquet",
    }
    lostark("simulate", tmp_path / "simulated", "--encounters", 20, code=1)
    lostark("simulate", tmp_path / "few", "--encounters", 19, code=2)


def test_the_version_is_printed():
    assert lostark("--version").startswith("lostark-analytics ")
