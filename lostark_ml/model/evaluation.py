"""Evaluation of a model on later fights: metrics overall and by slice, next to the baselines.

The test set is the week after a cutoff at a weekly reset, so that no fight and no later information is on
both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from lostark_ml.model.baselines import build_baselines
from lostark_ml.model.training import WEEK, FittedModel, TrainingConfig, fit

SLICES = ("gate_difficulty", "spec_name", "item_level_bracket", "uploader", "character")
MODEL = "model"


@dataclass(frozen=True)
class Metrics:
    """Errors of predictions. Fractions of the true DPS, except ``mae`` (damage/s) and logs."""

    rows: int
    fights: int
    mape: float
    median_ape: float
    mae: float
    r2_log: float
    bias_log: float
    coverage: float = np.nan
    width: float = np.nan


@dataclass(frozen=True)
class Evaluation:
    """One model and its baselines on one test: metrics by who predicted, and of the model by slice."""

    cutoff: datetime
    until: datetime
    overall: Mapping[str, Metrics]
    slices: pd.DataFrame
    refused: Mapping[str, int]
    predictions: pd.DataFrame

    @property
    def model(self) -> Metrics:
        """The model's own, overall."""
        return self.overall[MODEL]


def measure(true_log: np.ndarray, expected_log: np.ndarray, fights: pd.Series) -> Metrics:
    """Metrics of predictions without intervals; all NaN where there are no rows."""
    rows = len(true_log)
    if not rows:
        return Metrics(0, 0, *([np.nan] * 5))
    true, error = np.exp(true_log), expected_log - true_log
    ape = np.abs(np.expm1(error))
    spread = float(((true_log - true_log.mean()) ** 2).sum())
    return Metrics(
        rows=rows,
        fights=int(fights.nunique()),
        mape=float(ape.mean()),
        median_ape=float(np.median(ape)),
        mae=float((ape * true).mean()),
        r2_log=float(1 - (error**2).sum() / spread) if spread > 0 else np.nan,
        bias_log=float(error.mean()),
    )


def measure_predictions(rows: pd.DataFrame) -> Metrics:
    """Metrics of rows that have ``log_dps`` and the columns of ``FittedModel.predict``."""
    plain = measure(rows["log_dps"].to_numpy(), rows["expected_log_dps"].to_numpy(), rows["fight_id"])
    if not plain.rows:
        return plain
    dps = np.exp(rows["log_dps"])
    inside = (dps >= rows["expected_dps_low"]) & (dps <= rows["expected_dps_high"])
    width = (rows["expected_dps_high"] - rows["expected_dps_low"]) / rows["expected_dps"]
    values = {**vars(plain), "coverage": float(inside.mean()), "width": float(width.mean())}
    return Metrics(**values)


def evaluate(
    model: FittedModel, frame: pd.DataFrame, until: datetime, *, slices: Sequence[str] = SLICES
) -> Evaluation:
    """Score ``model`` and the baselines on the population from the model's cutoff to ``until``.

    Baselines learn from the same rows before the cutoff, and all are scored on the rows that the model
    answers; what it refuses is counted.
    """
    population = frame[frame["exclusion_reason"].isna()]
    at = population["fight_started_at"]
    test = population[(at >= model.cutoff) & (at < until)]
    predicted = model.predict(test)
    counts = predicted["refusal_reason"].dropna().value_counts()
    refused = {str(reason): int(n) for reason, n in counts.items()}
    rows = _with_slices(test.join(predicted))[predicted["refusal_reason"].isna().to_numpy()]
    overall = {MODEL: measure_predictions(rows)}
    for baseline in build_baselines():
        expected = baseline.fit(population, model.cutoff).predict(rows)
        overall[baseline.name] = measure(rows["log_dps"].to_numpy(), expected, rows["fight_id"])
    return Evaluation(model.cutoff, until, overall, _measure_slices(rows, slices), refused, rows)


def measure_by_slice(
    model: FittedModel, rows: pd.DataFrame, slices: Sequence[str] = SLICES
) -> tuple[Metrics, pd.DataFrame]:
    """Metrics of ``model`` on ``rows`` of the population that it answers: overall, and by slice."""
    predicted = model.predict(rows)
    answered = _with_slices(rows.join(predicted))[predicted["refusal_reason"].isna().to_numpy()]
    return measure_predictions(answered), _measure_slices(answered, slices)


def walk_forward(
    frame: pd.DataFrame, resets: Iterable[datetime], config: TrainingConfig | None = None
) -> list[Evaluation]:
    """Retrain at each weekly reset and test on the week after it."""
    return [evaluate(fit(frame, reset, config), frame, reset + WEEK) for reset in resets]


def list_weekly_resets(first: datetime, last: datetime) -> list[datetime]:
    """``first`` and every seventh day after it up to ``last``."""
    weeks = (last - first) // timedelta(weeks=1)
    return [first + n * WEEK for n in range(weeks + 1)]


def _with_slices(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns that slices need: who uploaded, and whether the character has a history."""
    history = rows["history_fights"].to_numpy()
    return rows.assign(
        uploader=rows["is_uploader"].map({True: "uploader", False: "other"}).fillna("unknown"),
        character=np.select([history > 0, history == 0], ["known", "new"], default="no name"),
    )


def _measure_slices(rows: pd.DataFrame, slices: Sequence[str]) -> pd.DataFrame:
    """One row a value of each slice, the largest first."""
    found = [
        {"slice": name, "value": value, **vars(measure_predictions(part))}
        for name in slices
        for value, part in rows.groupby(name, dropna=False)
    ]
    table = pd.DataFrame(found, columns=["slice", "value", *Metrics.__dataclass_fields__])
    order = {name: place for place, name in enumerate(slices)}
    return table.sort_values(
        ["slice", "rows"], ascending=[True, False], key=lambda c: c.map(order) if c.name == "slice" else c
    ).reset_index(drop=True)
