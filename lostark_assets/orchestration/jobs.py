"""The jobs of phase 1: collecting, a range of fight days, and what goes across them.

What does not belong here: when they run (schedules, sensors), and their assets.
"""

from __future__ import annotations

import dagster as dg

COLLECT_JOB = "collect"
FIGHT_DAYS_JOB = "fight_days"
ACROSS_DAYS_JOB = "across_days"
PROFILES_JOB = "profiles"
GAME_NEWS_JOB = "game_news"
LANE_TAG = "lostark/lane"
_DAILY = [
    "core_encounters", "core_players", "core_skills", "core_hits", "core_quarantine", "stats_player_dps",
    "stats_dps_timeline",
]  # fmt: skip
_WHOLE = ["stats_dps_distribution", "stats_raid_progression"]


def _lane(name: str) -> dict[str, str]:
    """Runs of one lane wait for each other, those of others go on (``dagster.yaml``)."""
    return {LANE_TAG: name}


def phase_one_jobs() -> list[dg.UnresolvedAssetJobDefinition]:
    """All of them."""
    return [
        dg.define_asset_job(
            COLLECT_JOB,
            dg.AssetSelection.assets("raw_battle_logs"),
            tags=_lane("collect"),
            description="Fetch what is new at a source of battle logs.",
        ),
        dg.define_asset_job(
            FIGHT_DAYS_JOB,
            dg.AssetSelection.assets(*_DAILY),
            tags=_lane("compute"),
            description="Clean fight days and compute their statistics.",
        ),
        dg.define_asset_job(
            ACROSS_DAYS_JOB,
            dg.AssetSelection.assets(*_WHOLE),
            tags=_lane("compute"),
            description="Compute the statistics that go across all fight days.",
        ),
        dg.define_asset_job(
            PROFILES_JOB,
            dg.AssetSelection.assets("raw_armory_profiles"),
            tags=_lane("open_api"),
            description="Ask the Open API for the characters of recent fights.",
        ),
        dg.define_asset_job(
            GAME_NEWS_JOB,
            dg.AssetSelection.assets("raw_game_notices", "core_game_events"),
            tags=_lane("open_api"),
            description="Read the game's news: maintenance windows, patches, events.",
        ),
    ]
