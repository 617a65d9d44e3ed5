"""Reading Dagster's run records: outcomes of requests, fight days and sources in progress."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import date, timedelta

from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter

from lostark_assets.automation.decisions import RunOutcome
from lostark_assets.dagster.jobs import COLLECT_JOB

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


def range_tags(first: str, last: str) -> dict[str, str]:
    """Tags of one run over the partitions from ``first`` to ``last``."""
    return {RANGE_START: first, RANGE_END: last}


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


def _is_ghost(record: RunRecord) -> bool:
    is_unqueued = record.dagster_run.status == DagsterRunStatus.NOT_STARTED
    return is_unqueued and time.time() - record.create_timestamp.timestamp() > _GHOST_AFTER_S


def days_in_progress(records: Collection[RunRecord]) -> set[str]:
    """Every fight day of the given runs, whether a sensor or a user launched them."""
    days: set[str] = set()
    for record in records:
        tags = record.dagster_run.tags
        try:
            first = date.fromisoformat(tags.get(RANGE_START) or tags[PARTITION])
            last = date.fromisoformat(tags.get(RANGE_END) or tags[PARTITION])
        except (KeyError, ValueError):
            continue
        days |= {(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)}
    return days


def sources_in_progress(records: Collection[RunRecord], partitions: Sequence[str]) -> set[str]:
    """Every source (of ``partitions``, in their order) of the collection runs among ``records``."""
    sources: set[str] = set()
    for record in records:
        tags = record.dagster_run.tags
        first, last = (tags.get(name) or tags.get(PARTITION) for name in (RANGE_START, RANGE_END))
        if record.dagster_run.job_name == COLLECT_JOB and first in partitions and last in partitions:
            sources |= set(partitions[partitions.index(first) : partitions.index(last) + 1])
    return sources
