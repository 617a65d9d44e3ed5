"""The sensor that evaluates alerts every half minute.

It also reads Dagster's runs, so that failed runs need no sensor of their own.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import dagster as dg

from lostark_assets.automation.requests import INGEST_JOB
from lostark_assets.lake.tables import Lake
from lostark_assets.ledger import open_ledger
from lostark_assets.observability.logs import get_logger
from lostark_assets.settings import Settings
from lostark_platform.alerts import observe
from lostark_platform.alerts.channels import build_channels
from lostark_platform.alerts.detect import detect, follow_runs, only_due
from lostark_platform.alerts.evaluate import conclude, wake
from lostark_platform.alerts.observations import Facts, FailedUnit, StepTime
from lostark_platform.alerts.store import Memory, load, locked, memory_path
from lostark_platform.dagster import run_observations

EVERY_S = 30
NAME = "alerts"
_STEP_TIMES_KEPT = 61
_Fact = TypeVar("_Fact")

log = get_logger()


def alert_sensor(clock: Callable[[], float] = time.time) -> dg.SensorDefinition:
    """The sensor, switched on by default; ``clock`` gives epoch seconds."""
    observers: dict[str, observe.LakeObserver] = {}

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Detects problems and reports each once when it begins and once when it ends.",
    )
    def alerts(
        context: dg.SensorEvaluationContext,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SkipReason:
        now = datetime.fromtimestamp(clock(), UTC)
        path = memory_path(settings)
        lake_observer = observers.setdefault(
            lake.url, observe.LakeObserver(lake, observe.configured_places(settings))
        )
        with locked(path):
            memory, facts = _observe(wake(load(path), now), context, settings, lake_observer, now)
            memory, messages = conclude(path, memory, detect(facts), build_channels(settings), now)
        open_now = [one.problem.key for one in memory.state.open.values()]
        sent = f"; {len(messages)} messages" if messages else ""
        return dg.SkipReason(f"{len(open_now)} problems: {', '.join(open_now[:10]) or 'none'}{sent}")

    return alerts


def _observe(
    memory: Memory,
    context: dg.SensorEvaluationContext,
    settings: Settings,
    lake_observer: observe.LakeObserver,
    now: datetime,
) -> tuple[Memory, Facts]:
    instance = context.instance
    ledger = open_ledger(settings)
    refreshed = _observe_or_none(_refresh, lake_observer, now)
    collections = _observe_or_none(
        observe.read_collections,
        ledger,
        settings,
        lake_observer.activities,
        now,
    )
    ended = _observe_or_none(
        run_observations.ended_runs, instance, memory.runs_until, memory.runs_seen, now, collections or []
    )
    if ended is not None:
        memory = replace(
            memory,
            failed_units=tuple(follow_runs(memory.failed_units, ended.runs, now)),
            step_times=_keep_newest([*memory.step_times, *ended.steps]),
            runs_until=ended.until,
            runs_seen=ended.seen,
        )
    memory = replace(memory, failed_units=tuple(_still_due(memory.failed_units, lake_observer, now)))
    known = ended is not None and ended.is_caught_up
    running = _observe_or_none(run_observations.running_steps, instance, now)
    repository = context.repository_def
    facts = Facts(
        now=now,
        online_since=memory.online_since or now,
        failed_units=memory.failed_units if known else None,
        collections=collections,
        activities=None if refreshed is None else refreshed.activities,
        closed=lake_observer.closed,
        refusals=None if refreshed is None else refreshed.refusals,
        step_times=None if running is None or not known else [*memory.step_times, *running],
        queue=_observe_or_none(run_observations.queue, instance),
        backlog=_observe_or_none(observe.read_known_backlog, ledger, now),
        disks=_observe_or_none(observe.read_disks, settings),
        reported=_observe_or_none(ledger.reported_problems),
        ticking=None
        if repository is None
        else _observe_or_none(run_observations.ticking, instance, repository, [NAME]),
    )
    return memory, facts


def _refresh(lake_observer: observe.LakeObserver, now: datetime) -> observe.LakeObserver:
    lake_observer.refresh(now)
    return lake_observer


def _observe_or_none(read: Callable[..., _Fact], *arguments: Any) -> _Fact | None:
    """The result of ``read``, or None if it fails: the other observations are still evaluated."""
    try:
        return read(*arguments)
    except Exception:
        log.exception("alert_observation_failed", observation=read.__name__)
        return None


def _still_due(
    units: tuple[FailedUnit, ...], lake_observer: observe.LakeObserver, now: datetime
) -> list[FailedUnit]:
    """``units`` whose days still wait for work; the lake is only read while a day is failed."""
    of_days = [unit for unit in units if unit.job == INGEST_JOB]
    read_at, due = (_observe_or_none(lake_observer.due_days, now) if of_days else None) or (None, set())
    if read_at is None:
        return list(units)
    left = {*only_due(of_days, due), *(unit for unit in of_days if unit.ended_at >= read_at)}
    return [unit for unit in units if unit.job != INGEST_JOB or unit in left]


def _keep_newest(times: list[StepTime]) -> tuple[StepTime, ...]:
    """The newest durations of each step, in order."""
    by_step: dict[str, list[StepTime]] = {}
    for step_time in times:
        by_step.setdefault(step_time.step, []).append(step_time)
    return tuple(
        t for of_step in by_step.values() for t in sorted(of_step, key=lambda t: t.at)[-_STEP_TIMES_KEPT:]
    )
