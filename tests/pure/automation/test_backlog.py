"""The backlog's figure: states, estimates and the alert, from made sequences and random ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lostark_assets.automation.backlog import (
    MAX_GAP,
    WINDOW,
    YOUNG,
    Backlog,
    compute_backlog,
    estimate_upload_s,
    follow,
)
from lostark_assets.automation.backlog_text import describe_backlog, round_estimate, word_state
from lostark_assets.ledger import BacklogSample

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
TICK = timedelta(seconds=15)
LIMIT = timedelta(minutes=10)


class Platform:
    """Logs come, are published oldest first, and are sampled every 15 s."""

    def __init__(self) -> None:
        self.now = START
        self.waiting: list[datetime] = []
        self.collected = 0
        self.samples: list[BacklogSample] = []

    def tick(self, came: int = 0, went: int = 0) -> BacklogSample:
        self.now += TICK
        self.waiting += [self.now - TICK / 2] * came
        self.collected += came
        del self.waiting[:went]
        oldest = self.waiting[0] if self.waiting else None
        sample = BacklogSample(self.now, self.now, 0, len(self.waiting), oldest, 0, self.collected)
        self.samples.append(follow(self.samples, sample, LIMIT))
        return self.samples[-1]

    def minutes(self, minutes: float, came: int = 0, went: int = 0) -> list[bool]:
        """Whether the alert holds, tick by tick."""
        ticks = round(minutes * 60 / TICK.total_seconds())
        return [self.tick(came, went).behind_since is not None for _ in range(ticks)]

    @property
    def figure(self) -> Backlog:
        return compute_backlog(self.samples, self.now)


@pytest.fixture
def platform() -> Platform:
    started = Platform()
    started.minutes(12)
    return started


def make_samples(waiting: Sequence[int], came: Sequence[int] | None = None) -> list[BacklogSample]:
    """Samples with these counts; arrivals are what the counts grew by, or as given."""
    rises = [0, *(max(b - a, 0) for a, b in pairwise(waiting))]
    arrivals = rises if came is None else [max(a, b) for a, b in zip(rises, came, strict=True)]
    samples, collected, began = [], 0, None
    for number, (count, arrived) in enumerate(zip(waiting, arrivals, strict=True)):
        at = START + number * TICK
        collected += arrived
        began = (began or at) if count else None
        samples.append(BacklogSample(at, START, 0, count, began, 0, collected))
    return samples


def figure_of(samples: list[BacklogSample]) -> Backlog:
    return compute_backlog(samples, samples[-1].at)


counts = st.lists(st.integers(0, 50), min_size=2, max_size=60)


@given(counts, st.data())
def test_what_came_minus_what_went_is_what_the_backlog_grew_by(waiting, data):
    came = data.draw(st.lists(st.integers(0, 20), min_size=len(waiting), max_size=len(waiting)))
    samples = make_samples(waiting, came)
    figure = figure_of(samples)

    first = next(s for s in samples if samples[-1].at - s.at <= WINDOW)
    minutes = (samples[-1].at - first.at).total_seconds() / 60
    grown = (figure.logs_in_per_minute - figure.logs_out_per_minute) * minutes
    assert grown == pytest.approx(samples[-1].waiting - first.waiting, abs=1e-6)
    assert min(figure.logs_in_per_minute, figure.logs_out_per_minute) >= 0


@given(counts)
def test_nothing_waits_means_up_to_date_whatever_was_before(waiting):
    figure = figure_of(make_samples([*waiting, 0]))

    assert (figure.state, figure.estimate_s, figure.oldest_waits_s) == ("up_to_date", 0.0, None)


@given(st.lists(st.integers(0, 5), min_size=9, max_size=40), st.integers(1, 20))
def test_a_backlog_that_never_shrinks_has_no_estimate(rises, begins):
    waiting = [begins + sum(rises[:n]) for n in range(len(rises) + 1)]
    figure = figure_of(make_samples(waiting))

    assert (figure.state, figure.estimate_s) == ("falling_behind", None)
    assert figure.logs_in_per_minute >= figure.logs_out_per_minute


@given(st.lists(st.integers(1, 40), min_size=8, max_size=39), st.integers(1, 1000))
def test_a_backlog_that_shrinks_in_every_step_is_caught_up_at_its_rate(falls, left):
    waiting = [left + sum(falls[n:]) for n in range(len(falls) + 1)]
    figure = figure_of(make_samples(waiting))

    assert figure.state == "catching_up"
    seconds = len(falls) * TICK.total_seconds()
    expected_s = None if left > 10 * sum(falls) else pytest.approx(left * seconds / sum(falls))
    assert figure.estimate_s == expected_s


@given(counts, st.timedeltas(timedelta(0), timedelta(days=2)))
def test_an_old_figure_is_unknown_and_keeps_its_counts(waiting, age):
    samples = make_samples(waiting)
    figure = compute_backlog(samples, samples[-1].at + age)

    assert (figure.state == "unknown") == (age > MAX_GAP)
    assert figure.logs_waiting == waiting[-1]
    if age > MAX_GAP:
        assert figure.estimate_s is None


@given(counts)
def test_estimates_are_positive_and_only_while_catching_up(waiting):
    figure = figure_of(make_samples(waiting))

    if figure.state == "catching_up":
        assert figure.estimate_s is None or figure.estimate_s > 0
    else:
        assert figure.estimate_s == (0.0 if figure.state == "up_to_date" else None)


def test_a_first_batch_of_an_import_is_no_ground_for_an_estimate(platform):
    platform.tick(came=2000)
    platform.tick(went=4)
    assert (platform.figure.state, platform.figure.estimate_s) == ("catching_up", None)

    platform.tick(went=200)
    assert platform.figure.estimate_s == pytest.approx(1796 / 204 * 30)


def test_an_estimate_that_was_not_kept_is_not_repeated(platform):
    platform.minutes(5, came=5, went=5)
    platform.tick(came=2)
    assert platform.figure.estimate_s == pytest.approx(6)

    platform.minutes(0.75)
    assert (platform.figure.state, platform.figure.estimate_s) == ("catching_up", None)


def test_without_samples_nothing_is_said_to_be_zero():
    figure = compute_backlog([], START)

    assert figure == Backlog("unknown")
    assert figure.logs_waiting is None
    assert describe_backlog(figure) == "unknown: not observed lately"


def test_samples_before_a_gap_do_not_count(platform):
    platform.minutes(5, came=10)
    platform.now += timedelta(hours=8)
    sample = platform.tick()

    assert sample.online_since == sample.at
    assert platform.figure.logs_in_per_minute is None
    assert platform.figure.logs_waiting == 200


def test_logs_that_come_and_go_between_two_samples_count(platform):
    platform.minutes(10, came=3, went=3)

    assert platform.figure.state == "up_to_date"
    assert platform.figure.logs_in_per_minute == platform.figure.logs_out_per_minute == 12


def test_a_busy_platform_whose_logs_wait_for_seconds_is_not_falling_behind(platform):
    platform.tick(came=5)
    assert not any(platform.minutes(30, came=5, went=5))

    assert platform.figure.logs_waiting == 5
    assert (platform.figure.state, platform.figure.estimate_s) == ("catching_up", 15.0)


# The alert


def test_an_import_of_ten_thousand_logs_that_shrinks_is_catching_up_and_no_alert(platform):
    alerts = [platform.tick(came=2500).behind_since is not None for _ in range(4)]
    alerts += platform.minutes(2)
    alerts += platform.minutes(40, went=50)

    assert not any(alerts)
    assert platform.figure.state == "catching_up"
    assert platform.figure.estimate_s == pytest.approx(2000 / 200 * 60)
    assert platform.figure.oldest_waits_s > 2400


def test_an_import_that_is_published_in_rounds_of_minutes_is_no_alert(platform):
    platform.tick(came=10_000)
    alerts = []
    for _ in range(5):
        alerts += platform.minutes(3)
        alerts += [platform.tick(went=2000).behind_since is not None]

    assert not any(alerts)
    assert platform.figure.state == "up_to_date"


def test_a_short_burst_opens_no_alert(platform):
    alerts = platform.minutes(2, came=25)
    alerts += platform.minutes(5, went=10)

    assert not any(alerts)
    assert platform.figure.state == "up_to_date"


def test_a_backlog_that_grows_for_five_minutes_opens_an_alert_which_ends_once_caught_up(platform):
    alerts = platform.minutes(5, came=10, went=5)
    assert not any(alerts)
    assert platform.tick(came=10, went=5).behind_since is not None
    assert platform.figure.state == "falling_behind"

    assert all(platform.minutes(10, came=10, went=5))
    while platform.waiting:
        alerts = [platform.tick(went=15).behind_since is not None]
    assert alerts == [False]
    assert platform.figure.state == "up_to_date"


def test_growth_in_a_sawtooth_opens_an_alert_when_the_oldest_waits_too_long(platform):
    alerts = []
    for _ in range(40):
        alerts += platform.minutes(0.75, came=20)
        alerts += platform.minutes(0.25, came=20, went=60)

    assert any(alerts)


def test_a_log_that_is_stuck_opens_an_alert_after_the_limit_and_its_end_closes_it(platform):
    platform.tick(came=1)
    assert not any(platform.minutes(9.5))
    assert any(platform.minutes(1))
    since = platform.samples[-1].behind_since
    assert since == platform.waiting[0]

    assert all(platform.minutes(60))
    assert platform.samples[-1].behind_since == since
    assert platform.tick(went=1).behind_since is None


def test_a_log_that_is_stuck_beside_a_steady_flow_opens_an_alert(platform):
    platform.tick(came=1)
    stuck = platform.waiting.pop()
    alerts = []
    for n in range(240):
        platform.waiting.insert(0, stuck)
        platform.waiting[1:] = platform.waiting[1 : 1 + n % 3]
        alerts.append(platform.tick(came=2).behind_since is not None)
        platform.waiting.remove(stuck)

    assert alerts[-1]


def test_waiting_while_the_platform_is_off_does_not_count(platform):
    platform.tick(came=1)
    platform.now += timedelta(hours=8)

    assert not any(platform.minutes(9.5))
    assert any(platform.minutes(1))


# Uploads


def test_an_upload_on_an_idle_platform_takes_seconds_and_no_promise_is_repeated_for_ever():
    idle = Backlog("up_to_date", 0, 0, observed_at=START)

    assert estimate_upload_s(idle, 0, waited_s=1) == 5
    assert estimate_upload_s(idle, 2, waited_s=1) == 15
    assert estimate_upload_s(idle, 0, waited_s=61) is None


@given(st.integers(0, 5000), st.floats(0.1, 1e4))
def test_an_upload_waits_for_those_before_it_at_the_rate_they_are_published(before, rate):
    busy = Backlog("catching_up", before, 0, throughput_per_minute=rate, observed_at=START)

    assert estimate_upload_s(busy, before, 0) == pytest.approx(max((before + 1) / rate * 60, 5))


@pytest.mark.parametrize("state", ["falling_behind", "unknown"])
def test_no_upload_gets_an_estimate_that_nobody_can_keep(state):
    assert estimate_upload_s(Backlog(state, 3, 9, throughput_per_minute=60.0), 0, 0) is None


# Words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.1, (5, "s")), (12, (10, "s")), (57.4, (55, "s")), (58, (1, "min")), (200, (3, "min")),
     (89 * 60, (89, "min")), (90 * 60, (2, "h")), (86_400, (24, "h"))],
)  # fmt: skip
def test_estimates_are_rounded_as_people_say_them(seconds, said):
    assert round_estimate(seconds) == said


def test_the_line_of_logs_and_terminals_has_every_part(platform):
    platform.minutes(1, came=200)
    platform.minutes(4, went=40)
    figure = platform.figure

    assert word_state(figure) == "catching up, about 1 min"
    assert describe_backlog(figure) == (
        "catching up, about 1 min (waiting: 0 uploads and 160 logs, the oldest for 4 min, "
        f"80.0 logs a minute in, 64.0 out, 0 runs queued; {figure.observed_at:%Y-%m-%d %H:%M:%S} UTC)"
    )
    assert timedelta(minutes=4) > YOUNG
