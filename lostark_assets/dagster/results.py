"""Reporting, from within an op, what a run of the assets would have recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg


def report_results(
    context: dg.OpExecutionContext,
    results: Iterable[Any],
    partitions: Iterable[str],
    code_versions: Mapping[str, str],
) -> None:
    """Record materialisations and check results; a materialisation counts for each of ``partitions``."""
    keys = list(partitions)
    for result in results:
        if isinstance(result, dg.AssetCheckResult):
            context.log_event(_evaluation(result))  # type: ignore[arg-type]  # accepted, and recorded
            continue
        name = dg.AssetKey.from_coercible(result.asset_key).to_user_string()
        tags = {"dagster/code_version": code_versions[name]}
        for key in keys:
            context.log_event(
                dg.AssetMaterialization(name, partition=key, metadata=result.metadata, tags=tags)
            )


def _evaluation(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    assert result.asset_key is not None
    assert result.check_name is not None
    return dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
    )
