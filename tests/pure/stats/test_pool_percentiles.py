"""Percentiles in a sliding pool, against plain NumPy, and the claim they exist for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lostark_assets.stats.percentiles import pool_percentiles


def place(values: list[float], **others) -> list[dict]:
    """Percentiles of ``values`` among themselves: one group, one day, all members."""
    size = len(values)
    table = pool_percentiles(
        others.get("group", np.zeros(size, int)),
        others.get("day", np.zeros(size, int)),
        np.array(values, float),
        others.get("is_member", np.ones(size, bool)),
        others.get("item_level"),
        minimum=others.get("minimum", 1),
    )
    return table.to_pylist()


def percentiles(values: list[float], **others) -> list[float | None]:
    return [row["percentile"] for row in place(values, **others)]


def test_the_smallest_stands_at_0_and_the_largest_at_100():
    assert percentiles([30, 10, 20, 50, 40]) == [50, 0, 25, 100, 75]


def test_equal_players_share_the_mean_of_their_places():
    assert percentiles([10, 20, 20, 20, 30]) == [0, 50, 50, 50, 100]


def test_a_value_between_two_members_interpolates_and_one_outside_clips():
    is_member = np.array([True] * 5 + [False] * 3)

    assert percentiles([0, 10, 20, 30, 40, 15, -1, 41], is_member=is_member)[5:] == [37.5, 0, 100]


def test_below_twenty_players_there_is_no_number_but_n():
    rows = place(list(range(19)), minimum=20)

    assert rows[0] == {"percentile": None, "low": None, "high": None, "n": 19}
    assert place(list(range(20)), minimum=20)[19]["percentile"] == 100


@pytest.mark.parametrize(("n", "low", "high"), [(21, 0.3034, 0.6966), (101, 0.4043, 0.5957)])
def test_the_interval_is_wilsons(n, low, high):
    middle = place(list(range(n)))[n // 2]

    assert (middle["percentile"], middle["n"]) == (50, n)
    assert (middle["low"], middle["high"]) == pytest.approx((100 * low, 100 * high), abs=0.01)


def test_rows_without_a_pool_get_nothing():
    group, level = np.array([-1, 0, 0, 0]), np.array([1.0, 1.0, np.nan, 1.0])

    rows = place([1, np.nan, 1, 1], group=group, item_level=level)

    assert [row["n"] for row in rows] == [None, None, None, 1]


def test_the_pool_ends_with_the_day_and_reaches_28_days_back():
    rows = place([1, 2, 3, 4], day=np.array([0, 27, 28, 28]))

    assert [row["n"] for row in rows] == [1, 2, 3, 3]


def test_levels_five_apart_see_each_other():
    rows = place([1, 2, 3], item_level=np.array([1680.0, 1685.0, 1690.01]))

    assert [row["n"] for row in rows] == [2, 2, 1]


def test_members_without_a_requested_percentile_still_count():
    table = pool_percentiles(
        np.zeros(3, int), np.zeros(3, int), np.array([1.0, 2, 3]), np.ones(3, bool), minimum=1,
        is_target=np.array([False, True, False]),
    )  # fmt: skip

    assert table["percentile"].to_pylist() == [None, 50, None]
    assert table["n"].to_pylist() == [None, 3, None]


def test_no_rows_give_an_empty_table():
    assert place([]) == []


def season(median_by_week) -> tuple[np.ndarray, np.ndarray]:
    """Fight day and log DPS of 11 weeks of 100 players a day, spread as in the real logs (0.26)."""
    random = np.random.default_rng(7)
    day = np.repeat(np.arange(77), 100)
    return day, median_by_week(day // 7) + random.normal(0, 0.26, len(day))


def median_player_of_week_ten(day: np.ndarray, value: np.ndarray) -> tuple[float, float]:
    """His percentile in the moving pool and among the weeks 0 to 3."""
    size, week_ten = len(day), np.arange(70, 77)
    median = np.median(value[day >= 70])
    table = pool_percentiles(
        np.zeros(size + 7, int),
        np.concatenate([day, week_ten]),
        np.concatenate([value, np.full(7, median)]),
        np.arange(size + 7) < size,
    )
    return float(np.mean(table["percentile"].to_numpy()[size:])), 100 * float(
        np.mean(value[day < 28] < median)
    )


def test_the_median_player_of_week_ten_stands_in_the_middle_though_damage_rose():
    """Growth as in the real season (Aegir): steep at first; a pool that stands still puts him at the 89th."""
    moving, standing = median_player_of_week_ten(*season(lambda week: -0.6 * np.exp(-week / 2.2)))

    assert 45 <= moving <= 55
    assert standing > 85


def test_under_growth_that_never_slows_the_moving_pool_lags_but_stays_near():
    """4 % a week for ever: the pool is two weeks old on average, so the median player reads about 60."""
    moving, standing = median_player_of_week_ten(*season(lambda week: 0.04 * week))

    assert 55 < moving < 62
    assert standing > 85


rows = st.tuples(
    st.integers(-1, 2), st.integers(0, 60), st.integers(0, 12), st.booleans(), st.integers(1670, 1690),
    st.booleans(),
)  # fmt: skip


@given(st.lists(rows, max_size=80), st.booleans())
@settings(deadline=None, max_examples=200)
def test_every_place_equals_plain_numpy(rows, by_level):
    group, day, value, is_member, level, unknown = np.array(rows, int).reshape(-1, 6).T
    value = np.where(unknown == 1, np.nan, value.astype(float))
    level = level.astype(float) if by_level else None

    table = pool_percentiles(group, day, value, is_member.astype(bool), level, minimum=3)

    expected = [slow_place(i, group, day, value, is_member, level) for i in range(len(value))]
    assert table["n"].to_pylist() == [n for n, _ in expected]
    for found, (_, wanted) in zip(table["percentile"].to_pylist(), expected, strict=True):
        assert (found is None) == (wanted is None)
        assert found is None or math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-9)


def slow_place(i, group, day, value, is_member, level) -> tuple[int | None, float | None]:
    """Count and percentile of row i by masks and ``np.interp`` over the quantiles."""
    if group[i] < 0 or np.isnan(value[i]):
        return None, None
    pool = is_member.astype(bool) & (group == group[i]) & (day <= day[i]) & (day > day[i] - 28)
    pool &= ~np.isnan(value)
    if level is not None:
        pool &= np.abs(level - level[i]) <= 5
    members = np.sort(value[pool])
    if len(members) < 3:
        return len(members), None
    places = np.linspace(0, 100, len(members))
    steps = np.unique(members)
    mean_places = [places[members == step].mean() for step in steps]
    if value[i] in steps:
        return len(members), mean_places[int(np.searchsorted(steps, value[i]))]
    return len(members), float(np.interp(value[i], members, places, left=0, right=100))
