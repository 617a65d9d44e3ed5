"""A kept read and an expected DPS against a bare ASGI app on the same server and core, in one run.

    python tests/benchmarks/bench_serving.py [--seconds 3] [--rounds 3]

Prints what one request of each costs the server's core, in turn, and the requests a second that this allows
the API as a share of the bare app's (the aims: 50 % of a kept read, 20 % of one expected DPS, each against a
bare answer of the same size); p50 and p99 of kept reads and of expectations; and the time of every route's
first, computed answer. Costs are CPU time of the server: a slow client doesn't count. Builds that are asked
for all differ, and are answered by a champion of the default size.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import pandas as pd
import psutil

from lostark_assets.lake.tables import Lake
from lostark_assets.platform.mlflow_database import prepare_database
from lostark_assets.platform.postgres import embedded_postgres
from lostark_assets.publish.publish import publish, waiting
from lostark_assets.settings import get_settings
from lostark_assets.simulator.raids import GATES
from lostark_ml.features import features_of, model_input
from lostark_ml.registry import Registry, Submission
from lostark_ml.training import fit
from tests.pure.ml.a_simulated_season import RESET as SEASON_START
from tests.pure.ml.a_simulated_season import simulated_players
from tests.serving.a_lake import add_fights

CONNECTIONS = 32
ROUTE = "/v1/tier-list"
ROUTES = ("/v1/gates", ROUTE, "/v1/fights", "/v1/characters", "/v1/progression", "/v1/quality")
BUILDS = "/v1/expected-dps"
ROLE = ("class_name", "spec_name")
TOLD = ("raid_name", "gate_name", "difficulty", *ROLE, "item_level", "combat_power", "region")
PLAYERS, WEEKS = 6000, 6
BARE = """
KEPT = {}
async def app(scope, receive, send):
    if scope["type"] == "http":
        if scope["path"] not in KEPT:
            body = b"x" * int(scope["path"][1:] or 0)
            head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            KEPT[scope["path"]] = head, body
        head, body = KEPT[scope["path"]]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def process(command: list[str], port: int, ready: str, **env: str) -> Iterator[psutil.Process]:
    """A server on the first core, until the block ends."""
    pinned = ["taskset", "-c", "0", *command] if os.cpu_count() != 1 else command
    server = subprocess.Popen(pinned, env={**os.environ, **env})
    try:
        for _ in range(1200):
            try:
                with urlopen(f"http://127.0.0.1:{port}{ready}") as answer:
                    answer.read()
                break
            except OSError:
                time.sleep(0.1)
        yield psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait()


def get(path: str) -> bytes:
    """A request for ``path``."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Language: ko\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    """A request with a body of JSON."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def load(port: int, requests: list[bytes], seconds: float) -> tuple[float, list[float]]:
    """Requests a second over kept connections, and the time of each [s]."""
    until, times, next_one = time.perf_counter() + seconds, [], itertools.cycle(requests)

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        while time.perf_counter() < until:
            began = time.perf_counter()
            writer.write(next(next_one))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(size)
            times.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return len(times) / (time.perf_counter() - began), times


def crown(uri: str, folder: Path) -> list[bytes]:
    """A registry with a champion, and requests of one build for it: all dealers of its season."""
    per_gate = PLAYERS // 20
    players = pd.concat(
        [simulated_players(per_gate, WEEKS, seed=n, gate=gate) for n, gate in enumerate(GATES[:5])]
    )
    frame = features_of(players)
    model = fit(frame, SEASON_START + timedelta(weeks=WEEKS - 1))
    prepare_database(uri, folder / "mlflow" / "artifacts")
    registry = Registry(uri, folder / "mlflow" / "artifacts")
    registry.move_alias("champion", registry.submit(model, Submission(), model_input(frame.head(5))).version)
    requests = []
    for _, fight in players.groupby("encounter_id"):
        seats = fight[[*ROLE, "item_level"]].to_dict("records")
        for at, one in enumerate(fight.to_dict("records")):
            if not one["is_support"]:
                party = [seat for place, seat in enumerate(seats) if place != at]
                build = {name: one[name] for name in TOLD} | {"party": party[:3]}
                requests.append(post(BUILDS, json.dumps({"builds": [build]}).encode()))
    return requests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bare.py").write_text(BARE)
        lake = Lake(str(folder / "lake"))
        add_fights(lake, folder, encounters=60)
        settings = get_settings(home=folder / "home")
        with embedded_postgres(settings) as databases:
            due = waiting(lake, databases.lostark)
            done = publish(lake, databases.lostark, due.days, due.tables)
            assert done is not None
            print(f"published {done.rows['players']:,} players in {done.seconds:.2f} s")
            api, bare = free_port(), free_port()
            command = [sys.executable, "-m", "lostark_api.serve", "--port", str(api)]
            assert databases.mlflow is not None
            builds = crown(databases.mlflow, folder)
            env = {
                "LOSTARK_HOME": str(folder / "api"),
                "LOSTARK_POSTGRES_URL": databases.lostark,
                "LOSTARK_MLFLOW_TRACKING_URI": databases.mlflow,
            }
            with process(command, api, "/readyz", **env) as api_process:
                for route in ROUTES:
                    began = time.perf_counter()
                    with urlopen(f"http://127.0.0.1:{api}{route}") as answer:
                        body = len(answer.read())
                    took_ms = 1000 * (time.perf_counter() - began)
                    print(f"{route:20} first answer {took_ms:6.1f} ms, {body:,} bytes")
                wait_for_champion(api, builds[0])
                uvicorn = [sys.executable, "-m", "uvicorn", "bare:app", "--app-dir", str(folder)]
                quiet = ["--log-level", "warning", "--no-access-log", "--no-server-header"]
                command = [*uvicorn, "--port", str(bare), *quiet]
                with process(command, bare, "/") as bare_process:
                    for what, requests in (("kept", [get(ROUTE)]), ("expected", builds)):
                        both = (api, api_process), (bare, bare_process)
                        compare(what, *both, requests, arguments.seconds, arguments.rounds)


def ask(port: int, request: bytes) -> bytes:
    """The body of one answer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    return answer.split(b"\r\n\r\n", 1)[1]


def wait_for_champion(port: int, build: bytes) -> None:
    """Ask until a champion answers; it is loaded beside the requests."""
    began = time.perf_counter()
    while json.loads(ask(port, build))["model_version"] is None:
        time.sleep(0.1)
    print(f"champion answers {time.perf_counter() - began:.1f} s later")
    began = time.perf_counter()
    ask(port, build)
    print(f"{BUILDS:20} first answer {1000 * (time.perf_counter() - began):6.1f} ms")


def compare(
    name: str,
    api: tuple[int, psutil.Process],
    bare: tuple[int, psutil.Process],
    requests: list[bytes],
    seconds: float,
    rounds: int,
) -> None:
    """Load both in turn, and print what came of it."""
    ratios, times = [], []
    size = len(ask(api[0], requests[0]))
    for _ in range(rounds):
        bare_us, bare_rate, _ = cost(*bare, [get(f"/{size}")], seconds)
        api_us, api_rate, took = cost(*api, requests, seconds)
        ratios.append(bare_us / api_us)
        times += took
        print(
            f"bare {bare_us:5.1f} µs ({bare_rate:7,.0f}/s)   {name} {api_us:5.1f} µs ({api_rate:7,.0f}/s)   "
            f"share {ratios[-1]:.0%}"
        )
    times.sort()
    p50, p99 = (times[int(len(times) * share)] * 1000 for share in (0.5, 0.99))
    print(
        f"{name}: share {statistics.median(ratios):.0%} (median); p50 {p50:.2f} ms, p99 {p99:.2f} ms, "
        f"{p99 / p50:.1f}x"
    )


def cost(
    port: int, server: psutil.Process, requests: list[bytes], seconds: float
) -> tuple[float, float, list[float]]:
    """CPU of the server for one request [µs], requests a second, and the time of each [s]."""
    before = server.cpu_times()
    rate, times = asyncio.run(load(port, requests, seconds))
    after = server.cpu_times()
    spent = after.user - before.user + after.system - before.system
    return spent / len(times) * 1e6, rate, times


if __name__ == "__main__":
    main()
