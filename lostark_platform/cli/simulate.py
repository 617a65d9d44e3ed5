"""``lostark simulate``: write an ``encounters.db`` of synthetic fights, with ground truth beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from lostark_assets.errors import PermanentError
from lostark_platform.terminal import progress
from lostark_simulator.loa_logs_db import TruthSummary, write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights

_FILE_NAME = "encounters.db"
HITS_PER_PLAYER = 1400


def simulate(
    path: Path, *, encounters: int, seed: int, hits_per_player: int, days: int, dirt: bool
) -> TruthSummary:
    """Write fights of the ``days`` up to yesterday (UTC) to ``path``: a new file, or a folder for one.

    Raises:
        PermanentError: the file exists; a player's own database is never overwritten.
    """
    file = path if path.suffix else path / _FILE_NAME
    if file.exists():
        raise PermanentError(
            f"{file}: expected no file there, found one. It was not changed. Choose another path."
        )
    config = SeasonConfig(
        encounters=encounters,
        seed=seed,
        start=datetime.now(UTC).date() - timedelta(days=days),
        days=days,
        hits_per_player=hits_per_player,
        dirt=dirt,
    )
    with progress("writing fights", encounters) as step:
        return write_encounters_db(
            file, generate_fights(config), progress=lambda done: step(done, encounters)
        )
