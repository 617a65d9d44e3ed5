"""Asset and check specs made from contracts, so that the Dagster UI shows what the contracts say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from lostark_assets.contracts.expectations import Finding
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.table import Contract
from lostark_assets.lake.tables import Lake
from lostark_assets.markdown import dictionary_table, findings_table, preview

OWNERS = ["team:data"]
CONTRACT_HOLDS = "contract_holds"
VALUES_PLAUSIBLE = "values_plausible"


def asset_spec(
    name: str, *, version: str, kinds: Iterable[str], deps: Sequence[Any] = (), **more: Any
) -> dg.AssetSpec:
    """The spec of the asset that writes the contract's table."""
    contract = CONTRACTS[name]
    return dg.AssetSpec(
        name,
        description=f"One row is {contract.row}. {contract.notes}".strip(),
        deps=deps,
        owners=OWNERS,
        kinds={"deltalake", *kinds},
        code_version=version,
        metadata={
            "dagster/column_schema": column_schema(contract),
            "dagster/table_name": name,
            "key": ", ".join(contract.key) or "none",
            "data dictionary": dg.MetadataValue.md(dictionary_table(contract)),
        },
        **more,
    )


def in_group(asset: dg.AssetsDefinition, group: str, *, is_demo: bool) -> dg.AssetsDefinition:
    """``asset`` in its layer's group, marked where it holds synthetic data."""
    mark = "**Demo data, synthetic.** " if is_demo else ""
    tags = {"data": "demo"} if is_demo else {}
    return asset.map_asset_specs(
        lambda spec: spec.replace_attributes(
            group_name=group, description=f"{mark}{spec.description}", tags={**spec.tags, **tags}
        )
    )


def column_schema(contract: Contract) -> dg.TableSchema:
    """Columns with types, units and rules."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=c.name,
                type=str(c.dtype),
                description=f"{c.description} [{c.unit}]" if c.unit else c.description,
                constraints=dg.TableColumnConstraints(nullable=c.nullable, other=list(c.describe_limits())),
            )
            for c in contract.columns
        ]
    )


def check_specs(
    tables: Iterable[str], cross_rules: Mapping[str, tuple[str, str]] | None = None
) -> list[dg.AssetCheckSpec]:
    """Checks of each table: its contract (blocking), what is odd (warning), and the rules across tables."""
    specs = []
    for table in tables:
        contract = CONTRACTS[table]
        specs.append(
            dg.AssetCheckSpec(
                CONTRACT_HOLDS,
                asset=table,
                blocking=True,
                description="Types, nulls, ranges, words and key of the contract.",
            )
        )
        if any(c.odd_above is not None or c.odd_below is not None for c in contract.columns):
            specs.append(
                dg.AssetCheckSpec(VALUES_PLAUSIBLE, asset=table, description="Values that are odd but real.")
            )
    for rule, (table, severity) in (cross_rules or {}).items():
        specs.append(
            dg.AssetCheckSpec(
                rule,
                asset=table,
                blocking=severity == "error",
                description=rule.replace("_", " ").capitalize() + ".",
            )
        )
    return specs


def check_results(
    findings: Mapping[str, Sequence[Finding]],
    lake: Lake,
    cross_rules: Mapping[str, Any],
    wanted: set[Any] | None,
) -> Iterator[dg.AssetCheckResult]:
    """Findings as check results, those of ``wanted`` check keys; None: of all checks."""
    if wanted is None:
        rules = {rule: of for rule, of in cross_rules.items() if of[0] in findings}
        wanted = {spec.key for spec in check_specs(findings, rules)}
    for table, found in findings.items():
        contract_rules = [f for f in found if f.rule not in cross_rules]
        groups = {
            CONTRACT_HOLDS: [f for f in contract_rules if f.severity == "error"],
            VALUES_PLAUSIBLE: [f for f in contract_rules if f.severity == "warn"],
        } | {f.rule: [f] for f in found if f.rule in cross_rules}
        for name, group in groups.items():
            key = dg.AssetCheckKey(dg.AssetKey(table), name)
            if key in wanted:
                yield _result(table, name, group, lake)


def _result(table: str, name: str, findings: Sequence[Finding], lake: Lake) -> dg.AssetCheckResult:
    severity = (
        dg.AssetCheckSeverity.WARN
        if all(f.severity == "warn" for f in findings)
        else dg.AssetCheckSeverity.ERROR
    )
    broken = [f for f in findings if not f.passed]
    return dg.AssetCheckResult(
        asset_key=table,
        check_name=name,
        passed=not broken,
        severity=severity,
        description="; ".join(map(str, broken))[:1000] or f"{len(findings)} rules hold",
        metadata={
            "rules": len(findings),
            "rows checked": max((f.checked for f in findings), default=0),
            "rows that break a rule": sum(f.failed for f in broken),
            "findings": dg.MetadataValue.md(findings_table(findings) or "no rows"),
            "where": lake.table_url(table),
        },
    )


def table_metadata(lake: Lake, name: str, rows: pa.Table, count: int) -> dict[str, Any]:
    """What every materialisation shows: rows of the partitions, table version, a preview."""
    version = lake.version(name)
    return {
        "dagster/row_count": count,
        "preview": dg.MetadataValue.md(preview(rows, CONTRACTS[name].preview_columns) or "no rows"),
        "table": lake.table_url(name),
        "table version": -1 if version is None else version,
    }
