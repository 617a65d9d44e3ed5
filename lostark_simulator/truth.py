"""Ground truth of a generated database: exact numbers from the generated hits, written in batches.

The numbers are those that a correct pipeline recovers from the log, with spelling and dirt corrected.
"""

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lostark_simulator.dirt import EXPECTED_REASONS, expected_outcome
from lostark_simulator.model import PARTS
from lostark_simulator.specs import SUPPORT_CLASSES
from lostark_simulator.views import FightView, PlayerView

_BATCH_ROWS = 5_000
_INTS = (
    "damage dps duration_ms hits crits back_attacks front_attacks casts crit_damage max_hit first_hit_ms "
    "last_hit_ms deaths"
).split()
_PLAYERS = pa.schema(
    [("encounter_id", pa.int64()), ("fight_number", pa.int64())]
    + [(name, pa.string()) for name in ("player_name", "class_name", "spec_name")]
    + [(name, pa.bool_()) for name in ("is_support", "is_dead", "is_uploader")]
    + [(name, pa.float64()) for name in ("item_level", "combat_power")]
    + [(name, pa.int64()) for name in _INTS]
    + [(f"log_{part}", pa.float64()) for part in PARTS]
    + [("log_expected_dps", pa.float64())]
)
_ENCOUNTERS = pa.schema(
    [("encounter_id", pa.int64()), ("fight_number", pa.int64())]
    + [(name, pa.string()) for name in ("raid_name", "gate_name", "boss_name")]
    + [("difficulty", pa.string()), ("difficulty_logged", pa.string()), ("is_cleared", pa.bool_())]
    + [(name, pa.int64()) for name in ("fight_start_ms", "duration_ms", "total_damage", "players")]
    + [("uploader", pa.string()), ("is_duplicate_of", pa.int64())]
    + [(name, pa.string()) for name in ("dirt", "expected_outcome", "expected_reason")]
)
_SKILLS = pa.schema(
    [("encounter_id", pa.int64()), ("player_name", pa.string())]
    + [(name, pa.int64()) for name in ("skill_id", "damage", "hits", "crits", "casts")]
)


@dataclass(frozen=True)
class Truth:
    """Ground truth tables: one row per player and log, per log, and per skill of a player and log."""

    players: pd.DataFrame
    encounters: pd.DataFrame
    skills: pd.DataFrame


def truth_paths(db_path: Path) -> dict[str, Path]:
    """Ground truth files of a database by table."""
    suffixes = {"players": "truth", "encounters": "truth_encounters", "skills": "truth_skills"}
    return {
        table: db_path.with_name(f"{db_path.stem}.{suffix}.parquet") for table, suffix in suffixes.items()
    }


def read_truth(db_path: Path) -> Truth:
    """Read the ground truth of a database."""
    tables = {table: pd.read_parquet(path) for table, path in truth_paths(db_path).items()}
    tables["encounters"]["is_duplicate_of"] = tables["encounters"]["is_duplicate_of"].astype("Int64")
    return Truth(**tables)


def _player_row(view: FightView, one: PlayerView, encounter_id: int) -> dict:
    player, sums = one.player, one.sums
    is_old = view.fight.dirt == "old_layout"
    spec_name = None if is_old or player.spec_logged is None else player.spec.name
    is_support = player.spec.is_support if spec_name else player.spec.class_name in SUPPORT_CLASSES
    deaths = view.deaths(player)
    return {
        "encounter_id": encounter_id,
        "fight_number": view.fight.number,
        "player_name": player.name,
        "class_name": player.spec.class_name,
        "spec_name": spec_name,
        "is_support": is_support,
        "is_dead": any(dead_for is None for _, dead_for in deaths),
        "is_uploader": player.name == view.upload.local_player,
        "item_level": player.item_level_logged or None,
        "combat_power": None if is_old else player.combat_power,
        "damage": one.damage,
        "dps": one.damage // view.seconds,
        "duration_ms": view.duration_ms,
        "hits": int(sums.hits.sum()),
        "crits": int(sums.crits.sum()),
        "back_attacks": int(sums.backs.sum()),
        "front_attacks": int(sums.fronts.sum()),
        "casts": one.casts,
        "crit_damage": int(sums.crit_damage.sum()),
        "max_hit": int(sums.max_hit.max()),
        "first_hit_ms": int(one.hits.at_ms.min()),
        "last_hit_ms": int(one.hits.at_ms.max()),
        "deaths": len(deaths),
        **{f"log_{part}": player.parts[part] for part in PARTS},
        "log_expected_dps": float(np.sum([player.parts[part] for part in PARTS if part != "noise"])),
    }


def _encounter_row(view: FightView, encounter_id: int, duplicate_of: int | None) -> dict:
    fight = view.fight
    return {
        "encounter_id": encounter_id,
        "fight_number": fight.number,
        "raid_name": fight.gate.raid,
        "gate_name": fight.gate.gate,
        "boss_name": fight.gate.boss,
        "difficulty": fight.gate.difficulty,
        "difficulty_logged": fight.difficulty_logged,
        "is_cleared": fight.is_cleared,
        "fight_start_ms": view.start_ms,
        "duration_ms": view.duration_ms,
        "total_damage": view.total_damage,
        "players": len(view.players),
        "uploader": view.upload.local_player,
        "is_duplicate_of": duplicate_of,
        "dirt": fight.dirt,
        "expected_outcome": expected_outcome(fight.dirt),
        "expected_reason": EXPECTED_REASONS.get(fight.dirt) if fight.dirt else None,
    }


def _skill_rows(one: PlayerView, encounter_id: int) -> list[dict]:
    sums = one.sums
    columns = (one.kit.ids[sums.skills], sums.damage, sums.hits, sums.crits, sums.casts)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    rows += [(skill_id, 0, 0, 0, len(times)) for skill_id, times in one.idle_casts.items()]
    names = _SKILLS.names[2:]
    base = {"encounter_id": encounter_id, "player_name": one.player.name}
    return [base | dict(zip(names, row, strict=True)) for row in rows]


class _Table:
    """A Parquet file written in row groups, so that memory stays bounded."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(path, schema)
        self._schema = schema
        self._rows: list[dict] = []

    def add(self, rows: list[dict]) -> None:
        self._rows += rows
        if len(self._rows) >= _BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []

    def close(self) -> None:
        self.flush()
        self._writer.close()


class TruthWriter:
    """Writes the truth of one database while it is generated; use it as a context manager."""

    def __init__(self, db_path: Path) -> None:
        paths = truth_paths(db_path)
        self._players = _Table(paths["players"], _PLAYERS)
        self._encounters = _Table(paths["encounters"], _ENCOUNTERS)
        self._skills = _Table(paths["skills"], _SKILLS)

    def add(self, view: FightView, encounter_id: int, duplicate_of: int | None) -> None:
        """Add one log; `duplicate_of` is the id of the first log of the same fight."""
        self._encounters.add([_encounter_row(view, encounter_id, duplicate_of)])
        self._players.add([_player_row(view, one, encounter_id) for one in view.players])
        for one in view.players:
            self._skills.add(_skill_rows(one, encounter_id))

    def __enter__(self) -> "TruthWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for table in (self._players, self._encounters, self._skills):
            table.close()
