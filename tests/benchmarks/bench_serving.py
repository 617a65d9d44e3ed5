"""A kept read against a bare ASGI app on the same server and core, in one run; and the marts' own questions.

    python tests/benchmarks/bench_serving.py [--seconds 3] [--rounds 3]

Prints what one request of either costs the server's core, in turn, and the requests a second that this
allows the API as a share of the bare app's (the aim is 50 % at least); p50 and p99 of kept reads; and the
time of every route's first, computed answer. Costs are CPU time of the server: a slow client doesn't count.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import psutil

from lostark_assets.lake.tables import Lake
from lostark_assets.platform.postgres import embedded_postgres
from lostark_assets.publish.publish import publish, waiting
from lostark_assets.settings import get_settings
from tests.serving.a_lake import add_fights

CONNECTIONS = 32
ROUTE = "/v1/tier-list"
ROUTES = ("/v1/gates", ROUTE, "/v1/fights", "/v1/characters", "/v1/progression", "/v1/quality")
BARE = """
import os
BODY = b"x" * int(os.environ["BODY_BYTES"])
HEAD = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": HEAD})
        await send({"type": "http.response.body", "body": BODY})
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
        for _ in range(300):
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


async def load(port: int, path: str, seconds: float) -> tuple[float, list[float]]:
    """Requests a second over kept connections, and the time of each [s]."""
    until, times = time.perf_counter() + seconds, []
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Language: ko\r\n\r\n".encode()

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        while time.perf_counter() < until:
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(size)
            times.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return len(times) / (time.perf_counter() - began), times


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
            env = {"LOSTARK_HOME": str(folder / "api"), "LOSTARK_POSTGRES_URL": databases.lostark}
            with process(command, api, "/readyz", **env) as api_process:
                for route in ROUTES:
                    began = time.perf_counter()
                    with urlopen(f"http://127.0.0.1:{api}{route}") as answer:
                        body = len(answer.read())
                    took_ms = 1000 * (time.perf_counter() - began)
                    print(f"{route:20} first answer {took_ms:6.1f} ms, {body:,} bytes")
                with urlopen(f"http://127.0.0.1:{api}{ROUTE}") as answer:
                    size = len(answer.read())
                uvicorn = [sys.executable, "-m", "uvicorn", "bare:app", "--app-dir", str(folder)]
                quiet = ["--log-level", "warning", "--no-access-log", "--no-server-header"]
                command = [*uvicorn, "--port", str(bare), *quiet]
                with process(command, bare, "/", BODY_BYTES=str(size)) as bare_process:
                    compare((api, api_process), (bare, bare_process), arguments.seconds, arguments.rounds)


def compare(
    api: tuple[int, psutil.Process], bare: tuple[int, psutil.Process], seconds: float, rounds: int
) -> None:
    """Load both in turn, and print what came of it."""
    ratios, times = [], []
    for _ in range(rounds):
        bare_us, bare_rate, _ = cost(*bare, "/", seconds)
        api_us, api_rate, took = cost(*api, ROUTE, seconds)
        ratios.append(bare_us / api_us)
        times += took
        print(
            f"bare {bare_us:5.1f} µs ({bare_rate:7,.0f}/s)   kept {api_us:5.1f} µs ({api_rate:7,.0f}/s)   "
            f"share {ratios[-1]:.0%}"
        )
    times.sort()
    p50, p99 = (times[int(len(times) * share)] * 1000 for share in (0.5, 0.99))
    print(f"share {statistics.median(ratios):.0%} (median); kept p50 {p50:.2f} ms, p99 {p99:.2f} ms")


def cost(port: int, server: psutil.Process, path: str, seconds: float) -> tuple[float, float, list[float]]:
    """CPU of the server for one request [µs], requests a second, and the time of each [s]."""
    before = server.cpu_times()
    rate, times = asyncio.run(load(port, path, seconds))
    after = server.cpu_times()
    spent = after.user - before.user + after.system - before.system
    return spent / len(times) * 1e6, rate, times


if __name__ == "__main__":
    main()
