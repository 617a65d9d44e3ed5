"""The statistics layer as Dagster assets: by fight day, and across all days."""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets import charts
from lostark_assets.automation.isolation import compute_or_refuse
from lostark_assets.contracts.code_versions import STATS_VERSION
from lostark_assets.contracts.expectations import Finding
from lostark_assets.contracts.registry import CONTRACTS, list_tables
from lostark_assets.dagster import pools
from lostark_assets.dagster.partitions import MAX_CHART_DAYS, SINGLE_RUN, get_days
from lostark_assets.dagster.priority import BULK, give_way
from lostark_assets.dagster.specs import asset_spec, table_metadata
from lostark_assets.dagster.stats_checks import (
    daily_check_specs,
    examine_days,
    has_rows,
    same_players,
    stats_check_results,
    table_check_specs,
)
from lostark_assets.errors import ContractViolated
from lostark_assets.lake.tables import Lake
from lostark_assets.markdown import chart_image
from lostark_assets.settings import Settings
from lostark_assets.stats.pipeline import (
    StatsRun,
    refresh_distribution,
    refresh_progression,
)

DAILY = tuple(list_tables("stats", grain="day"))
_UPSTREAM = ("core_encounters", "core_players", "core_hits")


def stats_assets(fight_days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """All statistics tables."""
    return [
        _daily(fight_days),
        _whole("stats_dps_distribution", refresh_distribution, ["stats_player_dps"], charts.median_by_spec),
        _whole(
            "stats_raid_progression",
            refresh_progression,
            ["stats_player_dps", "core_encounters"],
            charts.clears_by_gate,
        ),
    ]


def _daily(fight_days: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    specs = [
        asset_spec(
            name, version=STATS_VERSION, kinds={"polars", "numba"}, deps=list(_UPSTREAM), skippable=True
        )
        for name in DAILY
    ]

    @dg.multi_asset(
        name="stats_tables",
        specs=specs,
        check_specs=daily_check_specs(),
        partitions_def=fight_days,
        backfill_policy=SINGLE_RUN,
        pool=pools.FIGHT_DAYS,
        can_subset=True,
    )
    def stats_tables(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], settings: dg.ResourceParam[Settings]
    ) -> Iterator[Any]:
        days = get_days(context)
        wanted = context.selected_asset_check_keys
        if days is None or not context.selected_asset_keys:
            stored = lake.days("stats_player_dps") if days is None else days
            yield from stats_check_results(examine_days(lake, stored), lake, wanted)
            return
        try:
            run = compute_or_refuse(
                lake,
                days,
                settings.engine,
                run_id=context.run.run_id,
                progress=lambda done, due: context.log.info("computed %d of %d logs", done, due),
            )
        except ContractViolated as error:
            yield from stats_check_results(error.findings, lake, wanted)
            raise dg.Failure(str(error), allow_retries=False) from error
        for name in DAILY:
            if dg.AssetKey(name) in context.selected_asset_keys:
                metadata = daily_metadata(lake, name, days, run) | _daily_charts(lake, name, days)
                yield dg.MaterializeResult(asset_key=name, metadata=metadata)
        yield from stats_check_results(daily_findings(lake, days, run), lake, wanted)

    return stats_tables


def daily_findings(lake: Lake, days: list[date], run: StatsRun) -> dict[str, list[Finding]]:
    """What the checks found in the statistics of ``days``."""
    findings: dict[str, list[Finding]] = {"stats_dps_timeline": []} | run.findings
    findings["stats_player_dps"] = [*findings["stats_player_dps"], same_players(lake, days)]
    return findings


def daily_metadata(lake: Lake, name: str, days: list[date], run: StatsRun) -> dict[str, Any]:
    """Metadata of one table after computing ``days``."""
    rows = lake.head(name, CONTRACTS[name].preview_columns, days=days)
    return table_metadata(lake, name, rows, lake.count(name, days)) | {"logs computed now": run.due}


def _daily_charts(lake: Lake, name: str, days: list[date]) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    if len(days) > MAX_CHART_DAYS or not lake.count(name, days):
        return metadata
    if name == "stats_player_dps":
        chart = charts.dps_by_spec(lake.read(name, days=days))
        metadata["dps by spec"] = dg.MetadataValue.md(chart_image(chart, "DPS by spec"))
    if name == "stats_dps_timeline":
        columns = CONTRACTS[name].preview_columns
        one = lake.head(name, columns, days=days)["encounter_id"][0].as_py()
        fight = lake.read(name, columns=columns, days=days, where=pc.field("encounter_id") == one)
        metadata["one fight"] = dg.MetadataValue.md(
            chart_image(charts.rolling_dps(fight, f"Encounter {one}"), "10 s DPS")
        )
    return metadata


def _whole(
    name: str,
    refresh: Callable[[Lake, Any], StatsRun],
    upstream: list[str],
    chart: Callable[[pa.Table], Any],
) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=f"{name}_table",
        specs=[asset_spec(name, version=STATS_VERSION, kinds={"polars"}, deps=upstream)],
        check_specs=table_check_specs(name),
        pool=pools.TABLES,
    )
    def whole_table(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], settings: dg.ResourceParam[Settings]
    ) -> Iterator[Any]:
        give_way(BULK)
        try:
            run = refresh(lake, settings.engine)
        except ContractViolated as error:
            yield from stats_check_results(error.findings, lake, context.selected_asset_check_keys)
            raise dg.Failure(str(error), allow_retries=False) from error
        rows = lake.read(name)
        metadata = table_metadata(lake, name, rows, rows.num_rows)
        if has_rows(rows):
            metadata["chart"] = dg.MetadataValue.md(chart_image(chart(rows), name))
        yield dg.MaterializeResult(asset_key=name, metadata=metadata)
        yield from stats_check_results(run.findings, lake, context.selected_asset_check_keys)

    return whole_table
