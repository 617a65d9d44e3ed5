"""Great Expectations suites made from contracts, and what they found in a frame.

Blocking rules say what can be; warning rules say what is odd but real. What does not belong here: rules
across tables (``core.validate``), and deciding what a finding stops.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.table import Column, Contract
from lostark_assets.errors import ContractViolated

Severity = Literal["error", "warn"]
WORST_ROWS = 5
Bound = tuple[float | None, float | None]
"""What must be at least as large as the other; an unknown one holds."""
_UNIQUE_BY_CONSTRUCTION = {"stats_dps_timeline"}
"""Its seconds are numbered by a loop; counting millions of keys again would cost more than they did."""


@dataclass
class Finding:
    """One rule's outcome: rows looked at, rows that break it, and the first of those."""

    rule: str
    severity: Severity
    checked: int
    failed: int = 0
    worst: list[dict[str, Any]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """No row breaks the rule."""
        return self.failed == 0

    def __str__(self) -> str:
        """One sentence for people."""
        if self.passed:
            return f"{self.rule}: holds for {self.checked:,} rows"
        return f"{self.rule}: broken by {self.failed:,} of {self.checked:,} rows, such as {self.worst[:3]}"


def merge(findings: Iterable[Finding]) -> list[Finding]:
    """Findings of the same rule over several frames as one, rules in first-seen order."""
    merged: dict[str, Finding] = {}
    for found in findings:
        into = merged.setdefault(found.rule, Finding(found.rule, found.severity, 0))
        into.checked += found.checked
        into.failed += found.failed
        into.worst = (into.worst + found.worst)[:WORST_ROWS]
    return list(merged.values())


def raise_if_broken(
    table: str, findings: Mapping[str, Sequence[Finding]], told: Mapping[str, Sequence[Finding]]
) -> None:
    """Stop where a blocking rule is broken, before anything is written.

    Args:
        table: what can't be written, or the name of a group of tables.
        findings: what was found now, by table name.
        told: what the error carries to be shown: these findings, or those of earlier batches too.

    Raises:
        ContractViolated: a rule of severity error is broken.
    """
    broken = [
        str(f) if name == table else f"{name}: {f}"
        for name, found in findings.items()
        for f in found
        if f.severity == "error" and not f.passed
    ]
    if broken:
        raise ContractViolated(table, broken, told)


def examine_or_raise(contract: Contract, table: pa.Table) -> list[Finding]:
    """What is found in rows that may be written; see :func:`raise_if_broken`."""
    findings = examine(contract, table)
    raise_if_broken(contract.name, {contract.name: findings}, {contract.name: findings})
    return findings


def examine(contract: Contract, table: pa.Table) -> list[Finding]:
    """Judge one table by its contract; see :func:`examine_all`."""
    return examine_all({contract: table})[contract.name]


def examine_all(tables: Mapping[Contract, pa.Table]) -> dict[str, list[Finding]]:
    """Judge tables by their contracts' rules with Great Expectations; findings by table name.

    Arrow measures what each rule needs (smallest, largest, number of offending rows), a row a bound, and one
    expectation judges these rows: one a column would cost half a second a batch, one over every row more than
    the cleaning. A rule that could not run (a bug of the rule, a column of the wrong type) raises; it is
    never "failed data".

    Raises:
        RuntimeError: an expectation raised inside Great Expectations.
    """
    rules = {
        contract: [r for r in get_rules(contract) if set(r.columns) <= set(table.column_names)]
        for contract, table in tables.items()
    }
    measured = [
        (f"{contract.name}: {rule.name}", *bound)
        for contract, table in tables.items()
        if table.num_rows
        for rule in rules[contract]
        for bound in rule.measure(table)
    ]
    broken = _broken(pd.DataFrame(measured, columns=["place", "larger", "smaller"])) if measured else set()
    return {
        contract.name: [
            _explain(rule, contract, table)
            if f"{contract.name}: {rule.name}" in broken
            else Finding(rule.name, rule.severity, table.num_rows)
            for rule in rules[contract]
        ]
        for contract, table in tables.items()
    }


@dataclass(frozen=True)
class Rule:
    """One expectation of a contract."""

    name: str
    severity: Severity
    kind: Literal["not_null", "between", "in_set", "unique"]
    columns: tuple[str, ...]
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] | None = None

    def measure(self, table: pa.Table) -> list[Bound]:
        """What judges the rule: the column's extremes and their bounds, or 0 and the offending rows."""
        column = table[self.columns[0]]
        if self.kind == "not_null":
            return [(0, column.null_count)]
        if self.kind == "in_set":
            known = pc.is_in(column, pa.array(self.allowed, pa.string()))
            return [(0, pc.sum(pc.and_(pc.is_valid(column), pc.invert(known))).as_py() or 0)]
        if self.kind == "unique":
            distinct = table.select(self.columns).group_by(list(self.columns)).aggregate([]).num_rows
            return [(0, table.num_rows - distinct)]
        extremes = pc.min_max(column)
        return [(extremes["min"].as_py(), self.minimum), (self.maximum, extremes["max"].as_py())]

    def broken_by(self, frame: pd.DataFrame) -> pd.Series:
        """A mask of the rows that break the rule, to show them."""
        column = frame[self.columns[0]]
        if self.kind == "not_null":
            return column.isna()
        if self.kind == "in_set":
            return column.notna() & ~column.isin(list(self.allowed or ()))
        if self.kind == "unique":
            return frame.duplicated(list(self.columns), keep=False)
        broken = pd.Series(data=False, index=frame.index)
        if self.minimum is not None:
            broken |= (column < self.minimum).fillna(value=False).astype(bool)
        if self.maximum is not None:
            broken |= (column > self.maximum).fillna(value=False).astype(bool)
        return broken


@lru_cache
def _rules_by_name(name: str) -> tuple[Rule, ...]:
    from lostark_assets.contracts.registry import CONTRACTS  # noqa: PLC0415 - contracts know no rules

    contract = CONTRACTS[name]
    rules = [rule for column in contract.columns for rule in _column_rules(column)]
    if contract.key and name not in _UNIQUE_BY_CONSTRUCTION:
        rules.append(Rule(f"({', '.join(contract.key)}) is unique", "error", "unique", contract.key))
    return tuple(rules)


def get_rules(contract: Contract) -> tuple[Rule, ...]:
    """Every rule of a contract."""
    return _rules_by_name(contract.name)


def _column_rules(column: Column) -> Iterable[Rule]:
    name = column.name
    if not column.nullable:
        yield Rule(f"{name} is never null", "error", "not_null", (name,))
    if column.allowed:
        yield Rule(f"{name} is one of its words", "error", "in_set", (name,), allowed=column.allowed)
    for severity, low, high in (
        ("error", column.minimum, column.maximum),
        ("warn", column.odd_below, column.odd_above),
    ):
        if low is not None or high is not None:
            span = (
                f"at least {low:g}"
                if high is None
                else f"at most {high:g}"
                if low is None
                else f"{low:g}…{high:g}"
            )
            yield Rule(f"{name} is {span}", severity, "between", (name,), low, high)  # type: ignore[arg-type]


@lru_cache
def _suite() -> tuple[Any, Any]:
    """The whole-frame batch and the suite over measured bounds."""
    import great_expectations as gx  # noqa: PLC0415 - takes seconds to import
    import great_expectations.expectations as gxe  # noqa: PLC0415

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    asset = context.data_sources.add_pandas("rules").add_dataframe_asset("measured")
    holds = gxe.ExpectColumnMinToBeBetween(column="slack", min_value=0)
    suite = gx.ExpectationSuite(name="contract", expectations=[holds])
    return asset.add_batch_definition_whole_dataframe("whole"), suite


def _broken(measured: pd.DataFrame) -> set[str]:
    """Places (table and rule) of which a bound does not hold.

    Raises:
        RuntimeError: Great Expectations finds a bound broken that the numbers say holds, which is a bug.
    """
    numbers = measured[["larger", "smaller"]].astype("float64")
    slack = measured[["place"]].assign(slack=numbers["larger"] - numbers["smaller"]).dropna()
    if slack.empty or _holds(slack):
        return set()
    # Asking Great Expectations for the rows as well takes as long again.
    places = set(slack.loc[slack["slack"] < 0, "place"])
    if not places:
        raise RuntimeError("Great Expectations found a broken bound that no measured rule has")
    return places


def _holds(frame: pd.DataFrame) -> bool:
    """Whether no bound has a negative slack.

    Raises:
        RuntimeError: the expectation could not run, which is a bug and no broken data.
    """
    whole, suite = _suite()
    batch = whole.get_batch({"dataframe": frame})
    [result] = batch.validate(suite, result_format={"result_format": "BOOLEAN_ONLY"}).results
    raised = _raised(result.exception_info)
    if raised:
        raise RuntimeError(f"{result.expectation_config.type} could not run: {raised}")
    return result.success


def _raised(info: Any) -> str | None:
    if not info:
        return None
    parts = [info] if "raised_exception" in info else list(info.values())
    return next((p.get("exception_message") for p in parts if p.get("raised_exception")), None)


def _explain(rule: Rule, contract: Contract, table: pa.Table) -> Finding:
    shown = dict.fromkeys((*contract.key, "encounter_id", "player_name", *rule.columns))
    frame = table.select([c for c in shown if c in table.column_names]).to_pandas(types_mapper=pd.ArrowDtype)
    broken = rule.broken_by(frame)
    worst = frame.loc[broken].head(WORST_ROWS).astype("object")
    rows = worst.where(worst.notna(), None).to_dict("records")
    return Finding(rule.name, rule.severity, table.num_rows, max(int(broken.sum()), 1), rows)
