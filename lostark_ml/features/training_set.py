"""Feature engineering, shared by training, evaluation, batch scoring and serving.

It reads the players of all logs at given versions of the lake's tables and computes what was known before
and around each fight. Outcomes of the fight (damage, shares, duration, deaths, ranks) are never features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.core import UPTIMES
from lostark_assets.contracts.ml import EXCLUSIONS, ML_TRAINING_SET, PARTY, UNKNOWN
from lostark_assets.contracts.stats import STATS_PLAYER_DPS
from lostark_assets.contracts.table import INSTANT
from lostark_assets.game.specs import SUPPORT_CLASSES
from lostark_assets.lake.tables import Lake
from lostark_assets.stats.weeks import HOUR_US, WEEK_US
from lostark_ml.features.columns import MODEL_FEATURES, NO_SUPPORT, SUPPORT_CODES
from lostark_ml.features.history import compute_history
from lostark_ml.features.kernels import party_features

PLAYERS_IN_A_PARTY = 4
PARTY_FEATURES = ["ark_passive_flag", *(c.name for c in PARTY)]
SOURCES = (STATS_PLAYER_DPS.name, "core_players", "core_encounters")
"""Tables that the features come from: their versions name the data."""
Number = TypeVar("Number", np.ndarray, float)
Text = TypeVar("Text", pd.Series, str)

_UPTIMES = [c.name for c in UPTIMES]
_KEYS = ["encounter_id", "player_name"]
_STATS = [
    *_KEYS, "fight_id", "is_counted", "fight_date", "fight_started_at", "week_started_at", "raid_name",
    "gate_name", "difficulty", "is_cleared", "duration_s", "measurement_rules", "region", "is_name_known",
    "class_name", "spec_name", "item_level", "item_level_bracket", "combat_power", "is_support", "is_dead",
    "is_uploader", "dps", *_UPTIMES,
]  # fmt: skip


@dataclass(frozen=True)
class TrainingSet:
    """Every player row with its features, and the versions of the tables that they come from."""

    frame: pd.DataFrame
    versions: dict[str, int | None]

    @property
    def population(self) -> pd.DataFrame:
        """Rows to learn from: dealers who lived through a counted clear."""
        return self.frame[self.frame["exclusion_reason"].isna()]

    @property
    def exclusions(self) -> Counter[str]:
        """Number of rows left out, by reason."""
        return count_exclusions(self.frame)

    def table(self) -> pa.Table:
        """The rows by the contract of ``ml_training_set``."""
        # pyarrow asks pandas for zoned instants in a way that pandas warns about.
        instants = [c.name for c in ML_TRAINING_SET.columns if c.dtype == INSTANT]
        plain = self.frame.assign(**{name: _micros(self.frame[name]) for name in instants})
        return ML_TRAINING_SET.conform(pa.Table.from_pandas(plain, preserve_index=False))


def count_exclusions(frame: pd.DataFrame) -> Counter[str]:
    """Number of rows left out, by reason."""
    counts = frame["exclusion_reason"].dropna().value_counts()
    return Counter({str(reason): int(rows) for reason, rows in counts.items()})


def build_training_set(
    lake: Lake, *, days: Iterable[date] | None = None, versions: Mapping[str, int] | None = None
) -> TrainingSet:
    """Features of all players, or of those who fought on ``days``; earlier days are read for histories.

    Args:
        lake: where the tables are.
        days: fight days of the rows wanted.
        versions: Delta versions by table, to bring back what a model was trained on; the newest otherwise.
    """
    used = {name: (versions or {}).get(name, lake.version(name)) for name in SOURCES}
    wanted = None if days is None else set(days)
    until = date.max if wanted is None else max(wanted, default=date.min)
    frame = build_features(read_players(lake, until=until, versions=used))
    if wanted is not None:
        frame = frame[frame["fight_date"].isin(wanted)].reset_index(drop=True)
    return TrainingSet(frame, used)


def read_players(
    lake: Lake,
    *,
    since: date = date.min,
    until: date = date.max,
    versions: Mapping[str, int | None] | None = None,
) -> pd.DataFrame:
    """What ``build_features`` needs, of all fight days from ``since`` to ``until``."""
    versions = versions or {}
    day = pc.field("fight_date")
    where = (day >= pa.scalar(since)) & (day <= pa.scalar(until))

    def read(name: str, columns: list[str]) -> pd.DataFrame:
        return lake.read(name, columns=columns, version=versions.get(name), where=where).to_pandas()

    players = read(STATS_PLAYER_DPS.name, _STATS)
    players = players.merge(read("core_players", [*_KEYS, "is_ark_passive_active"]), on=_KEYS, how="left")
    return players.merge(
        read("core_encounters", ["encounter_id", "intermission_ms"]), on="encounter_id", how="left"
    )


def build_features(players: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``ml_training_set``, one for each of ``players``, ordered by start, encounter and name.

    Args:
        players: rows of ``stats_player_dps`` with ``is_ark_passive_active`` of ``core_players`` and
            ``intermission_ms`` of ``core_encounters``; all players of each encounter.
    """
    rows = players.sort_values(["fight_started_at", *_KEYS], kind="stable", ignore_index=True)
    started_us, week_us = _micros(rows["fight_started_at"]), _micros(rows["week_started_at"])
    frame = rows[[c for c in ML_TRAINING_SET.names if c in rows.columns]].copy()
    frame["exclusion_reason"] = find_exclusions(rows)
    for name in ("class_name", "spec_name", "region"):
        frame[name] = rows[name].fillna(UNKNOWN)
    frame["gate_difficulty"] = _gate_difficulty(rows)
    for name in ("item_level", "combat_power", *_UPTIMES):
        frame[name] = rows[name].astype(float)
    frame["uploader_flag"] = _flag(rows["is_uploader"])
    for name, moment in compute_moment_features(started_us, week_us).items():
        frame[name] = moment
    frame["log_dps"] = np.log(rows["dps"].astype(float).where(rows["dps"].astype(float) > 0))
    frame = pd.concat([frame, _compute_party(rows)], axis=1)
    history = compute_history(
        pd.DataFrame(
            {
                "started_us": started_us,
                "week_us": week_us,
                "cell": _codes(frame, ["gate_difficulty", "spec_name", "measurement_rules"]),
                "log_dps": frame["log_dps"],
            }
        ),
        np.where(
            rows["is_name_known"], _codes(frame.assign(name=rows["player_name"]), ["name", "region"]), -1
        ),
        frame["exclusion_reason"].isna().to_numpy(),
        started_us
        + (rows["duration_s"] * 1000 + rows["intermission_ms"].fillna(0)).to_numpy(np.int64) * 1000,
    )
    frame = pd.concat([frame, history], axis=1)
    return frame[ML_TRAINING_SET.names]


def model_input(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that a model reads, in its order: nothing else gets through."""
    return frame[MODEL_FEATURES]


def find_exclusions(rows: pd.DataFrame) -> pd.Series:
    """The first of ``EXCLUSIONS`` that holds of rows of ``stats_player_dps``; null for the population."""
    holds = {
        "not_counted": ~_true(rows["is_counted"]),
        "not_cleared": ~_true(rows["is_cleared"]),
        "gate_unknown": rows["raid_name"].isna() | rows["gate_name"].isna(),
        "difficulty_unknown": rows["difficulty"].isna(),
        "spec_unknown": rows["class_name"].isna() | rows["spec_name"].isna(),
        "support": _true(rows["is_support"]),
        "dead": _true(rows["is_dead"]),
        "no_dps": ~(rows["dps"].astype(float) > 0),
    }
    found = np.select([holds[reason] for reason in EXCLUSIONS], list(EXCLUSIONS), default="")
    return pd.Series(found, index=rows.index, dtype="str").where(found != "")


def _compute_party(rows: pd.DataFrame) -> pd.DataFrame:
    """Who else is in the log."""
    _, fight = np.unique(rows["encounter_id"].to_numpy(str), return_inverse=True)
    spec = rows["spec_name"].map(SUPPORT_CODES).to_numpy(float)
    seats = np.column_stack(
        [
            rows["item_level"].to_numpy(float),
            _flag(rows["is_ark_passive_active"]).to_numpy(),
            _true(rows["is_support"]).to_numpy(float),
            rows["class_name"].isin(SUPPORT_CLASSES).to_numpy(float),
            np.where(np.isnan(spec), NO_SUPPORT, spec),
        ]
    )
    found = party_features(seats, fight.astype(np.int64), NO_SUPPORT, PLAYERS_IN_A_PARTY)
    return pd.DataFrame(found, rows.index, PARTY_FEATURES)


def compute_moment_features(started_us: Number, week_us: Number) -> dict[str, Number]:
    """When the fight began, from microseconds since 1970 of its start and of the weekly reset before."""
    return {
        "hours_since_reset": (started_us - week_us) / HOUR_US,
        "hour_of_day": started_us / HOUR_US % 24,
        "fought_at_week": started_us / WEEK_US,
    }


def join_gate_difficulty(raid: Text, gate: Text, difficulty: Text) -> Text:
    """Raid, gate and difficulty in one."""
    return raid + " " + gate + " " + difficulty


def _gate_difficulty(rows: pd.DataFrame) -> pd.Series:
    return join_gate_difficulty(rows["raid_name"], rows["gate_name"], rows["difficulty"]).fillna(UNKNOWN)


def _codes(frame: pd.DataFrame, columns: list[str]) -> np.ndarray:
    return frame.groupby(columns, sort=False, dropna=False).ngroup().to_numpy()


def _micros(instants: pd.Series) -> np.ndarray:
    return instants.dt.tz_convert(None).to_numpy("datetime64[us]").astype(np.int64)


def _true(flags: pd.Series) -> pd.Series:
    """Null is not true."""
    return flags.astype("boolean").fillna(value=False).astype(bool)


def _flag(flags: pd.Series) -> pd.Series:
    """1, 0, or null."""
    return flags.astype("boolean").astype("Float64").astype(float)
