"""Validation of stored tables by Great Expectations: one check per table, a job and its daily schedule.

Commits are judged before they are written. This job defends against what comes later: files changed by other
software, rows that older code wrote, contracts that became stricter.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
from filelock import FileLock

from lostark_assets.automation.requests import concurrency_group
from lostark_assets.contracts.expectations import Finding
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.rules import get_rules
from lostark_assets.contracts.table import Contract
from lostark_assets.dagster.jobs import STORED_ROWS_FIT
from lostark_assets.dagster.priority import BACKGROUND, give_way
from lostark_assets.dagster.runs import in_progress
from lostark_assets.lake.tables import Lake
from lostark_assets.markdown import findings_table
from lostark_assets.settings import Settings

VALIDATION_CRON = "40 4 * * *"
ROWS_PER_PART = 500_000
"""Rows of a table that are judged at once."""
_STORE, _STATE, _STATE_VERSION = "validation", "validated.json", 1
_DESCRIPTION = (
    "Defends readers of {table} against rows that break its contract although their commit was checked: "
    "files changed by other software, rows of older code, a stricter contract. If it fails: "
    "open the Data Docs, find the rule and its values, then rebuild the rows (`lostark replay`, or "
    "materialise the asset again)."
)


def validation_check_specs(tables: Sequence[str]) -> list[dg.AssetCheckSpec]:
    """The check of each table."""
    return [
        dg.AssetCheckSpec(STORED_ROWS_FIT, asset=name, description=_DESCRIPTION.format(table=name))
        for name in tables
    ]


def validation_checks(name: str, tables: Sequence[str]) -> dg.AssetChecksDefinition:
    """The checks of ``tables`` as one step; a table that did not change keeps its last outcome."""

    @dg.multi_asset_check(
        name=f"{name}_with_great_expectations", specs=validation_check_specs(tables), can_subset=True
    )
    def validate(
        context: dg.AssetCheckExecutionContext,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> Iterator[dg.AssetCheckResult]:
        give_way(BACKGROUND)
        wanted = {key.asset_key.to_user_string() for key in context.selected_asset_check_keys}
        outcomes = validate_tables(lake, settings, [table for table in tables if table in wanted])
        for table, outcome in outcomes.items():
            yield _result(table, outcome, settings)

    return validate


def validation_job(name: str, checks: dg.AssetChecksDefinition) -> Any:
    """The job that runs the checks and nothing else."""
    return dg.define_asset_job(
        name,
        dg.AssetSelection.checks(checks),
        tags=concurrency_group("validation"),
        description="Validate stored tables with Great Expectations, and write the Data Docs.",
    )


def validation_schedule(name: str, job: str, tables: Sequence[str]) -> dg.ScheduleDefinition:
    """Once a day, unless no table changed since its last validation."""

    @dg.schedule(
        name=name,
        job_name=job,
        cron_schedule=VALIDATION_CRON,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Validates tables that changed since their last validation.",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext,
        lake: dg.ResourceParam[Lake],
        settings: dg.ResourceParam[Settings],
    ) -> dg.RunRequest | dg.SkipReason:
        if in_progress(context.instance, job):
            return dg.SkipReason("the previous run has not ended")
        if not find_changed(lake, settings.home, tables):
            return dg.SkipReason("no table changed since its last validation")
        return dg.RunRequest()

    return schedule


def find_changed(lake: Lake, home: Path, tables: Sequence[str]) -> list[str]:
    """Tables whose version or contract is not the one that was validated last."""
    known = _read_state(home)
    return [
        name
        for name in tables
        if (version := lake.version(name)) is not None
        and (known.get(name, {}).get("version"), known.get(name, {}).get("contract"))
        != (version, _compute_digest(CONTRACTS[name]))
    ]


def validate_tables(lake: Lake, settings: Settings, tables: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Judge those of ``tables`` that changed and write the Data Docs; returns each table's newest outcome."""
    home, site = settings.home, settings.data_docs_dir
    store = home / _STORE
    store.mkdir(parents=True, exist_ok=True)
    with FileLock(store / ".lock"):
        changed = find_changed(lake, home, tables)
        state = _read_state(home)
        if changed or not (site / "index.html").exists():
            from lostark_assets.contracts.suites import DataDocs  # noqa: PLC0415 - seconds, and only here

            docs = DataDocs(store, site)
            for name in changed:
                contract, version = CONTRACTS[name], lake.version(name)
                assert version is not None
                columns = [c for c in contract.names if c not in contract.binary_columns]
                rows, findings = docs.validate(
                    contract, version, _read_parts(lake, contract, version, columns), columns
                )
                state[name] = {
                    "version": version,
                    "contract": _compute_digest(contract),
                    "validated_at": datetime.now(UTC).isoformat(timespec="seconds"),
                    "rows": rows,
                    "findings": [vars(finding) for finding in findings],
                }
            docs.build()
            _write_state(home, state)
    return {name: state[name] for name in tables if name in state}


def _read_parts(
    lake: Lake, contract: Contract, version: int, columns: Sequence[str]
) -> Iterator[tuple[str, pa.Table]]:
    """Rows of one version in parts of bounded size: by fight day, so that a key is unique within its part."""
    if contract.grain != "day":
        yield "all rows", lake.read(contract.name, columns=columns, version=version)
        return
    days: list[Any] = []
    rows, numbers = 0, count(1)
    of_day = lake.rows_by_day(contract.name)
    for day in sorted(of_day):
        if days and rows + of_day[day] > ROWS_PER_PART:
            yield (
                f"part {next(numbers)}",
                lake.read(contract.name, columns=columns, days=days, version=version),
            )
            days, rows = [], 0
        days.append(day)
        rows += of_day[day]
    yield f"part {next(numbers)}", lake.read(contract.name, columns=columns, days=days, version=version)


def _compute_digest(contract: Contract) -> str:
    return hashlib.sha256(repr(get_rules(contract)).encode()).hexdigest()[:16]


def _read_state(home: Path) -> dict[str, dict[str, Any]]:
    path = home / _STORE / _STATE
    if not path.exists():
        return {}
    document = json.loads(path.read_text())
    return document["tables"] if document["format"] == _STATE_VERSION else {}


def _write_state(home: Path, tables: dict[str, dict[str, Any]]) -> None:
    path = home / _STORE / _STATE
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"format": _STATE_VERSION, "tables": tables}))
    fresh.replace(path)


def _result(table: str, outcome: dict[str, Any], settings: Settings) -> dg.AssetCheckResult:
    findings = [Finding(**finding) for finding in outcome["findings"]]
    broken = [finding for finding in findings if not finding.passed]
    is_error = any(finding.severity == "error" for finding in broken)
    return dg.AssetCheckResult(
        asset_key=table,
        check_name=STORED_ROWS_FIT,
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN,
        description="; ".join(map(str, broken))[:1000] or f"{len(findings)} rules hold",
        metadata={
            "data docs": dg.MetadataValue.url(f"{settings.pages_url}/data-docs/"),
            "rules": len(findings),
            "rows": outcome["rows"],
            "table version": outcome["version"],
            "validated at": outcome["validated_at"],
            "findings": dg.MetadataValue.md(findings_table(broken) or "every rule holds"),
        },
    )
