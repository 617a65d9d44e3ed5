"""Expectations and parts by scikit-learn's own path, with frames and 32 predictions: what fast ones equal."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from lostark_assets.contracts.core import UPTIMES
from lostark_assets.game.classes import resolve_class
from lostark_assets.game.difficulties import resolve_difficulty
from lostark_assets.game.gates import resolve_named_gate
from lostark_assets.game.specs import is_support, resolve_spec
from lostark_assets.game.versions import measurement_rules
from lostark_assets.stats.weeks import week_start_us
from lostark_ml.features.training_set import build_features, model_input
from lostark_ml.model.context_parts import ALL_GROUPS, GROUP_COLUMNS
from lostark_ml.model.decomposition import logarithmic_mean, shapley_shares

FIGURES = ["expected_dps", "expected_dps_low", "expected_dps_high"]


def build_mixtures(predict, start, end, groups):
    """Predictions (rows, 2 ** groups) of all mixtures of two matrices, one matrix after the other."""
    values = np.empty((len(start), 2 ** len(groups)))
    for mask in range(values.shape[1]):
        mixed = start.copy()
        for place, columns in enumerate(groups):
            if mask >> place & 1:
                mixed[:, columns] = end[:, columns]
        values[:, mask] = predict(mixed)
    return values


def explain(pipeline, typical, rows):
    """As ``context.explain_context``."""
    usual, own = (
        np.asarray(pipeline[:-1].transform(part), float) for part in (typical.rows(rows), model_input(rows))
    )
    mixtures = build_mixtures(pipeline[-1].predict, usual, own, GROUP_COLUMNS)
    typical_dps, expected_dps = np.rint(np.exp(mixtures[:, 0])), np.rint(np.exp(mixtures[:, -1]))
    scale = logarithmic_mean(np.maximum(expected_dps, 1), np.maximum(typical_dps, 1))
    parts = mixtures @ shapley_shares(len(ALL_GROUPS)) * scale[:, None]
    whole = np.rint(parts)
    left = expected_dps - typical_dps - whole.sum(axis=1)
    whole[np.arange(len(whole)), np.abs(parts).argmax(axis=1)] += left
    found = pd.DataFrame(whole, index=rows.index, columns=list(ALL_GROUPS))
    return found.assign(typical_dps=typical_dps).astype("Int64")


def predict(model, frame):
    """As ``FittedModel.predict``."""
    reason = model.domain.refusals(frame)
    found = pd.DataFrame(index=frame.index, columns=FIGURES, dtype=float)
    rows = frame[reason.isna()]
    if len(rows):
        expected = model.pipeline.predict(model_input(rows))
        low, high = model.intervals.around(expected, rows["spec_name"])
        found.loc[rows.index] = np.exp(np.column_stack([expected, low, high]))
    return found.assign(refusal_reason=reason)


def build_players(builds):
    """Rows as ``build_features`` reads them: each build (a dict as it is sent) with its party is a fight."""
    rows = []
    for n, build in enumerate(builds):
        at = datetime.fromisoformat(build["fight_started_at"]).astimezone(UTC)
        region = build.get("region", "unknown")
        week_us = week_start_us(round(at.timestamp() * 1e6), int(region == "KR"))
        gate = resolve_named_gate(build["raid_name"], build["gate_name"])
        difficulty = build["difficulty"]
        fight = {
            "encounter_id": f"build {n:04}",
            "fight_id": f"build {n:04}",
            "is_counted": True,
            "is_cleared": True,
            "fight_date": at.date(),
            "fight_started_at": at,
            "week_started_at": pd.Timestamp(week_us, unit="us", tz="UTC"),
            "duration_s": 1,
            "intermission_ms": 0,
            "raid_name": gate.raid_name or build["raid_name"],
            "gate_name": gate.gate_name or build["gate_name"],
            "difficulty": resolve_difficulty(difficulty, raid_name=gate.raid_name) or difficulty,
            "measurement_rules": measurement_rules("999.0.0", figure="dps"),
            "region": region,
            "is_name_known": False,
            "is_dead": False,
            "dps": np.nan,
            "item_level_bracket": None,
        }
        optional = [
            "item_level",
            "combat_power",
            "is_uploader",
            "is_ark_passive_active",
            *(c.name for c in UPTIMES),
        ]
        for seat, one in enumerate([build, *build.get("party", [])]):
            class_name = resolve_class(one["class_name"]) or one["class_name"]
            spec = resolve_spec(one["spec_name"], class_name)
            spec_name = spec.name if spec else one["spec_name"]
            rows.append(
                {
                    **fight,
                    "player_name": f"seat {seat:02}",
                    "class_name": class_name,
                    "spec_name": spec_name,
                    "is_support": is_support(spec_name, class_name),
                    **{name: one.get(name) for name in optional},
                }
            )
    frame = pd.DataFrame(rows)
    for name in ("fight_started_at", "week_started_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
    return frame


def features_of_builds(builds):
    """The model's features of each build, in their order."""
    rows = build_features(build_players(builds))
    return rows[rows["player_name"] == "seat 00"].sort_values("encounter_id").reset_index(drop=True)


def predict_builds(model, builds):
    """The expected API response of each build."""
    rows = features_of_builds(builds)
    supports = rows["is_support"].eq(True).to_numpy(bool, na_value=False)
    found = predict(model, rows)
    reason = found["refusal_reason"].where(~supports, "support")
    answered = reason.isna()
    parts = pd.DataFrame(index=rows.index, columns=["typical_dps", *ALL_GROUPS])
    if answered.any() and model.typical.of_gate:
        parts = explain(model.pipeline, model.typical, rows[answered]).reindex(rows.index)
    found_rows = []
    for n in rows.index:
        figures = {name: _whole(found.loc[n, name]) if answered[n] else None for name in FIGURES}
        figures |= {name: _whole(parts.loc[n, name]) for name in ["typical_dps", *ALL_GROUPS]}
        found_rows.append({"refusal_reason": None if answered[n] else reason[n], **figures})
    return found_rows


def _whole(value):
    return None if pd.isna(value) else round(float(value))
