"""What containers run: `lostark migrate`, `lostark service`, secret files, health checks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import pytest
import yaml
from pydantic import SecretStr
from sqlalchemy import make_url
from typer.testing import CliRunner

from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.errors import PermanentError, SettingsError, TransientError
from lostark_assets.marts.migrate import HEAD, libpq_url, migrate, require_known_revision
from lostark_assets.settings import Settings, get_settings
from lostark_platform.cli.app import app
from lostark_platform.healthcheck import is_healthy
from lostark_platform.services import foreground
from lostark_platform.services.dagster import write_workspace
from lostark_platform.services.migrations import migrate as migrate_all


@pytest.fixture(autouse=True)
def environment_is_kept() -> Iterator[None]:
    """A service sets variables for its own process, which here is that of all tests."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    """An address of an existing database of a server that others may be created on."""
    with embedded_postgres(get_settings(home=tmp_path_factory.mktemp("server"))) as databases:
        yield databases.lostark


def build_settings(server: str, home: Path, suffix: str, **others: object) -> Settings:
    urls = {
        name: make_url(server).set(database=f"{name}_{suffix}").render_as_string(hide_password=False)
        for name in ("dagster", "marts", "registry")
    }
    return get_settings(
        home=home, dagster_postgres_url=urls["dagster"], postgres_url=urls["marts"],
        **{"mlflow_tracking_uri": urls["registry"]} | others,
    )  # fmt: skip


def execute(url: str, statement: str) -> list[tuple]:
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def migrated(server, tmp_path_factory) -> Settings:
    settings = build_settings(server, tmp_path_factory.mktemp("migrated"), "ready")
    migrate_all(settings, lambda _: None)
    return settings


def test_migrate_creates_databases_and_tables_and_does_nothing_the_second_time(server, tmp_path) -> None:
    settings, said = build_settings(server, tmp_path, "Über-1"), []
    migrate_all(settings, said.append)
    assert sum(line.startswith("created the database") for line in said) == 3
    for url, table in (
        (settings.dagster_postgres_url, "runs"),
        (settings.postgres_url, "marts.publications"),
        (settings.mlflow_tracking_uri, "registered_models"),
    ):
        address = url.get_secret_value()
        assert execute(address, f"SELECT to_regclass('{table}') IS NOT NULL") == [(True,)]
        assert execute(address, "SHOW server_encoding") == [("UTF8",)]
    before = list(said)
    migrate_all(settings, said.append)
    assert said[len(before) :] == [line for line in before if not line.startswith("created")]


def test_migrate_needs_addresses_and_names_those_that_are_missing(tmp_path) -> None:
    with pytest.raises(
        SettingsError, match="LOSTARK_DAGSTER_POSTGRES_URL and LOSTARK_POSTGRES_URL: expected"
    ):
        migrate_all(get_settings(home=tmp_path), lambda _: None)


def test_migrate_says_which_address_does_not_work_and_hides_its_password(tmp_path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"postgresql://someone:a-secret@127.0.0.1:{unused.getsockname()[1]}/x"
        settings = get_settings(home=tmp_path, dagster_postgres_url=url, postgres_url=url)
        with pytest.raises(TransientError, match="LOSTARK_DAGSTER_POSTGRES_URL: expected") as refused:
            migrate_all(settings, lambda _: None)
    assert "a-secret" not in str(refused.value)


def test_a_database_of_a_newer_version_is_left_alone(migrated, monkeypatch) -> None:
    url = migrated.postgres_url.get_secret_value()
    execute(url, "UPDATE marts.alembic_version SET version_num = 'm9999'")
    try:
        for attempt in (lambda: migrate(url), lambda: foreground.run_code_server(migrated, "lostark_assets")):
            with pytest.raises(PermanentError, match="found m9999, which a newer version"):
                attempt()
        assert execute(url, "SELECT version_num FROM marts.alembic_version") == [("m9999",)]
    finally:
        execute(url, f"UPDATE marts.alembic_version SET version_num = '{HEAD}'")
    assert require_known_revision(url) == HEAD


def test_dagsters_database_of_a_newer_version_is_left_alone(migrated) -> None:
    url = migrated.dagster_postgres_url.get_secret_value()
    [(known,)] = execute(url, "SELECT version_num FROM alembic_version")
    execute(url, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    try:
        with pytest.raises(PermanentError, match=r"expected a schema that Dagster .* knows, found a newer"):
            migrate_all(migrated, lambda _: None)
    finally:
        execute(url, f"UPDATE alembic_version SET version_num = '{known}'")


def test_known_revisions_are_those_of_the_migrations() -> None:
    import re
    from importlib.resources import files

    from lostark_assets.marts.migrate import REVISIONS

    found = [path.name for path in (files("lostark_assets.marts") / "migrations/versions").iterdir()]
    assert list(REVISIONS) == sorted(re.match(r"m\d+", name)[0] for name in found if name.startswith("m"))


def test_a_service_does_not_start_on_a_database_without_tables(server, tmp_path) -> None:
    settings = build_settings(server, tmp_path, "empty")
    for url in (settings.dagster_postgres_url, settings.postgres_url):
        execute(server, f"CREATE DATABASE {make_url(url.get_secret_value()).database}")
    with pytest.raises(TransientError, match="expected its tables, found none"):
        foreground.run_code_server(settings, "lostark_assets")
    away = settings.model_copy(update={"postgres_url": SecretStr("postgresql://nobody@127.0.0.1:1/x")})
    with pytest.raises(TransientError, match="can't be reached"):
        foreground.run_code_server(away, "lostark_assets")


@pytest.mark.parametrize("value", ["", "lostark_assets", "a=b", "a=:1", "=b:1", "a=b:port"])
def test_addresses_of_code_servers_are_checked(value) -> None:
    with pytest.raises(SettingsError, match="LOSTARK_CODE_SERVERS: expected"):
        foreground.read_code_servers([value] if value else [])


def test_addresses_of_code_servers_become_a_workspace(tmp_path) -> None:
    servers = foreground.read_code_servers(["a=host:1", "b=10.0.0.1:2"])
    settings = get_settings(home=tmp_path)
    settings.dagster_home.mkdir()
    assert yaml.safe_load(write_workspace(settings, servers).read_text())["load_from"] == [
        {"grpc_server": {"host": "host", "port": 1, "location_name": "a"}},
        {"grpc_server": {"host": "10.0.0.1", "port": 2, "location_name": "b"}},
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["service", "nothing"], "expected code-server"),
        (["service", "code-server"], "--location belongs to code-server"),
        (["service", "mlflow", "--location", "lostark_ml"], "--location belongs to code-server"),
    ],
)
def test_a_wrong_service_is_named(arguments, says) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert says in " ".join(done.output.replace("│", " ").split())


def test_an_unknown_code_location_is_named(migrated) -> None:
    with pytest.raises(SettingsError, match="one of lostark_assets, lostark_ml, found 'x'"):
        foreground.run_code_server(migrated, "x")


def test_mlflow_needs_its_database_not_a_server(tmp_path) -> None:
    for uri, found in ((None, "nothing"), ("http://mlflow:5000", "the address of a server")):
        with pytest.raises(SettingsError, match=f"expected MLflow's database .* found {found}"):
            foreground.run_mlflow(get_settings(home=tmp_path, mlflow_tracking_uri=uri), "")


def test_settings_come_from_secret_files_and_variables_go_first(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LOSTARK_SECRETS_DIR", str(tmp_path))
    (tmp_path / "lostark_postgres_url").write_text("postgresql://a:b@host/marts\n")
    (tmp_path / "lostark_api_port").write_text("8123")
    monkeypatch.setenv("LOSTARK_POSTGRES_URL", "")
    settings = get_settings()
    assert settings.postgres_url.get_secret_value() == "postgresql+psycopg2://a:b@host/marts"
    assert settings.api_port == 8123
    monkeypatch.setenv("LOSTARK_API_PORT", "9000")
    assert get_settings().api_port == 9000
    (tmp_path / "lostark_postgres_url").write_text("mysql://user:hidden@host/x")
    with pytest.raises(SettingsError, match="LOSTARK_POSTGRES_URL: expected") as refused:
        get_settings()
    assert "hidden@" not in str(refused.value)
    monkeypatch.setenv("LOSTARK_SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match="LOSTARK_SECRETS_DIR: expected a folder"):
        get_settings()


def test_the_api_says_in_one_line_why_it_does_not_start(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lostark_api.serve"],
        env={"PATH": "/usr/bin", "LOSTARK_HOME": str(tmp_path), "LOSTARK_POSTGRES_URL": "mysql://u:hidden@h/x"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("error: LOSTARK_POSTGRES_URL: expected")
    assert "hidden" not in done.stderr.replace("a hidden value", "")


def test_a_health_check_follows_what_it_checks(migrated, monkeypatch) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/ok" else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    assert is_healthy(address)
    assert is_healthy(f"http://{address}/ok")
    assert not is_healthy(f"http://{address}/broken")
    server.shutdown()
    server.server_close()
    assert not is_healthy(address)
    assert not is_healthy(f"http://{address}/ok")

    url = migrated.dagster_postgres_url.get_secret_value()
    monkeypatch.setenv("LOSTARK_DAGSTER_POSTGRES_URL", url)
    beat = (
        "INSERT INTO daemon_heartbeats (daemon_type, daemon_id, timestamp) "
        "VALUES ('{}', 'x', now() AT TIME ZONE 'utc')"
    )
    assert not is_healthy("daemon")
    execute(url, beat.format("SENSOR"))
    assert not is_healthy("daemon")
    execute(url, beat.format("QUEUED_RUN_COORDINATOR"))
    assert is_healthy("daemon")
    execute(
        url,
        "UPDATE daemon_heartbeats SET timestamp = timestamp - interval '5 minutes'",
    )
    assert not is_healthy("daemon")
    monkeypatch.setenv("LOSTARK_DAGSTER_POSTGRES_URL", "postgresql://nobody@127.0.0.1:1/x")
    assert not is_healthy("daemon")
