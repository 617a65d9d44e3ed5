"""MLflow's tables, server and addresses: made once, shown by a service that nothing waits for."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest

from lostark_assets.database.postgres import Databases
from lostark_assets.errors import SettingsError
from lostark_assets.settings import get_settings
from lostark_ml.features.training_set import model_input
from lostark_ml.registry import mlflow_database
from lostark_ml.registry.mlflow_database import (
    build_missing_address_error,
    is_database,
    prepare_database,
    starts_own_server,
    strip_password,
    tracking_uri,
)
from lostark_ml.registry.model_registry import ModelRegistry, Submission, open_registry
from lostark_platform.healthcheck import responds
from lostark_platform.services.dagster_home import prepare_dagster_home
from lostark_platform.services.mlflow import mlflow_service, models_page

PATIENCE_S = 180
POSTGRES = "postgresql://me:secret@db/x"
BOTH = {"dagster_postgres_url": POSTGRES, "postgres_url": POSTGRES}
EMBEDDED = Databases("a", "b", "postgresql+psycopg2://postgres@/mlflow?host=/tmp/x")


def test_clients_go_to_the_configured_address_or_else_to_the_embedded_database(tmp_path):
    there = "http://mlflow:5000"

    assert tracking_uri(get_settings(home=tmp_path), EMBEDDED) == EMBEDDED.mlflow
    assert tracking_uri(get_settings(home=tmp_path, mlflow_tracking_uri=there + "/"), EMBEDDED) == there
    assert tracking_uri(get_settings(home=tmp_path, **BOTH), Databases("a", "b", None)) is None


def test_a_server_of_our_own_runs_where_there_is_a_database_and_no_server(tmp_path):
    def runs(**settings):
        return starts_own_server(get_settings(home=tmp_path, **settings))

    assert runs()
    assert runs(dagster_postgres_url=POSTGRES)
    assert runs(mlflow_tracking_uri=POSTGRES, **BOTH)
    assert not runs(mlflow_tracking_uri="http://mlflow:5000")
    assert not runs(**BOTH)


def test_without_a_place_for_models_the_error_gives_the_fix(tmp_path):
    with (
        pytest.raises(SettingsError, match=r"LOSTARK_MLFLOW_TRACKING_URI.*Set it to an MLflow server"),
        open_registry(get_settings(home=tmp_path, **BOTH)),
    ):
        pass
    assert "collection and statistics work" in str(build_missing_address_error())


def test_every_process_gets_the_registry_address_and_the_ban_on_pickles(tmp_path):
    variables = prepare_dagster_home(get_settings(home=tmp_path), EMBEDDED)

    assert variables["LOSTARK_MLFLOW_TRACKING_URI"] == EMBEDDED.mlflow
    assert variables["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert "LOSTARK_MLFLOW_TRACKING_URI" not in prepare_dagster_home(
        get_settings(home=tmp_path), Databases("a", "b", None)
    )


def test_addresses_are_distinguished_and_shown_without_a_password():
    assert is_database("postgresql+psycopg2://me:secret@db/x")
    assert not is_database("https://mlflow")
    assert strip_password("postgresql+psycopg2://me:secret@db:5/x") == "postgresql+psycopg2://db:5/x"
    assert strip_password("http://127.0.0.1:5000") == "http://127.0.0.1:5000"


def test_the_service_is_not_waited_for_and_keeps_the_password_out_of_its_command_line(tmp_path):
    service = mlflow_service(get_settings(home=tmp_path, mlflow_host="0.0.0.0"), POSTGRES, 5001)

    assert (service.is_expendable, service.is_awaited) == (True, False)
    assert "secret" not in " ".join(service.argv)
    assert service.env["MLFLOW_BACKEND_STORE_URI"] == POSTGRES
    assert service.env["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert service.env["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert models_page("http://x") == "http://x/#/models?workflowType=machine_learning"


def test_existing_tables_are_not_recreated(mlflow_folder, monkeypatch):
    url, root = f"sqlite:///{mlflow_folder / 'mlflow.db'}", mlflow_folder / "artifacts"
    prepare_database(url, root)
    monkeypatch.setitem(sys.modules, "mlflow.store.tracking.sqlalchemy_store", None)

    prepare_database(url, root)

    note = json.loads((mlflow_folder / "prepared.json").read_text())
    assert note["artifact_root"] == root.as_uri()
    (mlflow_folder / "mlflow.db").unlink()
    with pytest.raises(ImportError):
        prepare_database(url, root)


def test_tables_of_an_older_mlflow_are_upgraded_only_where_they_are_ours(mlflow_folder, monkeypatch):
    url, root = f"sqlite:///{mlflow_folder / 'mlflow.db'}", mlflow_folder / "artifacts"
    (mlflow_folder / "prepared.json").unlink()
    called = []
    monkeypatch.setattr("mlflow.store.db.utils._get_schema_version", lambda _: "older")
    monkeypatch.setattr("mlflow.store.db.utils._verify_schema", lambda _: None)
    monkeypatch.setattr("mlflow.store.db.utils._upgrade_db", lambda engine: called.append(str(engine.url)))

    prepare_database(url, root)
    assert called == []
    (mlflow_folder / "prepared.json").unlink()
    prepare_database(url, root, upgrade=True)
    assert called == [url]


@pytest.fixture
def platform_home(tmp_path_factory):
    """A folder that the embedded PostgreSQL can live in."""
    home = tmp_path_factory.mktemp("home")
    yield home
    shutil.rmtree(home, ignore_errors=True)


def test_two_first_users_of_the_embedded_registry_at_once_both_get_a_whole_one(platform_home):
    code = (
        "from lostark_assets.settings import get_settings\n"
        "from lostark_ml.registry.model_registry import open_registry\n"
        "with open_registry(get_settings()) as registry: print(registry.versions())"
    )
    env = {**os.environ, "LOSTARK_HOME": str(platform_home)}
    users = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    ends = [user.communicate(timeout=PATIENCE_S) for user in users]

    assert [out.strip() for out, _ in ends] == ["[]", "[]"], ends


def test_the_service_takes_a_model_over_http_shows_it_and_leaves_no_process_behind(
    fitted, mlflow_folder, tmp_path
):
    """Clients of the platform use its database directly; those of another machine can't."""
    model, frame = fitted
    home = tmp_path / "platform"
    shutil.copytree(mlflow_folder, home / "mlflow")
    backend = f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    service = mlflow_service(get_settings(home=home), backend, port)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            service.argv,
            env={**os.environ, **service.env},
            cwd=service.cwd,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not service.ready() and time.monotonic() < deadline:
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.5)
        assert responds(f"http://127.0.0.1:{port}/health")
        remote = ModelRegistry(f"http://127.0.0.1:{port}", home / "unused")
        assert remote.versions() == []
        submission = Submission(metrics={"mape": 0.15}, snapshot={"ml_training_set": 3}, pages={"card": "x"})
        made = remote.submit(model, submission, model_input(frame).head(3))
        remote.move_alias("champion", made.version)
        local = ModelRegistry(backend, home / "mlflow" / "artifacts")
        assert local.champion() == remote.champion()
        assert remote.metrics(made) == {"mape": 0.15}
        wanted = model.predict(frame.head(9))
        for registry in (remote, local):
            pd.testing.assert_frame_equal(registry.load(made.version).predict(frame.head(9)), wanted)
        assert not (home / "unused").exists()
        members = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    _, alive = psutil.wait_procs(members, timeout=10)
    assert alive == []


def test_mlflows_variables_do_not_overrule_what_a_person_set(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)

    mlflow_database.set_mlflow_variables()

    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
