"""The compiled pipeline says what scikit-learn says, to the last bit; one that is not known is refused."""

from __future__ import annotations

import copy
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.pipeline import Pipeline

from lostark_ml.features.columns import CATEGORY_FEATURES, MODEL_FEATURES, NUMBER_FEATURES, TIME_FEATURE
from lostark_ml.features.training_set import build_features, model_input
from lostark_ml.model import compiled_trees
from lostark_ml.model.compiled_trees import MAX_LEAVES, NotCompiled, compile_pipeline
from lostark_ml.model.context_parts import ALL_GROUPS, GROUP_COLUMNS
from lostark_ml.model.regressor import ModelConfig, build_pipeline
from lostark_ml.model.training import TrainingConfig, fit_pipeline, select_training_rows, week_number
from tests.pure.ml.reference_implementation import build_mixtures
from tests.pure.ml.season_factory import CUTOFF
from tests.pure.ml.simulated_season import RESET, simulated_players

CUTOFF_OF_RICH = RESET + timedelta(weeks=3)


def trained(frame, cutoff, **config):
    rows = select_training_rows(frame, cutoff)
    return fit_pipeline(rows, cutoff, TrainingConfig(model=ModelConfig(**config)))


@pytest.fixture(scope="module")
def rich():
    """Players with all numbers, of two gates and many specs, and their pipeline."""
    from lostark_simulator.raids import GATES

    players = [simulated_players(120, 4, seed=n, gate=gate) for n, gate in enumerate(GATES[:2])]
    frame = build_features(pd.concat(players, ignore_index=True))
    return trained(frame, CUTOFF_OF_RICH, iterations=80), model_input(frame)


@pytest.fixture(scope="module")
def poor(season_frame):
    """A season whose logs lack many numbers, and its pipeline."""
    return trained(season_frame, CUTOFF, iterations=40, leaves=8), model_input(season_frame)


@pytest.mark.parametrize("season", ["rich", "poor"])
def test_frames_are_predicted_bit_for_bit(season, request):
    pipeline, frame = request.getfixturevalue(season)

    np.testing.assert_array_equal(compile_pipeline(pipeline).predict(frame), pipeline.predict(frame))


@st.composite
def rows(draw, pipeline):
    """A row of the regressor's input: edges of bins and their neighbours, nothing, and nonsense."""
    encoder, regressor = pipeline[0].named_transformers_["categories"], pipeline[-1]
    row = [draw(st.sampled_from([np.nan, *map(float, range(len(c)))])) for c in encoder.categories_]
    for edges in regressor.edges_:
        near = [
            f(e, to) for e in edges[:: max(len(edges) // 8, 1)] for f in (np.nextafter,) for to in (-9e9, 9e9)
        ]
        row.append(
            draw(st.sampled_from([np.nan, np.inf, -np.inf, 0.0, *edges, *near]) | st.floats(-1e6, 1e6))
        )
    return [*row, regressor.cutoff_week + draw(st.floats(-10, 10))]


@pytest.mark.parametrize("season", ["rich", "poor"])
def test_any_row_is_predicted_bit_for_bit_also_at_edges_and_without_values(season, request):
    pipeline, _ = request.getfixturevalue(season)
    compiled = compile_pipeline(pipeline)

    @settings(max_examples=60, deadline=None)
    @given(matrix=st.lists(rows(pipeline), min_size=1, max_size=20))
    def check(matrix):
        matrix = np.array(matrix)
        expected = pipeline[-1].predict(matrix)
        np.testing.assert_array_equal(compiled.mixtures(matrix, matrix, [])[:, 0], expected)

    check()


def test_categories_and_gates_that_training_never_saw_are_predicted_as_by_the_pipeline(rich):
    pipeline, frame = rich
    for name in CATEGORY_FEATURES:
        strange = frame.head(50).assign(**{name: "never seen"})

        np.testing.assert_array_equal(compile_pipeline(pipeline).predict(strange), pipeline.predict(strange))


@pytest.mark.parametrize("season", ["rich", "poor"])
def test_mixtures_are_those_of_32_predictions_bit_for_bit(season, request):
    pipeline, frame = request.getfixturevalue(season)
    compiled = compile_pipeline(pipeline)
    random = np.random.default_rng(4)
    end = compiled.matrix(frame.sample(80, random_state=1))
    own = [MODEL_FEATURES.index(n) for n in ("gate_difficulty", "class_name", "spec_name", TIME_FEATURE)]
    start = compiled.matrix(frame.sample(80, random_state=2))
    start[:, own] = end[:, own]
    seat = MODEL_FEATURES.index("support_seat_flag")
    start[:, seat], end[:, seat] = random.integers(0, 2, (2, 80))

    found = compiled.mixtures(start, end, GROUP_COLUMNS)

    assert found.shape == (80, 2 ** len(ALL_GROUPS))
    np.testing.assert_array_equal(found, build_mixtures(pipeline[-1].predict, start, end, GROUP_COLUMNS))
    assert max(len(np.unique(row)) for row in found) >= 8


def test_a_row_is_the_same_alone_and_among_others(rich):
    pipeline, frame = rich
    compiled = compile_pipeline(pipeline)
    alone = [compiled.predict(frame.iloc[[n]])[0] for n in range(5)]

    assert alone == compiled.predict(frame)[:5].tolist()


def test_codes_of_categories_are_those_of_the_encoder(rich):
    pipeline, frame = rich
    codes = compile_pipeline(pipeline).category_codes()
    matrix = compile_pipeline(pipeline).matrix(frame)

    for place, name in enumerate(CATEGORY_FEATURES):
        wanted = [codes[name].get(value, np.nan) for value in frame[name]]
        np.testing.assert_array_equal(matrix[:, place], wanted)
        assert len(codes[name]) == frame[name][~np.isnan(wanted)].nunique()


def test_a_column_without_any_value_is_constant(poor):
    pipeline, frame = poor
    assert frame["combat_power"].isna().all()
    compiled = compile_pipeline(pipeline)

    some = frame.head(3).assign(combat_power=[np.nan, 0.0, 5000.0])
    place = NUMBER_FEATURES.index("combat_power") + len(CATEGORY_FEATURES)
    assert compiled.codes(compiled.matrix(some))[:, place].tolist() == [0, 0, 0]


def changed(pipeline, change):
    other = copy.deepcopy(pipeline)
    change(other[-1].trees_)
    return other


def test_trees_that_are_not_as_scikit_learn_made_them_so_far_are_refused(poor):
    pipeline, _ = poor

    def lose_the_bitsets(of):
        for (predictor,) in of._predictors:
            del predictor.raw_left_cat_bitsets

    with pytest.raises(NotCompiled, match="raw_left_cat_bitsets"):
        compile_pipeline(changed(pipeline, lose_the_bitsets))
    with pytest.raises(NotCompiled, match="expected one of model"):
        compile_pipeline(Pipeline([("encode", pipeline[0]), ("regress", pipeline[-1].trees_)]))


def test_other_predictions_than_those_of_scikit_learn_are_refused(poor, monkeypatch):
    pipeline, _ = poor
    regressor = type(pipeline[-1])
    honest = regressor.predict
    monkeypatch.setattr(regressor, "predict", lambda self, matrix: honest(self, matrix) + 1e-5)

    with pytest.raises(NotCompiled, match="found others, by up to 1e-05"):
        compile_pipeline(pipeline)


def test_trees_of_more_leaves_than_there_are_bits_are_refused(poor, monkeypatch):
    pipeline, _ = poor
    monkeypatch.setattr(compiled_trees, "MAX_LEAVES", 8)
    compile_pipeline(pipeline)
    monkeypatch.setattr(compiled_trees, "MAX_LEAVES", 7)

    with pytest.raises(NotCompiled, match="at most 7 leaves and 255 codes, found 8"):
        compile_pipeline(pipeline)


def test_large_trees_are_predicted_bit_for_bit(rich):
    _, frame = rich
    target = 18 + np.random.default_rng(0).standard_normal(len(frame))
    config = ModelConfig(iterations=5, leaves=MAX_LEAVES, rows_in_leaf=1, l2=0.0)
    pipeline = build_pipeline(config, week_number(CUTOFF_OF_RICH)).fit(frame, target)

    assert max(one.get_n_leaf_nodes() for (one,) in pipeline[-1].trees_._predictors) > MAX_LEAVES / 2
    np.testing.assert_array_equal(compile_pipeline(pipeline).predict(frame), pipeline.predict(frame))
