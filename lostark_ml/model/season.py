"""The season level: the weekly trend of DPS, and its forecast.

Trees can't extrapolate, and DPS rises all season. So the trend is estimated separately, as a robust
additive model of log DPS (gate, spec, support seat, weekday, uploader, item level, and a level for each
week before the cutoff), and continued with a damped step. Only rows before the cutoff are used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from lostark_ml.model.robust_regression import huber_ridge

MIN_PER_BLOCK = 200
LEVEL_RIDGE = 1e-3
EFFECT_RIDGE = 1.0
GATE_LEVEL_RIDGE = 300.0
KNOTS = (0.1, 0.5, 0.9)


@dataclass
class SeasonLevel:
    """Levels by week back from ``cutoff_week``, and the effects that they were separated from.

    Block 0 is the newest. ``gate_levels`` are departures of single gates, shrunk towards none.
    """

    cutoff_week: float
    damping: float
    edges: np.ndarray
    levels: np.ndarray
    middles: np.ndarray
    gate_levels: np.ndarray
    effects: list[np.ndarray]

    def at(self, week: np.ndarray, gate: np.ndarray) -> np.ndarray:
        """The level at moments (weeks from 1970): measured before the cutoff, continued after it."""
        block = _find_block(week, self.cutoff_week, self.edges)
        known = (gate >= 0) & (gate < self.gate_levels.shape[1])
        departure = np.where(known, self.gate_levels[block, np.where(known, gate, 0)], 0.0)
        return self.levels[block] + departure + self._ahead(week)

    def of_effects(self, codes: list[np.ndarray]) -> np.ndarray:
        """Sum of the effects of each row's categories; nothing for those never seen."""
        total = np.zeros(len(codes[0]))
        for code, effect in zip(codes, self.effects, strict=True):
            known = (code >= 0) & (code < len(effect))
            total += np.where(known, effect[np.where(known, code, 0)], 0.0)
        return total

    def _ahead(self, week: np.ndarray) -> np.ndarray:
        """The damped continuation: each further week adds ``damping`` of the step before."""
        if len(self.levels) < 2:
            return np.zeros(len(week))
        slope = (self.levels[0] - self.levels[1]) / (self.middles[0] - self.middles[1])
        aim = self.cutoff_week + np.floor(week - self.cutoff_week) + 0.5
        steps = np.maximum(aim - self.middles[0], 0.0)
        damped = self.damping * (1 - self.damping**steps) / (1 - self.damping)
        return np.where(week >= self.cutoff_week, slope * damped, 0.0)


def measure_season(
    week: np.ndarray,
    target: np.ndarray,
    gate: np.ndarray,
    effects: list[np.ndarray],
    adjust: np.ndarray,
    *,
    cutoff_week: float,
    damping: float,
) -> SeasonLevel:
    """Estimate the level of each week before the cutoff.

    Args:
        week: moment of each fight, weeks from 1970.
        target: log DPS.
        gate: code of gate and difficulty.
        effects: codes of the categories whose effects are estimated together with the level.
        adjust: numbers that the level is adjusted for (weekday, uploader, item level), and not kept.
        cutoff_week: where what is known ends.
        damping: share of the newest weekly step that the next week goes on with.
    """
    edges = _edges(week, cutoff_week)
    block = _find_block(week, cutoff_week, edges)
    blocks = len(edges) + 1
    gates = int(gate.max()) + 1
    parts = [
        _one_hot(block, blocks),
        _one_hot(block * gates + gate, blocks * gates),
        *(_one_hot(code, int(code.max()) + 1) for code in effects),
        sparse.csr_matrix(np.nan_to_num(adjust)),
    ]
    ridges = [LEVEL_RIDGE, GATE_LEVEL_RIDGE, *([EFFECT_RIDGE] * len(effects)), LEVEL_RIDGE]
    ridge = np.concatenate([np.full(part.shape[1], r) for part, r in zip(parts, ridges, strict=True)])
    solution = huber_ridge(sparse.hstack(parts, format="csr"), target, ridge)
    found = np.split(solution, np.cumsum([part.shape[1] for part in parts])[:-1])
    counts = np.bincount(block, minlength=blocks)
    middles = np.bincount(block, cutoff_week - _age(week, cutoff_week) + 0.5, minlength=blocks) / counts
    return SeasonLevel(
        cutoff_week=cutoff_week,
        damping=damping,
        edges=edges,
        levels=found[0],
        middles=middles,
        gate_levels=found[1].reshape(blocks, gates),
        effects=found[2:-1],
    )


def item_level_terms(item_level: np.ndarray) -> np.ndarray:
    """Item level as a line with three bends; unknown counts as the median."""
    known = item_level[np.isfinite(item_level)]
    if not len(known):
        return np.zeros((len(item_level), 1))
    filled = np.where(np.isfinite(item_level), item_level, np.median(known))
    scale = max(float(np.std(known)), 1e-6)
    bends = [np.maximum(filled - knot, 0.0) for knot in np.quantile(known, KNOTS)]
    return np.column_stack([filled - np.median(known), *bends]) / scale


def _age(week: np.ndarray, cutoff_week: float) -> np.ndarray:
    """Whole weeks before the cutoff, from 1; 0 after it."""
    return np.maximum(np.ceil(cutoff_week - week), 0)


def _edges(week: np.ndarray, cutoff_week: float) -> np.ndarray:
    """Ages that begin a block after the first; weeks of few rows are joined with older ones."""
    age = np.maximum(_age(week, cutoff_week), 1).astype(int)
    counts = np.bincount(age)
    edges, rows = [], 0
    for at in range(1, len(counts)):
        if rows >= MIN_PER_BLOCK and counts[at:].sum() >= MIN_PER_BLOCK:
            edges.append(at)
            rows = 0
        rows += counts[at]
    return np.array(edges, dtype=float)


def _find_block(week: np.ndarray, cutoff_week: float, edges: np.ndarray) -> np.ndarray:
    return np.searchsorted(edges, _age(week, cutoff_week), side="right")


def _one_hot(code: np.ndarray, size: int) -> sparse.csr_matrix:
    """Codes below 0 are rows of nothing."""
    known = code >= 0
    rows = np.flatnonzero(known)
    cells = (np.ones(len(rows)), (rows, code[known].astype(np.int64)))
    return sparse.csr_matrix(cells, shape=(len(code), size))
