"""Scoring a day: by contract, parts exact, refusals with reasons, percentiles that fit the interval."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.compute as pc
import pytest

from lostark_assets.contracts.expectations import examine
from lostark_assets.contracts.ml import CONTEXT_PARTS, GAP_PARTS, ML_EXPECTED_DPS, REFUSALS
from lostark_assets.errors import ContractViolated
from lostark_ml.features.training_set import build_features
from lostark_ml.model.context_parts import Typical
from lostark_ml.model.decomposition import logarithmic_mean
from lostark_ml.model.regressor import ModelConfig
from lostark_ml.model.training import OUTSIDE, TrainingConfig, fit
from lostark_ml.model.training import REFUSALS as DOMAIN_REFUSALS
from lostark_ml.serving.score_rows import check_sums, score_rows
from tests.pure.ml.season_factory import CUTOFF, SMALL, make_players
from tests.pure.ml.simulated_season import RESET as SIMULATED_RESET
from tests.pure.ml.simulated_season import simulated_players

NOW = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def players():
    """The season, in which crits are worth damage, and a sixth of the dealers is dead for a while."""
    random = np.random.default_rng(9)
    players = make_players()
    crit = np.clip(random.normal(0.7, 0.05, len(players)), 0, 1)
    dead_s = np.where(random.random(len(players)) < 0.17, random.uniform(10, 90, len(players)), 0.0)
    factor = np.exp(0.7 * (crit - 0.7)) * (1 - dead_s / 500)
    return players.assign(
        dps=(players["dps"] * factor).astype("int64"),
        crit_rate=crit,
        back_attack_rate=0.02,
        front_attack_rate=0.01,
        casts_per_minute=40.0 * (1 - dead_s / 500),
        dead_s=dead_s,
    )


@pytest.fixture(scope="module")
def frame(players):
    return build_features(players)


@pytest.fixture(scope="module")
def model(frame, players):
    return fit(frame, CUTOFF, SMALL, execution=players)


@pytest.fixture(scope="module")
def later(frame):
    return frame[frame["fight_started_at"] >= CUTOFF].reset_index(drop=True)


def scored(model, rows, players, *, version=3, seen=False):
    return score_rows(model, rows, players, model_version=version, is_seen_in_training=seen, scored_at=NOW)


def test_every_row_is_scored_or_refused_by_contract_and_in_its_order(model, later, players):
    table = scored(model, later, players)
    found = table.to_pandas()

    assert (table.schema.names, table.schema.types) == (ML_EXPECTED_DPS.names, ML_EXPECTED_DPS.schema.types)
    assert [str(f) for f in examine(ML_EXPECTED_DPS, table) if not f.passed] == []
    assert found["player_name"].tolist() == later["player_name"].tolist()
    assert (found["refusal_reason"].isna() == found["expected_dps"].notna()).all()
    assert found.loc[later["is_support"], "refusal_reason"].unique().tolist() == ["support"]
    assert set(found["model_version"]) == {3}
    assert set(found["is_seen_in_training"]) == {False}


def test_gap_and_context_sum_exactly(model, later, players):
    found = scored(model, later, players).to_pandas().dropna(subset="expected_dps")
    gap, context = (found[[c.name for c in parts]].fillna(0) for parts in (GAP_PARTS, CONTEXT_PARTS))

    assert (gap.sum(axis=1) == found["dps"] - found["expected_dps"]).all()
    assert (found["gap_dps"] == found["dps"] - found["expected_dps"]).all()
    assert (context.sum(axis=1) == found["expected_dps"] - found["typical_dps"]).all()
    assert len(found) == 360


def test_injected_causes_are_recovered(model, later, players):
    found = scored(model, later, players).to_pandas()
    rows = players.merge(found, on=["encounter_id", "player_name"], suffixes=("", "_found"))
    rows = rows[rows["expected_dps"].notna()]
    scale = (rows["dps"] - rows["expected_dps"]) / np.log(rows["dps"] / rows["expected_dps"])
    truth = {
        "gap_crit_dps": 0.7 * (rows["crit_rate"] - 0.7),
        "gap_dead_dps": np.log(1 - rows["dead_s"] / 500),
    }

    for name, cause in truth.items():
        assert np.polyfit(cause, rows[name].astype(float) / scale, 1)[0] == pytest.approx(1, abs=0.25), name


def test_ends_of_the_interval_are_the_5th_and_95th_percentile(model, later, players):
    found = scored(model, later, players).to_pandas().dropna(subset="expected_dps")
    is_low, is_high = found["dps"] < found["expected_dps_low"], found["dps"] > found["expected_dps_high"]

    assert (found.loc[is_low, "expected_percentile"] <= 5).all()
    assert (found.loc[is_high, "expected_percentile"] >= 95).all()
    assert found.loc[~is_low & ~is_high, "expected_percentile"].between(4.99, 95.01).all()
    assert 40 < found["expected_percentile"].median() < 60


def test_one_pass_gives_what_rows_alone_give(model, later, players):
    whole = scored(model, later, players)

    for place in (0, 11):
        assert whole.slice(place, 1) == scored(model, later.iloc[[place]], players)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"spec_name": "Gravity Training"}, "spec_unknown"),
        ({"item_level": 1900.0}, "item_level_outside_training"),
        ({"dps": 0, "log_dps": np.nan}, "no_dps"),
        ({"is_support": True, "spec_name": "Full Bloom"}, "support"),
        ({"is_support": None, "class_name": "Dragon"}, "class_unknown"),
    ],
)
def test_a_refused_row_has_its_reason_and_nothing_else(model, later, players, values, reason):
    row = scored(model, later.head(1).assign(**values), players).to_pylist()[0]

    assert row["refusal_reason"] == reason
    assert row["model_version"] == 3
    assert {row[c.name] for c in (*CONTEXT_PARTS, *GAP_PARTS)} == {None}
    assert (row["expected_dps"], row["typical_dps"], row["gap_dps"], row["expected_percentile"]) == (
        None,
    ) * 4


def test_every_reason_of_the_model_is_in_the_contract():
    assert {*DOMAIN_REFUSALS, *OUTSIDE.values(), "before_training"} <= set(REFUSALS)


def test_without_a_champion_every_row_says_so(later, players):
    found = scored(None, later, players, version=None).to_pandas()

    assert found["refusal_reason"].unique().tolist() == ["no_champion"]
    assert found["expected_dps"].isna().all()
    assert found["is_seen_in_training"].isna().all()


def test_the_dead_are_scored_but_are_no_population(model, later, players):
    dead = later.head(1).assign(is_dead=True, exclusion_reason="dead")
    row = scored(model, dead, players).to_pylist()[0]

    assert row["is_population"] is False
    assert row["expected_dps"] > 0


def test_days_that_the_champion_learnt_from_are_marked(model, later, players):
    seen = np.arange(len(later)) < 5

    assert scored(model, later, players, seen=seen)["is_seen_in_training"].to_pylist() == seen.tolist()


def test_a_player_without_figures_has_an_unexplained_gap(model, later, players):
    row = scored(model, later.head(1), players.head(0)).to_pylist()[0]

    assert row["gap_unexplained_dps"] == row["gap_dps"]
    assert row["gap_crit_dps"] is None


def test_a_model_of_before_without_typical_players_still_scores(model, later, players):
    row = scored(replace(model, typical=Typical()), later.head(1), players).to_pylist()[0]

    assert row["typical_dps"] is None
    assert row["gap_dps"] == row["dps"] - row["expected_dps"]


def test_no_rows_give_an_empty_table(model, later, players):
    table = scored(model, later.head(0), players)

    assert (table.num_rows, table.column_names) == (0, ML_EXPECTED_DPS.names)


@pytest.mark.parametrize("part", ["gap_crit_dps", "context_party_dps", "gap_dps"])
def test_a_sum_that_is_wrong_is_a_defect_and_says_where(model, later, players, part):
    table = scored(model, later, players)
    place = table.column_names.index(part)
    wrong = pc.add(pc.fill_null(table[part], 0), 1)

    check_sums(table)
    with pytest.raises(ContractViolated, match="parts don't sum to what they explain in 360 rows"):
        check_sums(table.set_column(place, table.schema.field(part), wrong))


def test_score_is_the_same_whatever_the_order_of_the_figures(model, later, players):
    assert scored(model, later, players) == scored(model, later, players.sample(frac=1, random_state=2))


def slope(cause, part):
    return float(np.polyfit(cause.astype(float), part.astype(float), 1)[0])


def test_causes_that_the_simulator_injects_are_recovered():
    players = simulated_players(1500, 8)
    frame = build_features(players)
    cutoff = SIMULATED_RESET + timedelta(weeks=7)
    config = TrainingConfig(model=ModelConfig(iterations=120), fewest_rows=300)
    fitted = fit(frame, cutoff, config, execution=players)
    later = frame[frame["fight_started_at"] >= cutoff]

    found = scored(fitted, later, players).to_pandas().dropna(subset="expected_dps")

    rows = found.merge(players, on=["encounter_id", "player_name"], suffixes=("", "_true"))
    gap = logarithmic_mean(rows["dps"], rows["expected_dps"])
    context = logarithmic_mean(rows["expected_dps"], rows["typical_dps"])
    lives_half = rows["dead_s"] < 250
    dead = rows["gap_dead_dps"] / gap
    level = rows["log_item_level"] + rows["log_combat_power"]
    assert slope(rows["log_death"][lives_half], dead[lives_half]) == pytest.approx(1, abs=0.25)
    assert slope(rows["log_uptime"], rows["context_support_dps"] / context) == pytest.approx(1, abs=0.4)
    assert slope(level, rows["context_item_level_dps"] / context) == pytest.approx(1, abs=0.4)
    assert np.corrcoef(rows["log_uptime"], rows["context_support_dps"] / context)[0, 1] > 0.7
    assert abs(slope(rows["log_uptime"], rows["context_item_level_dps"] / context)) < 0.1
    assert (rows["gap_crit_dps"].abs() / rows["expected_dps"]).mean() < 0.02
