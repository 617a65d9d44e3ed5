"""One problem is one message, and one when it is over; whatever happens between."""

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
    return Problem(kind, subject, f"{subject} is broken", since, "somebody pulled the plug")


class Story:
    """Looks, half a minute apart, and what was said at each."""

    def __init__(self) -> None:
        self.state, self.now, self.said = State(), START, []

    def look(self, *problems: Problem, times: int = 1, explained=(), unjudged=()) -> list:
        said = []
        for _ in range(times):
            found = Detected(list(problems), frozenset(explained), frozenset(unjudged))
            self.state, messages = reconcile(self.state, found, self.now)
            self.now += TICK
            said += messages
        self.said += said
        return [(m.status, [i.problem.key for i in m.items]) for m in said]


def test_a_problem_is_said_once_and_once_more_when_it_is_over():
    story = Story()

    assert story.look(problem(), times=100) == [("problem", ["source_failing:demo"])]
    assert story.look(times=100) == [("recovered", ["source_failing:demo"])]
    over = story.said[1].items[0]
    assert over.problem.since == START
    assert over.ended_at == START + 100 * TICK
    assert story.state.open == {}


def test_a_problem_that_grows_worse_is_the_same_problem():
    story = Story()
    story.look(problem())

    worse = Problem("source_failing", "demo", "demo is gone", START + TICK, "a fire")
    assert story.look(worse) == []
    assert story.state.open["source_failing:demo"].problem.what == "demo is gone"
    assert story.state.open["source_failing:demo"].problem.since == START


def test_problems_of_one_kind_at_one_look_are_one_message_and_kinds_are_apart():
    story = Story()

    assert story.look(problem("a"), problem("b"), problem("c", "no_new_logs")) == [
        ("problem", ["source_failing:a", "source_failing:b"]),
        ("problem", ["no_new_logs:c"]),
    ]
    assert sorted(story.look(problem("b"), times=10)) == [
        ("recovered", ["no_new_logs:c"]),
        ("recovered", ["source_failing:a"]),
    ]


def test_a_moment_without_the_problem_is_not_its_end():
    story = Story()
    story.look(problem())

    assert story.look() == []
    assert story.look(problem(), times=5) == []


def test_flapping_for_a_day_says_a_handful_of_things():
    story = Story()
    for _ in range(8 * 60):
        story.look(problem(), times=2)
        story.look(times=4)

    assert 2 <= len(story.said) <= 8
    statuses = [m.status for m in story.said]
    assert all(a != b for a, b in itertools.pairwise(statuses))
    story.look(times=200)
    assert story.said[-1].status == "recovered"


def test_a_muted_problem_or_kind_says_nothing_until_the_mute_is_over():
    for key in ("source_failing:demo", "source_failing"):
        story = Story()
        story.state = mute(story.state, key, START + timedelta(hours=2))
        assert story.look(problem(), times=200) == []
        assert story.look(problem(), times=100) == [("problem", ["source_failing:demo"])]


def test_a_problem_that_ends_while_muted_was_never_there():
    story = Story()
    story.state = mute(story.state, "source_failing", START + timedelta(hours=2))
    story.look(problem(), times=10)

    assert story.look(times=400) == []


def test_muting_one_problem_leaves_the_others():
    story = Story()
    story.state = mute(story.state, "source_failing:demo", START + timedelta(hours=2))

    assert story.look(problem(), problem("other")) == [("problem", ["source_failing:other"])]


def test_what_another_problem_explains_is_not_opened_but_stays_open():
    story = Story()
    silent = problem(kind="no_new_logs")
    assert story.look(problem(), silent, explained=[silent.key]) == [("problem", ["source_failing:demo"])]

    story = Story()
    story.look(silent)
    assert story.look(problem(), silent, times=9, explained=[silent.key]) == [
        ("problem", ["source_failing:demo"])
    ]


def test_what_could_not_be_judged_stays_as_it_is():
    story = Story()
    story.look(problem())

    assert story.look(times=100, unjudged=["source_failing"]) == []
    assert story.look(times=100) == [("recovered", ["source_failing:demo"])]


def test_a_message_says_what_since_where_why_and_where_the_runbook_is():
    for kind in KINDS:
        story = Story()
        story.look(problem(kind=kind))
        story.look(times=5)
        begun, over = (render_text(message) for message in story.said)

        assert KINDS[kind] in begun.title
        assert not begun.is_over
        facts = dict(begun.facts)
        assert facts["What"] == "demo is broken"
        assert facts["Since"] == "2026-10-30 20:00:00 UTC"
        assert "demo" in facts.values()
        assert facts["Likely cause"] == "somebody pulled the plug"
        assert facts["Runbook"].startswith("docs/runbook.md#")
        assert over.is_over
        assert over.title.startswith("Recovered: ")
        assert dict(over.facts)["Lasted"].startswith("30 s, from 2026-10-30 20:00:00 UTC to ")


def test_a_message_of_very_many_problems_stays_short():
    story = Story()
    story.look(*(problem(f"sensor {n}" * 20) for n in range(50)))

    text = render_text(story.said[0])
    assert len(text.title) < 256
    assert len(text.facts) <= 30
    assert ("More", "42 others; `lostark alerts` lists all") in text.facts


def test_durations_in_their_two_largest_units():
    assert describe_duration(timedelta(seconds=0)) == "0 s"
    assert describe_duration(timedelta(minutes=200)) == "3 h 20 min"
    assert describe_duration(timedelta(days=2, seconds=61)) == "2 d 1 min"
