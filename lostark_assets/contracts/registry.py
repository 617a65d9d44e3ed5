"""All contracts by table name. What does not belong here: a contract's content."""

from __future__ import annotations

from lostark_assets.contracts.core import (
    CORE_ENCOUNTERS,
    CORE_HITS,
    CORE_PLAYERS,
    CORE_QUARANTINE,
    CORE_SKILLS,
)
from lostark_assets.contracts.raw import RAW_BATTLE_LOGS
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
        CORE_ENCOUNTERS,
        CORE_PLAYERS,
        CORE_SKILLS,
        CORE_HITS,
        CORE_QUARANTINE,
        STATS_PLAYER_DPS,
        STATS_DPS_TIMELINE,
        STATS_DPS_DISTRIBUTION,
        STATS_RAID_PROGRESSION,
    )
}
