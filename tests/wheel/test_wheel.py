"""The built wheel runs the platform from an empty folder, in an environment without the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.wheel

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("lostark", "lostark_assets", "lostark_ml", "lostark_api", "lostark_platform", "lostark_simulator")
BUILD_FILES = ("pyproject.toml", "README.md", "LICENSE", "requirements.in")
UV = (sys.executable, "-m", "uv")
START_TIMEOUT_S = 240
STOP_TIMEOUT_S = 30


def run(*command: object, **options: object) -> str:
    argv = list(map(str, command))
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Outside of pytest's folder, which PostgreSQL's user can't enter."""
    with tempfile.TemporaryDirectory(prefix="lostark-wheel-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def wheel(folder: Path) -> Path:
    """Built from a copy, so that neither an old build folder nor an editable install gets into it."""
    source = folder / "source"
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=skipped)
    for name in BUILD_FILES:
        shutil.copy(ROOT / name, source)
    build = (*UV, "build", "--wheel", "--offline", "--no-build-isolation", "--python", sys.executable)
    run(*build, "--out-dir", folder / "dist", source)
    return next((folder / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def scripts(folder: Path, wheel: Path) -> Path:
    """The commands of a fresh environment: the locked dependencies and the wheel."""
    python = folder / "venv/bin/python"
    run(*UV, "venv", "--python", sys.executable, folder / "venv")
    install = (*UV, "pip", "install", "--python", python)
    run(*install, "--require-hashes", "--requirement", ROOT / "requirements.lock")
    run(*install, "--no-deps", wheel)
    return python.parent


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    """Without any variable that leads to the checkout, the test's own environment or another platform."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LOSTARK_", "DAGSTER_", "PYTHON", "VIRTUAL_ENV", "COVERAGE"))
    }
    ports = {f"LOSTARK_{name}_PORT": str(find_free_port()) for name in ("API", "DAGSTER", "MLFLOW")}
    small_demo = {"LOSTARK_DEMO_ENCOUNTERS": "40", "LOSTARK_MOCK_SERVER_NEW_FIGHT_EVERY_S": "0"}
    return {**kept, **ports, **small_demo, "PATH": os.defpath, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fetch(url: str) -> str:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as response:
        return response.read().decode()


def test_the_wheel_holds_every_file_of_the_packages(wheel):
    built = set(zipfile.ZipFile(wheel).namelist())
    source = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert source - built == set()
    assert {name.split("/")[0] for name in built if not name.startswith("lostark_analytics-")} == set(
        PACKAGES
    )


def test_the_metadata_names_dependencies_and_the_demo_extra(wheel):
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(next(n for n in archive.namelist() if n.endswith("METADATA"))).decode()
    declared = re.findall(r"^Requires-Dist: (\S+)", metadata, re.MULTILINE)
    direct = re.findall(r"^([a-z0-9-]+)", (ROOT / "requirements.in").read_text(), re.MULTILINE)

    assert {re.match(r"[A-Za-z0-9-]+", name)[0].lower() for name in declared} == set(direct)
    assert "Provides-Extra: demo" in metadata
    assert "Requires-Python: >=3.11" in metadata


def test_the_platform_runs_from_an_empty_folder(scripts, environment, empty_folder):
    options = {"cwd": empty_folder, "env": environment}
    lostark = scripts / "lostark"

    findings = json.loads(run(lostark, "doctor", "--json", **options))
    assert [finding for finding in findings if finding["status"] != "ok"] == []
    assert {"API", "code location lostark_assets", "code location lostark_ml"} <= {
        f["check"] for f in findings
    }

    run(lostark, "simulate", "logs.db", "--encounters", 20, "--hits-per-player", 20, "--days", 1, **options)
    imported = json.loads(
        subprocess.run(
            [lostark, "ingest", "logs.db", "--run", "--json"], capture_output=True, check=False, **options
        ).stdout
    )
    assert imported["totals"]["new"] > 0
    assert imported["run"]["failed"] == []

    with (empty_folder / "up.log").open("wb") as output:
        platform = subprocess.Popen([lostark, "up"], stdout=output, stderr=output, **options)
    members: list[psutil.Process] = []
    try:
        await_line(platform, empty_folder / "up.log", "running; stop with Ctrl-C")
        members = psutil.Process(platform.pid).children(recursive=True)
        api = f"http://127.0.0.1:{environment['LOSTARK_API_PORT']}"
        fights = re.findall(r'href="(/fights/[^"?]+)', fetch(f"{api}/fights"))
        assert fights
        assert "<table" in fetch(api + fights[0])
        assert "dagster" in fetch(f"http://127.0.0.1:{environment['LOSTARK_DAGSTER_PORT']}/").lower()
        run(
            lostark,
            "simulate",
            "more.db",
            "--encounters",
            20,
            "--seed",
            2,
            "--no-dirt",
            "--days",
            1,
            **options,
        )
        more = json.loads(run(lostark, "ingest", "more.db", "--run", "--json", **options))
        assert (more["run"]["failed"], len(more["run"]["run_ids"])) == ([], 2)
        assert more["run"]["publish_version"] > imported["run"]["publish_version"]
        assert {path.name for path in empty_folder.iterdir()} >= {".lostark", "logs.db"}
        platform.send_signal(signal.SIGINT)
        assert platform.wait(STOP_TIMEOUT_S) == 0
    finally:
        if platform.poll() is None:
            platform.terminate()
            platform.wait(STOP_TIMEOUT_S)
    assert len(members) > 4
    assert [member for member in members if member.is_running() and member.status() != "zombie"] == []


def await_line(platform: subprocess.Popen[bytes], log: Path, line: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while line not in log.read_text():
        assert platform.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.5)
