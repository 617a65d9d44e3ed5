"""Dagster's home inside the data folder, and the instance on it.

The packaged ``dagster.yaml`` is copied into the home at every start, so that services, command line and run
workers share one configuration.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psutil
from sqlalchemy import NullPool, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError

from lostark_assets.database.postgres import Databases, embedded_postgres
from lostark_assets.errors import PermanentError, TransientError
from lostark_assets.settings import PREFIX, Settings
from lostark_ml.registry.mlflow_database import MLFLOW_VARIABLES, strip_password, tracking_uri
from lostark_platform.config import DAGSTER_YAML
from lostark_platform.processes import find_process

if TYPE_CHECKING:
    from dagster import DagsterInstance

PROCESS_TAG = "lostark/process"
_LAUNCHED_TAG = ".dagster/grpc_info"
_TABLES = ("runs", "instance_info", "event_logs", "jobs")
"""The table by which each part of Dagster's storage detects its schema."""
_TABLES_LOCK = 0x10574A8C
_FIXED_VARIABLES = {
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    **MLFLOW_VARIABLES,
    # Several processes share few cores: OpenMP pools that compete lose seconds.
    "OMP_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
}


def prepare_dagster_home(settings: Settings, databases: Databases) -> dict[str, str]:
    """Write ``dagster.yaml`` into the home and return the variables that its processes need."""
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    target = home / "dagster.yaml"
    if not target.exists() or target.read_bytes() != DAGSTER_YAML.read_bytes():
        draft = home / f".dagster.yaml.{os.getpid()}"
        draft.write_bytes(DAGSTER_YAML.read_bytes())
        draft.replace(target)
    mlflow = tracking_uri(settings, databases)
    return {
        **_FIXED_VARIABLES,
        **({f"{PREFIX}MLFLOW_TRACKING_URI": mlflow} if mlflow else {}),
        f"{PREFIX}HOME": str(settings.home),
        "DAGSTER_HOME": str(home),
        f"{PREFIX}DAGSTER_POSTGRES_URL": databases.dagster,
        f"{PREFIX}POSTGRES_URL": databases.lostark,
    }


def create_dagster_tables(databases: Databases) -> None:
    """Create Dagster's tables where they are missing.

    Its processes would all create them at once; those that lose the race show their code location as broken
    until it is reloaded.

    Raises:
        TransientError: PostgreSQL is unreachable or rejects the user.
        PermanentError: PostgreSQL rejects the statements.
    """
    engine = create_engine(databases.dagster, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(text(f"SELECT pg_advisory_lock({_TABLES_LOCK})"))
            if set(_TABLES) <= set(inspect(connection).get_table_names()):
                return
            from dagster_postgres import DagsterPostgresStorage  # noqa: PLC0415 - 2 s

            DagsterPostgresStorage(databases.dagster)
    except DBAPIError as error:
        kind = TransientError if isinstance(error, OperationalError) else PermanentError
        raise kind(
            f"Dagster's database {strip_password(databases.dagster)} can't be used: "
            f"{str(error.orig).strip()}. Nothing was started. Start PostgreSQL, correct "
            "LOSTARK_DAGSTER_POSTGRES_URL or its user's rights, or unset it to use the embedded one."
        ) from error


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set ``variables`` for this process and its children inside the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """The Dagster instance of the data folder, for the command line; PostgreSQL runs inside the block."""
    from dagster import DagsterInstance  # noqa: PLC0415 - 2 s

    with ExitStack() as stack:
        stack.enter_context(_children_take_sigint())
        databases = stack.enter_context(embedded_postgres(settings))
        stack.enter_context(environment(prepare_dagster_home(settings, databases)))
        create_dagster_tables(databases)
        yield stack.enter_context(DagsterInstance.from_config(str(settings.dagster_home)))


@contextmanager
def _children_take_sigint() -> Iterator[None]:
    """Let child processes be interrupted although this one ignores SIGINT, as a shell's background job does.

    Dagster interrupts the processes that copy a run's output, and waits a minute for those that ignore it.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    # Ignored as before, but by a handler, which children don't inherit.
    signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def process_tag() -> dict[str, str]:
    """Tag for a run that this process executes, so that a later start can detect its death."""
    process = psutil.Process()
    return {PROCESS_TAG: f"{process.pid}:{process.create_time():.2f}"}


def fail_abandoned_runs(instance: DagsterInstance, platform_started_at: datetime) -> list[str]:
    """Mark runs as failed whose process is gone, and return their ids.

    Without this a power cut leaves a run in progress forever, which blocks the queue. A run is abandoned if
    the platform launched it before ``platform_started_at`` and it was not updated since, or if the process
    of its :func:`process_tag` is gone. Dagster's run retries then relaunch the former.
    """
    from dagster import DagsterRunStatus, RunsFilter  # noqa: PLC0415 - 2 s

    statuses = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    abandoned = []
    for record in instance.get_run_records(RunsFilter(statuses=statuses)):
        tags = record.dagster_run.tags
        is_stale = record.update_timestamp.astimezone(UTC) < platform_started_at
        if (_LAUNCHED_TAG in tags and is_stale) or not _is_alive(tags.get(PROCESS_TAG)):
            instance.report_run_failed(
                record.dagster_run, "The process of this run ended before the run did."
            )
            abandoned.append(record.dagster_run.run_id)
    return abandoned


def _is_alive(tag: str | None) -> bool:
    if tag is None:
        return True
    pid, _, created = tag.partition(":")
    try:
        return find_process(int(pid), float(created)) is not None
    except ValueError:
        return False
