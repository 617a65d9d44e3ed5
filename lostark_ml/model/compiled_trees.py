"""The fitted pipeline as arrays and compiled loops: bit-equal to scikit-learn, and faster on single rows.

Scikit-learn is made for matrices: one row costs it a millisecond, and an explanation needs 32 predictions.
Here each feature is one byte (category code, bin number, or missing), and a bit mask per byte and tree
marks the leaves that are still reachable. The AND over all features leaves one leaf per tree. A mixture
takes some features from one row and the rest from another, so 32 mixtures share most of the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from lostark_assets.errors import PermanentError
from lostark_ml.features.columns import CATEGORY_FEATURES, MODEL_FEATURES
from lostark_ml.features.kernels import MISSING, encode_features, remaining_leaves, sum_trees
from lostark_ml.model.regressor import ADDITIVE_FEATURES, SeasonRegressor

NARROW_LEAVES, MAX_LEAVES = 32, 64
_BYTES = 256
_FEATURES = len(MODEL_FEATURES) - 1
"""All but the time, which the trees don't see."""
_PROBES = 256
_BLOCK = 1024
"""Rows that are predicted together: what is between takes kilobytes a row."""
_TOLERANCE = 1e-9
_ADDITIVE = {MODEL_FEATURES.index(name) for name in ADDITIVE_FEATURES}


class NotCompiled(PermanentError):
    """The pipeline has a structure that this code can't compile."""


@dataclass(frozen=True)
class CompiledPipeline:
    """A fitted pipeline of ``model.build_pipeline`` that answers fast; made by :func:`compile_pipeline`.

    Matrices have the columns of ``MODEL_FEATURES``, encoded: what the pipeline's regressor reads. ``reach``
    (rows, trees) has the leaves that can be reached, ``reach_of`` (features, bytes) the row of each byte; row
    0 is all leaves. ``leaves`` (trees, leaves) are their values. ``edges`` of the numbers' bins stand one
    after the other, those of number n from ``edge_starts[n]``.
    """

    pipeline: Pipeline
    baseline: float
    reach_of: np.ndarray
    reach: np.ndarray
    leaves: np.ndarray
    edges: np.ndarray
    edge_starts: np.ndarray

    @property
    def regressor(self) -> SeasonRegressor:
        """What was compiled."""
        return self.pipeline[-1]

    def category_codes(self) -> dict[str, dict[str, float]]:
        """The code of each category, by feature; what is not there is NaN."""
        encoder = self.pipeline[0].named_transformers_["categories"]
        return {
            name: {str(category): float(code) for code, category in enumerate(known)}
            for name, known in zip(CATEGORY_FEATURES, encoder.categories_, strict=True)
        }

    def matrix(self, rows: pd.DataFrame) -> np.ndarray:
        """Rows of the model's input, encoded."""
        return np.asarray(self.pipeline[:-1].transform(rows), float)

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Expected log DPS of rows of the model's input."""
        matrix = self.matrix(rows)
        return self.mixtures(matrix, matrix, [])[:, 0]

    def mixtures(self, start: np.ndarray, end: np.ndarray, groups: Sequence[Sequence[int]]) -> np.ndarray:
        """Expected log DPS (rows, 2 ** groups) of all mixtures of two matrices.

        Column m is that of ``start`` with the columns of those groups taken from ``end`` whose bits are in m.
        Groups share no column; columns in none of them are those of ``start``.
        """
        group_of = map_features_to_groups(groups)
        found = np.empty((len(start), 2 ** len(groups)))
        for first in range(0, len(start), _BLOCK):
            some = slice(first, first + _BLOCK)
            left = self.remaining_leaves(self.codes(start[some]), group_of, len(groups))
            found[some] = self.sums(left, self.codes(end[some]), group_of)
        touching = [n for n, columns in enumerate(groups) if _ADDITIVE & set(columns)]
        bits = sum(1 << n for n in touching)
        every = np.arange(found.shape[1])
        for mask in np.unique(every & bits):
            mixed = start.copy()
            for n in touching:
                if mask >> n & 1:
                    mixed[:, list(groups[n])] = end[:, list(groups[n])]
            found[:, every & bits == mask] += self.regressor.additive(mixed)[:, None]
        return found

    def codes(self, matrix: np.ndarray) -> np.ndarray:
        """What the trees see of a matrix: a byte a feature."""
        matrix = np.ascontiguousarray(matrix, np.float64)
        return encode_features(matrix, len(CATEGORY_FEATURES), self.edges, self.edge_starts)

    def remaining_leaves(self, codes: np.ndarray, group_of: np.ndarray, groups: int) -> np.ndarray:
        """Leaves that each group's features leave over (rows, groups + 1, trees); last, those of no group."""
        return remaining_leaves(codes, group_of, groups + 1, self.reach_of, self.reach)

    def sums(self, start: np.ndarray, codes: np.ndarray, group_of: np.ndarray) -> np.ndarray:
        """The trees' part of :meth:`mixtures` (rows, 2 ** groups).

        Args:
            start: :meth:`left_over` of the rows to start from.
            codes: of the rows to end with; they have the same features outside of the groups.
            group_of: :func:`group_of_features`.
        """
        return sum_trees(start, codes, group_of, self.reach_of, self.reach, self.leaves, self.baseline)


def map_features_to_groups(groups: Sequence[Sequence[int]]) -> np.ndarray:
    """The number of the group of each feature; of those in none, the number of groups."""
    found = np.full(_FEATURES, len(groups), np.int64)
    for number, columns in enumerate(groups):
        found[list(columns)] = number
    return found


def compile_pipeline(pipeline: Pipeline) -> CompiledPipeline:
    """``pipeline``, which is fitted, as arrays; some rows are then predicted both ways.

    Raises:
        NotCompiled: they differ, or the trees are not of the shape that scikit-learn gave them so far.
    """
    try:
        compiled = _compile(pipeline)
        probes = _build_probes(pipeline[-1])
        found = compiled.mixtures(probes, probes, [])[:, 0]
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise NotCompiled(
            f"the pipeline: expected one of model.build_pipeline, with trees as scikit-learn 1.9 makes them, "
            f"found {error!r}. Nothing was compiled. Install the locked versions, or retrain."
        ) from error
    expected = pipeline[-1].predict(probes)
    if not np.allclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise NotCompiled(
            f"the pipeline: expected scikit-learn's predictions of {len(probes)} rows, found others, by up "
            f"to {np.abs(found - expected).max():.3g}. Nothing was compiled. Install the locked versions."
        )
    return compiled


def _compile(pipeline: Pipeline) -> CompiledPipeline:
    trees, edges = pipeline[-1].trees_, pipeline[-1].edges_
    predictors = [one for (one,) in trees._predictors]  # noqa: SLF001 - see NotCompiled
    own_codes = _map_category_codes(trees)
    leaf_count = max(one.get_n_leaf_nodes() for one in predictors)
    code_count = max([*map(len, own_codes), *(len(one) + 1 for one in edges)])
    if leaf_count > MAX_LEAVES or code_count > MISSING:
        message = f"at most {MAX_LEAVES} leaves and {MISSING} codes, found {leaf_count} and {code_count}"
        raise ValueError(message)
    leaves = np.zeros((len(predictors), leaf_count))
    # Half as wide, half as much memory to go through.
    bits: Any = np.uint32 if leaf_count <= NARROW_LEAVES else np.uint64
    table = np.full((_FEATURES, len(predictors), _BYTES), np.iinfo(bits).max, bits)
    for number, predictor in enumerate(predictors):
        _fill_tree(table[:, number], leaves[number], predictor, own_codes)
    reach, reach_of = _find_distinct_rows(table)
    return CompiledPipeline(
        pipeline,
        float(np.asarray(trees._baseline_prediction).item()),  # noqa: SLF001
        reach_of,
        reach,
        leaves,
        np.concatenate(edges).astype(np.float64),
        np.concatenate([[0], np.cumsum([len(one) for one in edges])]).astype(np.int64),
    )


def _map_category_codes(trees: Any) -> list[dict[int, int]]:
    """By category feature: the code that scikit-learn's trees count with, by the code that they are given."""
    encoder = trees._preprocessor.named_transformers_["encoder"]  # noqa: SLF001
    return [
        {int(code): own for own, code in enumerate(known) if np.isfinite(code)}
        for known in encoder.categories_
    ]


def _fill_tree(
    table: np.ndarray, leaves: np.ndarray, predictor: Any, own_codes: list[dict[int, int]]
) -> None:
    """Take from ``table`` (features, bytes) of one tree the leaves that each byte excludes."""
    nodes, count = predictor.nodes, 0

    def leaves_under(place: int) -> int:
        nonlocal count
        node = nodes[place]
        if node["is_leaf"]:
            leaves[count] = node["value"]
            count += 1
            return 1 << (count - 1)
        left, right = leaves_under(node["left"]), leaves_under(node["right"])
        goes_left = _goes_left(predictor, node, own_codes)
        table[node["feature_idx"]] &= ~np.where(goes_left, right, left).astype(table.dtype)
        return left | right

    leaves_under(0)


def _goes_left(predictor: Any, node: Any, own_codes: list[dict[int, int]]) -> np.ndarray:
    """Which bytes go left at a split; an unknown category goes where missing values go."""
    goes_left = np.full(_BYTES, bool(node["missing_go_to_left"]))
    if node["is_categorical"]:
        words = predictor.raw_left_cat_bitsets[node["bitset_idx"]]
        for code, own in own_codes[node["feature_idx"]].items():
            goes_left[code] = int(words[own // 32]) >> own % 32 & 1
    else:
        goes_left[:MISSING] = np.arange(MISSING) <= node["num_threshold"]
    return goes_left


def _find_distinct_rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows of ``table`` (features, trees, bytes), and which of them each byte has."""
    numbers = {np.full(table.shape[1], np.iinfo(table.dtype).max, table.dtype).tobytes(): 0}
    reach_of = np.empty((table.shape[0], _BYTES), np.int64)
    for feature, of_trees in enumerate(table):
        for code, row in enumerate(np.ascontiguousarray(of_trees.T)):
            reach_of[feature, code] = numbers.setdefault(row.tobytes(), len(numbers))
    # A copy: numba would compile everything once more for an array that is read-only.
    return np.frombuffer(b"".join(numbers), table.dtype).reshape(len(numbers), -1).copy(), reach_of


def _build_probes(regressor: SeasonRegressor) -> np.ndarray:
    """Rows on both sides of the bins' edges and on them, without values, and of all categories."""
    random = np.random.default_rng(0)
    sizes = [len(codes) for codes in _map_category_codes(regressor.trees_)]
    columns = [random.integers(-1, size, _PROBES).astype(float) for size in sizes]
    columns = [np.where(column < 0, np.nan, column) for column in columns]
    for edges in regressor.edges_:
        values = np.concatenate([edges, np.nextafter(edges, -np.inf), [np.nan, -1e12, 1e12]])
        columns.append(random.choice(values, _PROBES))
    columns.append(regressor.cutoff_week + random.uniform(-8, 4, _PROBES))
    return np.column_stack(columns)
