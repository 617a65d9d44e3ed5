"""A problem gets one message when it begins and one when it ends."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from lostark_platform.alerts.detect import Detected
from lostark_platform.alerts.messages import describe_duration, render_text
from lostark_platform.alerts.problems import KINDS, Problem
from lostark_platform.alerts.reconcile import State, mute, reconcile

START = datetime(2026, 10, 30, 20, tzinfo=UTC)
TICK = timedelta(seconds=30)


def problem(subject: str = "demo", kind: str = "source_failing", since: datetime = START) -> Problem:
    return Problem(kind, subject, f"{subject} is broken", since, "a network failure")


class Timeline:
    """Evaluations half a minute apart, and the messages of each."""

    def __init__(self) -> None:
        self.state, self.now, self.messages = State(), START, []

    def evaluate(self, *problems: Problem, times: int = 1, explained=(), unknown=()) -> list:
        sent = []
        for _ in range(times):
            found = Detected(list(problems), frozenset(explained), frozenset(unknown))
            self.state, messages = reconcile(self.state, found, self.now)
            self.now += TICK
            sent += messages
        self.messages += sent
        return [(m.status, [i.problem.key for i in m.items]) for m in sent]


def test_a_problem_is_reported_once_when_it_begins_and_once_when_it_ends():
    timeline = Timeline()

    assert timeline.evaluate(problem(), times=100) == [("problem", ["source_failing:demo"])]
    assert timeline.evaluate(times=100) == [("recovered", ["source_failing:demo"])]
    over = timeline.messages[1].items[0]
    assert over.problem.since == START
    assert over.ended_at == START + 100 * TICK
    assert timeline.state.open == {}


def test_a_worsening_problem_is_not_reported_twice():
    timeline = Timeline()
    timeline.evaluate(problem())

    worse = Problem("source_failing", "demo", "demo is gone", START + TICK, "a fire")
    assert timeline.evaluate(worse) == []
    assert timeline.state.open["source_failing:demo"].problem.what == "demo is gone"
    assert timeline.state.open["source_failing:demo"].problem.since == START


def test_simultaneous_problems_of_one_kind_share_a_message():
    timeline = Timeline()

    assert timeline.evaluate(problem("a"), problem("b"), problem("c", "no_new_logs")) == [
        ("problem", ["source_failing:a", "source_failing:b"]),
        ("problem", ["no_new_logs:c"]),
    ]
    assert sorted(timeline.evaluate(problem("b"), times=10)) == [
        ("recovered", ["no_new_logs:c"]),
        ("recovered", ["source_failing:a"]),
    ]


def test_a_short_absence_does_not_end_a_problem():
    timeline = Timeline()
    timeline.evaluate(problem())

    assert timeline.evaluate() == []
    assert timeline.evaluate(problem(), times=5) == []


def test_a_day_of_flapping_causes_few_messages():
    timeline = Timeline()
    for _ in range(8 * 60):
        timeline.evaluate(problem(), times=2)
        timeline.evaluate(times=4)

    assert 2 <= len(timeline.messages) <= 8
    statuses = [m.status for m in timeline.messages]
    assert all(a != b for a, b in itertools.pairwise(statuses))
    timeline.evaluate(times=200)
    assert timeline.messages[-1].status == "recovered"


def test_a_muted_problem_or_kind_is_reported_after_the_mute_ends():
    for key in ("source_failing:demo", "source_failing"):
        timeline = Timeline()
        timeline.state = mute(timeline.state, key, START + timedelta(hours=2))
        assert timeline.evaluate(problem(), times=200) == []
        assert timeline.evaluate(problem(), times=100) == [("problem", ["source_failing:demo"])]


def test_a_problem_that_ends_while_muted_is_not_reported():
    timeline = Timeline()
    timeline.state = mute(timeline.state, "source_failing", START + timedelta(hours=2))
    timeline.evaluate(problem(), times=10)

    assert timeline.evaluate(times=400) == []


def test_muting_one_problem_does_not_mute_others():
    timeline = Timeline()
    timeline.state = mute(timeline.state, "source_failing:demo", START + timedelta(hours=2))

    assert timeline.evaluate(problem(), problem("other")) == [("problem", ["source_failing:other"])]


def test_an_explained_problem_is_not_opened_but_stays_open():
    timeline = Timeline()
    silent = problem(kind="no_new_logs")
    assert timeline.evaluate(problem(), silent, explained=[silent.key]) == [
        ("problem", ["source_failing:demo"])
    ]

    timeline = Timeline()
    timeline.evaluate(silent)
    assert timeline.evaluate(problem(), silent, times=9, explained=[silent.key]) == [
        ("problem", ["source_failing:demo"])
    ]


def test_problems_of_unknown_kinds_stay_open():
    timeline = Timeline()
    timeline.evaluate(problem())

    assert timeline.evaluate(times=100, unknown=["source_failing"]) == []
    assert timeline.evaluate(times=100) == [("recovered", ["source_failing:demo"])]


def test_a_message_contains_what_since_subject_cause_and_runbook():
    for kind in KINDS:
        timeline = Timeline()
        timeline.evaluate(problem(kind=kind))
        timeline.evaluate(times=5)
        begun, over = (render_text(message) for message in timeline.messages)

        assert KINDS[kind] in begun.title
        assert not begun.is_over
        facts = dict(begun.facts)
        assert facts["What"] == "demo is broken"
        assert facts["Since"] == "2026-10-30 20:00:00 UTC"
        assert "demo" in facts.values()
        assert facts["Likely cause"] == "a network failure"
        assert facts["Runbook"].startswith("docs/runbook.md#")
        assert over.is_over
        assert over.title.startswith("Recovered: ")
        assert dict(over.facts)["Lasted"].startswith("30 s, from 2026-10-30 20:00:00 UTC to ")


def test_a_message_of_many_problems_is_short():
    timeline = Timeline()
    timeline.evaluate(*(problem(f"sensor {n}" * 20) for n in range(50)))

    text = render_text(timeline.messages[0])
    assert len(text.title) < 256
    assert len(text.facts) <= 30
    assert ("More", "42 others; `lostark alerts` lists all") in text.facts


def test_durations_in_their_two_largest_units():
    assert describe_duration(timedelta(seconds=0)) == "0 s"
    assert describe_duration(timedelta(minutes=200)) == "3 h 20 min"
    assert describe_duration(timedelta(days=2, seconds=61)) == "2 d 1 min"
