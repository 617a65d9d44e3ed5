"""Sums the hits of one player as the meter does, in integer damage units."""

from dataclasses import dataclass

import numpy as np

from lostark_simulator.effects import BUFFS, DEBUFFS
from lostark_simulator.fight import Hits
from lostark_simulator.specs import SkillKit

_BITS = [("buffs", 1 << bit) for bit in range(len(BUFFS))] + [
    ("debuffs", 1 << bit) for bit in range(len(DEBUFFS))
]
ADJUSTED_CRIT_FLOOR = 0.05


@dataclass
class Sums:
    """Columns with one row per skill with hits (`skills` is its index in the kit), in the order of the hits.

    `by_effect` has one row per buff bit, then per debuff bit. `cast_*` has one row per cast with hits.
    """

    skills: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    damage: np.ndarray
    max_hit: np.ndarray
    max_cast: np.ndarray
    hits: np.ndarray
    casts: np.ndarray
    crits: np.ndarray
    adjusted_crits: np.ndarray
    adjusted_hits: np.ndarray
    crit_damage: np.ndarray
    backs: np.ndarray
    back_damage: np.ndarray
    fronts: np.ndarray
    front_damage: np.ndarray
    by_effect: np.ndarray
    by_support: np.ndarray
    received: np.ndarray
    received_support: np.ndarray
    unbuffed: np.ndarray
    stagger: np.ndarray
    cast_start: np.ndarray
    cast_stop: np.ndarray
    hyper_damage: int


def _starts(column: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.flatnonzero(np.diff(column)) + 1])


def compute_sums(hits: Hits, kit: SkillKit) -> Sums:
    """Sums per skill and per cast of hits that are sorted by skill and cast."""
    start, cast_start = _starts(hits.skill), _starts(hits.cast)
    stop = np.append(start[1:], hits.skill.size)
    cast_stop = np.append(cast_start[1:], hits.skill.size)
    damage = hits.damage
    cast_damage = np.add.reduceat(damage, cast_start)
    casts_before = np.searchsorted(cast_start, start)
    casts = np.append(casts_before[1:], cast_start.size) - casts_before
    skill_damage = np.add.reduceat(damage, start)
    in_average = damage > np.repeat(ADJUSTED_CRIT_FLOOR * skill_damage / casts, stop - start)
    effects = np.array([(getattr(hits, name) & bit) > 0 for name, bit in _BITS])
    flags = np.stack([hits.crit, hits.back, hits.front, in_average, hits.crit & in_average])
    counts = np.add.reduceat(flags, start, axis=1, dtype=np.int64)
    dealt = np.add.reduceat(np.concatenate([effects, flags[:3]]) * damage, start, axis=1)
    extra = np.stack([hits.received, hits.received_support, hits.unbuffed, hits.stagger])
    received, received_support, unbuffed, stagger = np.add.reduceat(extra, start, axis=1)
    skills = hits.skill[start]
    is_hyper = kit.is_hyper[skills]
    supported = dealt[[BUFFS.index("ap"), BUFFS.index("identity"), BUFFS.index("hat"), len(BUFFS)]]
    return Sums(
        skills=skills,
        start=start,
        stop=stop,
        damage=skill_damage,
        max_hit=np.maximum.reduceat(damage, start),
        max_cast=np.maximum.reduceat(cast_damage, casts_before),
        hits=stop - start,
        casts=casts,
        crits=counts[0],
        adjusted_crits=counts[4],
        adjusted_hits=counts[3],
        crit_damage=dealt[-3],
        backs=counts[1],
        back_damage=dealt[-2],
        fronts=counts[2],
        front_damage=dealt[-1],
        by_effect=dealt[:-3],
        # As the meter: hyper awakening counts in neither part of a support's share.
        by_support=np.where(is_hyper, 0, supported),
        received=received,
        received_support=received_support,
        unbuffed=unbuffed,
        stagger=stagger,
        cast_start=cast_start,
        cast_stop=cast_stop,
        hyper_damage=int(skill_damage[is_hyper].sum()),
    )


def dps_average(at_ms: np.ndarray, damage: np.ndarray, start_ms: int, end_ms: int) -> list[int]:
    """The meter's running average every 5 s; both ends are epoch ms and hits come in order of time.

    The meter counts whole epoch seconds and divides by the seconds begun.
    """
    elapsed = np.arange(0, end_ms // 1000 - start_ms // 1000 + 1, 5)
    second = (start_ms + at_ms) // 1000 - start_ms // 1000
    running = np.concatenate([[0], np.cumsum(damage)])
    return (running[np.searchsorted(second, elapsed, side="right")] // (elapsed + 1)).tolist()


def dps_rolling(at_ms: np.ndarray, damage: np.ndarray, fight_ms: int) -> list[int]:
    """The meter's DPS over -5 s to +5 s around every second; it divides by 10 at the ends as well."""
    middle = np.arange(0, fight_ms, 1000)
    running = np.concatenate([[0], np.cumsum(damage)])
    until = running[np.searchsorted(at_ms, middle + 5_000, side="right")]
    before = running[np.searchsorted(at_ms, middle - 5_000, side="left")]
    return ((until - before) // 10).tolist()
