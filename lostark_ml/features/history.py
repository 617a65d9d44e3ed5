"""Features from a character's earlier fights, as known when a fight begins. Pure, vectorised.

A fight counts as earlier if it *ended* before this one began. Its residual is its log DPS minus the median
of the same gate, difficulty and spec: of its own week once that week was over at this fight's reset, before
that of the newest week that was over when it was fought. So no feature uses data from after the fight it
describes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from lostark_assets.stats.weeks import DAY_US, WEEK_US

MIN_PER_CELL = 5
"""A median of fewer players is no measure."""


def compute_history(
    fights: pd.DataFrame, character: np.ndarray, is_source: np.ndarray, ended_us: np.ndarray
) -> pd.DataFrame:
    """``history_fights``, ``history_residual`` and ``history_age_days`` of each row.

    Args:
        fights: started_us, week_us (the reset before), cell (code of gate, difficulty and spec) and log_dps.
        character: code of the character, -1 for an anonymous player: no history.
        is_source: whether the row counts in the history of later fights.
        ended_us: when the fight ended.
    """
    own, prior = _residuals(fights, is_source)
    started, week = fights["started_us"].to_numpy(), fights["week_us"].to_numpy()
    usable = is_source & (character >= 0)
    before = _Sums(character[usable], ended_us[usable], own[usable], prior[usable])
    settled_us = np.maximum(ended_us, week + WEEK_US)
    settled = _Sums(character[usable], settled_us[usable], own[usable], prior[usable])
    known = character >= 0
    ended = before.up_to(character, started - 1)
    over = settled.up_to(character, week)
    n = over.own_n + ended.prior_n - over.prior_n
    total = over.own + ended.prior - over.prior
    with np.errstate(invalid="ignore", divide="ignore"):
        residual = np.where(n > 0, total / n, np.nan)
    age = np.where(ended.fights > 0, (started - ended.newest_us) / DAY_US, np.nan)
    return pd.DataFrame(
        {
            "history_fights": np.where(known, ended.fights, np.nan).astype(float),
            "history_residual": np.where(known, residual, np.nan),
            "history_age_days": np.where(known, age, np.nan),
        },
        index=fights.index,
    )


def _residuals(fights: pd.DataFrame, is_source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log DPS above the median of its own week, and above that of the newest week before; NaN where none."""
    cells = fights[is_source].groupby(["cell", "week_us"])["log_dps"].agg(["median", "size"]).reset_index()
    cells = cells[cells["size"] >= MIN_PER_CELL].sort_values(["cell", "week_us"])
    cells["before"] = cells.groupby("cell")["median"].shift()
    matched = fights[["cell", "week_us"]].merge(cells, on=["cell", "week_us"], how="left")
    target = fights["log_dps"].to_numpy(float)
    return target - matched["median"].to_numpy(float), target - matched["before"].to_numpy(float)


class _UpTo(NamedTuple):
    fights: np.ndarray
    own: np.ndarray
    own_n: np.ndarray
    prior: np.ndarray
    prior_n: np.ndarray
    newest_us: np.ndarray


class _Sums:
    """Running sums of each character's fights over time, looked up by binary search."""

    def __init__(self, character: np.ndarray, at_us: np.ndarray, own: np.ndarray, prior: np.ndarray) -> None:
        order = np.lexsort((at_us, character))
        self._character, self._at = character[order], at_us[order]
        self._moments = np.sort(at_us)
        self._keys = self._key(self._character, self._at)
        self._sums = [*_running(own[order]), *_running(prior[order])]

    def _key(self, character: np.ndarray, at_us: np.ndarray) -> np.ndarray:
        """Character and rank of the moment in one integer that sorts like the pair."""
        rank = np.searchsorted(self._moments, at_us, side="right")
        return character.astype(np.int64) * (len(self._moments) + 1) + rank

    def up_to(self, character: np.ndarray, at_us: np.ndarray) -> _UpTo:
        """What each character's fights up to the moment sum up to."""
        first = np.searchsorted(self._character, character, side="left")
        end = np.maximum(np.searchsorted(self._keys, self._key(character, at_us), side="right"), first)
        sums = [column[end] - column[first] for column in self._sums]
        newest = np.concatenate([[0], self._at])[end]
        own, own_n, prior, prior_n = sums
        return _UpTo(end - first, own, own_n, prior, prior_n, newest)


def _running(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts of the known values before each place."""
    known = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    return sums, np.concatenate([[0], np.cumsum(known)])
