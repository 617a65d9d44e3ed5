"""What 1 % new encounters cost against the full computation, up to statistics.

One ``encounters.db`` is ingested without its newest fights, then completed and ingested again; both ways run
collect, clean, daily statistics of the touched days and the tables across days, in CPU seconds of one process
each. Half a second of an addition is the same for any history (suites, commits, opening tables), so its
share falls as the history grows: the default is one of 84 million hits, ``--encounters 2400`` one of 20.
The cost of Dagster's events is not measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

GOAL = 0.03


def main() -> None:
    """Print CPU seconds of the full and the incremental computation, their ratio, and peak memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--encounters", type=int, default=10_000)
    parser.add_argument("--db", type=Path, help="use this file instead of generating one")
    parser.add_argument("--measure", type=Path, help="internal: ingest --db into this lake")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(_measure(arguments.db, arguments.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.db or _generate(Path(folder), arguments.encounters)
        part, lake, whole = (
            Path(folder) / "part" / "encounters.db",
            Path(folder) / "lake",
            Path(folder) / "whole",
        )
        left_out = _without_some(path, part)
        _run(part, lake)
        added = _run(path, lake)
        full = _run(path, whole)
    ratio = added["cpu_s"] / full["cpu_s"]
    print(f"full {full['logs']} logs: {full['cpu_s']:.2f} CPU s, {full['peak_mb']:.0f} MB peak")
    print(f"then {left_out} more ({left_out / full['logs']:.1%}): {added['cpu_s']:.2f} CPU s")
    print(f"more / full: {ratio:.1%}  (goal: at most {GOAL:.0%})")


def _generate(folder: Path, encounters: int) -> Path:
    from lostark_simulator.loa_logs_db import write_encounters_db
    from lostark_simulator.season import SeasonConfig, generate_fights

    path = folder / "encounters.db"
    season = SeasonConfig(
        encounters=encounters, seed=6, days=120, start=date(2026, 6, 1), hits_per_player=1400
    )
    write_encounters_db(path, generate_fights(season))
    return path


def _without_some(path: Path, part: Path) -> int:
    """A copy of ``path`` without the newest hundredth of its encounters."""
    part.parent.mkdir()
    shutil.copy(path, part)
    with sqlite3.connect(part) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM encounter_preview ORDER BY fight_start")]
        newest = ids[-max(len(ids) // 100, 1) :]
        marks = ",".join("?" * len(newest))
        for table, key in (("entity", "encounter_id"), ("encounter_preview", "id"), ("encounter", "id")):
            connection.execute(f"DELETE FROM {table} WHERE {key} IN ({marks})", newest)
    return len(newest)


def _run(path: Path, lake: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", str(lake), "--db", str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _measure(path: Path, folder: Path) -> dict[str, float]:
    from lostark_assets.contracts.expectations import examine
    from lostark_assets.contracts.registry import CONTRACTS
    from lostark_assets.core.clean_meter import Rules
    from lostark_assets.core.pipeline import clean_days
    from lostark_assets.core.skill_scan import scan_skills
    from lostark_assets.lake.tables import Lake
    from lostark_assets.sources.collect import collect
    from lostark_assets.sources.loa_logs_db import LoaLogsDb
    from lostark_assets.stats.pipeline import compute_days, refresh_distribution, refresh_progression

    # Imports and compiled code are paid once a process, not once a log.
    warm = Lake(str(folder) + "-warm")
    scan_skills(b'{"1":{"id":1,"totalDamage":0}}')
    examine(CONTRACTS["core_hits"], CONTRACTS["core_hits"].empty())
    _warm_up(warm)
    started = time.process_time()
    lake = Lake(str(folder))
    collected = collect(LoaLogsDb(path), lake, run_id="bench", earliest=date(2022, 1, 1))
    cleaned = clean_days(lake, collected.days, Rules(), run_id="bench")
    compute_days(lake, cleaned.days, "polars", run_id="bench")
    refresh_distribution(lake, "polars")
    refresh_progression(lake, "polars")
    cpu = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": cpu, "peak_mb": peak, "logs": lake.count("core_encounters")}


def _warm_up(lake) -> None:
    """Load the compiled statistics with a handful of tiny fights."""
    from lostark_assets.core.clean_meter import Rules
    from lostark_assets.core.pipeline import clean_days
    from lostark_assets.sources.collect import collect
    from lostark_assets.sources.loa_logs_db import LoaLogsDb
    from lostark_assets.stats.pipeline import compute_days
    from lostark_simulator.loa_logs_db import write_encounters_db
    from lostark_simulator.season import SeasonConfig, generate_fights

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encounters.db"
        write_encounters_db(path, generate_fights(SeasonConfig(encounters=3, hits_per_player=20, dirt=False)))
        collect(LoaLogsDb(path), lake, run_id="warm", earliest=date(2022, 1, 1))
        days = clean_days(lake, None, Rules(), run_id="warm").days
        compute_days(lake, days, "polars", run_id="warm")
    shutil.rmtree(lake.url)


if __name__ == "__main__":
    main()
