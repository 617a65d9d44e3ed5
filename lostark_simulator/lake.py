"""A small lake of synthetic fights, computed by the real pipeline: for notebooks, examples and tests."""

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

_RUN_ID = "synthetic"


def build_lake(folder: Path, season: SeasonConfig) -> Lake:
    """Write ``encounters.db`` of ``season`` into ``folder``, and build a lake up to statistics next to it."""
    folder.mkdir(parents=True, exist_ok=True)
    database = folder / "encounters.db"
    write_encounters_db(database, generate_fights(season))
    lake = Lake(str(folder / "lake"))
    collect(LoaLogsDb(database), lake, run_id=_RUN_ID, earliest=date(2022, 1, 1))
    core = clean_days(lake, None, Rules(), run_id=_RUN_ID)
    compute_days(lake, core.days, "pandas", run_id=_RUN_ID)
    refresh_distribution(lake, "pandas")
    refresh_progression(lake, "pandas")
    return lake
