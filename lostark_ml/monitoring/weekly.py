"""Weekly metrics of the predictions, and problems of the active champion.

Only fights that the model had not seen are measured, overall and by slice, with standard errors clustered
by fight. ``find_problems`` checks the newest week: error, bias, interval, specs, refusals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import stats

from lostark_assets.contracts.expectations import Finding
from lostark_assets.contracts.ml import ML_DPS_MONITORING
from lostark_assets.ledger import ReportedProblem
from lostark_assets.stats.robust import share_bounds
from lostark_assets.stats.weeks import WEEK_US, WESTERN_RESET_US
from lostark_ml.model.evaluation import measure_predictions
from lostark_ml.monitoring.drift import COLUMNS, Change, DriftPolicy, measure_drift

OVERALL = "overall"
SPEC_ON_GATE = "spec_on_gate"
SLICES = (OVERALL, "gate_difficulty", "spec_name", "item_level_bracket", "uploader", SPEC_ON_GATE)
_JOIN = " · "
_NO_CHAMPION = "no_champion"
_Z = 3.0

ProblemKind = Literal["degraded", "bias", "coverage_lost", "drift", "refusals"]
RULES: dict[ProblemKind, str] = {
    "degraded": "error_is_what_the_champion_promised",
    "bias": "level_of_expected_dps_is_right",
    "coverage_lost": "intervals_hold_their_share",
    "drift": "specs_keep_to_what_is_expected_of_them",
    "refusals": "refusals_are_as_rare_as_before",
}
"""Kind of problem, and the claim that it breaks."""
_FIGURES = {"degraded": "error", "bias": "level", "coverage_lost": "interval", "refusals": "refusals"}


@dataclass(frozen=True)
class MonitoringPolicy:
    """When a figure of the newest week is a problem: by a margin, and beyond chance at ``certainty``.

    Shares of 1, except ``bias_limit`` (log) and the fewest of rows and fights.
    """

    min_fights: int = 30
    certainty: float = 0.99
    mape_margin: float = 0.02
    bias_limit: float = 0.06
    interval_level: float = 0.9
    coverage_margin: float = 0.02
    slice_coverage: float = 0.85
    slice_rows: int = 100
    refusals_step: float = 0.05
    refusals_factor: float = 2.0
    refusals_without_past: float = 0.5
    reference_weeks: int = 4
    drift: DriftPolicy = field(default_factory=DriftPolicy)


@dataclass(frozen=True)
class EvaluatedChampion:
    """What the champion reached in its own evaluation."""

    model_version: int
    mape: float


@dataclass(frozen=True)
class ModelProblem:
    """One problem of the model's predictions. ``what`` says expected against found, with n."""

    kind: ProblemKind
    subject: str
    what: str
    likely_cause: str
    since: datetime


def game_week(week_started_at: pd.Series) -> pd.Series:
    """One instant for all regions' resets of a week: the western one, which comes hours after Korea's."""
    micros = week_started_at.dt.tz_convert(None).to_numpy("datetime64[us]").astype(np.int64)
    nearest = np.rint((micros - WESTERN_RESET_US) / WEEK_US).astype(np.int64) * WEEK_US + WESTERN_RESET_US
    return pd.Series(nearest.astype("datetime64[us]"), index=week_started_at.index).dt.tz_localize("UTC")


def measure_weeks(
    expected: pa.Table | pd.DataFrame,
    weeks: Iterable[datetime] | None = None,
    policy: MonitoringPolicy | None = None,
    *,
    model_version: int | None = None,
) -> pa.Table:
    """``ml_dps_monitoring`` of ``weeks`` (all that there are, by default).

    Args:
        expected: rows of ``ml_expected_dps``: those weeks, and for drift the four before each.
        weeks: resets, as :func:`game_week` gives them.
        policy: its ``drift`` part is used.
        model_version: measure only what this version said, to judge it; drift compares with all before.
    """
    policy = policy or MonitoringPolicy()
    rows = _select_evaluable(expected)
    measured = rows if model_version is None else rows[rows["model_version"].eq(model_version)]
    found = []
    for week in sorted(rows["week_started_at"].unique() if weeks is None else set(weeks)):
        drift = measure_drift(_drift_rows(rows, measured, week), week, policy.drift)
        changes = {(OVERALL, OVERALL): drift.overall} | {
            (SPEC_ON_GATE, _JOIN.join(cell)): change for cell, change in drift.cells.items()
        }
        found += _measure_week(measured[measured["week_started_at"] == week], week, changes)
    return ML_DPS_MONITORING.conform(pa.Table.from_pylist(found, schema=ML_DPS_MONITORING.schema))


def find_problems(
    table: pa.Table | pd.DataFrame,
    promised: EvaluatedChampion | None = None,
    policy: MonitoringPolicy | None = None,
) -> list[ModelProblem]:
    """What is wrong in the newest week of ``ml_dps_monitoring`` that has enough fights; worst kinds first.

    Without ``promised`` the error itself is not judged.
    """
    policy = policy or MonitoringPolicy()
    frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    week = find_newest_week(frame, policy)
    if week is None:
        return []
    now = frame[frame["week_started_at"] == week]
    overall = now[now["slice"] == OVERALL].to_dict("records")[0]
    problems: list[ModelProblem] = []
    if promised is not None:
        problems += _find_degraded(overall, promised, policy)
    problems += _find_biased(overall, policy)
    problems += _find_coverage_lost(overall, now, policy)
    problems += _find_drifting(now)
    return problems + _find_refusing(overall, _weeks_before(frame, week, policy), policy)


def find_newest_week(table: pd.DataFrame, policy: MonitoringPolicy) -> datetime | None:
    """The newest week with enough fights, answered or refused, to say anything."""
    overall = table[table["slice"] == OVERALL]
    enough = overall[(overall["fights"] >= policy.min_fights) | (overall["refused"] >= policy.slice_rows)]
    return None if enough.empty else enough["week_started_at"].max()


def build_findings(problems: Sequence[ModelProblem], table: pa.Table | pd.DataFrame) -> list[Finding]:
    """One finding for each rule, kept or broken, for asset checks; ``checked`` counts slices checked."""
    frame = table if isinstance(table, pd.DataFrame) else table.to_pandas()
    findings = []
    for kind, rule in RULES.items():
        mine = [p for p in problems if p.kind == kind]
        worst = [{"subject": p.subject, "what": p.what} for p in mine]
        findings.append(Finding(rule, "warn", len(frame), len(mine), worst))
    return findings


def build_reports(problems: Sequence[ModelProblem]) -> dict[str, list[ReportedProblem]]:
    """``problems`` as the ledger takes them, by kind of alert; a kind that is well has none."""
    reports: dict[str, list[ReportedProblem]] = {"model_degraded": [], "model_drift": []}
    for problem in problems:
        kind = "model_drift" if problem.kind == "drift" else "model_degraded"
        subject = _FIGURES.get(problem.kind, problem.subject)
        if kind == "model_degraded" and problem.subject != OVERALL:
            subject = f"{subject} of {problem.subject}"
        reports[kind].append(
            ReportedProblem(kind, subject, problem.what, problem.likely_cause, problem.since)
        )
    return reports


# Measuring -----------------------------------------------------------------------------------------


def _select_evaluable(expected: pa.Table | pd.DataFrame) -> pd.DataFrame:
    """Population rows that a model predicted and was not trained on, with the columns of the slices."""
    frame = expected if isinstance(expected, pd.DataFrame) else expected.to_pandas()
    is_seen = frame["is_seen_in_training"].astype("boolean").fillna(value=False)
    is_requested = frame["is_population"].astype(bool) & ~is_seen & frame["refusal_reason"].ne(_NO_CHAMPION)
    rows = frame[is_requested & (frame["dps"].astype(float) > 0)]
    numbers = {
        name: rows[name].astype(float)
        for name in ("dps", "expected_dps", "expected_dps_low", "expected_dps_high")
    }
    expected_log = np.log(np.maximum(numbers["expected_dps"], 1.0))
    log_dps = np.log(numbers["dps"])
    return rows.assign(
        **numbers,
        week_started_at=game_week(rows["week_started_at"]),
        log_dps=log_dps,
        expected_log_dps=expected_log,
        residual_log=log_dps - expected_log,
        is_answered=rows["refusal_reason"].isna() & numbers["expected_dps"].notna(),
        uploader=rows["is_uploader"].map({True: "uploader", False: "other"}).fillna("unknown"),
        item_level_bracket=rows["item_level_bracket"].fillna("unknown"),
        **{OVERALL: OVERALL, SPEC_ON_GATE: rows["spec_name"] + _JOIN + rows["gate_difficulty"]},
    )


def _drift_rows(rows: pd.DataFrame, measured: pd.DataFrame, week: datetime) -> pd.DataFrame:
    """The week as one version predicted it, and the weeks before as the active versions did."""
    before, now = rows[rows["week_started_at"] < week], measured[measured["week_started_at"] == week]
    both = pd.concat([before, now])
    return both.loc[both["is_answered"], COLUMNS]


def _measure_week(
    rows: pd.DataFrame, week: datetime, changes: Mapping[tuple[str, str], Change]
) -> list[dict[str, Any]]:
    found = []
    for name in SLICES:
        for value, part in rows.groupby(name, observed=True, sort=True):
            answered = part[part["is_answered"]]
            measures = vars(measure_predictions(answered)) | _standard_errors(answered)
            row: dict[str, Any] = {
                "week_started_at": week,
                "slice": name,
                "value": value,
                "refused": len(part),
            }
            row |= {key: _number(value) for key, value in measures.items()}
            row["refused"] -= len(answered)
            found.append(row | _drift_columns(changes.get((name, str(value)))))
    return found


def _drift_columns(change: Change | None) -> dict[str, Any]:
    if change is None:
        return {}
    return {
        "drift_log": _number(change.log),
        "drift_p_value": _number(change.p_value),
        "drift_fights": change.reference_fights,
        "is_drifting": change.is_drifting,
    }


def _standard_errors(rows: pd.DataFrame) -> dict[str, float]:
    """Of the means over players, where whole fights are what chance draws; NaN below two fights."""
    inside = rows["dps"].between(rows["expected_dps_low"], rows["expected_dps_high"])
    values = {
        "mape_se": np.abs(np.expm1(-rows["residual_log"])),
        "bias_log_se": -rows["residual_log"],
        "coverage_se": inside.astype(float),
    }
    fight = pd.factorize(rows["fight_id"])[0]
    return {name: _clustered_se(of.to_numpy(), fight) for name, of in values.items()}


def _clustered_se(values: np.ndarray, fight: np.ndarray) -> float:
    """What resampling whole fights would give for the mean, in its linear form."""
    fights = int(fight.max()) + 1 if len(fight) else 0
    if fights < 2:
        return np.nan
    sums = np.bincount(fight, values - values.mean())
    return float(np.sqrt((sums**2).sum() * fights / (fights - 1)) / len(values))


def _number(value: float) -> float | int | None:
    """Null is what there is no figure for."""
    return None if isinstance(value, float) and not np.isfinite(value) else value


# Judging -------------------------------------------------------------------------------------------


def _margin_of_error(row: Mapping[Any, Any], policy: MonitoringPolicy) -> Callable[[str], float]:
    """How far a figure of the row may be off by chance."""
    freedom = max(row["fights"] - 1, 1)
    quantile = float(stats.t.ppf(policy.certainty, freedom))
    return lambda name: quantile * row[f"{name}_se"]


def _since(row: Mapping[Any, Any]) -> datetime:
    return pd.Timestamp(row["week_started_at"]).to_pydatetime()


def _players(row: Mapping[Any, Any]) -> str:
    return f"{row['rows']:,.0f} players in {row['fights']:,.0f} fights"


def _find_degraded(
    row: Mapping[Any, Any], promised: EvaluatedChampion, policy: MonitoringPolicy
) -> list[ModelProblem]:
    limit = promised.mape + policy.mape_margin
    if not row["mape"] - _margin_of_error(row, policy)("mape") > limit:
        return []
    return [
        ModelProblem(
            "degraded",
            OVERALL,
            f"the mean error is {row['mape']:.1%} of {_players(row)}; version {promised.model_version} "
            f"promised {promised.mape:.1%}, expected at most {limit:.1%}",
            "the game has moved on since it was trained, or the logs measure something else now",
            _since(row),
        )
    ]


def _find_biased(row: Mapping[Any, Any], policy: MonitoringPolicy) -> list[ModelProblem]:
    bias = row["bias_log"]
    if not abs(bias) - _margin_of_error(row, policy)("bias_log") > policy.bias_limit:
        return []
    direction = "above" if bias > 0 else "below"
    return [
        ModelProblem(
            "bias",
            OVERALL,
            f"expected DPS lies {abs(np.expm1(bias)):.1%} {direction} what {_players(row)} reached, "
            f"expected at most {policy.bias_limit:.0%}",
            "everybody deals more or less since a patch, a new item-level step, or a pause of training",
            _since(row),
        )
    ]


def _find_coverage_lost(
    overall: Mapping[Any, Any], now: pd.DataFrame, policy: MonitoringPolicy
) -> list[ModelProblem]:
    problems = []
    off = abs(overall["coverage"] - policy.interval_level)
    if off > policy.coverage_margin and _coverage_p_value(overall, policy.interval_level, "two-sided") < (
        1 - policy.certainty
    ):
        problems.append(
            _build_coverage_problem(OVERALL, overall, policy.interval_level, policy.coverage_margin)
        )
    slices = now[now["slice"].isin(("gate_difficulty", "spec_name")) & (now["rows"] >= policy.slice_rows)]
    for row in slices.to_dict("records"):
        is_low = row["coverage"] < policy.slice_coverage
        chance = _coverage_p_value(row, policy.slice_coverage, "less") * len(slices)
        if is_low and chance < 1 - policy.certainty:
            problems.append(_build_coverage_problem(row["value"], row, policy.slice_coverage, 0.0))
    return problems


def _build_coverage_problem(
    subject: str, row: Mapping[Any, Any], level: float, margin: float
) -> ModelProblem:
    expected = f"expected {level:.0%} ± {margin:.0%}" if margin else f"expected at least {level:.0%}"
    return ModelProblem(
        "coverage_lost",
        subject,
        f"the interval holds {row['coverage']:.1%} of {_players(row)} ({subject}); {expected}",
        "errors are of another size than those that the interval was made from: a patch, or other players",
        _since(row),
    )


def _coverage_p_value(row: Mapping[Any, Any], level: float, side: Literal["two-sided", "less"]) -> float:
    """Binomial, on the effective number of independent players."""
    share, rows, se = row["coverage"], int(row["rows"]), row["coverage_se"]
    # Without spread the error is unknown, not 0: then a fight counts as one player.
    worth = share * (1 - share) / se**2 if se > 0 and 0 < share < 1 else row["fights"]
    n = max(int(min(worth, rows)), 1)
    return float(stats.binomtest(round(share * n), n, level, side).pvalue)


def _find_drifting(now: pd.DataFrame) -> list[ModelProblem]:
    """One problem a spec, however many gates it drifts on."""
    cells = now[(now["slice"] == SPEC_ON_GATE) & now["is_drifting"].eq(other=True)]
    problems = []
    for spec, rows in cells.groupby(cells["value"].str.split(_JOIN).str[0]):
        named = [
            f"{row['value'].split(_JOIN)[1]} {np.expm1(row['drift_log']):+.1%} ({row['fights']:,} fights "
            f"against {row['drift_fights']:,.0f}, p {row['drift_p_value']:.1g})"
            for row in rows.sort_values("fights", ascending=False).to_dict("records")
        ]
        more = f" and {len(named) - 3} more gates" if len(named) > 3 else ""
        problems.append(
            ModelProblem(
                "drift",
                str(spec),
                f"{spec} changed against what is expected of it and against the four weeks before: "
                f"{'; '.join(named[:3])}{more}",
                "a balance patch of this spec, a new build, or other players of it",
                _since(now.iloc[0].to_dict()),
            )
        )
    return problems


def _weeks_before(frame: pd.DataFrame, week: datetime, policy: MonitoringPolicy) -> pd.DataFrame:
    first = pd.Timestamp(week) - timedelta(weeks=policy.reference_weeks)
    at = frame["week_started_at"]
    return frame[(frame["slice"] == OVERALL) & (at < week) & (at >= first)]


def _find_refusing(
    row: Mapping[Any, Any], before: pd.DataFrame, policy: MonitoringPolicy
) -> list[ModelProblem]:
    """The share of refused players has at least doubled, clearly; without a past, most are refused."""
    players = int(row["rows"] + row["refused"])
    share, low = row["refused"] / players, share_bounds(int(row["refused"]), players, _Z)[0]
    players_before = int(before["rows"].sum() + before["refused"].sum())
    if players_before:
        refused_before = int(before["refused"].sum())
        usual, high = refused_before / players_before, share_bounds(refused_before, players_before, _Z)[1]
        has_jumped = low > high and share > max(policy.refusals_factor * usual, usual + policy.refusals_step)
        expected = f"before: {usual:.1%} of {players_before:,}"
    else:
        has_jumped, expected = low > policy.refusals_without_past, "nothing to compare with yet"
    if not has_jumped:
        return []
    return [
        ModelProblem(
            "refusals",
            OVERALL,
            f"the model says nothing of {share:.1%} of {players:,} players ({expected})",
            "a new gate, class or item-level step that training never saw: it needs their fights",
            _since(row),
        )
    ]
