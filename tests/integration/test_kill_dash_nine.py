"""A process killed at any moment of collecting, cleaning and computing loses nothing and doubles nothing.

Not a mocked crash: SIGKILL, at ten random moments. The rounds go on in the lake that the killed process left,
and begin a new lake when one is complete.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import random
import sys
import time
from pathlib import Path

import pytest

from lostark_assets.lake.tables import Lake
from lostark_simulator.mock_server.config import MockServerConfig
from lostark_simulator.mock_server.running import running_mock_server

ROOT = Path(__file__).resolve().parents[2]
KILLS, LIMIT_S, SEED = 10, 60, 9
SEASON = MockServerConfig(history=22, history_days=3, new_fight_every_s=0, hits_per_player=6, seed=5)
TABLES = (
    "raw_battle_logs", "core_encounters", "core_players", "core_skills", "core_hits", "core_quarantine",
    "stats_player_dps", "stats_dps_timeline",
)  # fmt: skip
PASSING = {"fetched_at", "cleaned_at", "quarantined_at", "computed_at", "source_path"}


@pytest.fixture(scope="module")
def start():
    """Starts a worker: forked from a server that has everything imported and no threads."""
    sys.path.insert(0, str(ROOT))
    from tests.kill_worker import work

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.kill_preload"])

    def start_worker(url, folder):
        process = context.Process(target=work, args=(url, folder), daemon=True)
        process.start()
        return process

    yield start_worker
    sys.path.remove(str(ROOT))


def contents(folder):
    lake, found = Lake(str(folder / "lake")), {}
    for name in TABLES:
        table = lake.read(name)
        keep = [c for c in table.column_names if c not in PASSING and not c.endswith("run_id")]
        rows = sorted(map(repr, table.select(keep).to_pylist()))
        found[name] = (len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest())
    return found


def test_killed_at_ten_random_moments_the_lake_ends_up_as_undisturbed(tmp_path, start):
    chance = random.Random(SEED)
    with running_mock_server(SEASON) as url:
        for name in ("warm", "whole"):
            began = time.monotonic()
            worker = start(url, tmp_path / name)
            worker.join(LIMIT_S)
            assert worker.exitcode == 0
            took_s = time.monotonic() - began
        expected = contents(tmp_path / "whole")
        assert min(rows for rows, _ in expected.values()) > 0

        kills = lakes = 0
        where = {"nothing": 0, "raw": 0, "core": 0, "stats": 0}
        for _ in range(4 * KILLS):
            folder = tmp_path / f"lake{lakes}"
            worker = start(url, folder)
            if kills % 4 == 0 and kills < KILLS:
                # Collecting is over soon: some kills wait for its first commit instead of for their luck.
                wait_for_rows(folder, worker)
            else:
                # Not beyond half of a run, so that most rounds end by the kill.
                worker.join(LIMIT_S if kills == KILLS else chance.uniform(0, took_s / 2))
            if worker.exitcode is None:
                worker.kill()
                worker.join(LIMIT_S)
                kills += 1
                where[reached(folder)] += 1
                continue
            assert worker.exitcode == 0
            assert contents(folder) == expected
            lakes += 1
            if kills == KILLS:
                break

    assert kills == KILLS
    assert lakes >= 1
    assert where["raw"]
    assert where["core"] + where["stats"]


def wait_for_rows(folder, worker):
    deadline = time.monotonic() + LIMIT_S
    while worker.exitcode is None and reached(folder) == "nothing" and time.monotonic() < deadline:
        time.sleep(0.005)


def reached(folder):
    lake = Lake(str(folder / "lake"))
    names = {"stats": "stats_dps_timeline", "core": "core_hits", "raw": "raw_battle_logs"}
    return next((stage for stage, name in names.items() if lake.version(name) is not None), "nothing")
