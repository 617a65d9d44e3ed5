"""Life cycle of a challenger: training set, training, evaluation, promotion.

Each step reads what the step before left in the lake and the registry, so it can be repeated after a crash.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

import pandas as pd
import pyarrow as pa

from lostark_assets.contracts.expectations import Finding, examine_or_raise
from lostark_assets.contracts.ml import ML_DPS_EVALUATION, ML_TRAINING_SET
from lostark_assets.contracts.stats import STATS_PLAYER_DPS
from lostark_assets.errors import PermanentError
from lostark_assets.lake.tables import Lake
from lostark_ml.features.columns import MODEL_FEATURES
from lostark_ml.features.training_set import (
    SOURCES,
    build_training_set,
    count_exclusions,
    model_input,
    read_players,
)
from lostark_ml.model.charts import draw_all
from lostark_ml.model.evaluation import MODEL, SLICES, Evaluation, Metrics, evaluate, measure_by_slice
from lostark_ml.model.gap_parts import EXECUTION, KEY
from lostark_ml.model.importance import measure_importance
from lostark_ml.model.leakage import LeakageReport, measure_leakage
from lostark_ml.model.training import FittedModel, TooFewRows, TrainingConfig, fit
from lostark_ml.registry.aliases import AliasChange, set_alias
from lostark_ml.registry.model_card import CardInputs, build_model_card
from lostark_ml.registry.model_registry import ModelRegistry, ModelVersion, Submission, get_code_version
from lostark_ml.registry.names import CHALLENGER, CHAMPION, SNAPSHOT_TAG, TRAINING_SET_TAG
from lostark_ml.registry.promotion import (
    PromotionDecision,
    PromotionPolicy,
    decide_promotion,
    predict_holdout,
)

TRAINING_SET = ML_TRAINING_SET.name
GATE = "promotion gate"
PROMOTE_TAG, DECISION_TAG, AGAINST_TAG = "promote", "decision", "decided_against_version"
FIGHTS_TAG, CUTOFF_TAG, UNTIL_TAG = "population_fights", "cutoff_at", "until_at"
BASELINE_PREFIX = "baseline."
"""What a run's metrics of baselines begin with; those without are the model's own."""
LEAK_WINDOW = timedelta(weeks=8)
"""Leak tests train four models more: on fights since the day that is so long before the cutoff."""
_OVERALL = "overall"
_MOMENT = timedelta(microseconds=1)


class ChallengerNotReady(PermanentError):
    """There is no challenger, or it was not evaluated."""


@dataclass(frozen=True)
class LifecyclePolicy:
    """How models are made and chosen. ``holdout_fights`` are kept from training, to test on."""

    training: TrainingConfig = field(default_factory=TrainingConfig)
    promotion: PromotionPolicy = field(default_factory=PromotionPolicy)
    holdout_fights: int = 150


@dataclass(frozen=True)
class TrainingSetRun:
    """The training set as it was committed: ``version`` names it, ``sources`` what it was made from."""

    version: int
    sources: Mapping[str, int | None]
    rows: int
    population: int
    fights: int
    exclusions: Counter[str]
    findings: list[Finding]


@dataclass(frozen=True)
class ChallengerEvaluation:
    """A challenger's test."""

    version: int
    champion_version: int | None
    evaluation: Evaluation
    decision: PromotionDecision


@dataclass(frozen=True)
class AppliedDecision:
    """What the decision led to: ``change`` where the challenger was promoted, and the reason."""

    version: int
    change: AliasChange | None
    why: str


def refresh_training_set(lake: Lake) -> TrainingSetRun:
    """Build the training set from the newest snapshot, and commit it with the versions that it is from.

    Raises:
        ContractViolated: a rule is broken; the training set stays as it was.
    """
    with lake.lock(TRAINING_SET):
        made = build_training_set(lake)
        table = made.table()
        findings = examine_or_raise(ML_TRAINING_SET, table)
        lake.replace_all(ML_TRAINING_SET, table, metadata={name: str(v) for name, v in made.versions.items()})
        version = lake.version(TRAINING_SET)
    population = made.population
    return TrainingSetRun(
        version=-1 if version is None else version,
        sources=made.versions,
        rows=table.num_rows,
        population=len(population),
        fights=population["fight_id"].nunique(),
        exclusions=made.exclusions,
        findings=findings,
    )


def read_training_set(lake: Lake, version: int) -> pd.DataFrame:
    """The training set as of that version: what a model of it learnt from, exactly, and in one order."""
    rows = lake.read(TRAINING_SET, version=version)
    return rows.sort_by([(name, "ascending") for name in ("fight_started_at", *KEY)]).to_pandas()


def choose_cutoff(frame: pd.DataFrame, policy: LifecyclePolicy) -> datetime:
    """The newest weekly reset with enough fights after it to test on, and enough rows before it to learn.

    Raises:
        TooFewRows: there is none.
    """
    population = frame[frame["exclusion_reason"].isna()]
    at = population["fight_started_at"]
    resets = sorted(population["week_started_at"].unique(), reverse=True)
    for reset in resets:
        later = population[at >= reset]["fight_id"].nunique()
        rows = int((at < reset).sum())
        if later >= policy.holdout_fights and rows >= policy.training.fewest_rows:
            return pd.Timestamp(reset).to_pydatetime()
    raise TooFewRows(
        f"expected a weekly reset with {policy.training.fewest_rows:,} rows before it to learn from and "
        f"{policy.holdout_fights} fights after it to test on, found none in {len(population):,} rows of "
        f"{population['fight_id'].nunique():,} fights. No model was trained. Collect more fights."
    )


def train_challenger(
    lake: Lake, registry: ModelRegistry, policy: LifecyclePolicy, tags: Mapping[str, str], now: datetime
) -> ModelVersion:
    """Train on the newest training set, test against the baselines, register, and make it the challenger.

    ``tags`` say why it is trained; they go to run and version.

    Raises:
        TooFewRows: there is not enough to learn from or to test on.
        RegistryUnavailable: nothing was registered.
    """
    version = _get_training_set_version(lake)
    sources = {name: int(v) for name, v in lake.commit_metadata(TRAINING_SET, version).items() if v.isdigit()}
    frame = read_training_set(lake, version)
    cutoff = choose_cutoff(frame, policy)
    execution = lake.read(
        STATS_PLAYER_DPS.name, columns=[*KEY, *EXECUTION], version=sources.get(STATS_PLAYER_DPS.name)
    ).to_pandas()
    model = fit(frame, cutoff, policy.training, execution=execution)
    until = _get_end(frame)
    test = evaluate(model, frame, until)
    leaks = _measure_leakage(lake, sources, cutoff, until, policy.training)
    population = frame[frame["exclusion_reason"].isna()]
    submitted = registry.submit(
        model,
        Submission(
            params=_collect_parameters(model, policy),
            metrics=_collect_metrics(test, leaks),
            tables={"slices": test.slices, "exclusions": _build_exclusion_table(frame)},
            figures=_draw_figures(model, test),
            snapshot={TRAINING_SET: version, **sources},
            features=MODEL_FEATURES,
            tags={
                **tags,
                TRAINING_SET_TAG: str(version),
                CUTOFF_TAG: cutoff.isoformat(),
                UNTIL_TAG: until.isoformat(),
                FIGHTS_TAG: str(population["fight_id"].nunique()),
            },
            run_name=f"{cutoff:%Y-%m-%d} · {now:%Y-%m-%d %H:%M}",
            lake_url=lake.url,
        ),
        model_input(population.tail(5)),
    )
    why = tags.get("because", "trained by hand")
    set_alias(registry, lake, CHALLENGER, submitted.version, by="training", why=why, action="submit", now=now)
    return submitted


def evaluate_challenger(
    lake: Lake, registry: ModelRegistry, policy: LifecyclePolicy, now: datetime
) -> ChallengerEvaluation:
    """Test the challenger against champion and baselines; write decision and card to its version.

    Raises:
        NothingToDecide: there is no challenger.
    """
    entry = _get_challenger(registry)
    challenger = registry.load(entry)
    incumbent = registry.champion()
    if incumbent is not None and incumbent.version == entry.version:
        raise ChallengerNotReady(
            f"{registry.model_name}: version {entry.version} is champion already. Nothing was compared. "
            "Train a new challenger."
        )
    champion = None if incumbent is None else registry.load(incumbent)
    version = entry.training_set_version
    frame = read_training_set(lake, _get_training_set_version(lake) if version is None else version)
    until = _get_end(frame)
    figures = registry.metrics(entry)
    # A test that was not run does not count as clean.
    leaks = LeakageReport(*(figures.get(name, math.nan) for name in ("leak_shuffled_r2", "leak_id_gain")))
    test = predict_holdout(challenger, champion, frame, until)
    decision = decide_promotion(test, policy.promotion, leaks=leaks)
    evaluation = evaluate(challenger, frame, until)
    against = None if incumbent is None else incumbent.version
    rows = _build_challenger_rows(entry, challenger, evaluation, now)
    if champion is not None and incumbent is not None:
        rows += _build_champion_rows(entry, incumbent.version, champion, test.rows, evaluation, now)
    with lake.lock(ML_DPS_EVALUATION.name):
        _replace_evaluation_rows(lake, entry.run_id, rows)
    registry.tag(
        entry.version,
        {
            PROMOTE_TAG: "yes" if decision.promote else "no",
            DECISION_TAG: decision.summary,
            AGAINST_TAG: "none" if against is None else str(against),
            "decision_numbers": _dump_numbers(decision),
        },
    )
    registry.describe(
        entry.version,
        build_model_card(
            CardInputs(
                model=challenger,
                evaluation=evaluation,
                decision=decision,
                exclusions=count_exclusions(frame),
                versions=_read_snapshot(entry),
                code_version=entry.tags.get("code_version", get_code_version()),
                leaks=leaks,
                trigger=entry.tags.get("because", "trained by hand"),
            )
        ),
    )
    return ChallengerEvaluation(entry.version, against, evaluation, decision)


def apply_decision(lake: Lake, registry: ModelRegistry, now: datetime) -> AppliedDecision:
    """Promote the challenger if that was decided and the champion is still the one it was tested with.

    Raises:
        NothingToDecide: there is no challenger, or it was not evaluated.
    """
    entry = _get_challenger(registry)
    verdict, why = entry.tags.get(PROMOTE_TAG), entry.tags.get(DECISION_TAG, "")
    if verdict is None:
        raise ChallengerNotReady(
            f"{registry.model_name} version {entry.version}: expected a decision, found none. No alias was "
            "moved. Materialise ml_dps_evaluation first."
        )
    incumbent = registry.aliases().get(CHAMPION)
    if incumbent == entry.version:
        return AppliedDecision(entry.version, None, f"version {entry.version} is champion already")
    if verdict != "yes":
        return AppliedDecision(entry.version, None, why)
    tested_with = entry.tags.get(AGAINST_TAG)
    now_there = "none" if incumbent is None else str(incumbent)
    if tested_with != now_there:
        return AppliedDecision(
            entry.version,
            None,
            f"it was tested against version {tested_with}, and the champion is version {now_there} by now; "
            "evaluate it again",
        )
    change = set_alias(registry, lake, CHAMPION, entry.version, by=GATE, why=why, action="promote", now=now)
    return AppliedDecision(entry.version, change, why)


def _get_training_set_version(lake: Lake) -> int:
    version = lake.version(TRAINING_SET)
    if version is None:
        raise TooFewRows(
            f"{TRAINING_SET}: expected a training set in the lake, found none. Nothing was trained. "
            "Materialise it first."
        )
    return version


def _get_challenger(registry: ModelRegistry) -> ModelVersion:
    entry = registry.challenger()
    if entry is None:
        raise ChallengerNotReady(
            f"{registry.model_name}: expected a version under the alias {CHALLENGER}, found none. No alias "
            "was moved. Materialise ml_dps_challenger first."
        )
    return entry


def _get_end(frame: pd.DataFrame) -> datetime:
    population = frame[frame["exclusion_reason"].isna()]
    return pd.Timestamp(population["fight_started_at"].max()).to_pydatetime() + _MOMENT


def _measure_leakage(
    lake: Lake, sources: Mapping[str, int], cutoff: datetime, until: datetime, config: TrainingConfig
) -> LeakageReport:
    since = (cutoff - LEAK_WINDOW).date()
    players = read_players(lake, since=since, versions={name: sources.get(name) for name in SOURCES})
    return measure_leakage(players, cutoff, until, config)


def _build_exclusion_table(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(count_exclusions(frame).most_common(), columns=["reason", "rows"])


def _draw_figures(model: FittedModel, test: Evaluation) -> dict[str, bytes]:
    drawn = draw_all(test, measure_importance(model, test.predictions))
    return {name.removesuffix(".png"): image for name, image in drawn.items()}


def _collect_parameters(model: FittedModel, policy: LifecyclePolicy) -> dict[str, object]:
    training = asdict(policy.training)
    own = training.pop("model")
    return {
        "cutoff_at": model.cutoff.isoformat(),
        "trained_rows": model.trained_rows,
        "trained_fights": model.trained_fights,
        "holdout_fights": policy.holdout_fights,
        **{f"training.{name}": value for name, value in training.items()},
        **{f"model.{name}": value for name, value in own.items()},
    }


def _collect_metrics(test: Evaluation, leaks: LeakageReport) -> dict[str, float]:
    found = {
        f"{'' if predictor == MODEL else BASELINE_PREFIX + predictor.replace(' ', '_') + '.'}{name}": float(
            value
        )
        for predictor, metrics in test.overall.items()
        for name, value in vars(metrics).items()
    }
    return {
        **found,
        "leak_shuffled_r2": leaks.shuffled_r2,
        "leak_id_gain": leaks.id_gain,
        "refused": float(sum(test.refused.values())),
    }


def _build_challenger_rows(
    entry: ModelVersion, challenger: FittedModel, evaluation: Evaluation, now: datetime
) -> list[dict]:
    base = _build_base_columns(entry, challenger.cutoff, evaluation.until, now)
    rows = [
        base
        | {
            "predictor": CHALLENGER if name == MODEL else name,
            "predictor_version": entry.version if name == MODEL else None,
            "slice": _OVERALL,
            "value": _OVERALL,
            **vars(metrics),
        }
        for name, metrics in evaluation.overall.items()
    ]
    own = {"predictor": CHALLENGER, "predictor_version": entry.version}
    return rows + [base | own | _build_slice_columns(row) for row in evaluation.slices.to_dict("records")]


def _build_champion_rows(
    entry: ModelVersion,
    version: int,
    champion: FittedModel,
    rows: pd.DataFrame,
    evaluation: Evaluation,
    now: datetime,
) -> list[dict]:
    overall, slices = measure_by_slice(champion, rows, SLICES)
    own = _build_base_columns(entry, evaluation.cutoff, evaluation.until, now) | {
        "predictor": CHAMPION,
        "predictor_version": version,
    }
    return [
        own | {"slice": _OVERALL, "value": _OVERALL, **vars(overall)},
        *(own | _build_slice_columns(row) for row in slices.to_dict("records")),
    ]


def _build_base_columns(entry: ModelVersion, cutoff: datetime, until: datetime, now: datetime) -> dict:
    return {
        "run_id": entry.run_id,
        "model_version": entry.version,
        "evaluated_at": now,
        "cutoff_at": cutoff,
        "until_at": until,
    }


def _build_slice_columns(row: dict) -> dict:
    value = row["value"]
    names = Metrics.__dataclass_fields__
    return {
        "slice": row["slice"],
        "value": "unknown" if pd.isna(value) else str(value),
        **{name: row[name] for name in names},
    }


def _replace_evaluation_rows(lake: Lake, run_id: str, rows: list[dict]) -> None:
    """Put the rows of one evaluation in place of an earlier one of the same challenger."""
    finite = [{k: None if isinstance(v, float) and v != v else v for k, v in row.items()} for row in rows]  # noqa: PLR0124 - NaN
    new = pa.Table.from_pylist(finite, schema=ML_DPS_EVALUATION.schema)
    before = lake.read(ML_DPS_EVALUATION.name)
    others = before.filter(pa.compute.not_equal(before["run_id"], run_id))
    lake.replace_all(ML_DPS_EVALUATION, pa.concat_tables([others, new]))


def _dump_numbers(decision: PromotionDecision) -> str:
    worst = [asdict(one) for one in decision.slices[:5]]
    return json.dumps({"comparisons": [asdict(one) for one in decision.comparisons], "worst_slices": worst})


def _read_snapshot(entry: ModelVersion) -> dict[str, int | None]:
    return json.loads(entry.tags.get(SNAPSHOT_TAG, "{}"))
