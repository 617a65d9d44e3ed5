"""A small synthetic season in a lake, up to its statistics."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.pipeline import clean_days
from lostark_assets.lake.tables import Lake
from lostark_assets.sources.collect import collect
from lostark_assets.sources.loa_logs_db import LoaLogsDb
from lostark_assets.stats.pipeline import compute_days, refresh_distribution, refresh_progression
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights

START = date(2026, 9, 2)


def add_fights(
    lake: Lake, folder: Path, *, start: date = START, encounters: int = 40, seed: int = 11
) -> None:
    """``encounters`` fights of four days, collected, cleaned and computed."""
    path = folder / f"{start}-{seed}.db"
    season = SeasonConfig(
        encounters=encounters, seed=seed, days=4, start=start, hits_per_player=40, duplicate_share=0.2
    )
    write_encounters_db(path, generate_fights(season))
    collect(LoaLogsDb(path, path.stem), lake, run_id="test", earliest=date(2022, 1, 1))
    clean_days(lake, None, Rules(), run_id="test")
    new = set(lake.days("core_encounters")) - set(lake.days("stats_player_dps"))
    compute_days(lake, new, "polars", run_id="test")
    refresh_distribution(lake, "polars")
    refresh_progression(lake, "polars")
