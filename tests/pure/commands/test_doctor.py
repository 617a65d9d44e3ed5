"""``lostark doctor`` reports every problem with advice, one line each."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from lostark_assets.ledger import BacklogSample, open_ledger
from lostark_assets.settings import get_settings
from lostark_platform.cli import doctor
from lostark_platform.cli.app import app
from lostark_platform.cli.doctor import Finding


@pytest.fixture(autouse=True)
def without_services(tmp_path, monkeypatch):
    """Skip PostgreSQL and Dagster, which have tests of their own."""
    for name in [name for name in os.environ if name.startswith("LOSTARK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LOSTARK_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(doctor, "_postgres", lambda _: Finding("PostgreSQL", "ok", "18"))
    monkeypatch.setattr(doctor, "_services", lambda _: [Finding("code location lostark_assets", "ok", "10")])


def examine(code: int = 0) -> dict[str, dict[str, str]]:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == code, result.output
    return {finding["check"]: finding for finding in json.loads(result.stdout)}


def test_a_correct_installation_has_no_errors():
    findings = examine()

    assert {finding["status"] for finding in findings.values()} <= {"ok", "warning"}
    assert findings["table core_hits"]["found"] == "empty"


@pytest.mark.parametrize(
    ("package", "version", "check"),
    [("sqlalchemy", "2.1.0", "sqlalchemy"),
     ("marshmallow", "4.0.0", "marshmallow"), ("pandas", "2.3.3", "pandas"),
     ("dagster-postgres", "0.29.20", "dagster family"), ("duckdb", None, "packages")],
)  # fmt: skip
def test_incompatible_versions_are_wrong(monkeypatch, package, version, check):
    installed = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: version if name == package else installed(name))

    found = [f for f in doctor._packages() if f.check == check and f.status == "wrong"]

    assert found
    assert "make env" in found[0].advice


def test_a_damaged_table_is_wrong_and_the_others_are_still_checked(tmp_path):
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


@pytest.fixture
def from_a_wheel(monkeypatch):
    monkeypatch.setattr(doctor, "source_checkout", lambda: None)


def test_an_installed_wheel_is_compared_with_its_own_requirements(monkeypatch, from_a_wheel):
    monkeypatch.setattr(
        doctor.importlib.metadata,
        "requires",
        lambda _: ["pandas>=3", "absent>1", "extra-only; extra == 'demo'"],
    )

    found = [f for f in doctor._packages() if f.check == "packages"]

    assert [f.status for f in found] == ["wrong"]
    assert found[0].found == "unmet: absent>1 (found: nothing)"
    assert "pip install --upgrade lostark-analytics" in found[0].advice
    assert "make" not in found[0].advice


def test_an_installed_wheel_whose_requirements_are_met_is_fine(monkeypatch, from_a_wheel):
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda _: ["pandas>=3", "rich"])

    assert doctor._compare_with_metadata().found == "2 requirements of lostark-analytics are met"


def test_a_missing_command_of_dagster_is_wrong(monkeypatch):
    monkeypatch.setattr(doctor, "find_command", lambda name: None if name == "dagster-daemon" else name)

    assert examine(code=1)["commands"]["found"].endswith(": dagster-daemon")


def test_a_service_that_does_not_import_is_wrong(tmp_path):
    settings = get_settings(home=tmp_path)

    found = doctor._import_check("API", "import lostark_absent", settings)

    assert (found.check, found.status) == ("API", "wrong")
    assert "lostark_absent" in found.found


def test_the_text_output_has_one_line_per_check():
    text = CliRunner().invoke(app, ["doctor"]).stdout

    assert "ok      SQLite" in text


def test_the_backlog_is_one_line_a_warning_while_it_is_behind_and_not_zero_when_it_is_old(tmp_path):
    assert examine()["backlog"]["found"].startswith("unknown: not observed lately; it is observed every 15 s")
    ledger, now = open_ledger(get_settings()), datetime.now(UTC)
    sample = BacklogSample(now, now, 2, 5, now - timedelta(minutes=3), 1, 5)

    ledger.record_backlog(replace(sample, at=now - timedelta(hours=1)))
    found = examine()["backlog"]["found"]
    assert found.startswith("unknown: not observed lately (waiting: 2 uploads and 5 logs")
    ledger.record_backlog(sample)
    assert (examine()["backlog"]["status"], examine()["backlog"]["advice"]) == ("ok", "")
    ledger.record_backlog(replace(sample, behind_since=now))
    finding = examine()["backlog"]
    assert finding["status"] == "warning"
    assert finding["found"].startswith(
        "catching up (waiting: 2 uploads and 5 logs, the oldest for 3 min, 1 run queued"
    )
