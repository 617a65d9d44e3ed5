"""Ridge regression that is robust to outliers."""

from __future__ import annotations

import numpy as np
from scipy import sparse

ROUNDS = 8
"""Of reweighting; the estimate moves by less than 1e-3 after that."""
HUBER = 1.5
"""Residuals beyond this many robust standard deviations pull no harder."""
MAD_TO_SD = 1.4826


def huber_ridge(design: sparse.csr_matrix, target: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    """Ridge regression with Huber's loss, by reweighting; ``ridge`` is the penalty of each column."""
    weight = np.ones(len(target))
    penalty = np.diag(ridge)
    solution = np.zeros(design.shape[1])
    for _ in range(ROUNDS):
        weighted = design.multiply(weight[:, None]).tocsr()
        solution = np.linalg.solve((weighted.T @ design).toarray() + penalty, weighted.T @ target)
        residual = target - design @ solution
        scale = max(robust_sd(residual), 1e-9)
        weight = np.minimum(1.0, HUBER * scale / np.maximum(np.abs(residual), 1e-12))
    return solution


def robust_sd(values: np.ndarray) -> float:
    """Standard deviation about 0 by the median of the absolute values."""
    return MAD_TO_SD * float(np.median(np.abs(values)))
