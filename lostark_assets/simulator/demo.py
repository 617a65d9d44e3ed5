"""The small season that a first start shows when no source of real logs is configured."""

from datetime import date, timedelta
from pathlib import Path

from lostark_assets.simulator.loa_logs_db import write_encounters_db
from lostark_assets.simulator.season import SeasonConfig, generate_fights

DEMO_DAYS = 28
DEMO_HITS_PER_PLAYER = 300


def write_demo(folder: Path, encounters: int = 60, seed: int = 1, *, today: date) -> Path:
    """Write `encounters.db` with four weeks of fights that end yesterday (UTC); returns its path."""
    config = SeasonConfig(
        encounters=encounters,
        seed=seed,
        start=today - timedelta(days=DEMO_DAYS),
        days=DEMO_DAYS,
        hits_per_player=DEMO_HITS_PER_PLAYER,
    )
    path = folder / "encounters.db"
    write_encounters_db(path, generate_fights(config))
    return path
