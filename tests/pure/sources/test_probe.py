"""A watched folder is due when its files changed since it was completely collected, and only then."""

from __future__ import annotations

import os

import pytest

from lostark_assets.errors import SourceBusy, SourceMissing, UnknownFormat
from lostark_assets.settings import get_settings
from lostark_assets.sources import probe
from lostark_assets.sources.configured import FolderOrigin, configured_origins
from lostark_assets.sources.probe import fingerprint_folder, probe_origin, record_collected

LOG = b'{"entities": {}, "fightStart": 1789000000000, "encounterDamageStats": {}}'


@pytest.fixture
def settings(tmp_path):
    return get_settings(home=tmp_path / "home", sources=str(tmp_path / "logs"))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "a.json").write_bytes(LOG)
    return folder


@pytest.fixture
def origin(settings):
    [origin] = configured_origins(settings)
    return origin


def collected(origin, settings):
    record_collected(origin, settings, fingerprint_folder(origin))


def test_a_folder_never_collected_is_due_with_its_sources(settings, folder, origin):
    seen = probe_origin(origin, settings)

    assert (seen.where, seen.has_new, seen.sources) == (str(folder), True, ("upload_json",))


def test_a_folder_as_it_was_collected_has_none(settings, folder, origin):
    collected(origin, settings)

    assert probe_origin(origin, settings).has_new is False
    assert probe_origin(origin, settings).sources == ()


CHANGES = {
    "a new file": lambda folder: (folder / "b.json").write_bytes(LOG),
    "a new file below": lambda folder: ((folder / "x").mkdir(), (folder / "x/b.json").write_bytes(LOG)),
    "a grown file": lambda folder: (folder / "a.json").write_bytes(LOG + b"\n" + LOG),
    "a file written again": lambda folder: os.utime(folder / "a.json", (1, 1)),
    "a write-ahead log": lambda folder: (folder / "a.json-wal").write_bytes(b"x"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_makes_a_folder_due(settings, folder, origin, change):
    collected(origin, settings)

    change(folder)

    assert probe_origin(origin, settings).has_new is True


@pytest.mark.parametrize("name", [".draft.json", "a.db-shm"])
def test_changes_of_ignored_files_do_not_count(settings, folder, origin, name):
    collected(origin, settings)

    (folder / name).write_bytes(b"x")

    assert probe_origin(origin, settings).has_new is False


def test_a_change_during_the_collection_is_due_afterwards(settings, folder, origin):
    before = fingerprint_folder(origin)
    (folder / "b.json").write_bytes(LOG)

    record_collected(origin, settings, before)

    assert probe_origin(origin, settings).has_new is True


def test_a_changed_folder_without_battle_logs_asks_for_no_run(settings, folder, origin):
    (folder / "a.json").unlink()
    (folder / "notes.txt").write_text("hello")

    assert probe_origin(origin, settings).has_new is False


def test_a_single_database_is_watched_with_its_write_ahead_log(settings, tmp_path):
    file = tmp_path / "encounters.db"
    file.write_bytes(b"SQLite format 3\x00" + bytes(200))
    origin = FolderOrigin(file)
    collected(origin, settings)
    assert probe_origin(origin, settings).has_new is False

    (tmp_path / "encounters.db-wal").write_bytes(b"x")

    assert probe_origin(origin, settings).has_new is True


def test_a_missing_folder_raises(settings, folder, origin):
    collected(origin, settings)
    (folder / "a.json").unlink()
    folder.rmdir()
    with pytest.raises(SourceMissing):
        probe_origin(origin, settings)


def test_an_unreadable_folder_raises_and_one_inside_keeps_it_due(settings, folder, origin, monkeypatch):
    (folder / "below").mkdir()
    (folder / "below/b.json").write_bytes(LOG)
    collected(origin, settings)
    scandir = os.scandir

    def deny(denied):
        def scan(path):
            if os.fspath(path) == str(denied):
                raise PermissionError(13, "Permission denied", str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", scan)

    deny(folder / "below")
    assert probe_origin(origin, settings).has_new is True
    deny(folder)
    with pytest.raises(SourceBusy, match="Permission denied"):
        probe_origin(origin, settings)


def test_a_folder_of_damaged_files_raises(settings, folder, origin):
    (folder / "a.json").write_bytes(b"")

    with pytest.raises(UnknownFormat, match="empty"):
        probe_origin(origin, settings)


def test_another_version_of_the_platform_looks_at_everything_again(settings, folder, origin, monkeypatch):
    collected(origin, settings)
    monkeypatch.setattr(probe, "package_version", lambda: "another")

    assert probe_origin(origin, settings).has_new is True
