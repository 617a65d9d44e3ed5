"""Materializes fight days in this process, without a daemon, on the platform's Dagster instance."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from lostark_assets.automation.requests import INGEST_JOB, run_config
from lostark_assets.dagster.jobs import ACROSS_DAYS_JOB
from lostark_assets.dagster.mart_assets import VERSION
from lostark_assets.dagster.partitions import SOURCES
from lostark_assets.dagster.raw_assets import RAW, raw_metadata
from lostark_assets.definitions import build_defs
from lostark_assets.lake.tables import open_lake
from lostark_assets.settings import Settings
from lostark_platform.services.dagster_home import dagster_instance, process_tag

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class MaterializeResult:
    """Runs and their failures; ``publish_version`` is the last publish, if there was one."""

    run_ids: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    publish_version: int | None = None

    @property
    def success(self) -> bool:
        """Every run succeeded."""
        return not self.failed


def materialize_days(
    settings: Settings, days: Iterable[date], say: Callable[[str], None]
) -> MaterializeResult:
    """Clean ``days``, compute statistics per day and across days, and publish them for API and pages.

    A failed day stops neither the others nor the publish.
    """
    days = sorted(set(days))
    result = MaterializeResult()
    if not days:
        return result
    defs = build_defs(settings=settings)
    with dagster_instance(settings) as instance:
        _report_raw(settings, instance)

        def run(job: str, what: str, config: dict[str, Any] | None = None) -> None:
            _execute(defs.resolve_job_def(job), instance, {**(config or {}), **_QUIET}, what, result)

        some = f"{days[0]}" if len(days) == 1 else f"{len(days)} fight days, {days[0]} to {days[-1]}"
        say(f"cleaning, computing and publishing {some}")
        config = run_config(INGEST_JOB, {"days": [day.isoformat() for day in days]})
        run(INGEST_JOB, some, config)
        say("statistics across days")
        run(ACROSS_DAYS_JOB, "across days")
    return result


def _execute(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    config: dict[str, Any],
    what: str,
    result: MaterializeResult,
) -> None:
    done = job.execute_in_process(
        instance=instance, tags=process_tag(), raise_on_error=False, run_config=config
    )
    result.run_ids.append(done.run_id)
    if not done.success:
        causes = [_cause(event) for event in done.all_events if event.is_step_failure]
        result.failed.append(f"{what}: {'; '.join(causes) or 'the run failed'}")
    for event in done.get_asset_materialization_events():
        version = event.materialization.metadata.get(VERSION)
        result.publish_version = result.publish_version if version is None else int(str(version.value))


def _cause(event: dg.DagsterEvent) -> str:
    """The first line of the root cause, below Dagster's wrappers."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip().splitlines()[0] if error is not None else event.step_key or "a step"


def _report_raw(settings: Settings, instance: dg.DagsterInstance) -> None:
    """Report sources that were collected outside of a run as partitions of the raw asset."""
    lake = open_lake(settings)
    known = set(instance.get_materialized_partitions(dg.AssetKey(RAW)))
    rows = lake.read(RAW, columns=["source"])
    sources = set(pc.unique(rows["source"]).to_pylist())
    instance.add_dynamic_partitions(str(SOURCES.name), sorted(sources))
    for source in sorted(sources):
        metadata = raw_metadata(lake, {source})
        if source not in known or _row_count(instance, source) != metadata["dagster/row_count"]:
            event = dg.AssetMaterialization(asset_key=RAW, partition=source, metadata=metadata)
            instance.report_runless_asset_event(event)


def _row_count(instance: dg.DagsterInstance, source: str) -> object:
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(RAW), asset_partitions=[source]), limit=1
    ).records
    if not records or records[0].asset_materialization is None:
        return None
    count = records[0].asset_materialization.metadata.get("dagster/row_count")
    return None if count is None else count.value
