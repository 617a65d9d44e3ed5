"""The Open API's raw tables as Dagster assets.

The names to request come from ``core_players``, which itself reads the profiles: the asset graph can't show
that cycle.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.expectations import WORST_ROWS, Finding, examine
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.dagster import pools
from lostark_assets.dagster.specs import asset_spec, check_results, check_specs, table_metadata
from lostark_assets.errors import LostarkError
from lostark_assets.lake.tables import Lake
from lostark_assets.ledger import open_ledger
from lostark_assets.markdown import PREVIEW_ROWS, markdown_table
from lostark_assets.observability.logs import get_logger
from lostark_assets.settings import Settings
from lostark_assets.sources.open_api import SOURCE, OpenApiRun, build_open_api, collect_news, collect_profiles
from lostark_assets.sources.open_api_choice import build_freshness, choose_characters
from lostark_assets.sources.open_api_parse import find_drift, parse_profile

PROFILES, NOTICES = "raw_armory_profiles", "raw_game_notices"
ANSWERED = "open_api_answered"
FIELDS_KNOWN = "open_api_bodies_have_known_fields"
CROSS_RULES = {ANSWERED: (PROFILES, "warn"), FIELDS_KNOWN: (PROFILES, "warn")}
_BODIES_CHECKED = 50


def open_api_assets() -> list[dg.AssetsDefinition]:
    """Profiles and notices."""

    @dg.multi_asset(
        name=PROFILES,
        specs=[asset_spec(PROFILES, version="1", kinds={"python"}, skippable=True)],
        check_specs=check_specs([PROFILES], CROSS_RULES),
        pool=pools.OPEN_API,
        can_subset=True,
    )
    def raw_armory_profiles(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], settings: dg.ResourceParam[Settings]
    ) -> Iterator[Any]:
        run = None
        if context.selected_asset_keys:
            freshness = build_freshness(settings)
            run = _collected(
                lambda: collect_profiles(
                    build_open_api(settings),
                    lake,
                    open_ledger(settings),
                    lambda now: choose_characters(lake, now, freshness),
                    run_id=context.run.run_id,
                )
            )
            yield dg.MaterializeResult(asset_key=PROFILES, metadata=_profiles_metadata(lake, run))
        yield from check_results(
            {PROFILES: _examine_profiles(lake, run, context.run.run_id)},
            lake,
            CROSS_RULES,
            context.selected_asset_check_keys,
        )
        _raise_for(run)

    @dg.multi_asset(
        name=NOTICES,
        specs=[asset_spec(NOTICES, version="1", kinds={"python"}, skippable=True)],
        check_specs=check_specs([NOTICES]),
        pool=pools.OPEN_API,
        can_subset=True,
    )
    def raw_game_notices(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], settings: dg.ResourceParam[Settings]
    ) -> Iterator[Any]:
        run = None
        if context.selected_asset_keys:
            run = _collected(
                lambda: collect_news(
                    build_open_api(settings), lake, open_ledger(settings), run_id=context.run.run_id
                )
            )
            columns = CONTRACTS[NOTICES].preview_columns
            rows = lake.read(NOTICES, columns=columns).sort_by([("fetched_at", "descending")])
            metadata = table_metadata(lake, NOTICES, rows, rows.num_rows) | _run_metadata(run)
            yield dg.MaterializeResult(asset_key=NOTICES, metadata=metadata)
        findings = {NOTICES: examine(CONTRACTS[NOTICES], lake.read(NOTICES))}
        yield from check_results(findings, lake, {}, context.selected_asset_check_keys)
        _raise_for(run)

    return [raw_armory_profiles, raw_game_notices]


def _collected(collect: Any) -> OpenApiRun:
    log = get_logger()
    try:
        run: OpenApiRun = collect()
    except LostarkError as error:
        log.warning("collection_failed", source=SOURCE, error=str(error))
        raise dg.Failure(str(error), allow_retries=False) from error
    log.info(
        "collection_done",
        source=SOURCE,
        kind=run.kind,
        outcome=run.outcome,
        found=run.found,
        new=run.new,
        known=run.known,
        left=run.left,
        requests=run.requests,
        failed_requests=run.failures.total(),
        error=run.error,
    )
    return run


def _raise_for(run: OpenApiRun | None) -> None:
    """Fail if someone has to act; a service in maintenance recovers without that."""
    if run is not None and run.needs_attention:
        raise dg.Failure(f"{run.error} {run.new} responses of this run were stored.", allow_retries=False)


def _run_metadata(run: OpenApiRun) -> dict[str, Any]:
    problems = [*run.problems, *([run.error] if run.error else [])]
    return {
        "outcome": "maintenance" if run.is_maintenance else run.outcome,
        "new": run.new,
        "requests": run.requests,
        "failed requests": dg.MetadataValue.md(
            markdown_table([{"kind": kind, "tries": n} for kind, n in sorted(run.failures.items())]) or "none"
        ),
        "waited for the budget, s": round(run.waited_s, 1),
        "problems": dg.MetadataValue.md("\n".join(f"* {one}" for one in dict.fromkeys(problems)) or "none"),
    }


def _profiles_metadata(lake: Lake, run: OpenApiRun) -> dict[str, Any]:
    newest = _newest(lake, PREVIEW_ROWS)
    shown = [_shown(row) for row in newest.to_pylist()]
    metadata = table_metadata(lake, PROFILES, pa.table({}), lake.count(PROFILES))
    return metadata | {
        "preview": dg.MetadataValue.md(markdown_table(shown) or "no rows"),
        "characters seen lately": run.found,
        "still fresh": run.known,
        "unknown to the service": run.unknown,
        "left for the next run": run.left,
    } | _run_metadata(run)  # fmt: skip


def _newest(lake: Lake, count: int) -> pa.Table:
    """The newest responses with their bodies."""
    index = lake.read(PROFILES, columns=["profile_id", "fetched_at"]).sort_by([("fetched_at", "descending")])
    ids = index["profile_id"].to_pylist()[:count]
    since = index["fetched_at"][len(ids) - 1].as_py() if ids else None
    columns = ["profile_id", "character_name", "fetched_at", "status", "body_bytes", "body"]
    parts = list(lake.groups_with(PROFILES, "profile_id", ids, columns, since=since))
    empty = CONTRACTS[PROFILES].empty().select(columns)
    found = pa.concat_tables([empty, *(part.cast(empty.schema) for part in parts)])
    return found.sort_by([("fetched_at", "descending")])


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    try:
        profile = parse_profile(row["body"]) if row["body"] else None
    except ValueError:
        profile = None
    facts = ("server_name", "class_name", "spec_name", "item_level", "combat_power", "gem_levels")
    return {
        "character": row["character_name"],
        "fetched_at": row["fetched_at"],
        "status": row["status"],
        **{name: getattr(profile, name, None) for name in facts},
        "bytes": row["body_bytes"],
    }


def _examine_profiles(lake: Lake, run: OpenApiRun | None, run_id: str) -> list[Finding]:
    """Check the contract of the run's rows (without a run, of all rows), the responses, and drift."""
    columns = [name for name in CONTRACTS[PROFILES].names if name != "body"]
    where = None if run is None else pc.field("fetch_run_id") == run_id
    findings = examine(CONTRACTS[PROFILES], lake.read(PROFILES, columns=columns, where=where))
    if run is None:
        bodies = [body for body in _newest(lake, _BODIES_CHECKED)["body"].to_pylist() if body]
        drift = [one for body in bodies for one in sorted(find_drift(body))]
        checked, drifted = len(bodies), sum(bool(find_drift(body)) for body in bodies)
    else:
        drift = [one for one, _ in run.drift.most_common()]
        checked, drifted = run.new, max(run.drift.values(), default=0)
        problems = [*([run.error] if run.error else []), *run.problems]
        worst = [{"error": one} for one in dict.fromkeys(problems)][:WORST_ROWS]
        findings.append(Finding(ANSWERED, "warn", run.requests, len(problems), worst))
    worst = [{"field": one} for one in dict.fromkeys(drift)][:WORST_ROWS]
    findings.append(Finding(FIELDS_KNOWN, "warn", checked, drifted, worst))
    if run is None:
        findings.append(Finding(ANSWERED, "warn", 0))
    return findings
