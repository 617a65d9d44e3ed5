"""Parts of a difference: what two do together is shared, and whole parts sum exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lostark_ml.features.kernels import round_parts
from lostark_ml.model.decomposition import logarithmic_mean, shapley_shares
from tests.pure.ml.reference_implementation import build_mixtures

weights = st.lists(st.floats(-3, 3), min_size=4, max_size=4)


@settings(max_examples=50, deadline=None)
@given(start=weights, end=weights, slopes=weights, together=st.floats(-2, 2))
def test_shapley_parts_sum_up_and_share_what_two_do_together(start, end, slopes, together):
    def predict(matrix):
        return matrix @ np.array(slopes) + together * matrix[:, 0] * matrix[:, 1]

    mixtures = build_mixtures(predict, np.array([start]), np.array([end]), [[0], [1], [2, 3]])
    parts = mixtures @ shapley_shares(3)

    assert parts.sum() == pytest.approx(mixtures[0, -1] - mixtures[0, 0], abs=1e-9)
    alone = slopes[2] * (end[2] - start[2]) + slopes[3] * (end[3] - start[3])
    assert parts[0, 2] == pytest.approx(alone, abs=1e-9)
    middle = together * (start[1] + end[1]) / 2
    assert parts[0, 0] == pytest.approx((slopes[0] + middle) * (end[0] - start[0]), abs=1e-9)


logs = st.lists(st.floats(15, 20), min_size=8, max_size=8)


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(logs, min_size=1, max_size=3))
def test_whole_parts_sum_exactly_and_are_the_rounded_ones_but_for_the_largest(rows):
    mixtures = np.array(rows)
    start, end = np.rint(np.exp(mixtures[:, 0])), np.rint(np.exp(mixtures[:, -1]))

    whole = round_parts(mixtures, shapley_shares(3), start, end)

    assert (whole.sum(axis=1) == end - start).all()
    assert (whole == np.rint(whole)).all()
    exact = mixtures @ shapley_shares(3) * logarithmic_mean(end, start)[:, None]
    assert np.sort(np.abs(whole - exact), axis=1)[:, :2].max() <= 0.5 + 1e-6


@settings(deadline=None)
@given(one=st.floats(1, 1e12), other=st.floats(1, 1e12))
def test_the_logarithmic_mean_lies_between_and_is_symmetric(one, other):
    mean = logarithmic_mean(np.array([one]), np.array([other]))[0]

    assert min(one, other) * (1 - 1e-9) <= mean <= max(one, other) * (1 + 1e-9)
    assert mean == pytest.approx(logarithmic_mean(np.array([other]), np.array([one]))[0], rel=1e-6)
    assert mean * np.log(one / other) == pytest.approx(one - other, rel=1e-6, abs=1e-3)
