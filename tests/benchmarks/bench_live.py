"""From the POST of an upload until its fight has a report at /v1/fights, on a platform of its own.

``lostark up`` runs in a new data folder without a source; ``--history`` fights are ingested before. Then
uploads of one fight each are sent, one after the other, once no run has been at work for a while. Printed:
seconds until the fight is served, seconds until its players have their expected DPS (300 fights of history
bring a model), and CPU seconds of all processes of the platform above what they use when idle.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil

GOAL_P50_S, GOAL_P95_S, GOAL_CPU_S, GOAL_EXPECTED_P95_S = 5.0, 10.0, 3.0, 15.0
_LOSTARK = [sys.executable, "-c", "from lostark_platform.cli.app import app; app()"]
_READY_TIMEOUT_S, _UPLOAD_TIMEOUT_S = 600.0, 300.0
_POLL_EVERY_S = 0.1
_SETTLED_S, _SETTLE_TIMEOUT_S = 40.0, 1800.0
"""Without a run for this long, what follows a start or an upload (scores, monitoring, training) is over."""
_FIGHTS_FOR_A_MODEL = 300
_RUNS = """query Runs($tags: [ExecutionTag!]) { runsOrError(limit: 1, filter: {
  tags: $tags, statuses: [QUEUED, NOT_STARTED, STARTING, STARTED, CANCELING]
}) { ... on Runs { results { runId } } } }"""


def main() -> None:
    """Print percentiles of the seconds to the page, and CPU seconds an upload."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=10)
    parser.add_argument("--history", type=int, default=0, help="fights in the lake before")
    parser.add_argument("--idle", type=float, default=30.0, help="seconds of idling that are measured")
    parser.add_argument("--home", type=Path, help="a data folder that has the history already")
    arguments = parser.parse_args()
    has_model = arguments.history >= _FIGHTS_FOR_A_MODEL
    with tempfile.TemporaryDirectory() as folder:
        home = arguments.home or Path(folder) / "home"
        uploads = list(write_uploads(Path(folder) / "uploads", arguments.uploads + 1))
        if arguments.history and not arguments.home:
            _ingest_history(home, Path(folder) / "encounters.db", arguments.history)
        with running_platform(home) as (api, process):
            send_and_wait(api, uploads[0])  # first runs import and compile
            wait_until_settled(api)
            idle = cpu_rate(process, arguments.idle)
            waits, costs, scores, later_costs = [], [], [], []
            for path in uploads[1:]:
                started, before = time.monotonic(), cpu_s(process)
                fight = send_and_wait(api, path)
                waits.append(time.monotonic() - started)
                costs.append(cpu_s(process) - before - idle * waits[-1])
                if has_model:
                    _wait_for_scores(api, fight)
                    scores.append(time.monotonic() - started)
                wait_until_settled(api)
                took = time.monotonic() - started
                later_costs.append(cpu_s(process) - before - idle * took)
    print(f"{len(waits)} uploads into a lake of {arguments.history:,} fights; idle {idle:.1%} of a core")
    goals = f"(goals {GOAL_P50_S:g} and {GOAL_P95_S:g})"
    print(f"to the page: p50 {statistics.median(waits):.1f} s, p95 {p95(waits):.1f} s {goals}")
    if scores:
        goal = f"(goal {GOAL_EXPECTED_P95_S:g})"
        print(f"to expected DPS: p50 {statistics.median(scores):.1f} s, p95 {p95(scores):.1f} s {goal}")
    print(f"CPU seconds to the page: {statistics.median(costs):.1f} (goal {GOAL_CPU_S:g})")
    print(f"with all that follows (scores, tables across days): {statistics.median(later_costs):.1f}")


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return sorted(values)[round(0.95 * (len(values) - 1))]


def write_uploads(folder: Path, count: int) -> Iterator[Path]:
    """Yield the paths of ``count`` upload files of one fight each."""
    from lostark_simulator.season import SeasonConfig, generate_fights
    from lostark_simulator.upload_json import write_upload_json

    start = datetime.now(UTC).date() - timedelta(days=2)
    season = SeasonConfig(encounters=count, seed=71, days=1, start=start, hits_per_player=600, dirt=False)
    for number, fight in enumerate(generate_fights(season)):
        if number == count:
            return
        yield write_upload_json(folder / f"{number}.json.gz", fight, gzip=True)


def _ingest_history(home: Path, path: Path, fights: int) -> None:
    env = {**os.environ, "LOSTARK_HOME": str(home)}
    size = ["--encounters", str(fights), "--days", "56", "--hits-per-player", "300"]
    subprocess.run([*_LOSTARK, "simulate", str(path), *size], env=env, check=True)
    # A few logs are broken on purpose: exit code 1.
    subprocess.run([*_LOSTARK, "ingest", str(path), "--run"], env=env, check=False, stdout=subprocess.DEVNULL)


class Api(httpx.Client):
    """A client of the platform's API."""

    def __init__(self, port: int, dagster_port: int) -> None:
        super().__init__(base_url=f"http://127.0.0.1:{port}", timeout=30.0, trust_env=False)
        self._graphql = f"http://127.0.0.1:{dagster_port}/graphql"

    def has_runs(self, **tags: str) -> bool:
        """Whether any run is queued or under way, of those with ``lostark`` tags of the given values."""
        wanted = [{"key": f"lostark/{name}", "value": value} for name, value in tags.items()]
        query = {"query": _RUNS, "variables": {"tags": wanted}}
        answer = httpx.post(self._graphql, json=query, trust_env=False, timeout=30.0)
        return bool(answer.json()["data"]["runsOrError"]["results"])


@contextmanager
def running_platform(home: Path, **variables: str) -> Iterator[tuple[Api, psutil.Process]]:
    """``lostark up`` on ports of its own, with a client of its API."""
    port, dagster_port = _free_port(), _free_port()
    env = {
        **os.environ,
        "LOSTARK_HOME": str(home),
        **(variables or {"LOSTARK_SOURCES": str(home.parent / "no-source-yet")}),
        "LOSTARK_API_PORT": str(port),
        "LOSTARK_DAGSTER_PORT": str(dagster_port),
        "LOSTARK_MLFLOW_PORT": str(_free_port()),
    }
    with (home.parent / "up.log").open("wb") as log:
        up = subprocess.Popen([*_LOSTARK, "up"], env=env, stdout=log, stderr=log)
        try:
            client = Api(port, dagster_port)
            deadline = time.monotonic() + _READY_TIMEOUT_S
            while "running; stop with Ctrl-C" not in (home.parent / "up.log").read_text(errors="replace"):
                if up.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((home.parent / "up.log").read_text(errors="replace"))
                time.sleep(1.0)
            yield client, psutil.Process(up.pid)
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(60)


def wait_until_settled(api: Api) -> None:
    """Wait until no run was queued or under way for a while."""
    quiet_since, deadline = time.monotonic(), time.monotonic() + _SETTLE_TIMEOUT_S
    while time.monotonic() - quiet_since < _SETTLED_S:
        if time.monotonic() > deadline:
            raise RuntimeError(f"runs were under way for {_SETTLE_TIMEOUT_S:g} s")
        if api.has_runs():
            quiet_since = time.monotonic()
        time.sleep(2.0)


def _wait_for_scores(api: Api, fight: str) -> None:
    deadline = time.monotonic() + _UPLOAD_TIMEOUT_S
    while time.monotonic() < deadline:
        players = api.get(f"/v1/fights/{fight}").json()["players"]
        if all(player["expected"] is not None for player in players):
            return
        time.sleep(_POLL_EVERY_S)
    raise RuntimeError(f"{fight}: not scored after {_UPLOAD_TIMEOUT_S:g} s")


def send_and_wait(api: Api, path: Path) -> str:
    """Upload a file; the id of its fight once the API serves that."""
    sent = api.post("/v1/battle-logs", content=path.read_bytes(), params={"name": path.name})
    sent.raise_for_status()
    ticket = sent.headers["location"]
    deadline = time.monotonic() + _UPLOAD_TIMEOUT_S
    while time.monotonic() < deadline:
        document = api.get(ticket).json()
        if document["fights"]:
            fight = document["fights"][0]["fight_id"]
            if api.get(f"/v1/fights/{fight}").status_code == httpx.codes.OK:
                return fight
        time.sleep(_POLL_EVERY_S)
    raise RuntimeError(f"not served after {_UPLOAD_TIMEOUT_S:g} s: {document}")


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds of the process tree so far, those of ended children too."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def cpu_rate(process: psutil.Process, seconds: float) -> float:
    """CPU seconds a second over the next ``seconds``."""
    before = cpu_s(process)
    time.sleep(seconds)
    return (cpu_s(process) - before) / seconds


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


if __name__ == "__main__":
    main()
