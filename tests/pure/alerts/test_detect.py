"""Every kind of problem is detected, does not fire on normal behaviour, and ends."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lostark_assets.automation.backlog import Backlog
from lostark_assets.ledger import CollectionRecord, ReportedProblem
from lostark_platform.alerts.detect import GIB, detect, follow_runs, only_due
from lostark_platform.alerts.observations import (
    Disk,
    Facts,
    FailedUnit,
    FinishedRun,
    Queue,
    Refusals,
    StepTime,
    Ticking,
)
from lostark_platform.alerts.silence import Activity

# A Friday, 20:00 UTC.
NOW = datetime(2026, 10, 30, 20, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=30)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def find_keys(now: datetime = NOW, online_since: datetime = LONG_AGO, **facts) -> list[str]:
    found = detect(Facts(now, online_since, **facts))
    return [p.key for p in found.problems if p.key not in found.explained]


def find_one(now: datetime = NOW, **facts):
    (problem,) = detect(Facts(now, LONG_AGO, **facts)).problems
    return problem


# Runs


def run(day: str = "", last: str = "", *, succeeded: bool = True, number: int = 0, **more) -> FinishedRun:
    ended_at = NOW - HOUR + number * MINUTE
    return FinishedRun(
        f"run{number}", "fight_days", day, last or day, ended_at - 10 * MINUTE, ended_at, succeeded, **more
    )


def failed(*runs: FinishedRun) -> list[FailedUnit]:
    return follow_runs([], runs, NOW)


@pytest.mark.parametrize(
    "error",
    ["dagster._core.errors.DagsterExecutionInterruptedError", "Execution was interrupted unexpectedly."],
)
def test_an_interrupted_run_is_not_reported_as_a_bug(error):
    problem = find_one(failed_units=failed(run("2026-10-01", succeeded=False, error=error)))

    assert problem.likely_cause.startswith("the process was stopped")


def test_a_failed_run_is_reported_with_job_days_step_and_error():
    units = failed(run("2026-10-01", succeeded=False, step="core_tables", error="ContractViolated: dps"))
    problem = find_one(failed_units=units)

    assert problem.key == "run_failed:fight_days"
    assert "2026-10-01" in problem.what
    assert "core_tables" in problem.what
    assert "ContractViolated: dps" in problem.what
    assert "contract" in problem.likely_cause
    assert problem.since == units[0].since


@pytest.mark.parametrize(
    ("runs", "left"),
    [
        ([run("2026-10-01", succeeded=False), run("2026-10-01", number=1)], []),
        ([run("2026-10-01", succeeded=False), run("2026-10-02", number=1)], [("2026-10-01", "2026-10-01")]),
        (
            [run("2026-10-01", "2026-10-09", succeeded=False), run("2026-10-04", "2026-10-05", number=1)],
            [("2026-10-01", "2026-10-03"), ("2026-10-06", "2026-10-09")],
        ),
        ([run("2026-10-02", "2026-10-03", succeeded=False), run("2026-10-01", "2026-10-09", number=1)], []),
        ([run("2026-10-01", succeeded=False, will_retry=True)], []),
        ([run(succeeded=False), run(number=1)], []),
        ([run(), run(succeeded=False, number=1)], [("", "")]),
        ([run("demo", succeeded=False), run("other", number=1)], [("demo", "demo")]),
    ],
)
def test_a_success_removes_its_partitions_from_failures(runs, left):
    assert [(u.first, u.last) for u in failed(*runs)] == left


def test_many_failed_days_of_a_job_are_one_problem_and_a_repeated_failure_is_the_same():
    runs = [run(f"2026-10-{day:02}", succeeded=False, number=day) for day in range(1, 8)]
    units = failed(*runs, run("2026-10-01", succeeded=False, number=9))

    assert find_keys(failed_units=units) == ["run_failed:fight_days"]
    assert units[0].times == 2
    assert units[0].since == runs[0].ended_at
    assert "and 4 more" in find_one(failed_units=units).what


def test_failed_days_that_are_no_longer_due_are_dropped():
    units = failed(
        run("2026-10-01", "2026-10-03", succeeded=False), run("2026-10-07", succeeded=False, number=1)
    )

    assert [u.first for u in only_due(units, {"2026-10-07", "2026-10-30"})] == ["2026-10-07"]


def test_old_failures_are_dropped():
    assert follow_runs(failed(run(succeeded=False)), [], NOW + 31 * DAY) == []


def test_a_collection_that_failed_with_its_source_is_reported_for_the_source():
    units = failed(run("demo", succeeded=False, step="raw_battle_logs", error="1 sources could not be read"))
    during = collection(ended_at=NOW - HOUR - MINUTE, outcome="unavailable")

    assert find_keys(failed_units=units, collections=[during]) == []
    assert find_keys(failed_units=units, collections=[replace(during, outcome="ok")]) == [
        "run_failed:fight_days"
    ]


def test_days_that_fail_while_a_source_fails_are_a_problem_of_their_own():
    units = failed(run("2026-10-01", succeeded=False, step="ingest_op", error="1 problems"))
    during = collection(ended_at=NOW - HOUR - MINUTE, outcome="unavailable")

    assert find_keys(failed_units=units, collections=[during]) == ["run_failed:fight_days"]


# Sources


def collection(
    outcome: str = "ok", ended_at: datetime = NOW, requests: int = 1, failed_requests: int = 0, **more
) -> CollectionRecord:
    values = {"source": "demo", "kind": "battle_logs"} | more
    return CollectionRecord(
        started_at=ended_at - timedelta(seconds=1),
        ended_at=ended_at,
        outcome=outcome,
        requests=requests,
        failed_requests=failed_requests,
        error=None if outcome == "ok" else "connection refused",
        **values,
    )


def test_a_source_failing_for_over_a_minute_is_a_problem_until_it_responds():
    down = [collection("unavailable", NOW - 90 * timedelta(seconds=1)), collection("unavailable", NOW)]

    problem = find_one(collections=down)
    assert problem.key == "source_failing:demo"
    assert problem.since == down[0].started_at
    assert "connection refused" in problem.what
    assert find_keys(collections=[*down, collection(ended_at=NOW + MINUTE)], now=NOW + MINUTE) == []


def test_a_single_failure_is_not_reported_but_a_single_refusal_is():
    assert find_keys(collections=[collection("unavailable", NOW - HOUR)]) == []
    assert find_keys(collections=[collection(ended_at=NOW - MINUTE), collection("unavailable")]) == []
    assert find_keys(collections=[collection("refused")]) == ["source_failing:demo"]
    assert "key" in find_one(collections=[collection("refused")]).likely_cause
    assert find_keys(collections=[collection("failed")]) == ["source_failing:demo"]


def test_failing_profiles_are_a_problem_while_news_succeed():
    profiles = [
        collection("unavailable", NOW - n * MINUTE, source="open_api", kind="profiles") for n in (4, 2)
    ]
    news = [collection("ok", NOW - n * MINUTE, source="open_api", kind="news") for n in (3, 1)]

    assert find_keys(collections=[*profiles, *news]) == ["source_failing:open_api"]


def test_sources_are_evaluated_separately():
    records = [collection("refused"), collection(source="other")]

    assert find_keys(collections=records) == ["source_failing:demo"]


def test_a_failure_rate_is_evaluated_with_its_sample_size():
    assert find_keys(collections=[collection(requests=4, failed_requests=3)]) == []
    assert find_keys(collections=[collection(requests=1000, failed_requests=200)]) == []
    assert find_keys(collections=[collection(requests=1000, failed_requests=450)]) == ["source_failing:demo"]
    assert "450 of 1,000" in find_one(collections=[collection(requests=1000, failed_requests=450)]).what
    assert find_keys(now=NOW + 2 * HOUR, collections=[collection(requests=1000, failed_requests=450)]) == []


def test_maintenance_excuses_the_open_api_but_not_battle_log_services():
    # Wednesday 07:00 in Korea.
    now = datetime(2026, 10, 27, 22, tzinfo=UTC)
    down = [collection("unavailable", now - 5 * MINUTE), collection("unavailable", now)]
    armory = [replace(record, source="open_api", kind="profiles") for record in down]

    assert find_keys(now=now, collections=[*down, *armory]) == ["source_failing:demo"]
    later = [replace(r, ended_at=r.ended_at + DAY, started_at=r.started_at + DAY) for r in armory]
    assert find_keys(now=now + DAY, collections=later) == ["source_failing:open_api"]
    announced = [(now + DAY - HOUR, now + DAY + HOUR)]
    assert find_keys(now=now + DAY, collections=later, closed=announced) == []


# Silence


def evenings(until: datetime, weeks: int = 6, seed: int = 1) -> list[datetime]:
    """A group that raids Wednesday, Friday and Sunday from 19:00 to 22:00 UTC, about every six minutes."""
    rng, fights = random.Random(seed), []
    day = (until - weeks * 7 * DAY).replace(hour=19, minute=0)
    while day < until:
        if day.weekday() in (2, 4, 6):
            at = day
            while at < day + 3 * HOUR:
                at += timedelta(minutes=rng.uniform(3, 9))
                fights.append(at)
        day += DAY
    return [at for at in fights if at < until]


def all_day(until: datetime, weeks: int = 6, seed: int = 2) -> list[datetime]:
    """A server: a fight every 20 minutes on average, five times more often in the evening than at night."""
    rng, fights, at = random.Random(seed), [], until - weeks * 7 * DAY
    while at < until:
        wednesday_morning = at.weekday() == 1 and at.hour >= 21
        mean = 60 if 1 <= at.hour < 9 else 12
        at += timedelta(minutes=rng.expovariate(1 / mean))
        if not wednesday_morning:
            fights.append(at)
    return [at for at in fights if at < until]


def silent(fights: list[datetime], now: datetime, **more) -> list[str]:
    return find_keys(now=now, activities={"demo": Activity(fights, fights)}, **more)


def test_silence_of_a_busy_server_in_the_evening_is_detected_within_hours():
    fights = all_day(NOW)

    assert silent(fights, NOW + HOUR) == []
    assert silent(fights, NOW + 6 * HOUR) == ["no_new_logs:demo"]
    assert silent([*fights, NOW + 6 * HOUR], NOW + 6 * HOUR + MINUTE) == []


def test_usual_activity_causes_no_alert():
    fights = all_day(NOW, weeks=8, seed=5)
    cut = NOW - 14 * DAY

    hours = [cut + hour * HOUR for hour in range(14 * 24)]
    assert [at for at in hours if silent([f for f in fights if f <= at], at)] == []


def test_a_groups_days_off_cause_no_alert_but_missed_raids_do():
    # Friday's raid is the last one that happened; the next would be on Sunday.
    fights = evenings(NOW + 3 * HOUR)

    for hours in range(3, 45, 3):
        assert silent(fights, NOW + timedelta(hours=hours)) == []
    assert silent(fights, NOW + 12 * DAY) == ["no_new_logs:demo"]


def test_weekly_maintenance_causes_no_alert():
    # Tuesday 20:50 UTC is Wednesday 05:50 in Korea; no fights until noon.
    begin = datetime(2026, 10, 27, 20, 50, tzinfo=UTC)
    fights = all_day(begin)

    assert silent(fights, begin + 6 * HOUR) == []


def test_announced_maintenance_causes_no_alert_but_silence_after_it_does():
    fights = all_day(NOW)
    announced = [(NOW, NOW + 8 * HOUR)]

    assert silent(fights, NOW + 8 * HOUR, closed=announced) == []
    assert silent(fights, NOW + 22 * HOUR, closed=announced) == ["no_new_logs:demo"]


def test_a_source_without_history_has_a_limit_of_a_day():
    few = [NOW - HOUR, NOW - 2 * HOUR]

    assert silent(few, NOW + 20 * HOUR) == []
    assert silent(few, NOW + 26 * HOUR) == ["no_new_logs:demo"]
    assert find_keys(activities={"demo": Activity([], [])}) == []


def test_a_source_with_daily_uploads_is_not_silent_between_them():
    fights = all_day(NOW)
    arrivals = [NOW - day * DAY for day in range(20)]

    later = NOW + 20 * HOUR
    assert find_keys(now=later, activities={"demo": Activity(fights, arrivals)}) == []
    assert find_keys(now=NOW + 4 * DAY, activities={"demo": Activity(fights, arrivals)}) == [
        "no_new_logs:demo"
    ]


def test_silence_begins_when_the_platform_is_online():
    fights = all_day(NOW)
    later = NOW + 30 * DAY

    assert silent(fights, later, online_since=later - MINUTE) == []


def test_silence_of_a_failing_source_is_not_reported_separately():
    down = [collection("unavailable", NOW + 29 * HOUR), collection("unavailable", NOW + 30 * HOUR)]

    assert silent(all_day(NOW), NOW + 30 * HOUR, collections=down) == ["source_failing:demo"]


# Quarantine


def refusals(recent: tuple[int, int], before: tuple[int, int]) -> list[Refusals]:
    return [Refusals("demo", *recent, *before, NOW - HOUR, "hits_do_not_sum")]


@pytest.mark.parametrize(
    ("recent", "before", "fires"),
    [
        ((30, 100), (20, 1000), True),
        ((3, 100), (20, 1000), False),
        ((8, 10), (20, 1000), False),
        ((6, 100), (40, 1000), False),
        ((25, 100), (200, 1000), False),
        ((90, 100), (0, 0), True),
        ((40, 100), (0, 0), False),
        ((20, 100), (0, 2000), True),
    ],
)
def test_a_quarantine_jump_must_be_significant(recent, before, fires):
    assert find_keys(refusals=refusals(recent, before)) == (["quarantine_jump:demo"] if fires else [])


def test_a_quarantine_jump_names_the_most_common_reason_and_the_usual_share():
    problem = find_one(refusals=refusals((30, 100), (20, 1000)))

    assert "hits_do_not_sum" in problem.what
    assert "30.0% of 100" in problem.what
    assert "2.0% of 1,000" in problem.what


# Steps


def times(seconds: list[float], work: list[float] | None = None, **last) -> list[StepTime]:
    work = work or [10.0] * len(seconds)
    found = [
        StepTime("core_tables", s, w, NOW - (len(seconds) - at) * MINUTE, f"run{at}")
        for at, (s, w) in enumerate(zip(seconds, work, strict=True))
    ]
    return [*found[:-1], replace(found[-1], **last)]


def test_a_slow_step_is_a_problem_until_its_next_normal_run():
    usual = [20 + (at % 5) for at in range(30)]

    assert find_keys(step_times=times([*usual, 400])) == ["slow_step:core_tables"]
    assert find_keys(step_times=times([*usual, 60])) == []
    assert find_keys(step_times=times([*usual, 400, 22])) == []
    problem = find_one(step_times=times([*usual, 400]))
    assert "400 s" in problem.what
    assert "22 s" in problem.what


def test_a_past_slow_run_does_not_hide_the_next():
    usual = [20 + (at % 5) for at in range(30)]

    assert find_keys(step_times=times([*usual, 500, 22, 21, 400])) == ["slow_step:core_tables"]


def test_a_step_with_more_work_may_take_longer():
    usual, work = [2 + 0.1 * (at % 5) for at in range(30)], [3.0] * 30

    assert find_keys(step_times=times([*usual, 400], [*work, 2000])) == []
    assert find_keys(step_times=times([*usual, 400], [*work, 3])) == ["slow_step:core_tables"]


def test_short_steps_and_short_histories_are_not_reported():
    assert find_keys(step_times=times([0.1] * 30 + [25])) == []
    assert find_keys(step_times=times([20] * 5 + [4000])) == []


def test_a_running_step_is_evaluated_by_its_duration_so_far():
    usual = [20.0] * 30

    assert find_keys(step_times=times([*usual, 900], is_running=True)) == ["slow_step:core_tables"]
    assert find_keys(step_times=times([*usual, 50], is_running=True)) == []


def test_a_running_step_may_have_as_much_work_as_any_before():
    work = [10.0] * 29 + [1000.0]

    assert find_keys(step_times=times([20.0] * 29 + [1500.0, 900], [*work, 1], is_running=True)) == []


# Queue, disk, sensors


@pytest.mark.parametrize(
    ("queue", "fires"),
    [
        (Queue(), False),
        (Queue(3, NOW - 10 * MINUTE, 0), True),
        (Queue(3, NOW - 2 * MINUTE, 0), False),
        (Queue(3, NOW - 10 * MINUTE, 1), False),
        (Queue(3, NOW - 3 * HOUR, 1), True),
    ],
)
def test_a_queue_is_stuck_when_nothing_starts(queue, fires):
    assert find_keys(queue=queue) == (["stuck_queue:run queue"] if fires else [])


def test_queue_time_counts_from_the_start_of_the_platform():
    assert find_keys(queue=Queue(3, NOW - DAY, 0), online_since=NOW - MINUTE) == []


@pytest.mark.parametrize(
    ("free", "total", "fires"),
    [
        (100 * GIB, 4000 * GIB, False),
        (9 * GIB, 4000 * GIB, True),
        (4 * GIB, 50 * GIB, False),
        (2 * GIB, 50 * GIB, True),
        (GIB // 2, 2 * GIB, True),
    ],
)
def test_the_disk_limit_depends_on_the_size(free, total, fires):
    assert find_keys(disks=[Disk("lake", free, total)]) == (["disk_nearly_full:lake"] if fires else [])


@pytest.mark.parametrize(
    ("one", "fires"),
    [
        (Ticking("due_fight_days", 30, NOW - MINUTE), False),
        (Ticking("due_fight_days", 30, NOW - 6 * MINUTE), True),
        (Ticking("due_fight_days", 3600, NOW - 3 * HOUR), False),
        (Ticking("due_fight_days", 3600, NOW - 6 * HOUR), True),
        (Ticking("due_fight_days", 30, None), True),
        (Ticking("due_fight_days", 30, NOW, 2, "boom"), False),
        (Ticking("due_fight_days", 30, NOW, 3, "boom"), True),
    ],
)
def test_a_sensor_that_misses_ticks_or_fails_is_reported(one, fires):
    assert find_keys(ticking=[one]) == (["sensor_stopped:due_fight_days"] if fires else [])


def test_ticks_do_not_count_as_missed_while_the_platform_was_off():
    assert find_keys(ticking=[Ticking("due_fight_days", 30, NOW - DAY)], online_since=NOW - MINUTE) == []


# Reported problems


def test_a_problem_reported_in_the_ledger_is_open_while_it_is_reported():
    drift = ReportedProblem("model_drift", "Igniter", "Igniter deals 13 % less", "a patch", NOW - DAY)
    error = ReportedProblem("model_degraded", "error", "the mean error is 19 %", "a patch", NOW - DAY)

    problem = find_one(reported=[drift])

    assert (problem.what, problem.since, problem.likely_cause) == (drift.what, NOW - DAY, "a patch")
    assert problem.runbook == "docs/runbook.md#a-spec-deals-other-damage-than-expected"
    assert find_keys(reported=[drift, error]) == ["model_degraded:error", "model_drift:Igniter"]
    assert find_keys(reported=[]) == []


# All together


def test_kinds_without_observations_are_unknown():
    found = detect(
        Facts(
            NOW,
            LONG_AGO,
            None,
            None,
            None,
            refusals=None,
            step_times=None,
            disks=None,
            ticking=None,
            reported=None,
        )
    )

    assert found.problems == []
    assert found.unknown == {
        "run_failed", "source_failing", "no_new_logs", "quarantine_jump", "slow_step", "stuck_queue",
        "falling_behind", "disk_nearly_full", "sensor_stopped", "model_degraded", "model_drift",
    }  # fmt: skip


# Backlog


def test_a_backlog_that_is_too_far_behind_is_one_problem_with_the_whole_figure():
    behind = Backlog(
        "falling_behind",
        3,
        40,
        NOW - 12 * MINUTE,
        720.0,
        2,
        20.0,
        5.0,
        observed_at=NOW,
        behind_since=NOW - MINUTE,
    )
    problem = find_one(backlog=behind)

    assert (problem.key, problem.since) == ("falling_behind:pages", NOW - MINUTE)
    assert (
        "waiting: 3 uploads and 40 logs, the oldest for 12 min, 20.0 logs a minute in, 5.0 out"
        in problem.what
    )
    assert find_keys(backlog=replace(behind, behind_since=None)) == []


def test_an_unobserved_backlog_is_unknown_and_a_queue_that_stands_still_explains_one():
    behind = Backlog("falling_behind", 3, 40, observed_at=NOW, runs_queued=1, behind_since=NOW - HOUR)

    assert "falling_behind" in detect(Facts(NOW, LONG_AGO, backlog=None)).unknown
    assert find_keys(backlog=behind, queue=Queue(2, NOW - 6 * MINUTE)) == ["stuck_queue:run queue"]
