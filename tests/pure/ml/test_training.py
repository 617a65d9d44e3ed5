"""Training is deterministic, looks at nothing after the cutoff, and the model refuses what it never saw."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from lostark_ml.features.training_set import model_input
from lostark_ml.model.training import TooFewRows, fit
from tests.pure.ml.season_factory import CUTOFF, RESET, SMALL


@pytest.fixture(scope="module")
def model(season_frame):
    return fit(season_frame, CUTOFF, SMALL)


@pytest.fixture(scope="module")
def later(season_frame):
    rows = season_frame[season_frame["exclusion_reason"].isna()]
    return rows[rows["fight_started_at"] >= CUTOFF].reset_index(drop=True)


def test_the_same_rows_in_any_order_give_the_same_model_bit_for_bit(season_frame, model, later):
    again = fit(season_frame.sample(frac=1, random_state=4), CUTOFF, SMALL)

    pd.testing.assert_frame_equal(model.predict(later), again.predict(later), check_exact=True)
    assert model.intervals == again.intervals


def test_rows_after_the_cutoff_are_ignored(season_frame, model, later):
    is_after = season_frame["fight_started_at"] >= CUTOFF
    other = season_frame.assign(log_dps=season_frame["log_dps"].where(~is_after, 3.0))

    pd.testing.assert_frame_equal(
        model.predict(later), fit(other, CUTOFF, SMALL).predict(later), check_exact=True
    )


def test_a_row_alone_is_predicted_as_among_others(model, later):
    together = model.predict(later)

    for place in (0, 7):
        alone = model.predict(later.iloc[[place]])
        pd.testing.assert_frame_equal(together.iloc[[place]], alone, check_exact=True)


def test_the_name_of_the_player_changes_nothing(model, later):
    renamed = later.assign(player_name="alice", encounter_id="x")

    pd.testing.assert_frame_equal(model.predict(later), model.predict(renamed))


@pytest.mark.parametrize("feature", ["item_level", "combat_power", "support_ap", "support_brand"])
def test_more_of_it_never_lowers_the_expected_dps(season_frame, feature):
    random = np.random.default_rng(6)
    frame = season_frame
    if feature != "item_level":
        frame = frame.assign(**{feature: random.uniform(0, 1, len(frame))})
    fitted = fit(frame, CUTOFF, SMALL)
    rows = frame[frame["exclusion_reason"].isna()].tail(200)
    low, high = frame[feature].min(), frame[feature].max()

    grid = np.linspace(low, high, 40)
    expected = np.array(
        [fitted.pipeline.predict(model_input(rows.assign(**{feature: float(value)}))) for value in grid]
    )

    assert np.diff(expected, axis=0).min() >= 0


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"raid_name": "Brelshaza", "gate_difficulty": "Brelshaza G1 Hard"}, "gate_unknown"),
        ({"raid_name": None, "gate_difficulty": "unknown"}, "gate_unknown"),
        ({"gate_difficulty": "Aegir G1 Normal"}, "difficulty_unknown"),
        ({"class_name": "Dragon"}, "class_unknown"),
        ({"spec_name": "Gravity Training"}, "spec_unknown"),
        ({"spec_name": "unknown"}, "spec_unknown"),
        ({"item_level": 1900.0}, "item_level_outside_training"),
        ({"item_level": 1300.0}, "item_level_outside_training"),
        ({"fought_at_week": 2800.0}, "before_training"),
    ],
)
def test_what_training_never_saw_is_refused_with_the_reason(model, later, values, reason):
    predicted = model.predict(later.head(2).assign(**values))

    assert predicted["refusal_reason"].tolist() == [reason] * 2
    assert predicted.drop(columns="refusal_reason").isna().all(axis=None)


def test_an_unknown_item_level_is_no_reason_to_refuse(model, later):
    predicted = model.predict(later.head(2).assign(item_level=np.nan))

    assert predicted["refusal_reason"].isna().all()
    assert np.isfinite(predicted["expected_dps"]).all()


def test_the_interval_holds_the_next_week(model, later):
    predicted = model.predict(later)

    inside = later["dps"].between(predicted["expected_dps_low"], predicted["expected_dps_high"])
    assert 0.86 < inside.mean() < 0.94
    assert model.config.interval_level == model.intervals.level == 0.9


def test_too_few_rows_to_train_raise(season_frame):
    with pytest.raises(TooFewRows, match="No model was trained"):
        fit(season_frame, RESET + timedelta(hours=20), SMALL)


def test_too_few_rows_to_calibrate_raise(season_frame):
    with pytest.raises(TooFewRows, match="calibrate"):
        fit(season_frame, RESET + timedelta(weeks=1), SMALL)
