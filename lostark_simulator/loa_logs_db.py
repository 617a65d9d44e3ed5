"""Writes fights as a LOA Logs `encounters.db` of version 1.48, with ground truth next to it.

season.py generates the fights; here they are converted to rows in bounded memory.
"""

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lostark_simulator.dirt import expected_outcome
from lostark_simulator.dirt_rows import damage_rows
from lostark_simulator.fight import Fight
from lostark_simulator.loa_logs_rows import build_rows
from lostark_simulator.loa_logs_schema import (
    ENCOUNTER,
    ENTITY,
    PREVIEW,
    create_indexes,
    create_tables,
    insert_statement,
)
from lostark_simulator.truth import TruthWriter
from lostark_simulator.views import FightView, view_fight

_COMMIT_EVERY = 200
_INSERT_ENCOUNTER = insert_statement("encounter", ENCOUNTER)
_INSERT_PREVIEW = insert_statement("encounter_preview", PREVIEW)
_INSERT_ENTITY = insert_statement("entity", ENTITY)


@dataclass
class TruthSummary:
    """Counts of what was written; `fights` counts fights, `encounters` the logs of them."""

    path: Path
    fights: int = 0
    encounters: int = 0
    players: int = 0
    hits: int = 0
    quarantined: int = 0

    def count(self, view: FightView) -> None:
        """Add one log."""
        self.encounters += 1
        self.players += len(view.players)
        self.hits += sum(one.hits.at_ms.size for one in view.players)
        self.quarantined += expected_outcome(view.fight.dirt) == "quarantine"


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    # No journal: an incomplete generated file is regenerated from its seed.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def _insert(connection: sqlite3.Connection, rows: dict) -> None:
    connection.execute(_INSERT_ENCOUNTER, rows["encounter"])
    connection.execute(_INSERT_PREVIEW, rows["preview"])
    connection.executemany(_INSERT_ENTITY, rows["entities"])


def _write_fight(
    connection: sqlite3.Connection, truth: TruthWriter, summary: TruthSummary, fight: Fight
) -> None:
    first_id = None
    for upload in fight.uploads:
        view = view_fight(fight, upload)
        encounter_id = summary.encounters + 1
        rows = build_rows(view, encounter_id)
        damage_rows(fight.dirt, rows)
        _insert(connection, rows)
        truth.add(view, encounter_id, first_id)
        summary.count(view)
        first_id = first_id or encounter_id
    summary.fights += 1


def write_encounters_db(
    path: Path, fights: Iterable[Fight], *, progress: Callable[[int], None] | None = None
) -> TruthSummary:
    """Write all fights, each uploader's log as one encounter, replacing the file; ids count from 1.

    `progress` is called with the number of fights written so far. Ground truth is written next to the
    database.
    """
    connection = _open(path)
    try:
        create_tables(connection)
        summary = TruthSummary(path)
        with TruthWriter(path) as truth:
            connection.execute("BEGIN")
            for fight in fights:
                _write_fight(connection, truth, summary, fight)
                if progress is not None:
                    progress(summary.fights)
                if summary.fights % _COMMIT_EVERY == 0:
                    connection.execute("COMMIT")
                    connection.execute("BEGIN")
            connection.execute("COMMIT")
        create_indexes(connection)
        connection.execute("PRAGMA journal_mode = DELETE")
    finally:
        connection.close()
    return summary
