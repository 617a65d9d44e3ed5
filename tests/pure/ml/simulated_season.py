"""Players as the simulator invents them, with the true causes of their DPS, and no hits: cheap.

Columns are those of ``read_players`` and of ``gap.EXECUTION``, and ``log_…`` for each true part.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from lostark_simulator.model import PARTS
from lostark_simulator.raids import GATES
from lostark_simulator.roster import choose_roster
from lostark_simulator.season import build_population

RESET = datetime(2026, 9, 2, 10, tzinfo=UTC)
DURATION_S = 500


def simulated_players(fights, weeks, seed=3, characters=300, *, gate=GATES[0], first_week=0, population=None):
    """Players of N cleared fights of one gate, spread over M weeks from ``first_week`` on."""
    random = np.random.default_rng(seed)
    population = population or build_population(seed, characters)
    rows = []
    for number, moment in enumerate(first_week + np.sort(random.uniform(0, weeks, fights))):
        roster = choose_roster(gate, population, float(moment), 0.0, None, random, is_cleared=True)
        started = RESET + timedelta(weeks=float(moment))
        for player, death in zip(roster.players, roster.deaths, strict=True):
            uptimes = roster.uptimes[player.party]
            lost = 0.0 if death is None else (1 - death[0]) if death[1] is None else death[1]
            rows.append(
                {
                    "encounter_id": f"{gate.npc_id}-{gate.difficulty}-{first_week}-{number:05}",
                    "player_name": player.name,
                    "fight_id": f"f{gate.npc_id}-{gate.difficulty}-{first_week}-{number:05}",
                    "is_counted": True,
                    "fight_date": started.date(),
                    "fight_started_at": started,
                    "week_started_at": RESET + timedelta(weeks=int(moment)),
                    "raid_name": gate.raid,
                    "gate_name": gate.gate,
                    "difficulty": gate.difficulty,
                    "is_cleared": True,
                    "duration_s": DURATION_S,
                    "measurement_rules": "unknown",
                    "region": "NAE",
                    "is_name_known": True,
                    "class_name": player.spec.class_name,
                    "spec_name": player.spec.name,
                    "item_level": player.item_level,
                    "item_level_bracket": f"{int(player.item_level // 10) * 10}",
                    "combat_power": player.combat_power,
                    "is_support": player.spec.is_support,
                    "is_dead": death is not None and death[1] is None,
                    "is_uploader": player.name in roster.uploaders,
                    "dps": int(np.exp(sum(player.parts.values()))),
                    "support_ap": uptimes.ap,
                    "support_brand": uptimes.brand,
                    "support_identity": uptimes.identity,
                    "support_hyper": uptimes.hat,
                    "is_ark_passive_active": True,
                    "intermission_ms": None,
                    "crit_rate": np.clip(random.normal(player.spec.crit_rate, 0.04), 0, 1),
                    "back_attack_rate": 0.02,
                    "front_attack_rate": 0.02,
                    "casts_per_minute": 40 * (1 - lost) * np.exp(0.1 * random.standard_normal()),
                    "dead_s": DURATION_S * lost,
                    **{f"log_{part}": player.parts[part] for part in PARTS},
                }
            )
    players = pd.DataFrame(rows)
    for name in ("fight_started_at", "week_started_at"):
        players[name] = pd.to_datetime(players[name], utc=True).astype("datetime64[us, UTC]")
    return players
