"""Explains expected minus typical DPS: parts that sum exactly. Pure.

A typical player has the same gate, spec and moment, and the usual value of every other feature. Each group
of features gets its Shapley value: the effect of changing it, averaged over all orders of changing the
groups.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from lostark_assets.contracts.core import UPTIMES
from lostark_assets.contracts.ml import CONTEXT_PARTS, HISTORY, SUPPORT_COUNTS
from lostark_ml.features.columns import MODEL_FEATURES, NUMBER_FEATURES, TIME_FEATURE
from lostark_ml.features.kernels import round_parts
from lostark_ml.features.training_set import model_input
from lostark_ml.model.compiled_trees import CompiledPipeline
from lostark_ml.model.decomposition import shapley_shares

RECENT = timedelta(weeks=4)
MIN_PER_CELL = 30
OWN_FEATURES = ("gate_difficulty", "class_name", "spec_name", TIME_FEATURE)
"""The same in the typical player."""
CATEGORIES = ("region", "measurement_rules")
TOGETHER = ("player_count", "support_count", *SUPPORT_COUNTS.values(), "support_seat_flag")
"""Who is in the log, taken as a whole: separate medians would make parties that do not exist."""
GROUPS = {
    "context_item_level_dps": ("item_level", "combat_power"),
    "context_support_dps": (
        "support_count",
        *SUPPORT_COUNTS.values(),
        "support_seat_flag",
        "support_item_level",
        *(c.name for c in UPTIMES),
    ),
    "context_party_dps": (
        "player_count",
        "others_item_level",
        "lowest_item_level",
        "highest_item_level",
        "others_ark_passive_share",
    ),
    "context_history_dps": tuple(c.name for c in HISTORY),
}
OTHER = CONTEXT_PARTS[-1].name
_GROUPED = {name for names in GROUPS.values() for name in names}
ALL_GROUPS = {
    **GROUPS,
    OTHER: tuple(n for n in MODEL_FEATURES if n not in _GROUPED and n not in OWN_FEATURES),
}
"""Features of each part, the rest included."""
GROUP_COLUMNS = [[MODEL_FEATURES.index(name) for name in names] for names in ALL_GROUPS.values()]
PART_SHARES = shapley_shares(len(ALL_GROUPS))


@dataclass(frozen=True)
class Typical:
    """What is usual at each gate, and of each spec there that is common enough. Plain numbers: JSON.

    Numbers stand in the order of ``features``; None is a value that most logs lack.
    """

    features: list[str] = field(default_factory=list)
    of_gate: dict[str, list[float | None]] = field(default_factory=dict)
    of_spec: dict[str, dict[str, list[float | None]]] = field(default_factory=dict)
    categories: dict[str, dict[str, str]] = field(default_factory=dict)

    def numbers(self, gate: str, spec: str) -> list[float | None]:
        """Numbers of the typical player, in the order of ``features``.

        Raises:
            KeyError: a gate that training never saw.
        """
        return self.of_spec.get(gate, {}).get(spec, self.of_gate[gate])

    def rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        """For each row, the model's features of the typical player of its gate, spec and moment.

        Raises:
            KeyError: a gate that training never saw.
        """
        gate, spec = rows["gate_difficulty"], rows["spec_name"]
        cells = pd.DataFrame({"gate": gate, "spec": spec}).drop_duplicates()
        numbers = [self.numbers(g, s) for g, s in zip(cells["gate"], cells["spec"], strict=True)]
        index = pd.MultiIndex.from_frame(cells)
        table = pd.DataFrame(np.array(numbers, float), index=index, columns=self.features)
        at = index.get_indexer(pd.MultiIndex.from_arrays([gate, spec]))
        found = table.iloc[at].set_axis(rows.index, axis=0)
        for name in CATEGORIES:
            found[name] = gate.map({g: one[name] for g, one in self.categories.items()})
        for name in OWN_FEATURES:
            found[name] = rows[name]
        return model_input(found)


def measure_typical(rows: pd.DataFrame, cutoff: datetime) -> Typical:
    """What is usual in the newest four weeks before ``cutoff``; of gates not fought then, in all of ``rows``.

    Args:
        rows: population rows of ``ml_training_set``.
        cutoff: UTC instant.
    """
    is_recent = rows["fight_started_at"] >= cutoff - RECENT
    is_old_gate = ~rows["gate_difficulty"].isin(rows.loc[is_recent, "gate_difficulty"].unique())
    rows = rows[is_recent | is_old_gate]
    gate = rows.groupby("gate_difficulty")
    together = {str(name): _commonest(part[list(TOGETHER)]) for name, part in gate}
    of_spec: dict[str, dict[str, list[float | None]]] = {}
    sizes = rows.groupby(["gate_difficulty", "spec_name"]).size()
    medians = _medians(rows, ["gate_difficulty", "spec_name"])
    for name, spec in sizes.index[sizes >= MIN_PER_CELL]:
        of_spec.setdefault(str(name), {})[str(spec)] = _usual(medians.loc[(name, spec)], together[str(name)])
    return Typical(
        features=list(NUMBER_FEATURES),
        of_gate={
            str(name): _usual(numbers, together[str(name)])
            for name, numbers in _medians(rows, ["gate_difficulty"]).iterrows()
        },
        of_spec=of_spec,
        categories={str(name): {c: str(part[c].mode().iloc[0]) for c in CATEGORIES} for name, part in gate},
    )


def explain_context(model: CompiledPipeline, typical: Typical, rows: pd.DataFrame) -> pd.DataFrame:
    """``typical_dps`` and ``CONTEXT_PARTS`` by row, in whole damage/s that sum exactly to expected - typical.

    Expected is the model's prediction rounded to whole damage/s.
    """
    usual, own = model.matrix(typical.rows(rows)), model.matrix(model_input(rows))
    mixtures = model.mixtures(usual, own, GROUP_COLUMNS)
    typical_dps, expected_dps = (np.rint(np.exp(mixtures[:, at])) for at in (0, -1))
    parts = round_parts(mixtures, PART_SHARES, typical_dps, expected_dps)
    found = pd.DataFrame(parts, index=rows.index, columns=list(ALL_GROUPS))
    return found.assign(typical_dps=typical_dps).astype("Int64")


def _commonest(rows: pd.DataFrame) -> dict[str, float]:
    """The commonest combination; the smallest of those that are equally common."""
    counts = rows.groupby(list(rows.columns), dropna=False).size()
    commonest: Any = counts.idxmax()
    return dict(zip(rows.columns, (float(v) for v in commonest), strict=True))


def _medians(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Medians that occur, of what at least half of the rows know."""
    cells = rows.groupby(by)[NUMBER_FEATURES]
    is_known = cells.count().ge(cells.size() / 2, axis=0)
    return cells.quantile(0.5, interpolation="lower").where(is_known)


def _usual(medians: pd.Series, together: dict[str, float]) -> list[float | None]:
    numbers: dict[Any, float] = {**medians.to_dict(), **together}
    return [None if np.isnan(numbers[name]) else float(numbers[name]) for name in NUMBER_FEATURES]
