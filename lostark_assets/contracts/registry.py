"""All contracts by table name. What does not belong here: a contract's content."""

from __future__ import annotations

from lostark_assets.contracts.core import (
    CORE_ENCOUNTERS,
    CORE_GAME_EVENTS,
    CORE_HITS,
    CORE_PLAYERS,
    CORE_QUARANTINE,
    CORE_SKILLS,
)
from lostark_assets.contracts.ml import (
    ML_CHAMPION_HISTORY,
    ML_DPS_EVALUATION,
    ML_DPS_MONITORING,
    ML_EXPECTED_DPS,
    ML_PLAYER_CLUSTERS,
    ML_TRAINING_SET,
)
from lostark_assets.contracts.raw import RAW_ARMORY_PROFILES, RAW_BATTLE_LOGS, RAW_GAME_NOTICES
from lostark_assets.contracts.stats import (
    STATS_DPS_DISTRIBUTION,
    STATS_DPS_TIMELINE,
    STATS_PLAYER_DPS,
    STATS_RAID_PROGRESSION,
)
from lostark_assets.contracts.table import Contract

CONTRACTS: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        RAW_BATTLE_LOGS,
        RAW_ARMORY_PROFILES,
        RAW_GAME_NOTICES,
        CORE_ENCOUNTERS,
        CORE_PLAYERS,
        CORE_SKILLS,
        CORE_HITS,
        CORE_QUARANTINE,
        CORE_GAME_EVENTS,
        STATS_PLAYER_DPS,
        STATS_DPS_TIMELINE,
        STATS_DPS_DISTRIBUTION,
        STATS_RAID_PROGRESSION,
        ML_TRAINING_SET,
        ML_DPS_EVALUATION,
        ML_CHAMPION_HISTORY,
        ML_EXPECTED_DPS,
        ML_DPS_MONITORING,
        ML_PLAYER_CLUSTERS,
    )
}
