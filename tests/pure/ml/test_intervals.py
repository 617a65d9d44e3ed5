"""Intervals: conformal ends, and specs that are shrunk to all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lostark_ml.intervals import calibrate


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
