"""What Dagster's runs say about requests and fight days.

What does not belong here: deciding anything from it (``decisions``).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import date, timedelta

from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter

from lostark_assets.automation.decisions import Outcome
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
"""A run that was made and not even queued after so long never will be: its maker died."""


def range_tags(first: str, last: str) -> dict[str, str]:
    """Tags of one run over the partitions from ``first`` to ``last``."""
    return {RANGE_START: first, RANGE_END: last}


def read_outcomes(instance: DagsterInstance, requests: Collection[str]) -> dict[str, Outcome]:
    """What became of each request that has a run; a run that Dagster will repeat still counts as running."""
    found: dict[str, Outcome] = {}
    if not requests:
        return found
    for record in instance.get_run_records(RunsFilter(tags={_RUN_KEY: sorted(requests)})):
        key, outcome = record.dagster_run.tags[_RUN_KEY], _outcome(record)
        # A repeated run carries the key of the first one; one that failed tells least.
        if found.get(key) in (None, "failed") or outcome == "running":
            found[key] = outcome
    return found


def _outcome(record: RunRecord) -> Outcome:
    run = record.dagster_run
    if run.status == DagsterRunStatus.SUCCESS:
        return "succeeded"
    if run.status in _IN_PROGRESS:
        return "running"
    is_repeated = run.tags.get(_WILL_RETRY) == "true" and _RETRIED_BY not in run.tags
    return "running" if is_repeated else "failed"


def in_progress(instance: DagsterInstance, job_name: str | None = None) -> list[RunRecord]:
    """The runs that wait or work now, of one job or of all."""
    records = instance.get_run_records(RunsFilter(job_name=job_name, statuses=_IN_PROGRESS))
    return [record for record in records if not _is_ghost(record)]


def _is_ghost(record: RunRecord) -> bool:
    is_made_only = record.dagster_run.status == DagsterRunStatus.NOT_STARTED
    return is_made_only and time.time() - record.create_timestamp.timestamp() > _GHOST_AFTER_S


def days_in_progress(records: Collection[RunRecord]) -> set[str]:
    """Every fight day that one of the runs works on or waits for, whoever started it."""
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
    """Every source (of ``partitions``, in their order) that one of the runs collects or will."""
    sources: set[str] = set()
    for record in records:
        tags = record.dagster_run.tags
        first, last = (tags.get(name) or tags.get(PARTITION) for name in (RANGE_START, RANGE_END))
        if record.dagster_run.job_name == COLLECT_JOB and first in partitions and last in partitions:
            sources |= set(partitions[partitions.index(first) : partitions.index(last) + 1])
    return sources
