"""The raw layer as a Dagster asset: materialising a source's partition fetches its new logs."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
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
from lostark_assets.sources.collect import Collected, OnCommit, collect_and_record
from lostark_assets.sources.configured import Origin, configured_origins, sources_at
from lostark_assets.sources.landing import record_result
from lostark_assets.sources.probe import fingerprint_folder, record_collected
from lostark_assets.sources.protocol import Source, content_sha256

RAW = "raw_battle_logs"
RAW_VERSION = "1"
HASH_HOLDS = "newest_payloads_have_their_sha256"
CROSS_RULES = {HASH_HOLDS: (RAW, "error")}
_HASHED = 64
"""Payloads per collection that are read back: all of a small one, a part of a first one."""


def raw_assets() -> list[dg.AssetsDefinition]:
    """The raw battle logs."""

    @dg.multi_asset(
        name=RAW,
        specs=[asset_spec(RAW, version=RAW_VERSION, kinds={"python"}, partitions_def=SOURCES)],
        check_specs=check_specs([RAW], CROSS_RULES),
        backfill_policy=SINGLE_RUN,
    )
    def raw_battle_logs(
        context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], settings: dg.ResourceParam[Settings]
    ) -> Iterator[Any]:
        wanted = set(context.partition_keys)
        origins = configured_origins(settings)
        done, failed = collect_origins(context.log, origins, lake, settings, context.run.run_id, wanted)
        yield dg.MaterializeResult(asset_key=RAW, metadata=raw_metadata(lake, wanted, done))
        yield from raw_check_results(lake, wanted, done, context.selected_asset_check_keys)
        if failed:
            raise dg.Failure(
                f"{len(failed)} sources could not be read; the others were collected",
                metadata={"errors": dg.MetadataValue.md("\n".join(f"* {e}" for e in failed))},
                allow_retries=False,
            )

    return [raw_battle_logs]


def raw_check_results(
    lake: Lake,
    sources: set[str],
    done: Sequence[Collected],
    wanted: set[Any] | None,
    since: datetime | None = None,
) -> Iterator[dg.AssetCheckResult]:
    """Checks of the logs of ``sources`` after a collection; ``wanted``: check keys, None for all."""
    findings = {RAW: examine_raw(lake, sources, [key for one in done for key in one.new_log_ids], since)}
    return check_results(findings, lake, CROSS_RULES, wanted)


def collect_origins(
    log: logging.Logger,
    origins: Iterable[Origin],
    lake: Lake,
    settings: Settings,
    run_id: str,
    wanted: set[str] | None = None,
    on_commit: OnCommit | None = None,
) -> tuple[list[Collected], list[str]]:
    """Collect ``origins``, of their sources only those of ``wanted`` names (None: all).

    Returns what was collected, and the error of each source that could not be read; none stops the others.
    """
    done: list[Collected] = []
    failed: list[str] = []
    for origin in origins:
        try:
            fingerprint = fingerprint_folder(origin)
            failed_before = len(failed)
            sources = []
            for found in sources_at(origin, settings):
                if found.source is not None:
                    sources.append(found.source)
                elif isinstance(found.error, SourceError):
                    record_result(str(found.path), Collected("", "", str(found.path)), str(found.error))
            chosen = [one for one in sources if wanted is None or one.name in wanted]
            for source in chosen:
                _collect_source(log, source, lake, settings, run_id, on_commit, done, failed)
            if len(failed) == failed_before and len(chosen) == len(sources):
                record_collected(origin, settings, fingerprint)
        except LostarkError as error:
            failed.append(str(error))
            log.warning(str(error))
    return done, failed


def _collect_source(
    log: logging.Logger,
    source: Source,
    lake: Lake,
    settings: Settings,
    run_id: str,
    on_commit: OnCommit | None,
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
            run_id=run_id,
            on_commit=on_commit,
            earliest=settings.earliest_fight_date,
            batch_bytes=int(settings.batch_bytes),
        )
        record_result(source.path, collected)
    except (LostarkError, OSError) as error:
        if isinstance(error, SourceError | UnexpectedError):
            record_result(source.path, collected, str(error))
        failed.append(str(error))
        log.warning(str(error))
    done.append(collected)


def examine_raw(
    lake: Lake, sources: set[str], new_log_ids: Sequence[str], since: datetime | None = None
) -> list[Finding]:
    """Check the contract of the logs of ``sources``, and the hashes of the newest of ``new_log_ids``.

    ``since``: only of logs that were fetched at or after this time.
    """
    columns = [name for name in CONTRACTS[RAW].names if name != "payload"]
    rows = lake.read(RAW, columns=columns, where=_of_sources(sources, since))
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


def _of_sources(sources: set[str], since: datetime | None = None) -> pc.Expression:
    where = pc.field("source").isin(sorted(sources))
    return where if since is None else where & (pc.field("fetched_at") >= since)


def raw_metadata(
    lake: Lake, sources: set[str], done: Sequence[Collected] = (), since: datetime | None = None
) -> dict[str, Any]:
    """Row counts and size of the sources' logs, and the results of a collection.

    ``since``: the preview has only logs that were fetched at or after this time.
    """
    payload_bytes = lake.read(RAW, columns=["payload_bytes"], where=_of_sources(sources))["payload_bytes"]
    rows = lake.read(RAW, columns=CONTRACTS[RAW].preview_columns, where=_of_sources(sources, since))
    rows = rows.sort_by([("fetched_at", "descending")])
    collected = [
        {"path": c.path, "format": c.log_format, "found": c.found, "new": c.new, "known": c.known}
        | {"problems": "; ".join(f"{p.where}: {p.reason}" for p in c.problems)}
        for c in done
    ]
    return table_metadata(lake, RAW, rows, len(payload_bytes)) | {
        "collected": dg.MetadataValue.md(markdown_table(collected) or "nothing was collected"),
        "bytes": sum(payload_bytes.to_pylist()),
    }
