"""The jobs of phase 1: collecting, a range of fight days, and what goes across them.

What does not belong here: when they run (schedules, sensors), and their assets.
"""

from typing import Any

import dagster as dg

from lostark_assets.lake.tables import Lake

COLLECT_JOB = "collect"
FIGHT_DAYS_JOB = "fight_days"
ACROSS_DAYS_JOB = "across_days"
PROFILES_JOB = "profiles"
GAME_NEWS_JOB = "game_news"
UPKEEP_JOB = "upkeep"
PUBLISH_DAYS_JOB = "publish_days"
PUBLISH_TABLES_JOB = "publish_tables"
CONCURRENCY_GROUP_TAG = "lostark/lane"
_DAILY = [
    "core_encounters", "core_players", "core_skills", "core_hits", "core_quarantine", "stats_player_dps",
    "stats_dps_timeline",
]  # fmt: skip
_GROWING = ("raw_battle_logs", "raw_armory_profiles", "raw_game_notices")
"""Tables that gain a file with every collection: after weeks of minutes, opening them would take longest."""
_WHOLE = ["stats_dps_distribution", "stats_raid_progression"]


def _concurrency_group(name: str) -> dict[str, str]:
    """Runs of one lane wait for each other, those of others go on (``dagster.yaml``)."""
    return {CONCURRENCY_GROUP_TAG: name}


PUBLISH_JOBS = [
    dg.define_asset_job(
        PUBLISH_DAYS_JOB,
        dg.AssetSelection.assets("mart_fights"),
        tags=_concurrency_group("publish"),
        description="Put fight days into PostgreSQL, where API and pages read them.",
    ),
    dg.define_asset_job(
        PUBLISH_TABLES_JOB,
        dg.AssetSelection.assets("mart_tables"),
        tags=_concurrency_group("publish"),
        description="Put the tables across days into PostgreSQL.",
    ),
]


def phase_one_jobs() -> list[Any]:
    """All of them."""
    return [
        upkeep_job(),
        dg.define_asset_job(
            COLLECT_JOB,
            dg.AssetSelection.assets("raw_battle_logs"),
            tags=_concurrency_group("collect"),
            description="Fetch what is new at a source of battle logs.",
        ),
        dg.define_asset_job(
            FIGHT_DAYS_JOB,
            dg.AssetSelection.assets(*_DAILY),
            tags=_concurrency_group("compute"),
            description="Clean fight days and compute their statistics.",
        ),
        dg.define_asset_job(
            ACROSS_DAYS_JOB,
            dg.AssetSelection.assets(*_WHOLE),
            tags=_concurrency_group("compute"),
            description="Compute the statistics that go across all fight days.",
        ),
        *PUBLISH_JOBS,
        dg.define_asset_job(
            PROFILES_JOB,
            dg.AssetSelection.assets("raw_armory_profiles"),
            tags=_concurrency_group("open_api"),
            description="Ask the Open API for the characters of recent fights.",
        ),
        dg.define_asset_job(
            GAME_NEWS_JOB,
            dg.AssetSelection.assets("raw_game_notices", "core_game_events"),
            tags=_concurrency_group("open_api"),
            description="Read the game's news: maintenance windows, patches, events.",
        ),
    ]


def upkeep_job() -> dg.JobDefinition:
    """Joins the small files of the tables that grow with every collection."""

    @dg.op(description="Join the small files of the raw tables; rows stay as they are.")
    def join_small_files(context: dg.OpExecutionContext, lake: dg.ResourceParam[Lake]) -> None:
        joined = {name: lake.join_files(name) for name in _GROWING}
        context.add_output_metadata({f"files of {name} joined": count for name, count in joined.items()})

    @dg.job(name=UPKEEP_JOB, tags=_concurrency_group("compute"), description="Keeps the lake quick to open.")
    def upkeep() -> None:
        join_small_files()

    return upkeep
