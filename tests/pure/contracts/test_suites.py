"""Arrow and Great Expectations judge every rule of every contract alike."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lostark_assets.contracts.expectations import examine
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.rules import Rule, get_rules
from lostark_assets.contracts.table import Column, Contract

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TYPICAL = {"typical_dps": 1}
"""What a sum between columns needs and the column alone does not say."""


def build_number(column: Column, sums: set[str]) -> float:
    if column.name in sums and not column.is_bounded:
        return TYPICAL.get(column.name, 0)
    low, high = column.bounds
    low = max(low, low if column.odd_below is None else column.odd_below)
    high = min(high, high if column.odd_above is None else column.odd_above)
    return min(max(1, low), high)


def build_value(contract: Contract, column: Column, place: int) -> Any:
    """A value that fits; key columns differ from row to row where they can."""
    sums = {c for r in contract.relations if r.kind == "sum" for c in (*r.columns, *r.optional)}
    is_key, dtype, value = column.name in contract.key, column.value_type, None
    if column.allowed:
        value = column.allowed[0]
    elif pa.types.is_string(dtype):
        value = f"x{place}" if is_key else "x"
    elif pa.types.is_large_binary(dtype):
        value = b"x"
    elif pa.types.is_boolean(dtype):
        value = True
    elif pa.types.is_date(dtype):
        value = date(2026, 3, 1)
    elif pa.types.is_timestamp(dtype):
        value = NOW + timedelta(hours=place if is_key else 0)
    else:
        value = build_number(column, sums)
    return [value] if pa.types.is_list(column.dtype) else value


def build_row(contract: Contract, place: int) -> dict[str, Any]:
    return {c.name: build_value(contract, c, place) for c in contract.columns}


def build_table(contract: Contract, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=pa.schema([pa.field(c.name, c.dtype) for c in contract.columns]))


def list_numbers_outside(column: Column, rule: Rule) -> list[float]:
    """Numbers that the column's type holds and the rule's bounds do not."""
    low, high = Column("", column.dtype, "").bounds
    if pa.types.is_floating(column.value_type):
        found = [rule.minimum - abs(rule.minimum) / 100 - 1, rule.maximum + abs(rule.maximum) / 100 + 1]
        return [*(x for x in found if low <= x <= high), math.nan, math.inf, -math.inf]
    return [x for x in (rule.minimum - 1, rule.maximum + 1) if low <= x <= high]


def break_rule(
    contract: Contract, rule: Rule, row: dict[str, Any], other: dict[str, Any]
) -> list[dict[str, Any]]:
    """Rows that each break the rule; ``other`` is another row of the table."""
    name = rule.columns[0]
    column = contract.by_name[name]
    if rule.kind == "between":
        numbers = list_numbers_outside(column, rule)
        return [row | {name: [x] if pa.types.is_list(column.dtype) else x} for x in numbers]
    changes: dict[str, Any] = {}
    match rule.kind:
        case "not_null":
            changes = {name: None}
        case "in_set":
            changes = {name: "Wizard"}
        case "unique":
            changes = {key: other[key] for key in rule.columns}
        case "ordered":
            changes = {name: row[rule.columns[1]] + 1}
        case "sum":
            changes = {name: row[name] + 1}
    return [row | changes] if changes else []


def examine_all_rows(contract: Contract, rows: list[dict[str, Any]]) -> dict[str, int]:
    return {f.rule: f.failed for f in examine(contract, build_table(contract, rows))}


def break_types(contract: Contract) -> pa.Table:
    """Every column as another type."""
    columns = [
        pa.array([1, 2]) if pa.types.is_string(c.dtype) else pa.array(["a", "b"]) for c in contract.columns
    ]
    return pa.table(columns, names=contract.names)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_arrow_and_great_expectations_agree_on_every_rule(contract):
    from lostark_assets.contracts.suites import judge

    good = [build_row(contract, place) for place in range(2)]
    assert not any(examine_all_rows(contract, good).values())
    assert [str(f) for f in judge(contract, build_table(contract, good)) if not f.passed] == []

    everything = list(good)
    for rule in get_rules(contract):
        for broken in break_rule(contract, rule, build_row(contract, len(everything)), good[0]):
            assert examine_all_rows(contract, [*good, broken])[rule.name], (rule.name, broken)
            everything.append(broken)

    by_arrow = examine_all_rows(contract, everything)
    by_suite = {f.rule: f.failed for f in judge(contract, build_table(contract, everything))}
    assert by_suite == by_arrow
    assert all(by_arrow[rule.name] for rule in get_rules(contract) if rule.kind != "type")


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_both_refuse_a_column_of_another_type(contract):
    from lostark_assets.contracts.suites import judge

    table = break_types(contract)
    types = {rule.name for rule in get_rules(contract) if rule.kind == "type"}

    assert not any(rule.holds(table) for rule in get_rules(contract) if rule.kind == "type")
    with pytest.raises(TypeError, match=f"{contract.name}: expected .* has type"):
        examine(contract, table)
    assert types <= {f.rule for f in judge(contract, table) if not f.passed}


@pytest.mark.parametrize("column", ["class_name", "spec_name", "difficulty", "raid_name", "gate_name"])
def test_a_word_outside_the_game_is_refused(column):
    for contract in CONTRACTS.values():
        if column in contract.by_name:
            row = build_row(contract, 0) | {column: "Wizard"}
            assert examine_all_rows(contract, [row])[f"{column} is one of its words"] == 1


def test_names_of_players_never_reach_data_docs():
    from lostark_assets.contracts.suites import judge

    contract = CONTRACTS["core_players"]
    row = build_row(contract, 0) | {"player_name": "Zoë", "character_id": "c-17"}

    findings = [f for f in judge(contract, build_table(contract, [row, row])) if not f.passed]

    assert [f.rule for f in findings] == ["(encounter_id, player_name) is unique"]
    assert "Zoë" not in str(findings)
    assert "player_name 0" in str(findings)


def test_a_rule_that_could_not_run_is_an_error_and_no_finding(monkeypatch):
    from lostark_assets.contracts import suites

    contract = CONTRACTS["core_quarantine"]
    monkeypatch.setattr(suites, "_get_exception", lambda info: "out of order")

    with pytest.raises(RuntimeError, match="could not run: out of order"):
        suites.judge(contract, build_table(contract, [build_row(contract, 0)]))


def test_a_run_that_commits_never_imports_great_expectations():
    code = (
        "import sys, lostark_assets.definitions, lostark_assets.core.pipeline\n"
        "import lostark_assets.stats.pipeline\n"
        "from lostark_assets.contracts.expectations import examine\n"
        "from lostark_assets.contracts.registry import CONTRACTS\n"
        "for contract in CONTRACTS.values(): examine(contract, contract.empty())\n"
        "assert 'great_expectations' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_numbered_rows_are_proven_unique_without_hashing_them_all():
    contract = CONTRACTS["stats_dps_timeline"]
    [rule] = [rule for rule in get_rules(contract) if rule.kind == "unique"]
    row = build_row(contract, 0)

    def table(*keys: tuple[str, str, int]) -> pa.Table:
        names = ("encounter_id", "player_name", "second")
        return build_table(contract, [row | dict(zip(names, key, strict=True)) for key in keys])

    for keys in (
        (("e", "a", 0), ("e", "a", 1), ("e", "b", 0)),
        (("e", "a", 1), ("e", "a", 0), ("e", "b", 0)),
        (("e", "a", 0), ("e", "b", 0), ("e", "a", 1)),
        (("e", "a", 0), ("e", "a", 0)),
        (("e", "a", 0), ("e", "b", 0), ("e", "a", 0)),
        (("e", "a", 0), ("f", "a", 1), ("e", "a", 0)),
    ):
        assert rule.holds(table(*keys)) == (len(set(keys)) == len(keys)), keys
        assert rule.holds(table(*keys)) != pc.any(rule.broken_by(table(*keys))).as_py()
