"""The job that takes logs from their sources to the pages in one run: collect, clean, compute, publish.

It does what the assets do, for exactly the fight days that new logs touch, whichever these are; a job of
partitioned assets has to know its partitions before it starts. It reports the same materialisations and check
results as the assets.
"""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from lostark_assets.automation.due import CORE
from lostark_assets.automation.isolation import compute_or_refuse
from lostark_assets.automation.requests import INGEST_JOB, concurrency_group, op_name
from lostark_assets.contracts.code_versions import CLEAN_VERSION, MARTS_VERSION, STATS_VERSION
from lostark_assets.core.clean_meter import build_rules
from lostark_assets.core.pipeline import CoreRun, clean_days
from lostark_assets.dagster.core_assets import TABLES as CORE_TABLES
from lostark_assets.dagster.core_assets import core_findings, core_metadata
from lostark_assets.dagster.core_checks import core_check_results
from lostark_assets.dagster.mart_assets import FIGHTS, TABLES, publish_pending, publish_pending_tables
from lostark_assets.dagster.partitions import SOURCES
from lostark_assets.dagster.priority import BULK, give_way
from lostark_assets.dagster.raw_assets import (
    RAW,
    RAW_VERSION,
    collect_origins,
    raw_check_results,
    raw_metadata,
    report_collected_by_command,
)
from lostark_assets.dagster.results import asset_events, failed_checks
from lostark_assets.dagster.stats_assets import DAILY, daily_findings, daily_metadata
from lostark_assets.dagster.stats_checks import stats_check_results
from lostark_assets.errors import ContractViolated, LostarkError
from lostark_assets.lake.batching import split_batches
from lostark_assets.lake.tables import Lake
from lostark_assets.observability.logs import report_unexpected
from lostark_assets.settings import Settings
from lostark_assets.sources.collector import Collected
from lostark_assets.sources.configured import Origin, list_uploads, watched_origins
from lostark_assets.stats.pipeline import due_stats_days

PROCESS_EVERY_S = 30.0
"""During a long collection its fight days are processed this often."""
LOGS_PER_ROUND = 2_000
"""Fight days with more logs than this are processed and published in several rounds."""
_MAX_UPLOAD_ROUNDS = 50
_CODE_VERSIONS = {
    RAW: RAW_VERSION,
    **dict.fromkeys(CORE_TABLES, CLEAN_VERSION),
    **dict.fromkeys(DAILY, STATS_VERSION),
    **dict.fromkeys((FIGHTS, TABLES), MARTS_VERSION),
}


class IngestConfig(dg.Config):
    """What to ingest: the new logs of ``sources``, all pending ``uploads``, and due ``days`` (ISO dates).

    ``tables``: also publish the tables across days that changed.
    """

    sources: list[str] = Field(default_factory=list)
    uploads: bool = False
    days: list[str] = Field(default_factory=list)
    tables: bool = False


@dg.op(name=op_name(INGEST_JOB), description="Collect new logs; clean, compute and publish their fight days.")
def ingest_op(
    context: dg.OpExecutionContext,
    config: IngestConfig,
    lake: dg.ResourceParam[Lake],
    settings: dg.ResourceParam[Settings],
) -> Iterator[Any]:
    """One run of the job."""
    if not config.uploads:
        give_way(BULK)
    run = _Ingest(context, lake, settings)
    if config.days:
        run.due.update(date.fromisoformat(day) for day in config.days)
        yield from report_collected_by_command(context.instance, lake)
    if config.sources:
        run.collect(watched_origins(settings), set(config.sources))
        yield from run.take_events()
    tried: set[str] = set()
    for _ in range(_MAX_UPLOAD_ROUNDS):
        # What is uploaded meanwhile belongs to this run; what could not be collected is left to the next.
        waiting = list_uploads(settings) if config.uploads else []
        uploads = [upload for upload in waiting if upload.where not in tried]
        if not uploads:
            break
        tried.update(upload.where for upload in uploads)
        run.collect(uploads, None)
        run.process()
        yield from run.take_events()
    run.process()
    if config.tables:
        run.publish_tables()
    yield from run.take_events()
    if run.failed:
        errors = dg.MetadataValue.md("\n".join(f"* {error}" for error in run.failed))
        raise dg.Failure(
            f"{len(run.failed)} problems; everything else was ingested. {run.failed[0]}",
            metadata=run.summary() | {"errors": errors},
            allow_retries=False,
        )
    yield dg.Output(None, metadata=run.summary())


@dg.job(
    name=INGEST_JOB,
    tags=concurrency_group(INGEST_JOB),
    description="Collect new battle logs; clean, compute and publish the fight days they touch.",
)
def ingest_job() -> None:
    """The job ``ingest``."""
    ingest_op()


class _Ingest:
    """One run: fight days that are due, and what was done so far."""

    def __init__(self, context: dg.OpExecutionContext, lake: Lake, settings: Settings) -> None:
        self._context, self._lake, self._settings = context, lake, settings
        self._processed_at = time.monotonic()
        self.due: set[date] = set()
        self.failed: list[str] = []
        self._events: list[Any] = []
        self._counts = {"new logs": 0, "logs cleaned": 0, "logs refused": 0, "fight days published": 0}
        self._seconds = {"collect": 0.0, "clean": 0.0, "compute": 0.0, "publish": 0.0}

    def collect(self, origins: Iterable[Origin], wanted: set[str] | None) -> None:
        """Collect the sources of ``wanted`` names (None: all) at ``origins``."""
        started, started_at = time.monotonic(), datetime.now(UTC)
        others = sum(self._seconds.values())
        done, failed = collect_origins(
            self._context.log,
            origins,
            self._lake,
            self._settings,
            self._context.run_id,
            wanted,
            self._on_commit,
        )
        self.failed += failed
        self._counts["new logs"] += sum(one.new for one in done)
        self._seconds["collect"] += time.monotonic() - started - (sum(self._seconds.values()) - others)
        by_source: dict[str, list[Collected]] = {}
        for one in done:
            by_source.setdefault(one.source, []).append(one)
        self._context.instance.add_dynamic_partitions(str(SOURCES.name), sorted(by_source))
        for source, of_source in by_source.items():
            metadata = raw_metadata(self._lake, {source}, of_source, since=started_at)
            self._report([dg.MaterializeResult(asset_key=RAW, metadata=metadata)], [source])
            self._report(raw_check_results(self._lake, {source}, of_source, None, since=started_at))

    def _on_commit(self, days: set[date]) -> None:
        self.due |= days
        if time.monotonic() - self._processed_at >= PROCESS_EVERY_S:
            self.process()

    def process(self) -> None:
        """Clean, compute and publish the due fight days; days that fail stay due for later runs."""
        due, self.due = self.due, set()
        for days in split_batches(due, self._count_logs(due), LOGS_PER_ROUND):
            try:
                self._process(days)
            except Exception as error:  # noqa: BLE001 - later days, and the sources of other logs, go on
                known = isinstance(error, LostarkError | OSError)
                self.failed.append(
                    str(error) if known else str(report_unexpected("processing fight days", error))
                )
        self._processed_at = time.monotonic()

    def _count_logs(self, days: set[date]) -> dict[date, int]:
        return {} if len(days) < 2 else self._lake.rows_by_day(CORE)

    def _process(self, days: set[date]) -> None:
        lake, settings, run_id = self._lake, self._settings, self._context.run_id
        started = time.monotonic()
        try:
            core = clean_days(
                lake,
                days,
                build_rules(settings),
                run_id=run_id,
                batch_bytes=int(settings.batch_bytes),
                progress=lambda done, due: self._context.log.info("cleaned %d of %d logs", done, due),
            )
        except ContractViolated as error:
            self._events += asset_events(core_check_results(error.findings, lake, None), (), _CODE_VERSIONS)
            raise
        days = days | core.days
        # A failed check blocks what follows, as it does between the assets.
        passed = not (core.due or core.changed_fights) or self._report_core(sorted(days), core)
        started = self._clock("clean", started)
        passed = passed and self._compute(due_stats_days(lake, days))
        started = self._clock("compute", started)
        if passed:
            self._publish(days)
        self._clock("publish", started)

    def _report_core(self, days: list[date], run: CoreRun) -> bool:
        lake = self._lake
        self._counts["logs cleaned"] += run.encounters
        self._counts["logs refused"] += sum(run.quarantined.values())
        self._report(
            (
                dg.MaterializeResult(asset_key=name, metadata=core_metadata(lake, name, days, run))
                for name in CORE_TABLES
            ),
            [day.isoformat() for day in days],
        )
        return self._report(core_check_results(core_findings(lake, days, run), lake, None))

    def _compute(self, days: list[date]) -> bool:
        if not days:
            return True
        lake = self._lake
        try:
            run = compute_or_refuse(lake, days, self._settings.engine, run_id=self._context.run_id)
        except ContractViolated as error:
            self._events += asset_events(stats_check_results(error.findings, lake, None), (), _CODE_VERSIONS)
            raise
        self._counts["logs refused"] += run.refused
        self._report(
            (
                dg.MaterializeResult(asset_key=name, metadata=daily_metadata(lake, name, days, run))
                for name in DAILY
            ),
            [day.isoformat() for day in days],
        )
        return self._report(stats_check_results(daily_findings(lake, days, run), lake, None))

    def _publish(self, days: set[date]) -> None:
        published, results = publish_pending(self._lake, self._settings, days, self._context.run_id)
        self._counts["fight days published"] += len(published)
        self._report(results, [day.isoformat() for day in published])

    def publish_tables(self) -> None:
        """Publish the tables across days that changed."""
        started = time.monotonic()
        try:
            self._report(publish_pending_tables(self._lake, self._settings))
        except (LostarkError, OSError) as error:
            self.failed.append(str(error))
        self._clock("publish", started)

    def _clock(self, step: str, started: float) -> float:
        now = time.monotonic()
        self._seconds[step] += now - started
        return now

    def _report(self, results: Iterable[Any], partitions: Iterable[str] = ()) -> bool:
        """Record results; False if a check of severity error failed, which fails the run."""
        events = list(asset_events(results, partitions, _CODE_VERSIONS))
        failed = failed_checks(events)
        self._events += events
        self.failed += failed
        return not failed

    def take_events(self) -> list[Any]:
        """Events that the op has not yielded yet."""
        events, self._events = self._events, []
        return events

    def summary(self) -> dict[str, Any]:
        """Counts, and the seconds of each step."""
        return self._counts | {f"{step} [s]": round(s, 3) for step, s in self._seconds.items()}
