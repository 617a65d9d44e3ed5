"""Drift: did the damage of a spec on a gate change against its expectation, beyond chance? Pure.

Means of fights are tested, not rows: eight players of a raid are not independent. A cell's change is
measured against the change that all cells share, since an error of the model's level moves them together.
It must exceed a minimum effect and be significant for all cells at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

CELL = ["spec_name", "gate_difficulty"]
COLUMNS = ["week_started_at", "fight_id", *CELL, "residual_log"]
_MEDIAN_SE = 1.2533
"""Standard error of a median in standard errors of a mean."""


@dataclass(frozen=True)
class DriftPolicy:
    """What counts as drift. Changes are shares of DPS.

    ``usual_change`` is what cells move by from week to week for no reason: only what exceeds it is tested.
    ``false_alarms`` is the share of weeks without drift in which any cell may be named.
    """

    reference_weeks: int = 4
    min_fights: int = 10
    min_cells: int = 5
    smallest_change: float = 0.05
    usual_change: float = 0.02
    false_alarms: float = 0.05


@dataclass(frozen=True)
class Change:
    """A change of log DPS against the reference, with the fights on both sides.

    ``p_value`` is by chance, for all cells tested together. ``is_drifting`` is None where nothing was tested.
    """

    log: float
    p_value: float
    fights: int
    reference_fights: int
    is_drifting: bool | None

    @property
    def share(self) -> float:
        """The change as a share of DPS: -0.129 is 12.9 % less."""
        return float(np.expm1(self.log))


@dataclass(frozen=True)
class Drift:
    """Drift of one week: what all cells share, and of each (spec, gate) what it did beyond that."""

    overall: Change
    cells: dict[tuple[str, str], Change]


def measure_drift(rows: pd.DataFrame, week: datetime, policy: DriftPolicy | None = None) -> Drift:
    """Compare the week that began at ``week`` with the weeks before it.

    Args:
        rows: week_started_at, fight_id, spec_name, gate_difficulty and residual_log (true minus expected log
            DPS), one row a player; any weeks.
        week: the week to judge.
        policy: limits.
    """
    policy = policy or DriftPolicy()
    at = rows["week_started_at"]
    first = week - timedelta(weeks=policy.reference_weeks)
    now, before = rows[at == week], rows[(at >= first) & (at < week)]
    cells = _summarise_fights(now, CELL).join(
        _summarise_fights(before, CELL).add_suffix("_before"), how="left"
    )
    cells[["n_before"]] = cells[["n_before"]].fillna(0)
    is_tested = (cells["n"] >= policy.min_fights) & (cells["n_before"] >= policy.min_fights)
    tested = _with_change(cells[is_tested])
    if len(tested) < policy.min_cells:
        # With few cells a cell's change can't be separated from the change of the level.
        tested = tested.iloc[:0]
    common, common_se = _measure_common_change(tested)
    found = {key: _untested(row) for key, row in zip(cells.index, cells.to_dict("records"), strict=True)}
    found |= _judge_cells(tested, common, common_se, policy)
    return Drift(_judge_overall(now, before, common, common_se, policy), found)


def _summarise_fights(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Number, mean and variance of fights' mean residuals, by ``keys``."""
    means = rows.groupby([*keys, "fight_id"], observed=True)["residual_log"].mean()
    return pd.DataFrame(means.groupby(level=keys).agg(n="size", mean="mean", variance="var"))


def _with_change(cells: pd.DataFrame) -> pd.DataFrame:
    """Change, its standard error and its degrees of freedom (Welch) of each cell."""
    now, before = cells["variance"] / cells["n"], cells["variance_before"] / cells["n_before"]
    parts = now**2 / (cells["n"] - 1) + before**2 / (cells["n_before"] - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = (now + before) ** 2 / parts
    return cells.assign(
        change=cells["mean"] - cells["mean_before"], se=np.sqrt(now + before), freedom=freedom.fillna(1.0)
    )


def _measure_common_change(tested: pd.DataFrame) -> tuple[float, float]:
    """The change that cells share, as their median, and its standard error."""
    if tested.empty:
        return np.nan, np.nan
    spread = float(np.sqrt((tested["se"] ** 2).mean() / len(tested)))
    return float(tested["change"].median()), _MEDIAN_SE * spread


def _judge_cells(
    tested: pd.DataFrame, common: float, common_se: float, policy: DriftPolicy
) -> dict[tuple[str, str], Change]:
    if tested.empty:
        return {}
    change = (tested["change"] - common).to_numpy()
    chance = _p_value(change, np.hypot(tested["se"].to_numpy(), common_se), tested["freedom"], policy)
    p_value = stats.false_discovery_control(chance, method="bh")
    # A cell that comes back to what is expected is mended, not drifting: its mean must have gone away.
    level = (tested["mean"] - tested["mean"].median()).to_numpy() * np.sign(change)
    limit = np.log1p(policy.smallest_change)
    is_drifting = (np.abs(change) >= limit) & (p_value < policy.false_alarms) & (level >= limit / 2)
    counts = tested[["n", "n_before"]].astype(int).to_numpy()
    return {
        key: Change(float(change[i]), float(p_value[i]), int(fights), int(before), bool(is_drifting[i]))
        for i, (key, (fights, before)) in enumerate(zip(tested.index, counts, strict=True))
    }


def _judge_overall(
    now: pd.DataFrame, before: pd.DataFrame, common: float, common_se: float, policy: DriftPolicy
) -> Change:
    fights, reference = now["fight_id"].nunique(), before["fight_id"].nunique()
    if not np.isfinite(common):
        return Change(np.nan, np.nan, fights, reference, None)
    # Players of a fight are together in several cells, which the cells' errors do not know: the error of
    # whole fights does.
    sides = [rows.groupby("fight_id")["residual_log"].mean() for rows in (now, before)]
    se = max(common_se, float(np.sqrt(sum(side.var() / len(side) for side in sides))))
    freedom = min(len(side) for side in sides) - 1
    chance = float(_p_value(np.array([common]), np.array([se]), freedom, policy)[0])
    is_drifting = abs(common) >= np.log1p(policy.smallest_change) and chance < policy.false_alarms
    return Change(common, chance, fights, reference, bool(is_drifting))


def _p_value(
    change: np.ndarray, se: np.ndarray, freedom: pd.Series | float, policy: DriftPolicy
) -> np.ndarray:
    """How likely a change of at least that size is where none exceeds the usual one; both sides."""
    beyond = np.maximum(np.abs(change) - np.log1p(policy.usual_change), 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        score = np.where(se > 0, beyond / se, np.where(beyond > 0, np.inf, 0.0))
    return np.minimum(2 * stats.t.sf(score, np.maximum(freedom, 1.0)), 1.0)


def _untested(row: Mapping[Any, Any]) -> Change:
    return Change(np.nan, np.nan, int(row["n"]), int(row["n_before"]), None)
