"""``lostark model``: what a person sees of the registry, and the two ways to change the champion."""

from __future__ import annotations

import contextlib
import getpass
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lostark_assets.lake.tables import Lake
from lostark_ml.features.training_set import model_input
from lostark_ml.registry import model_registry as registry_module
from lostark_ml.registry.aliases import read_history
from lostark_ml.registry.model_file import FIELDS_FILE
from lostark_ml.registry.model_registry import Submission
from lostark_platform.cli.app import app


@pytest.fixture
def lostark(registry, tmp_path, monkeypatch):
    """Runs a command on a registry of the test's own."""

    @contextlib.contextmanager
    def opened(_settings):
        yield registry

    monkeypatch.setattr(registry_module, "open_registry", opened)
    monkeypatch.setenv("LOSTARK_HOME", str(tmp_path / "home"))

    def run(*arguments):
        return CliRunner().invoke(app, ["model", *arguments])

    return run


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "home" / "lake"))


@pytest.fixture
def three(registry, fitted):
    model, frame = fitted
    for number in (1, 2, 3):
        submission = Submission(
            metrics={"mape": number / 10},
            snapshot={"ml_training_set": 10 + number},
            tags={"trigger": f"reason {number}"},
            description=f"# Card {number}",
        )
        registry.submit(model, submission, model_input(frame).head(3))


def history(lake):
    return [(c.from_version, c.to_version, c.action, c.changed_by) for c in read_history(lake, "lostark_dps")]


def test_without_any_model_list_reports_it_and_the_others_fail(lostark):
    assert lostark("list").exit_code == 0
    assert json.loads(lostark("list", "--json").stdout) == []
    for arguments in (("show",), ("promote", "1", "--why", "x"), ("rollback", "--why", "x")):
        done = lostark(*arguments)
        assert done.exit_code == 1, arguments
        assert "error: lostark_dps" in done.stderr


def test_list_shows_the_newest_and_those_in_use(lostark, three):
    lostark("promote", "1", "--why", "first")

    listed = json.loads(lostark("list", "--limit", "1", "--json").stdout)

    assert [(line["version"], line["aliases"]) for line in listed] == [(3, []), (1, ["champion"])]
    assert listed[0]["metrics"] == {"mape": 0.3}
    assert listed[0]["training_set_version"] == 13
    shown = lostark("list").stdout
    assert "champion" in shown
    assert "reason 2" in shown


def test_a_promotion_and_a_rollback_are_recorded_with_who_and_why(lostark, three, registry, lake):
    first = lostark("promote", "2", "--why", "the only good one", "--by", "reviewer")
    second = json.loads(lostark("promote", "3", "--why", "newer", "--json").stdout)
    back = lostark("rollback", "--why", "worse on Bards")

    assert "champion of lostark_dps is version 2 now; it was none" in first.stderr
    assert (second["from_version"], second["changed_by"]) == (2, getpass.getuser())
    assert second["training_set_version"] == 13
    assert back.exit_code == 0
    assert registry.champion().version == 2
    user = getpass.getuser()
    assert history(lake) == [
        (None, 2, "promote", "reviewer"),
        (2, 3, "promote", user),
        (3, 2, "rollback", user),
    ]


def test_without_a_champion_before_there_is_nothing_to_roll_back_to(lostark, three, registry, lake):
    lostark("promote", "2", "--why", "first")

    done = lostark("rollback", "--why", "worse")

    assert (done.exit_code, registry.champion().version) == (1, 2)
    assert "expected a champion before the present one" in done.stderr
    assert len(history(lake)) == 1


def test_an_empty_reason_changes_nothing(lostark, three, registry):
    assert lostark("promote", "2").exit_code == 2
    assert lostark("promote", "2", "--why", " ").exit_code == 1
    assert registry.champion() is None


def test_a_version_that_can_not_be_loaded_does_not_become_champion(
    lostark, three, registry, lake, mlflow_folder
):
    lostark("promote", "1", "--why", "first")
    for fields in mlflow_folder.rglob(FIELDS_FILE):
        fields.write_bytes(fields.read_bytes() + b" ")

    done = lostark("promote", "2", "--why", "better")

    assert done.exit_code == 1
    assert "They were changed" in done.stderr
    assert registry.champion().version == 1
    assert len(history(lake)) == 1


def test_show_prints_the_card_the_figures_and_the_history(lostark, three):
    lostark("promote", "2", "--why", "good")
    lostark("promote", "3", "--why", "better")

    champion = json.loads(lostark("show", "--json").stdout)
    second = json.loads(lostark("show", "2", "--json").stdout)

    assert (champion["version"], champion["description"]) == (3, "# Card 3")
    assert [(c["to_version"], c["reason"]) for c in second["history"]] == [(2, "good"), (3, "better")]
    shown = lostark("show", "2").stdout
    assert all(text in shown for text in ("# Card 2", "mape", "trigger", "better"))


def test_the_command_that_is_installed_has_the_models_too():
    pyproject = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text()

    assert 'lostark = "lostark_platform.cli.app:app"' in pyproject
    assert {"ingest", "model"} <= set(CliRunner().invoke(app, ["--help"]).stdout.split())
