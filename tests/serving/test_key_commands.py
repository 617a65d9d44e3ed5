"""``lostark key``: create once, list without the secret, revoke."""

from __future__ import annotations

import json

import psycopg
import pytest
from typer.testing import CliRunner

from lostark_api.services.keys import hash_key
from lostark_assets.marts.migrate import libpq_url
from lostark_assets.observability.redact import REMOVED, Redactor
from lostark_platform.cli.app import app


@pytest.fixture
def lostark(url, tmp_path, monkeypatch):
    monkeypatch.setenv("LOSTARK_HOME", str(tmp_path))
    monkeypatch.setenv("LOSTARK_POSTGRES_URL", url)
    return lambda *words: CliRunner().invoke(app, ["key", *words])


def test_a_key_is_shown_once_and_only_its_hash_is_kept(lostark, url):
    made = lostark("create", "my guild", "--scope", "upload", "--scope", "logs:read", "--per-minute", "7")
    key = made.stdout.strip()
    assert (made.exit_code, key.startswith("lak_"), len(key) > 40) == (0, True, True)

    listed = lostark("list", "--json").stdout
    [found] = [one for one in json.loads(listed) if one["name"] == "my guild"]
    assert (found["scopes"], found["requests_per_minute"]) == (["logs:read", "upload"], 7)
    assert key not in listed
    with psycopg.connect(libpq_url(url)) as connection:
        rows = connection.execute("SELECT key_sha256, k::text FROM access.keys k").fetchall()
    assert hash_key(key) in [bytes(row[0]) for row in rows]
    assert not any(key in row[1] for row in rows)
    assert Redactor().text(f"sent {key} to") == f"sent {REMOVED} to"

    assert lostark("revoke", "my guild").exit_code == 0
    assert lostark("revoke", "my guild").exit_code == 1
    assert "my guild" in lostark("list").stdout


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["create", "x", "--scope", "admin"], "found admin"),
        (["create", "", "--scope", "upload"], "The name"),
        (["create", "twice", "--scope", "upload"], "twice"),
    ],
)
def test_an_invalid_key_is_not_created(lostark, words, text):
    if words[1] == "twice":
        assert lostark(*words).exit_code == 0
    done = lostark(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert text in done.stderr
