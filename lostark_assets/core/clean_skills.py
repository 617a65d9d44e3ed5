"""Skill rows and hits of one log from the arrays of its players' skills. Pure.

What does not belong here: reading the documents (``skill_scan``), rules about players and logs
(``clean_meter``).
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numba import njit

from lostark_assets.core.parse import PlayerPart
from lostark_assets.core.rows import HIT_DTYPES, LogHits
from lostark_assets.errors import LogRejected

PART_TOLERANCE = 0.001
_NUMBER = re.compile(r"[0-9]{1,18}")
_EARLIEST_MS = -1000
_LATEST_AFTER_MS = 1000
_LARGEST = 2**63 - 1


class SkillCollector:
    """Skill rows and hits of one log, collected player by player."""

    def __init__(self, seconds: int, span_ms: int) -> None:
        """``seconds`` of the fight that DPS counts, ``span_ms`` in which hits can be."""
        self.rows: list[dict[str, Any]] = []
        self._seconds, self._span_ms = seconds, span_ms
        self._parts: list[tuple[np.ndarray, ...]] = []
        self._runs: list[tuple[str, int, int]] = []

    def add(self, player: PlayerPart) -> float | None:
        """One player's; the share of the damage that the hits explain, None without hits.

        Raises:
            LogRejected: a skill or hit can't be.
        """
        skills = player.skills
        ids = _ids(player)
        order = sorted(range(len(ids)), key=ids.__getitem__)
        if not len(skills.hit_at_ms):
            self._add_rows(player, ids, order, None)
            return None
        counts = np.diff(skills.hit_edges)
        arrays = tuple(np.empty(len(skills.hit_at_ms), dtype) for dtype in HIT_DTYPES.values())
        seen = _gather(
            np.array(order), skills.hit_edges, skills.hit_at_ms, skills.hit_damage, skills.hit_flags, *arrays
        )
        explained = self._add_rows(
            player, ids, order, list(zip(counts[order].tolist(), *seen.tolist(), strict=True))
        )
        self._parts.append(arrays)
        dealt = player.stats.damage_dealt
        return min(explained / dealt, 1.0) if dealt else 1.0

    def hits(self) -> LogHits:
        """The hits of all players so far."""
        columns = zip(*self._parts, strict=True) if self._parts else _NO_HITS
        return LogHits(
            {name: np.concatenate(parts) for name, parts in zip(HIT_DTYPES, columns, strict=True)}, self._runs
        )

    def _add_rows(
        self, player: PlayerPart, ids: list[int], order: list[int], seen: list[tuple[int, ...]] | None
    ) -> int:
        """Rows and runs of one player's skills by id; the damage of all hits."""
        explained = 0
        fields = list(zip(*(player.skills.columns[name] for name in _USED), strict=True))
        for rank, place in enumerate(order):
            row = _skill_row(player.name, ids[place], fields[place], self._seconds)
            self.rows.append(row)
            if seen is None or not seen[rank][0]:
                continue
            count, *facts = seen[rank]
            self._check_hits(player.name, row, facts)
            explained += facts[_SUM]
            self._runs.append((player.name, ids[place], count))
        return explained

    def _check_hits(self, player: str, row: dict[str, Any], facts: list[int]) -> None:
        first, last, least, damage = facts[_FIRST], facts[_LAST], facts[_LEAST], facts[_SUM]
        if (
            first >= _EARLIEST_MS
            and last <= self._span_ms + _LATEST_AFTER_MS
            and least >= 0
            and damage <= row["damage"] * (1 + PART_TOLERANCE)
        ):
            return
        where = f"{player}, skill {row['skill_id']}"
        if least < 0:
            raise LogRejected(
                "impossible_value", f"expected hits of 0 damage or more, found {least:,}", where
            )
        if first < _EARLIEST_MS or last > self._span_ms + _LATEST_AFTER_MS:
            found = first if first < _EARLIEST_MS else last
            raise LogRejected(
                "impossible_value", f"expected hits within {self._span_ms} ms, found one at {found} ms", where
            )
        raise LogRejected(
            "broken_sums", f"expected hits of at most {row['damage']:,} damage, found {damage:,}", where
        )


_FIRST, _LAST, _LEAST, _SUM = range(4)
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


_USED = (
    "name",
    "total_damage",
    "max_damage",
    "max_damage_cast",
    "casts",
    "hits",
    "crits",
    "adjusted_crit",
    "back_attacks",
    "front_attacks",
    "crit_damage",
    "back_attack_damage",
    "front_attack_damage",
    "stagger",
    "buffed_by_support",
    "debuffed_by_support",
    "buffed_by_identity",
    "buffed_by_hat",
    "is_hyper_awakening",
    "special",
    "cast_log",
)


def _skill_row(player: str, skill_id: int, skill: tuple[Any, ...], seconds: int) -> dict[str, Any]:
    """One row of the values of ``_USED``."""
    (
        name,
        damage,
        max_damage,
        max_cast,
        casts,
        hits,
        crits,
        adjusted_crit,
        back_attacks,
        front_attacks,
        crit_damage,
        back_damage,
        front_damage,
        stagger,
        under_ap,
        under_brand,
        under_identity,
        under_hyper,
        is_hyper_awakening,
        is_special,
        cast_log,
    ) = skill
    most = max(crits or 0, back_attacks or 0, front_attacks or 0)
    if damage < 0 or (hits is not None and most > hits):
        raise LogRejected(
            "impossible_value",
            f"expected damage of 0 or more and at most {hits} hits of a kind, found "
            f"{damage} damage and {most}",
            f"{player}, skill {skill_id}",
        )
    return {
        "player_name": player,
        "skill_id": skill_id,
        "skill_name": name if name and not name.isdigit() else None,
        "damage": damage,
        "dps": damage // seconds,
        "max_hit_damage": max_damage,
        "max_cast_damage": max_cast,
        "casts": casts,
        "hits": hits,
        "crits": crits,
        "crit_rate": crits / hits if hits and crits is not None else None,
        "adjusted_crit_rate": within(adjusted_crit, 1.0),
        "back_attacks": back_attacks,
        "front_attacks": front_attacks,
        "crit_damage": measured(crit_damage, crits),
        "back_attack_damage": measured(back_damage, back_attacks),
        "front_attack_damage": measured(front_damage, front_attacks),
        "stagger": stagger,
        "damage_under_ap": under_ap,
        "damage_under_brand": under_brand,
        "damage_under_identity": under_identity,
        "damage_under_hyper": under_hyper,
        "is_hyper_awakening": is_hyper_awakening,
        "is_special": is_special,
        "cast_at_ms": cast_log,
    }


def measured(damage: int | None, count: int | None) -> int | None:
    """Damage of a kind of hit; a zero beside hits of that kind is an old meter's "not measured"."""
    return None if damage == 0 and count else damage


def within(value: float | None, most: float) -> float | None:
    """``value`` if it is in 0 to ``most``: a side figure that can't be is unknown, and refuses no log."""
    return value if value is not None and 0 <= value <= most and math.isfinite(value) else None
