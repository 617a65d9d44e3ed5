"""A Gaussian mixture whose components share one covariance: they differ by location, not by shape.

Hundreds of small fits judge one clustering. scikit-learn's ``GaussianMixture`` reaches the same optima with
more than twice the CPU, see decision 27. The fitted mixture is plain arrays, so that a stored one holds no
code.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.cluster.vq import kmeans2

_ROUNDS = 60
_FIRST_ROUNDS = 5
_ENOUGH = 3e-4
"""Gain of log likelihood a point below which a fit is over; with 1e-3 planted styles are missed."""
_RIDGE = 1e-4


@dataclass(frozen=True)
class Mixture:
    """Weights (k), means (k by d) and the one covariance (d by d)."""

    weights: np.ndarray
    means: np.ndarray
    covariance: np.ndarray

    @property
    def groups(self) -> int:
        """How many."""
        return len(self.weights)

    def log_parts(self, points: np.ndarray) -> np.ndarray:
        """Log of weight times density, points by groups."""
        root = np.linalg.cholesky(self.covariance)
        flatten = np.linalg.inv(root).T
        flat, centres = points @ flatten, self.means @ flatten
        distances = (flat**2).sum(axis=1)[:, None] - 2 * flat @ centres.T + (centres**2).sum(axis=1)
        size = points.shape[1] * np.log(2 * np.pi) / 2 + np.log(np.diag(root)).sum()
        return np.log(self.weights) - distances / 2 - size

    def probabilities(self, points: np.ndarray) -> np.ndarray:
        """How likely each point is of each group."""
        parts = self.log_parts(points)
        return np.exp(parts - _total(parts))

    def labels(self, points: np.ndarray) -> np.ndarray:
        """The likeliest group of each point."""
        return self.log_parts(points).argmax(axis=1)

    def log_likelihood(self, points: np.ndarray) -> float:
        """Mean over points."""
        return float(_total(self.log_parts(points)).mean())

    def bic(self, points: np.ndarray) -> float:
        """Bayes' information criterion: less is better."""
        n, d = points.shape
        parameters = self.groups * d + d * (d + 1) / 2 + self.groups - 1
        return -2 * n * self.log_likelihood(points) + parameters * np.log(n)


def fit_mixture(points: np.ndarray, groups: int, seed: int, tries: int = 1) -> Mixture:
    """The likeliest mixture that expectation and maximisation find from ``tries`` first guesses.

    Args:
        points: n by d, no NaN, more points than groups.
        groups: how many; 1 is a single Gaussian.
        seed: of the first guesses: the same gives the same mixture.
        tries: how many guesses.
    """
    random = np.random.default_rng(seed)
    found = [_climb(points, _first_guess(points, groups, random)) for _ in range(tries)]
    return max(found, key=lambda mixture: mixture.log_likelihood(points))


def _climb(points: np.ndarray, shares: np.ndarray) -> Mixture:
    before = -np.inf
    mixture = _maximise(points, shares)
    for _ in range(_ROUNDS):
        parts = mixture.log_parts(points)
        total = _total(parts)
        likelihood = float(total.mean())
        if likelihood - before < _ENOUGH:
            break
        before = likelihood
        mixture = _maximise(points, np.exp(parts - total))
    return mixture


def _total(parts: np.ndarray) -> np.ndarray:
    """Log of the sum of exponentials over groups, one column."""
    largest = parts.max(axis=1, keepdims=True)
    return largest + np.log(np.exp(parts - largest).sum(axis=1, keepdims=True))


def _maximise(points: np.ndarray, shares: np.ndarray) -> Mixture:
    sizes = shares.sum(axis=0) + 1e-9
    means = shares.T @ points / sizes[:, None]
    covariance = (points.T @ points - (means * sizes[:, None]).T @ means) / len(points)
    return Mixture(sizes / sizes.sum(), means, covariance + _RIDGE * np.eye(points.shape[1]))


def _first_guess(points: np.ndarray, groups: int, random: np.random.Generator) -> np.ndarray:
    """Shares of 0 and 1: the nearest centre after a few rounds of k-means."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # an empty cluster stays where it is
        _, labels = kmeans2(points, groups, iter=_FIRST_ROUNDS + 1, minit="++", rng=random)
    return np.eye(groups)[labels]
