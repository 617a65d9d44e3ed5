"""A service that gains a fight every few seconds: the platform's cost above idling, and whether it keeps up.

Two platforms run one after the other, each on a mock server with the same history: one that stands still, one
that grows. The backlog is what the service has and the core tables don't.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parent))

from bench_live import cpu_rate, running_platform, wait_until_settled

GOAL_ABOVE_IDLE = 0.15


def main() -> None:
    """Print the share of a core above idling, and by how much the backlog grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--every", type=float, nargs="+", default=[15.0, 1.0], help="seconds between fights, one run each"
    )
    parser.add_argument("--minutes", type=float, nargs="+", default=[3.0, 10.0], help="of each run")
    parser.add_argument("--history", type=int, default=60)
    arguments = parser.parse_args()
    idle, _ = _measure(0.0, arguments.minutes[0], arguments.history)
    print(f"a source that stands still: {idle:.1%} of a core", flush=True)
    for every_s, minutes in zip(arguments.every, arguments.minutes, strict=True):
        used, (first, last) = _measure(every_s, minutes, arguments.history)
        above = f"{used - idle:.1%} above idling (goal at every 15 s: {GOAL_ABOVE_IDLE:.0%})"
        print(f"a fight every {every_s:g} s: {used:.1%} of a core, {above}")
        print(f"  the backlog grew by {last - first} logs in {minutes:g} min", flush=True)


def _measure(every_s: float, minutes: float, history: int) -> tuple[float, tuple[int, int]]:
    from lostark_simulator.mock_server.config import MockServerConfig
    from lostark_simulator.mock_server.running import mock_server_process

    config = MockServerConfig(history=history, new_fight_every_s=every_s, hits_per_player=600)
    with tempfile.TemporaryDirectory() as folder, mock_server_process(config) as url:
        home = Path(folder) / "home"

        def backlog() -> int:
            return httpx.get(f"{url}/mock-server", trust_env=False).json()["logs"] - _processed(home)

        with running_platform(home, LOSTARK_BATTLE_LOG_URLS=f"bench={url}") as (api, process):
            deadline = time.monotonic() + 600
            while backlog() > max(5, history // 20):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{backlog()} logs of the history are still not processed")
                time.sleep(2.0)
            if not every_s:
                wait_until_settled(api)
            time.sleep(60.0)
            before = backlog()
            rate = cpu_rate(process, 60 * minutes)
            return rate, (before, backlog())


def _processed(home: Path) -> int:
    from lostark_assets.lake.tables import open_lake
    from lostark_assets.settings import get_settings

    lake = open_lake(get_settings(home=home))
    refused = lake.read("core_quarantine", columns=["scope"])["scope"].to_pylist().count("log")
    return lake.count("core_encounters") + refused


if __name__ == "__main__":
    main()
