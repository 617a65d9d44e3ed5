"""10,000 small battle logs from a mock server on loopback into the raw table, against a bare httpx loop.

The bare loop lists the same pages and gets the same logs with as many workers as we have requests at once,
and drops the bodies. The mock server runs in a process of its own, each side in another, interleaved. A last
run has a budget that binds, and the server's own count of its busiest minute.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median

GOAL = 0.5
CONCURRENCY = 16


def main() -> None:
    """Print logs per second, CPU use, the ratio, and the budget kept."""
    from lostark_simulator.mock_server.config import MockServerConfig
    from lostark_simulator.mock_server.running import mock_server_process

    parser = argparse.ArgumentParser()
    parser.add_argument("--logs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--budget", type=int, default=6_000, help="requests a minute of the last run; 0: no such run"
    )
    parser.add_argument("--variant", choices=("ours", "bare"))
    parser.add_argument("--url")
    arguments = parser.parse_args()
    if arguments.variant:
        run = {"ours": _ours, "bare": _bare}[arguments.variant]
        print(json.dumps(run(arguments.url, arguments.budget)))
        return
    config = MockServerConfig(history=arguments.logs, new_fight_every_s=0, tiny_logs=True, dirt=False)
    with mock_server_process(config) as url:
        _measure("bare", url, 0)
        results = {"ours": [], "bare": []}
        for _ in range(arguments.rounds):
            for variant, runs in results.items():
                runs.append(_measure(variant, url, 0))
        for variant, runs in results.items():
            wall_s, logs = median(r["wall_s"] for r in runs), runs[0]["logs"]
            print(
                f"{variant:5} {logs:>7,} logs {wall_s:6.2f} s {logs / wall_s:7,.0f} logs/s, "
                f"{median(r['cpu_s'] / r['wall_s'] for r in runs):4.0%} of one core, "
                f"{median(r['cpu_s'] for r in runs) / logs * 1e3:.2f} CPU ms a log"
            )
        pairs = list(zip(results["ours"], results["bare"], strict=True))
        wall = median(bare["wall_s"] / ours["wall_s"] for ours, bare in pairs)
        cpu = median(bare["cpu_s"] / ours["cpu_s"] for ours, bare in pairs)
        print(f"ours / bare: {wall:.0%} by wall, {cpu:.0%} by CPU  (goal: at least {GOAL:.0%})")
        if arguments.budget:
            _measure_budget(url, arguments.budget)


def _measure(variant: str, url: str, budget: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--variant", variant, "--url", url, "--budget", str(budget)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _measure_budget(url: str, budget: int) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{url}/mock-server/counts", method="DELETE")).close()
    taken = _measure("ours", url, budget)
    with urllib.request.urlopen(f"{url}/mock-server/counts?window_s=60") as answer:
        counts = json.load(answer)
    print(
        f"budget of {budget:,} a minute: {taken['logs']:,} logs in {taken['wall_s']:.1f} s, busiest minute "
        f"by the server's count {counts['busiest']['battle_logs']:,} of {counts['requests']}"
    )


def _ours(url: str, budget: int) -> dict[str, float]:
    from lostark_assets.lake.tables import Lake
    from lostark_assets.settings import get_settings
    from lostark_assets.sources.collect import collect
    from lostark_assets.sources.configured import service_at, service_source

    with tempfile.TemporaryDirectory() as folder:
        settings = get_settings(
            home=Path(folder), battle_log_requests_per_minute=budget, http_concurrency=CONCURRENCY
        )
        started, cpu = time.perf_counter(), time.process_time()
        done = collect(
            service_source(service_at(url), settings),
            Lake(settings.lake_url),
            run_id=f"bench-{datetime.now(UTC):%s}",
            earliest=date(2022, 1, 1),
        )
        return {"wall_s": time.perf_counter() - started, "cpu_s": time.process_time() - cpu, "logs": done.new}


def _bare(url: str, _: int) -> dict[str, float]:
    started, cpu = time.perf_counter(), time.process_time()
    logs = asyncio.run(_bare_loop(url))
    return {"wall_s": time.perf_counter() - started, "cpu_s": time.process_time() - cpu, "logs": logs}


async def _bare_loop(url: str) -> int:
    import httpx

    fetched, limits = 0, httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
    async with httpx.AsyncClient(base_url=url, limits=limits) as client:

        async def work(ids: list[str]) -> None:
            nonlocal fetched
            while ids:
                answer = await client.get(f"/v1/battle-logs/{ids.pop()}")
                answer.raise_for_status()
                fetched += 1

        cursor: dict[str, str] = {}
        while True:
            answer = await client.get("/v1/battle-logs", params={"limit": "1000", **cursor})
            page = answer.json()
            if not page["logs"]:
                return fetched
            cursor = {"after": page["next_cursor"]}
            ids = [log["id"] for log in page["logs"]]
            await asyncio.gather(*(work(ids) for _ in range(CONCURRENCY)))


if __name__ == "__main__":
    main()
