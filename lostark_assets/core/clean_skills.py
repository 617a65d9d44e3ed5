"""Skills and hits of one log from the arrays of its players' skills: all players at once. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numba import njit

from lostark_assets.core.parse import PlayerPart
from lostark_assets.core.rows import HIT_DTYPES, NULL, SKILL_NUMBERS, LogHits, LogSkills
from lostark_assets.core.skill_scan import NUMBERS, ScannedSkills
from lostark_assets.errors import LogRejected

PART_TOLERANCE = 0.001
_EARLIEST_MS = -1000
_LATEST_AFTER_MS = 1000
_LARGEST = 2**63 - 1
_ID, _TOTAL_DAMAGE = NUMBERS.index("id"), NUMBERS.index("total_damage")
_METER_FIELDS = {
    "skill_id": "skill_id",
    "damage": "total_damage",
    "dps": "total_damage",
    "max_hit_damage": "max_damage",
    "max_cast_damage": "max_damage_cast",
    "casts": "casts",
    "hits": "hits",
    "crits": "crits",
    "back_attacks": "back_attacks",
    "front_attacks": "front_attacks",
    "crit_damage": "crit_damage",
    "back_attack_damage": "back_attack_damage",
    "front_attack_damage": "front_attack_damage",
    "stagger": "stagger",
    "damage_under_ap": "buffed_by_support",
    "damage_under_brand": "debuffed_by_support",
    "damage_under_identity": "buffed_by_identity",
    "damage_under_hyper": "buffed_by_hat",
    "is_hyper_awakening": "is_hyper_awakening",
    "is_special": "special",
}
"""Column to the meter's field that it is, or is computed from."""
_MEASURED = {
    "crit_damage": "crits",
    "back_attack_damage": "back_attacks",
    "front_attack_damage": "front_attacks",
}
"""Damage of a kind of hit, and the count of that kind."""


def clean_skills(
    players: Sequence[PlayerPart], seconds: int, span_ms: int
) -> tuple[LogSkills, LogHits, dict[str, float]]:
    """The skills and hits of a log's players, and the share of each player's damage that the hits explain.

    Args:
        players: in the order of the rows.
        seconds: the fight's length for DPS.
        span_ms: the time in which hits are valid.

    Raises:
        LogRejected: a skill or hit is impossible.
    """
    players = [player for player in players if len(player.skills)]
    if not players:
        return LogSkills(), LogHits(), {}
    parts = [player.skills for player in players]
    owners = [(player.name, len(player.skills)) for player in players]
    numbers = np.concatenate([part.numbers for part in parts], axis=1)
    # The key of the skill's object takes precedence: the id inside may be that of an older form.
    ids = _joined(parts, "key_ids")
    ids = np.where(ids == NULL, numbers[_ID], ids)
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    order = np.lexsort((ids, owner))
    _check_ids(players, ids, owner, order)
    fields = {"skill_id": ids[order]} | dict(zip(NUMBERS, numbers[:, order], strict=True))
    begin, hits = _in_order(_joined(parts, "hit_counts"), order)
    arrays = {name: np.empty(hits.sum(), dtype) for name, dtype in HIT_DTYPES.items()}
    facts = _gather(
        begin,
        hits,
        *(_joined(parts, name) for name in ("hit_at_ms", "hit_damage", "hit_flags")),
        *arrays.values(),
    )
    _check(owners, fields, facts, hits > 0, span_ms)
    runs = [
        run for run in zip(_each(owners), fields["skill_id"].tolist(), hits.tolist(), strict=True) if run[2]
    ]
    skills = _log_skills(parts, order, owners, fields, seconds)
    return skills, LogHits(arrays, runs), _coverage(players, facts[_SUM], hits)


def total_damage(skills: ScannedSkills) -> int:
    """Damage of all skills of a player."""
    return sum(skills.numbers[_TOTAL_DAMAGE].tolist())


def within(value: float | None, most: float) -> float | None:
    """``value`` if it is in 0 to ``most``: an impossible secondary figure is unknown, and refuses no log."""
    return value if value is not None and 0 <= value <= most and math.isfinite(value) else None


def _check_ids(players: Sequence[PlayerPart], ids: np.ndarray, owner: np.ndarray, order: np.ndarray) -> None:
    """Refuse a skill without an id, and one that has the id of another skill of its player."""
    ranked, owners = ids[order], owner[order]
    repeated = (ranked[1:] == ranked[:-1]) & (owners[1:] == owners[:-1])
    if ids.min() >= 0 and not repeated.any():
        return
    seen: set[tuple[int, int]] = set()
    for place, skill in enumerate(zip(owner.tolist(), ids.tolist(), strict=True)):
        if skill[1] < 0 or skill in seen:
            key = [key for player in players for key in player.skills.keys][place]
            raise LogRejected(
                "impossible_value",
                f"expected a unique skill id, found {key[:40]!r}",
                players[skill[0]].name,
            )
        seen.add(skill)


def _joined(parts: Sequence[ScannedSkills], name: str) -> np.ndarray:
    return np.concatenate([getattr(part, name) for part in parts])


def _each(owners: Sequence[tuple[str, int]]) -> list[str]:
    """The player of each skill."""
    return [name for name, skills in owners for _ in range(skills)]


def _in_order(counts: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offset and count of each skill's entries in the concatenated arrays of all players."""
    return (np.cumsum(counts) - counts)[order], counts[order]


_FIRST, _LAST, _MIN, _SUM = range(4)


@njit(cache=True, nogil=True)
def _gather(begins, counts, at_ms, damage, flags, out_at, out_damage, out_crit, out_back, out_front):
    """Hits skill by skill in time order; per skill the first and last time, minimum damage and total damage.

    A sum that overflows 64 bits becomes the largest 64-bit integer.
    """
    facts = np.zeros((4, counts.size), np.int64)
    put = 0
    for rank in range(counts.size):
        begin, end = begins[rank], begins[rank] + counts[rank]
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
        facts[0, rank], facts[1, rank], facts[2, rank], facts[3, rank] = first, last, least, total
    return facts


def _check(
    owners: Sequence[tuple[str, int]],
    fields: Mapping[str, np.ndarray],
    facts: np.ndarray,
    has_hits: np.ndarray,
    span_ms: int,
) -> None:
    """Refuse the log for the first impossible skill; ``facts`` are those of the skills' hits."""
    damage, count = fields["total_damage"], fields["hits"]
    of_a_kind = np.maximum.reduce([fields["crits"], fields["back_attacks"], fields["front_attacks"]])
    too_many = (damage < 0) | ((count != NULL) & (of_a_kind > count))
    early_or_late = (facts[_FIRST] < _EARLIEST_MS) | (facts[_LAST] > span_ms + _LATEST_AFTER_MS)
    too_much = facts[_SUM] > damage * (1 + PART_TOLERANCE)
    broken = too_many | (has_hits & ((facts[_MIN] < 0) | early_or_late | too_much))
    if not broken.any():
        return
    at = int(broken.argmax())
    first, last, least, of_hits = facts[:, at].tolist()
    reason = "impossible_value"
    if too_many[at]:
        expected = f"damage of 0 or more and at most {_or_none(count[at])} hits of a kind"
        found = f"{damage[at]} damage and {max(of_a_kind[at], 0)}"
    elif least < 0:
        expected, found = "hits of 0 damage or more", f"{least:,}"
    elif early_or_late[at]:
        expected = f"hits within {span_ms} ms"
        found = f"one at {first if first < _EARLIEST_MS else last} ms"
    else:
        reason = "broken_sums"
        expected, found = f"hits of at most {damage[at]:,} damage", f"{of_hits:,}"
    raise LogRejected(
        reason, f"expected {expected}, found {found}", f"{_each(owners)[at]}, skill {fields['skill_id'][at]}"
    )


def _or_none(value: np.int64) -> int | None:
    return None if value == NULL else int(value)


def _log_skills(
    parts: Sequence[ScannedSkills],
    order: np.ndarray,
    owners: list[tuple[str, int]],
    fields: Mapping[str, np.ndarray],
    seconds: int,
) -> LogSkills:
    """The rows of ``core_skills`` as arrays."""
    numbers = np.array([fields[_METER_FIELDS[name]] for name in SKILL_NUMBERS])
    for name, kind in _MEASURED.items():
        # Zero with hits of that kind is how old meters store "not measured".
        unmeasured = (fields[name] == 0) & (fields[kind] > 0)
        numbers[SKILL_NUMBERS.index(name), unmeasured] = NULL
    numbers[SKILL_NUMBERS.index("dps")] //= seconds
    adjusted = _joined(parts, "adjusted_crit")[order]
    crits, hits = fields["crits"], fields["hits"]
    crit_rate = np.where((hits > 0) & (crits != NULL), crits / np.maximum(hits, 1), np.nan)
    names = [name if name and not name.isdigit() else None for part in parts for name in part.names]
    begin, casts = _in_order(_joined(parts, "cast_counts"), order)
    return LogSkills(
        owners,
        [names[place] for place in order.tolist()],
        numbers,
        np.array([crit_rate, np.where((adjusted >= 0) & (adjusted <= 1), adjusted, np.nan)]),
        _joined(parts, "has_casts")[order],
        casts,
        _taken(_joined(parts, "cast_at_ms"), begin, casts),
    )


def _taken(values: np.ndarray, begin: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The runs of ``values`` that begin at ``begin``, concatenated."""
    return values[np.arange(count.sum()) + np.repeat(begin - np.cumsum(count) + count, count)]


def _coverage(players: Sequence[PlayerPart], damage: np.ndarray, hits: np.ndarray) -> dict[str, float]:
    """Share of the damage that the hits explain, for players who have hits."""
    shares, at = {}, 0
    for player in players:
        own = slice(at, at := at + len(player.skills))
        if hits[own].any():
            dealt = player.stats.damage_dealt
            shares[player.name] = min(sum(damage[own].tolist()) / dealt, 1.0) if dealt else 1.0
    return shares
