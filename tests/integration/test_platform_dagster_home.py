"""Dagster's home: one configuration, real PostgreSQL storage, and no run that stays in progress forever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster_postgres import DagsterPostgresStorage, PostgresRunStorage
from sqlalchemy import NullPool, create_engine, inspect, text

from lostark_assets import settings as settings_module
from lostark_assets.database.postgres import Databases, embedded_postgres
from lostark_assets.errors import PermanentError, TransientError
from lostark_assets.settings import get_settings, project_root
from lostark_platform.config import DAGSTER_YAML, WORKSPACE_YAML
from lostark_platform.services.dagster import code_locations
from lostark_platform.services.dagster_home import (
    _TABLES,
    PROCESS_TAG,
    _children_take_sigint,
    create_dagster_tables,
    dagster_instance,
    fail_abandoned_runs,
    prepare_dagster_home,
    process_tag,
)

LONG_AGO = datetime.now(UTC) - timedelta(days=1)
LATER = datetime.now(UTC) + timedelta(days=1)


@dg.job
def nothing():
    """Never runs."""


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def run_in_progress(instance: dg.DagsterInstance, **tags: str) -> str:
    run = instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED, tags=tags)
    return run.run_id


def test_the_home_has_the_configuration_and_children_get_their_variables(tmp_path):
    settings = get_settings(home=tmp_path)
    variables = prepare_dagster_home(
        settings, Databases("postgresql+psycopg2://a", "postgresql+psycopg2://b", None)
    )

    assert (tmp_path / "dagster/dagster.yaml").read_bytes() == (project_root() / "dagster.yaml").read_bytes()
    assert [(project_root() / name).resolve() for name in ("dagster.yaml", "workspace.yaml")] == [
        DAGSTER_YAML,
        WORKSPACE_YAML,
    ]
    assert variables["DAGSTER_HOME"] == str(tmp_path / "dagster")
    assert variables["LOSTARK_DAGSTER_POSTGRES_URL"] == "postgresql+psycopg2://a"
    assert variables["DAGSTER_DISABLE_TELEMETRY"] == "1"
    assert variables["OMP_NUM_THREADS"] == "1"


def test_configuration_is_packaged_and_read_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings_module, "source_checkout", lambda: None)
    assert project_root() == tmp_path

    prepare_dagster_home(get_settings(home=tmp_path / "home"), Databases("a", "b", None))

    assert (tmp_path / "home/dagster/dagster.yaml").is_file()
    assert [location.name for location in code_locations(tmp_path)] == ["lostark_assets", "lostark_ml"]


def test_concurrent_processes_create_the_tables_once(tmp_path):
    with embedded_postgres(get_settings(home=tmp_path)) as databases:
        engine = create_engine(databases.dagster, poolclass=NullPool)
        assert inspect(engine).get_table_names() == []

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(create_dagster_tables, [databases] * 4))

        made = set(inspect(engine).get_table_names())
        assert made > set(_TABLES)
        DagsterPostgresStorage(databases.dagster)
        assert set(inspect(engine).get_table_names()) == made
        create_dagster_tables(databases)


def test_an_unreachable_database_is_reported_without_its_password():
    for address in ("ann:s3cret@127.0.0.1:9/dagster", "127.0.0.1:9/dagster?user=ann&password=s3cret"):
        gone = Databases(f"postgresql+psycopg2://{address}", "", None)

        with pytest.raises(TransientError, match=r"127\.0\.0\.1:9/dagster.* can't be used") as raised:
            create_dagster_tables(gone)

        assert "s3cret" not in str(raised.value)


def test_a_missing_privilege_to_create_tables_is_reported(tmp_path):
    with embedded_postgres(get_settings(home=tmp_path)) as databases:
        engine = create_engine(databases.lostark, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("CREATE ROLE reader LOGIN"))
        as_reader = engine.url.set(username="reader").render_as_string(hide_password=False)

        with pytest.raises(PermanentError, match="permission denied for schema public"):
            create_dagster_tables(Databases(as_reader, "", None))


def test_the_command_line_gets_an_instance_on_postgresql_and_leaves_no_variables(tmp_path):
    before = dict(os.environ)

    with dagster_instance(get_settings(home=tmp_path)) as instance:
        assert isinstance(instance.run_storage, PostgresRunStorage)
        assert not instance.telemetry_enabled
        assert instance.get_runs_count() == 0
        assert os.environ["DAGSTER_HOME"] == str(tmp_path / "dagster")
    assert dict(os.environ) == before


def test_a_run_that_the_last_platform_launched_is_marked_as_failed(instance):
    run_id = run_in_progress(instance, **{".dagster/grpc_info": "{}"})

    assert fail_abandoned_runs(instance, LONG_AGO) == []
    assert fail_abandoned_runs(instance, LATER) == [run_id]
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE
    assert fail_abandoned_runs(instance, LATER) == []


def test_a_run_of_a_live_process_is_not_changed(instance):
    run_id = run_in_progress(instance, **process_tag())
    untagged = run_in_progress(instance)

    assert fail_abandoned_runs(instance, LATER) == []
    assert {run.run_id for run in instance.get_runs()} == {run_id, untagged}


@pytest.mark.parametrize(
    "tag",
    ["999999999:1.00", f"{os.getpid()}:1.00", "nonsense"],
    ids=["no process", "another process", "nonsense"],
)
def test_a_run_of_a_dead_process_is_marked_as_failed(instance, tag):
    run_id = run_in_progress(instance, **{PROCESS_TAG: tag})

    assert fail_abandoned_runs(instance, LONG_AGO) == [run_id]


@pytest.mark.parametrize("ignores", [True, False])
def test_children_are_interruptible_although_a_background_job_ignores_sigint(ignores):
    child = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignores else signal.default_int_handler)
    try:
        with _children_take_sigint():
            done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
            if ignores:
                signal.raise_signal(signal.SIGINT)
        assert (signal.getsignal(signal.SIGINT) is signal.SIG_IGN) == ignores
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.stdout.strip() == "True"
