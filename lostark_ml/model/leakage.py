"""Leakage tests: a model must not learn where there is nothing to learn. Pure.

The DPS of players is shuffled within spec, gate and week *before* features are built: the R² within those
cells must be about 0, unless a feature contains the fight's own DPS. And a random id for each character
must not help.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from lostark_ml.features.training_set import build_features, model_input
from lostark_ml.model.training import TrainingConfig, fit_pipeline, select_training_rows

CELL = ["gate_difficulty", "spec_name", "week_started_at"]
_RAW_CELL = ["raid_name", "gate_name", "difficulty", "spec_name", "week_started_at", "is_dead"]
MAX_SHUFFLED_R2 = 0.02
MAX_ID_GAIN = 0.003
CONFIDENCE, DRAWS = 0.99, 1000


@dataclass(frozen=True)
class LeakageReport:
    """``shuffled_r2``: of shuffled log DPS inside its cells; ``id_gain``: MAPE won by a random id.

    Both are lower bounds, in 99 % of resamples of fights: on few fights chance gains a little.
    """

    shuffled_r2: float
    id_gain: float

    @property
    def is_clean(self) -> bool:
        """Nothing was learnt where there is nothing to learn."""
        return self.shuffled_r2 <= MAX_SHUFFLED_R2 and self.id_gain <= MAX_ID_GAIN


def measure_leakage(
    players: pd.DataFrame,
    cutoff: datetime,
    until: datetime,
    config: TrainingConfig | None = None,
    *,
    build: Callable[[pd.DataFrame], pd.DataFrame] = build_features,
) -> LeakageReport:
    """Both tests on ``players`` as ``features.read_players`` gives them, trained before ``cutoff``."""
    config = config or TrainingConfig()
    shuffled = build(shuffle_dps(players, config.model.seed))
    return LeakageReport(
        shuffled_r2=_measure_shuffled_r2(shuffled, cutoff, until, config),
        id_gain=measure_random_id_gain(build(players), cutoff, until, config),
    )


def shuffle_dps(players: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The same players with the DPS permuted inside gate, difficulty, spec, week, and dead or not."""
    random = np.random.default_rng(seed).random(len(players))
    cell = players.groupby(_RAW_CELL, sort=False, dropna=False).ngroup().to_numpy()
    dps = players["dps"].to_numpy()
    mixed = np.empty_like(dps)
    mixed[np.argsort(cell, kind="stable")] = dps[np.lexsort((random, cell))]
    return players.assign(dps=mixed)


def measure_random_id_gain(
    frame: pd.DataFrame, cutoff: datetime, until: datetime, config: TrainingConfig
) -> float:
    """Lower bound of the MAPE gained with a random number for each character in place of its history.

    Where characters return often an id encodes how good each is; their earlier fights do so too, and
    a gain beyond those is a leak. Anonymous players get none: they name no character, and exports number them
    by damage ("Reaper #4" came fourth), so that an id of such a name *is* a leak, of 3.4 points on the real
    table. No feature reads it.
    """
    names = frame["player_name"].unique()
    ids = pd.Series(np.random.default_rng(config.model.seed).random(len(names)), index=names)
    is_character = frame["history_fights"].notna()
    with_id = frame.assign(history_residual=frame["player_name"].map(ids).astype(float).where(is_character))
    without, with_one = (_forecast(one, cutoff, until, config) for one in (frame, with_id))
    # The same rows in the same order: only one column differs.
    gain = np.abs(np.expm1(without.error)) - np.abs(np.expm1(with_one.error))
    return _lower_bound(gain, np.ones(len(gain)), without.fight)


def _measure_shuffled_r2(
    frame: pd.DataFrame, cutoff: datetime, until: datetime, config: TrainingConfig
) -> float:
    """Lower bound of the R² of log DPS inside cells."""
    found = _forecast(frame, cutoff, until, config)
    true = found.true - found.true.groupby(found.cells).transform("mean")
    expected = (found.true + found.error).groupby(found.cells).transform(lambda one: one - one.mean())
    explained = true**2 - (expected - true) ** 2
    return _lower_bound(explained.to_numpy(), (true**2).to_numpy(), found.fight)


@dataclass(frozen=True)
class _Forecast:
    """Rows of the test: true log DPS, expected minus true, the cell, and codes of fights."""

    true: pd.Series
    error: pd.Series
    cells: list[pd.Series]
    fight: np.ndarray


def _forecast(frame: pd.DataFrame, cutoff: datetime, until: datetime, config: TrainingConfig) -> _Forecast:
    """What a model trained before ``cutoff`` says of the rows up to ``until``."""
    pipeline = fit_pipeline(select_training_rows(frame, cutoff), cutoff, config)
    test = select_training_rows(frame, until)
    test = test[test["fight_started_at"] >= cutoff]
    error = pd.Series(pipeline.predict(model_input(test)), index=test.index) - test["log_dps"]
    return _Forecast(test["log_dps"], error, [test[name] for name in CELL], pd.factorize(test["fight_id"])[0])


def _lower_bound(part: np.ndarray, whole: np.ndarray, fight: np.ndarray) -> float:
    """The ratio of two sums that 99 % of resamples of fights stay above; NaN without rows."""
    if not len(part):
        return np.nan
    sums = np.vstack([np.bincount(fight, np.asarray(one, float)) for one in (part, whole)])
    drawn = sums @ np.random.default_rng(0).poisson(1.0, (sums.shape[1], DRAWS))
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.nanquantile(drawn[0] / drawn[1], 1 - CONFIDENCE))
