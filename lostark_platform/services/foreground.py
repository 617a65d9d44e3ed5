"""``lostark service NAME``: one service in the foreground, as a container of its own.

Each goes on in this process as the service's own command line, so that signals reach it. The
databases and the other services are elsewhere: their addresses have to be configured.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import psycopg

from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.errors import SettingsError, TransientError
from lostark_assets.marts.migrate import require_known_revision
from lostark_assets.settings import PREFIX, Settings
from lostark_ml.registry.mlflow_database import is_database
from lostark_platform.services import code_server, mlflow
from lostark_platform.services.console_script import run_console_script
from lostark_platform.services.dagster import list_modules, write_workspace
from lostark_platform.services.dagster_home import prepare_dagster_home
from lostark_platform.services.migrations import require_databases

CODE_SERVERS_VARIABLE = f"{PREFIX}CODE_SERVERS"
ADDRESS = "0.0.0.0"  # noqa: S104 - inside a container; what is published is the deployment's decision
CODE_SERVER_PORT = 4000


def run_code_server(settings: Settings, location: str) -> None:
    """Serve the code location named ``location`` and fork its runs, until SIGTERM."""
    modules = list_modules()
    if location not in modules:
        raise SettingsError(
            f"code-server: expected a code location, one of {', '.join(modules)}, found {location!r}. "
            "Nothing was started."
        )
    _prepare(settings)
    address = ["--host", ADDRESS, "--port", str(CODE_SERVER_PORT)]
    names = ["--module-name", modules[location], "--location-name", location]
    code_server.main([*address, *names, "--lazy-load-user-code"])


def run_dagster_webserver(settings: Settings, path_prefix: str) -> None:
    """Serve the Dagster UI below ``path_prefix`` until SIGTERM."""
    workspace = _prepare_workspace(settings)
    address = ["--host", ADDRESS, "--port", str(settings.dagster_port), "--path-prefix", path_prefix]
    run_console_script("dagster-webserver", "dagster-webserver", ["--workspace", str(workspace), *address])


def run_dagster_daemon(settings: Settings) -> None:
    """Run sensors, schedules and the queue of runs until SIGTERM."""
    workspace = _prepare_workspace(settings)
    run_console_script("dagster-daemon", "dagster-daemon", ["run", "--workspace", str(workspace)])


def run_mlflow(settings: Settings, path_prefix: str) -> None:
    """Serve registry, artifacts and UI until SIGTERM; the UI below ``path_prefix``.

    Raises:
        SettingsError: its database is not configured.
    """
    backend = settings.mlflow_tracking_uri
    if backend is None or not is_database(backend.get_secret_value()):
        raise SettingsError(
            f"{PREFIX}MLFLOW_TRACKING_URI: expected MLflow's database (postgresql://host/mlflow), found "
            f"{'nothing' if backend is None else 'the address of a server'}. Nothing was started."
        )
    mlflow.serve_with_artifacts(settings, backend.get_secret_value(), ADDRESS, path_prefix)


def _prepare(settings: Settings) -> None:
    """Check settings and database, write ``dagster.yaml`` and set the variables that Dagster reads."""
    require_databases(settings)
    with embedded_postgres(settings) as databases:
        os.environ.update(prepare_dagster_home(settings, databases))
        try:
            revision = require_known_revision(databases.lostark)
        except psycopg.OperationalError as error:
            raise TransientError(
                f"The marts' database can't be reached: {' '.join(str(error).split())}. Nothing was started."
            ) from error
    if revision is None:
        raise TransientError(
            "The marts' database: expected its tables, found none. Nothing was started. Run "
            "`lostark migrate`."
        )


def _prepare_workspace(settings: Settings) -> Path:
    """The same, and a workspace file that names the code servers."""
    servers = read_code_servers(settings.code_servers)
    _prepare(settings)
    return write_workspace(settings, servers)


def read_code_servers(values: Sequence[str]) -> dict[str, dict[str, str | int]]:
    """Host and port by code location, from ``name=host:port`` each.

    Raises:
        SettingsError: there is none, or one is written in another way.
    """
    servers: dict[str, dict[str, str | int]] = {}
    for value in values:
        name, _, address = value.partition("=")
        host, _, port = address.rpartition(":")
        if not (name and host and port.isdecimal()):
            raise SettingsError(
                f"{CODE_SERVERS_VARIABLE}: expected name=host:port, found {value!r}. Nothing was started."
            )
        servers[name] = {"host": host, "port": int(port)}
    if not servers:
        raise SettingsError(
            f"{CODE_SERVERS_VARIABLE}: expected the addresses of the code servers, such as "
            f"lostark_assets=code-assets:{CODE_SERVER_PORT}, found nothing. Nothing was started."
        )
    return servers
