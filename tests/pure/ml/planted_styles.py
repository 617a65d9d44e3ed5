"""Characters with styles that are known, and the lake tables that such characters leave behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from lostark_assets.contracts.ml import ML_EXPECTED_DPS
from lostark_assets.contracts.stats import STATS_PLAYER_DPS
from lostark_assets.contracts.table import Contract
from lostark_ml.styles.clusters import FEATURES

DEALER_SPECS = (
    ("Deathblow", "Striker"),
    ("Igniter", "Sorceress"),
    ("Punisher", "Slayer"),
    ("Rage Hammer", "Destroyer"),
    ("Remaining Energy", "Deathblade"),
    ("Wind Fury", "Aeromancer"),
)
PLANTED = {0: {"burst_share": 2.6, "opener_share": 2.6}, 1: {"casts_per_minute": 2.6, "active_share": 2.6}}


def characters(n=500, seed=1, *, planted=True, specs=6):
    """Characters whose specs differ far more than their styles; half of them have none of the two styles."""
    random = np.random.default_rng(seed)
    spec, style = random.integers(0, specs, n), random.integers(0, 3, n)
    of_spec = 3 * random.standard_normal((specs, len(FEATURES)))
    mixing = np.eye(len(FEATURES)) + 0.3 * random.standard_normal((len(FEATURES), len(FEATURES)))
    scores = random.standard_normal((n, len(FEATURES))) @ mixing.T
    frame = pd.DataFrame(scores / scores.std(axis=0), columns=list(FEATURES))
    for number, shifts in PLANTED.items() if planted else ():
        for name, shift in shifts.items():
            frame[name] += shift * (style == number)
    frame = 0.5 + 0.05 * (frame + of_spec[spec])
    frame["player_name"], frame["region"] = [f"Player {i:04}" for i in range(n)], "KR"
    frame["spec_name"] = [DEALER_SPECS[i][0] for i in spec]
    frame["class_name"] = [DEALER_SPECS[i][1] for i in spec]
    frame["fights"], frame["item_level"], frame["true_style"] = random.integers(5, 40, n), 1690.0, style
    return frame


FIGHTS = 5
_DPS, _DURATION_S = 1_000_000, 500
_START = datetime(2026, 9, 2, 12, tzinfo=UTC)
_SWINGS = np.array([1, -1, 1, -1, 0])
"""Their standard deviation is 1."""


def build_tables(characters):
    """``stats_player_dps`` and ``ml_expected_dps`` whose clears give these features back."""
    rows = characters.loc[characters.index.repeat(FIGHTS)].reset_index(drop=True)
    number = np.arange(len(rows)) % FIGHTS
    at = [_START + timedelta(days=int(n)) for n in number]
    shared = {
        "encounter_id": [f"{name}/{n}" for name, n in zip(rows["player_name"], number, strict=True)],
        "fight_date": [moment.date() for moment in at],
        "fight_started_at": at,
        "player_name": rows["player_name"],
        "class_name": rows["class_name"],
        "spec_name": rows["spec_name"],
        "dps": _DPS,
    }
    stats = pd.DataFrame(
        {
            **shared,
            "region": rows["region"], "raid_name": "Aegir", "gate_name": "G1", "difficulty": "Hard",
            "is_counted": True, "is_cleared": True, "is_name_known": True, "is_support": False,
            "item_level": rows["item_level"], "duration_s": _DURATION_S,
            **{name: rows[name] for name in FEATURES[:4]},
            "opener_dps": (_DPS * rows["opener_share"]).round().astype(int),
            "peak_10s_dps": (_DPS * rows["burst_share"]).round().astype(int),
            "active_s": _DURATION_S * rows["active_share"], "dead_s": _DURATION_S * rows["dead_share"],
            "support_ap": rows["support_use"],
        }
    )  # fmt: skip
    swings = _SWINGS[number] * rows["residual_spread"].to_numpy()
    expected = pd.DataFrame(
        {**shared, "is_population": True, "expected_dps": (_DPS / np.exp(swings)).round().astype(int)}
    )
    return _as_table(STATS_PLAYER_DPS, stats), _as_table(ML_EXPECTED_DPS, expected)


def write(lake, characters):
    """Put those tables in place of the lake's."""
    for contract, table in zip((STATS_PLAYER_DPS, ML_EXPECTED_DPS), build_tables(characters), strict=True):
        lake.replace_all(contract, table)


def _as_table(contract: Contract, frame: pd.DataFrame) -> pa.Table:
    kinds = {name: contract.schema.field(name).type for name in frame}
    return contract.conform(
        pa.table({name: pa.array(frame[name].tolist(), kind) for name, kind in kinds.items()})
    )
