"""One player without a frame: features, refusals, figures and parts are those of scikit-learn's own path."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pandas as pd
import pytest

from lostark_api.schemas.builds import Build
from lostark_api.services.expected import make_player_build
from lostark_assets.contracts.core import UPTIMES
from lostark_assets.game.classes import CLASSES
from lostark_assets.game.specs import SPECS
from lostark_assets.stats.weeks import week_start_us
from lostark_ml.features.columns import CATEGORY_FEATURES, MODEL_FEATURES
from lostark_ml.features.kernels import build_row
from lostark_ml.features.training_set import build_features, compute_moment_features, model_input
from lostark_ml.model.context_parts import Typical
from lostark_ml.model.regressor import ModelConfig
from lostark_ml.model.training import TrainingConfig, fit
from lostark_ml.serving.build_predictor import _LAYOUT, FIGURES, PARTS, BuildPredictor
from lostark_simulator.raids import GATES
from tests.pure.ml import reference_implementation
from tests.pure.ml.simulated_season import RESET, simulated_players

CUTOFF = RESET + timedelta(weeks=4)
GATE = GATES[1]


@pytest.fixture(scope="module")
def season():
    players = [simulated_players(150, 4, seed=n, gate=gate) for n, gate in enumerate(GATES[:2])]
    return pd.concat(players, ignore_index=True)


@pytest.fixture(scope="module")
def model(season):
    config = TrainingConfig(model=ModelConfig(iterations=60), fewest_rows=300)
    return fit(build_features(season), CUTOFF, config)


@pytest.fixture(scope="module")
def fast(model):
    return BuildPredictor(model)


def predict_all(fast, builds):
    found = [fast.expect(make_player_build(msgspec.convert(build, Build), 0)) for build in builds]
    return [msgspec.structs.asdict(one) for one in found]


ROLES = [
    *((s.class_name, s.name) for s in SPECS),
    ("Bard", "Unknown"), ("바드", "절실한 구원"), ("Sailor", "Oar"), (CLASSES[0].name, "Igniter"),
    ("Valkyrie", "x"),
]  # fmt: skip


def random_builds(season, count, seed):
    """Builds at gates that were trained on and at another, by players of the season and strangers."""
    random = np.random.default_rng(seed)
    dealers = season[~season["is_support"]]

    def pick_one(choices):
        return choices[random.integers(len(choices))]

    def maybe(value):
        return None if random.random() < 0.2 else value

    def build():
        gate = pick_one([*GATES[:2]] * 4 + [GATES[5]])
        like = dealers.iloc[random.integers(len(dealers))]
        is_usual = random.random() < 0.8
        role = (like["class_name"], like["spec_name"]) if is_usual else pick_one(ROLES)
        party = [(*pick_one(ROLES), maybe(random.uniform(1700, 1760))) for _ in range(random.integers(16))]
        return {
            "raid_name": gate.raid,
            "gate_name": gate.gate,
            "difficulty": gate.difficulty,
            "class_name": role[0],
            "spec_name": role[1],
            "item_level": float(like["item_level"]) + (0.0 if is_usual else random.uniform(-40, 40)),
            "combat_power": maybe(float(like["combat_power"])),
            "region": pick_one(["NAE", "KR", "EUC", "unknown"]),
            "is_uploader": bool(random.random() < 0.5),
            "is_ark_passive_active": pick_one([None, True, False]),
            "party": [
                dict(zip(("class_name", "spec_name", "item_level"), one, strict=True)) for one in party
            ],
            **{c.name: maybe(random.random()) for c in UPTIMES},
            "fight_started_at": (RESET + timedelta(weeks=random.uniform(-0.3, 8))).isoformat(),
        }

    return [build() for _ in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_predictions_equal_the_reference_implementation(season, model, fast, seed):
    builds = random_builds(season, 200, seed)
    found = predict_all(fast, builds)

    assert found == reference_implementation.predict_builds(model, builds)
    answered = [one for one in found if one["refusal_reason"] is None]
    assert len(answered) > 80
    assert {"gate_unknown", "class_unknown", "support", "before_training"} < {
        one["refusal_reason"] for one in found
    }
    for one in answered:
        assert sum(one[name] for name in PARTS[1:]) == one["expected_dps"] - one["typical_dps"]


def test_features_equal_the_reference_implementation(season, fast):
    builds = random_builds(season, 200, seed=9)
    wanted = model_input(reference_implementation.features_of_builds(builds)).drop(columns=CATEGORY_FEATURES)

    for row, build in zip(wanted.to_numpy(float), builds, strict=True):
        one = make_player_build(msgspec.convert(build, Build), 0)
        week_us = week_start_us(one.started_us, int(one.region == "KR"))
        values = fast._values(one, compute_moment_features(one.started_us, week_us))
        found = build_row(np.full(len(MODEL_FEATURES), np.nan), values, _LAYOUT)[0]
        np.testing.assert_array_equal(found[-len(row) :], row)


def sample_build(season, **changed):
    like = season[~season["is_support"]].iloc[-1]
    names = ["raid_name", "gate_name", "difficulty", "class_name", "spec_name", "item_level", "combat_power"]
    at = {"fight_started_at": (CUTOFF + timedelta(days=2)).isoformat()}
    return {**like[names].to_dict(), **at, **changed}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, None),
        ({"raid_name": "Nowhere"}, "gate_unknown"),
        ({"difficulty": "Trial"}, "difficulty_unknown"),
        ({"class_name": "Sailor"}, "class_unknown"),
        ({"spec_name": "Oar"}, "spec_unknown"),
        ({"class_name": "Bard", "spec_name": "Desperate Salvation"}, "support"),
        ({"item_level": 2500.0}, "item_level_outside_training"),
        ({"combat_power": 1e8}, "combat_power_outside_training"),
        ({"combat_power": None}, None),
        ({"fight_started_at": "2026-01-01T00:00:00+00:00"}, "before_training"),
    ],
)
def test_what_the_model_does_not_know_is_refused_with_the_reason(season, model, fast, changed, reason):
    (found,) = predict_all(fast, [sample_build(season, **changed)])

    assert found["refusal_reason"] == reason
    assert [found] == reference_implementation.predict_builds(model, [sample_build(season, **changed)])
    assert {found[name] is None for name in (*FIGURES, *PARTS)} == {reason is not None}


def test_a_dealer_in_a_supports_seat_gets_the_effect_of_the_seat(season, model, fast):
    of_class = season[season["spec_name"].isin(["True Courage", "Recurrence", "Judgment", "Shining Knight"])]
    build = sample_build(season) | of_class.iloc[0][["class_name", "spec_name", "item_level"]].to_dict()
    others = [{"class_name": "Sorceress", "spec_name": "Igniter", "item_level": 1700.0}] * 2
    support = {"class_name": "Bard", "spec_name": "Desperate Salvation", "item_level": 1700.0}
    builds = [build | {"party": others}, build | {"party": [*others, support]}]

    assert predict_all(fast, builds) == reference_implementation.predict_builds(model, builds)
    assert [
        row["support_seat_flag"] for _, row in reference_implementation.features_of_builds(builds).iterrows()
    ] == [
        1,
        0,
    ]


def test_levels_of_weeks_are_those_of_the_moment(season, model, fast):
    weeks = np.array([-6, -1, -1e-9, 0, 1e-9, 0.999999, 1, 3.5, 30])
    builds = [
        sample_build(season, fight_started_at=(CUTOFF + timedelta(weeks=week)).isoformat()) for week in weeks
    ]

    assert predict_all(fast, builds) == reference_implementation.predict_builds(model, builds)


def test_without_typical_players_there_are_figures_and_no_parts(season, model):
    from dataclasses import replace

    build = sample_build(season)
    (whole,), (found,) = (
        predict_all(BuildPredictor(m), [build]) for m in (model, replace(model, typical=Typical()))
    )

    assert {name: found[name] for name in FIGURES} == {name: whole[name] for name in FIGURES}
    assert {found[name] for name in PARTS} == {None}


def test_a_build_without_a_time_is_predicted_for_now(season):
    build = sample_build(season)
    del build["fight_started_at"]
    now_us = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp() * 1e6)

    assert make_player_build(msgspec.convert(build, Build), now_us).started_us == now_us
