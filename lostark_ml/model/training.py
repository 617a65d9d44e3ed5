"""Training: from a frame and a cutoff to a fitted model that predicts with an interval, or refuses.

The same rows, cutoff and configuration give a bit-identical model, whatever the order of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from lostark_assets.contracts.ml import UNKNOWN
from lostark_assets.errors import PermanentError
from lostark_assets.stats.weeks import WEEK_US
from lostark_ml.features.training_set import model_input
from lostark_ml.model.compiled_trees import CompiledPipeline, compile_pipeline
from lostark_ml.model.context_parts import Typical, measure_typical
from lostark_ml.model.gap_parts import GapModel, fit_gap
from lostark_ml.model.intervals import Intervals, calibrate
from lostark_ml.model.regressor import ModelConfig, build_pipeline

WEEK = timedelta(weeks=1)
REFUSALS = {
    "gate_unknown": ("raid_name", "gate_name"),
    "difficulty_unknown": ("gate_difficulty",),
    "class_unknown": ("class_name",),
    "spec_unknown": ("spec_name",),
}
"""Reason, and the columns whose values together training never saw; the first reason that holds."""
RANGES = ("item_level", "combat_power")
OUTSIDE = {name: f"{name}_outside_training" for name in RANGES}
BEFORE_TRAINING = "before_training"
_FORECAST = ["encounter_id", "player_name", "gate_difficulty", "spec_name"]


class TooFewRows(PermanentError):
    """There is not enough to train on."""


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained; ``model`` says what it is."""

    model: ModelConfig = field(default_factory=ModelConfig)
    fewest_rows: int = 1000  # saved in model files under this name
    calibration_weeks: int = 2
    calibration_rows: int = 60_000
    interval_level: float = 0.9


@dataclass(frozen=True)
class Domain:
    """What training saw: outside of it the model refuses."""

    known: dict[str, list[str]]
    ranges: dict[str, tuple[float, float]]
    first_week: float

    def refusals(self, frame: pd.DataFrame) -> pd.Series:
        """The reason why a row gets no prediction; null where it gets one. An unknown number is no reason."""
        reason = pd.Series(pd.NA, index=frame.index, dtype="str")
        for name, columns in REFUSALS.items():
            reason = reason.where(reason.notna() | _join_columns(frame, columns).isin(self.known[name]), name)
        for column, (low, high) in self.ranges.items():
            is_outside = (frame[column] < low) | (frame[column] > high)
            reason = reason.where(reason.notna() | ~is_outside, OUTSIDE[column])
        return reason.where(reason.notna() | (frame["fought_at_week"] >= self.first_week), BEFORE_TRAINING)


@dataclass(frozen=True)
class FittedModel:
    """A trained pipeline with its intervals, its domain, and what explains it; it never changes."""

    pipeline: Pipeline
    intervals: Intervals
    domain: Domain
    cutoff: datetime
    trained_rows: int
    trained_fights: int
    config: TrainingConfig
    gap: GapModel = field(default_factory=GapModel)
    typical: Typical = field(default_factory=Typical)

    @cached_property
    def compiled(self) -> CompiledPipeline:
        """The pipeline, with the same numbers and fast.

        Raises:
            NotCompiled: it can't be compiled.
        """
        return compile_pipeline(self.pipeline)

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """``expected_log_dps``, ``expected_dps`` with ``_low`` and ``_high``, ``refusal_reason``, by row."""
        reason = self.domain.refusals(frame)
        answered = reason.isna().to_numpy()
        expected, low, high = (np.full(len(frame), np.nan) for _ in range(3))
        if answered.any():
            rows = frame[answered]
            expected[answered] = self.compiled.predict(model_input(rows))
            low[answered], high[answered] = self.intervals.around(expected[answered], rows["spec_name"])
        return pd.DataFrame(
            {
                "expected_log_dps": expected,
                "expected_dps": np.exp(expected),
                "expected_dps_low": np.exp(low),
                "expected_dps_high": np.exp(high),
                "refusal_reason": reason,
            },
            index=frame.index,
        )


def fit(
    frame: pd.DataFrame,
    cutoff: datetime,
    config: TrainingConfig | None = None,
    *,
    execution: pd.DataFrame | None = None,
) -> FittedModel:
    """Train on the fights before ``cutoff`` (best a weekly reset); later rows are not used.

    Args:
        frame: rows of ``ml_training_set``; those with an exclusion_reason are left out here.
        cutoff: UTC instant; whole fights stand on one side of it.
        config: how.
        execution: rows of ``stats_player_dps`` with ``gap.EXECUTION``, to learn what explains errors of
            forecasts; without them gaps stay unexplained.

    Raises:
        TooFewRows: fewer rows than ``config.fewest_rows``, or too few weeks to calibrate on.
    """
    config = config or TrainingConfig()
    rows = select_training_rows(frame, cutoff)
    if len(rows) < config.fewest_rows:
        raise TooFewRows(
            f"expected at least {config.fewest_rows} rows before {cutoff:%Y-%m-%d %H:%M}, found {len(rows)}. "
            "No model was trained. Collect more fights, or choose a later cutoff."
        )
    forecasts = _forecast_newest_weeks(rows, cutoff, config)
    return FittedModel(
        pipeline=fit_pipeline(rows, cutoff, config),
        intervals=calibrate(forecasts["error"].to_numpy(), forecasts["spec_name"], config.interval_level),
        domain=_measure_domain(rows),
        cutoff=cutoff,
        trained_rows=len(rows),
        trained_fights=rows["fight_id"].nunique(),
        config=config,
        gap=GapModel() if execution is None else fit_gap(forecasts, rows[_FORECAST], execution),
        typical=measure_typical(rows, cutoff),
    )


def select_training_rows(frame: pd.DataFrame, cutoff: datetime) -> pd.DataFrame:
    """The population before ``cutoff``, in an order that does not depend on the frame's.

    A fight is known by its earliest log: no fight stands on both sides.
    """
    rows = frame[frame["exclusion_reason"].isna() & (frame["fight_started_at"] < cutoff)]
    return rows.sort_values(["fight_started_at", "encounter_id", "player_name"], ignore_index=True)


def week_number(moment: datetime) -> float:
    """Weeks from 1970, as in ``fought_at_week``."""
    return moment.timestamp() * 1e6 / WEEK_US


def fit_pipeline(rows: pd.DataFrame, cutoff: datetime, config: TrainingConfig) -> Pipeline:
    """The pipeline alone, on rows that ``select_training_rows`` gave."""
    pipeline = build_pipeline(config.model, week_number(cutoff))
    return pipeline.fit(model_input(rows), rows["log_dps"].to_numpy())


def _forecast_newest_weeks(rows: pd.DataFrame, cutoff: datetime, config: TrainingConfig) -> pd.DataFrame:
    """Errors (true minus expected log DPS) of the newest weeks, each by a model of the rows before it."""
    found = []
    for back in range(1, config.calibration_weeks + 1):
        start = cutoff - back * WEEK
        is_before = (rows["fight_started_at"] < start).to_numpy()
        is_in = ~is_before & (rows["fight_started_at"] < start + WEEK).to_numpy()
        before = rows[is_before].tail(config.calibration_rows)
        if len(before) < config.fewest_rows or not is_in.any():
            continue
        later = rows[is_in]
        expected = fit_pipeline(before, start, config).predict(model_input(later))
        found.append(later[_FORECAST].assign(error=later["log_dps"].to_numpy() - expected))
    if not found or sum(map(len, found)) < config.fewest_rows / 10:
        raise TooFewRows(
            f"expected a week of fights before {cutoff:%Y-%m-%d %H:%M} to calibrate on, with at least "
            f"{config.fewest_rows} rows before it. No model was trained. Collect more fights."
        )
    return pd.concat(found, ignore_index=True)


def _measure_domain(rows: pd.DataFrame) -> Domain:
    ranges = {
        name: (float(rows[name].min()), float(rows[name].max()))
        for name in RANGES
        if rows[name].notna().any()
    }
    known = {
        name: sorted(set(_join_columns(rows[list(columns)].drop_duplicates(), columns)) - {UNKNOWN})
        for name, columns in REFUSALS.items()
    }
    return Domain(known, ranges, float(rows["fought_at_week"].min()))


def _join_columns(frame: pd.DataFrame, columns: tuple[str, ...]) -> pd.Series:
    """The columns as one text; null where one is."""
    joined = frame[columns[0]].astype("str")
    for column in columns[1:]:
        joined = joined + " " + frame[column].astype("str")
    return joined
