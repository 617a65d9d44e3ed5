"""Metrics are what they say, slices add up, and the test is the week after the cutoff."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from lostark_ml.model.baselines import Constant, RecentMedian
from lostark_ml.model.evaluation import SLICES, evaluate, list_weekly_resets, measure, walk_forward
from lostark_ml.model.training import fit
from tests.pure.ml.season_factory import CUTOFF, RESET, SMALL


@pytest.fixture(scope="module")
def evaluation(season_frame):
    return evaluate(fit(season_frame, CUTOFF, SMALL), season_frame, CUTOFF + timedelta(weeks=1))


def test_metrics_of_two_rows_by_hand():
    found = measure(np.log([100.0, 200.0]), np.log([110.0, 150.0]), pd.Series(["a", "b"]))

    assert (found.rows, found.fights) == (2, 2)
    assert found.mape == pytest.approx((0.10 + 0.25) / 2)
    assert found.median_ape == pytest.approx(0.175)
    assert found.mae == pytest.approx(30)
    assert found.bias_log == pytest.approx((np.log(1.1) + np.log(0.75)) / 2)
    assert found.r2_log == pytest.approx(1 - (np.log(1.1) ** 2 + np.log(0.75) ** 2) / (np.log(2) ** 2 / 2))


def test_no_rows_are_no_figures():
    assert np.isnan(measure(np.array([]), np.array([]), pd.Series([], dtype=str)).mape)


def test_slices_add_up_to_the_whole(evaluation):
    for name in SLICES:
        part = evaluation.slices[evaluation.slices["slice"] == name]
        assert part["rows"].sum() == evaluation.model.rows
        assert (part["mape"] * part["rows"]).sum() / part["rows"].sum() == pytest.approx(
            evaluation.model.mape
        )


def test_the_model_beats_every_baseline_where_there_is_something_to_learn(evaluation):
    others = {name: m.mape for name, m in evaluation.overall.items() if name != "model"}

    assert sorted(others) == ["constant", "four-week median", "ridge"]
    assert evaluation.model.mape < min(others["constant"], others["four-week median"]) - 0.01


def test_the_test_is_the_week_after_the_cutoff_and_no_fight_is_on_both_sides(season_frame, evaluation):
    tested = evaluation.predictions
    before = season_frame[season_frame["fight_started_at"] < CUTOFF]

    assert tested["fight_started_at"].min() >= CUTOFF
    assert set(tested["fight_id"]).isdisjoint(before["fight_id"])


def test_refused_rows_are_counted_and_not_scored(season_frame):
    model = fit(season_frame, CUTOFF, SMALL)
    is_test = season_frame["fight_started_at"] >= CUTOFF
    strange = is_test & (season_frame["spec_name"] == "Igniter")
    frame = season_frame.assign(spec_name=season_frame["spec_name"].where(~strange, "Reflux"))

    found = evaluate(model, frame, CUTOFF + timedelta(weeks=1))

    assert found.refused == {"spec_unknown": int(strange.sum())}
    assert found.model.rows + int(strange.sum()) == int((is_test & frame["exclusion_reason"].isna()).sum())


def test_walk_forward_trains_at_each_reset(season_frame):
    resets = list_weekly_resets(RESET + timedelta(weeks=6), RESET + timedelta(weeks=7))

    found = walk_forward(season_frame, resets, SMALL)

    assert [e.cutoff for e in found] == resets
    assert [e.until - e.cutoff for e in found] == [timedelta(weeks=1)] * 2


def test_the_recent_median_looks_back_four_weeks_only(season_frame):
    frame = season_frame[season_frame["exclusion_reason"].isna()]
    rows = frame.head(4)
    old = frame["fight_started_at"] < CUTOFF - timedelta(weeks=4)
    other = frame.assign(log_dps=frame["log_dps"].where(~old, 1.0))

    recent = RecentMedian().fit(frame, CUTOFF).predict(rows)
    assert (recent == RecentMedian().fit(other, CUTOFF).predict(rows)).all()
    assert (Constant().fit(frame, CUTOFF).predict(rows) != Constant().fit(other, CUTOFF).predict(rows)).all()
