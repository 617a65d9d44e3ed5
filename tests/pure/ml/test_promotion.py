"""The gate: what is better passes, what is not better, by too little, or at some slice's cost does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lostark_assets.errors import SettingsError
from lostark_ml.model.leakage import LeakageReport
from lostark_ml.model.training import fit
from lostark_ml.registry.promotion import (
    REASONS,
    HoldoutTest,
    PromotionDecision,
    PromotionPolicy,
    decide_promotion,
    predict_holdout,
)
from tests.pure.ml.season_factory import CUTOFF, RESET, SMALL

START = datetime(2025, 1, 1, 10, tzinfo=UTC)
QUICK = PromotionPolicy(draws=300)
SPECS = 12


def a_test(
    random,
    fights=300,
    *,
    bias=0.0,
    champion_bias=0.0,
    retrain=0.02,
    spec_bias=0.0,
    has_champion=True,
):
    """Six players a fight; errors have a raid's part; two retrains miss the best forecast by ``retrain``."""
    rows = fights * 6
    spec = random.integers(SPECS, size=rows)
    true = np.repeat(0.10 * random.standard_normal(fights), 6) + 0.15 * random.standard_normal(rows)
    shared = 0.02 * random.standard_normal(rows)

    def predicted(level):
        own = retrain * (random.standard_normal(SPECS)[spec] + random.standard_normal(rows))
        return shared + own + level

    frame = pd.DataFrame(
        {
            "fight_id": np.repeat([f"f{n}" for n in range(fights)], 6),
            "fight_started_at": pd.Timestamp(START) + pd.to_timedelta(np.repeat(np.arange(fights), 6), "min"),
            "log_dps": true,
            "gate_difficulty": [f"Aegir G{1 + n // 6 % 2} Hard" for n in range(rows)],
            "spec_name": [f"spec {n:02}" for n in spec],
            "item_level_bracket": np.where(random.random(rows) < 0.5, "1680-1689", "1690-1699"),
        }
    )
    champion = predicted(champion_bias)
    challenger = predicted(bias) + np.where(spec == 0, spec_bias, 0.0)
    return HoldoutTest(
        rows=frame,
        challenger=challenger,
        champion=champion if has_champion else None,
        baselines={"constant": np.full(rows, 0.3), "four-week median": predicted(0.1)},
        challenger_cutoff=START,
        champion_cutoff=START - timedelta(weeks=1) if has_champion else None,
    )


def codes(decision):
    return [reason.code for reason in decision.reasons]


@pytest.mark.parametrize("fights", [60, 300])
def test_retrains_of_the_same_model_replace_each_other_in_less_than_5_percent(fights):
    random = np.random.default_rng(5)

    promoted = sum(decide_promotion(a_test(random, fights), QUICK).promote for _ in range(200))

    assert promoted <= 0.05 * 200


def test_a_true_gain_of_a_tenth_of_a_point_is_kept_out_by_the_margin_and_passes_without_it():
    random = np.random.default_rng(6)
    tests = [a_test(random, 1500, retrain=0.0, champion_bias=0.0056) for _ in range(20)]
    sizes = [decide_promotion(test, QUICK).comparisons[0].gain for test in tests]

    assert np.mean(sizes) == pytest.approx(0.001, abs=0.0004)
    assert sum(decide_promotion(test, QUICK).promote for test in tests) == 0
    assert sum(decide_promotion(test, replace(QUICK, margin=0.0)).promote for test in tests) >= 12


def test_a_real_gain_of_a_point_is_found_by_two_hundred_fights():
    random = np.random.default_rng(7)
    tests = [a_test(random, 200, champion_bias=0.04) for _ in range(40)]
    decisions = [decide_promotion(test, QUICK) for test in tests]

    assert 0.008 < np.mean([d.comparisons[0].gain for d in decisions]) < 0.016
    assert np.mean([d.promote for d in decisions]) > 0.75


def test_a_better_challenger_is_promoted_and_the_summary_has_the_numbers():
    decision = decide_promotion(a_test(np.random.default_rng(1), champion_bias=0.15), QUICK)
    champion = decision.comparisons[0]

    assert decision.promote
    assert codes(decision) == ["better"]
    assert f"better by {100 * champion.gain:.2f} points" in decision.summary
    assert champion.gain == pytest.approx(champion.mape_of_other - champion.mape)
    assert champion.gain_low < champion.gain
    assert (champion.rows, champion.fights) == (1800, 300)


def test_the_resampling_is_of_fights_not_of_rows():
    random = np.random.default_rng(8)
    test = a_test(random, 200)
    shared = np.repeat(0.4 * random.standard_normal(200), 6)
    by_fight = replace(test, challenger=shared)
    by_row = replace(by_fight, rows=test.rows.assign(fight_id=[f"r{n}" for n in range(1200)]))

    clustered, apart = (decide_promotion(t, QUICK).comparisons[0] for t in (by_fight, by_row))

    assert clustered.gain == pytest.approx(apart.gain)
    assert clustered.gain - clustered.gain_low > 1.3 * (apart.gain - apart.gain_low)


def test_a_tie_keeps_the_champion():
    test = a_test(np.random.default_rng(1))
    decision = decide_promotion(replace(test, challenger=test.champion), replace(QUICK, margin=0.0))

    assert not decision.promote
    assert codes(decision) == ["not_better"]
    assert decision.comparisons[0].gain == decision.comparisons[0].gain_low == 0


def test_a_significant_gain_below_the_margin_is_reported_as_such():
    test = a_test(np.random.default_rng(1), champion_bias=0.15)

    decision = decide_promotion(test, replace(QUICK, margin=0.2))

    assert codes(decision) == ["below_margin"]
    assert "by more than 20.00 points" in decision.summary


def test_a_worse_challenger_is_not_promoted():
    decision = decide_promotion(a_test(np.random.default_rng(1), bias=0.15), QUICK)

    assert "not_better" in codes(decision)
    assert not decision.promote


def test_a_seeded_regression_of_one_slice_is_refused_though_the_whole_gets_better():
    decision = decide_promotion(
        a_test(np.random.default_rng(2), 600, champion_bias=0.2, spec_bias=0.4), QUICK
    )

    assert decision.comparisons[0].gain_low > QUICK.margin
    assert codes(decision) == ["slice_worse"]
    assert "spec 00 (spec_name)" in decision.summary
    assert decision.slices[0].value == "spec 00"
    assert decision.slices[0].exceeds_limit
    assert not decision.slices[1].exceeds_limit


def test_chance_in_slices_is_not_refused():
    random = np.random.default_rng(3)
    tests = [a_test(random, 200, champion_bias=0.1, retrain=0.03) for _ in range(100)]
    policy = replace(QUICK, slice_rows=50, slice_limits=dict.fromkeys(QUICK.slice_limits, 0.0))
    decisions = [decide_promotion(test, policy) for test in tests]

    assert any(s.worse > 0 for d in decisions for s in d.slices)
    assert sum("slice_worse" in codes(d) for d in decisions) <= 5


def test_slices_of_few_rows_or_few_fights_are_not_judged():
    test = a_test(np.random.default_rng(2), 300)
    one_fight = test.rows["fight_id"].eq("f1")
    test = replace(test, rows=test.rows.assign(spec_name=test.rows["spec_name"].mask(one_fight, "rare")))

    judged = {s.value for s in decide_promotion(test, QUICK).slices}
    few_fights = {s.value for s in decide_promotion(test, replace(QUICK, slice_rows=1)).slices}
    all_of_them = {
        s.value for s in decide_promotion(test, replace(QUICK, slice_rows=1, slice_fights=2)).slices
    }

    assert "rare" not in judged | few_fights | all_of_them
    assert "spec 01" in judged
    assert decide_promotion(test, replace(QUICK, slice_rows=10_000)).slices == ()


def test_the_first_champion_must_beat_every_baseline():
    test = a_test(np.random.default_rng(4), has_champion=False)

    beats = decide_promotion(test, QUICK)
    loses = decide_promotion(
        replace(test, baselines={**test.baselines, "ridge": test.rows["log_dps"] * 0.5}), QUICK
    )

    assert (beats.promote, codes(beats)) == (True, ["first_champion"])
    assert (loses.promote, codes(loses)) == (False, ["baseline_not_beaten"])
    assert "the ridge's" in loses.summary
    assert beats.slices == ()


def test_too_few_fights_keep_the_champion():
    decision = decide_promotion(a_test(np.random.default_rng(4), 40, champion_bias=0.5), QUICK)

    assert codes(decision) == ["too_few_fights"]
    assert "at least 50 fights to test on, found 40" in decision.summary


def test_no_rows_at_all_are_too_few():
    test = a_test(np.random.default_rng(4), 40)
    empty = replace(test, rows=test.rows.head(0), challenger=np.array([]), champion=np.array([]))

    assert codes(decide_promotion(empty, QUICK)) == ["too_few_fights"]


@pytest.mark.parametrize("who", ["challenger", "champion"])
def test_fights_that_a_side_has_seen_are_no_test(who):
    test = a_test(np.random.default_rng(4), champion_bias=0.5)
    seen = replace(test, **{f"{who}_cutoff": START + timedelta(hours=1)})

    assert decide_promotion(test, QUICK).promote
    decision = decide_promotion(seen, QUICK)
    assert codes(decision) == ["seen_fights"]
    assert f"after the {who}'s cutoff 2025-01-01 11:00, found one of 2025-01-01 10:00" in decision.summary
    assert decision.comparisons == ()


def test_a_challenger_that_refuses_more_rows_is_rejected_and_compared_on_common_rows():
    test = a_test(np.random.default_rng(4), champion_bias=0.2)
    is_new = test.rows["spec_name"].eq("spec 03").to_numpy()
    refuses = replace(test, challenger=np.where(is_new, np.nan, test.challenger))
    knows_more = replace(test, champion=np.where(is_new, np.nan, test.champion))

    fewer, more = decide_promotion(refuses, QUICK), decide_promotion(knows_more, QUICK)

    assert codes(fewer) == ["answers_fewer"]
    assert more.promote
    assert fewer.comparisons[0].rows == more.comparisons[0].rows == 1800 - is_new.sum()


def test_a_challenger_with_target_leakage_is_refused():
    test = a_test(np.random.default_rng(4), champion_bias=0.2)

    assert decide_promotion(test, QUICK, leaks=LeakageReport(0.0, 0.0)).promote
    decision = decide_promotion(test, QUICK, leaks=LeakageReport(0.4, 0.0))
    assert codes(decision) == ["leak"]
    assert "at most 0.02, found 0.400" in decision.summary


def test_the_same_test_gives_the_same_decision_in_any_order_of_rows():
    test = a_test(np.random.default_rng(4), champion_bias=0.1)
    order = np.random.default_rng(1).permutation(len(test.rows))
    mixed = replace(
        test,
        rows=test.rows.iloc[order].reset_index(drop=True),
        challenger=test.challenger[order],
        champion=test.champion[order],
        baselines={name: one[order] for name, one in test.baselines.items()},
    )

    first, again, other = (decide_promotion(t, QUICK) for t in (test, test, mixed))

    assert first == again
    assert other.promote == first.promote
    assert other.comparisons[0].gain_low == pytest.approx(first.comparisons[0].gain_low, abs=1e-12)


def test_a_decision_survives_json():
    decision = decide_promotion(a_test(np.random.default_rng(4), champion_bias=0.1), QUICK)

    assert msgspec.json.decode(msgspec.json.encode(decision), type=PromotionDecision) == decision


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), bias=st.floats(-0.3, 0.3), fights=st.integers(2, 120))
def test_promotion_implies_significantly_better_and_no_slice_beyond_its_limit(seed, bias, fights):
    test = a_test(np.random.default_rng(seed), fights, champion_bias=bias)
    decision = decide_promotion(test, replace(QUICK, draws=100))

    assert set(codes(decision)) <= set(REASONS)
    assert decision.promote == (set(codes(decision)) <= {"better", "first_champion"})
    if decision.promote:
        assert decision.comparisons[0].gain_low > QUICK.margin
        assert not any(one.exceeds_limit for one in decision.slices)


@pytest.mark.parametrize(
    "changed",
    [
        {"confidence": 0.5},
        {"margin": -0.1},
        {"min_fights": 1},
        {"slice_limits": {"spec_name": -1.0}},
        {"slice_rows": 0},
        {"slice_fights": 1},
        {"max_refused": 2.0},
        {"draws": 10},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(changed):
    with pytest.raises(SettingsError, match=next(iter(changed))):
        PromotionPolicy(**changed)


def test_models_are_tested_on_fights_after_both_cutoffs(season_frame):
    champion = fit(season_frame, RESET + timedelta(weeks=4), SMALL)
    challenger = fit(season_frame, CUTOFF, SMALL)

    test = predict_holdout(challenger, champion, season_frame, CUTOFF + timedelta(weeks=1))
    mirrored = predict_holdout(champion, challenger, season_frame, CUTOFF + timedelta(weeks=1))
    decision = decide_promotion(test, QUICK)

    assert test.rows["fight_started_at"].min() >= CUTOFF
    pd.testing.assert_frame_equal(test.rows, mirrored.rows)
    assert set(test.baselines) == {"constant", "four-week median", "ridge"}
    assert codes(decision) != ["seen_fights"]
    assert decision.comparisons[0].fights == 60
    assert decision.test_from >= CUTOFF
    assert not decide_promotion(mirrored, QUICK).promote


def test_without_fights_after_the_cutoff_nothing_is_promoted(season_frame):
    challenger = fit(season_frame, CUTOFF, SMALL)

    assert codes(decide_promotion(predict_holdout(challenger, None, season_frame, CUTOFF))) == [
        "too_few_fights"
    ]
