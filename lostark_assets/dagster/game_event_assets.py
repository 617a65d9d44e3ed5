"""The game's maintenance windows, patches and events as a Dagster asset."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.core import CORE_GAME_EVENTS
from lostark_assets.contracts.expectations import Finding, examine
from lostark_assets.core.game_events import EVENTS_VERSION, game_events
from lostark_assets.dagster import pools
from lostark_assets.dagster.open_api_assets import NOTICES
from lostark_assets.dagster.specs import asset_spec, check_results, check_specs, table_metadata
from lostark_assets.lake.tables import Lake
from lostark_assets.markdown import markdown_table

EVENTS = CORE_GAME_EVENTS.name


def game_event_assets() -> list[dg.AssetsDefinition]:
    """The asset ``core_game_events``."""

    @dg.multi_asset(
        name=EVENTS,
        specs=[asset_spec(EVENTS, version=EVENTS_VERSION, kinds={"arrow"}, deps=[NOTICES], skippable=True)],
        check_specs=check_specs([EVENTS]),
        pool=pools.OPEN_API,
        can_subset=True,
    )
    def core_game_events(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> Iterator[Any]:
        wanted = context.selected_asset_check_keys
        if not context.selected_asset_keys:
            findings = examine(CORE_GAME_EVENTS, lake.read(EVENTS))
            yield from check_results({EVENTS: findings}, lake, {}, wanted)
            return
        events, findings = refresh_game_events(lake)
        results = list(check_results({EVENTS: findings}, lake, {}, wanted))
        if not all(f.passed for f in findings if f.severity == "error"):
            yield from results
            raise dg.Failure(
                f"{EVENTS}: rows break their contract. The existing rows were kept.", allow_retries=False
            )
        shown = events.sort_by([("starts_at", "descending")])
        counts = events.group_by("kind").aggregate([([], "count_all")]).rename_columns({"count_all": "rows"})
        yield dg.MaterializeResult(
            asset_key=EVENTS,
            metadata=table_metadata(lake, EVENTS, _announced(shown), events.num_rows)
            | {"kinds": dg.MetadataValue.md(markdown_table(counts.to_pylist()) or "none")},
        )
        yield from results

    return [core_game_events]


def refresh_game_events(lake: Lake) -> tuple[pa.Table, list[Finding]]:
    """Compute the table from all notices; it is written if it changed and satisfies its contract."""
    events = game_events(lake.read(NOTICES))
    findings = examine(CORE_GAME_EVENTS, events)
    is_good = all(f.passed for f in findings if f.severity == "error")
    if is_good and not _is_stored(lake, events):
        lake.replace_all(CORE_GAME_EVENTS, events)
    return events, findings


def _is_stored(lake: Lake, events: pa.Table) -> bool:
    stored = lake.read(EVENTS)
    return stored.column_names == events.column_names and stored.to_pylist() == events.to_pylist()


def _announced(events: pa.Table) -> pa.Table:
    return events.filter(pc.field("kind") != "notice")
