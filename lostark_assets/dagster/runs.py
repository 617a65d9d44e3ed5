"""Reading Dagster's run records: outcomes of requests, fight days and sources in progress."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import date, timedelta
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunRecord, RunsFilter

from lostark_assets.automation.decisions import RunOutcome
from lostark_assets.automation.requests import INGEST_JOB, UPLOADS

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
PARTITION = "dagster/partition"
_RUN_KEY, _WILL_RETRY, _RETRIED_BY = "dagster/run_key", "dagster/will_retry", "dagster/auto_retry_run_id"
_IN_PROGRESS = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
_GHOST_AFTER_S = 600.0
"""A run that was created but not queued after this time never will be: its creator died."""


def read_outcomes(instance: DagsterInstance, requests: Collection[str]) -> dict[str, RunOutcome]:
    """The outcome of each request that has a run; a run that Dagster will retry still counts as running."""
    found: dict[str, RunOutcome] = {}
    if not requests:
        return found
    for record in instance.get_run_records(RunsFilter(tags={_RUN_KEY: sorted(requests)})):
        key, outcome = record.dagster_run.tags[_RUN_KEY], _outcome(record)
        # A retried run has the key of the first one; a failed run says least.
        if found.get(key) in (None, "failed") or outcome == "running":
            found[key] = outcome
    return found


def _outcome(record: RunRecord) -> RunOutcome:
    run = record.dagster_run
    if run.status == DagsterRunStatus.SUCCESS:
        return "succeeded"
    if run.status in _IN_PROGRESS:
        return "running"
    is_retry_pending = run.tags.get(_WILL_RETRY) == "true" and _RETRIED_BY not in run.tags
    return "running" if is_retry_pending else "failed"


def in_progress(instance: DagsterInstance, job_name: str | None = None) -> list[RunRecord]:
    """The queued and running runs, of one job or of all."""
    records = instance.get_run_records(RunsFilter(job_name=job_name, statuses=_IN_PROGRESS))
    return [record for record in records if not _is_ghost(record)]


def count_queued(instance: DagsterInstance) -> int:
    """How many runs wait for their turn."""
    return instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.QUEUED]))


def _is_ghost(record: RunRecord) -> bool:
    is_unqueued = record.dagster_run.status == DagsterRunStatus.NOT_STARTED
    return is_unqueued and time.time() - record.create_timestamp.timestamp() > _GHOST_AFTER_S


def ingest_config(run: DagsterRun) -> dict[str, Any]:
    """What an ingest run was requested to do; empty for other jobs."""
    return dict(_op_config(run)) if run.job_name == INGEST_JOB else {}


def _op_config(run: DagsterRun) -> Mapping[str, Any]:
    config: Mapping[str, Any] = run.run_config
    of_op = next(iter((config.get("ops") or {}).values()), None) or {}
    return of_op.get("config") or {}


def run_days(run: DagsterRun) -> list[str]:
    """The fight days that a run was requested for: by the automation in its config, or as partitions."""
    if days := _op_config(run).get("days"):
        return sorted(days)
    tags = run.tags
    try:
        first = date.fromisoformat(tags.get(RANGE_START) or tags[PARTITION])
        last = date.fromisoformat(tags.get(RANGE_END) or tags[PARTITION])
    except (KeyError, ValueError):
        return []
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


def days_in_progress(records: Collection[RunRecord]) -> set[str]:
    """Every fight day of the given runs, whether a sensor or a user launched them."""
    return {day for record in records for day in run_days(record.dagster_run)}


def sources_in_progress(records: Collection[RunRecord]) -> set[str]:
    """Every source that the ingest runs among ``records`` collect; ``UPLOADS`` for the uploads."""
    configs = [ingest_config(record.dagster_run) for record in records]
    uploads = {UPLOADS} if any(config.get("uploads") for config in configs) else set()
    return uploads | {source for config in configs for source in config.get("sources", ())}


def collecting_since(records: Collection[RunRecord]) -> float | None:
    """When the oldest of the ingest runs among ``records`` that collect began, epoch seconds."""
    begun = [r.start_time for r in records if r.start_time and sources_in_progress([r])]
    return min(begun, default=None)
