"""The regressor: one scikit-learn Pipeline from feature columns to expected log DPS.

Categories are encoded natively, missing values stay missing, and the trees are fitted to the residuals of
the season level and the additive effects. Squared error only: with a quantile or absolute-error loss
scikit-learn silently breaks monotonic constraints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from lostark_ml.features.columns import (
    CATEGORY_FEATURES,
    INCREASING,
    MODEL_FEATURES,
    NUMBER_FEATURES,
    TIME_FEATURE,
)
from lostark_ml.model.season import item_level_terms, measure_season

_AT = {name: place for place, name in enumerate(MODEL_FEATURES)}
ADDITIVE_FEATURES = ("gate_difficulty", "spec_name", "support_seat_flag", TIME_FEATURE)
"""What the season's level and the additive effects are read from; the trees see the others too."""
_TREE_NUMBERS = [_AT[name] for name in NUMBER_FEATURES]
_WEEKDAYS = 7
MAX_BINS = 254
ROWS_FOR_BINS = 200_000
ROWS_FOR_SEASON = 200_000
"""Bins, levels and effects of that many rows are known well enough; of more, so many are drawn."""
HOURS_A_DAY = 24


@dataclass(frozen=True)
class ModelConfig:
    """Everything that can be chosen; the defaults were found on weeks before 2024-12-25 only."""

    iterations: int = 300
    learning_rate: float = 0.05
    leaves: int = 20
    rows_in_leaf: int = 20
    l2: float = 5.0
    half_life_weeks: float = 1.5
    damping: float = 0.5
    seed: int = 0


class SeasonRegressor(RegressorMixin, BaseEstimator):
    """The season's level and additive effects, and boosted trees on what they leave over.

    Its input is the encoded matrix in the order of ``MODEL_FEATURES``.
    """

    def __init__(
        self,
        *,
        cutoff_week: float = 0.0,
        half_life_weeks: float = 1.5,
        damping: float = 0.5,
        trees: HistGradientBoostingRegressor | None = None,
    ) -> None:
        self.cutoff_week = cutoff_week
        self.half_life_weeks = half_life_weeks
        self.damping = damping
        self.trees = trees

    def fit(self, X: np.ndarray, y: np.ndarray) -> SeasonRegressor:  # noqa: N803 - scikit-learn's name
        """Measure the season, then grow the trees on the rest; newer rows weigh more."""
        matrix, rest, weight = self.prepare(X, y)
        self.trees_ = clone(self.trees).fit(matrix, rest, sample_weight=weight)
        return self

    def prepare(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # noqa: N803
        """Measure the season and the bins; what the trees are then grown on: matrix, target, weights."""
        matrix, target = np.asarray(X, float), np.asarray(y, float)
        week = matrix[:, _AT[TIME_FEATURE]]
        some = _sample_rows(len(matrix), ROWS_FOR_SEASON)
        self.season_ = measure_season(
            week[some],
            target[some],
            _code(matrix[some], "gate_difficulty"),
            _effect_codes(matrix[some]),
            _adjustments(matrix[some]),
            cutoff_week=self.cutoff_week,
            damping=self.damping,
        )
        self.edges_ = [bin_edges(matrix[:, place]) for place in _TREE_NUMBERS]
        self.n_features_in_ = matrix.shape[1]
        age = np.floor(np.maximum(self.cutoff_week - week, 0.0))
        return (
            self._tree_input(matrix),
            target - self.additive(matrix),
            0.5 ** (age / self.half_life_weeks),
        )

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803 - scikit-learn's name
        """Expected log DPS."""
        matrix = np.asarray(X, float)
        return self.trees_.predict(self._tree_input(matrix)) + self.additive(matrix)

    def _tree_input(self, matrix: np.ndarray) -> np.ndarray:
        """All but the time, numbers as the number of the bin that they fall into; missing stays missing.

        Scikit-learn bins automatically, but with weights it sorts every column 255 times. And it fails on a
        column without any value: that becomes a constant here, nothing to split on.
        """
        binned = matrix[:, : _AT[TIME_FEATURE]].copy()
        for place, edges in zip(_TREE_NUMBERS, self.edges_, strict=True):
            column = binned[:, place]
            codes = np.searchsorted(edges, column, side="right").astype(float)
            binned[:, place] = np.where(np.isnan(column) & (len(edges) > 0), np.nan, codes)
        return binned

    def additive(self, matrix: np.ndarray) -> np.ndarray:
        """The part of the prediction that is not the trees': the season's level and the effects."""
        level = self.season_.at(matrix[:, _AT[TIME_FEATURE]], _code(matrix, "gate_difficulty"))
        return level + self.season_.of_effects(_effect_codes(matrix))


def build_pipeline(config: ModelConfig, cutoff_week: float) -> Pipeline:
    """The unfitted pipeline of a model that is trained on fights before ``cutoff_week`` (weeks from 1970)."""
    encode = ColumnTransformer(
        [
            (
                "categories",
                OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
                CATEGORY_FEATURES,
            ),
            ("numbers", "passthrough", [*NUMBER_FEATURES, TIME_FEATURE]),
        ],
        verbose_feature_names_out=False,
    )
    trees = HistGradientBoostingRegressor(
        loss="squared_error",
        max_iter=config.iterations,
        learning_rate=config.learning_rate,
        max_leaf_nodes=config.leaves,
        min_samples_leaf=config.rows_in_leaf,
        l2_regularization=config.l2,
        categorical_features=[_AT[name] for name in CATEGORY_FEATURES],
        monotonic_cst=[int(name in INCREASING) for name in MODEL_FEATURES[: _AT[TIME_FEATURE]]],
        early_stopping=False,
        random_state=config.seed,
    )
    regressor = SeasonRegressor(
        cutoff_week=cutoff_week,
        half_life_weeks=config.half_life_weeks,
        damping=config.damping,
        trees=trees,
    )
    return Pipeline([("encode", encode), ("regress", regressor)])


def _sample_rows(rows: int, most: int) -> slice | np.ndarray:
    """All rows, or ``most`` of them, always the same; not every n-th, since a fight is ordered by name."""
    if rows <= most:
        return slice(None)
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def bin_edges(column: np.ndarray) -> np.ndarray:
    """Where the bins of a number begin: midpoints of its values, or quantiles where there are many."""
    known = np.unique(column[np.isfinite(column)])
    if len(known) <= MAX_BINS:
        return (known[1:] + known[:-1]) / 2 if len(known) > 1 else known
    sample = column[_sample_rows(len(column), ROWS_FOR_BINS)]
    ranks = np.linspace(0, 1, MAX_BINS + 1)[1:-1]
    return np.unique(np.quantile(sample[np.isfinite(sample)], ranks, method="averaged_inverted_cdf"))


def _code(matrix: np.ndarray, name: str) -> np.ndarray:
    """A category's code; -1 for one that training never saw."""
    return np.nan_to_num(matrix[:, _AT[name]], nan=-1.0).astype(np.int64)


def _effect_codes(matrix: np.ndarray) -> list[np.ndarray]:
    """Codes of gate, of spec, and of spec with its seat: a Bard of a dealer spec who has to support."""
    spec = _code(matrix, "spec_name")
    seat = matrix[:, _AT["support_seat_flag"]] > 0
    return [_code(matrix, "gate_difficulty"), spec, np.where(seat, np.maximum(spec, 0) + 1, 0)]


def _adjustments(matrix: np.ndarray) -> np.ndarray:
    day = np.floor(matrix[:, _AT["hours_since_reset"]] / HOURS_A_DAY)
    days = [(day == n).astype(float) for n in range(1, _WEEKDAYS)]
    return np.column_stack(
        [*days, matrix[:, _AT["uploader_flag"]], item_level_terms(matrix[:, _AT["item_level"]])]
    )
