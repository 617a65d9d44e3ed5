"""Styles are found where they were planted, a blob is a continuum, and names stay with their styles."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from lostark_assets.contracts.expectations import examine
from lostark_assets.contracts.ml import ML_PLAYER_CLUSTERS
from lostark_ml.styles.clusters import (
    FEATURES,
    StylePolicy,
    build_player_clusters,
    compute_style_features,
    find_styles,
    match_labels,
)
from lostark_ml.styles.mixture import fit_mixture
from lostark_ml.styles.names import name_styles
from lostark_ml.styles.pages import CONTINUUM, MEANINGS, build_style_pages
from tests.pure.ml.planted_styles import characters

NOW = datetime(2025, 1, 8, tzinfo=UTC)
QUICK = StylePolicy(tested_characters=500)


@pytest.fixture(scope="module")
def planted():
    return characters()


@pytest.fixture(scope="module")
def model(planted):
    return find_styles(planted, QUICK)


@pytest.fixture(scope="module")
def continuum():
    return find_styles(characters(planted=False), QUICK)


def test_planted_styles_are_found_and_are_not_specs(planted, model):
    found = model.probabilities(planted).idxmax(axis=1)

    assert model.evidence.is_accepted
    assert adjusted_rand_score(planted["true_style"], found) > 0.7
    assert abs(adjusted_mutual_info_score(planted["spec_name"], found)) < 0.03
    assert abs(model.evidence.ami_spec) < 0.03


def test_styles_are_named_by_what_stands_out(model):
    assert {"Burst", "Strong opener"} & {name.split(" · ")[0] for name in model.names}
    assert {"Fast casts", "Always on"} & {name.split(" · ")[0] for name in model.names}
    assert len(set(model.names)) == len(model.names)


def test_one_correlated_cluster_is_a_continuum(continuum):
    assert continuum.is_continuum
    assert continuum.evidence.reason.startswith("a continuum: gain")
    assert continuum.probabilities(characters(50)).shape == (50, 0)


def test_heavy_tails_and_skewed_figures_are_no_styles():
    blob = characters(400, seed=3, planted=False)
    random = np.random.default_rng(0)
    blob[list(FEATURES)] = 0.5 + random.standard_t(4, (400, len(FEATURES))) * 0.02
    blob["burst_share"] = random.lognormal(0, 0.4, 400)

    assert find_styles(blob, QUICK).is_continuum


def test_the_same_seed_gives_the_same_styles_whatever_the_order(planted, model):
    again = find_styles(planted.sample(frac=1, random_state=2), QUICK)

    assert again.names == model.names
    assert again.evidence == model.evidence
    assert (again.mixture.means == model.mixture.means).all()


def test_names_stay_with_their_styles_between_retrains(planted, model):
    newer = planted.sample(frac=0.85, random_state=9)
    newer[list(FEATURES)] += np.random.default_rng(9).normal(0, 0.01, (len(newer), len(FEATURES)))
    after = find_styles(newer, QUICK, before=model)
    old = model.probabilities(newer).idxmax(axis=1)
    new = after.probabilities(newer).idxmax(axis=1)

    assert (old == new).mean() > 0.8


def test_labels_are_matched_by_the_smallest_sum_of_distances():
    old = pd.DataFrame({"crit_rate": [0.0, 2.0], "burst_share": [0.0, 2.0]}, index=["a", "b"])
    new = pd.DataFrame({"crit_rate": [2.1, 9.0, 0.2], "burst_share": [1.9, 9.0, 0.0]})

    assert match_labels(new, old, furthest=1.0) == {0: "b", 2: "a"}
    assert match_labels(new.rename(columns=lambda name: f"other {name}"), old, furthest=1.0) == {}


def test_a_new_character_gets_probabilities_and_one_of_an_unknown_spec_none(planted, model):
    new = characters(20, seed=1)
    new.loc[0, "spec_name"] = "Spec 99"

    found = model.probabilities(new)

    assert found.iloc[0].isna().all()
    assert found.iloc[1:].sum(axis=1).to_numpy() == pytest.approx(1.0)


def test_the_table_keeps_its_contract_with_styles_and_without(planted, model, continuum):
    styled = build_player_clusters(model, planted, model_version=2, computed_at=NOW)
    plain = build_player_clusters(continuum, planted, model_version=2, computed_at=NOW)

    for table in (styled, plain):
        assert table.column_names == ML_PLAYER_CLUSTERS.names
        assert [str(f) for f in examine(ML_PLAYER_CLUSTERS, table) if not f.passed] == []
        assert table["axis_1"].null_count == 0
    assert set(styled["style"].to_pylist()) == set(model.names)
    assert plain["style"].null_count == len(planted)


def test_pages_describe_each_style_without_naming_players(planted, model):
    pages = build_style_pages(model, planted)

    assert set(pages) == set(model.names)
    burst = next(page for name, page in pages.items() if name.startswith(("Burst", "Strong opener")))
    assert "| best 10 s, of mean DPS | ×0." in burst
    assert "## Examples" in burst
    assert "Player" not in "".join(pages.values())


def test_a_continuum_has_one_page_that_says_why(continuum, planted):
    pages = build_style_pages(continuum, planted)

    assert list(pages) == [CONTINUUM]
    assert "without groups at most" in pages[CONTINUUM]
    assert "* Axis 2:" in pages[CONTINUUM]


def test_too_few_characters_are_a_continuum_that_says_so():
    model = find_styles(characters(60, specs=2), QUICK)

    assert model.is_continuum
    assert "60 characters (expected 100)" in model.evidence.reason
    assert "Too little to say" in build_style_pages(model, characters(60, specs=2))[CONTINUUM]
    assert (
        build_player_clusters(model, characters(60, specs=2), model_version=1, computed_at=NOW).num_rows == 60
    )


def test_two_styles_of_one_outstanding_feature_get_two_names():
    centroids = pd.DataFrame({"burst_share": [2.0, 1.5, 0.0], "crit_rate": [0.0, -1.0, 0.1]})

    assert name_styles(centroids) == ("Burst · 폭딜", "Burst, few crits · 폭딜, 저치명", "Balanced · 균형")
    assert name_styles(centroids, {1: "Burst · 폭딜"})[:2] == ("Burst · 폭딜 2", "Burst · 폭딜")


def test_every_feature_has_a_meaning_on_pages():
    assert set(MEANINGS) == set(FEATURES)


def test_a_mixture_finds_two_groups_and_its_likelihood_is_that_of_the_formula():
    random = np.random.default_rng(0)
    points = np.vstack([random.normal(-3, 1, (200, 2)), random.normal(3, 1, (100, 2))])

    found = fit_mixture(points, 2, seed=0)
    single = fit_mixture(points, 1, seed=0)

    assert sorted(found.weights) == pytest.approx([1 / 3, 2 / 3], abs=0.01)
    assert np.sort(found.means[:, 0]) == pytest.approx([-3, 3], abs=0.3)
    size = np.log(np.linalg.det(2 * np.pi * single.covariance))
    assert single.log_likelihood(points) == pytest.approx(-(size + 2) / 2, abs=1e-3)
    assert found.bic(points) < single.bic(points)


def fights(n=12, **changes):
    rows = pd.DataFrame(
        {
            "encounter_id": [f"e{i}" for i in range(n)], "player_name": "A", "region": "KR",
            "class_name": "Slayer", "spec_name": "Punisher", "raid_name": "Aegir", "gate_name": "G1",
            "difficulty": "Hard", "is_counted": True, "is_cleared": True, "is_name_known": True,
            "is_support": False, "item_level": 1690.0, "dps": 100, "duration_s": 500, "crit_rate": 0.6,
            "back_attack_rate": 0.5, "front_attack_rate": 0.1, "casts_per_minute": 30.0, "opener_dps": 150,
            "peak_10s_dps": 200, "active_s": 450.0, "dead_s": 50.0, "support_ap": 0.9, "support_brand": 0.8,
            "support_identity": 0.4, "support_hyper": None,
        }
    )  # fmt: skip
    return rows.assign(**changes)


def test_features_are_means_of_counted_clears():
    found = compute_style_features(fights()).iloc[0]

    assert (found["fights"], found["class_name"]) == (12, "Slayer")
    expected = {
        "crit_rate": 0.6,
        "opener_share": 1.5,
        "burst_share": 2.0,
        "active_share": 0.9,
        "dead_share": 0.1,
    }
    for name, value in {**expected, "support_use": 0.7}.items():
        assert found[name] == pytest.approx(value), name
    assert np.isnan(found["residual_spread"])


@pytest.mark.parametrize("column", ["is_counted", "is_cleared", "is_name_known"])
def test_what_does_not_count_is_no_clear_and_supports_have_no_style(column):
    rows = fights()
    rows.loc[:7, column] = False

    assert len(compute_style_features(rows)) == 0
    assert len(compute_style_features(fights(4))) == 0
    assert len(compute_style_features(fights(is_support=True))) == 0


def test_features_are_adjusted_for_the_gate_within_a_spec():
    here = fights(gate_name="G1", crit_rate=0.6)
    there = fights(gate_name="G2", crit_rate=0.8, player_name="B")

    found = compute_style_features(pd.concat([here, there], ignore_index=True)).set_index("player_name")[
        "crit_rate"
    ]

    assert found["A"] == pytest.approx(found["B"])


def test_variability_is_that_of_dps_against_the_expected():
    rows = fights(dps=[100, 200] * 6)
    expected = rows[["encounter_id", "player_name", "dps"]].assign(
        expected_dps=rows["dps"] / np.exp([0.1, -0.1] * 6), refusal_reason=None, is_population=True
    )

    assert compute_style_features(rows, expected).iloc[0]["residual_spread"] == pytest.approx(
        0.1 * np.sqrt(12 / 11)
    )
    assert np.isnan(compute_style_features(rows, expected.head(4)).iloc[0]["residual_spread"])
