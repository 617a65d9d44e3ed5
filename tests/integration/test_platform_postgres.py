"""The embedded PostgreSQL with real processes: sharing, and recovery after any crash."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest

from lostark_assets.database.postgres import DATABASES, embedded_postgres
from lostark_assets.errors import PermanentError
from lostark_assets.settings import get_settings

HOLDER = """
import signal, sys, time
from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.settings import get_settings
# A shell's background job, and all that it starts, ignores SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
with embedded_postgres(get_settings(home=sys.argv[1])):
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    # A long path with characters that a shell interprets, as in a user's folder.
    return tmp_path_factory.mktemp("home") / f"a folder's {'x' * 90}"


def connect(url: str) -> psycopg2.extensions.connection:
    return psycopg2.connect(url.replace("postgresql+psycopg2://", "postgresql://"))


def fetch_value(url: str, query: str) -> object:
    connection = connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchone()[0]
    finally:
        connection.close()


def hold(home: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(home)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "up\n"
    return holder


def is_running(home: Path) -> bool:
    return (home / "postgres/postmaster.pid").exists()


def end(holder: subprocess.Popen[str], number: signal.Signals) -> None:
    holder.send_signal(number)
    holder.wait(60)  # PostgreSQL ends with a checkpoint, which a busy disk delays
    holder.stdout.close()


def test_it_creates_its_databases_and_stops_with_its_last_holder(home):
    with embedded_postgres(get_settings(home=home)) as databases:
        urls = (databases.dagster, databases.lostark, databases.mlflow)
        names = tuple(fetch_value(url, "SELECT current_database()") for url in urls)

        assert names == DATABASES
        with embedded_postgres(get_settings(home=home)):
            pass
        assert is_running(home)
    assert not is_running(home)


def test_it_survives_a_killed_holder_and_stops_with_the_next(home):
    holder = hold(home)
    end(holder, signal.SIGKILL)

    assert is_running(home)
    with embedded_postgres(get_settings(home=home)) as databases:
        assert fetch_value(databases.dagster, "SELECT 1") == 1
    assert not is_running(home)


def test_it_keeps_running_for_another_process(home):
    holder = hold(home)
    try:
        with embedded_postgres(get_settings(home=home)):
            pass
        assert is_running(home)
    finally:
        end(holder, signal.SIGINT)
    assert not is_running(home)


def test_it_restarts_after_the_server_was_killed_and_its_pid_reused(home):
    with embedded_postgres(get_settings(home=home)) as databases:
        pid = int((home / "postgres/postmaster.pid").read_text().split()[0])
        connection = connect(databases.lostark)
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kept AS SELECT 42 AS value")
        connection.close()
        subprocess.run(["kill", "-9", str(pid)], check=True)
    file = home / "postgres/postmaster.pid"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(["1\n", *lines[1:]]))

    with embedded_postgres(get_settings(home=home)) as databases:
        assert fetch_value(databases.lostark, "SELECT value FROM kept") == 42


def test_configured_addresses_are_passed_on_and_nothing_is_started(tmp_path):
    url = "postgresql://user:secret@nowhere.invalid/x"
    settings = get_settings(home=tmp_path / "home", dagster_postgres_url=url, postgres_url=url)

    with embedded_postgres(settings) as databases:
        assert databases.dagster == "postgresql+psycopg2://user:secret@nowhere.invalid/x"
        assert "secret" not in repr(databases)
    assert not (tmp_path / "home").exists()


def test_data_of_another_major_version_is_refused_and_unchanged(tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres/PG_VERSION").write_text("15\n")

    with pytest.raises(PermanentError, match="expected data of PostgreSQL 18, found 15"):
        embedded_postgres(get_settings(home=tmp_path)).__enter__()
