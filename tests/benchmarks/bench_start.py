"""Starting: imports, and ``lostark ingest --run`` of four logs into a new home and an existing one.

CPU seconds and peak memory are those of the command and of the processes that it waits for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bench_live import cpu_rate, cpu_s, running_platform, wait_until_settled

FIRST_GOAL_S, LATER_GOAL_S, GOAL_MB = 12.0, 5.0, 400
_LOSTARK = "from lostark_platform.cli.app import app; app()"


def main() -> None:
    """Print CPU seconds, seconds and peak memory of each command."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        _show("import lostark", _run(home, "import lostark"))
        for arguments in (["--help"], ["doctor", "--help"]):
            _show(f"lostark {' '.join(arguments)}", _run(home, _LOSTARK, *arguments))
        databases = [_write_database(Path(folder) / f"{seed}.db", seed) for seed in range(1, 6)]
        *databases, warm_up, last = databases
        first, *later = (_run(home, _LOSTARK, "ingest", str(path), "--run") for path in databases)
        _show("lostark ingest --run, new home", first, f"goal {FIRST_GOAL_S:g} CPU s")
        for taken in later:
            _show("lostark ingest --run, existing home", taken, f"goal {LATER_GOAL_S:g} CPU s, {GOAL_MB} MB")
        with running_platform(home) as (api, process):
            for database in (warm_up, last):
                wait_until_settled(api)
                before, started = cpu_s(process), time.monotonic()
                taken = _run(home, _LOSTARK, "ingest", str(database), "--run")
                took = time.monotonic() - started
                used = cpu_s(process) - before
            _show("the same while the platform runs", taken, f"goal {LATER_GOAL_S:g} CPU s, {GOAL_MB} MB")
            wait_until_settled(api)
            used -= cpu_rate(process, 30.0) * took
            print(f"{'':40}{used:7.2f} CPU s in the platform's processes, above idling")


def _write_database(path: Path, seed: int) -> Path:
    from lostark_simulator.loa_logs_db import write_encounters_db
    from lostark_simulator.season import SeasonConfig, generate_fights

    season = SeasonConfig(encounters=4, seed=seed, days=1, hits_per_player=600, dirt=False)
    write_encounters_db(path, generate_fights(season))
    return path


def _run(home: Path, code: str, *arguments: str) -> tuple[float, float, float]:
    """CPU seconds, seconds and MB of ``python -c code arguments``, measured by a process of its own."""
    script = (
        "import json, resource, subprocess, sys, time\n"
        "started = time.perf_counter()\n"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime, time.perf_counter() - started, used.ru_maxrss / 1024)\n"
    )
    command: Sequence[str] = [sys.executable, "-c", script, sys.executable, "-c", code, *arguments]
    env = {**os.environ, "LOSTARK_HOME": str(home)}
    out = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    cpu_s, wall_s, mb = map(float, out.split())
    return cpu_s, wall_s, mb


def _show(what: str, taken: tuple[float, float, float], goal: str = "") -> None:
    cpu_s, wall_s, mb = taken
    print(f"{what:40}{cpu_s:7.2f} CPU s{wall_s:8.2f} s{mb:7.0f} MB  {goal}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
