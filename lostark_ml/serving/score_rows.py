"""Rows of ``ml_expected_dps``: expectation, interval and both explanations of each player. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from lostark_assets.contracts.ml import CONTEXT_PARTS, GAP_PARTS, ML_EXPECTED_DPS
from lostark_assets.contracts.table import BOOL, FLOAT, INSTANT, INT, Column
from lostark_assets.errors import ContractViolated
from lostark_ml.model.context_parts import explain_context
from lostark_ml.model.gap_parts import EXECUTION, KEY, explain_gap
from lostark_ml.model.training import FittedModel

NO_CHAMPION = "no_champion"
_FROM_FRAME = [
    "encounter_id", "fight_id", "fight_date", "player_name", "fight_started_at", "week_started_at",
    "gate_difficulty", "class_name", "spec_name", "item_level_bracket", "is_uploader", "is_dead", "dps",
]  # fmt: skip
_CONTEXT = [c.name for c in CONTEXT_PARTS]
_GAP = [c.name for c in GAP_PARTS]
_ENDS = ["expected_dps", "expected_dps_low", "expected_dps_high"]


def score_rows(
    model: FittedModel | None,
    frame: pd.DataFrame,
    players: pd.DataFrame,
    *,
    model_version: int | None,
    is_seen_in_training: np.ndarray | bool,
    scored_at: datetime,
) -> pa.Table:
    """Rows of ``ml_expected_dps``, one for each of ``frame`` and in its order.

    Args:
        model: the champion that was active then; None where there was none: every row is refused.
        frame: rows of ``ml_training_set``, whole fight days or parts of them.
        players: rows of ``stats_player_dps`` with ``gap.EXECUTION``; a player missing there has no such
            figures, and the gap is unexplained.
        model_version: of the model.
        is_seen_in_training: by row, or the same for all.
        scored_at: UTC instant.

    Raises:
        ContractViolated: parts don't sum to what they explain: a defect of this module.
    """
    rows = frame.reset_index(drop=True)
    reason = _find_refusals(model, rows)
    scored = rows[_FROM_FRAME].assign(
        is_population=rows["exclusion_reason"].isna(),
        model_version=pd.array([model_version] * len(rows), dtype="Int64"),
        is_seen_in_training=None if model is None else np.broadcast_to(is_seen_in_training, len(rows)),
        refusal_reason=reason,
        scored_at=pd.Timestamp(scored_at).tz_convert("UTC"),
    )
    answered = rows[reason.isna()]
    if model is not None and len(answered):
        scored = scored.join(_predict_rows(model, answered, players))
    table = _conform(scored)
    check_sums(table)
    return table


def check_sums(table: pa.Table) -> None:
    """Every part counts, null as 0, and they sum exactly to what they explain.

    Raises:
        ContractViolated: with the first rows where they don't.
    """
    rows = table.select([*KEY, "dps", "typical_dps", "expected_dps", "gap_dps", *_CONTEXT, *_GAP]).to_pandas()
    rows = rows[rows["expected_dps"].notna()]
    whole = {name: rows[name].fillna(0).astype("int64") for name in rows.columns if name not in KEY}
    gap = whole["dps"] - whole["expected_dps"]
    is_wrong = (whole["gap_dps"] != gap) | (sum(whole[name] for name in _GAP) != gap)
    is_explained = rows["typical_dps"].notna()
    context = sum(whole[name] for name in _CONTEXT)
    is_wrong |= is_explained & (context != whole["expected_dps"] - whole["typical_dps"])
    if is_wrong.any():
        worst = rows[is_wrong].head(3).to_dict("records")
        problem = f"parts don't sum to what they explain in {int(is_wrong.sum())} rows, such as {worst}"
        raise ContractViolated(ML_EXPECTED_DPS.name, [problem])


def _find_refusals(model: FittedModel | None, rows: pd.DataFrame) -> pd.Series:
    """Why a row gets no expectation: what it is, or what the model never saw; null where it gets one."""
    if model is None:
        return pd.Series(NO_CHAMPION, index=rows.index, dtype="str")
    is_support = rows["is_support"].eq(True).to_numpy(bool, na_value=False)  # noqa: FBT003 - null is not
    has_dps = rows["log_dps"].notna().to_numpy()
    reason = pd.Series(
        np.where(is_support, "support", np.where(has_dps, "", "no_dps")), rows.index, dtype="str"
    )
    return reason.where(reason != "", model.domain.refusals(rows))


def _predict_rows(model: FittedModel, rows: pd.DataFrame, players: pd.DataFrame) -> pd.DataFrame:
    """Expectation, interval, percentile and parts of rows that the model answers."""
    predicted = model.predict(rows)
    found = predicted[_ENDS].apply(np.rint).astype("Int64")
    error = (rows["log_dps"] - predicted["expected_log_dps"]).to_numpy()
    found["expected_percentile"] = model.intervals.percentile(error, rows["spec_name"])
    if model.typical.of_gate:
        found = found.join(explain_context(model.compiled, model.typical, rows))
    figures = rows[[*KEY, "gate_difficulty", "spec_name"]].merge(
        players[[*KEY, *EXECUTION]].drop_duplicates(KEY), on=KEY, how="left"
    )
    dps, expected = rows["dps"].to_numpy("int64"), found["expected_dps"].to_numpy("int64")
    found["gap_dps"] = pd.array(dps - expected, dtype="Int64")
    return found.join(explain_gap(model.gap, figures.set_axis(rows.index, axis=0), dps, expected))


def _conform(scored: pd.DataFrame) -> pa.Table:
    known = [c for c in ML_EXPECTED_DPS.columns if c.name in scored]
    return ML_EXPECTED_DPS.conform(pa.table({c.name: _array(scored[c.name], c) for c in known}))


def _array(values: pd.Series, column: Column) -> pa.Array:
    if column.dtype == INSTANT:
        # pyarrow asks pandas for zoned instants in a way that pandas warns about.
        return pa.array(values.dt.tz_convert(None).to_numpy("datetime64[us]"), column.dtype)
    nullable: Any = {INT: "Int64", FLOAT: "Float64", BOOL: "boolean"}.get(column.dtype)
    return pa.Array.from_pandas(values if nullable is None else values.astype(nullable), type=column.dtype)
