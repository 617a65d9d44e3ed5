"""Baselines that a model must beat: a constant, a recent median, and a ridge regression.

Each has ``fit(frame, cutoff)`` and ``predict(frame)`` in log DPS, on rows of ``ml_training_set``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol, Self

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from lostark_ml.features.columns import CATEGORY_FEATURES, MODEL_FEATURES, NUMBER_FEATURES, TIME_FEATURE

RECENT = timedelta(weeks=4)
CELL = ["gate_difficulty", "spec_name"]


class Baseline(Protocol):
    """The interface of a baseline."""

    name: str

    def fit(self, frame: pd.DataFrame, cutoff: datetime) -> Self:
        """Learn from rows before ``cutoff``."""
        ...

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Expected log DPS."""
        ...


class Constant:
    """The median of everything before."""

    name = "constant"

    def fit(self, frame: pd.DataFrame, cutoff: datetime) -> Self:
        """Keep the median of all rows before ``cutoff``."""
        self._median = float(frame.loc[frame["fight_started_at"] < cutoff, "log_dps"].median())
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """The same value for all rows."""
        return np.full(len(frame), self._median)


class RecentMedian:
    """The median of (gate, difficulty, spec) over the last four weeks; of all recent rows where none is."""

    name = "four-week median"

    def fit(self, frame: pd.DataFrame, cutoff: datetime) -> Self:
        """Keep the medians of the four weeks before ``cutoff``."""
        at = frame["fight_started_at"]
        recent = frame[(at < cutoff) & (at >= cutoff - RECENT)]
        self._medians = recent.groupby(CELL)["log_dps"].median().rename("median")
        self._median = float(recent["log_dps"].median())
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """The median of each row's cell."""
        return frame[CELL].join(self._medians, on=CELL)["median"].fillna(self._median).to_numpy(float)


class RidgeOnLog:
    """Ridge regression on log DPS over the model's own features, with time as a line."""

    name = "ridge"

    def fit(self, frame: pd.DataFrame, cutoff: datetime) -> Self:
        """Fit on all rows before ``cutoff``."""
        rows = frame[frame["fight_started_at"] < cutoff]
        self._pipeline = _ridge().fit(rows[MODEL_FEATURES], rows["log_dps"])
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """The line, continued."""
        return self._pipeline.predict(frame[MODEL_FEATURES])


def build_baselines() -> list[Baseline]:
    """One of each, unfitted."""
    return [Constant(), RecentMedian(), RidgeOnLog()]


def _ridge() -> Pipeline:
    numbers = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True, add_indicator=False), StandardScaler()
    )
    return make_pipeline(
        ColumnTransformer(
            [
                ("categories", OneHotEncoder(handle_unknown="ignore"), CATEGORY_FEATURES),
                ("numbers", numbers, [*NUMBER_FEATURES, TIME_FEATURE]),
            ]
        ),
        Ridge(alpha=1.0),
    )
