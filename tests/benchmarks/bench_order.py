"""Uploads while a bulk import runs: seconds from the POST to the fight's page.

A watched folder gets a database of many fights. As soon as its import is under way, uploads of one fight each
are sent, one after the other, until it ends. A person's upload goes first: the import delays it by a batch.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bench_live import Api, p95, running_platform, send_and_wait, wait_until_settled, write_uploads

from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights

GOAL_P95_S = 10.0
_MAX_UPLOADS = 200
_IMPORT_TIMEOUT_S = 120.0


def main() -> None:
    """Print percentiles of the seconds to the page during the import, and before it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fights", type=int, default=3000, help="of the bulk import")
    parser.add_argument("--before", type=int, default=5, help="uploads that are sent before it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        watched = root / "watched"
        watched.mkdir()
        uploads = write_uploads(root / "uploads", _MAX_UPLOADS + arguments.before)
        database = _write_database(root / "encounters.db", arguments.fights)
        with running_platform(root / "home", LOSTARK_SOURCES=str(watched)) as (api, _):
            send_and_wait(api, next(uploads))
            wait_until_settled(api)
            before = [_measure(api, next(uploads)) for _ in range(arguments.before)]
            database.rename(watched / "encounters.db")
            started = time.monotonic()
            _await_import(api)
            during = []
            while api.has_runs(concurrency_group="ingest"):
                during.append(_measure(api, next(uploads)))
            took = time.monotonic() - started
    print(f"{len(before)} uploads before: {_describe(before)}")
    what = f"the import of {arguments.fights:,} fights ({took:.0f} s)"
    print(f"{len(during)} uploads during {what}: {_describe(during)}")
    print(f"goal: p95 {GOAL_P95_S:g} s")


def _write_database(path: Path, fights: int) -> Path:
    season = SeasonConfig(encounters=fights, seed=83, days=28, hits_per_player=300, dirt=False)
    write_encounters_db(path, generate_fights(season))
    return path


def _await_import(api: Api) -> None:
    deadline = time.monotonic() + _IMPORT_TIMEOUT_S
    while not api.has_runs(concurrency_group="ingest"):
        if time.monotonic() > deadline:
            raise RuntimeError(f"no import within {_IMPORT_TIMEOUT_S:g} s")
        time.sleep(0.2)


def _measure(api: Api, upload: Path) -> float:
    started = time.monotonic()
    send_and_wait(api, upload)
    return time.monotonic() - started


def _describe(waits: list[float]) -> str:
    return f"p50 {statistics.median(waits):.1f} s, p95 {p95(waits):.1f} s, at most {max(waits):.1f} s"


if __name__ == "__main__":
    main()
