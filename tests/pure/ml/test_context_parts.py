"""From a typical to the expected DPS: Shapley parts that sum exactly, and nothing for what is the same."""

from __future__ import annotations

import msgspec
import numpy as np
import pandas as pd
import pytest

from lostark_assets.contracts.ml import CONTEXT_PARTS
from lostark_ml.features.columns import MODEL_FEATURES
from lostark_ml.features.training_set import model_input
from lostark_ml.model.context_parts import (
    ALL_GROUPS,
    OWN_FEATURES,
    TOGETHER,
    Typical,
    explain_context,
    measure_typical,
)
from lostark_ml.model.training import fit, select_training_rows
from tests.pure.ml import reference_implementation
from tests.pure.ml.season_factory import CUTOFF, SMALL

PARTS = [c.name for c in CONTEXT_PARTS]


@pytest.fixture(scope="module")
def model(season_frame):
    return fit(season_frame, CUTOFF, SMALL)


@pytest.fixture(scope="module")
def later(season_frame):
    rows = season_frame[season_frame["exclusion_reason"].isna()]
    return rows[rows["fight_started_at"] >= CUTOFF].reset_index(drop=True)


def test_every_feature_is_in_one_group_or_the_players_own():
    grouped = [name for names in ALL_GROUPS.values() for name in names]

    assert list(ALL_GROUPS) == PARTS
    assert sorted([*grouped, *OWN_FEATURES]) == sorted(MODEL_FEATURES)


def test_parts_sum_exactly_to_expected_minus_typical(model, later):
    found = explain_context(model.compiled, model.typical, later)
    expected = np.rint(model.predict(later)["expected_dps"]).astype("int64")

    assert (found[PARTS].sum(axis=1) == expected - found["typical_dps"]).all()
    assert found["context_item_level_dps"].abs().mean() > 1e5
    assert (found["context_history_dps"] != 0).any()


def test_a_typical_player_needs_no_explanation(model, later):
    typical = model.typical.rows(later)
    found = explain_context(model.compiled, model.typical, typical)

    assert (found[PARTS] == 0).all(axis=None)


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"item_level": 1699.0}, "context_item_level_dps"),
        ({"history_fights": 9.0, "history_residual": 0.3}, "context_history_dps"),
        ({"lowest_item_level": 1681.0}, "context_party_dps"),
        ({"support_item_level": 1681.0}, "context_support_dps"),
        ({"hour_of_day": 3.0}, "context_other_dps"),
    ],
)
def test_one_changed_feature_moves_only_the_part_of_its_group(model, later, changed, part):
    rows = model.typical.rows(later.head(40)).assign(**changed)
    found = explain_context(model.compiled, model.typical, rows)

    assert (found[PARTS].drop(columns=part) == 0).all(axis=None)
    expected = np.rint(model.predict(rows.join(later[["raid_name", "gate_name"]]))["expected_dps"])
    assert (found[part] == expected.astype("int64") - found["typical_dps"]).all()


def test_typical_is_the_median_of_gate_and_spec_in_the_newest_weeks(season_frame):
    rows = select_training_rows(season_frame, CUTOFF)
    typical = measure_typical(rows, CUTOFF)
    recent = rows[rows["week_started_at"] >= rows["week_started_at"].max() - pd.Timedelta(weeks=3)]
    of_spec = recent[recent["spec_name"] == "Igniter"]

    found = typical.rows(rows.head(1).assign(spec_name="Igniter")).iloc[0]

    assert found["item_level"] == of_spec["item_level"].quantile(0.5, interpolation="lower")
    assert np.isnan(found["combat_power"])
    assert {name: found[name] for name in TOGETHER} == {
        "player_count": 8,
        "support_count": 2,
        "supports_blessed_aura": 0,
        "supports_desperate_salvation": 2,
        "supports_full_bloom": 0,
        "supports_liberator": 0,
        "support_seat_flag": 0,
    }


def test_a_rare_spec_is_compared_with_the_gate(season_frame):
    rows = select_training_rows(season_frame, CUTOFF)
    is_rare = (rows["spec_name"] == "Igniter") & (np.arange(len(rows)) >= 20)
    typical = measure_typical(rows[~is_rare], CUTOFF)

    found = typical.rows(rows.head(1).assign(spec_name="Igniter")).iloc[0]

    assert "Igniter" not in typical.of_spec["Aegir G1 Hard"]
    assert found["item_level"] == typical.of_gate["Aegir G1 Hard"][typical.features.index("item_level")]


def test_a_gate_not_fought_lately_is_measured_on_all_weeks(season_frame):
    rows = select_training_rows(season_frame, CUTOFF)
    is_first_week = rows["week_started_at"] == rows["week_started_at"].min()
    old = rows.assign(gate_difficulty=rows["gate_difficulty"].mask(is_first_week, "Old G1 Hard"))

    assert set(measure_typical(old, CUTOFF).of_gate) == {"Aegir G1 Hard", "Old G1 Hard"}


def test_it_survives_json(model):
    assert msgspec.json.decode(msgspec.json.encode(model.typical), type=Typical) == model.typical


def test_expected_equals_the_prediction_of_the_pipeline(model, later):
    found = explain_context(model.compiled, model.typical, later)
    usual = model.pipeline.predict(model_input(model.typical.rows(later)))

    assert (found["typical_dps"] == np.rint(np.exp(usual)).astype("int64")).all()


def test_parts_are_those_of_32_predictions(model, later):
    found = explain_context(model.compiled, model.typical, later)

    pd.testing.assert_frame_equal(
        found, reference_implementation.explain(model.pipeline, model.typical, later)
    )
