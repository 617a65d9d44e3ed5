"""The model card: the Markdown description of a model version, for reviewers.

MLflow keeps at most 5,000 characters: slices with the smallest errors are dropped first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lostark_assets.contracts.ml import EXCLUSIONS
from lostark_assets.markdown import markdown_table
from lostark_ml.model.evaluation import MODEL, Evaluation, Metrics
from lostark_ml.model.leakage import MAX_ID_GAIN, MAX_SHUFFLED_R2, LeakageReport
from lostark_ml.model.training import FittedModel
from lostark_ml.registry.names import CHAMPION
from lostark_ml.registry.promotion import PromotionDecision, SliceChange

MAX_CHARACTERS = 4900
"""Below the 5,000 characters of MLflow's column; characters, not bytes, so Korean counts as Latin."""
SLICE_ROWS = 100
SLICE_NAMES = ("gate_difficulty", "spec_name", "item_level_bracket", "uploader", "character")
MAX_REASONS = 6
MAX_REASON = 260
CUT = "\n\n… cut to fit; the run's artifacts hold the rest."
WHAT = (
    "The DPS that a player of this spec is expected to reach at this gate, from what is known before and "
    "around the fight: item level, combat power, party and supports, earlier fights of the character, week "
    "of the season. Never from what the fight itself made."
)
REFUSES = (
    "a class, spec, gate or difficulty that it never saw, and item level or combat power outside of what it "
    "saw, with the reason"
)
LIMITS = (
    "Public logs: cleared fights that a player chose to upload. Not every player, no wipes.",
    "Builds beyond spec, item level and combat power (engravings, gems) are not read.",
    "It ages within weeks: DPS rises all season, and a balance patch moves specs at once.",
    "It predicts dealers who stay alive. For the dead it predicts what they would reach alive.",
    "No causes: parts of the gap are associations, measured between players of one fight.",
)


@dataclass(frozen=True)
class CardInputs:
    """Everything that a card contains.

    ``exclusions`` counts rows by reason; ``versions`` are Delta versions of the tables by name; ``trigger``
    says why it was trained.
    """

    model: FittedModel
    evaluation: Evaluation
    decision: PromotionDecision | None
    exclusions: Mapping[str, int]
    versions: Mapping[str, int | None]
    code_version: str
    leaks: LeakageReport | None = None
    trigger: str = ""


def build_model_card(inputs: CardInputs) -> str:
    """The card, at most ``MAX_CHARACTERS`` characters."""
    head, tail = _build_head(inputs), _build_tail(inputs)
    rows = _build_slice_rows(inputs)
    shown = len(rows)
    card = _assemble(head, rows, shown, tail)
    while len(card) > MAX_CHARACTERS and shown:
        shown -= 1
        card = _assemble(head, rows, shown, tail)
    return truncate(card)


def truncate(text: str) -> str:
    """At most ``MAX_CHARACTERS`` characters, and where the rest is."""
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - len(CUT)] + CUT


def _assemble(head: str, rows: list[dict[str, str]], shown: int, tail: str) -> str:
    if not rows:
        return f"{head}\n\n{tail}"
    left = len(rows) - shown
    more = f"\n\n{left} slices with a smaller error are left out here." if left else ""
    table = f"\n\n{markdown_table(rows[:shown])}" if shown else ""
    return f"{head}\n\n## Slices, worst first{table}{more}\n\n{tail}"


def _build_head(inputs: CardInputs) -> str:
    model, test = inputs.model, inputs.evaluation
    parts = [
        "# Expected DPS · 기대 DPS",
        WHAT,
        f"Trained on **{model.trained_rows:,} players of {model.trained_fights:,} fights** before "
        f"{model.cutoff:%Y-%m-%d %H:%M} UTC" + (f", because: {inputs.trigger}." if inputs.trigger else "."),
        _describe_decision(inputs.decision),
        f"## Test: {test.cutoff:%Y-%m-%d} to {test.until:%Y-%m-%d}, fights never seen",
        markdown_table(_build_test_rows(inputs)),
    ]
    return "\n\n".join(parts)


def _describe_decision(decision: PromotionDecision | None) -> str:
    if decision is None:
        return "## Decision: none yet\n\nIt was not compared with a champion."
    title = "promote" if decision.promote else "do not promote"
    reasons = [f"- {_shorten(reason.text)}" for reason in decision.reasons[:MAX_REASONS]]
    more = len(decision.reasons) - len(reasons)
    lines = [*reasons, *([f"- and {more} more reasons"] if more else [])]
    policy = decision.policy
    rule = (
        f"Rule: MAPE lower by more than {_points(policy.margin)} in {policy.confidence:.0%} of resamples of "
        "fights, and no slice with enough rows worse than its limit."
    )
    return f"## Decision: {title}\n\n" + "\n".join(lines) + f"\n\n{rule}"


def _build_test_rows(inputs: CardInputs) -> list[dict[str, str]]:
    rows = []
    for name, m in inputs.evaluation.overall.items():
        rows.append({"": "**this model**" if name == MODEL else name, **_format_metrics(m)})
    comparisons = inputs.decision.comparisons if inputs.decision else ()
    rows += [
        {
            "": "champion (rows that both answer)",
            **dict.fromkeys(_format_metrics(inputs.evaluation.model), ""),
            "players": f"{c.rows:,}",
            "MAPE": _format_percent(c.mape_of_other),
        }
        for c in comparisons
        if c.against == CHAMPION
    ]
    return rows


def _format_metrics(m: Metrics) -> dict[str, str]:
    return {
        "players": f"{m.rows:,}",
        "MAPE": _format_percent(m.mape),
        "median": _format_percent(m.median_ape),
        "MAE": "" if np.isnan(m.mae) else f"{m.mae / 1e6:.1f}M",
        "R² log": "" if np.isnan(m.r2_log) else f"{m.r2_log:.2f}",
        "bias": _format_percent(m.bias_log),
        "in interval": _format_percent(m.coverage),
        "width": _format_percent(m.width),
    }


def _build_slice_rows(inputs: CardInputs) -> list[dict[str, str]]:
    table = inputs.evaluation.slices
    changes = {(c.slice, c.value): c for c in (inputs.decision.slices if inputs.decision else ())}
    table = table[table["slice"].isin(SLICE_NAMES) & (table["rows"] >= SLICE_ROWS)]
    rows = [
        (changes.get((row["slice"], str(row["value"]))), row)
        for row in table.sort_values("mape", ascending=False).to_dict("records")
    ]
    rows.sort(key=lambda one: one[0] is None or not one[0].exceeds_limit)
    found = []
    for change, row in rows:
        found.append(
            {
                "slice": f"{row['value']} ({_name_slice(row['slice'])})",
                "players": f"{row['rows']:,}",
                "MAPE": _format_percent(row["mape"]),
                "against champion (+ worse)": "" if change is None else _format_change(change),
                "bias": _format_percent(row["bias_log"]),
                "in interval": _format_percent(row["coverage"]),
            }
        )
    return found


def _format_change(change: SliceChange) -> str:
    mark = " **too much**" if change.exceeds_limit else ""
    return f"{100 * change.worse:+.2f}{mark}"


def _build_tail(inputs: CardInputs) -> str:
    model = inputs.model
    versions = ", ".join(
        f"{name} {'-' if version is None else version}" for name, version in sorted(inputs.versions.items())
    )
    slopes = ", ".join(
        f"{name.removeprefix('gap_').removesuffix('_dps')} {slope:.2f}"
        for name, slope in model.gap.slopes.items()
    )
    lines = {
        "Snapshot (Delta versions)": f"{versions or 'unknown'}; code {inputs.code_version}",
        "Left out": _format_counts({EXCLUSIONS.get(why, why): n for why, n in inputs.exclusions.items()}),
        "Interval": f"{model.intervals.level:.0%}, conformal, from {model.intervals.rows:,} errors of "
        "forecasts of the newest weeks; specs have their own ends, shrunk to all",
        "Leak tests": _describe_leakage(inputs.leaks),
        "Gap, log DPS by unit of crit rate, positional rate, log casts, log living time": slopes
        or "too few logs have the figures; the gap stays unexplained",
        "Refuses": f"{REFUSES}; in the test: {_format_counts(inputs.evaluation.refused)}",
    }
    method = "\n".join(f"- {name}: {text}." for name, text in lines.items())
    limits = "\n".join(f"- {limit}" for limit in LIMITS)
    return f"## Data and method\n\n{method}\n\n## Known limits\n\n{limits}"


def _describe_leakage(leaks: LeakageReport | None) -> str:
    if leaks is None:
        return "not run"
    verdict = "clean" if leaks.is_clean else "**NOT CLEAN**"
    return (
        f"{verdict}: R² of shuffled DPS {leaks.shuffled_r2:.3f} (at most {MAX_SHUFFLED_R2}), gain by a "
        f"random id {_points(leaks.id_gain)} (at most {_points(MAX_ID_GAIN)})"
    )


def _format_counts(rows: Mapping[str, int]) -> str:
    """Counts by reason, the largest first."""
    ordered = sorted(rows.items(), key=lambda one: -one[1])
    return ", ".join(f"{n:,} {why}" for why, n in ordered) or "none"


def _name_slice(slice_name: str) -> str:
    return {"gate_difficulty": "gate", "spec_name": "spec", "item_level_bracket": "item level"}.get(
        slice_name, slice_name
    )


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 1] + "…"


def _format_percent(fraction: float) -> str:
    return "" if np.isnan(fraction) else f"{100 * fraction:.1f} %"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.2f} points"
