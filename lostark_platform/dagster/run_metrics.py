"""Metrics of Dagster's runs, queue, sensors and asset checks, from its event log."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter
from prometheus_client.core import Metric

from lostark_assets.dagster.runs import in_progress
from lostark_platform.alerts.observations import Ticking
from lostark_platform.dagster.run_observations import OVERLAP, records_since, ticking, to_utc
from lostark_platform.metrics.families import Durations, counter, gauge, gauges, single

_ENDED = {
    DagsterRunStatus.SUCCESS: "succeeded",
    DagsterRunStatus.FAILURE: "failed",
    DagsterRunStatus.CANCELED: "canceled",
}
_QUEUED = (DagsterRunStatus.QUEUED, DagsterRunStatus.NOT_STARTED)
_SECONDS = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
_CHECKED_RUNS = 200
"""Runs whose checks are read at first."""
_MAX_CHECKS = 500
_AD_HOC = "(assets)"


class RunMetrics:
    """Metrics of the instance's runs; ended ones are counted from when this object was made."""

    def __init__(self, instance: DagsterInstance, now: float) -> None:
        self._instance = instance
        self._started_at = self._until = datetime.fromtimestamp(now, UTC)
        self._seen: dict[str, datetime] = {}
        self._ended: Counter[tuple[str, ...]] = Counter()
        self._seconds = Durations(_SECONDS)
        self._checks: dict[tuple[str, ...], float] = {}
        self._evaluated: Counter[tuple[str, ...]] = Counter()
        for record in reversed(
            instance.get_run_records(RunsFilter(statuses=list(_ENDED)), limit=_CHECKED_RUNS)
        ):
            self._take(record)

    def read(self, _now: float) -> Iterator[Metric]:
        """The metrics now."""
        self._follow()
        yield counter("lostark_runs", "Runs that ended, by job and outcome.", ["job", "outcome"], self._ended)
        yield self._seconds.family("lostark_run_seconds", "Duration of runs that succeeded.", ["job"])
        yield from self._read_active()
        yield from self._read_sensors()
        yield gauge(
            "lostark_asset_check_passed",
            "1 if the newest evaluation of the check passed.",
            ["asset", "check", "severity"],
            self._checks,
        )
        yield counter(
            "lostark_asset_check_evaluations",
            "Evaluations of asset checks, by severity and outcome.",
            ["severity", "outcome"],
            self._evaluated,
        )

    def _follow(self) -> None:
        """Take in the runs that ended since the last time, oldest first."""
        is_caught_up = False
        while not is_caught_up:
            records, is_caught_up = records_since(self._instance, list(_ENDED), self._until, self._seen)
            for record in records:
                if record.dagster_run.run_id not in self._seen:
                    self._take(record)
            self._until = max([self._until, *(to_utc(record.update_timestamp) for record in records)])
        edge = self._until - 2 * OVERLAP
        self._seen = {run_id: at for run_id, at in self._seen.items() if at >= edge}

    def _take(self, record: RunRecord) -> None:
        run, updated_at = record.dagster_run, to_utc(record.update_timestamp)
        self._seen[run.run_id] = updated_at
        is_new = updated_at >= self._started_at
        if is_new:
            self._count(record)
        records = self._instance.get_records_for_run(
            run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION, limit=_MAX_CHECKS
        ).records
        for event in (entry.event_log_entry.dagster_event for entry in records):
            if event is None:
                continue
            check = event.asset_check_evaluation_data
            severity = check.severity.value.lower()
            self._checks[check.asset_key.to_user_string(), check.check_name, severity] = float(check.passed)
            self._evaluated[severity, "passed" if check.passed else "failed"] += is_new

    def _count(self, record: RunRecord) -> None:
        status, job = record.dagster_run.status, _get_job(record.dagster_run.job_name)
        self._ended[job, _ENDED[status]] += 1
        if status == DagsterRunStatus.SUCCESS and record.start_time and record.end_time:
            self._seconds.observe((job,), record.end_time - record.start_time)

    def _read_active(self) -> Iterator[Metric]:
        records = in_progress(self._instance)
        waiting = [record for record in records if record.dagster_run.status in _QUEUED]
        states = Counter(
            (_get_job(r.dagster_run.job_name), "queued" if r in waiting else "running") for r in records
        )
        yield gauge(
            "lostark_runs_active",
            "Runs that wait for their turn or run.",
            ["job", "state"],
            {key: float(count) for key, count in states.items()},
        )
        yield single("lostark_runs_queued", "Runs that wait for their turn.", float(len(waiting)))
        yield single(
            "lostark_runs_oldest_queued_timestamp_seconds",
            "Since when the oldest of them waits.",
            min((to_utc(record.create_timestamp) for record in waiting), default=None),
        )

    def _read_sensors(self) -> Iterator[Metric]:
        described: dict[str, tuple[str, Callable[[Ticking], float]]] = {
            "interval_seconds": ("How often a sensor or schedule ticks at least.", lambda one: one.every_s),
            "last_tick_timestamp_seconds": (
                "When it last ticked.",
                lambda one: one.last_tick_at.timestamp() if one.last_tick_at else math.nan,
            ),
            "failures_in_a_row": (
                "Ticks that failed since the last one that did not.",
                lambda one: one.failures_in_a_row,
            ),
        }
        found = {(one.name,): one for one in ticking(self._instance, None) if one.last_tick_at is not None}
        yield from gauges("lostark_sensor_", ["sensor"], described, found)


def _get_job(name: str) -> str:
    """The job's name; runs of single assets, whose names are made up, are one."""
    return _AD_HOC if name.startswith("__") else name
