"""Each trigger fires when it should, and trainings neither overlap nor storm."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lostark_ml.monitoring.retraining import (
    Attempt,
    Patch,
    RetrainingInputs,
    RetrainingPolicy,
    compute_pause,
    decide_retraining,
    find_pause_reason,
)
from lostark_ml.monitoring.weekly import ModelProblem

NOW = datetime(2024, 12, 4, 12, tzinfo=UTC)
POLICY = RetrainingPolicy()
QUIET = RetrainingInputs(now=NOW, input="data 7", fights=2100, new_fights=100, trained_fights=2000)
NAMED = Patch("Balance patch 2024-12-04", NOW - timedelta(hours=9), 250)


def problem(kind):
    return ModelProblem(kind, "overall", f"{kind} by so much", "a patch", NOW)


def get_kind(inputs, policy=POLICY):
    trigger = decide_retraining(inputs, policy)
    return trigger and trigger.kind


def test_nothing_new_and_nothing_wrong_is_no_reason():
    assert decide_retraining(QUIET) is None


@pytest.mark.parametrize(("fights", "expected"), [(299, None), (300, "first"), (5000, "first")])
def test_the_first_model_waits_for_enough_fights(fights, expected):
    assert get_kind(replace(QUIET, fights=fights, new_fights=fights, trained_fights=None)) == expected


@pytest.mark.parametrize(
    ("trained", "new", "expected"),
    [(2000, 499, None), (2000, 500, "new_fights"), (40_000, 1999, None), (40_000, 2000, "new_fights")],
)
def test_new_fights_count_absolutely_and_by_what_is_known(trained, new, expected):
    assert get_kind(replace(QUIET, trained_fights=trained, new_fights=new)) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("degraded", "degraded"),
        ("bias", "degraded"),
        ("drift", "degraded"),
        ("coverage_lost", "coverage_lost"),
        ("refusals", None),
    ],
)
def test_a_problem_of_the_champion_is_a_reason(kind, expected):
    assert get_kind(replace(QUIET, problems=[problem(kind)])) == expected


def test_a_patch_is_a_reason_once_enough_was_fought_after_it():
    ripe, fresh = NAMED, replace(NAMED, fights_after=199)

    trigger = decide_retraining(replace(QUIET, patches=[ripe]))

    assert trigger is not None
    assert trigger.kind == "patch"
    assert trigger.why == "Balance patch 2024-12-04 at 2024-12-04 03:00 UTC, and 250 fights after it"
    assert decide_retraining(replace(QUIET, patches=[fresh])) is None


def test_the_most_important_reason_is_the_trigger_and_the_others_follow():
    inputs = replace(
        QUIET, new_fights=900, problems=[problem("coverage_lost"), problem("degraded")], patches=[NAMED]
    )

    tags = decide_retraining(inputs).tags()

    assert tags["lostark/trigger"] == "new_fights"
    assert "900 fights" in tags["lostark/because"]
    assert tags["lostark/also_because"].startswith("degraded by so much; coverage_lost by so much; Balance")
    assert get_kind(replace(inputs, new_fights=100)) == "degraded"


def test_one_reason_has_no_others():
    assert set(decide_retraining(replace(QUIET, new_fights=900)).tags()) == {
        "lostark/trigger",
        "lostark/because",
    }


@pytest.mark.parametrize("new_fights", [0, 49])
def test_whatever_is_wrong_without_new_fights_there_is_nothing_to_learn(new_fights):
    inputs = replace(QUIET, new_fights=new_fights, problems=[problem("degraded")], patches=[NAMED])

    assert decide_retraining(inputs) is None
    assert "new fights" in find_pause_reason(inputs)


@pytest.mark.parametrize("outcome", ["promoted", "refused"])
def test_an_input_that_decided_is_never_tried_again(outcome):
    last = Attempt(NOW - timedelta(days=30), "data 7", outcome)

    assert decide_retraining(replace(QUIET, new_fights=900, last=last)) is None
    assert get_kind(replace(QUIET, new_fights=900, last=last, input="data 8")) == "new_fights"


def test_an_input_that_failed_is_tried_three_times():
    def inputs(tries):
        return replace(
            QUIET, new_fights=900, last=Attempt(NOW - timedelta(days=30), "data 7", "failed", tries, tries)
        )

    assert [get_kind(inputs(tries)) for tries in (1, 2, 3)] == ["new_fights", "new_fights", None]
    assert "failed 3 times" in find_pause_reason(inputs(3))


@pytest.mark.parametrize(
    ("unpromoted", "hours"), [(0, 6), (1, 12), (2, 24), (3, 48), (4, 96), (5, 168), (99, 168)]
)
def test_pauses_double_with_each_unpromoted_attempt_up_to_a_week(unpromoted, hours):
    last = Attempt(NOW - timedelta(hours=hours), "data 6", "refused", unpromoted)
    due = replace(QUIET, new_fights=900, last=last)

    assert compute_pause(unpromoted, POLICY) == timedelta(hours=hours)
    assert get_kind(due) == "new_fights"
    assert decide_retraining(replace(due, now=NOW - timedelta(seconds=1))) is None


class World:
    """A month of ticks, five minutes each: fights come, trainings take an hour and end with ``outcomes``."""

    TICK = timedelta(minutes=5)
    TAKES = timedelta(hours=1)

    def __init__(self, fights_a_day, outcome, problems=(), patch_day=None, fights=0):
        self.now, self.start = NOW, NOW
        self.rate, self.outcome, self.problems, self.patch_day = fights_a_day, outcome, problems, patch_day
        self.before = fights
        self.trained = None
        self.last = None
        self.began: list[tuple[datetime, str]] = []
        self.running: tuple[datetime, int] | None = None

    def fights(self, at=None):
        days = ((at or self.now) - self.start) / timedelta(days=1)
        return self.before + int(max(days, 0) * self.rate)

    def inputs(self):
        known = self.trained
        patch = self.start + timedelta(days=self.patch_day) if self.patch_day is not None else None
        is_news = (
            patch is not None and patch <= self.now and known is not None and known <= self.fights(patch)
        )
        patches = [Patch("Patch", patch, self.fights() - self.fights(patch))] if is_news else []
        problems = self.problems(self) if callable(self.problems) else self.problems
        return RetrainingInputs(
            now=self.now,
            input=str(self.fights()),
            fights=self.fights(),
            new_fights=self.fights() - (known or 0),
            trained_fights=known,
            problems=problems,
            patches=patches,
            last=self.last,
        )

    def run(self, days=30, policy=POLICY):
        while self.now - self.start < timedelta(days=days):
            if self.running and self.now - self.running[0] >= self.TAKES:
                self._end(self.running[1])
            # As the sensor: it requests nothing while a model is being trained.
            trigger = None if self.running else decide_retraining(self.inputs(), policy)
            if trigger is not None:
                self.began.append((self.now, trigger.kind))
                self.running = (self.now, self.fights())
            self.now += self.TICK
        return [kind for _, kind in self.began]

    def _end(self, fights):
        outcome = self.outcome if isinstance(self.outcome, str) else self.outcome(len(self.began))
        before, data = self.last, str(fights)
        self.last = Attempt(
            self.now,
            data,
            outcome,
            unpromoted=0 if outcome == "promoted" else (before.unpromoted if before else 0) + 1,
            tries=before.tries + 1 if before and before.input == data else 1,
        )
        if outcome != "failed":
            self.trained = fights
        self.running = None


def test_a_month_of_a_steady_season_trains_once_for_each_500_fights():
    # 300 fights by day 3, then one training for each 500 further ones: days 8, 13, 18, 23, 28.
    assert World(100, "promoted").run() == ["first", *["new_fights"] * 5]


def test_a_month_of_refused_challengers_on_many_fights_slows_down():
    kinds = World(2000, "refused", fights=1000).run()

    # In vain 1, 2, 3 ...: pauses of 12 h, 1, 2, 4, 7, 7, 7 days: days 0, .5, 1.6, 3.6, 7.7, 14.7, 21.8, 28.8.
    assert kinds == ["first", *["new_fights"] * 7]


def test_a_month_that_stays_degraded_whatever_is_trained_does_not_storm():
    world = World(40, "refused", problems=[problem("degraded")], fights=1000)

    kinds = world.run()

    assert kinds[0] == "first"
    assert set(kinds[1:]) == {"degraded"}
    assert len(kinds) == 8


def test_a_month_of_promotions_that_fix_nothing_trains_once_a_day():
    kinds = World(400, "promoted", problems=[problem("degraded")], fights=1000).run()

    # Begun 24 hours after the one before ended, which took an hour.
    assert kinds == ["first", *["degraded"] * 28]


def test_a_month_in_which_every_run_fails_tries_each_input_at_most_thrice():
    quiet = World(0, "failed", fights=1000)
    busy = World(100, "failed", fights=1000)

    assert quiet.run() == ["first"] * 3
    assert busy.run() == ["first"] * 8


def test_a_patch_in_the_month_trains_once_after_enough_fights():
    world = World(110, "promoted", patch_day=10, fights=9900)
    policy = replace(POLICY, new_fights=10_000)

    assert world.run(policy=policy) == ["first", "patch"]
    assert world.began[1][0] - world.start - timedelta(days=10) == pytest.approx(
        timedelta(days=200 / 110), abs=timedelta(minutes=10)
    )


def test_a_month_without_fights_trains_once():
    assert World(0, "promoted", fights=1000, problems=[problem("degraded")]).run() == ["first"]


@given(
    rate=st.integers(0, 3000),
    fights=st.integers(0, 5000),
    outcomes=st.lists(st.sampled_from(["promoted", "refused", "failed"]), min_size=1, max_size=5),
    kinds=st.lists(st.sampled_from(["degraded", "bias", "coverage_lost", "drift", "refusals"]), max_size=3),
    patch=st.none() | st.integers(0, 20),
)
def test_in_any_world_trainings_keep_their_distance(rate, fights, outcomes, kinds, patch):
    world = World(
        rate,
        lambda n: outcomes[n % len(outcomes)],
        problems=[problem(kind) for kind in kinds],
        patch_day=patch,
        fights=fights,
    )
    world.TICK = timedelta(minutes=60)

    world.run(days=21)

    gaps = [b[0] - a[0] for a, b in zip(world.began, world.began[1:], strict=False)]
    assert all(gap >= POLICY.pause for gap in gaps)
    assert len(world.began) <= 21 * 24 / 7 + 1
