"""The raw layer as a Dagster asset: materialising a source's partition fetches its new logs."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from lostark_assets.contracts.expectations import WORST_ROWS, Finding, examine
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.dagster.partitions import SINGLE_RUN, SOURCES
from lostark_assets.dagster.specs import asset_spec, check_results, check_specs, table_metadata
from lostark_assets.errors import LostarkError, SourceError, UnexpectedError
from lostark_assets.lake.tables import Lake
from lostark_assets.ledger import open_ledger
from lostark_assets.markdown import markdown_table
from lostark_assets.settings import Settings
from lostark_assets.sources.collect import Collected, collect_and_record
from lostark_assets.sources.configured import configured_origins, sources_at
from lostark_assets.sources.landing import record_result
from lostark_assets.sources.probe import fingerprint_folder, record_collected
from lostark_assets.sources.protocol import Source, content_sha256

RAW = "raw_battle_logs"
HASH_HOLDS = "newest_payloads_have_their_sha256"
CROSS_RULES = {HASH_HOLDS: (RAW, "error")}
_HASHED = 64
"""Payloads per collection that are read back: all of a small one, a part of a first one."""


def raw_assets() -> list[dg.AssetsDefinition]:
    """The raw battle logs."""

    @dg.multi_asset(
        name=RAW,
        specs=[asset_spec(RAW, version="1", kinds={"python"}, partitions_def=SOURCES)],
        check_specs=check_specs([RAW], CROSS_RULES),
        backfill_policy=SINGLE_RUN,
    )
    def raw_battle_logs(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], settings: dg.ResourceParam[Settings]
    ) -> Iterator[Any]:
        wanted = set(context.partition_keys)
        done, failed = _collect_sources(context, lake, settings, wanted)
        yield dg.MaterializeResult(asset_key=RAW, metadata=raw_metadata(lake, wanted, done))
        findings = {RAW: examine_raw(lake, wanted, [key for one in done for key in one.new_log_ids])}
        yield from check_results(findings, lake, CROSS_RULES, context.selected_asset_check_keys)
        if failed:
            raise dg.Failure(
                f"{len(failed)} sources could not be read; the others were collected",
                metadata={"errors": dg.MetadataValue.md("\n".join(f"* {e}" for e in failed))},
                allow_retries=False,
            )

    return [raw_battle_logs]


def _collect_sources(
    context: dg.AssetExecutionContext, lake: Lake, settings: Settings, wanted: set[str]
) -> tuple[list[Collected], list[str]]:
    done: list[Collected] = []
    failed: list[str] = []
    for origin in configured_origins(settings):
        try:
            fingerprint = fingerprint_folder(origin)
            failed_before = len(failed)
            sources = []
            for found in sources_at(origin, settings):
                if found.source is not None:
                    sources.append(found.source)
                elif isinstance(found.error, SourceError):
                    record_result(str(found.path), Collected("", "", str(found.path)), str(found.error))
            for source in (one for one in sources if one.name in wanted):
                _collect_source(context, source, lake, settings, done, failed)
            if len(failed) == failed_before and wanted.issuperset(one.name for one in sources):
                record_collected(origin, settings, fingerprint)
        except LostarkError as error:
            failed.append(str(error))
            context.log.warning(str(error))
    return done, failed


def _collect_source(
    context: dg.AssetExecutionContext,
    source: Source,
    lake: Lake,
    settings: Settings,
    done: list[Collected],
    failed: list[str],
) -> None:
    """Collect one source; a failure is recorded and never stops the others."""
    collected = Collected(source.name, source.log_format, source.path)
    try:
        collect_and_record(
            source,
            lake,
            open_ledger(settings),
            done=collected,
            run_id=context.run.run_id,
            earliest=settings.earliest_fight_date,
            batch_bytes=int(settings.batch_bytes),
        )
        record_result(source.path, collected)
    except (LostarkError, OSError) as error:
        if isinstance(error, SourceError | UnexpectedError):
            record_result(source.path, collected, str(error))
        failed.append(str(error))
        context.log.warning(str(error))
    done.append(collected)


def examine_raw(lake: Lake, sources: set[str], new_log_ids: Sequence[str]) -> list[Finding]:
    """Check the contract of all logs of ``sources``, and the hashes of the newest of ``new_log_ids``."""
    columns = [name for name in CONTRACTS[RAW].names if name != "payload"]
    rows = lake.read(RAW, columns=columns, where=pc.field("source").isin(sorted(sources)))
    sampled = new_log_ids[-_HASHED:]
    stored, worst = set(), []
    for group in lake.groups_with(RAW, "log_id", sampled, ["log_id", "content_sha256", "payload"]):
        for log_id, expected, payload in zip(*group.columns, strict=True):
            stored.add(log_id.as_py())
            if (found := content_sha256(payload.as_buffer())) != expected.as_py():
                worst.append({"log_id": log_id.as_py(), "content_sha256": expected.as_py(), "found": found})
    failed = len(worst) + len(sampled) - len(stored)
    return [
        *examine(CONTRACTS[RAW], rows),
        Finding(HASH_HOLDS, "error", len(sampled), failed, worst[:WORST_ROWS]),
    ]


def raw_metadata(lake: Lake, sources: set[str], done: Sequence[Collected] = ()) -> dict[str, Any]:
    """Row counts and size of the sources' logs, and the results of a collection."""
    columns = CONTRACTS[RAW].preview_columns
    rows = lake.read(RAW, columns=columns, where=pc.field("source").isin(sorted(sources)))
    rows = rows.sort_by([("fetched_at", "descending")])
    collected = [
        {"path": c.path, "format": c.log_format, "found": c.found, "new": c.new, "known": c.known}
        | {"problems": "; ".join(f"{p.where}: {p.reason}" for p in c.problems)}
        for c in done
    ]
    return table_metadata(lake, RAW, rows, rows.num_rows) | {
        "collected": dg.MetadataValue.md(markdown_table(collected) or "nothing was collected"),
        "bytes": sum(rows["payload_bytes"].to_pylist()),
    }
