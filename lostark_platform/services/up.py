"""``lostark up``: PostgreSQL, Dagster, the API, MLflow and, for a demo, the mock server, until Ctrl-C."""

from __future__ import annotations

import hashlib
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lostark_assets.database.postgres import Databases, embedded_postgres, short_private_dir
from lostark_assets.errors import LostarkError, SettingsError
from lostark_assets.settings import PREFIX, Settings, local_url
from lostark_ml.registry.mlflow_database import (
    build_missing_address_error,
    starts_own_server,
    strip_password,
    tracking_uri,
)
from lostark_platform.services.api import api_service
from lostark_platform.services.backlog import reporting_backlog
from lostark_platform.services.dagster import DagsterUi, code_locations, dagster_services, write_workspace
from lostark_platform.services.dagster_home import (
    create_dagster_tables,
    environment,
    fail_abandoned_runs,
    prepare_dagster_home,
)
from lostark_platform.services.demo import demo_variables, is_demo, mock_server_service
from lostark_platform.services.fight_days import hold_home
from lostark_platform.services.metrics import metrics_service
from lostark_platform.services.mlflow import mlflow_service, models_page
from lostark_platform.services.supervisor import Say, run_services, stop_orphaned_services

ReportData = Callable[[Settings, Say], None]
_PORTS_TRIED = 20


@dataclass(frozen=True)
class _PortSetting:
    """A setting that names a port, its user, and the address it is bound on."""

    name: str
    user: str
    host: Callable[[Settings], str]


_DAGSTER_PORT = _PortSetting("dagster_port", "the Dagster UI", lambda settings: settings.dagster_host)
_API_PORT = _PortSetting("api_port", "the API", lambda settings: settings.api_host)
_METRICS_PORT = _PortSetting("metrics_port", "the metrics", lambda settings: settings.metrics_host)
_MLFLOW_PORT = _PortSetting("mlflow_port", "the MLflow UI", lambda settings: settings.mlflow_host)
_MOCK_SERVER_PORT = _PortSetting("mock_server_port", "the mock server", lambda _: "127.0.0.1")


def up(settings: Settings, report_data: ReportData | None = None, console: Console | None = None) -> int:
    """Run the platform in the foreground until Ctrl-C; returns the exit code.

    ``report_data`` is called in this process once the services are ready, by default
    :func:`~lostark_platform.services.initial_data.report_initial_data`. Its failure is reported and does not
    stop the services.
    """
    console = console or Console()
    say = partial(console.print, markup=False, highlight=False)
    with hold_home(settings) as address:
        for name in stop_orphaned_services(settings.home):
            say(f"stopped {name}, orphaned by a supervisor that was killed")
        ui = DagsterUi(settings.dagster_host, _find_free_port(_DAGSTER_PORT, settings, say))
        api_port = _find_free_port(_API_PORT, settings, say)
        metrics_port = _find_free_port(_METRICS_PORT, settings, say)
        settings = settings.model_copy(update={_API_PORT.name: api_port, _METRICS_PORT.name: metrics_port})
        demo_port = _find_free_port(_MOCK_SERVER_PORT, settings, say) if is_demo(settings) else None
        mlflow_port = _find_free_port(_MLFLOW_PORT, settings, say) if starts_own_server(settings) else None
        say("starting PostgreSQL")
        with embedded_postgres(settings) as databases, _socket_dir(settings) as sockets:
            variables = prepare_dagster_home(settings, databases)
            variables |= {f"{PREFIX}API_PORT": str(api_port)}  # checks link to the API's pages
            create_dagster_tables(databases)
            of_api = {f"{PREFIX}DAGSTER_URL": ui.url} | _get_registry_variables(settings, databases)
            extra = [api_service(settings, variables | of_api)]
            if demo_port is not None:
                variables |= demo_variables(settings, demo_port)
                extra.append(mock_server_service(settings, demo_port))
            locations = code_locations(sockets)
            workspace = write_workspace(settings, {place.name: place.address for place in locations})
            extra.append(metrics_service(settings, variables))
            services = [*extra, *dagster_services(ui, variables, locations, workspace)]
            mlflow = tracking_uri(settings, databases)
            if mlflow is None:
                say(str(build_missing_address_error()))
            elif mlflow_port is not None:
                services.append(mlflow_service(settings, mlflow, mlflow_port))
                mlflow = local_url(settings.mlflow_host, mlflow_port)
            say(f"starting {', '.join(service.name for service in services)}")
            started_at = datetime.now(UTC)

            def on_ready() -> None:
                with environment(variables):
                    _report_broken_locations(ui, say)
                    _clean_up_runs(settings, ui, started_at, say)
                addresses = {"Dagster UI": ui.url, "API": f"{settings.api_url}/docs"}
                if mlflow is not None:
                    addresses["MLflow UI"] = models_page(strip_password(mlflow))
                addresses["Metrics"] = settings.metrics_url
                console.print(_address_table(settings, addresses, demo_port))
                address.write_text(f"{ui.host}:{ui.port}")
                say("running; stop with Ctrl-C")
                _report_data(settings, report_data, say)

            with reporting_backlog(settings, say):
                return run_services(
                    services, state_dir=settings.home, logs_dir=settings.logs_dir, on_ready=on_ready, say=say
                )


def _get_registry_variables(settings: Settings, databases: Databases) -> dict[str, str]:
    """The registry's address for the API: its database, or the configured server."""
    address = tracking_uri(settings, databases)
    return {} if address is None else {f"{PREFIX}MLFLOW_TRACKING_URI": address}


def _find_free_port(port_setting: _PortSetting, settings: Settings, say: Say) -> int:
    wanted, host = getattr(settings, port_setting.name), port_setting.host(settings)
    variable = f"{PREFIX}{port_setting.name.upper()}"
    for port in range(wanted, min(wanted + _PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except PermissionError as error:
                raise SettingsError(f"{variable}: port {port} is not allowed: {error}.") from error
            except socket.gaierror as error:
                raise SettingsError(
                    f"{variable.removesuffix('_PORT')}_HOST: expected an address of this machine, found "
                    f"{host!r}: {error}. Nothing was started."
                ) from error
            except OSError:
                continue
        if port != wanted:
            say(f"port {wanted} is in use, {port_setting.user} listens on {port}")
        return port
    raise SettingsError(
        f"{variable}: expected a free port on {host}, found {wanted} and the next {_PORTS_TRIED - 1} in use. "
        "Nothing was started."
    )


@contextmanager
def _socket_dir(settings: Settings) -> Iterator[Path]:
    # The same at each start: Dagster identifies queued runs and past ticks by their code server's address.
    folder = short_private_dir(f"lostark-{hashlib.sha256(str(settings.home).encode()).hexdigest()[:12]}")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _report_broken_locations(ui: DagsterUi, say: Say) -> None:
    for name, message in (ui.broken_locations() or {}).items():
        say(f"code location {name} could not be loaded, see Deployment in the Dagster UI: {message}")


def _clean_up_runs(settings: Settings, ui: DagsterUi, started_at: datetime, say: Say) -> None:
    if not ui.has_runs_in_progress():
        return
    from dagster import DagsterInstance  # noqa: PLC0415 - 2 s

    with DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        for run_id in fail_abandoned_runs(instance, started_at):
            say(f"run {run_id} was interrupted by the last stop; marked as failed")


def _report_data(settings: Settings, report: ReportData | None, say: Say) -> None:
    try:
        if report is None:
            from lostark_platform.services.initial_data import report_initial_data  # noqa: PLC0415 - the lake

            report = report_initial_data
        report(settings, say)
    except LostarkError as error:
        say(f"initial data: {error}")


def _address_table(settings: Settings, addresses: dict[str, str], demo_port: int | None) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2))
    for name, address in addresses.items():
        table.add_row(name, address)
    if demo_port is not None:
        table.add_row("DEMO DATA", f"synthetic fights from the mock server at http://127.0.0.1:{demo_port}")
    table.add_row("Data", str(settings.home))
    table.add_row("Lake", settings.lake_url)
    table.add_row("Logs", str(settings.logs_dir))
    table.add_row("Try next", "lostark ingest path/to/encounters.db --run")
    table.add_row("", 'lostark sql "select * from stats_player_dps limit 10"')
    table.add_row("", "lostark doctor")
    return table
