"""The jobs of phase 1 beside ``ingest``: tables across days, publishing, the Open API, upkeep."""

from typing import Any

import dagster as dg

from lostark_assets.automation.requests import ACROSS_DAYS_JOB
from lostark_assets.contracts.registry import CONTRACTS, list_tables
from lostark_assets.dagster import pools
from lostark_assets.lake.tables import Lake

PROFILES_JOB = "profiles"
GAME_NEWS_JOB = "game_news"
UPKEEP_JOB = "upkeep"
VALIDATE_JOB = "validate_tables"


STORED_ROWS_FIT = "stored_rows_fit_contract"
"""The check that Great Expectations runs over a stored table, in a job of its own."""


def select_assets(*names: str) -> dg.AssetSelection:
    """Assets with their checks, without the one that would import Great Expectations."""
    stored = [dg.AssetCheckKey(dg.AssetKey(name), STORED_ROWS_FIT) for name in names if name in CONTRACTS]
    return dg.AssetSelection.assets(*names) - dg.AssetSelection.checks(*stored)


def phase_one_jobs() -> list[Any]:
    """All jobs of phase 1."""
    return [
        upkeep_job(),
        dg.define_asset_job(
            ACROSS_DAYS_JOB,
            select_assets(*list_tables("stats", grain="whole"), "mart_tables"),
            description="Compute the statistics across all fight days, and publish them.",
        ),
        dg.define_asset_job(
            PROFILES_JOB,
            select_assets("raw_armory_profiles"),
            description="Fetch Open API profiles of the characters of recent fights.",
        ),
        dg.define_asset_job(
            GAME_NEWS_JOB,
            select_assets("raw_game_notices", "core_game_events"),
            description="Fetch the game's news: maintenance windows, patches, events.",
        ),
    ]


def upkeep_job() -> dg.JobDefinition:
    """Compacts the tables that grow with every collection."""
    # After some weeks, opening them would dominate a tick.
    growing = [name for name, contract in CONTRACTS.items() if contract.is_compacted]

    @dg.op(pool=pools.TABLES, description="Compact the small files of the raw tables; rows are unchanged.")
    def join_small_files(context: dg.OpExecutionContext, lake: dg.ResourceParam[Lake]) -> None:
        joined = {name: lake.join_files(name) for name in growing}
        context.add_output_metadata({f"files of {name} joined": count for name, count in joined.items()})

    @dg.job(name=UPKEEP_JOB, description="Compacts the lake's raw tables.")
    def upkeep() -> None:
        join_small_files()

    return upkeep
