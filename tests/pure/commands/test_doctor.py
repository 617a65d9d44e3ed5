"""``lostark doctor`` names what is wrong and what to do, one line each, and never stops at the first."""

from __future__ import annotations

import json
import os

import pytest
from typer.testing import CliRunner

from lostark_platform.cli import doctor
from lostark_platform.cli.app import app
from lostark_platform.cli.doctor import Finding


@pytest.fixture(autouse=True)
def quick(tmp_path, monkeypatch):
    """No server and no Dagster: those two are looked at where they are tested."""
    for name in [name for name in os.environ if name.startswith("LOSTARK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LOSTARK_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(doctor, "_postgres", lambda _: Finding("PostgreSQL", "ok", "18"))
    monkeypatch.setattr(doctor, "_definitions", lambda _: Finding("Dagster definitions", "ok", "10 assets"))


def examine(code: int = 0) -> dict[str, dict[str, str]]:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == code, result.output
    return {finding["check"]: finding for finding in json.loads(result.stdout)}


def test_a_sound_installation_has_nothing_wrong():
    findings = examine()

    assert {finding["status"] for finding in findings.values()} <= {"ok", "warning"}
    assert findings["table core_hits"]["found"] == "nothing yet"


@pytest.mark.parametrize(
    ("package", "version", "check"),
    [("sqlalchemy", "2.1.0", "sqlalchemy"),
     ("marshmallow", "4.0.0", "marshmallow"), ("pandas", "2.3.3", "pandas"),
     ("dagster-postgres", "0.29.20", "dagster family"), ("duckdb", None, "packages")],
)  # fmt: skip
def test_versions_that_break_each_other_are_wrong(monkeypatch, package, version, check):
    installed = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: version if name == package else installed(name))

    found = [f for f in doctor._packages() if f.check == check and f.status == "wrong"]

    assert found
    assert "make env" in found[0].advice


def test_a_damaged_table_is_wrong_and_the_others_are_still_looked_at(tmp_path):
    log = tmp_path / "home/lake/core_hits/_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_text("no json")

    findings = examine(code=1)

    assert findings["table core_hits"]["status"] == "wrong"
    assert findings["table stats_player_dps"]["status"] == "ok"


def test_a_missing_source_and_a_wrong_setting_are_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("LOSTARK_SOURCES", str(tmp_path / "gone.db"))
    assert "gone.db" in examine(code=1)["source"]["found"]

    monkeypatch.setenv("LOSTARK_DAGSTER_PORT", "many")
    assert "LOSTARK_DAGSTER_PORT" in examine(code=1)["settings"]["found"]


def test_the_list_for_people_has_a_line_a_check():
    text = CliRunner().invoke(app, ["doctor"]).stdout

    assert "ok      SQLite" in text
