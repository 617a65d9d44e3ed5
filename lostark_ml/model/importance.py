"""Permutation importance of groups of features. Pure.

Correlated features are shuffled together: shuffled one by one, each would seem unimportant.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lostark_assets.contracts.core import UPTIMES
from lostark_assets.contracts.ml import HISTORY
from lostark_ml.features.columns import MODEL_FEATURES
from lostark_ml.features.training_set import model_input
from lostark_ml.model.context_parts import GROUPS as CONTEXT_GROUPS
from lostark_ml.model.training import FittedModel

_UPTIMES = tuple(c.name for c in UPTIMES)
GROUPS = {
    "spec · 직업 각인": ("class_name", "spec_name"),
    "gate · 관문": ("gate_difficulty",),
    "item level · 아이템 레벨": ("item_level",),
    "combat power · 전투력": ("combat_power",),
    "ark passive · 아크 패시브": ("ark_passive_flag",),
    "supports · 서포터": tuple(n for n in CONTEXT_GROUPS["context_support_dps"] if n not in _UPTIMES),
    "support uptimes · 서포터 버프": _UPTIMES,
    "party · 공격대": CONTEXT_GROUPS["context_party_dps"],
    "history · 이전 전투": tuple(c.name for c in HISTORY),
    "uploader · 업로더": ("uploader_flag",),
    "moment of the week · 시간": ("hours_since_reset", "hour_of_day"),
    "server and meter · 서버": ("region", "measurement_rules"),
}
"""Every feature but the season's time, which only goes on."""
MAX_ROWS = 5000


def measure_importance(
    model: FittedModel, rows: pd.DataFrame, *, repeats: int = 3, seed: int = 0
) -> pd.DataFrame:
    """``group``, ``mape_lost`` (fraction) and its ``sd`` over repeats, the largest first.

    Args:
        model: the model to explain.
        rows: rows of ``ml_training_set`` that it answers and had not seen; of many, so many are drawn.
        repeats: shuffles of each group.
        seed: of drawing and shuffling.
    """
    if rows.empty:
        return pd.DataFrame({"group": [], "mape_lost": [], "sd": []})
    random = np.random.default_rng(seed)
    if len(rows) > MAX_ROWS:
        rows = rows.iloc[np.sort(random.choice(len(rows), MAX_ROWS, replace=False))]
    regress = model.pipeline[-1]
    matrix = np.asarray(model.pipeline[:-1].transform(model_input(rows)), float)
    true = rows["log_dps"].to_numpy(float)

    def mape(changed: np.ndarray) -> float:
        return float(np.abs(np.expm1(regress.predict(changed) - true)).mean())

    usual = mape(matrix)
    found = []
    for group, names in GROUPS.items():
        places = [MODEL_FEATURES.index(name) for name in names]
        lost = []
        for _ in range(repeats):
            changed = matrix.copy()
            changed[:, places] = matrix[random.permutation(len(matrix))][:, places]
            lost.append(mape(changed) - usual)
        found.append({"group": group, "mape_lost": float(np.mean(lost)), "sd": float(np.std(lost))})
    return pd.DataFrame(found).sort_values("mape_lost", ascending=False, ignore_index=True)
