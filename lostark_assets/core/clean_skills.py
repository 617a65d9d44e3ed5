"""Skills and hits of one log from the arrays of its players' skills. Pure.

What does not belong here: reading the documents (``skill_scan``), rules about players and logs
(``clean_meter``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from lostark_assets.core.parse import PlayerPart
from lostark_assets.core.rows import HIT_DTYPES, Columns, LogHits
from lostark_assets.errors import LogRejected

PART_TOLERANCE = 0.001
_NUMBER = re.compile(r"[0-9]{1,18}")
_EARLIEST_MS = -1000
_LATEST_AFTER_MS = 1000
_LARGEST = 2**63 - 1


class SkillCollector:
    """Skills and hits of one log, collected player by player; ``columns`` are those of ``core_skills``."""

    def __init__(self, seconds: int, span_ms: int) -> None:
        """``seconds`` of the fight that DPS counts, ``span_ms`` in which hits can be."""
        self.columns: dict[str, list[Any]] = {}
        self._seconds, self._span_ms = seconds, span_ms
        self._parts: list[tuple[np.ndarray, ...]] = []
        self._runs: list[tuple[str, int, int]] = []

    def add(self, player: PlayerPart) -> float | None:
        """One player's; the share of the damage that the hits explain, None without hits.

        Raises:
            LogRejected: a skill or hit can't be.
        """
        skills = player.skills
        if not skills:
            return None
        ids = _ids(player)
        order = sorted(range(len(ids)), key=ids.__getitem__)
        columns = _skill_columns(player, ids, order, self._seconds)
        for name, values in columns.items():
            self.columns.setdefault(name, []).extend(values)
        if not len(skills.hit_at_ms):
            self._check(player.name, columns, [None] * len(ids))
            return None
        counts = np.diff(skills.hit_edges)[order].tolist()
        arrays = tuple(np.empty(len(skills.hit_at_ms), dtype) for dtype in HIT_DTYPES.values())
        seen = _gather(
            np.array(order), skills.hit_edges, skills.hit_at_ms, skills.hit_damage, skills.hit_flags, *arrays
        )
        facts = [fact if count else None for count, fact in zip(counts, seen.T.tolist(), strict=True)]
        self._check(player.name, columns, facts)
        self._parts.append(arrays)
        self._runs += [
            (player.name, skill_id, count)
            for skill_id, count in zip(columns["skill_id"], counts, strict=True)
            if count
        ]
        dealt = player.stats.damage_dealt
        explained = sum(fact[_SUM] for fact in facts if fact is not None)
        return min(explained / dealt, 1.0) if dealt else 1.0

    def hits(self) -> LogHits:
        """The hits of all players so far."""
        columns = zip(*self._parts, strict=True) if self._parts else _NO_HITS
        return LogHits(
            {name: np.concatenate(parts) for name, parts in zip(HIT_DTYPES, columns, strict=True)}, self._runs
        )

    def _check(self, player: str, columns: Columns, facts: Sequence[list[int] | None]) -> None:
        """Refuse what can't be, skill by skill; ``facts`` of the skills' hits, None where there are none."""
        names = ("skill_id", "damage", "hits", "crits", "back_attacks", "front_attacks")
        skills = zip(*(columns[name] for name in names), facts, strict=True)
        for skill_id, damage, hits, crits, back_attacks, front_attacks, of_hits in skills:
            most = max(crits or 0, back_attacks or 0, front_attacks or 0)
            if damage < 0 or (hits is not None and most > hits):
                raise LogRejected(
                    "impossible_value",
                    f"expected damage of 0 or more and at most {hits} hits of a kind, found "
                    f"{damage} damage and {most}",
                    f"{player}, skill {skill_id}",
                )
            if of_hits is not None:
                self._check_hits(f"{player}, skill {skill_id}", damage, of_hits)

    def _check_hits(self, where: str, of_skill: int, facts: list[int]) -> None:
        first, last, least, damage = facts
        if least < 0:
            raise LogRejected(
                "impossible_value", f"expected hits of 0 damage or more, found {least:,}", where
            )
        if first < _EARLIEST_MS or last > self._span_ms + _LATEST_AFTER_MS:
            found = first if first < _EARLIEST_MS else last
            raise LogRejected(
                "impossible_value", f"expected hits within {self._span_ms} ms, found one at {found} ms", where
            )
        if damage > of_skill * (1 + PART_TOLERANCE):
            raise LogRejected(
                "broken_sums", f"expected hits of at most {of_skill:,} damage, found {damage:,}", where
            )


_SUM = 3
_NO_HITS = [[np.empty(0, dtype)] for dtype in HIT_DTYPES.values()]


@njit(cache=True, nogil=True)
def _gather(order, edges, at_ms, damage, flags, out_at, out_damage, out_crit, out_back, out_front):
    """Hits skill by skill in time order; of each skill its first and last time, least damage and their sum.

    A sum that needs more than 64 bits is the largest number of 64 bits.
    """
    seen = np.zeros((4, order.size), np.int64)
    put = 0
    for rank in range(order.size):
        begin, end = edges[order[rank]], edges[order[rank] + 1]
        if begin == end:
            continue
        is_ordered, least, total = True, damage[begin], 0
        for hit in range(begin, end):
            if hit > begin and at_ms[hit] < at_ms[hit - 1]:
                is_ordered = False
            least = min(least, damage[hit])
            total = total + damage[hit] if damage[hit] <= _LARGEST - total else _LARGEST
            place = put + hit - begin
            out_at[place] = at_ms[hit]
            out_damage[place] = damage[hit]
            out_crit[place] = flags[hit] & 1
            out_back[place] = flags[hit] & 2
            out_front[place] = flags[hit] & 4
        first, last = at_ms[begin], at_ms[end - 1]
        if not is_ordered:
            sorted_hits = begin + np.argsort(at_ms[begin:end], kind="mergesort")
            first, last = at_ms[sorted_hits[0]], at_ms[sorted_hits[-1]]
            for rise in range(end - begin):
                hit, place = sorted_hits[rise], put + rise
                out_at[place] = at_ms[hit]
                out_damage[place] = damage[hit]
                out_crit[place] = flags[hit] & 1
                out_back[place] = flags[hit] & 2
                out_front[place] = flags[hit] & 4
        put += end - begin
        seen[0, rank], seen[1, rank], seen[2, rank], seen[3, rank] = first, last, least, total
    return seen


def _ids(player: PlayerPart) -> list[int]:
    """Skills by the key that the meter kept them under; what it wrote inside may be an older form's id.

    Raises:
        LogRejected: a skill has no id, or two have the same.
    """
    ids: list[int] = []
    seen: set[int] = set()
    for key, inner in zip(player.skills.keys, player.skills.columns["id"], strict=True):
        skill_id = int(key) if _NUMBER.fullmatch(key) else inner
        if skill_id is None or skill_id < 0 or skill_id in seen:
            raise LogRejected(
                "impossible_value", f"expected a skill id of its own, found {key[:40]!r}", player.name
            )
        seen.add(skill_id)
        ids.append(skill_id)
    return ids


_TOLD = {
    "damage": "total_damage",
    "max_hit_damage": "max_damage",
    "max_cast_damage": "max_damage_cast",
    "casts": "casts",
    "hits": "hits",
    "crits": "crits",
    "back_attacks": "back_attacks",
    "front_attacks": "front_attacks",
    "stagger": "stagger",
    "damage_under_ap": "buffed_by_support",
    "damage_under_brand": "debuffed_by_support",
    "damage_under_identity": "buffed_by_identity",
    "damage_under_hyper": "buffed_by_hat",
    "is_hyper_awakening": "is_hyper_awakening",
    "is_special": "special",
    "cast_at_ms": "cast_log",
}
"""Columns that are what the meter wrote, and its fields."""
_MEASURED = {
    "crit_damage": "crits",
    "back_attack_damage": "back_attacks",
    "front_attack_damage": "front_attacks",
}
"""Damage of a kind of hit, and the count of that kind."""


def _skill_columns(
    player: PlayerPart, ids: list[int], order: list[int], seconds: int
) -> dict[str, list[Any]]:
    """One player's rows of ``core_skills`` as columns, in ``order``."""

    def ordered(field: str) -> list[Any]:
        values = player.skills.columns[field]
        return [values[place] for place in order]

    columns: dict[str, list[Any]] = {
        "player_name": [player.name] * len(ids),
        "skill_id": [ids[place] for place in order],
        "skill_name": [name if name and not name.isdigit() else None for name in ordered("name")],
        "adjusted_crit_rate": [within(rate, 1.0) for rate in ordered("adjusted_crit")],
    }
    for name, field in _TOLD.items():
        columns[name] = ordered(field)
    for name, count in _MEASURED.items():
        columns[name] = [measured(*pair) for pair in zip(ordered(name), columns[count], strict=True)]
    columns["dps"] = [damage // seconds for damage in columns["damage"]]
    columns["crit_rate"] = [
        crits / hits if hits and crits is not None else None
        for crits, hits in zip(columns["crits"], columns["hits"], strict=True)
    ]
    return columns


def measured(damage: int | None, count: int | None) -> int | None:
    """Damage of a kind of hit; a zero beside hits of that kind is an old meter's "not measured"."""
    return None if damage == 0 and count else damage


def within(value: float | None, most: float) -> float | None:
    """``value`` if it is in 0 to ``most``: a side figure that can't be is unknown, and refuses no log."""
    return value if value is not None and 0 <= value <= most and math.isfinite(value) else None
