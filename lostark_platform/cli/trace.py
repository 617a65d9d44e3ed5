"""``lostark trace``: trace one player's figures back to the raw bytes.

Statistics row, core rows, sums recomputed from skills and hits, raw row, SHA-256 of its payload, source file.
"""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.markup import escape
from rich.tree import Tree

from lostark_assets.errors import NotFound
from lostark_assets.lake.tables import Lake
from lostark_platform.terminal import console, to_json_value

_ENCOUNTER = (
    "encounter_id", "log_id", "fight_id", "is_counted", "fight_date", "fight_started_at", "raid_name",
    "gate_name", "boss_name", "difficulty", "is_cleared", "duration_s", "damage", "dps", "meter_damage",
    "meter_dps", "detail_level", "source", "source_log_id", "log_format", "clean_version", "cleaned_at",
    "clean_run_id",
)  # fmt: skip
_PLAYER = (
    "player_name",
    "class_name",
    "spec_name",
    "item_level",
    "damage",
    "dps",
    "damage_share",
    "meter_dps",
)
_STATS = (
    "dps", "damage", "duration_s", "damage_share", "spec_percentile", "spec_percentile_n", "peak_10s_dps",
    "crit_rate", "stats_version", "computed_at", "stats_run_id",
)  # fmt: skip
_RAW = (
    "log_id", "source", "source_log_id", "log_format", "payload_bytes", "fetched_at", "fetch_run_id",
    "content_sha256", "source_path",
)  # fmt: skip
_CANDIDATES = 5
_ALL_IDS = 'lostark sql "select encounter_id from core_encounters"'


@dataclass
class Trace:
    """The lineage of one player's figures. A part is None if its layer has no such row (yet)."""

    encounter: dict[str, Any]
    player: dict[str, Any]
    stats: dict[str, Any] | None
    raw: dict[str, Any] | None
    skills: dict[str, int] | None = None
    hits: dict[str, int] | None = None
    checks: dict[str, bool] = field(default_factory=dict)

    @property
    def is_consistent(self) -> bool:
        """Whether every recomputed figure equals the stored one."""
        return all(self.checks.values())

    def document(self) -> dict[str, Any]:
        """``--json``."""
        return {
            "stats": self.stats,
            "player": self.player,
            "encounter": self.encounter,
            "skills": self.skills,
            "hits": self.hits,
            "raw": self.raw,
            "checks": self.checks,
        }


def trace(lake: Lake, encounter: str, player: str) -> Trace:
    """Trace the figures of ``player`` in ``encounter`` (an encounter, log or fight id, or a prefix of one).

    Raises:
        NotFound: with the closest matches.
    """
    found = _find_encounter(lake, encounter)
    day, encounter_id = found["fight_date"], found["encounter_id"]
    row = _find_player(lake, found, player)
    name = row["player_name"]
    stats = _first(_read_player(lake, "stats_player_dps", day, encounter_id, name, _STATS))
    lineage = Trace(found, row, stats, _raw(lake, found))
    skills = _read_player(lake, "core_skills", day, encounter_id, name, ("damage", "hits"))
    if skills.num_rows:
        lineage.skills = {
            "skills": skills.num_rows,
            "damage": _sum(skills["damage"]),
            "hits": _sum(skills["hits"]),
        }
    hits = _read_player(lake, "core_hits", day, encounter_id, name, ("damage",))
    if hits.num_rows:
        lineage.hits = {"hits": hits.num_rows, "damage": _sum(hits["damage"])}
    lineage.checks = _checks(lineage)
    return lineage


def _checks(lineage: Trace) -> dict[str, bool]:
    player, checks = lineage.player, {}
    if player["damage"] is not None:
        checks["dps is damage // duration_s"] = (
            player["dps"] == player["damage"] // lineage.encounter["duration_s"]
        )
    if lineage.stats is not None:
        checks["statistics show the player's core figures"] = (
            lineage.stats["dps"],
            lineage.stats["damage"],
        ) == (
            player["dps"],
            player["damage"],
        )
    if player["meter_dps"] is not None:
        checks["our DPS equals the meter's"] = player["dps"] == player["meter_dps"]
    if lineage.skills is not None:
        checks["skills add up to the player's damage"] = lineage.skills["damage"] == player["damage"]
    if lineage.hits is not None:
        checks["hits add up to the player's damage"] = lineage.hits["damage"] == player["damage"]
    if lineage.raw is not None:
        checks["SHA-256 of the payload is the stored one"] = (
            lineage.raw["recomputed_sha256"] == lineage.raw["content_sha256"]
        )
    return checks


def _sum(column: pa.ChunkedArray) -> int:
    return pc.sum(column).as_py() or 0


def _first(rows: pa.Table) -> dict[str, Any] | None:
    return rows.slice(0, 1).to_pylist()[0] if rows.num_rows else None


def _read_player(
    lake: Lake, table: str, day: date, encounter_id: str, name: str, columns: tuple[str, ...]
) -> pa.Table:
    where = (pc.field("encounter_id") == encounter_id) & (pc.field("player_name") == name)
    return lake.read(table, columns=list(columns), days=[day], where=where)


def _find_encounter(lake: Lake, wanted: str) -> dict[str, Any]:
    ids = lake.read(
        "core_encounters", columns=["log_id", "encounter_id", "fight_id", "is_counted", "fight_date"]
    )
    rows = _matching(ids, "log_id", wanted) or _matching(ids, "fight_id", wanted)
    fights = {row["fight_id"] for row in rows}
    if len(fights) > 1:
        some = ", ".join(row["encounter_id"] for row in rows[:_CANDIDATES])
        raise NotFound(f"{wanted}: expected one encounter, found {len(rows)} with this prefix: {some}, …")
    if not rows:
        raise NotFound(_why_no_encounter(lake, ids, wanted))
    row = next((row for row in rows if row["encounter_id"] == wanted[:16]), None) or rows[0]
    where = pc.field("encounter_id") == row["encounter_id"]
    return lake.read(
        "core_encounters", columns=list(_ENCOUNTER), days=[row["fight_date"]], where=where
    ).to_pylist()[0]


def _matching(ids: pa.Table, column: str, wanted: str) -> list[dict[str, Any]]:
    """Rows whose id begins with ``wanted``, the counted log of each fight first."""
    rows = ids.filter(pc.starts_with(ids[column], wanted)) if wanted else ids.slice(0, 0)
    return sorted(rows.to_pylist(), key=lambda row: not row["is_counted"])


def _why_no_encounter(lake: Lake, ids: pa.Table, wanted: str) -> str:
    raw = lake.read("raw_battle_logs", columns=["log_id"])["log_id"]
    logs = raw.filter(pc.starts_with(raw, wanted)).to_pylist() if wanted else []
    if logs:
        entries = lake.read("core_quarantine", where=pc.field("log_id").isin(logs)).to_pylist()
        if entries:
            return (
                f"{wanted}: the log is in the raw layer, but cleaning refused it: "
                f"{entries[0]['reason_code']}, {entries[0]['detail']}. See `lostark quarantine`."
            )
        return (
            f"{wanted}: the log is in the raw layer, but it is not cleaned yet. Materialize its day, or "
            "ingest it again with --run."
        )
    near = difflib.get_close_matches(wanted, ids["encounter_id"].to_pylist(), _CANDIDATES, 0.5)
    advice = f"Nearest: {', '.join(near)}." if near else f"See `{_ALL_IDS}`."
    return f"{wanted}: no encounter, log or fight has this prefix. {advice}"


def _find_player(lake: Lake, encounter: dict[str, Any], wanted: str) -> dict[str, Any]:
    where = pc.field("encounter_id") == encounter["encounter_id"]
    rows = lake.read(
        "core_players", columns=list(_PLAYER), days=[encounter["fight_date"]], where=where
    ).to_pylist()
    by_name = {row["player_name"]: row for row in rows}
    folded = [name for name in by_name if name.casefold() == wanted.casefold()]
    if wanted not in by_name and len(folded) != 1:
        near = difflib.get_close_matches(wanted, by_name, _CANDIDATES, 0.4) or sorted(by_name)
        raise NotFound(
            f"{wanted}: no such player in encounter {encounter['encounter_id']}. Nearest: {', '.join(near)}."
        )
    return by_name[wanted if wanted in by_name else folded[0]]


def _raw(lake: Lake, encounter: dict[str, Any]) -> dict[str, Any] | None:
    found = lake.groups_with("raw_battle_logs", "log_id", [encounter["log_id"]], [*_RAW, "payload"])
    row = next(map(_first, found), None)
    if row is None:
        return None
    payload = row.pop("payload")
    path = row["source_path"]
    return row | {
        "recomputed_sha256": hashlib.sha256(payload).hexdigest(),
        "source_is_still_there": bool(path) and Path(path).exists(),
    }


def show_trace(lineage: Trace) -> None:
    """Print the lineage as a tree, from the statistics down to the bytes."""
    tree = Tree(f"{escape(lineage.player['player_name'])} in encounter {lineage.encounter['encounter_id']}")
    _branch(tree, "stats_player_dps", lineage.stats, "no statistics yet: the day waits to be materialized")
    core = _branch(tree, "core_players", lineage.player, "")
    _branch(core, "core_skills, summed now", lineage.skills, "the log carries no skills")
    _branch(core, "core_hits, summed now", lineage.hits, "the log carries no hits")
    encounter = _branch(tree, "core_encounters", lineage.encounter, "")
    _branch(
        encounter, "raw_battle_logs", lineage.raw, "the raw row is missing, though the table is append-only"
    )
    checks = tree.add("checks")
    for claim, holds in lineage.checks.items():
        checks.add(f"{'holds' if holds else 'BROKEN'}: {escape(claim)}")
    console().print(tree)


def _branch(tree: Tree, name: str, values: dict[str, Any] | None, missing: str) -> Tree:
    branch = tree.add(name)
    if values is None:
        branch.add(missing)
    for key, value in (values or {}).items():
        if value is not None:
            shown = (
                f"{value:,}"
                if isinstance(value, int) and not isinstance(value, bool)
                else to_json_value(value)
            )
            branch.add(f"{key}: {escape(str(shown))}")
    return branch
