"""The sensors that keep the platform fresh: from new logs to fight days, from days to the tables across them.

A sensor looks (``due``), remembers (its cursor), decides (``decisions``) and asks for runs. What does not
belong here: any of that itself, and schedules.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import dagster as dg

from lostark_assets.automation.collection import News, Trouble, look_for_news, partition_ranges
from lostark_assets.automation.decisions import (
    RUNS_AT_ONCE,
    Memory,
    choose,
    is_time_across_days,
    is_time_for_days,
    settle,
)
from lostark_assets.automation.due import CORE, STATS, Seen, look
from lostark_assets.dagster.jobs import (
    ACROSS_DAYS_JOB,
    COLLECT_JOB,
    FIGHT_DAYS_JOB,
    PUBLISH_DAYS_JOB,
    PUBLISH_JOBS,
    PUBLISH_TABLES_JOB,
)
from lostark_assets.dagster.partitions import SOURCES
from lostark_assets.dagster.runs import (
    days_in_progress,
    in_progress,
    range_tags,
    read_outcomes,
    sources_in_progress,
)
from lostark_assets.dagster.ticks import in_words, new_memory, read_cursor, request_days, settled, tick_result
from lostark_assets.lake.tables import Lake
from lostark_assets.marts.names import build_names
from lostark_assets.marts.publish import marts_url, waiting
from lostark_assets.marts.tables import DAY_TABLES, MARTS_VERSION, WHOLE_MARTS
from lostark_assets.settings import Settings
from lostark_assets.stats.pipeline import STATS_VERSION

EVERY_S = 30
COLLECT_EVERY_S = 60
COLLECT_MAX_PAUSE_S = 900.0
PUBLISHED_LOOK_EVERY_S = 600.0
"""So often the database is asked what it has though the lake is as it was: it may be another database."""
_ALL = "all days"
_TABLES = "tables"
Clock = Callable[[], float]


@dataclass(frozen=True)
class CollectCursor:
    """What ``new_battle_logs`` keeps from tick to tick."""

    memory: Memory
    troubles: dict[str, Trouble] = field(default_factory=dict)


@dataclass(frozen=True)
class DaysCursor:
    """What ``due_fight_days`` keeps from tick to tick."""

    seen: Seen
    memory: Memory


@dataclass(frozen=True)
class AcrossCursor:
    """What ``due_across_days`` keeps: the snapshot that is in the tables, and when it last asked."""

    memory: Memory
    version: int | None = None
    done: str | None = None
    asked_at: float = 0.0


@dataclass(frozen=True)
class MartsCursor:
    """What ``due_marts`` keeps: the lake's snapshot that it last compared with the database, and when."""

    memory: Memory
    code: str = ""
    versions: dict[str, int | None] = field(default_factory=dict)
    looked_at: float = 0.0
    due: dict[str, str] = field(default_factory=dict)


def automation_sensors(clock: Clock = time.time) -> list[dg.SensorDefinition]:
    """All sensors of the automation, switched on by default; ``clock`` gives epoch seconds."""
    return [_new_battle_logs(clock), _due_fight_days(clock), _due_across_days(clock), _due_marts(clock)]


def _new_battle_logs(clock: Clock) -> dg.SensorDefinition:
    # No schedule: it keeps what failed and when, and asks for a run only where there is something new.
    @dg.sensor(
        job_name=COLLECT_JOB,
        minimum_interval_seconds=COLLECT_EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Looks at every configured source and collects exactly those that have something new.",
    )
    def new_battle_logs(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SensorResult:
        now = clock()
        cursor = read_cursor(context.cursor, CollectCursor) or CollectCursor(new_memory())
        news = look_for_news(settings, cursor.troubles, now)
        memory = cursor.memory
        if not news.due and not memory.attempts:
            return tick_result(
                context, CollectCursor(memory, news.troubles), _told(news, "no new battle logs")
            )
        partitions = context.instance.get_dynamic_partitions(str(SOURCES.name))
        added = sorted(news.due.keys() - set(partitions))
        partitions = [*partitions, *added]
        memory = settled(context.instance, memory, news.due, now)
        busy = sources_in_progress(in_progress(context.instance, COLLECT_JOB), partitions)
        choice = choose(memory, news.due, now, busy=busy, tries=None, longest_s=COLLECT_MAX_PAUSE_S)
        requests = []
        for first, last in partition_ranges(choice.ask, partitions)[:RUNS_AT_ONCE]:
            names = partitions[partitions.index(first) : partitions.index(last) + 1]
            requests.append(dg.RunRequest(run_key=memory.next_request(), tags=range_tags(first, last)))
            memory = memory.asked(news.due, names)
        cursor = CollectCursor(memory, news.troubles)
        return tick_result(context, cursor, _told(news, in_words(choice)), requests, added)

    return new_battle_logs


def _told(news: News, reason: str) -> str:
    bad = [
        f"{where} can't be read since {trouble.failures} looks: {trouble.error}"
        for where, trouble in news.troubles.items()
    ]
    return "; ".join([reason, *bad])


def _due_fight_days(clock: Clock) -> dg.SensorDefinition:
    @dg.sensor(
        job_name=FIGHT_DAYS_JOB,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Cleans exactly the fight days that new logs touched, and computes their statistics.",
    )
    def due_fight_days(
        context: dg.SensorEvaluationContext,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SensorResult:
        now = clock()
        before = read_cursor(context.cursor, DaysCursor)
        memory = before.memory if before else new_memory()
        seen = look(lake, before.seen if before else None, now)
        if not seen.due and not memory.attempts:
            return tick_result(context, DaysCursor(seen, memory), "no fight day waits")
        due = _with_partition(seen.due, settings)
        memory = settled(context.instance, memory, due, now)
        working = in_progress(context.instance)
        # A day that is being published may be computed: what changes is published once more.
        computing = [run for run in working if run.dagster_run.job_name != PUBLISH_DAYS_JOB]
        choice = choose(memory, due, now, busy=days_in_progress(computing))
        reason = in_words(choice)
        requests = []
        if choice.ask and is_time_for_days(_collecting_since(working), now):
            requests, memory = request_days(choice, memory, due, lake.days(CORE), now)
        elif choice.ask:
            reason = f"{len(choice.ask)} fight days wait for the collection that is running"
        return tick_result(context, DaysCursor(seen, memory), reason, requests)

    return due_fight_days


def _due_across_days(clock: Clock) -> dg.SensorDefinition:
    @dg.sensor(
        job_name=ACROSS_DAYS_JOB,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Computes the tables across all fight days after the statistics of days have changed.",
    )
    def due_across_days(context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]) -> dg.SensorResult:
        now = clock()
        cursor = read_cursor(context.cursor, AcrossCursor) or AcrossCursor(new_memory())
        is_known = context.cursor and lake.is_at(STATS, cursor.version)
        version = cursor.version if is_known else lake.version(STATS)
        waits = f"version {version}, statistics {STATS_VERSION}"
        if version is None or (waits == cursor.done and not cursor.memory.attempts):
            now_cursor = AcrossCursor(cursor.memory, version, cursor.done, cursor.asked_at)
            return tick_result(context, now_cursor, "the statistics of days are as they were")
        memory, done = cursor.memory, cursor.done
        outcomes = read_outcomes(context.instance, {a.request for a in memory.attempts.values()})
        for attempt in memory.attempts.values():
            done = attempt.input if outcomes.get(attempt.request) == "succeeded" else done
        due = {} if waits == done else {_ALL: waits}
        memory = settle(memory, due, outcomes, now)
        choice = choose(memory, due, now)
        days_wait = bool(choice.ask) and bool(in_progress(context.instance, FIGHT_DAYS_JOB))
        requests, asked_at = [], cursor.asked_at
        if choice.ask and is_time_across_days(days_wait=days_wait, last_asked_at=asked_at, now=now):
            requests.append(dg.RunRequest(run_key=memory.next_request()))
            memory, asked_at = memory.asked(due, [_ALL]), now
        reason = in_words(choice) if not choice.ask else "new statistics wait for more of them"
        return tick_result(context, AcrossCursor(memory, version, done, asked_at), reason, requests)

    return due_across_days


def _due_marts(clock: Clock) -> dg.SensorDefinition:
    @dg.sensor(
        jobs=PUBLISH_JOBS,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Publishes exactly the fight days and tables that changed since they were published.",
    )
    def due_marts(
        context: dg.SensorEvaluationContext,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> dg.SensorResult:
        now = clock()
        cursor = read_cursor(context.cursor, MartsCursor) or MartsCursor(new_memory())
        seen = _look_at_marts(lake, settings, cursor, now)
        memory, due = cursor.memory, seen.due
        if not due and not memory.attempts:
            return tick_result(context, seen, "everything is published")
        memory = settled(context.instance, memory, due, now)
        tables = choose(memory, {k: v for k, v in due.items() if k == _TABLES}, now)
        days = choose(memory, _with_partition({k: v for k, v in due.items() if k != _TABLES}, settings), now)
        present = lake.days(STATS)
        requests, memory = request_days(days, memory, due, present, now, job_name=PUBLISH_DAYS_JOB)
        if tables.ask:
            requests.append(dg.RunRequest(memory.next_request(), job_name=PUBLISH_TABLES_JOB))
            memory = memory.asked(due, [_TABLES])
        reason = f"fight days: {in_words(days)}; tables: {in_words(tables)}"
        return tick_result(context, replace(seen, memory=memory), reason, requests)

    return due_marts


def _look_at_marts(lake: Lake, settings: Settings, before: MartsCursor, now: float) -> MartsCursor:
    """Compare lake and database, unless both are as they were."""
    names = build_names(settings)
    code = f"{MARTS_VERSION} {names.mode}"
    watched = (*DAY_TABLES, *WHOLE_MARTS)
    is_known = code == before.code and now - before.looked_at < PUBLISHED_LOOK_EVERY_S
    if is_known and not before.due and all(lake.is_at(name, before.versions.get(name)) for name in watched):
        return before
    versions = {name: lake.version(name) for name in watched}
    with marts_url(settings) as url:
        found = waiting(lake, url, names)
    due = {day.isoformat(): digest for day, digest in found.days.items()}
    if found.tables:
        due[_TABLES] = " ".join(f"{name} {digest}" for name, digest in sorted(found.tables.items()))
    return MartsCursor(before.memory, code, versions, now, due)


def _with_partition(due: dict[str, str], settings: Settings) -> dict[str, str]:
    """The days that are partitions; a fight of tomorrow, by a clock that is ahead, waits for its day."""
    first, last = settings.earliest_fight_date.isoformat(), datetime.now(UTC).date().isoformat()
    return {day: waits for day, waits in due.items() if first <= day <= last}


def _collecting_since(working: list[dg.RunRecord]) -> float | None:
    begun = [r.start_time for r in working if r.dagster_run.job_name == COLLECT_JOB and r.start_time]
    return min(begun, default=None)
