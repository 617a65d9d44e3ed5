"""Pictures are drawn from the figures that they show, and Korean renders in them."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from lostark_ml.features.columns import MODEL_FEATURES, TIME_FEATURE
from lostark_ml.model.charts import (
    as_png,
    calibration,
    draw_all,
    importance_by_group,
    interval_width,
    residuals_by,
)
from lostark_ml.model.evaluation import evaluate
from lostark_ml.model.importance import GROUPS, MAX_ROWS, measure_importance
from lostark_ml.model.training import fit
from tests.pure.ml.season_factory import CUTOFF, SMALL

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def model(season_frame):
    return fit(season_frame, CUTOFF, SMALL)


@pytest.fixture(scope="module")
def evaluation(season_frame, model):
    return evaluate(model, season_frame, CUTOFF + timedelta(weeks=1))


@pytest.fixture(scope="module")
def importance(model, evaluation):
    return measure_importance(model, evaluation.predictions, repeats=2)


def get_data(chart, place=0):
    """The rows of one of the chart's data sets, by the order in which layers name them."""
    spec = chart.to_dict()
    layers = spec.get("layer", [spec])
    names = list(dict.fromkeys(layer.get("data", spec.get("data"))["name"] for layer in layers))
    return pd.DataFrame(spec["datasets"][names[place]])


def test_every_feature_but_time_is_in_one_group():
    grouped = [name for names in GROUPS.values() for name in names]

    assert sorted([*grouped, TIME_FEATURE]) == sorted(MODEL_FEATURES)


def test_what_moves_the_dps_matters_and_what_does_not_is_near_none(importance):
    lost = importance.set_index("group")["mape_lost"]

    assert lost.index[0] in ("spec · 직업 각인", "item level · 아이템 레벨", "history · 이전 전투")
    assert lost["item level · 아이템 레벨"] > 0.01
    assert lost["combat power · 전투력"] == lost["gate · 관문"] == 0
    assert abs(lost["moment of the week · 시간"]) < 0.01
    assert importance["mape_lost"].is_monotonic_decreasing


def test_the_same_seed_gives_the_same_importance_and_many_rows_are_drawn_from(model, evaluation):
    rows = evaluation.predictions
    many = pd.concat([rows] * (MAX_ROWS // len(rows) + 2), ignore_index=True)
    first, again, other = (measure_importance(model, many, repeats=1, seed=seed) for seed in (1, 1, 2))

    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


def test_calibration_shows_the_true_median_of_each_tenth():
    expected = np.arange(1.0, 101.0) * 1e6
    chart = calibration(pd.DataFrame({"expected_dps": expected, "dps": 2 * expected}))
    table = get_data(chart, 1)

    assert len(table) == 10
    assert table["expected"].tolist() == [5.5 + 10 * n for n in range(10)]
    assert (table["median"] == 2 * table["expected"]).all()
    assert chart.to_dict()["title"] == "Calibration · 보정"


def test_residuals_put_the_worst_value_first_and_leave_rare_ones_out():
    rows = pd.DataFrame(
        {
            "expected_dps": 100.0,
            "dps": [120] * 10 + [101] * 20 + [50] * 9,
            "spec_name": ["Surge"] * 10 + ["Igniter"] * 20 + ["Reflux"] * 9,
        }
    )
    table = get_data(residuals_by(rows, "spec_name"), 1)

    assert table["label"].tolist() == ["Surge · 버스트 (10)", "Igniter · 점화 (20)"]
    assert table["p50"].tolist() == pytest.approx([20, 1])


def test_interval_width_is_of_each_spec_with_its_share_inside():
    rows = pd.DataFrame({"spec_name": ["Surge"] * 10, "dps": [100] * 9 + [999], "expected_dps": 100.0})
    table = get_data(interval_width(rows.assign(expected_dps_low=70.0, expected_dps_high=150.0)))

    assert (table["width"].tolist(), table["inside"].tolist()) == ([80], [90])


def test_every_chart_is_a_png_of_readable_size(evaluation, importance):
    charts = draw_all(evaluation, importance)

    assert sorted(charts) == [
        "calibration.png",
        "importance.png",
        "interval_width.png",
        "residuals_by_gate.png",
        "residuals_by_item_level.png",
        "residuals_by_spec.png",
    ]
    for name, chart in charts.items():
        assert chart.startswith(PNG), name
        assert 5_000 < len(chart) < 500_000, name
        assert int.from_bytes(chart[16:20]) > 600, name


def test_no_rows_draw_empty_charts(model, evaluation, importance):
    assert measure_importance(model, evaluation.predictions.head(0)).empty
    empty = evaluation.predictions.head(0)

    for chart in (
        calibration(empty),
        residuals_by(empty, "spec_name"),
        interval_width(empty),
        importance_by_group(importance.head(0)),
    ):
        assert as_png(chart).startswith(PNG)
        assert json.loads(chart.to_json())["title"]
