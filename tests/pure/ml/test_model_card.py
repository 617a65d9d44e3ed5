"""A reviewer can decide from the card, and MLflow keeps all of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from lostark_ml.model.evaluation import evaluate
from lostark_ml.model.gap_parts import GapModel
from lostark_ml.model.leakage import LeakageReport
from lostark_ml.model.training import fit
from lostark_ml.registry.model_card import CUT, MAX_CHARACTERS, CardInputs, build_model_card
from lostark_ml.registry.promotion import PromotionPolicy, SliceChange, decide_promotion, predict_holdout
from tests.pure.ml.season_factory import CUTOFF, RESET, SMALL

MLFLOW_KEEPS = 5000


@pytest.fixture(scope="module")
def inputs(season_frame):
    until = CUTOFF + timedelta(weeks=1)
    model = fit(season_frame, CUTOFF, SMALL)
    champion = fit(season_frame, RESET + timedelta(weeks=4), SMALL)
    decision = decide_promotion(
        predict_holdout(model, champion, season_frame, until), PromotionPolicy(slice_rows=40)
    )
    evaluation = evaluate(model, season_frame, until)
    return CardInputs(
        model=model,
        evaluation=evaluation,
        decision=decision,
        exclusions={"support": 840, "dead": 1200},
        versions={"core_players": 7, "stats_player_dps": 12, "core_encounters": None},
        code_version="abc1234",
        leaks=LeakageReport(0.004, 0.0001),
        trigger="4,000 new fights",
    )


def test_the_card_contains_the_figures_of_the_decision(inputs):
    card = build_model_card(inputs)
    mape = f"{100 * inputs.evaluation.model.mape:.1f} %"

    assert card.startswith("# Expected DPS · 기대 DPS")
    for part in (
        f"**{inputs.model.trained_rows:,} players of {inputs.model.trained_fights:,} fights**",
        "because: 4,000 new fights",
        f"| **this model** | 360 | {mape} |",
        "| four-week median | 360 |",
        "| champion (rows that both answer) | 360 |",
        "## Decision: ",
        inputs.decision.reasons[0].text[:100],
        "core_encounters -, core_players 7, stats_player_dps 12; code abc1234",
        "1,200 dead at the end: a population of its own, 840 supports are a population of their own",
        "Interval: 90%, conformal",
        "Leak tests: clean: R² of shuffled DPS 0.004",
        "in the test: none",
        "## Known limits",
    ):
        assert part in card, part
    assert len(card) < MAX_CHARACTERS < MLFLOW_KEEPS


def test_slices_stand_worst_first_with_their_change_against_the_champion(inputs):
    card = build_model_card(inputs)
    slices = inputs.evaluation.slices
    worst = slices[slices["rows"] >= 100].sort_values("mape", ascending=False)["value"].astype(str)
    places = [card.index(f"| {value} (") for value in worst]

    assert len(places) > 3
    assert places == sorted(places)
    change = next(c for c in inputs.decision.slices if c.slice == "gate_difficulty")
    assert f"{100 * change.worse:+.2f} |" in card


def test_a_slice_that_pays_too_much_stands_above_all(inputs):
    bad = SliceChange("gate_difficulty", "Aegir G1 Hard", 360, 60, 0.1, 0.05, 0.05, 0.04, 0.005)
    card = build_model_card(replace(inputs, decision=replace(inputs.decision, slices=(bad,))))
    first = card.split("## Slices, worst first")[1].splitlines()[4]

    assert first.startswith("| Aegir G1 Hard (gate) |")
    assert "+5.00 **too much**" in first


@pytest.mark.parametrize("slices", [5, 500])
def test_however_many_slices_and_reasons_mlflow_keeps_the_card(inputs, slices):
    rows = pd.concat([inputs.evaluation.slices.head(1)] * slices, ignore_index=True)
    rows = rows.assign(
        value=[f"직업 {n}" for n in range(slices)], mape=np.linspace(0.3, 0.1, slices), rows=200
    )
    reason = replace(inputs.decision.reasons[0], text="x" * 900)
    card = build_model_card(
        replace(
            inputs,
            evaluation=replace(inputs.evaluation, slices=rows),
            decision=replace(inputs.decision, reasons=(reason,) * 9),
        )
    )

    assert len(card) <= MAX_CHARACTERS
    assert "- and 3 more reasons" in card
    assert "| 직업 0 (" in card
    assert ("slices with a smaller error are left out" in card) == (slices == 500)
    assert "## Known limits" in card


def test_a_card_that_cannot_fit_is_truncated_with_a_marker(inputs):
    card = build_model_card(replace(inputs, trigger="y" * 9000))

    assert len(card) == MAX_CHARACTERS
    assert card.endswith(CUT)


def test_missing_inputs_are_stated(inputs):
    model = replace(inputs.model, gap=GapModel())
    card = build_model_card(
        replace(inputs, model=model, decision=None, leaks=None, exclusions={}, versions={})
    )

    assert "## Decision: none yet" in card
    assert "Leak tests: not run." in card
    assert "Left out: none." in card
    assert "the gap stays unexplained" in card
    assert "nan" not in card.lower()


def test_a_leak_is_highlighted(inputs):
    assert "**NOT CLEAN**" in build_model_card(replace(inputs, leaks=LeakageReport(0.5, 0.0)))


def test_gap_slopes_are_listed(inputs):
    model = replace(inputs.model, gap=GapModel(slopes={"gap_crit_dps": 0.7, "gap_dead_dps": 1.02}))

    assert "log living time: crit 0.70, dead 1.02." in build_model_card(replace(inputs, model=model))
