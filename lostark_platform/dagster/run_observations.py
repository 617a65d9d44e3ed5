"""Observations from Dagster's event log: finished runs, step durations, the queue, ticks of sensors."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    RepositoryDefinition,
    RunRecord,
    RunsFilter,
    ScheduleDefinition,
    SensorDefinition,
    TimeWindowPartitionsDefinition,
)

from lostark_assets.automation.requests import SOURCES_TAG
from lostark_assets.dagster.runs import PARTITION, RANGE_END, RANGE_START, run_days
from lostark_assets.ledger import CollectionRecord
from lostark_assets.observability.logs import redacted
from lostark_platform.alerts.detect import COLLECTING_STEPS
from lostark_platform.alerts.observations import FinishedRun, Queue, StepTime, Ticking

FIRST_LOOKBACK = timedelta(days=7)
_MAX_RUNS = 200
OVERLAP = timedelta(seconds=5)
_MAX_EVENTS = 20
_MAX_CAUSE_DEPTH = 10
_TICKS_READ = 3
_KEPT_FOR_OTHER_LOCATIONS = timedelta(days=2)
_WORK = ("logs cleaned now", "logs computed now")
_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]
_WAITING = [DagsterRunStatus.QUEUED]
_IN_PROGRESS = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
# Values of Dagster's enums for steps, ticks and instigators, whose classes are private.
_SUCCESS, _FAILURE, _RUNNING, _DECLARED_IN_CODE = "SUCCESS", "FAILURE", "RUNNING", "DECLARED_IN_CODE"
_MAX_INTERVALS = 8
_CRON_HISTORY = timedelta(days=800)


@dataclass(frozen=True)
class Ended:
    """Runs that ended since the last evaluation, in order, and how far they were read."""

    runs: list[FinishedRun]
    steps: list[StepTime]
    until: datetime
    seen: tuple[str, ...]
    is_caught_up: bool


def records_since(
    instance: DagsterInstance, statuses: Sequence[DagsterRunStatus], until: datetime, seen: Collection[str]
) -> tuple[list[RunRecord], bool]:
    """Runs that ended since ``until``, oldest first, and whether these are all.

    Records are written shortly after their timestamp, so the last seconds are read twice: a caller skips the
    runs that it has ``seen`` in two ``OVERLAP``.
    """
    limit = _MAX_RUNS + len(seen)
    records = instance.get_run_records(
        RunsFilter(statuses=list(statuses), updated_after=until - OVERLAP),
        limit=limit,
        order_by="update_timestamp",
        ascending=True,
    )
    return list(records), len(records) < limit


def ended_runs(
    instance: DagsterInstance,
    until: datetime | None,
    seen: Sequence[str],
    now: datetime,
    collections: Sequence[CollectionRecord],
) -> Ended:
    """The runs that ended after ``until``, without ``seen``; the first time those of a week."""
    start = until or now - FIRST_LOOKBACK
    records, is_caught_up = records_since(instance, _ENDED, start, seen)
    new = [record for record in records if record.dagster_run.run_id not in seen]
    runs, steps = [], []
    for record in new:
        run = _finished(instance, record)
        runs.append(run)
        if run.succeeded:
            steps.extend(_step_times(instance, record.dagster_run, collections))
    newest = max((to_utc(record.update_timestamp) for record in records), default=start)
    recent = tuple(
        record.dagster_run.run_id
        for record in records
        if to_utc(record.update_timestamp) >= newest - 2 * OVERLAP
    )
    return Ended(runs, steps, max(newest, start), recent or tuple(seen), is_caught_up)


def running_steps(instance: DagsterInstance, now: datetime) -> list[StepTime]:
    """Steps that are running, with their duration so far."""
    steps = []
    for record in instance.get_run_records(RunsFilter(statuses=[DagsterRunStatus.STARTED]), limit=20):
        run = record.dagster_run
        for stats in instance.get_run_step_stats(run.run_id):
            if stats.start_time is not None and stats.end_time is None:
                began = datetime.fromtimestamp(stats.start_time, UTC)
                steps.append(
                    StepTime(
                        stats.step_key, (now - began).total_seconds(), 1.0, began, run.run_id, is_running=True
                    )
                )
    return steps


def queue(instance: DagsterInstance) -> Queue:
    """The queued runs and those in progress."""
    waiting = instance.get_runs_count(RunsFilter(statuses=_WAITING))
    if not waiting:
        return Queue()
    oldest = instance.get_run_records(RunsFilter(statuses=_WAITING), limit=1, ascending=True)
    return Queue(
        waiting,
        to_utc(oldest[0].create_timestamp) if oldest else None,
        instance.get_runs_count(RunsFilter(statuses=_IN_PROGRESS)),
    )


def ticking(
    instance: DagsterInstance, repository: RepositoryDefinition | None, without: Iterable[str] = ()
) -> list[Ticking]:
    """The enabled sensors and schedules of ``repository``, and those of others that ticked recently.

    One that never ran has no tick; those stopped manually are left out. For other code locations only
    Dagster's records are known: sensors without a tick for two days count as removed.
    """
    states = {state.instigator_name: state for state in instance.all_instigator_state()}
    definitions: list[SensorDefinition | ScheduleDefinition] = (
        [] if repository is None else [*repository.sensor_defs, *repository.schedule_defs]
    )
    ours = {one.name: one for one in definitions}
    found = []
    for name in [*ours, *(name for name in states if name not in ours)]:
        state, definition = states.get(name), ours.get(name)
        status = state.status.value if state else _DECLARED_IN_CODE
        is_default = definition is None or definition.default_status.value == _RUNNING
        is_on = status == _RUNNING or (status == _DECLARED_IN_CODE and is_default)
        if not is_on or name in set(without):
            continue
        every_s = _every_s(state.instigator_data if definition is None and state else definition)
        if state is None:
            found.append(Ticking(name, every_s, None))
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=_TICKS_READ)
        last = datetime.fromtimestamp(ticks[0].timestamp, UTC) if ticks else None
        if definition is None and (last is None or datetime.now(UTC) - last > _KEPT_FOR_OTHER_LOCATIONS):
            continue
        failed = 0
        for tick in ticks:
            if tick.status.value != _FAILURE:
                break
            failed += 1
        error = _root_cause(ticks[0].error) if failed and ticks[0].error else ""
        found.append(Ticking(name, every_s, last, failed, redacted(error)))
    return found


def _every_s(source: object) -> float:
    """Seconds between ticks, by a definition or by Dagster's record of one."""
    cron = getattr(source, "cron_schedule", None)
    if cron is not None:
        return _interval_s(cron, getattr(source, "execution_timezone", None))
    interval = getattr(source, "minimum_interval_seconds", None) or getattr(source, "min_interval", None)
    return float(interval or 30)


def _finished(instance: DagsterInstance, record: RunRecord) -> FinishedRun:
    run = record.dagster_run
    first, last = _partitions(run)
    succeeded = run.status == DagsterRunStatus.SUCCESS
    step, error = (None, "") if succeeded else _failure(instance, run.run_id)
    return FinishedRun(
        run_id=run.run_id,
        job=_job_name(run),
        first=first,
        last=last,
        started_at=_instant(record.start_time) or to_utc(record.create_timestamp),
        ended_at=_instant(record.end_time) or to_utc(record.update_timestamp),
        succeeded=succeeded,
        step=step,
        error=redacted(error),
        will_retry=run.tags.get("dagster/will_retry") == "true",
    )


def _job_name(run: DagsterRun) -> str:
    """The job name; for an ad hoc run of assets, their names."""
    if not run.job_name.startswith("__"):
        return run.job_name
    keys = sorted(key.to_user_string() for key in run.asset_selection or ())
    return f"assets {', '.join(keys[:3])}{' …' if len(keys) > 3 else ''}" if keys else run.job_name


def _partitions(run: DagsterRun) -> tuple[str, str]:
    """First and last partition; the fight days or sources that an ingest run was requested for."""
    one = run.tags.get(PARTITION) or run.tags.get(SOURCES_TAG)
    if one is not None:
        return one, one
    if days := run_days(run):
        return days[0], days[-1]
    return run.tags.get(RANGE_START, ""), run.tags.get(RANGE_END, "")


def _failure(instance: DagsterInstance, run_id: str) -> tuple[str | None, str]:
    """The first step that failed and the error that our code raised there; else the run's own message."""
    kinds = {DagsterEventType.STEP_FAILURE, DagsterEventType.RUN_FAILURE}
    records = instance.get_records_for_run(run_id, of_type=kinds, limit=_MAX_EVENTS).records
    events = [r.event_log_entry.dagster_event for r in records if r.event_log_entry.dagster_event is not None]
    for event in events:
        if event.event_type == DagsterEventType.STEP_FAILURE:
            error = event.step_failure_data.error
            return event.step_key, _root_cause(error) if error else ""
    return None, events[0].message or "" if events else ""


def _root_cause(error: object) -> str:
    """The first line of the error that our code raised, below Dagster's own."""
    for _ in range(_MAX_CAUSE_DEPTH):
        cause = getattr(error, "cause", None)
        if cause is None:
            break
        error = cause
    lines = str(getattr(error, "message", "")).strip().splitlines()
    return lines[0] if lines else ""


def _step_times(
    instance: DagsterInstance, run: DagsterRun, collections: Sequence[CollectionRecord]
) -> list[StepTime]:
    work = _work(instance, run)
    times = []
    for stats in instance.get_run_step_stats(run.run_id):
        is_success = stats.status is not None and stats.status.value == _SUCCESS
        if not is_success or stats.start_time is None or stats.end_time is None:
            continue
        began, ended = (datetime.fromtimestamp(t, UTC) for t in (stats.start_time, stats.end_time))
        logs = work
        if stats.step_key.startswith(COLLECTING_STEPS):
            logs = 1.0 + sum(c.new for c in collections if began <= c.ended_at <= ended)
        times.append(StepTime(stats.step_key, stats.end_time - stats.start_time, logs, ended, run.run_id))
    return times


def _work(instance: DagsterInstance, run: DagsterRun) -> float:
    """Number of logs that a run processed, from its materializations; else of its days; at least 1."""
    kind = DagsterEventType.ASSET_MATERIALIZATION
    records = instance.get_records_for_run(run.run_id, of_type=kind, limit=_MAX_EVENTS).records
    counts = [1.0]
    for record in records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        metadata = event.step_materialization_data.materialization.metadata
        counts.extend(float(str(metadata[name].value)) for name in _WORK if name in metadata)
    first, last = _partitions(run)
    # The partition key may be a source, or missing.
    with contextlib.suppress(ValueError):
        counts.append((datetime.fromisoformat(last) - datetime.fromisoformat(first)).days + 1.0)
    return max(counts)


def _interval_s(cron: str | Sequence[str], timezone: str | None) -> float:
    """The longest of the current and last gaps between ticks; for several crons, an upper bound."""
    if not isinstance(cron, str):
        return min(_interval_s(one, timezone) for one in cron)
    # Dagster's public API for a cron schedule: partition windows begin and end at its ticks.
    windows = TimeWindowPartitionsDefinition(
        start=datetime.now(UTC) - _CRON_HISTORY,
        fmt="%Y-%m-%dT%H:%M:%S%z",
        cron_schedule=cron,
        timezone=timezone or "UTC",
        end_offset=1,
    )
    gaps: list[float] = []
    window = windows.get_last_partition_window()
    while window is not None and len(gaps) < _MAX_INTERVALS:
        gaps.append((window.end - window.start).total_seconds())
        window = windows.get_prev_partition_window(window.start)
    return max(gaps, default=_CRON_HISTORY.total_seconds())


def _instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def to_utc(at: datetime) -> datetime:
    """An instant of Dagster's records, some of which have no zone."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
