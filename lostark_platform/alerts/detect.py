"""Detectors: pure functions from observations to problems.

Limits come from the platform's own history where it is long enough; fixed ones are constants above their
function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from lostark_assets.automation.backlog_text import describe_backlog
from lostark_assets.ledger import CollectionRecord
from lostark_assets.stats.robust import Baseline, fit_baseline, share_bounds
from lostark_platform.alerts.observations import Facts, FailedUnit, FinishedRun, StepTime
from lostark_platform.alerts.problems import Problem, consequences
from lostark_platform.alerts.silence import judge_silence, weekly_maintenance

GIB = 1 << 30


@dataclass(frozen=True)
class Detected:
    """The problems of one evaluation.

    ``explained`` are keys of problems that another one causes: they get no message of their own.
    ``unknown`` are kinds that could not be evaluated this time.
    """

    problems: list[Problem]
    explained: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()


def detect(facts: Facts) -> Detected:
    """Run all detectors."""
    detectors: dict[str, tuple[object, Callable[[Facts], list[Problem]]]] = {
        "run_failed": (facts.failed_units, failed_runs),
        "source_failing": (facts.collections, failing_sources),
        "no_new_logs": (facts.activities, silent_sources),
        "quarantine_jump": (facts.refusals, quarantine_jumps),
        "slow_step": (facts.step_times, slow_steps),
        "stuck_queue": (facts.queue, stuck_queue),
        "falling_behind": (facts.backlog, waiting_logs),
        "disk_nearly_full": (facts.disks, full_disks),
        "sensor_stopped": (facts.ticking, stopped_sensors),
        "model_degraded": (facts.reported, partial(reported, kind="model_degraded")),
        "model_drift": (facts.reported, partial(reported, kind="model_drift")),
    }
    problems = [p for given, find in detectors.values() if given is not None for p in find(facts)]
    unknown = frozenset(kind for kind, (given, _) in detectors.items() if given is None)
    return Detected(problems, consequences(problems), unknown)


# Run failures --------------------------------------------------------------------------------------

_FAILURES_KEPT_FOR = timedelta(days=30)
_MAX_UNITS = 500
COLLECTING_STEPS = ("raw_", "ingest")


def follow_runs(units: Iterable[FailedUnit], runs: Iterable[FinishedRun], now: datetime) -> list[FailedUnit]:
    """The failed units after ``runs``, which are in the order of their ends.

    A success removes its partitions from earlier failures; a failure that Dagster retries automatically is
    not counted before the retry ends. Failures are kept for 30 days.
    """
    left = list(units)
    for run in runs:
        if run.succeeded:
            left = [part for unit in left for part in _subtract(unit, run)]
        elif not run.will_retry:
            same = next((u for u in left if (u.job, u.first, u.last) == (run.job, run.first, run.last)), None)
            if same is None:
                left.append(_failed_unit(run, run.ended_at))
            elif same.run_id != run.run_id:
                left[left.index(same)] = replace(_failed_unit(run, same.since), times=same.times + 1)
    return [unit for unit in left if now - unit.since < _FAILURES_KEPT_FOR][-_MAX_UNITS:]


def _failed_unit(run: FinishedRun, since: datetime) -> FailedUnit:
    return FailedUnit(
        run.job, run.first, run.last, since, run.started_at, run.ended_at, run.run_id, run.step, run.error
    )


def _subtract(unit: FailedUnit, run: FinishedRun) -> list[FailedUnit]:
    """``unit`` without the partitions of ``run``: none, one or two ranges."""
    if unit.job != run.job or unit.since > run.ended_at:
        return [unit]
    if (unit.first, unit.last) == (run.first, run.last):
        return []
    if not (_is_day(unit.first) and _is_day(run.first)) or run.last < unit.first or run.first > unit.last:
        return [unit]
    before = replace(unit, last=_day_after(run.first, -1))
    after = replace(unit, first=_day_after(run.last, 1))
    return [piece for piece in (before, after) if piece.first <= piece.last]


def only_due(units: Iterable[FailedUnit], due_days: Iterable[str]) -> list[FailedUnit]:
    """``units`` without ranges of days in which no day is due: another run has computed them."""
    due = set(due_days)
    return [u for u in units if not _is_day(u.first) or any(u.first <= day <= u.last for day in due)]


def _is_day(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


def _day_after(day: str, days: int) -> str:
    return (datetime.fromisoformat(day) + timedelta(days=days)).date().isoformat()


def failed_runs(facts: Facts) -> list[Problem]:
    """One problem per job, regardless of the number of failed partitions.

    A collection that failed because a source did not respond is reported for that source.
    """
    jobs: dict[str, list[FailedUnit]] = {}
    for unit in facts.failed_units or ():
        if not _is_of_a_source(unit, facts.collections or ()):
            jobs.setdefault(unit.job, []).append(unit)
    return [_failed_job(job, units) for job, units in jobs.items()]


def _is_of_a_source(unit: FailedUnit, collections: Sequence[CollectionRecord]) -> bool:
    # A run over fight days collects nothing, though a source may fail beside it.
    collects = (unit.step or "").startswith(COLLECTING_STEPS) and not _is_day(unit.first)
    return collects and any(
        record.outcome != "ok" and unit.started_at <= record.ended_at <= unit.ended_at
        for record in collections
    )


def _failed_job(job: str, units: list[FailedUnit]) -> Problem:
    newest = max(units, key=lambda unit: unit.since)
    named = [u.first if u.first == u.last else f"{u.first} to {u.last}" for u in units if u.first]
    parts = (
        f" for {', '.join(named[:3])}{f' and {len(named) - 3} more' if len(named) > 3 else ''}"
        if named
        else ""
    )
    where = f" in step {newest.step}" if newest.step else ""
    error = newest.error.splitlines()[0][:500] if newest.error else "no error was recorded"
    return Problem(
        "run_failed",
        job,
        f"job {job} failed{parts}{where}: {error} (run {newest.run_id})",
        min(unit.since for unit in units),
        _cause_of_failure(newest.error),
    )


_CAUSES_OF_FAILURE = (
    ("ContractViolated", "data that breaks a table's contract: a new meter version, or a bug in cleaning"),
    ("LakeBusy", "several writers on one table at once"),
    ("No space left", "the disk is full"),
    ("MemoryError", "too little memory: lower LOSTARK_BATCH_BYTES"),
    ("could not be read", "a source that is down, locked or broken"),
    ("SourceUnavailable", "a source that is down, locked or broken"),
    ("nterrupted", "the process was stopped, as by Ctrl-C: the next run repeats its work"),
    ("process of this run ended", "the process was killed: stopped, out of memory, or the machine went down"),
)


def _cause_of_failure(error: str) -> str:
    return next((cause for sign, cause in _CAUSES_OF_FAILURE if sign in error), "a bug, or unexpected input")


# Sources that do not respond -----------------------------------------------------------------------

_FAILURES_IN_A_ROW = 2
_FAILING_FOR = timedelta(seconds=60)
_RATE_WINDOW = timedelta(hours=1)
_RATE_MIN_REQUESTS = 20
_RATE_LIMIT = 0.3
"""Retries absorb a share of failed requests below this; measured against the interval's lower end."""
_Z = 3.0
_WATCHED_FOR = timedelta(days=2)
OPEN_API = "open_api"


def failing_sources(facts: Facts) -> list[Problem]:
    """Sources whose last collections failed in a row, or whose requests fail too often."""
    by_source: dict[str, list[CollectionRecord]] = {}
    for record in facts.collections or ():
        if record.ended_at > facts.now - _WATCHED_FOR:
            by_source.setdefault(record.source, []).append(record)
    closed = _is_closed(facts)
    problems = []
    for source, records in by_source.items():
        records.sort(key=lambda record: record.ended_at)
        if closed and source == OPEN_API and records[-1].outcome == "unavailable":
            continue
        problem = _failing_now(source, records, facts.now) or _failing_often(source, records, facts.now)
        if problem is not None:
            problems.append(problem)
    return problems


def _is_closed(facts: Facts) -> bool:
    windows = [*facts.closed, *weekly_maintenance(facts.now - timedelta(hours=1), facts.now)]
    return any(begin <= facts.now <= end for begin, end in windows)


def _failing_now(source: str, records: list[CollectionRecord], now: datetime) -> Problem | None:
    """The worst streak of the Open API's profiles and news, which fail apart; else of all records."""
    kinds = {record.kind if source == OPEN_API else "" for record in records}
    streaks = [
        _failing_in_a_row(source, [r for r in records if kind in ("", r.kind)], now) for kind in sorted(kinds)
    ]
    return min((problem for problem in streaks if problem), key=lambda p: p.since, default=None)


def _failing_in_a_row(source: str, records: list[CollectionRecord], now: datetime) -> Problem | None:
    streak: list[CollectionRecord] = []
    for record in reversed(records):
        if record.outcome == "ok":
            break
        streak.insert(0, record)
    if not streak:
        return None
    last = streak[-1]
    lasts = len(streak) >= _FAILURES_IN_A_ROW and now - streak[0].started_at >= _FAILING_FOR
    if not lasts and last.outcome == "unavailable":
        return None
    causes = {
        "refused": "a missing, wrong or expired key, or an address that has moved",
        "unavailable": "the server is down, in maintenance, or can't be reached from here",
        "failed": "a response or a file in an unexpected format",
    }
    tries = "1 collection" if len(streak) == 1 else f"the last {len(streak)} collections"
    return Problem(
        "source_failing",
        source,
        f"{tries} of source {source} failed: {last.error or last.outcome}",
        streak[0].started_at,
        causes.get(last.outcome, causes["failed"]),
    )


def _failing_often(source: str, records: list[CollectionRecord], now: datetime) -> Problem | None:
    recent = [record for record in records if record.ended_at > now - _RATE_WINDOW]
    requests = sum(record.requests for record in recent)
    failed = min(sum(record.failed_requests for record in recent), requests)
    if requests < _RATE_MIN_REQUESTS or share_bounds(failed, requests, _Z)[0] <= _RATE_LIMIT:
        return None
    error = next((record.error for record in reversed(recent) if record.error), None)
    return Problem(
        "source_failing",
        source,
        f"{failed:,} of {requests:,} requests to source {source} failed within the last hour "
        f"(expected at most {_RATE_LIMIT:.0%})" + (f": {error}" if error else ""),
        next(record.started_at for record in recent if record.failed_requests),
        "the server is overloaded or limits requests; retries still get the logs, but slowly",
    )


# Silence -------------------------------------------------------------------------------------------


def silent_sources(facts: Facts) -> list[Problem]:
    """Sources that respond but bring no logs, for longer than usual."""
    problems = []
    for source, activity in (facts.activities or {}).items():
        silence = judge_silence(activity, facts.now, online_since=facts.online_since, closed=facts.closed)
        if silence is None or silence.limit_share < 1:
            continue
        hours = (facts.now - silence.since).total_seconds() / 3600
        comparison = (
            f"its longest usual gap is worth {silence.longest_usual_h:.1f} h of average play"
            if silence.has_history
            else "its history is too short, so the limit is a day"
        )
        problems.append(
            Problem(
                "no_new_logs",
                source,
                f"no new battle log from source {source} for {hours:.1f} h; {comparison}",
                silence.since,
                "no play, no uploads, a meter that does not work after a game patch, or a moved file",
            )
        )
    return problems


# Quarantine ----------------------------------------------------------------------------------------

_REFUSALS_MIN = 20
_REFUSALS_STEP = 0.05
_REFUSALS_FACTOR = 2.0
_REFUSALS_WITHOUT_HISTORY = 0.5


def quarantine_jumps(facts: Facts) -> list[Problem]:
    """Sources whose share of refused logs is significantly higher than before.

    The lower bound of the recent share must exceed the upper bound of the earlier one, and the share must
    have doubled and grown by five points. Without history the limit is a half.
    """
    problems = []
    for r in facts.refusals or ():
        if r.recent_cleaned < _REFUSALS_MIN:
            continue
        share = r.recent_refused / r.recent_cleaned
        low = share_bounds(r.recent_refused, r.recent_cleaned, _Z)[0]
        if r.before_cleaned < _REFUSALS_MIN:
            jumped, expected = low > _REFUSALS_WITHOUT_HISTORY, "no history to compare with yet"
        else:
            before = r.before_refused / r.before_cleaned
            high = share_bounds(r.before_refused, r.before_cleaned, _Z)[1]
            jumped = low > high and share > max(_REFUSALS_FACTOR * before, before + _REFUSALS_STEP)
            expected = f"before: {before:.1%} of {r.before_cleaned:,}"
        if jumped:
            reason = f", mostly {r.most_common_reason}" if r.most_common_reason else ""
            problems.append(
                Problem(
                    "quarantine_jump",
                    r.source,
                    f"{share:.1%} of {r.recent_cleaned:,} logs of source {r.source} cleaned in the last "
                    f"24 h were refused{reason} ({expected})",
                    r.since,
                    "a new meter version or game patch changed the logs, or a source sends broken ones",
                )
            )
    return problems


# Slow steps ----------------------------------------------------------------------------------------

_STEP_HISTORY = 60
_STEP_MIN = 8
_STEP_SIGMAS = 6.0
_STEP_SMALLEST_SIGMA = 0.15
_STEP_FACTOR = 3.0
_STEP_EXCESS_S = 30.0


def slow_steps(facts: Facts) -> list[Problem]:
    """Steps whose newest duration is far above the one expected from their last 60 for that amount of work.

    Expected is the larger of the usual duration and the usual duration per log. The limit is six robust
    standard deviations on the log scale, a factor of three, and 30 s more. A running step counts by its
    duration so far.
    """
    by_step: dict[str, list[StepTime]] = {}
    for time in facts.step_times or ():
        by_step.setdefault(time.step, []).append(time)
    problems = []
    for step, times in by_step.items():
        *history, newest = sorted(times, key=lambda time: (time.is_running, time.at))
        # The amount of work is known at the end: a running step may have as much as any before.
        work = max((time.work for time in times), default=1.0) if newest.is_running else newest.work
        limit = step_limit(history[-_STEP_HISTORY:], work)
        if limit is None or newest.seconds <= limit[1]:
            continue
        expected, _ = limit
        verb = "has been running for" if newest.is_running else "took"
        problems.append(
            Problem(
                "slow_step",
                step,
                f"step {step} {verb} {newest.seconds:,.0f} s; its last {len(history[-_STEP_HISTORY:])} runs "
                f"predict {expected:,.0f} s for {work:,.0f} logs (run {newest.run_id})",
                newest.at - timedelta(seconds=0 if newest.is_running else newest.seconds),
                "the machine is busy or short of memory, another process locks a table, or unusual logs",
            )
        )
    return problems


def step_limit(history: Sequence[StepTime], work: float) -> tuple[float, float] | None:
    """Expected seconds for ``work`` logs and the limit above them; None if the history is too short."""
    history = [time for time in history if time.seconds > 0]
    if len(history) < _STEP_MIN:
        return None
    base = fit_baseline([time.seconds for time in history]).middle
    per_log = fit_baseline([time.seconds / max(time.work, 1.0) for time in history]).middle

    def predict(logs: float) -> float:
        return max(base, per_log * max(logs, 1.0))

    spread = fit_baseline([time.seconds / predict(time.work) for time in history]).sigma_log
    expected = predict(work)
    limit = Baseline(expected, spread, len(history)).limit(_STEP_SIGMAS, _STEP_SMALLEST_SIGMA)
    return expected, max(limit, _STEP_FACTOR * expected, expected + _STEP_EXCESS_S)


# Queue, disk, sensors ------------------------------------------------------------------------------

_IDLE_QUEUE_FOR = timedelta(minutes=5)
_QUEUE_FOR = timedelta(hours=2)


def stuck_queue(facts: Facts) -> list[Problem]:
    """Runs that wait five minutes while none is in progress, or two hours behind one that is."""
    queue = facts.queue
    if queue is None or queue.oldest_waits_since is None:
        return []
    waits_since = max(queue.oldest_waits_since, facts.online_since)
    waited = facts.now - waits_since
    if waited < (_QUEUE_FOR if queue.in_progress else _IDLE_QUEUE_FOR):
        return []
    running = f"{queue.in_progress} in progress" if queue.in_progress else "none in progress"
    return [
        Problem(
            "stuck_queue",
            "run queue",
            f"{queue.waiting} runs wait, the oldest for {waited.total_seconds() / 60:.0f} min, {running}",
            waits_since,
            "one run hangs or is very long" if queue.in_progress else "Dagster's daemon does not start runs",
        )
    ]


def waiting_logs(facts: Facts) -> list[Problem]:
    """The platform is behind: see ``automation.backlog.find_beginning``."""
    if facts.backlog is None or facts.backlog.behind_since is None:
        return []
    return [
        Problem(
            "falling_behind",
            "pages",
            describe_backlog(facts.backlog),
            facts.backlog.behind_since,
            "more logs arrive than this machine can process, or one log or run is in the way of the others",
        )
    ]


_DISK_SHARE = 0.05
_DISK_ROOM_BYTES = 10 * GIB
_DISK_MIN_BYTES = GIB


def full_disks(facts: Facts) -> list[Problem]:
    """Less than 5 % free, where that is below 10 GiB; less than 1 GiB always."""
    problems = []
    for disk in facts.disks or ():
        limit = max(min(_DISK_SHARE * disk.total_bytes, _DISK_ROOM_BYTES), _DISK_MIN_BYTES)
        if disk.free_bytes < limit:
            problems.append(
                Problem(
                    "disk_nearly_full",
                    disk.name,
                    f"the disk of the {disk.name} has {disk.free_bytes / GIB:.1f} GiB free of "
                    f"{disk.total_bytes / GIB:.0f} GiB, expected at least {limit / GIB:.1f} GiB",
                    facts.now,
                    "more logs than expected, old table versions, or something else on the same disk",
                )
            )
    return problems


_TICKS_MISSED = 5
_MIN_TICK = timedelta(minutes=5)
_TICK_FAILURES = 3


def stopped_sensors(facts: Facts) -> list[Problem]:
    """Sensors and schedules that are on but miss five ticks in a row, or fail three in a row."""
    problems = []
    for one in facts.ticking or ():
        last_tick = max(one.last_tick_at or facts.online_since, facts.online_since)
        allowed = max(timedelta(seconds=_TICKS_MISSED * one.every_s), _MIN_TICK)
        if one.failures_in_a_row >= _TICK_FAILURES:
            error = one.error or "no error was recorded"
            what = f"{one.name} failed {one.failures_in_a_row} times in a row: {error}"
            cause = "an error in its code, or in a table or service that it reads"
        elif facts.now - last_tick > allowed:
            quiet = (facts.now - last_tick).total_seconds() / 60
            what = f"{one.name} has not ticked for {quiet:.0f} min, expected every {one.every_s:.0f} s"
            cause = "Dagster's daemon hangs, its code server is gone, or one tick never ends"
        else:
            continue
        problems.append(Problem("sensor_stopped", one.name, what, last_tick, cause))
    return problems


# Reported by other components ---------------------------------------------------------------------


def reported(facts: Facts, kind: str) -> list[Problem]:
    """Problems of ``kind`` in the ledger: reported by other components until they report the end."""
    return [
        Problem(one.kind, one.subject, one.what, one.since, one.likely_cause)
        for one in facts.reported or ()
        if one.kind == kind
    ]
