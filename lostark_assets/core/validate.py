"""Rules across the cleaned tables, which no single contract can express. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from lostark_assets.contracts.expectations import WORST_ROWS, Finding, Severity, examine_all
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.core.rows import Cleaned

Tables = dict[str, pa.Table]

RAW_ROWS_ACCOUNTED = "raw_logs_in_equal_encounters_plus_quarantine"
PLAYER_ROWS_ACCOUNTED = "player_rows_in_equal_players_plus_quarantine"
DPS_EQUALS_METER = "core_dps_equals_meter_dps"
RAID_DPS_EQUALS_METER = "core_raid_dps_equals_meter_dps"
SKILLS_SUM = "core_skills_sum_to_player_damage"
HITS_SUM = "core_hits_sum_to_skill_damage"
SHARES_SUM = "core_damage_shares_sum_to_one"
GATES_KNOWN = "core_gates_are_known"

CROSS_RULES: dict[str, tuple[str, Severity]] = {
    RAW_ROWS_ACCOUNTED: ("core_encounters", "error"),
    PLAYER_ROWS_ACCOUNTED: ("core_players", "error"),
    DPS_EQUALS_METER: ("core_players", "error"),
    RAID_DPS_EQUALS_METER: ("core_encounters", "error"),
    SKILLS_SUM: ("core_skills", "error"),
    HITS_SUM: ("core_hits", "error"),
    SHARES_SUM: ("core_players", "warn"),
    GATES_KNOWN: ("core_encounters", "warn"),
}
"""Rule → (table it is shown at, severity)."""


def build_tables(cleaned: Cleaned) -> Tables:
    """The cleaned rows as tables by contract name."""
    return {
        "core_hits": cleaned.hits.table(),
        "core_skills": cleaned.skills.table(),
        "core_players": cleaned.players.table(),
        "core_quarantine": cleaned.quarantine.table(),
        "core_encounters": cleaned.encounters.table(),
    }


def examine_core(tables: Tables, raw_logs: int) -> dict[str, list[Finding]]:
    """Findings by table: every contract's rules, and the rules across tables. ``raw_logs`` went in."""
    findings = examine_all({CONTRACTS[name]: table for name, table in tables.items()})
    for rule, check in _CHECKS.items():
        table, severity = CROSS_RULES[rule]
        findings[table].append(check(rule, severity, tables, raw_logs))
    return findings


def _raw_rows_accounted(rule: str, severity: Severity, tables: Tables, raw_logs: int) -> Finding:
    refused = tables["core_quarantine"].filter(pc.field("scope") == "log").num_rows
    kept = tables["core_encounters"].num_rows
    worst = [{"raw_logs": raw_logs, "encounters": kept, "quarantined": refused}]
    return _finding(rule, severity, raw_logs, abs(raw_logs - kept - refused), worst)


def _player_rows_accounted(rule: str, severity: Severity, tables: Tables, _: int) -> Finding:
    rows_in = pc.sum(tables["core_encounters"]["player_rows_in"]).as_py() or 0
    refused = tables["core_quarantine"].filter(pc.field("scope") == "player").num_rows
    kept = tables["core_players"].num_rows
    worst = [{"player_rows_in": rows_in, "players": kept, "quarantined": refused}]
    return _finding(rule, severity, rows_in, abs(rows_in - kept - refused), worst)


def _dps_equals(name: str) -> Callable[[str, Severity, Tables, int], Finding]:
    def check(rule: str, severity: Severity, tables: Tables, _: int) -> Finding:
        table = tables[name]
        measured = table.filter(pc.and_kleene(pc.is_valid(table["meter_dps"]), pc.is_valid(table["dps"])))
        if name == "core_encounters":
            # Meters that stored no raid DPS left a zero.
            measured = measured.filter(
                pc.or_(pc.greater(measured["meter_dps"], 0), pc.equal(measured["dps"], 0))
            )
        different = measured.filter(pc.not_equal(measured["meter_dps"], measured["dps"]))
        return _finding(
            rule, severity, measured.num_rows, different.num_rows, _show(different, ["dps", "meter_dps"])
        )

    return check


def _skills_sum(rule: str, severity: Severity, tables: Tables, _: int) -> Finding:
    by_player = tables["core_skills"].group_by(["encounter_id", "player_name"]).aggregate([("damage", "sum")])
    both = (
        tables["core_players"]
        .select(["encounter_id", "player_name", "damage"])
        .join(by_player, ["encounter_id", "player_name"], join_type="inner")
    )
    limit = pc.add(pc.multiply(both["damage"].cast(pa.float64(), safe=False), 0.001), 1.0)
    off = both.filter(
        pc.greater(
            pc.abs(pc.subtract(both["damage"], both["damage_sum"])).cast(pa.float64(), safe=False), limit
        )
    )
    return _finding(rule, severity, both.num_rows, off.num_rows, _show(off, ["damage", "damage_sum"]))


def _hits_sum(rule: str, severity: Severity, tables: Tables, _: int) -> Finding:
    """Hits explain at most the skill's damage; explaining less is real (``hit_coverage``)."""
    keys = ["encounter_id", "player_name", "skill_id"]
    both = _damage_of_runs(tables["core_hits"]).group_by(keys).aggregate([("hit_damage", "sum")])
    both = both.join(tables["core_skills"].select([*keys, "damage"]), keys, join_type="left outer")
    limit = pc.add(pc.multiply(pc.fill_null(both["damage"], 0).cast(pa.float64(), safe=False), 1.001), 1.0)
    off = both.filter(pc.greater(both["hit_damage_sum"].cast(pa.float64(), safe=False), limit))
    return _finding(
        rule, severity, both.num_rows, off.num_rows, _show(off, ["skill_id", "damage", "hit_damage_sum"])
    )


def _damage_of_runs(hits: pa.Table) -> pa.Table:
    """Damage of each run of hits of one skill: hits are sorted, so millions reduce to thousands of rows."""
    hits = hits.unify_dictionaries().combine_chunks()
    encounters, players = (_codes(hits[name]) for name in ("encounter_id", "player_name"))
    skills = hits["skill_id"].to_numpy()
    starts, sums = _sums_of_runs(encounters, players, skills, hits["damage"].to_numpy())
    return pa.table(
        {
            "encounter_id": hits["encounter_id"].take(starts).cast(pa.string()),
            "player_name": hits["player_name"].take(starts).cast(pa.string()),
            "skill_id": skills[starts],
            "hit_damage": sums,
        }
    )


@njit(cache=True, nogil=True)
def _sums_of_runs(encounters, players, skills, damage):
    """The first row of each run of rows with the same keys, and the damage of all its rows."""
    runs, size = 0, damage.size
    starts, sums = np.empty(size, np.int64), np.empty(size, np.int64)
    for row in range(size):
        if row == 0 or (
            (encounters[row] != encounters[row - 1])
            | (players[row] != players[row - 1])
            | (skills[row] != skills[row - 1])
        ):
            starts[runs], sums[runs] = row, 0
            runs += 1
        sums[runs - 1] += damage[row]
    return starts[:runs].copy(), sums[:runs].copy()


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    chunk = column.unify_dictionaries().combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return chunk.indices.to_numpy() if len(chunk) else np.zeros(0, np.int32)


def _shares_sum(rule: str, severity: Severity, tables: Tables, _: int) -> Finding:
    sums = tables["core_players"].group_by("encounter_id").aggregate([("damage_share", "sum")])
    off = sums.filter(pc.greater(pc.abs(pc.subtract(sums["damage_share_sum"], 1.0)), 0.02))
    return _finding(rule, severity, sums.num_rows, off.num_rows, _show(off, ["damage_share_sum"]))


def _gates_known(rule: str, severity: Severity, tables: Tables, _: int) -> Finding:
    table = tables["core_encounters"]
    off = table.filter(pc.is_in(table["gate_resolution"], pa.array(["unknown", "ambiguous"])))
    return _finding(
        rule, severity, table.num_rows, off.num_rows, _show(off, ["boss_name", "gate_candidates"])
    )


def _finding(
    rule: str, severity: Severity, checked: int, failed: int, worst: list[dict[str, Any]]
) -> Finding:
    return Finding(rule, severity, checked, failed, worst[:WORST_ROWS] if failed else [])


def _show(table: pa.Table, columns: list[str]) -> list[dict[str, Any]]:
    keys = [c for c in ("encounter_id", "player_name") if c in table.column_names]
    return table.select([*keys, *columns]).slice(0, WORST_ROWS).to_pylist()


_CHECKS: dict[str, Callable[[str, Severity, Tables, int], Finding]] = {
    RAW_ROWS_ACCOUNTED: _raw_rows_accounted,
    PLAYER_ROWS_ACCOUNTED: _player_rows_accounted,
    DPS_EQUALS_METER: _dps_equals("core_players"),
    RAID_DPS_EQUALS_METER: _dps_equals("core_encounters"),
    SKILLS_SUM: _skills_sum,
    HITS_SUM: _hits_sum,
    SHARES_SUM: _shares_sum,
    GATES_KNOWN: _gates_known,
}
