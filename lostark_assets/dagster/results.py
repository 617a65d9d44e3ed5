"""Reporting, from within an op, what a run of the assets would have recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg


def asset_events(
    results: Iterable[Any], partitions: Iterable[str], code_versions: Mapping[str, str]
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """Events for an op to yield: each materialisation once per partition, and the check results.

    Without ``partitions`` the assets have none.
    """
    keys: list[str | None] = [*partitions] or [None]
    for result in results:
        if isinstance(result, dg.AssetCheckResult):
            yield _evaluation(result)
            continue
        name = dg.AssetKey.from_coercible(result.asset_key).to_user_string()
        tags = {"dagster/code_version": code_versions[name]}
        for key in keys:
            yield dg.AssetMaterialization(name, partition=key, metadata=result.metadata, tags=tags)


def failed_checks(events: Iterable[object]) -> list[str]:
    """Describe the checks of severity error among ``events`` that failed: a run of the assets would fail."""
    return [
        f"{event.asset_key.to_user_string()}: check {event.check_name} failed: {event.description}"
        for event in events
        if isinstance(event, dg.AssetCheckEvaluation)
        and not event.passed
        and event.severity == dg.AssetCheckSeverity.ERROR
    ]


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
