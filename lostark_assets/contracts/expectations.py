"""Great Expectations suites made from contracts, and what they found in a frame.

Blocking rules say what can be; warning rules say what is odd but real. What does not belong here: rules
across tables (``core.validate``), and deciding what a finding stops.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.table import Column, Contract

if TYPE_CHECKING:
    import great_expectations.expectations as gxe

Severity = Literal["error", "warn"]
WORST_ROWS = 5
TALL_TABLES = {"core_hits", "stats_dps_timeline"}


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


def examine(contract: Contract, table: pa.Table) -> list[Finding]:
    """Run the contract's suite over ``table`` with Great Expectations.

    Tables of hits and seconds are judged by each column's smallest, largest and null value, found by Arrow:
    their rules need no more, and a suite over every row would cost more than the cleaning. A rule that could
    not run (a bug of the rule, a column of the wrong type) raises; it is never "failed data".

    Raises:
        RuntimeError: an expectation raised inside Great Expectations.
    """
    rules = [r for r in rules_of(contract) if set(r.columns) <= set(table.column_names)]
    runnable = [
        r for r in rules if table.num_rows and any(table[c].null_count < table.num_rows for c in r.columns)
    ]
    runnable += [r for r in rules if r not in runnable and r.kind == "not_null" and table.num_rows]
    tall = contract.name in TALL_TABLES
    frame = _extremes(table, runnable) if tall else _plain_frame(table, runnable)
    broken = _run(frame, runnable) if runnable else set()
    return [
        _explain(rule, contract, table)
        if rule in broken
        else Finding(rule.name, rule.severity, table.num_rows)
        for rule in rules
        if not (tall and rule.kind == "unique")
    ]


def _plain_frame(table: pa.Table, rules: list[Rule]) -> pd.DataFrame:
    """The rules' columns with NumPy types: Great Expectations walks Arrow-backed columns value by value."""
    columns = list(dict.fromkeys(c for r in rules for c in r.columns))
    return table.select(columns).to_pandas()


def _extremes(table: pa.Table, rules: list[Rule]) -> pd.DataFrame:
    """Three rows that break a rule of range or nullness exactly if the table does: minima, maxima, a null."""
    columns: dict[str, list[Any]] = {}
    for name in dict.fromkeys(c for r in rules if r.kind != "unique" for c in r.columns):
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        words = pc.min_max(column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column)
        low, high = words["min"].as_py(), words["max"].as_py()
        columns[name] = [low, high, None if column.null_count else high]
    return pd.DataFrame(columns)


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

    def expectations(self) -> list[gxe.Expectation]:
        """The rule as Great Expectations knows it; a range is one of the minimum and one of the maximum."""
        import great_expectations.expectations as gxe  # noqa: PLC0415 - takes seconds to import

        if self.kind == "not_null":
            return [gxe.ExpectColumnValuesToNotBeNull(column=self.columns[0])]
        if self.kind == "in_set":
            return [
                gxe.ExpectColumnValuesToBeInSet(column=self.columns[0], value_set=list(self.allowed or ()))
            ]
        if self.kind == "unique":
            if len(self.columns) == 1:
                return [gxe.ExpectColumnValuesToBeUnique(column=self.columns[0])]
            return [
                gxe.ExpectCompoundColumnsToBeUnique(column_list=list(self.columns), ignore_row_if="never")
            ]
        parts: list[gxe.Expectation] = []
        if self.minimum is not None:
            parts.append(gxe.ExpectColumnMinToBeBetween(column=self.columns[0], min_value=self.minimum))
        if self.maximum is not None:
            parts.append(gxe.ExpectColumnMaxToBeBetween(column=self.columns[0], max_value=self.maximum))
        return parts

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
    if contract.key:
        rules.append(Rule(f"({', '.join(contract.key)}) is unique", "error", "unique", contract.key))
    return tuple(rules)


def rules_of(contract: Contract) -> tuple[Rule, ...]:
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


def _run(frame: pd.DataFrame, rules: list[Rule]) -> set[Rule]:
    """The rules that the frame breaks."""
    import great_expectations as gx  # noqa: PLC0415 - takes seconds to import

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset("frame")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    by_expectation = {_key_of(e.configuration): rule for rule in rules for e in rule.expectations()}
    suite = gx.ExpectationSuite(
        name="contract", expectations=[e for rule in rules for e in rule.expectations()]
    )
    broken = set()
    for result in batch.validate(suite, result_format="BOOLEAN_ONLY").results:
        raised = _raised(result.exception_info)
        if raised:
            raise RuntimeError(f"{result.expectation_config.type} could not run: {raised}")
        if not result.success:
            broken.add(by_expectation[_key_of(result.expectation_config)])
    return broken


def _key_of(config: Any) -> str:
    kwargs = {k: v for k, v in config.kwargs.items() if k != "batch_id"}
    return f"{config.type} {sorted(kwargs.items(), key=str)}"


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
