"""The folder of sockets: the same at each start, private."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from lostark_assets.database.postgres import short_private_dir
from lostark_assets.errors import PermanentError


@pytest.fixture
def base(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_it_is_the_same_again_and_empty(base):
    first = short_private_dir("a")
    (first / "old.sock").touch()

    assert short_private_dir("a") == first
    assert list(first.iterdir()) == []
    assert first.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_can_enter_is_refused(base):
    short_private_dir("a").chmod(0o755)

    with pytest.raises(PermanentError, match="expected a private folder"):
        short_private_dir("a")


def test_a_link_is_refused(base):
    folder = short_private_dir("a")
    folder.rmdir()
    folder.symlink_to(base)

    with pytest.raises(PermanentError):
        short_private_dir("a")
