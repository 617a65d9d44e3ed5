"""A small synthetic season of one gate whose DPS rises, as ``read_players`` gives its players."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from lostark_ml.model.regressor import ModelConfig
from lostark_ml.model.training import TrainingConfig

RESET = datetime(2024, 10, 30, 10, tzinfo=UTC)
SPECS = [
    ("Sorceress", "Igniter", 0.10),
    ("Deathblade", "Remaining Energy", 0.05),
    ("Slayer", "Punisher", 0.0),
    ("Striker", "Deathblow", -0.1),
]
WEEKS, FIGHTS_A_WEEK = 8, 60
SMALL = TrainingConfig(model=ModelConfig(iterations=40, leaves=8), fewest_rows=300, calibration_weeks=2)
CUTOFF = RESET + timedelta(weeks=7)


def make_players(seed=1, weeks=WEEKS, fights=FIGHTS_A_WEEK, noise=0.12):
    """Six dealers and two supports a fight; log DPS = 18 + level of the week + spec + item level + noise."""
    random = np.random.default_rng(seed)
    rows = []
    for week in range(weeks):
        for fight in range(fights):
            started = RESET + timedelta(weeks=week, hours=float(random.uniform(1, 160)))
            for seat in range(8):
                is_support = seat >= 6
                class_name, spec_name, effect = (
                    ("Bard", "Desperate Salvation", -3.0) if is_support else SPECS[random.integers(4)]
                )
                who = int(random.integers(200))
                level = 1680 + round(float(random.gamma(2, 5)), 2)
                skill = 0.1 * np.sin(who)
                log_dps = 18 + 0.2 * (1 - 0.7**week) + effect + 0.01 * (level - 1680) + skill
                rows.append(
                    {
                        "encounter_id": f"e{week:02}{fight:03}",
                        "player_name": f"{spec_name} {who}-{seat}",
                        "fight_id": f"f{week:02}{fight:03}",
                        "is_counted": True,
                        "fight_date": started.date(),
                        "fight_started_at": started,
                        "week_started_at": RESET + timedelta(weeks=week),
                        "raid_name": "Aegir",
                        "gate_name": "G1",
                        "difficulty": "Hard",
                        "is_cleared": True,
                        "duration_s": 500,
                        "measurement_rules": "unknown",
                        "region": None,
                        "is_name_known": True,
                        "class_name": class_name,
                        "spec_name": spec_name,
                        "item_level": level,
                        "item_level_bracket": f"{int(level // 10) * 10}-{int(level // 10) * 10 + 9}",
                        "combat_power": None,
                        "is_support": is_support,
                        "is_dead": False,
                        "is_uploader": seat == 0,
                        "dps": int(np.exp(log_dps + noise * random.standard_normal())),
                        "support_ap": None,
                        "support_brand": None,
                        "support_identity": None,
                        "support_hyper": None,
                        "is_ark_passive_active": True,
                        "intermission_ms": None,
                    }
                )
    players = pd.DataFrame(rows)
    for name in ("fight_started_at", "week_started_at"):
        players[name] = pd.to_datetime(players[name], utc=True).astype("datetime64[us, UTC]")
    return players
