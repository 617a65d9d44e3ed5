"""Deciding which logs are the same real fight, and which of them counts. Pure.

Two logs are one fight if gate and difficulty agree, they start within 15 s and have the same players. Players
are matched by name; anonymous players by class, spec and item level. Versions of one log are one fight,
whatever the newer one corrects. The result only depends on the set of logs, never on their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import pandas as pd

SAME_START_S = 15.0
SAME_PLAYERS = 0.75
"""Share of the larger party that must match. In any party, one player may be missing from the other log."""
SAME_CLOCK_S = 3.0
"""Allowed difference of two clocks; a log that starts later, after the other's end, is the next pull."""


FIGHT_COLUMNS = [
    "encounter_id", "raid_name", "gate_name", "boss_name", "fight_started_at", "fight_started_ntp_at",
    "source", "source_log_id", "difficulty", "duration_ms", "completeness", "damage", "fetched_at",
]  # fmt: skip
PLAYER_COLUMNS = ["encounter_id", "player_name", "is_name_known", "class_name", "spec_name", "item_level"]


@dataclass(frozen=True)
class Assignment:
    """Which fight a log belongs to, and its part in it."""

    fight_id: str
    is_counted: bool
    is_superseded: bool


@dataclass(frozen=True)
class _Party:
    names: frozenset[str]
    strangers: tuple[tuple[str | None, str | None, float | None], ...]

    @property
    def size(self) -> int:
        return len(self.names) + len(self.strangers)


def single_log_fight(encounter_id: str) -> Assignment:
    """The assignment of a log that shares its fight with no other log."""
    return Assignment(encounter_id, is_counted=True, is_superseded=False)


def near_in_time(encounters: pd.DataFrame) -> set[str]:
    """Encounters close in time at the same gate: only for these the players have to be compared.

    ``encounters`` has encounter_id, raid_name, gate_name, boss_name, fight_started_at, fight_started_ntp_at.
    """
    ordered = _ordered(encounters)
    near: set[str] = set()
    for (gate, start, one), (next_gate, next_start, other) in pairwise(ordered):
        if gate == next_gate and next_start - start <= SAME_START_S:
            near |= {one, other}
    return near


def assign_fights(encounters: pd.DataFrame, players: pd.DataFrame) -> dict[str, Assignment]:
    """The fight of every encounter that shares it or was superseded; all others are a fight of their own.

    ``encounters`` has FIGHT_COLUMNS; ``players`` (of at least the encounters near in time) PLAYER_COLUMNS.
    """
    versioned = encounters.duplicated(["source", "source_log_id", "fight_started_at"], keep=False)
    near = near_in_time(encounters)
    compared = encounters.loc[encounters["encounter_id"].isin(near) | versioned, FIGHT_COLUMNS]
    records = cast("list[dict[str, Any]]", compared.to_dict("records"))
    rows = {r["encounter_id"]: r for r in records}
    parties = _parties(players[players["encounter_id"].isin(near)])
    groups = {e: {e} for e in rows}
    ordered = _ordered(compared)
    for place, (gate, start, one) in enumerate(ordered):
        for other_gate, other_start, other in ordered[place + 1 :]:
            if other_gate != gate or other_start - start > SAME_START_S:
                break
            if other_start - start > max(rows[one]["duration_ms"] / 1000, SAME_CLOCK_S):
                continue
            if groups[one] is not groups[other] and _is_same(rows[one], rows[other], parties):
                _join(groups, one, other)
    superseded: set[str] = set()
    for *older, newest in _versions(rows.values()):
        superseded |= set(older)
        for version in older:
            # Even if gate or difficulty were corrected.
            _join(groups, version, newest)
    result: dict[str, Assignment] = {}
    for members in {id(g): g for g in groups.values()}.values():
        if len(members) > 1 or members & superseded:
            result |= _assign(members, rows, superseded)
    return result


def _ordered(encounters: pd.DataFrame) -> list[tuple[tuple[str, str], float, str]]:
    """(gate, start in s, encounter) by gate and start."""
    started = encounters["fight_started_ntp_at"].fillna(encounters["fight_started_at"])
    seconds = started.astype("int64[pyarrow]").to_numpy(dtype="int64") / 1e6
    raids, gates, bosses = (_texts(encounters[c]) for c in ("raid_name", "gate_name", "boss_name"))
    keys = [(r, g) if r and g else ("", b) for r, g, b in zip(raids, gates, bosses, strict=True)]
    return sorted(zip(keys, seconds.tolist(), encounters["encounter_id"].tolist(), strict=True))


def _texts(column: pd.Series) -> list[str]:
    return column.astype("object").where(column.notna(), "").tolist()


def _parties(players: pd.DataFrame) -> dict[str, _Party]:
    names: dict[str, set[str]] = {}
    strangers: dict[str, list[tuple[str | None, str | None, float | None]]] = {}
    values = (players[c].tolist() for c in PLAYER_COLUMNS)
    for key, name, known, class_name, spec, level in zip(*values, strict=True):
        if known:
            names.setdefault(key, set()).add(name)
        else:
            stranger = (_none(class_name), _none(spec), None if pd.isna(level) else round(level, 1))
            strangers.setdefault(key, []).append(stranger)
    return {
        k: _Party(frozenset(names.get(k, ())), tuple(strangers.get(k, ())))
        for k in names.keys() | strangers.keys()
    }


def _none(value: Any) -> Any:
    return None if pd.isna(value) else value


def _is_same(one: Mapping[str, Any], other: Mapping[str, Any], parties: Mapping[str, _Party]) -> bool:
    difficulties = {d for d in (one["difficulty"], other["difficulty"]) if not pd.isna(d)}
    if len(difficulties) > 1:
        return False
    a, b = parties.get(one["encounter_id"]), parties.get(other["encounter_id"])
    if a is None or b is None:
        return False
    by_name = len(a.names & b.names)
    if not by_name and abs(one["duration_ms"] - other["duration_ms"]) > SAME_START_S * 1000:
        return False
    larger = max(a.size, b.size)
    if by_name and by_name >= larger - 1:
        return True
    return by_name + min(_strangers_matched(a, b), larger - by_name) >= SAME_PLAYERS * larger


def _strangers_matched(a: _Party, b: _Party) -> int:
    """How many anonymous players of two parties may be the same characters.

    Two anonymous players match by class, spec and item level. One may also be a named player whom only the
    other log has: the smaller count of both sides.
    """
    common = sum((Counter(a.strangers) & Counter(b.strangers)).values())
    only_a, only_b = len(a.names - b.names), len(b.names - a.names)
    return common + min(len(a.strangers) - common, only_b) + min(len(b.strangers) - common, only_a)


def _versions(rows: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """The versions of each log, oldest first: same source, id and fight start, fetched again later."""
    versions: dict[tuple[Any, ...], list[tuple[Any, str]]] = {}
    for row in rows:
        key = (row["source"], row["source_log_id"], row["fight_started_at"])
        versions.setdefault(key, []).append((row["fetched_at"], row["encounter_id"]))
    return [[encounter_id for _, encounter_id in sorted(group)] for group in versions.values()]


def _join(groups: dict[str, set[str]], one: str, other: str) -> None:
    """Make the groups of two encounters one."""
    groups[one] |= groups[other]
    for member in groups[one]:
        groups[member] = groups[one]


def _assign(
    members: set[str], rows: Mapping[str, Mapping[str, Any]], superseded: set[str]
) -> dict[str, Assignment]:
    def rank(encounter_id: str) -> tuple[Any, ...]:
        row = rows[encounter_id]
        damage = 0 if pd.isna(row["damage"]) else row["damage"]
        current = encounter_id not in superseded
        return current, row["completeness"], damage, row["duration_ms"], encounter_id

    fight_id = min(members, key=lambda e: (rows[e]["fight_started_at"], e))
    counted = max(members, key=rank)
    return {e: Assignment(fight_id, e == counted, e in superseded) for e in members}
