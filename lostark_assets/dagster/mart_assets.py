"""The marts as Dagster assets: those by fight day, and those replaced as a whole."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

import dagster as dg

from lostark_assets.automation.isolation import publish_or_refuse
from lostark_assets.automation.requests import PUBLISH_VERSION
from lostark_assets.contracts.code_versions import MARTS_VERSION
from lostark_assets.dagster import pools
from lostark_assets.dagster.partitions import SINGLE_RUN, get_days
from lostark_assets.dagster.specs import OWNERS
from lostark_assets.database.postgres import marts_url
from lostark_assets.errors import NotFound
from lostark_assets.lake.tables import Lake
from lostark_assets.markdown import markdown_table
from lostark_assets.marts.names import build_names
from lostark_assets.marts.publish import (
    Publication,
    find_pending,
    lake_rows,
    publish,
    published_rows,
)
from lostark_assets.marts.tables import DAY_MARTS, DAY_TABLES, WHOLE_MARTS
from lostark_assets.settings import Settings

FIGHTS, TABLES = "mart_fights", "mart_tables"
ROWS_EQUAL = "mart_rows_equal_lake_rows"


def mart_assets(fight_days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """All published tables."""
    return [_fights(fight_days), _tables()]


def _fights(fight_days: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        FIGHTS,
        deps=list(DAY_TABLES),
        owners=OWNERS,
        kinds={"postgres"},
        code_version=MARTS_VERSION,
        description=(
            f"Fights, players, skills, timelines, expected DPS and data quality in PostgreSQL: the tables "
            f"{', '.join(mart.table for mart in DAY_MARTS)}. One transaction a publish, of exactly its days."
        ),
    )
    check = dg.AssetCheckSpec(
        ROWS_EQUAL,
        asset=FIGHTS,
        blocking=True,
        description="The database has as many players, timelines and expectations as the lake had.",
    )

    @dg.multi_asset(
        name=FIGHTS,
        specs=[spec],
        check_specs=[check],
        partitions_def=fight_days,
        backfill_policy=SINGLE_RUN,
        pool=pools.FIGHT_DAYS,
    )
    def mart_fights(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], settings: dg.ResourceParam[Settings]
    ) -> Iterator[Any]:
        days = get_days(context) or []
        with marts_url(settings) as url:
            names = build_names(settings)
            done = publish_or_refuse(lake, url, days, names, settings.engine, run_id=context.run.run_id)
            if done is None:
                raise dg.Failure("no fight day was selected; nothing was published", allow_retries=False)
            yield from _results(lake, url, done)

    return mart_fights


def publish_pending(
    lake: Lake, settings: Settings, days: Iterable[date], run_id: str
) -> tuple[list[date], list[Any]]:
    """Publish those of ``days`` that changed since they were published; these days, and the results."""
    names = build_names(settings)
    with marts_url(settings) as url:
        pending = find_pending(lake, url, names).days.keys() & set(days)
        done = publish_or_refuse(lake, url, pending, names, settings.engine, run_id=run_id)
        if done is None:
            return [], []
        return done.days, list(_results(lake, url, done))


def publish_pending_tables(lake: Lake, settings: Settings) -> list[dg.MaterializeResult[Any]]:
    """Publish the tables across days that changed since they were published; the result, if there was one."""
    names = build_names(settings)
    with marts_url(settings) as url:
        done = publish(lake, url, tables=find_pending(lake, url, names).tables.keys(), names=names)
    return [] if done is None else [dg.MaterializeResult(asset_key=TABLES, metadata=_metadata(done))]


def _results(lake: Lake, url: str, done: Publication) -> Iterator[Any]:
    """The materialisation, and the check whether the database has the rows that the lake had."""
    yield dg.MaterializeResult(asset_key=FIGHTS, metadata=_metadata(done))
    there, wanted = published_rows(url, done.days), lake_rows(lake, done)
    counts = [{"table": name, "lake": wanted[name], "mart": there[name]} for name in sorted(wanted)]
    yield dg.AssetCheckResult(
        asset_key=FIGHTS,
        check_name=ROWS_EQUAL,
        passed=there == wanted,
        metadata={"rows": dg.MetadataValue.md(markdown_table(counts))},
    )


def _tables() -> dg.AssetsDefinition:
    @dg.asset(
        name=TABLES,
        deps=list(WHOLE_MARTS),
        owners=OWNERS,
        kinds={"postgres"},
        code_version=MARTS_VERSION,
        pool=pools.TABLES,
        description=(
            "Distributions, progression, model evaluation, champion history, monitoring and play styles in "
            "PostgreSQL, each replaced as a whole, all in one transaction."
        ),
    )
    def mart_tables(
        lake: dg.ResourceParam[Lake], settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult[Any]:
        there = [name for name in WHOLE_MARTS if lake.version(name) is not None]
        with marts_url(settings) as url:
            done = publish(lake, url, tables=there, names=build_names(settings))
        if done is None:
            raise dg.Failure(str(NotFound("No table across days is in the lake yet. Nothing was published.")))
        return dg.MaterializeResult(metadata=_metadata(done))

    return mart_tables


def _metadata(done: Publication) -> dict[str, Any]:
    rows = [{"mart": name, "rows": count} for name, count in done.rows.items()]
    return {
        "dagster/row_count": sum(done.rows.values()),
        PUBLISH_VERSION: done.version,
        "seconds": round(done.seconds, 3),
        "rows": dg.MetadataValue.md(markdown_table(rows)),
    }
