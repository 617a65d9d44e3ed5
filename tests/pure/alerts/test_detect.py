"""Every kind of problem: it fires, stays silent where things are usual, and goes away."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

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


def look(now: datetime = NOW, listening_since: datetime = LONG_AGO, **facts) -> list[str]:
    found = detect(Facts(now, listening_since, **facts))
    return [p.key for p in found.problems if p.key not in found.explained]


def the_problem(now: datetime = NOW, **facts):
    (problem,) = detect(Facts(now, LONG_AGO, **facts)).problems
    return problem


# Runs


def run(day: str = "", last: str = "", *, well: bool = True, number: int = 0, **more) -> FinishedRun:
    ended_at = NOW - HOUR + number * MINUTE
    return FinishedRun(
        f"run{number}", "fight_days", day, last or day, ended_at - 10 * MINUTE, ended_at, well, **more
    )


def failed(*runs: FinishedRun) -> list[FailedUnit]:
    return follow_runs([], runs, NOW)


@pytest.mark.parametrize(
    "error",
    ["dagster._core.errors.DagsterExecutionInterruptedError", "Execution was interrupted unexpectedly."],
)
def test_a_run_that_was_stopped_is_no_bug(error):
    problem = the_problem(failed_units=failed(run("2026-10-01", well=False, error=error)))

    assert problem.likely_cause.startswith("the process was stopped")


def test_a_failed_run_is_a_problem_that_names_job_days_step_and_error():
    units = failed(run("2026-10-01", well=False, step="core_tables", error="ContractViolated: dps"))
    problem = the_problem(failed_units=units)

    assert problem.key == "run_failed:fight_days"
    assert "2026-10-01" in problem.what
    assert "core_tables" in problem.what
    assert "ContractViolated: dps" in problem.what
    assert "contract" in problem.likely_cause
    assert problem.since == units[0].since


@pytest.mark.parametrize(
    ("runs", "left"),
    [
        ([run("2026-10-01", well=False), run("2026-10-01", number=1)], []),
        ([run("2026-10-01", well=False), run("2026-10-02", number=1)], [("2026-10-01", "2026-10-01")]),
        (
            [run("2026-10-01", "2026-10-09", well=False), run("2026-10-04", "2026-10-05", number=1)],
            [("2026-10-01", "2026-10-03"), ("2026-10-06", "2026-10-09")],
        ),
        ([run("2026-10-02", "2026-10-03", well=False), run("2026-10-01", "2026-10-09", number=1)], []),
        ([run("2026-10-01", well=False, will_retry=True)], []),
        ([run(well=False), run(number=1)], []),
        ([run(), run(well=False, number=1)], [("", "")]),
        ([run("demo", well=False), run("other", number=1)], [("demo", "demo")]),
    ],
)
def test_a_success_takes_its_partitions_out_of_what_failed(runs, left):
    assert [(u.first, u.last) for u in failed(*runs)] == left


def test_many_failed_days_of_a_job_are_one_problem_and_a_repeated_failure_is_the_same():
    runs = [run(f"2026-10-{day:02}", well=False, number=day) for day in range(1, 8)]
    units = failed(*runs, run("2026-10-01", well=False, number=9))

    assert look(failed_units=units) == ["run_failed:fight_days"]
    assert units[0].times == 2
    assert units[0].since == runs[0].ended_at
    assert "and 4 more" in the_problem(failed_units=units).what


def test_failed_days_that_are_not_due_any_more_are_forgotten():
    units = failed(run("2026-10-01", "2026-10-03", well=False), run("2026-10-07", well=False, number=1))

    assert [u.first for u in only_due(units, {"2026-10-07", "2026-10-30"})] == ["2026-10-07"]


def test_a_failure_of_long_ago_is_forgotten():
    assert follow_runs(failed(run(well=False)), [], NOW + 31 * DAY) == []


def test_a_collection_that_failed_with_its_source_is_the_sources_problem():
    units = failed(run("demo", well=False, step="raw_battle_logs", error="1 sources could not be read"))
    during = collection(ended_at=NOW - HOUR - MINUTE, outcome="unavailable")

    assert look(failed_units=units, collections=[during]) == []
    assert look(failed_units=units, collections=[replace(during, outcome="ok")]) == ["run_failed:fight_days"]


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


def test_a_source_that_fails_again_after_a_minute_is_a_problem_until_it_answers():
    down = [collection("unavailable", NOW - 90 * timedelta(seconds=1)), collection("unavailable", NOW)]

    problem = the_problem(collections=down)
    assert problem.key == "source_failing:demo"
    assert problem.since == down[0].started_at
    assert "connection refused" in problem.what
    assert look(collections=[*down, collection(ended_at=NOW + MINUTE)], now=NOW + MINUTE) == []


def test_one_failure_is_no_problem_but_one_refusal_is():
    assert look(collections=[collection("unavailable", NOW - HOUR)]) == []
    assert look(collections=[collection(ended_at=NOW - MINUTE), collection("unavailable")]) == []
    assert look(collections=[collection("refused")]) == ["source_failing:demo"]
    assert "key" in the_problem(collections=[collection("refused")]).likely_cause
    assert look(collections=[collection("failed")]) == ["source_failing:demo"]


def test_profiles_that_fail_while_news_come_are_a_problem():
    profiles = [
        collection("unavailable", NOW - n * MINUTE, source="open_api", kind="profiles") for n in (4, 2)
    ]
    news = [collection("ok", NOW - n * MINUTE, source="open_api", kind="news") for n in (3, 1)]

    assert look(collections=[*profiles, *news]) == ["source_failing:open_api"]


def test_sources_are_judged_apart():
    records = [collection("refused"), collection(source="other")]

    assert look(collections=records) == ["source_failing:demo"]


def test_a_rate_of_failed_requests_is_judged_with_how_many_they_are():
    assert look(collections=[collection(requests=4, failed_requests=3)]) == []
    assert look(collections=[collection(requests=1000, failed_requests=200)]) == []
    assert look(collections=[collection(requests=1000, failed_requests=450)]) == ["source_failing:demo"]
    assert "450 of 1,000" in the_problem(collections=[collection(requests=1000, failed_requests=450)]).what
    assert look(now=NOW + 2 * HOUR, collections=[collection(requests=1000, failed_requests=450)]) == []


def test_the_open_api_in_maintenance_is_no_problem_and_battle_logs_are():
    # Wednesday 07:00 in Korea.
    now = datetime(2026, 10, 27, 22, tzinfo=UTC)
    down = [collection("unavailable", now - 5 * MINUTE), collection("unavailable", now)]
    armory = [replace(record, source="open_api", kind="profiles") for record in down]

    assert look(now=now, collections=[*down, *armory]) == ["source_failing:demo"]
    later = [replace(r, ended_at=r.ended_at + DAY, started_at=r.started_at + DAY) for r in armory]
    assert look(now=now + DAY, collections=later) == ["source_failing:open_api"]
    announced = [(now + DAY - HOUR, now + DAY + HOUR)]
    assert look(now=now + DAY, collections=later, closed=announced) == []


# Silence


def evenings(until: datetime, weeks: int = 6, seed: int = 1) -> list[datetime]:
    """A group that raids Wednesday, Friday and Sunday from 19:00 to 22:00 UTC, every six minutes or so."""
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
    return look(now=now, activities={"demo": Activity(fights, fights)}, **more)


def test_a_server_that_falls_silent_in_the_evening_is_noticed_within_hours():
    fights = all_day(NOW)

    assert silent(fights, NOW + HOUR) == []
    assert silent(fights, NOW + 6 * HOUR) == ["no_new_logs:demo"]
    assert silent([*fights, NOW + 6 * HOUR], NOW + 6 * HOUR + MINUTE) == []


def test_a_year_of_usual_hours_alarms_never():
    fights = all_day(NOW, weeks=8, seed=5)
    cut = NOW - 14 * DAY

    looks = [cut + hour * HOUR for hour in range(14 * 24)]
    assert [at for at in looks if silent([f for f in fights if f <= at], at)] == []


def test_days_without_a_raid_are_usual_for_a_group_and_two_missed_evenings_are_not():
    # Friday's raid is the last one that happened; the next would be on Sunday.
    fights = evenings(NOW + 3 * HOUR)

    for hours in range(3, 45, 3):
        assert silent(fights, NOW + timedelta(hours=hours)) == []
    assert silent(fights, NOW + 12 * DAY) == ["no_new_logs:demo"]


def test_maintenance_on_wednesday_morning_never_alarms():
    # Tuesday 20:50 UTC is Wednesday 05:50 in Korea; players keep away until noon.
    begin = datetime(2026, 10, 27, 20, 50, tzinfo=UTC)
    fights = all_day(begin)

    assert silent(fights, begin + 6 * HOUR) == []


def test_announced_maintenance_does_not_alarm_and_a_longer_one_does_afterwards():
    fights = all_day(NOW)
    announced = [(NOW, NOW + 8 * HOUR)]

    assert silent(fights, NOW + 8 * HOUR, closed=announced) == []
    assert silent(fights, NOW + 22 * HOUR, closed=announced) == ["no_new_logs:demo"]


def test_what_is_not_learnt_yet_gets_a_day():
    few = [NOW - HOUR, NOW - 2 * HOUR]

    assert silent(few, NOW + 20 * HOUR) == []
    assert silent(few, NOW + 26 * HOUR) == ["no_new_logs:demo"]
    assert look(activities={"demo": Activity([], [])}) == []


def test_a_source_that_uploads_once_a_day_is_not_called_silent_between():
    fights = all_day(NOW)
    arrivals = [NOW - day * DAY for day in range(20)]

    later = NOW + 20 * HOUR
    assert look(now=later, activities={"demo": Activity(fights, arrivals)}) == []
    assert look(now=NOW + 4 * DAY, activities={"demo": Activity(fights, arrivals)}) == ["no_new_logs:demo"]


def test_silence_begins_when_somebody_listens():
    fights = all_day(NOW)
    later = NOW + 30 * DAY

    assert silent(fights, later, listening_since=later - MINUTE) == []


def test_silence_of_a_source_that_does_not_answer_is_no_second_problem():
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
def test_a_jump_of_refused_logs_needs_numbers_behind_it(recent, before, fires):
    assert look(refusals=refusals(recent, before)) == (["quarantine_jump:demo"] if fires else [])


def test_a_jump_names_the_commonest_reason_and_what_was_usual():
    problem = the_problem(refusals=refusals((30, 100), (20, 1000)))

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


def test_a_step_far_above_its_own_past_is_a_problem_until_its_next_usual_time():
    usual = [20 + (at % 5) for at in range(30)]

    assert look(step_times=times([*usual, 400])) == ["slow_step:core_tables"]
    assert look(step_times=times([*usual, 60])) == []
    assert look(step_times=times([*usual, 400, 22])) == []
    problem = the_problem(step_times=times([*usual, 400]))
    assert "400 s" in problem.what
    assert "22 s" in problem.what


def test_one_slow_run_in_the_past_does_not_hide_the_next():
    usual = [20 + (at % 5) for at in range(30)]

    assert look(step_times=times([*usual, 500, 22, 21, 400])) == ["slow_step:core_tables"]


def test_a_step_that_got_more_work_may_take_longer():
    usual, work = [2 + 0.1 * (at % 5) for at in range(30)], [3.0] * 30

    assert look(step_times=times([*usual, 400], [*work, 2000])) == []
    assert look(step_times=times([*usual, 400], [*work, 3])) == ["slow_step:core_tables"]


def test_a_short_step_and_a_short_past_are_never_a_problem():
    assert look(step_times=times([0.1] * 30 + [25])) == []
    assert look(step_times=times([20] * 5 + [4000])) == []


def test_a_step_that_still_runs_is_judged_by_its_time_so_far():
    usual = [20.0] * 30

    assert look(step_times=times([*usual, 900], is_running=True)) == ["slow_step:core_tables"]
    assert look(step_times=times([*usual, 50], is_running=True)) == []


def test_a_step_that_still_runs_may_have_as_much_work_as_any_before():
    work = [10.0] * 29 + [1000.0]

    assert look(step_times=times([20.0] * 29 + [1500.0, 900], [*work, 1], is_running=True)) == []


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
    assert look(queue=queue) == (["stuck_queue:run queue"] if fires else [])


def test_waiting_counts_from_when_the_platform_started():
    assert look(queue=Queue(3, NOW - DAY, 0), listening_since=NOW - MINUTE) == []


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
def test_a_disk_is_nearly_full_by_its_size(free, total, fires):
    assert look(disks=[Disk("lake", free, total)]) == (["disk_nearly_full:lake"] if fires else [])


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
def test_a_sensor_stopped_when_it_misses_ticks_or_fails(one, fires):
    assert look(ticking=[one]) == (["sensor_stopped:due_fight_days"] if fires else [])


def test_ticks_are_not_missed_while_the_platform_was_off():
    assert look(ticking=[Ticking("due_fight_days", 30, NOW - DAY)], listening_since=NOW - MINUTE) == []


# What is reported


def test_what_is_reported_is_a_problem_of_its_kind_as_long_as_it_is_reported():
    drift = ReportedProblem("model_drift", "Igniter", "Igniter deals 13 % less", "a patch", NOW - DAY)
    error = ReportedProblem("model_degraded", "error", "the mean error is 19 %", "a patch", NOW - DAY)

    problem = the_problem(reported=[drift])

    assert (problem.what, problem.since, problem.likely_cause) == (drift.what, NOW - DAY, "a patch")
    assert problem.runbook == "docs/runbook.md#a-spec-deals-other-damage-than-expected"
    assert look(reported=[drift, error]) == ["model_degraded:error", "model_drift:Igniter"]
    assert look(reported=[]) == []


# All together


def test_a_fact_that_could_not_be_found_out_is_named_as_unjudged():
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
    assert found.unjudged == {
        "run_failed", "source_failing", "no_new_logs", "quarantine_jump", "slow_step", "stuck_queue",
        "disk_nearly_full", "sensor_stopped", "model_degraded", "model_drift",
    }  # fmt: skip
