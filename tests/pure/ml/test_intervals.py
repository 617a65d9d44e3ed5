"""Intervals: conformal ends, and specs that are shrunk to all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lostark_ml.model.intervals import calibrate


def test_nine_of_ten_later_errors_are_inside():
    random = np.random.default_rng(3)
    held = []
    for _ in range(200):
        found = calibrate(random.standard_normal(200), pd.Series(["a"] * 200))
        later = random.standard_normal(500)
        held.append(np.mean((later >= found.low) & (later <= found.high)))

    assert 0.89 < np.mean(held) < 0.925


def test_a_spec_of_many_rows_has_its_own_ends_and_one_of_few_nearly_the_global_ones():
    random = np.random.default_rng(3)
    spec = pd.Series(["many"] * 5000 + ["few"] * 25 + ["fewer"] * 10)
    error = random.standard_normal(len(spec)) * np.where(spec == "many", 1.0, 3.0)

    found = calibrate(error, spec)

    assert found.by_spec["many"][1] == pytest.approx(np.quantile(error[:5000], 0.95), abs=0.05)
    own = np.quantile(error[5000:5025], 0.95)
    assert found.high < found.by_spec["few"][1] < (found.high + own) / 2
    assert "fewer" not in found.by_spec
    low, high = found.around(np.zeros(2), pd.Series(["fewer", "never seen"]))
    assert (low.tolist(), high.tolist()) == ([found.low] * 2, [found.high] * 2)


def test_too_few_errors_are_refused():
    with pytest.raises(ValueError, match="at least 20"):
        calibrate(np.zeros(10), pd.Series(["a"] * 10))


@pytest.fixture(scope="module")
def with_specs():
    random = np.random.default_rng(3)
    spec = pd.Series(["wide"] * 800 + ["few"] * 30 + ["other"] * 3000)
    return calibrate(random.standard_normal(len(spec)) * np.where(spec == "wide", 2.0, 1.0), spec)


@pytest.mark.parametrize("spec", ["wide", "few", "never seen"])
def test_the_interval_ends_are_the_5th_and_95th_percentile_and_percentiles_rise(with_specs, spec):
    specs = pd.Series([spec] * 2)
    ends = np.concatenate(with_specs.around(np.zeros(1), specs[:1]))
    errors = np.linspace(-9, 9, 400)
    found = with_specs.percentile(errors, pd.Series([spec] * 400))

    assert with_specs.percentile(ends, specs) == pytest.approx([5, 95])
    assert (np.diff(found) >= 0).all()
    assert (found[0], found[-1]) == (0.5, 99.5)


def test_percentiles_are_even_on_later_fights_and_a_spec_has_its_own(with_specs):
    later = np.random.default_rng(4).standard_normal(4000)
    usual = with_specs.percentile(later, pd.Series(["other"] * 4000))
    wide = with_specs.percentile(2 * later, pd.Series(["wide"] * 4000))

    assert np.quantile(usual, [0.1, 0.5, 0.9]) == pytest.approx([10, 50, 90], abs=3)
    assert np.quantile(wide, [0.1, 0.5, 0.9]) == pytest.approx([10, 50, 90], abs=4)
    assert np.isnan(with_specs.percentile(np.array([np.nan]), pd.Series(["wide"]))).all()
