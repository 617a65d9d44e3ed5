"""The season's level is measured before the cutoff and continued after it."""

from __future__ import annotations

import numpy as np
import pytest

from lostark_ml.model.season import measure_season

CUTOFF = 2870.0


def build_season(levels, *, rows=400, noise=0.1, wild=0.0, damping=0.5, seed=2):
    """A season whose weeks before the cutoff had these levels, the last one newest."""
    random = np.random.default_rng(seed)
    week = np.concatenate([CUTOFF - len(levels) + n + random.uniform(0, 1, rows) for n in range(len(levels))])
    spec = random.integers(0, 5, len(week))
    true = np.repeat(levels, rows) + 0.1 * spec
    target = true + noise * random.standard_normal(len(week))
    target[random.random(len(week)) < wild] -= 4
    gate = np.zeros(len(week), int)
    return measure_season(
        week, target, gate, [gate, spec], np.zeros((len(week), 1)), cutoff_week=CUTOFF, damping=damping
    )


def steps(season, weeks):
    return np.diff(season.at(np.array(weeks, float), np.zeros(len(weeks), int)))


def test_levels_of_weeks_are_found():
    season = build_season([18.0, 18.1, 18.15, 18.3])

    assert steps(season, [CUTOFF - 3.5, CUTOFF - 2.5, CUTOFF - 1.5, CUTOFF - 0.5]) == pytest.approx(
        [0.1, 0.05, 0.15], abs=0.02
    )


def test_the_next_weeks_go_on_with_half_of_each_step_before():
    season = build_season([18.0, 18.0, 18.2])

    ahead = steps(season, [CUTOFF - 0.5, CUTOFF + 0.5, CUTOFF + 1.5, CUTOFF + 2.5])
    assert ahead == pytest.approx([0.1, 0.05, 0.025], abs=0.02)


def test_one_row_in_fifty_that_is_wild_moves_no_level():
    quiet, wild = build_season([18.0, 18.1, 18.2]), build_season([18.0, 18.1, 18.2], wild=0.02)

    assert np.abs(quiet.levels - wild.levels).max() < 0.03


def test_weeks_of_few_rows_are_joined():
    season = build_season([18.0, 18.1, 18.2, 18.3], rows=120)

    assert len(season.levels) == 2


def test_a_single_week_has_no_trend():
    season = build_season([18.0])

    assert steps(season, [CUTOFF - 0.5, CUTOFF + 0.5, CUTOFF + 3]).tolist() == [0, 0]
