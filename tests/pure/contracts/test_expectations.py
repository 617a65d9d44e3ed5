"""Each kind of rule, kept and broken, as Great Expectations sees it; tall tables give the same findings."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lostark_assets.contracts.core import CORE_HITS, CORE_PLAYERS, CORE_QUARANTINE
from lostark_assets.contracts.expectations import Finding, examine, merge
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.rules import get_rules
from lostark_assets.contracts.stats import STATS_DPS_TIMELINE
from lostark_assets.contracts.table import Contract

VALUES = {"string": "a", "int64": 1, "int32": 1, "double": 1.0, "bool": True}
HIT = {"encounter_id": "e", "player_name": "a", "skill_id": 1, "hit_at_ms": 5, "damage": 7}
SECOND = {"encounter_id": "e", "player_name": "a", "second": 0, "damage": 1, "measured_by": "hits"}


def build_table(contract: Contract, *rows: dict) -> pa.Table:
    """Rows with a value in every column that may not be null; None stays null."""
    full = []
    for place, row in enumerate(rows):
        values = {}
        for column in contract.columns:
            if column.nullable:
                continue
            if column.allowed:
                values[column.name] = column.allowed[0]
            elif str(column.dtype) in VALUES:
                values[column.name] = VALUES[str(column.dtype)]
            elif pa.types.is_date(column.dtype):
                values[column.name] = 20_000
            elif pa.types.is_timestamp(column.dtype):
                values[column.name] = 1_760_000_000_000_000
        if contract.key:
            values[contract.key[0]] = f"{place}"
        full.append(values | row)
    columns = [pa.array([row.get(c.name) for row in full], c.dtype) for c in contract.columns]
    return pa.table(columns, names=contract.names)


def broken(contract, table):
    return {f.rule: (f.severity, f.failed) for f in examine(contract, table) if not f.passed}


@pytest.mark.parametrize(
    ("contract", "good", "bad", "expected"),
    [
        (CORE_PLAYERS, {}, {"is_name_known": None}, {"is_name_known is never null": ("error", 1)}),
        (CORE_PLAYERS, {"damage": 0}, {"damage": -1}, {"damage is at least 0": ("error", 1)}),
        (CORE_PLAYERS, {"dps": None}, {"damage_share": 1.5}, {"damage_share is 0…1": ("error", 1)}),
        (
            CORE_PLAYERS,
            {"item_level": 1_700.0},
            {"item_level": 250.0},
            {"item_level is 300…1900": ("warn", 1)},
        ),
        (CORE_PLAYERS, {"support_ap": 1.1}, {"support_ap": 1.2}, {"support_ap is at most 1.1": ("warn", 1)}),
        (
            CORE_QUARANTINE,
            {"reason_code": "no_players"},
            {"reason_code": "whatever"},
            {"reason_code is one of its words": ("error", 1)},
        ),
        (
            CORE_QUARANTINE,
            {"quarantine_id": "0"},
            {"quarantine_id": "0"},
            {"(quarantine_id) is unique": ("error", 2)},
        ),
        (
            CORE_PLAYERS,
            {"encounter_id": "e", "player_name": "x"},
            {"encounter_id": "e", "player_name": "x"},
            {"(encounter_id, player_name) is unique": ("error", 2)},
        ),
    ],
)
def test_each_kind_of_rule_passes_and_fails(contract, good, bad, expected):
    if not any("unique" in rule for rule in expected):
        assert broken(contract, build_table(contract, good, good)) == {}
    assert broken(contract, build_table(contract, good)) == {}
    assert broken(contract, build_table(contract, good, bad)) == expected


def test_findings_show_where_the_worst_rows_are():
    table = build_table(CORE_PLAYERS, *({"player_name": f"P{n}", "damage": -n} for n in range(9)))

    [finding] = [f for f in examine(CORE_PLAYERS, table) if not f.passed]

    assert (finding.checked, finding.failed, len(finding.worst)) == (9, 8, 5)
    assert finding.worst[0] == {"encounter_id": "1", "player_name": "P1", "damage": -1}
    assert "broken by 8 of 9 rows" in str(finding)


def test_an_empty_table_keeps_every_rule():
    for contract in CONTRACTS.values():
        findings = examine(contract, contract.empty())
        assert all(f.passed and f.checked == 0 for f in findings)


def test_a_table_of_nulls_breaks_only_the_rules_that_forbid_them():
    table = build_table(CORE_PLAYERS, {"log_id": None, "encounter_id": None, "player_name": None})

    assert broken(CORE_PLAYERS, table) == {
        f"{name} is never null": ("error", 1) for name in ("log_id", "encounter_id", "player_name")
    }


def test_a_rule_that_could_not_run_is_an_error_and_no_finding():
    table = build_table(CORE_PLAYERS, {}).set_column(
        CORE_PLAYERS.names.index("damage"), "damage", pa.array([["a", "list"]])
    )

    with pytest.raises((RuntimeError, TypeError)):
        examine(CORE_PLAYERS, table)


@pytest.mark.parametrize(
    ("contract", "row", "changes", "expected"),
    [
        (CORE_HITS, HIT, {"damage": -1}, {"damage is at least 0": ("error", 1)}),
        (CORE_HITS, HIT, {"hit_at_ms": -1_001}, {"hit_at_ms is -1000…8.6401e+07": ("error", 1)}),
        (CORE_HITS, HIT, {"player_name": None}, {"player_name is never null": ("error", 1)}),
        (CORE_HITS, HIT, {"is_crit": None}, {"is_crit is never null": ("error", 1)}),
        (STATS_DPS_TIMELINE, SECOND, {"second": -1}, {"second is at least 0": ("error", 1)}),
        (STATS_DPS_TIMELINE, SECOND, {"measured_by": "x"}, {"measured_by is one of its words": ("error", 1)}),
        (
            STATS_DPS_TIMELINE,
            SECOND,
            {"measured_by": "kit"},
            {"measured_by is one of its words": ("error", 1)},
        ),
    ],
)
def test_tall_tables_are_judged_like_any_other(contract, row, changes, expected):
    """A word like kit lies between the two allowed ones, where smallest and largest don't show it."""
    others = [row, row | ({"measured_by": "meter"} if contract is STATS_DPS_TIMELINE else {})]
    rows = [one | {"second": n} if "second" in one else one for n, one in enumerate([*others, *others])]
    table = build_table(contract, *rows, row | ({"second": 9} if "second" in row else {}) | changes)

    assert broken(contract, table) == expected


numbers = st.one_of(st.none(), st.integers(-3, 3))


@given(
    st.lists(
        st.tuples(numbers, numbers, st.sampled_from(["hits", "kit", "meter", None])), min_size=1, max_size=8
    )
)
@settings(deadline=None, max_examples=15)
def test_extremes_tell_as_much_as_all_rows(rows):
    table = build_table(
        STATS_DPS_TIMELINE,
        *(
            {"encounter_id": "e", "second": second, "damage": damage, "measured_by": word}
            for second, damage, word in rows
        ),
    )

    found = {f.rule: f.failed for f in examine(STATS_DPS_TIMELINE, table)}

    expected = {rule.name: pc.sum(rule.broken_by(table)).as_py() for rule in get_rules(STATS_DPS_TIMELINE)}
    assert found == expected


def test_merging_adds_up_and_keeps_the_order():
    one = [Finding("a", "error", 10, 1, [{"x": 1}]), Finding("b", "warn", 10)]
    other = [
        Finding("b", "warn", 5, 5, [{"x": n} for n in range(5)]),
        Finding("a", "error", 5, 2, [{"x": 2}]),
    ]

    merged = merge([*one, *other])

    assert [(f.rule, f.checked, f.failed) for f in merged] == [("a", 15, 3), ("b", 15, 5)]
    assert merged[0].worst == [{"x": 1}, {"x": 2}]
    assert one[0].checked == 10


def test_every_contract_makes_rules_that_name_their_column():
    for contract in CONTRACTS.values():
        rules = get_rules(contract)
        assert len({rule.name for rule in rules}) == len(rules)
        assert {c for rule in rules for c in rule.columns} <= set(contract.names)
        assert {c.name for c in contract.columns if not c.nullable} == {
            rule.columns[0] for rule in rules if rule.kind == "not_null"
        }
