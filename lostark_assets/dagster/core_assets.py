"""The core layer as Dagster assets: one run cleans a range of fight days into five tables."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets import charts
from lostark_assets.contracts.code_versions import CLEAN_VERSION
from lostark_assets.contracts.expectations import Finding
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.core.clean_meter import build_rules
from lostark_assets.core.pipeline import COMMIT_ORDER, CoreRun, clean_days
from lostark_assets.dagster import pools
from lostark_assets.dagster.core_checks import (
    core_check_results,
    core_check_specs,
    examine_stored,
    with_accounting,
)
from lostark_assets.dagster.open_api_assets import PROFILES
from lostark_assets.dagster.partitions import MAX_CHART_DAYS, SINGLE_RUN, get_days
from lostark_assets.dagster.raw_assets import RAW
from lostark_assets.dagster.specs import asset_spec, table_metadata
from lostark_assets.errors import ContractViolated
from lostark_assets.lake.tables import Lake
from lostark_assets.markdown import chart_image, markdown_table
from lostark_assets.settings import Settings

TABLES = tuple(reversed(COMMIT_ORDER))
_CHARTED = {"core_encounters", "core_quarantine"}
"""Tables with charts."""


class CleanConfig(dg.Config):
    """How to clean: ``force`` cleans logs that were cleaned already."""

    force: bool = False


def core_assets(fight_days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """The cleaned tables."""
    upstream = dg.AssetDep(RAW, partition_mapping=dg.AllPartitionMapping())
    specs = [
        asset_spec(
            name,
            version=CLEAN_VERSION,
            kinds={"pandas", "arrow"},
            deps=[upstream, PROFILES] if name == "core_players" else [upstream],
            skippable=True,
        )
        for name in TABLES
    ]

    @dg.multi_asset(
        name="core_tables",
        specs=specs,
        check_specs=core_check_specs(),
        partitions_def=fight_days,
        backfill_policy=SINGLE_RUN,
        pool=pools.FIGHT_DAYS,
        can_subset=True,
    )
    def core_tables(
        context: dg.AssetExecutionContext,
        config: CleanConfig,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[Any]:
        days = get_days(context)
        wanted = context.selected_asset_check_keys
        if days is None or not context.selected_asset_keys:
            stored = lake.days("core_encounters") if days is None else days
            yield from core_check_results(examine_stored(lake, stored), lake, wanted)
            return
        try:
            run = clean_days(
                lake,
                days,
                build_rules(settings),
                run_id=context.run.run_id,
                batch_bytes=int(settings.batch_bytes),
                force=config.force,
                progress=lambda done, due: context.log.info("cleaned %d of %d logs", done, due),
            )
        except ContractViolated as error:
            yield from core_check_results(error.findings, lake, wanted)
            raise dg.Failure(str(error), allow_retries=False) from error
        for name in TABLES:
            if dg.AssetKey(name) in context.selected_asset_keys:
                metadata = core_metadata(lake, name, days, run) | _charts(lake, name, days)
                yield dg.MaterializeResult(asset_key=name, metadata=metadata)
        yield from core_check_results(core_findings(lake, days, run), lake, wanted)

    return [core_tables]


def core_findings(lake: Lake, days: list[date], run: CoreRun) -> dict[str, list[Finding]]:
    """What the checks found: in the logs cleaned now, or in the stored rows if none was."""
    if run.due:
        return with_accounting(run.findings, lake, days, run.raw_version)
    return examine_stored(lake, days, run.raw_version)


def core_metadata(lake: Lake, name: str, days: list[date], run: CoreRun) -> dict[str, Any]:
    """Metadata of one table after cleaning ``days``."""
    rows = lake.head(name, CONTRACTS[name].preview_columns, days=days)
    return table_metadata(lake, name, rows, lake.count(name, days)) | {
        "logs cleaned now": run.due,
        "fights reassigned": run.changed_fights,
    }


def _charts(lake: Lake, name: str, days: list[date]) -> dict[str, Any]:
    if name not in _CHARTED or len(days) > MAX_CHART_DAYS:
        return {}
    rows = lake.read(name, days=days)
    metadata: dict[str, Any] = {}
    if name == "core_encounters" and rows.num_rows:
        metadata["encounters by day"] = dg.MetadataValue.md(
            chart_image(charts.fights_per_day(rows), "encounters by day")
        )
        metadata["logs of one fight"] = rows.num_rows - pc.count_distinct(rows["fight_id"]).as_py()
    if name == "core_quarantine" and rows.num_rows:
        metadata["reasons"] = dg.MetadataValue.md(_reasons(rows))
        metadata["by reason"] = dg.MetadataValue.md(
            chart_image(charts.quarantine_reasons(rows), "quarantine by reason")
        )
    return metadata


def _reasons(rows: pa.Table) -> str:
    counts = (
        rows.group_by("reason_code").aggregate([([], "count_all")]).sort_by([("count_all", "descending")])
    )
    return markdown_table(counts.rename_columns({"count_all": "entries"}).to_pylist())
