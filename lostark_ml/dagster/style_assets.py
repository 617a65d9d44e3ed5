"""The Dagster asset ``ml_player_clusters``: play styles."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from lostark_assets.contracts.expectations import examine
from lostark_assets.contracts.ml import ML_PLAYER_CLUSTERS
from lostark_assets.dagster import pools
from lostark_assets.dagster.priority import BACKGROUND, give_way
from lostark_assets.dagster.specs import asset_spec, table_metadata
from lostark_assets.errors import ContractViolated
from lostark_assets.lake.tables import Lake
from lostark_assets.markdown import chart_image, markdown_table
from lostark_ml.dagster.checks import build_check_results, build_ml_check_specs
from lostark_ml.dagster.resources import ModelRegistries
from lostark_ml.registry.names import STYLE_MODEL
from lostark_ml.styles.pages import build_evidence_rows
from lostark_ml.styles.refresh import CLUSTERS, StylesRun, refresh_styles, styles_are_not_specs
from lostark_ml.styles.style_map import draw_style_map

STYLES_VERSION = "1"
"""Raise it when features of styles, or the look for them, change."""


def build_player_clusters_asset() -> dg.AssetsDefinition:
    """``ml_player_clusters``: each character's style, of the active version of ``lostark_play_styles``."""
    spec = asset_spec(
        CLUSTERS,
        version=STYLES_VERSION,
        kinds={"mlflow", "scikitlearn"},
        deps=["stats_player_dps", "ml_expected_dps"],
    )

    @dg.multi_asset(
        name="ml_player_clusters_table",
        specs=[spec],
        check_specs=build_ml_check_specs(CLUSTERS),
        pool=pools.MODEL,
        can_subset=True,
    )
    def player_clusters(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        registries: dg.ResourceParam[ModelRegistries],
    ) -> Iterator[Any]:
        give_way(BACKGROUND)
        wanted = context.selected_asset_check_keys
        if not context.selected_asset_keys:
            rows = lake.read(CLUSTERS)
            findings = [*examine(ML_PLAYER_CLUSTERS, rows), styles_are_not_specs(rows)]
            yield from build_check_results(CLUSTERS, findings, lake, wanted)
            return
        try:
            with registries.open(STYLE_MODEL) as registry:
                run = refresh_styles(lake, registry, datetime.now(UTC))
        except ContractViolated as error:
            yield from build_check_results(CLUSTERS, error.findings[CLUSTERS], lake, wanted)
            raise dg.Failure(str(error), allow_retries=False) from error
        yield dg.MaterializeResult(asset_key=CLUSTERS, metadata=_metadata(lake, run))
        yield from build_check_results(CLUSTERS, run.findings, lake, wanted)

    return player_clusters


def _metadata(lake: Lake, run: StylesRun) -> dict[str, Any]:
    pages = "\n\n".join(run.pages.values())
    evidence = markdown_table(build_evidence_rows(run.model)) or run.model.evidence.reason
    metadata = table_metadata(lake, CLUSTERS, run.rows, run.rows.num_rows) | {
        "version": run.version.version if run.version else 0,
        "is new": run.made is not None,
        "styles": len(run.model.names),
        "why": run.why,
        "evidence": dg.MetadataValue.md(evidence),
        "pages": dg.MetadataValue.md(pages),
    }
    if run.rows["axis_1"].null_count < run.rows.num_rows:
        chart = draw_style_map(run.rows, run.model)
        metadata["map"] = dg.MetadataValue.md(chart_image(chart, "the map of play styles"))
    return metadata
