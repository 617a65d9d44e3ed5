"""A code server's runs fork from a process that has imported their code."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance

from lostark_platform.services import code_server

CODE = """
import os, sys
from pathlib import Path
import dagster as dg

IMPORTED_BY = os.getpid()

@dg.op
def write():
    found = f"{os.getpid()} {os.getppid()} {IMPORTED_BY}"
    Path(os.environ["FOUND"]).write_text(found)

@dg.job(executor_def=dg.in_process_executor)
def probe():
    write()

defs = dg.Definitions(jobs=[probe])
"""


def test_only_fresh_interpreters_are_replaced():
    assert code_server._fork_from_server("spawn") is multiprocessing.get_context("forkserver")
    assert code_server._fork_from_server("fork") is multiprocessing.get_context("fork")
    assert code_server._fork_from_server() is multiprocessing.get_context()


def run_warmed_up(tmp_path, location, code):
    """The names of threads that warming up for a code location started, and what ``code`` prints after it."""
    before = """
import os, sys
import pandas, polars, pyarrow.dataset, psycopg, numba
threads = set(os.listdir("/proc/self/task"))
import lostark_platform.services.warm_up
started = set(os.listdir("/proc/self/task")) - threads
print(*[open(f"/proc/self/task/{thread}/comm").read().strip() for thread in started])
"""
    # As the platform sets them.
    env = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DAGSTER_HOME": str(tmp_path),
        "LOSTARK_HOME": str(tmp_path / "home"),
        code_server.MODULE_VARIABLE: location,
    }
    done = subprocess.run(
        [sys.executable, "-c", before + code],
        capture_output=True,
        text=True,
        check=True,
        env=env,
        timeout=300,
    )
    threads, printed = done.stdout.splitlines()
    # Allocators' own threads are restarted after a fork.
    return [name for name in threads.split() if "jemalloc" not in name], printed


def test_warming_up_starts_no_thread_and_loads_what_a_run_needs(tmp_path):
    code = """
from lostark_assets.core import skill_scan
from lostark_assets.stats import hits, percentiles
print([len(kernel.signatures) for kernel in (skill_scan._scan, hits._scan, percentiles._slide)])
"""
    assert run_warmed_up(tmp_path, "lostark_assets.definitions", code) == ([], "[1, 1, 1]")


def test_the_models_location_has_imported_what_reads_a_model(tmp_path):
    code = """
modules = set(sys.modules)
import mlflow.artifacts, skops.io
from mlflow.tracking import MlflowClient
MlflowClient(f"sqlite:///{os.environ['LOSTARK_HOME']}.db")
imported = [name for name in set(sys.modules) - modules if name.startswith(("mlflow", "skops", "sklearn"))]
# A new database is migrated.
print([name for name in imported if not name.startswith("mlflow.store.db")])
"""
    assert run_warmed_up(tmp_path, "lostark_ml.definitions", code) == ([], "[]")


def wait_for(condition, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def launch(env: dict[str, str], workspace: Path) -> None:
    command = [sys.executable, "-m", "dagster", "job", "launch", "-w", str(workspace), "-j", "probe"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def env(tmp_path: Path, private_folder: Path) -> dict[str, str]:
    (tmp_path / "probed_code.py").write_text(CODE)
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster/dagster.yaml").write_text(
        # Runs start at once: no daemon takes them from a queue.
        "telemetry: {enabled: false}\n"
        "run_coordinator: {module: dagster._core.run_coordinator, class: DefaultRunCoordinator}\n"
    )
    # SQLite's tables, as the platform creates PostgreSQL's: server and launch open them at the same time.
    with DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        assert instance.get_runs_count() == 0
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    return {
        **os.environ,
        "PYTHONPATH": path,
        "DAGSTER_HOME": str(tmp_path / "dagster"),
        "FOUND": str(tmp_path / "found"),
    }


@pytest.fixture
def private_folder() -> Path:
    from lostark_assets.database.postgres import short_private_dir

    return short_private_dir(f"lostark-test-{os.getpid()}")


def test_two_runs_share_a_process_that_imported_their_code(env, tmp_path, private_folder):
    socket, workspace, found = private_folder / "code.sock", tmp_path / "workspace.yaml", tmp_path / "found"
    server = {"host": "localhost", "socket": str(socket), "location_name": "probed"}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    arguments = ["--socket", str(socket), "--module-name", "probed_code", "--location-name", "probed"]
    command = [sys.executable, "-m", "lostark_platform.services.code_server", *arguments]
    process = subprocess.Popen(command, env=env, cwd=tmp_path)
    try:
        wait_for(socket.exists)
        seen = []
        for _ in range(2):
            found.unlink(missing_ok=True)
            launch(env, workspace)
            wait_for(lambda: found.exists() and found.read_text().count(" ") == 2)
            seen.append(found.read_text().split())
        [(first, parent, imported_by), (second, *others)] = seen
        assert first != second
        assert others == [parent, imported_by]
        assert imported_by == parent
        assert int(parent) != process.pid
    finally:
        process.terminate()
        process.wait(30)
        private_folder.joinpath("code.sock").unlink(missing_ok=True)
        private_folder.rmdir()
