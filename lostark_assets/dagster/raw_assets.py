"""The raw layer as a Dagster asset: materialising a source's partition fetches its new logs."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from lostark_assets.contracts.expectations import WORST_ROWS, Finding, examine
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.dagster import pools
from lostark_assets.dagster.partitions import SINGLE_RUN, SOURCES
from lostark_assets.dagster.specs import asset_spec, check_results, check_specs, table_metadata
from lostark_assets.errors import LostarkError, SourceError, UnexpectedError
from lostark_assets.lake.tables import Lake
from lostark_assets.ledger import open_ledger
from lostark_assets.markdown import markdown_table
from lostark_assets.observability.logs import report_unexpected
from lostark_assets.settings import Settings
from lostark_assets.sources.collect import collect_all
from lostark_assets.sources.collector import Collected, CollectOptions, OnCommit
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
_LISTED = 50
"""Files in the metadata of a materialization."""


def raw_assets() -> list[dg.AssetsDefinition]:
    """The raw battle logs."""

    @dg.multi_asset(
        name=RAW,
        specs=[asset_spec(RAW, version=RAW_VERSION, kinds={"python"}, partitions_def=SOURCES)],
        check_specs=check_specs([RAW], CROSS_RULES),
        backfill_policy=SINGLE_RUN,
        pool=pools.FIGHT_DAYS,
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
    run = _Collection(log, settings, wanted)
    options = CollectOptions(
        run_id, settings.earliest_fight_date, int(settings.batch_bytes), on_commit=on_commit
    )
    collect_all(run.find_sources(origins), lake, open_ledger(settings), run.on_result, options)
    run.record_fingerprints()
    return run.done, run.failed


class _Collection:
    """The sources of origins, and what became of them."""

    def __init__(self, log: logging.Logger, settings: Settings, wanted: set[str] | None) -> None:
        self._log, self._settings, self._wanted = log, settings, wanted
        self._fingerprints: dict[Origin, str | None] = {}
        """By origin that was collected completely, as far as is known yet."""
        self._origins: dict[int, Origin] = {}
        """By id of a source object: two origins may hold the same file."""
        self.done: list[Collected] = []
        self.failed: list[str] = []

    def find_sources(self, origins: Iterable[Origin]) -> Iterator[Source]:
        for origin in origins:
            try:
                self._fingerprints[origin] = fingerprint_folder(origin)
                yield from self._find_wanted(origin)
            except (LostarkError, OSError) as error:
                self._fail(origin, error)
            except Exception as error:  # noqa: BLE001 - whatever one origin raises, the others are collected
                self._fail(origin, report_unexpected(f"looking for sources at {origin.where}", error))

    def _find_wanted(self, origin: Origin) -> Iterator[Source]:
        """The wanted sources of ``origin``; its unreadable files are reported where any other is wanted."""
        is_wanted, unreadable = self._wanted is None, []
        for found in sources_at(origin, self._settings):
            if found.error is not None:
                unreadable.append((str(found.path), found.error))
            elif found.source is None:
                continue
            elif self._wanted is None or found.source.name in self._wanted:
                is_wanted = True
                self._origins[id(found.source)] = origin
                yield found.source
            else:
                self._fingerprints.pop(origin, None)
        if unreadable and not is_wanted:
            self._fingerprints.pop(origin, None)
            return
        for path, error in unreadable:
            self._settle(origin, path, Collected("", "", path), error)

    def on_result(self, source: Source, done: Collected, error: Exception | None) -> None:
        self.done.append(done)
        self._settle(self._origins[id(source)], source.path, done, error)

    def _settle(self, origin: Origin, path: str, done: Collected, error: Exception | None) -> None:
        is_reported = False
        try:
            # What may work later is left to the next run.
            if error is None or isinstance(error, SourceError | UnexpectedError):
                is_reported = record_result(path, done, None if error is None else str(error))
        except OSError as not_written:
            self._fail(origin, not_written)
        # An upload that can't be read is its uploader's problem, which the ticket reports: no run fails.
        if error is not None and not (is_reported and isinstance(error, SourceError)):
            self._fail(origin, error)

    def _fail(self, origin: Origin, error: Exception) -> None:
        # A file that is damaged for good must not delay the new ones beside it: it is tried again with them.
        if not isinstance(error, SourceError):
            self._fingerprints.pop(origin, None)
        self.failed.append(str(error))
        self._log.warning(str(error))

    def record_fingerprints(self) -> None:
        """So that what was collected completely is found unchanged by the next poll."""
        for origin, fingerprint in self._fingerprints.items():
            record_collected(origin, self._settings, fingerprint)


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
    return table_metadata(lake, RAW, rows, len(payload_bytes)) | {
        "collected": dg.MetadataValue.md(_describe_collected(done) or "nothing was collected"),
        "bytes": sum(payload_bytes.to_pylist()),
    }


def _describe_collected(done: Sequence[Collected]) -> str:
    """One row per file or service; of many files those with problems, and the sum of the others."""
    listed = [c for c in done if c.problems] if len(done) > _LISTED else list(done)
    listed = listed[:_LISTED]
    rows = [
        {"path": c.path, "format": c.log_format, "found": c.found, "new": c.new, "known": c.known}
        | {"problems": "; ".join(f"{p.where}: {p.reason}" for p in c.problems)}
        for c in listed
    ]
    if rest := len(done) - len(listed):
        counts = {
            name: sum(getattr(c, name) for c in done) - sum(getattr(c, name) for c in listed)
            for name in ("found", "new", "known")
        }
        rows.append({"path": f"{rest:,} others", "format": "", **counts, "problems": ""})
    return markdown_table(rows)


def report_collected_by_command(
    instance: dg.DagsterInstance, lake: Lake
) -> Iterator[dg.AssetMaterialization]:
    """Materialisations of the sources that a command collected outside of a run; adds their partitions."""
    known = set(instance.get_materialized_partitions(dg.AssetKey(RAW)))
    counts = lake.read(RAW, columns=["source"])["source"].value_counts()
    rows = {one["values"]: one["counts"] for one in counts.to_pylist()}
    instance.add_dynamic_partitions(str(SOURCES.name), sorted(rows))
    for source in sorted(rows):
        if source not in known or _get_row_count(instance, source) != rows[source]:
            yield dg.AssetMaterialization(RAW, partition=source, metadata=raw_metadata(lake, {source}))


def _get_row_count(instance: dg.DagsterInstance, source: str) -> object:
    """The number of logs that the last materialisation of a source reported."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(RAW), asset_partitions=[source]), limit=1
    ).records
    if not records or records[0].asset_materialization is None:
        return None
    count = records[0].asset_materialization.metadata.get("dagster/row_count")
    return None if count is None else count.value
