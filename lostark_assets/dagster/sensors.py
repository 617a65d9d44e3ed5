"""The sensors: new logs, due fight days, tables across days, marts.

A sensor reads the state (``automation.due``), keeps its requests in the cursor, decides
(``automation.decisions``) and requests runs.
"""

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import dagster as dg

from lostark_assets.automation.collection import SERVICE_INTERVAL_S, PollResult, SourceFailure, poll_sources
from lostark_assets.automation.decisions import (
    RequestMemory,
    apply_outcomes,
    can_request_days,
    is_across_days_due,
    plan_work,
)
from lostark_assets.automation.due import STATS, LakeState, check_lake
from lostark_assets.automation.requests import INGEST_JOB, UPLOADS, concurrency_group, ingest_run, run_config
from lostark_assets.automation.waiting import WaitingLogs, record_backlog
from lostark_assets.contracts.code_versions import MARTS_VERSION, STATS_VERSION
from lostark_assets.dagster.jobs import (
    ACROSS_DAYS_JOB,
)
from lostark_assets.dagster.runs import (
    collecting_since,
    count_queued,
    days_in_progress,
    in_progress,
    read_outcomes,
    sources_in_progress,
)
from lostark_assets.dagster.ticks import (
    describe_plan,
    new_memory,
    read_cursor,
    request_days,
    tick_result,
    update_memory,
)
from lostark_assets.database.postgres import marts_url
from lostark_assets.lake.tables import Lake
from lostark_assets.marts.names import build_names
from lostark_assets.marts.publish import find_pending
from lostark_assets.marts.tables import DAY_TABLES, WHOLE_MARTS
from lostark_assets.observability.logs import get_logger
from lostark_assets.settings import Settings
from lostark_assets.sources.configured import ServiceOrigin, open_landing, watched_origins

INTERVAL_S = 5
"""Dagster's daemon evaluates sensors every five seconds; an idle tick reads no rows."""
CATCH_UP_INTERVAL_S = 15
"""New logs are ingested in one run; the other sensors find what is left."""
COLLECT_MAX_BACKOFF_S = 900.0
MARTS_CHECK_INTERVAL_S = 600.0
"""How often the database is queried although the lake is unchanged: it may have been replaced."""
_ALL = "all days"
_TABLES = "tables"
Clock = Callable[[], float]
log = get_logger()


@dataclass(frozen=True)
class CollectCursor:
    """State of ``new_battle_logs`` between ticks. ``requested``: when each service was, epoch seconds."""

    memory: RequestMemory
    failures: dict[str, SourceFailure] = field(default_factory=dict)
    quiet: dict[str, float] = field(default_factory=dict)
    requested: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DaysCursor:
    """State of ``due_fight_days`` between ticks."""

    seen: LakeState
    memory: RequestMemory


@dataclass(frozen=True)
class AcrossCursor:
    """State of ``due_across_days``: the version that the tables were computed from, and the last request."""

    memory: RequestMemory
    version: int | None = None
    done: str | None = None
    requested_at: float = 0.0


@dataclass(frozen=True)
class MartsCursor:
    """State of ``due_marts``: the lake's versions that were last compared with the database, and when."""

    memory: RequestMemory
    code: str = ""
    versions: dict[str, int | None] = field(default_factory=dict)
    checked_at: float = 0.0
    due: dict[str, str] = field(default_factory=dict)


def automation_sensors(clock: Clock = time.time) -> list[dg.SensorDefinition]:
    """All sensors, switched on by default; ``clock`` returns epoch seconds."""
    return [_new_battle_logs(clock), _due_fight_days(clock), _due_across_days(clock), _due_marts(clock)]


def _new_battle_logs(clock: Clock) -> dg.SensorDefinition:
    # A sensor, not a schedule: it records failures, and requests a run only if there are new logs.
    @dg.sensor(
        job_name=INGEST_JOB,
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Polls every source and the uploads, and ingests exactly those that have new logs.",
    )
    def new_battle_logs(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SensorResult:
        now = clock()
        cursor = read_cursor(context.cursor, CollectCursor) or CollectCursor(new_memory())
        found = poll_sources(settings, cursor.failures, now, quiet=cursor.quiet)
        memory, due = cursor.memory, found.due | _pending_uploads(settings)
        if not due and not memory.attempts:
            return tick_result(
                context,
                CollectCursor(memory, found.failures, found.quiet, cursor.requested),
                _describe(found, "no new battle logs"),
            )
        memory = update_memory(context.instance, memory, due, now)
        busy = sources_in_progress(in_progress(context.instance, INGEST_JOB))
        plan = plan_work(memory, due, now, busy=busy, tries=None, max_s=COLLECT_MAX_BACKOFF_S)
        # A service that grows steadily would else have a run for each of its logs.
        recent = {name: at for name, at in cursor.requested.items() if now - at < SERVICE_INTERVAL_S}
        ready = [source for source in plan.ready if source not in recent]
        requests = []
        for group, sources in _group_sources(ready, settings).items():
            requests.append(_ingest_request(memory.next_request(), group, sources))
            memory = memory.with_request(due, sources)
        requested = recent | dict.fromkeys(_get_services(settings) & set(ready), now)
        cursor = CollectCursor(memory, found.failures, found.quiet, requested)
        reason = describe_plan(replace(plan, ready=ready))
        if held := sorted(set(plan.ready) - set(ready)):
            reason += f"; collected less than {SERVICE_INTERVAL_S:g} s ago: {', '.join(held)}"
        return tick_result(context, cursor, _describe(found, reason), requests)

    return new_battle_logs


def _pending_uploads(settings: Settings) -> dict[str, str]:
    folders = [one.folder_name for one in open_landing(settings).pending()]
    return {UPLOADS: hashlib.sha256("\n".join(folders).encode()).hexdigest()[:16]} if folders else {}


def _group_sources(ready: Iterable[str], settings: Settings) -> dict[str, list[str]]:
    """The sources of each run: uploads and every service have their own, so that none waits for another."""
    services = _get_services(settings)
    groups: dict[str, list[str]] = {}
    for source in ready:
        own = "uploads" if source == UPLOADS else f"ingest {source}" if source in services else "ingest"
        groups.setdefault(own, []).append(source)
    return groups


def _get_services(settings: Settings) -> set[str]:
    return {o.name for o in watched_origins(settings) if isinstance(o, ServiceOrigin)}


def _ingest_request(run_key: str, group: str, sources: list[str]) -> dg.RunRequest:
    config, tags = ingest_run(group, sources)
    return dg.RunRequest(run_key=run_key, run_config=config, tags=tags)


def _describe(found: PollResult, reason: str) -> str:
    bad = [
        f"{where} can't be read for {failure.failures} polls in a row: {failure.error}"
        for where, failure in found.failures.items()
    ]
    return "; ".join([reason, *bad])


def _due_fight_days(clock: Clock) -> dg.SensorDefinition:
    @dg.sensor(
        job_name=INGEST_JOB,
        minimum_interval_seconds=CATCH_UP_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ingests fight days that are still due: after new code, a failed run, or an import by "
        "command.",
    )
    def due_fight_days(
        context: dg.SensorEvaluationContext,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SensorResult:
        now = clock()
        before = read_cursor(context.cursor, DaysCursor)
        memory = before.memory if before else new_memory()
        seen = check_lake(lake, before.seen if before else None, now)
        if not seen.due and not memory.attempts:
            return tick_result(context, DaysCursor(seen, memory), "no fight day is due")
        due = _with_partition(seen.due, settings)
        memory = update_memory(context.instance, memory, due, now)
        working = in_progress(context.instance)
        plan = plan_work(memory, due, now, busy=days_in_progress(working))
        reason = describe_plan(plan)
        requests: list[dg.RunRequest] = []
        if plan.ready and can_request_days(collecting_since(working), now):
            requests, memory = request_days(INGEST_JOB, plan, memory, due, now)
        elif plan.ready:
            reason = f"{len(plan.ready)} fight days wait for the collection that is running"
        return tick_result(context, DaysCursor(seen, memory), reason, requests)

    return due_fight_days


def _due_across_days(clock: Clock) -> dg.SensorDefinition:
    @dg.sensor(
        job_name=ACROSS_DAYS_JOB,
        minimum_interval_seconds=CATCH_UP_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Computes the tables across all fight days after the statistics of days have changed.",
    )
    def due_across_days(context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]) -> dg.SensorResult:
        now = clock()
        cursor = read_cursor(context.cursor, AcrossCursor) or AcrossCursor(new_memory())
        is_known = context.cursor and lake.is_at(STATS, cursor.version)
        version = cursor.version if is_known else lake.version(STATS)
        target = f"version {version}, statistics {STATS_VERSION}"
        if version is None or (target == cursor.done and not cursor.memory.attempts):
            now_cursor = AcrossCursor(cursor.memory, version, cursor.done, cursor.requested_at)
            return tick_result(context, now_cursor, "the statistics of days are unchanged")
        memory, done = cursor.memory, cursor.done
        outcomes = read_outcomes(context.instance, {a.request for a in memory.attempts.values()})
        for attempt in memory.attempts.values():
            done = attempt.input if outcomes.get(attempt.request) == "succeeded" else done
        due = {} if target == done else {_ALL: target}
        memory = apply_outcomes(memory, due, outcomes, now)
        plan = plan_work(memory, due, now)
        days_wait = bool(plan.ready) and bool(in_progress(context.instance, INGEST_JOB))
        requests: list[dg.RunRequest] = []
        requested_at = cursor.requested_at
        if plan.ready and is_across_days_due(days_wait=days_wait, last_requested_at=requested_at, now=now):
            requests.append(dg.RunRequest(run_key=memory.next_request()))
            memory, requested_at = memory.with_request(due, [_ALL]), now
        reason = describe_plan(plan) if not plan.ready else "waiting for more new statistics"
        return tick_result(context, AcrossCursor(memory, version, done, requested_at), reason, requests)

    return due_across_days


def _due_marts(clock: Clock) -> dg.SensorDefinition:
    waiting: dict[str, WaitingLogs] = {}

    @dg.sensor(
        job_name=INGEST_JOB,
        minimum_interval_seconds=CATCH_UP_INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Publishes fight days and tables that are still to be published, and records how many "
        "logs wait for it.",
    )
    def due_marts(
        context: dg.SensorEvaluationContext,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SensorResult:
        now = clock()
        logs = waiting.setdefault(lake.url, WaitingLogs(lake, settings))
        _record_backlog(logs, settings, context.instance, now)
        cursor = read_cursor(context.cursor, MartsCursor) or MartsCursor(new_memory())
        seen = _check_marts(lake, settings, cursor, now)
        memory, due = cursor.memory, seen.due
        if not due and not memory.attempts:
            return tick_result(context, seen, "everything is published")
        memory = update_memory(context.instance, memory, due, now)
        working = in_progress(context.instance)
        jobs = {run.dagster_run.job_name for run in working}
        busy = {_TABLES} if ACROSS_DAYS_JOB in jobs else set()
        tables = plan_work(memory, {k: v for k, v in due.items() if k == _TABLES}, now, busy=busy)
        due_days = _with_partition({k: v for k, v in due.items() if k != _TABLES}, settings)
        days = plan_work(memory, due_days, now, busy=days_in_progress(working))
        requests: list[dg.RunRequest] = []
        if days.ready and can_request_days(collecting_since(working), now):
            requests, memory = request_days(INGEST_JOB, days, memory, due, now)
        if tables.ready:
            config = run_config(INGEST_JOB, {"tables": True})
            requests.append(
                dg.RunRequest(memory.next_request(), run_config=config, tags=concurrency_group("tables"))
            )
            memory = memory.with_request(due, [_TABLES])
        reason = f"fight days: {describe_plan(days)}; tables: {describe_plan(tables)}"
        return tick_result(context, replace(seen, memory=memory), reason, requests)

    return due_marts


def _record_backlog(logs: WaitingLogs, settings: Settings, instance: dg.DagsterInstance, now: float) -> None:
    """Add a sample of the backlog; without one its readers say that the figure is old."""
    try:
        record_backlog(logs, settings, count_queued(instance), datetime.fromtimestamp(now, UTC))
    except Exception:
        # Whatever keeps it from being counted must not keep fights from being published.
        log.exception("backlog_not_recorded")


def _check_marts(lake: Lake, settings: Settings, before: MartsCursor, now: float) -> MartsCursor:
    """Compare lake and database, unless both are unchanged."""
    names = build_names(settings)
    code = f"{MARTS_VERSION} {names.mode}"
    watched = (*DAY_TABLES, *WHOLE_MARTS)
    is_known = code == before.code and now - before.checked_at < MARTS_CHECK_INTERVAL_S
    if is_known and not before.due and all(lake.is_at(name, before.versions.get(name)) for name in watched):
        return before
    versions = {name: lake.version(name) for name in watched}
    with marts_url(settings) as url:
        found = find_pending(lake, url, names)
    due = {day.isoformat(): digest for day, digest in found.days.items()}
    if found.tables:
        due[_TABLES] = " ".join(f"{name} {digest}" for name, digest in sorted(found.tables.items()))
    return MartsCursor(before.memory, code, versions, now, due)


def _with_partition(due: dict[str, str], settings: Settings) -> dict[str, str]:
    """The days that have a partition; a fight dated tomorrow, by a clock that is ahead, waits for its day."""
    first, last = settings.earliest_fight_date.isoformat(), datetime.now(UTC).date().isoformat()
    return {day: digest for day, digest in due.items() if first <= day <= last}
