"""``encounters.db`` to committed core tables, against the plain way, and the memory that it takes.

The plain way is zlib, json and a Python loop to rows of all four core tables, without checking or writing
them. Both read the same generated file of some 10 million hits; CPU seconds of the process (user and system,
all threads), the runs interleaved. A smaller file (``--encounters 300``) costs more a hit: the first batches
touch memory that later ones use again. Statistics are measured by ``bench_hit_statistics``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import zlib
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median
from typing import Any

GOAL = 4.0
ROUNDS = 3


def main() -> None:
    """Print CPU seconds, hits per CPU second, the ratio and peak memory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--encounters", type=int, default=1200)
    parser.add_argument("--db", type=Path, help="use this file instead of generating one")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--variant", choices=("ours", "plain"))
    arguments = parser.parse_args()
    if arguments.variant:
        _measure(arguments.variant, arguments.db)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.db or _generate(Path(folder), arguments.encounters)
        results = {"ours": [], "plain": []}
        for _ in range(arguments.rounds):
            for variant, runs in results.items():
                command = [sys.executable, __file__, "--variant", variant, "--db", str(path)]
                runs.append(
                    json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                )
    for variant, runs in results.items():
        seconds, hits = median(r["cpu_s"] for r in runs), runs[0]["hits"]
        print(
            f"{variant:6} {hits:>10,} hits {seconds:7.2f} CPU s {hits / seconds:>10,.0f} hits/CPU s "
            f"{max(r['peak_mb'] for r in runs):6.0f} MB peak"
        )
    ratio = median(p["cpu_s"] / o["cpu_s"] for o, p in zip(results["ours"], results["plain"], strict=True))
    print(f"plain / ours (end to end, committed): {ratio:.2f}  (goal: at least {GOAL})")


def _generate(folder: Path, encounters: int) -> Path:
    from lostark_simulator.loa_logs_db import write_encounters_db
    from lostark_simulator.season import SeasonConfig, generate_fights

    path = folder / "encounters.db"
    write_encounters_db(
        path, generate_fights(SeasonConfig(encounters=encounters, seed=5, hits_per_player=1400))
    )
    return path


def _measure(variant: str, path: Path) -> None:
    run = {"ours": _ours, "plain": _plain}[variant]
    print(json.dumps(run(path) | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def _ours(path: Path) -> dict[str, float]:
    import pyarrow as pa

    from lostark_assets.contracts.expectations import examine
    from lostark_assets.contracts.registry import CONTRACTS
    from lostark_assets.core.clean_meter import Rules
    from lostark_assets.core.pipeline import clean_days
    from lostark_assets.core.skill_scan import scan_skills
    from lostark_assets.lake.tables import Lake
    from lostark_assets.sources.collect import collect
    from lostark_assets.sources.loa_logs_db import LoaLogsDb

    # Compiled code is loaded once a process, like the imports.
    scan_skills(b'{"1":{"id":1,"totalDamage":0}}')
    fields = CONTRACTS["core_hits"].schema
    examine(CONTRACTS["core_hits"], pa.table([pa.nulls(1, f.type) for f in fields], names=fields.names))
    folder = Path(tempfile.mkdtemp())
    try:
        started = time.process_time()
        lake = Lake(str(folder))
        collect(LoaLogsDb(path), lake, run_id="bench", earliest=date(2022, 1, 1))
        run = clean_days(lake, None, Rules(), run_id="bench")
        return {"cpu_s": time.process_time() - started, "hits": run.hits}
    finally:
        shutil.rmtree(folder)


def _plain(path: Path) -> dict[str, float]:
    started = time.process_time()
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    hits = 0
    for (encounter_id,) in connection.execute("SELECT id FROM encounter").fetchall():
        with contextlib.suppress(zlib.error, ValueError, TypeError):
            hits += len(_plain_rows(connection, encounter_id)["hits"])
    return {"cpu_s": time.process_time() - started, "hits": hits}


def _plain_rows(
    connection: sqlite3.Connection, encounter_id: int
) -> dict[str, list[dict[str, object] | tuple]]:
    """Rows of all four core tables, as a script would make them that trusts the file."""
    both = "SELECT * FROM encounter JOIN encounter_preview USING (id) WHERE id = ?"
    encounter = dict(connection.execute(both, (encounter_id,)).fetchone())
    encounter |= {name: _document(encounter[name]) for name in ("misc", "boss_hp_log") if encounter.get(name)}
    query = "SELECT * FROM entity WHERE encounter_id = ? AND entity_type = 'PLAYER'"
    players, skills, hits = [], [], []
    started_ms = encounter["fight_start"]
    day = datetime.fromtimestamp((started_ms or 0) / 1000, UTC).date()
    for entity in map(dict, connection.execute(query, (encounter_id,)).fetchall()):
        name = entity["name"]
        documents = {k: _document(entity.pop(k)) for k in ("skills", "damage_stats", "skill_stats")}
        players.append(entity | documents["damage_stats"] | documents["skill_stats"])
        for skill in documents["skills"].values():
            casts = skill.pop("skillCastLog", ())
            skills.append({"encounter_id": encounter_id, "fight_date": day, "player_name": name} | skill)
            for cast in casts:
                for hit in cast["hits"]:
                    hits.append(  # noqa: PERF401 - the plain way
                        (encounter_id, day, name, skill["id"], hit["timestamp"] - started_ms, hit["damage"],
                         hit["crit"], hit["backAttack"], hit["frontAttack"])
                    )  # fmt: skip
    return {"encounters": [encounter], "players": players, "skills": skills, "hits": hits}


def _document(value: bytes | str | None) -> dict[str, Any]:
    if not value:
        return {}
    return json.loads(zlib.decompress(value, 31) if isinstance(value, bytes) else value) or {}


if __name__ == "__main__":
    main()
