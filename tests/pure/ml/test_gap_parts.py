"""The gap: parts sum exactly to it, one figure moves one part, and injected causes are found again."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lostark_assets.contracts.ml import GAP_PARTS
from lostark_ml.model.gap_parts import GapModel, compute_figures, explain_gap, fit_gap

PARTS = [c.name for c in GAP_PARTS]
UNEXPLAINED = "gap_unexplained_dps"
WORTH = {"crit": 0.7, "back": 0.4, "activity": 0.3, "dead": 1.0}
GATE = "Aegir G1 Hard"


def make_fights(seed=1, players=12_000):
    """Two specs, one of them from behind; the error is the sum of injected causes, and noise."""
    random = np.random.default_rng(seed)
    is_back = random.random(players) < 0.5
    crit = np.clip(random.normal(np.where(is_back, 0.8, 0.6), 0.05), 0, 1)
    back = np.clip(random.normal(np.where(is_back, 0.7, 0.02), np.where(is_back, 0.08, 0.01)), 0, 1)
    activity = random.normal(0, 0.12, players)
    dead = np.where(random.random(players) < 0.2, random.uniform(0.02, 0.2, players), 0.0)
    causes = pd.DataFrame(
        {
            "gap_crit_dps": WORTH["crit"] * (crit - np.where(is_back, 0.8, 0.6)),
            "gap_positional_dps": np.where(is_back, WORTH["back"] * (back - 0.7), 0.0),
            "gap_activity_dps": WORTH["activity"] * activity,
            "gap_dead_dps": WORTH["dead"] * np.log(1 - dead),
        }
    )
    rows = pd.DataFrame(
        {
            "encounter_id": [f"e{n // 6}" for n in range(players)],
            "player_name": [f"p{n}" for n in range(players)],
            "gate_difficulty": GATE,
            "spec_name": np.where(is_back, "Surge", "Igniter"),
            "error": causes.sum(axis=1) + 0.03 + 0.15 * random.standard_t(4, players),
            "crit_rate": crit,
            "back_attack_rate": back,
            "front_attack_rate": 0.01,
            "casts_per_minute": 40 * np.exp(activity) * (1 - dead),
            "dead_s": 500 * dead,
            "duration_s": 500,
        }
    )
    return rows, causes


@pytest.fixture(scope="module")
def fights():
    return make_fights()


@pytest.fixture(scope="module")
def model(fights):
    return fitted(fights[0])


def fitted(rows):
    execution = rows.drop(columns=["error", "gate_difficulty", "spec_name"])
    return fit_gap(rows.iloc[:, :5], rows.iloc[:, :4], execution)


def one_row(**changed):
    usual = {
        "gate_difficulty": GATE,
        "spec_name": "Surge",
        "crit_rate": 0.85,
        "back_attack_rate": 0.6,
        "front_attack_rate": 0.01,
        "casts_per_minute": 44.0,
        "dead_s": 30.0,
        "duration_s": 500,
    }
    return pd.DataFrame([{**usual, **changed}])


def explained(model, row, dps=80_000_000, expected=75_000_000):
    return explain_gap(model, row, np.array([dps]), np.array([expected])).iloc[0]


def test_injected_causes_are_found_again_with_a_slope_near_one(fights, model):
    rows, causes = fights
    parts = model.log_parts(rows)

    for name in causes:
        slope = np.polyfit(causes[name], parts[name].fillna(0.0), 1)[0]
        assert slope == pytest.approx(1, abs=0.15), name
    assert model.slopes["gap_crit_dps"] == pytest.approx(WORTH["crit"], abs=0.12)
    assert model.position == {"Igniter": "none", "Surge": "back"}
    assert model.usual[GATE]["Surge"]["gap_crit_dps"] == pytest.approx(0.8, abs=0.01)


def test_parts_take_their_share_of_the_errors_away(fights, model):
    rows, _ = make_fights(seed=2)
    left = rows["error"] - model.log_parts(rows).fillna(0.0).sum(axis=1)

    assert left.std() < 0.97 * rows["error"].std()


@settings(max_examples=60, deadline=None)
@given(
    dps=st.integers(1, 10**11),
    expected=st.integers(1, 10**11),
    crit=st.none() | st.floats(0, 1),
    back=st.none() | st.floats(0, 1),
    casts=st.none() | st.floats(0, 500),
    dead=st.none() | st.floats(0, 2000),
    spec=st.sampled_from(["Surge", "Igniter", "never seen"]),
)
def test_parts_sum_exactly_to_the_gap_whatever_the_log_says(
    model, dps, expected, crit, back, casts, dead, spec
):
    row = one_row(crit_rate=crit, back_attack_rate=back, casts_per_minute=casts, dead_s=dead, spec_name=spec)

    parts = explained(model, row, dps, expected)

    assert list(parts.index) == PARTS
    assert parts.fillna(0).sum() == dps - expected
    assert pd.notna(parts[UNEXPLAINED])


@pytest.mark.parametrize(
    ("changed", "part", "sign"),
    [
        ({"crit_rate": 0.80}, "gap_crit_dps", -1),
        ({"back_attack_rate": 0.75}, "gap_positional_dps", 1),
        ({"casts_per_minute": 40.0}, "gap_activity_dps", -1),
    ],
)
def test_one_changed_figure_moves_only_its_part_and_the_rest(model, changed, part, sign):
    before, after = explained(model, one_row()), explained(model, one_row(**changed))

    moved = [name for name in PARTS if before[name] != after[name]]
    assert moved == [part, UNEXPLAINED]
    assert np.sign(after[part] - before[part]) == sign


def test_dying_moves_the_part_of_the_dead_when_casts_by_living_minute_stay(model):
    alive = explained(model, one_row(dead_s=0.0, casts_per_minute=44.0))
    died = explained(model, one_row(dead_s=100.0, casts_per_minute=44.0 * 0.8))

    assert [name for name in PARTS if alive[name] != died[name]] == ["gap_dead_dps", UNEXPLAINED]
    assert alive["gap_dead_dps"] == 0
    assert died["gap_dead_dps"] == pytest.approx(77.5e6 * np.log(0.8), rel=0.15)


def test_the_length_of_the_fight_explains_nothing(model):
    short, long = (
        explained(model, one_row(duration_s=seconds, dead_s=0.1 * seconds)) for seconds in (300, 900)
    )

    assert short.equals(long)


def test_a_figure_that_the_log_lacks_is_null_and_in_the_rest(model):
    lacking = explained(model, one_row(crit_rate=None))
    usual = explained(model, one_row(crit_rate=model.usual[GATE]["Surge"]["gap_crit_dps"]))

    assert pd.isna(lacking["gap_crit_dps"])
    assert lacking[UNEXPLAINED] == usual[UNEXPLAINED]
    assert usual["gap_crit_dps"] == 0


def test_an_odd_figure_counts_as_the_oddest_that_was_seen(model):
    odd, odder = (explained(model, one_row(casts_per_minute=casts)) for casts in (5.0, 0.01))

    assert odd["gap_activity_dps"] == odder["gap_activity_dps"] < 0


def test_without_figures_everything_is_unexplained(fights):
    rows, _ = fights
    empty = rows.assign(**dict.fromkeys(("crit_rate", "back_attack_rate", "casts_per_minute", "dead_s")))
    model = fitted(empty)

    assert model.slopes == {}
    for one in (model, GapModel()):
        parts = explained(one, one_row())
        assert parts.dropna().to_dict() == {UNEXPLAINED: 5_000_000}


def test_few_errors_leave_the_slope_near_its_prior():
    rows, _ = make_fights(players=150)
    few = fitted(rows)

    assert 0.6 < few.slopes["gap_dead_dps"] < 1.4
    assert 0 <= few.slopes["gap_crit_dps"] < 1.4


def test_what_would_explain_with_the_wrong_sign_explains_nothing(fights):
    rows, _ = fights
    wrong = rows.assign(error=-2.0 * (rows["crit_rate"] - 0.7))
    model = fitted(wrong)

    assert model.slopes["gap_crit_dps"] == 0


def test_an_effect_on_the_whole_fight_is_no_players_own_gap(fights):
    rows, _ = fights
    short = rows["encounter_id"].str[-1].isin(list("02468"))
    raids = rows.assign(
        error=rows["error"] + np.where(short, 0.3, 0.0),
        casts_per_minute=rows["casts_per_minute"] * np.where(short, 1.5, 1.0),
    )

    assert fitted(raids).slopes["gap_activity_dps"] == pytest.approx(WORTH["activity"], abs=0.1)


def test_a_spec_that_is_rare_at_a_gate_is_compared_with_itself_elsewhere(model):
    elsewhere = one_row(gate_difficulty="Aegir G2 Hard")

    pd.testing.assert_frame_equal(
        compute_figures(elsewhere, model.position), compute_figures(one_row(), model.position)
    )
    assert explained(model, elsewhere)["gap_crit_dps"] == explained(model, one_row())["gap_crit_dps"]


def test_the_model_survives_json(model):
    assert msgspec.json.decode(msgspec.json.encode(model), type=GapModel) == model
    assert replace(model, slopes={}) != model
