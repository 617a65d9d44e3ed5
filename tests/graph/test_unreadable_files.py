"""A file that can't be opened keeps no other out, is reported, and is tried again when that can help."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lostark_assets.dagster.raw_assets import collect_origins
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources import detect
from lostark_assets.sources.configured import configured_origins, list_uploads, open_landing
from lostark_assets.sources.landing import Ticket
from lostark_assets.sources.probe import probe_origin
from lostark_simulator.season import SeasonConfig, generate_fights
from lostark_simulator.upload_json import write_upload_json

Break = Callable[[str, Exception], None]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "logs").mkdir()
    return get_settings(home=tmp_path / "home", sources=(tmp_path / "logs",))


@pytest.fixture
def lake(settings: Settings) -> Lake:
    return open_lake(settings)


@pytest.fixture
def break_opening(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Let opening the file of a name raise; None for the error mends it."""
    broken: dict[str, Exception | None] = {}
    open_source = detect.open_source

    def opened(path: Path, *more: object) -> object:
        if error := broken.get(path.name):
            raise error
        return open_source(path, *more)

    monkeypatch.setattr(detect, "open_source", opened)
    return broken.__setitem__


def write_log(folder: Path, seed: int) -> Path:
    config = SeasonConfig(encounters=1, seed=seed, days=1, hits_per_player=20, dirt=False)
    [fight, *_] = generate_fights(config)
    return write_upload_json(folder / f"{seed}.json", fight)


def collect(settings: Settings, lake: Lake, wanted: set[str] | None = None) -> list[str]:
    """Collect what is configured; the errors."""
    origins = configured_origins(settings)
    done, failed = collect_origins(logging.getLogger(__name__), origins, lake, settings, "run", wanted)
    assert all(one.new + one.known == one.found for one in done)
    return failed


def is_due(settings: Settings) -> bool:
    [folder] = configured_origins(settings)
    return probe_origin(folder, settings).has_new


@pytest.mark.parametrize("wanted", [None, {"upload_json"}])
def test_a_file_without_permission_is_reported_and_collected_once_it_can_be_opened(
    settings, lake, break_opening, wanted
):
    [folder] = settings.sources
    good, denied = write_log(folder, 1), write_log(folder, 2)
    break_opening(denied.name, PermissionError(13, "Permission denied", str(denied)))

    [failed] = collect(settings, lake, wanted)

    assert f"{denied}: expected a readable file, found" in failed
    assert lake.read("raw_battle_logs")["source_path"].to_pylist() == [str(good)]
    assert is_due(settings)
    break_opening(denied.name, None)
    assert collect(settings, lake, wanted) == []
    assert lake.count("raw_battle_logs") == 2
    assert not is_due(settings)


def test_a_damaged_file_is_reported_and_delays_no_new_one(settings, lake):
    [folder] = settings.sources
    write_log(folder, 1)
    folder.joinpath("damaged.json").write_bytes(b"")

    [failed] = collect(settings, lake)

    assert f"{folder / 'damaged.json'}: " in failed
    # Nothing changes by trying again: the run that reports it is not repeated.
    assert not is_due(settings)
    write_log(folder, 2)
    assert is_due(settings)
    assert len(collect(settings, lake)) == 1
    assert lake.count("raw_battle_logs") == 2


def test_an_exception_of_any_class_is_reported_and_stays_due(settings, lake, break_opening):
    [folder] = settings.sources
    write_log(folder, 1)
    break_opening(write_log(folder, 2).name, ZeroDivisionError("odd"))

    [failed] = collect(settings, lake)

    assert "2.json" in failed
    assert lake.count("raw_battle_logs") == 1
    assert is_due(settings)


def test_a_run_for_other_sources_leaves_the_report_to_the_folders_own(settings, lake, break_opening):
    [folder] = settings.sources
    break_opening(write_log(folder, 1).name, PermissionError(13, "Permission denied"))
    break_opening(write_log(folder, 2).name, None)

    assert collect(settings, lake, {"another"}) == []
    assert lake.count("raw_battle_logs") == 0
    assert is_due(settings)


def test_a_folder_that_became_unreadable_after_the_poll_is_not_taken_for_collected(
    settings, lake, monkeypatch
):
    [folder] = settings.sources
    write_log(folder, 1)

    scandir = os.scandir

    def deny(path: object) -> object:
        if path == str(folder) or path == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", deny)
        assert collect(settings, lake, {"upload_json"}) == []
    assert is_due(settings)
    assert collect(settings, lake, {"upload_json"}) == []
    assert lake.count("raw_battle_logs") == 1


def test_what_is_no_regular_file_is_not_opened(settings, lake):
    [folder] = settings.sources
    os.mkfifo(folder / "pipe.json")
    write_log(folder, 1)

    assert collect(settings, lake) == []
    assert lake.count("raw_battle_logs") == 1


@pytest.mark.parametrize(
    ("error", "is_answered"), [(ZeroDivisionError("odd"), True), (OSError(5, "I/O error"), False)]
)
def test_an_upload_that_cannot_be_opened_is_answered_or_waits(
    settings, lake, break_opening, tmp_path, error, is_answered
):
    landing = open_landing(settings)
    ticket, path = landing.begin("odd.json")
    path.write_bytes(write_log(tmp_path, 1).read_bytes())
    landing.accept(Ticket(ticket, path.name, "upload:json", "upload_json", 1, "", datetime.now(UTC)))
    break_opening(path.name, error)

    [failed] = collect(settings, lake)

    result = landing.find(ticket).result
    assert (result is not None) is is_answered
    assert bool(list_uploads(settings)) is not is_answered
    if is_answered:
        assert result.error.startswith("opening odd.json: unexpected ZeroDivisionError: odd")
    else:
        assert "I/O error" in failed
