"""Dagster assets of the expected-DPS model, from training set to monitoring."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from lostark_assets.contracts.expectations import examine
from lostark_assets.contracts.ml import ML_TRAINING_SET
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.dagster import pools
from lostark_assets.dagster.partitions import MAX_CHART_DAYS, SINGLE_RUN, get_days
from lostark_assets.dagster.priority import BACKGROUND, give_way
from lostark_assets.dagster.specs import OWNERS, asset_spec, table_metadata
from lostark_assets.errors import ContractViolated
from lostark_assets.lake.tables import Lake
from lostark_assets.ledger import Ledger, open_ledger
from lostark_assets.markdown import chart_image, markdown_table
from lostark_assets.settings import Settings
from lostark_ml.dagster.checks import (
    build_challenger_check_specs,
    build_challenger_findings,
    build_check_results,
    build_ml_check_specs,
    find_unscored_players,
)
from lostark_ml.dagster.policies import build_lifecycle_policy
from lostark_ml.dagster.resources import ModelRegistries
from lostark_ml.model.charts import by_week, calibration
from lostark_ml.monitoring.refresh import refresh_monitoring
from lostark_ml.registry.aliases import read_history
from lostark_ml.registry.lifecycle import (
    TRAINING_SET,
    apply_decision,
    evaluate_challenger,
    refresh_training_set,
    train_challenger,
)
from lostark_ml.registry.names import DPS_MODEL
from lostark_ml.serving.score_days import EXPECTED, ScoringRun, score_days

ML_VERSION = "1"
"""Raise it when features, model or scores change: assets then show as computed by other code."""
CHALLENGER_ASSET, EVALUATION_ASSET, CHAMPION_ASSET = (
    "ml_dps_challenger",
    "ml_dps_evaluation",
    "ml_dps_champion",
)
MONITORING_ASSET, HISTORY_ASSET = "ml_dps_monitoring", "ml_champion_history"
_TRIGGER_TAGS = {"trigger": "by hand", "because": "materialised by hand", "also_because": ""}
"""Tags of a run (``lostark/…``) that go to the model version, and what they are without a sensor."""
_UPSTREAM = ["stats_player_dps", "core_players", "core_encounters"]


def build_ml_assets(fight_days: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """All assets of phase 2 that concern the expected DPS."""
    return [
        _training_set(),
        _challenger(),
        _evaluation(),
        _champion(),
        _expected(fight_days),
        _monitoring(),
    ]


def build_history_spec() -> dg.AssetSpec:
    """The history of the aliases: written where one is moved, reported by a sensor."""
    return asset_spec(HISTORY_ASSET, version=ML_VERSION, kinds={"mlflow"}, deps=[CHAMPION_ASSET])


def _training_set() -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="ml_training_set_table",
        specs=[asset_spec(TRAINING_SET, version=ML_VERSION, kinds={"pandas"}, deps=_UPSTREAM)],
        check_specs=build_ml_check_specs(TRAINING_SET),
        pool=pools.MODEL,
        can_subset=True,
    )
    def training_set(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> Iterator[Any]:
        give_way(BACKGROUND)
        wanted = context.selected_asset_check_keys
        if not context.selected_asset_keys:
            yield from build_check_results(
                TRAINING_SET, examine(ML_TRAINING_SET, lake.read(TRAINING_SET)), lake, wanted
            )
            return
        try:
            run = refresh_training_set(lake)
        except ContractViolated as error:
            yield from build_check_results(TRAINING_SET, error.findings[TRAINING_SET], lake, wanted)
            raise dg.Failure(str(error), allow_retries=False) from error
        excluded = [{"reason": reason, "rows": n} for reason, n in run.exclusions.most_common()]
        columns = CONTRACTS[TRAINING_SET].preview_columns
        metadata = table_metadata(lake, TRAINING_SET, lake.head(TRAINING_SET, columns), run.rows)
        metadata |= {
            "rows to learn from": run.population,
            "fights to learn from": run.fights,
            "left out": dg.MetadataValue.md(markdown_table(excluded) or "nothing"),
            "made from": dg.MetadataValue.json(dict(run.sources)),
        }
        yield dg.MaterializeResult(
            asset_key=TRAINING_SET, metadata=metadata, data_version=dg.DataVersion(str(run.version))
        )
        yield from build_check_results(TRAINING_SET, run.findings, lake, wanted)

    return training_set


def _challenger() -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        CHALLENGER_ASSET,
        description="The newest trained model of expected DPS: a version of `lostark_dps` in MLflow under "
        "the alias `challenger`, with its run, figures and card.",
        deps=[TRAINING_SET],
        owners=OWNERS,
        kinds={"mlflow", "scikitlearn"},
        code_version=ML_VERSION,
    )

    @dg.multi_asset(
        name="ml_dps_challenger_model",
        specs=[spec],
        check_specs=build_challenger_check_specs(),
        pool=pools.MODEL,
    )
    def challenger(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        registries: dg.ResourceParam[ModelRegistries],
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[Any]:
        give_way(BACKGROUND)
        given = {name: context.run.tags.get(f"lostark/{name}", none) for name, none in _TRIGGER_TAGS.items()}
        tags = {name: value for name, value in given.items() if value}
        with registries.open() as registry:
            made = train_challenger(
                lake,
                registry,
                build_lifecycle_policy(settings),
                {**tags, "dagster_run_id": context.run.run_id},
                datetime.now(UTC),
            )
            metrics = registry.metrics(made)
        shown = [
            {"predictor": name.removesuffix("mape").strip(".") or "this model", "MAPE %": 100 * value}
            for name, value in sorted(metrics.items())
            if name.endswith("mape")
        ]
        yield dg.MaterializeResult(
            asset_key=CHALLENGER_ASSET,
            metadata={
                "version": made.version,
                "MLflow run": made.run_id,
                "training set version": made.training_set_version or -1,
                "mape": metrics["mape"],
                "coverage": metrics["coverage"],
                "bias_log": metrics["bias_log"],
                "comparison with baselines": dg.MetadataValue.md(markdown_table(shown)),
                "why": tags["because"],
            },
            data_version=dg.DataVersion(str(made.version)),
        )
        yield from build_check_results(
            CHALLENGER_ASSET, build_challenger_findings(metrics), lake, context.selected_asset_check_keys
        )

    return challenger


def _evaluation() -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="ml_dps_evaluation_table",
        specs=[
            asset_spec(
                EVALUATION_ASSET, version=ML_VERSION, kinds={"pandas"}, deps=[CHALLENGER_ASSET, TRAINING_SET]
            )
        ],
        check_specs=build_ml_check_specs(EVALUATION_ASSET),
        pool=pools.MODEL,
    )
    def evaluation(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        registries: dg.ResourceParam[ModelRegistries],
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[Any]:
        give_way(BACKGROUND)
        with registries.open() as registry:
            done = evaluate_challenger(lake, registry, build_lifecycle_policy(settings), datetime.now(UTC))
            card = registry.version(done.version).description
        rows = lake.read(EVALUATION_ASSET)
        mine = rows.filter(pc.equal(rows["model_version"], done.version))
        metadata = table_metadata(lake, EVALUATION_ASSET, mine, rows.num_rows)
        metadata |= {
            "decision": f"{'promote' if done.decision.promote else 'keep'}: {done.decision.summary}",
            "model card": dg.MetadataValue.md(card),
        }
        yield dg.MaterializeResult(asset_key=EVALUATION_ASSET, metadata=metadata)
        yield from build_check_results(
            EVALUATION_ASSET,
            examine(CONTRACTS[EVALUATION_ASSET], rows),
            lake,
            context.selected_asset_check_keys,
        )

    return evaluation


def _champion() -> dg.AssetsDefinition:
    @dg.asset(
        name=CHAMPION_ASSET,
        description="The active champion: the version of `lostark_dps` in MLflow under the alias `champion`. "
        "Materialising applies the decision about the challenger; a tie keeps the champion.",
        deps=[EVALUATION_ASSET, CHALLENGER_ASSET],
        owners=OWNERS,
        kinds={"mlflow"},
        code_version=ML_VERSION,
        pool=pools.MODEL,
    )
    def champion(
        lake: dg.ResourceParam[Lake], registries: dg.ResourceParam[ModelRegistries]
    ) -> dg.MaterializeResult:
        with registries.open() as registry:
            outcome = apply_decision(lake, registry, datetime.now(UTC))
            active = registry.champion()
        history = [
            {
                "changed_at": c.changed_at,
                "from": c.from_version,
                "to": c.to_version,
                "action": c.action,
                "by": c.changed_by,
                "reason": c.reason,
            }
            for c in read_history(lake, DPS_MODEL)
            if c.alias == "champion"
        ]
        version = 0 if active is None else active.version
        return dg.MaterializeResult(
            metadata={
                "champion version": version,
                "challenger version": outcome.version,
                "promoted": outcome.change is not None,
                "why": outcome.why,
                "history": dg.MetadataValue.md(markdown_table(history[-10:][::-1]) or "no champion yet"),
            },
            data_version=dg.DataVersion(str(version)),
        )

    return champion


def _expected(fight_days: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="ml_expected_dps_table",
        specs=[
            asset_spec(
                EXPECTED,
                version=ML_VERSION,
                kinds={"scikitlearn"},
                deps=["stats_player_dps", CHAMPION_ASSET, HISTORY_ASSET],
            )
        ],
        check_specs=build_ml_check_specs(EXPECTED),
        pool=pools.SCORES,
        partitions_def=fight_days,
        backfill_policy=SINGLE_RUN,
        can_subset=True,
    )
    def expected(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        registries: dg.ResourceParam[ModelRegistries],
    ) -> Iterator[Any]:
        wanted, days = context.selected_asset_check_keys, get_days(context)
        if days is None or not context.selected_asset_keys:
            stored = lake.days(EXPECTED) if days is None else days
            findings = examine(CONTRACTS[EXPECTED], lake.read(EXPECTED, days=stored))
            yield from build_check_results(
                EXPECTED, [*findings, find_unscored_players(lake, stored)], lake, wanted
            )
            return
        try:
            with registries.open() as registry:
                run = score_days(lake, registry, days, datetime.now(UTC))
        except ContractViolated as error:
            yield from build_check_results(EXPECTED, error.findings[EXPECTED], lake, wanted)
            raise dg.Failure(str(error), allow_retries=False) from error
        rows, metadata = lake.read(EXPECTED, days=days), score_metadata(lake, run)
        if rows.num_rows > run.refused and len(days) <= MAX_CHART_DAYS:
            chart = calibration(rows.filter(pc.is_valid(rows["expected_dps"])).to_pandas())
            metadata["reached against expected"] = dg.MetadataValue.md(chart_image(chart, "DPS"))
        yield dg.MaterializeResult(asset_key=EXPECTED, metadata=metadata)
        yield from build_check_results(
            EXPECTED, [*run.findings, find_unscored_players(lake, days)], lake, wanted
        )

    return expected


def score_metadata(lake: Lake, run: ScoringRun) -> dict[str, Any]:
    """Metadata of one scoring."""
    rows = lake.head(EXPECTED, CONTRACTS[EXPECTED].preview_columns, days=run.days)
    return table_metadata(lake, EXPECTED, rows, run.rows) | {
        "players without an expectation": run.refused,
        "champions": ", ".join(f"version {v}" for v in sorted(set(run.versions.values()))),
    }


def _monitoring() -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="ml_dps_monitoring_table",
        specs=[
            asset_spec(
                MONITORING_ASSET, version=ML_VERSION, kinds={"pandas"}, deps=[EXPECTED, CHAMPION_ASSET]
            )
        ],
        check_specs=build_ml_check_specs(MONITORING_ASSET),
        pool=pools.MODEL,
    )
    def monitoring(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        registries: dg.ResourceParam[ModelRegistries],
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[Any]:
        give_way(BACKGROUND)
        ledger: Ledger = open_ledger(settings)
        with registries.open() as registry:
            run = refresh_monitoring(lake, registry, ledger, datetime.now(UTC))
        metadata = table_metadata(lake, MONITORING_ASSET, run.rows, run.rows.num_rows)
        listed = [{"kind": p.kind, "subject": p.subject, "what": p.what} for p in run.problems]
        metadata["problems"] = dg.MetadataValue.md(markdown_table(listed) or "none")
        if run.rows.num_rows:
            chart = by_week(run.rows)
            metadata["by week"] = dg.MetadataValue.md(chart_image(chart, "error by week"))
        yield dg.MaterializeResult(asset_key=MONITORING_ASSET, metadata=metadata)
        yield from build_check_results(
            MONITORING_ASSET, run.findings, lake, context.selected_asset_check_keys
        )

    return monitoring
