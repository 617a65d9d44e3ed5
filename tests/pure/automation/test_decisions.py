"""Which runs automation requests next: tables of cases, each with its counter-case."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from lostark_assets.automation.decisions import (
    MAX_BACKOFF_S,
    MAX_DAYS_PER_RUN,
    MAX_RUNS_PER_TICK,
    MAX_TRIES,
    Attempt,
    RequestMemory,
    WorkPlan,
    apply_outcomes,
    can_request_days,
    compute_backoff_s,
    is_across_days_due,
    plan_days,
    plan_work,
)

DAY = "2026-09-02"
NOW = 1_000_000.0
EMPTY = RequestMemory("m")


def failed(failures: int, *, failed_at: float, same: int | None = None) -> RequestMemory:
    same = failures if same is None else same
    attempt = Attempt("a", "m-0", is_settled=True, failures=failures, same=same, failed_at=failed_at)
    return RequestMemory("m", attempts={DAY: attempt})


def requested(**facts) -> RequestMemory:
    return RequestMemory("m", requests=1, attempts={DAY: Attempt("a", "m-0", **facts)})


@pytest.mark.parametrize(
    ("what", "memory", "due", "busy", "outcome"),
    [
        ("nothing new", EMPTY, {}, (), "nothing"),
        ("a new day", EMPTY, {DAY: "a"}, (), "ready"),
        ("a day that another run works on", EMPTY, {DAY: "a"}, (DAY,), "running"),
        ("a day whose request runs", requested(), {DAY: "a"}, (), "running"),
        ("a late log on a day whose request runs", requested(), {DAY: "b"}, (), "running"),
        ("failed once, a moment ago", failed(1, failed_at=NOW - 1), {DAY: "a"}, (), "waiting"),
        ("failed once, a minute ago", failed(1, failed_at=NOW - 60), {DAY: "a"}, (), "ready"),
        ("failed twice, a minute ago", failed(2, failed_at=NOW - 60), {DAY: "a"}, (), "waiting"),
        ("failed for ever", failed(3, failed_at=0), {DAY: "a"}, (), "given up"),
        ("failed for ever, then its input changed", failed(3, failed_at=0), {DAY: "b"}, (), "ready"),
        (
            "always new input, always failing",
            failed(9, same=1, failed_at=NOW - 600), {DAY: "b"}, (), "waiting",
        ),
    ],
)  # fmt: skip
def test_a_due_day_is_requested_or_the_plan_says_why_not(what, memory, due, busy, outcome):
    plan = plan_work(memory, due, NOW, busy=busy)

    assert (
        plan
        == {
            "nothing": WorkPlan(),
            "ready": WorkPlan(ready=[DAY]),
            "running": WorkPlan(running=[DAY]),
            "waiting": WorkPlan(waiting=plan.waiting),
            "given up": WorkPlan(given_up=[DAY]),
        }[outcome]
    )
    assert all(until > NOW for until in plan.waiting.values())
    assert bool(plan.waiting) == (outcome == "waiting")


def test_a_source_is_never_given_up():
    memory = failed(50, failed_at=NOW - MAX_BACKOFF_S)

    assert plan_work(memory, {DAY: "a"}, NOW, tries=None).ready == [DAY]
    assert plan_work(memory, {DAY: "a"}, NOW).given_up == [DAY]


@pytest.mark.parametrize(
    ("what", "outcome", "due", "failures", "same"),
    [
        ("it helped", "succeeded", {}, None, None),
        ("it failed, but someone else helped", "failed", {}, None, None),
        ("it helped, and a late log came", "succeeded", {DAY: "b"}, None, None),
        ("it succeeded and changed nothing", "succeeded", {DAY: "a"}, 1, 1),
        ("it failed", "failed", {DAY: "a"}, 1, 1),
        ("it failed, and a late log came", "failed", {DAY: "b"}, 1, 1),
        ("its run has gone", "unknown", {DAY: "a"}, 1, 1),
        ("it still runs", "running", {DAY: "a"}, 0, 0),
    ],
)
def test_a_request_is_judged_by_whether_it_helped(what, outcome, due, failures, same):
    memory = apply_outcomes(requested(), due, {"m-0": outcome}, NOW)

    attempt = memory.attempts.get(DAY)
    counted = (attempt.failures, attempt.same) if attempt else (None, None)
    assert counted == (failures, same)
    assert memory.failed_in_a_row == (1 if failures else 0)


def test_a_request_of_which_dagster_knows_nothing_is_a_failed_one():
    assert apply_outcomes(requested(), {DAY: "a"}, {}, NOW).attempts[DAY].failures == 1


def test_pauses_grow_and_end_at_an_hour():
    assert [compute_backoff_s(n) for n in range(7)] == [0, 60, 240, 960, 3600, 3600, 3600]
    assert compute_backoff_s(10_000) == MAX_BACKOFF_S


def test_a_day_that_fails_forever_is_tried_three_times_and_again_when_it_changes():
    assert run_for_a_day({DAY: "a"}) == MAX_TRIES

    memory = EMPTY
    memory, first = drive(memory, {DAY: "a"}, hours=24)
    memory, second = drive(memory, {DAY: "b"}, hours=24, start=NOW + 24 * 3600)

    assert (first, second) == (MAX_TRIES, MAX_TRIES)


def test_today_that_fails_while_logs_keep_coming_is_tried_about_once_an_hour():
    """Its input is another with every log: the limit of tries never holds, the pauses must."""
    requests = run_for_a_day({DAY: "a"}, changing=True)

    assert 20 < requests < 30


def test_a_success_that_leaves_the_day_due_makes_no_storm():
    assert run_for_a_day({DAY: "a"}, outcome="succeeded") == MAX_TRIES


def run_for_a_day(due, *, changing=False, outcome="failed") -> int:
    return drive(EMPTY, due, hours=24, changing=changing, outcome=outcome)[1]


def drive(memory, due, *, hours, start=NOW, changing=False, outcome="failed", bad=None):
    """Ticks every 30 s in which every run ends at once; returns the memory and the number of runs."""
    runs = 0
    outcomes = {}
    for tick in range(hours * 120):
        now = start + tick * 30
        if changing:
            due = {day: str(tick) for day in due}
        memory = apply_outcomes(memory, due, outcomes, now)
        plan = plan_work(memory, due, now)
        for days in plan_days(plan, memory, now):
            key = memory.next_request()
            memory = memory.with_request(due, days)
            runs += 1
            if bad is None or bad & set(days):
                outcomes[key] = outcome
            else:
                outcomes[key] = "succeeded"
                due = {day: waits for day, waits in due.items() if day not in days}
    drive.left = due
    return memory, runs


def days_from(first: date, count: int) -> dict[str, str]:
    return {(first + timedelta(days=n)).isoformat(): "a" for n in range(count)}


def test_a_year_is_one_run():
    due = days_from(date(2025, 9, 1), 365)

    assert plan_days(plan_work(EMPTY, due, NOW), EMPTY, NOW) == [sorted(due)]


def test_two_years_of_two_raid_days_a_week_are_one_run_of_exactly_these_days():
    days = [date(2025, 1, 1) + timedelta(days=7 * week + day) for week in range(104) for day in (0, 3)]
    due = {day.isoformat(): "a" for day in days}

    assert plan_days(plan_work(EMPTY, due, NOW), EMPTY, NOW) == [sorted(due)]


def test_one_bad_day_in_a_year_ends_up_alone_and_the_others_are_done():
    due = days_from(date(2025, 9, 1), 365)
    bad = {"2026-01-15"}

    _, runs = drive(EMPTY, due, hours=48, bad=bad)

    assert set(drive.left) == bad
    assert runs < 40


def test_a_year_of_which_everything_fails_costs_about_one_run_an_hour():
    _, runs = drive(EMPTY, days_from(date(2025, 9, 1), 365), hours=24)

    assert runs < 30


def test_days_that_rest_are_not_in_the_run_of_others():
    due = {"2026-09-01": "a", "2026-09-02": "a", "2026-09-03": "a"}
    memory = RequestMemory(
        "m", attempts={"2026-09-02": Attempt("a", "m-0", is_settled=True, failures=3, same=3)}
    )

    assert plan_days(plan_work(memory, due, NOW), memory, NOW) == [["2026-09-01", "2026-09-03"]]


def test_many_years_are_a_few_runs_a_tick_and_the_newest_come_first():
    due = days_from(date(2018, 1, 1), 3_000)

    plan = plan_days(plan_work(EMPTY, due, NOW), EMPTY, NOW)

    assert [len(days) for days in plan] == [MAX_DAYS_PER_RUN] * MAX_RUNS_PER_TICK
    assert plan[0] == sorted(due)[-MAX_DAYS_PER_RUN:]
    assert plan[0][0] > plan[1][-1]


def test_a_request_that_was_not_remembered_has_the_same_key_again():
    memory = replace(EMPTY, requests=7)

    assert memory.next_request() == memory.next_request() == "m-7"
    assert memory.with_request({DAY: "a"}, [DAY]).next_request() == "m-8"


@pytest.mark.parametrize(
    ("days_wait", "seconds_ago", "is_time"),
    [(False, 299, False), (False, 300, True), (True, 300, False), (True, 900, True)],
)
def test_tables_across_days_wait_for_the_days_but_not_forever(days_wait, seconds_ago, is_time):
    assert is_across_days_due(days_wait=days_wait, last_requested_at=NOW - seconds_ago, now=NOW) is is_time


@pytest.mark.parametrize(("since", "is_time"), [(None, True), (NOW - 599, False), (NOW - 600, True)])
def test_days_wait_for_a_collection_but_not_forever(since, is_time):
    assert can_request_days(since, NOW) is is_time
