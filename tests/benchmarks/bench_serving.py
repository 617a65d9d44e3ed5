"""A kept read and an expected DPS against a bare ASGI app on the same server and core, in one run.

    python tests/benchmarks/bench_serving.py [--seconds 3] [--rounds 5]

Prints what one request of each costs the server's core, and the requests a second that this allows the API as
a share of the bare app's (the aims: 50 % of a kept read, 20 % of one expected DPS, each against a bare answer
of the same size); p50 and p99 of kept reads and of expectations; and the time of every route's first,
computed answer. Costs are CPU time of the server: a slow client doesn't count. In a round both are queried in
turn, for a fraction of a second each, so that whatever else the machine does meets both. Builds that are
requested all differ, and come from a champion of the default size.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import pandas as pd
import psutil

from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.lake.tables import Lake
from lostark_assets.marts.publish import find_pending, publish
from lostark_assets.settings import get_settings
from lostark_ml.features.training_set import build_features, model_input
from lostark_ml.model.training import fit
from lostark_ml.registry.mlflow_database import prepare_database
from lostark_ml.registry.model_registry import ModelRegistry, Submission
from lostark_simulator.raids import GATES
from tests.pure.ml.simulated_season import RESET as SEASON_START
from tests.pure.ml.simulated_season import simulated_players
from tests.serving.season_lake import add_fights

CONNECTIONS = 32
SLICE_S = 0.2
"""How long one server is queried before it is the other's turn."""
WAIT_S = 0.0 if (os.cpu_count() or 1) > 1 else None
"""On a core of its own the client never sleeps: a slow server would wake it more often than a fast one."""
ROUTE = "/v1/tier-list"
ROUTES = ("/v1/gates", ROUTE, "/v1/fights", "/v1/characters", "/v1/progression", "/v1/quality")
BUILDS = "/v1/expected-dps"
ROLE = ("class_name", "spec_name")
TOLD = ("raid_name", "gate_name", "difficulty", *ROLE, "item_level", "combat_power", "region")
PLAYERS, WEEKS = 6000, 6
Side = tuple[psutil.Process, list[socket.socket], Iterator[bytes]]
"""A server, connections to it, and what it is asked."""
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


def load(connections: list[socket.socket], requests: Iterator[bytes], seconds: float) -> list[float]:
    """The time of each request [s]: one after the other on every connection, until all are answered."""
    times = []
    with selectors.DefaultSelector() as open_ones:

        def ask_on(connection: socket.socket) -> tuple[float, int]:
            connection.sendall(next(requests))
            return time.perf_counter(), 0

        until = time.perf_counter() + seconds
        for one in connections:
            open_ones.register(one, selectors.EVENT_READ, ask_on(one))
        while open_ones.get_map():
            for key, _ in open_ones.select(WAIT_S):
                (began, missing), part = key.data, key.fileobj.recv(1 << 20)
                if not missing:
                    head, part = part.split(b"\r\n\r\n", 1)
                    assert head.startswith(b"HTTP/1.1 200"), head
                    missing = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                missing -= len(part)
                now = time.perf_counter()
                if missing:
                    open_ones.modify(key.fileobj, selectors.EVENT_READ, (began, missing))
                    continue
                times.append(now - began)
                if now < until:
                    open_ones.modify(key.fileobj, selectors.EVENT_READ, ask_on(key.fileobj))
                else:
                    open_ones.unregister(key.fileobj)
    return times


def train_first_champion(uri: str, folder: Path) -> list[bytes]:
    """A registry with a champion, and requests of one build for it: all dealers of its season."""
    per_gate = PLAYERS // 20
    players = pd.concat(
        [simulated_players(per_gate, WEEKS, seed=n, gate=gate) for n, gate in enumerate(GATES[:5])]
    )
    frame = build_features(players)
    model = fit(frame, SEASON_START + timedelta(weeks=WEEKS - 1))
    prepare_database(uri, folder / "mlflow" / "artifacts")
    registry = ModelRegistry(uri, folder / "mlflow" / "artifacts")
    registry.move_alias("champion", registry.submit(model, Submission(), model_input(frame.head(5))).version)
    requests = []
    for _, fight in players.groupby("encounter_id"):
        seats = fight[[*ROLE, "item_level"]].to_dict("records")
        for at, one in enumerate(fight.to_dict("records")):
            if not one["is_support"]:
                party = [seat for place, seat in enumerate(seats) if place != at]
                build = {name: one[name] for name in TOLD} | {"party": party[:3]}
                requests.append(post(BUILDS, json.dumps({"builds": [build]}).encode()))
    random.Random(0).shuffle(requests)
    return requests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
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
            due = find_pending(lake, databases.lostark)
            done = publish(lake, databases.lostark, due.days, due.tables)
            assert done is not None
            print(f"published {done.rows['players']:,} players in {done.seconds:.2f} s")
            api, bare = free_port(), free_port()
            command = [sys.executable, "-m", "lostark_api.serve", "--port", str(api)]
            assert databases.mlflow is not None
            builds = train_first_champion(databases.mlflow, folder)
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


def query(port: int, request: bytes) -> bytes:
    """The body of one answer."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    return answer.split(b"\r\n\r\n", 1)[1]


def wait_for_champion(port: int, build: bytes) -> None:
    """Ask until a champion answers; it is loaded beside the requests."""
    began = time.perf_counter()
    while json.loads(query(port, build))["model_version"] is None:
        time.sleep(0.1)
    print(f"champion answers {time.perf_counter() - began:.1f} s later")
    began = time.perf_counter()
    query(port, build)
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
    shares, times = [], []
    size = len(query(api[0], requests[0]))
    with ExitStack() as stack:
        sides: list[Side] = []
        for (port, server), requested in ((bare, [get(f"/{size}")]), (api, requests)):
            connections = [stack.enter_context(connected(port)) for _ in range(CONNECTIONS)]
            sides.append((server, connections, itertools.cycle(requested)))
        for side in sides:
            cost(*side, SLICE_S)
        for _ in range(rounds):
            (bare_us, bare_rate, _), (api_us, api_rate, took) = in_turn(sides, seconds)
            shares.append(bare_us / api_us)
            times += took
            print(
                f"bare {bare_us:5.1f} µs ({bare_rate:7,.0f}/s)   {name} {api_us:5.1f} µs "
                f"({api_rate:7,.0f}/s)   share {shares[-1]:.1%}"
            )
    times.sort()
    p50, p99 = (times[int(len(times) * share)] * 1000 for share in (0.5, 0.99))
    print(
        f"{name}: share {statistics.median(shares):.1%} (median; {min(shares):.1%} to {max(shares):.1%}); "
        f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, {p99 / p50:.1f}x"
    )


def in_turn(sides: list[Side], seconds: float) -> list[tuple[float, float, list[float]]]:
    """Of each side: CPU of the server for one request [µs], requests a second, the time of each [s]."""
    spent_s, asked_s, times = [0.0] * len(sides), [0.0] * len(sides), [[] for _ in sides]
    for _ in range(max(round(seconds / SLICE_S), 1)):
        for n, side in enumerate(sides):
            began = time.perf_counter()
            cpu_s, took = cost(*side, SLICE_S)
            spent_s[n] += cpu_s
            asked_s[n] += time.perf_counter() - began
            times[n] += took
    return [
        (cpu_s / len(took) * 1e6, len(took) / wall_s, took)
        for cpu_s, wall_s, took in zip(spent_s, asked_s, times, strict=True)
    ]


def cost(
    server: psutil.Process, connections: list[socket.socket], requests: Iterator[bytes], seconds: float
) -> tuple[float, list[float]]:
    """CPU of the server for some requests [s], and the time of each [s]."""
    before = server.cpu_times()
    times = load(connections, requests, seconds)
    after = server.cpu_times()
    return after.user - before.user + after.system - before.system, times


def connected(port: int) -> socket.socket:
    """A connection that sends at once."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


if __name__ == "__main__":
    main()
