"""Findings about a table: which rules of its contract hold, and the worst rows where one does not.

Blocking rules say what is possible; warning rules mark what is implausible but real. Arrow judges alone here,
on the path of every commit; Great Expectations judges stored tables by the same rules (``suites``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.contracts.rules import Rule, Severity, get_rules
from lostark_assets.contracts.table import Contract
from lostark_assets.errors import ContractViolated

__all__ = ["WORST_ROWS", "Finding", "Severity", "examine", "examine_all", "examine_or_raise", "merge"]
WORST_ROWS = 5


@dataclass
class Finding:
    """The outcome of one rule: rows checked, rows that break it, and the first of those."""

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
    table: str, findings: Mapping[str, Sequence[Finding]], reported: Mapping[str, Sequence[Finding]]
) -> None:
    """Stop where a blocking rule is broken, before anything is written.

    Args:
        table: the table that can't be written, or the name of a group of tables.
        findings: findings of this batch, by table name.
        reported: findings that the error carries: these, or those of earlier batches too.

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
        raise ContractViolated(table, broken, reported)


def examine_or_raise(contract: Contract, table: pa.Table) -> list[Finding]:
    """Findings about rows that may be written; see :func:`raise_if_broken`."""
    findings = examine(contract, table)
    raise_if_broken(contract.name, {contract.name: findings}, {contract.name: findings})
    return findings


def examine_all(tables: Mapping[Contract, pa.Table]) -> dict[str, list[Finding]]:
    """Judge tables by their contracts; see :func:`examine`."""
    return {contract.name: examine(contract, table) for contract, table in tables.items()}


def examine(contract: Contract, table: pa.Table) -> list[Finding]:
    """Judge a table by its contract's rules, as far as it has their columns.

    A column of another type is a bug of the code that made the table, never broken data.

    Raises:
        TypeError: a column has not the type of its contract.
    """
    rules = [rule for rule in get_rules(contract) if set(rule.all_columns) <= set(table.column_names)]
    for rule in rules:
        if rule.kind == "type" and not rule.holds(table):
            [name] = rule.columns
            raise TypeError(f"{contract.name}: expected {rule.name}, found {table[name].type}")
    return [
        Finding(rule.name, rule.severity, table.num_rows)
        if not table.num_rows or rule.holds(table)
        else _explain(rule, contract, table)
        for rule in rules
    ]


def _explain(rule: Rule, contract: Contract, table: pa.Table) -> Finding:
    broken = rule.broken_by(table)
    shown = dict.fromkeys((*contract.key, "encounter_id", "player_name", *rule.all_columns))
    rows = table.select([name for name in shown if name in table.column_names]).filter(broken)
    worst = rows.slice(0, WORST_ROWS).to_pylist()
    return Finding(rule.name, rule.severity, table.num_rows, pc.sum(broken).as_py(), worst)
