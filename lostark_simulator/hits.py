"""Distributes a player's damage over casts and hits: time, skill, crit, direction, and active effects.

model.py computes the player's total damage.
"""

import numpy as np

from lostark_simulator.effects import (
    FOOD,
    GRENADE_MULTIPLIER,
    GRID_MS,
    SUPPORT_BUFFS,
    SUPPORT_MULTIPLIER,
    SYNERGY_MULTIPLIER,
)
from lostark_simulator.fight import Hits
from lostark_simulator.specs import SkillKit, Spec, skill_kit

CRIT_FACTOR = 2.4
MISPLACED = 0.02


def active_spans(wall_ms: int, gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The intervals in which a player can hit, as (start, end) ms: everything outside the gaps."""
    spans, start = [], 0
    for gap_start, gap_end in sorted(gaps):
        if gap_start > start:
            spans.append((start, gap_start))
        start = max(start, gap_end)
    if start < wall_ms:
        spans.append((start, wall_ms))
    return spans or [(0, max(min(gap[0] for gap in gaps), 1))]


def _cast_plan(kit: SkillKit, wanted: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Skill and number of hits of each cast, about `wanted` hits in total."""
    rate = kit.per_minute * rng.uniform(0.8, 1.2, kit.ids.size)
    casts = np.maximum(np.round(wanted * rate / (rate @ kit.hits_per_cast)), 1).astype(np.int64)
    skill = np.repeat(np.arange(kit.ids.size), casts)
    size = kit.hits_per_cast[skill] + rng.integers(-1, 2, skill.size)
    size = np.where(kit.hits_per_cast[skill] <= 2, kit.hits_per_cast[skill], size)
    return skill, np.clip(size, 1, 20)


def _times(
    skill: np.ndarray, size: np.ndarray, spans: list[tuple[int, int]], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Time of each cast and of each hit; casts of one skill never overlap, no hit falls into a gap."""
    starts, ends = np.array(spans, np.int64).T
    active_before = np.concatenate([[0], np.cumsum(ends - starts)])
    total = int(active_before[-1])
    casts_of_skill = np.bincount(skill)[skill]
    place = np.arange(skill.size) - np.searchsorted(skill, skill)
    spacing = total / casts_of_skill
    at = ((place + rng.uniform(0.0, 0.45, skill.size)) * spacing).astype(np.int64)
    span = np.minimum(np.searchsorted(active_before, at, side="right") - 1, starts.size - 1)
    cast_at = at - active_before[span] + starts[span]
    first = np.repeat(np.cumsum(size) - size, size)
    within = np.arange(int(size.sum())) - first
    step = np.minimum(120.0, 0.5 * spacing / size)
    offset = ((within + 1) * np.repeat(step, size)).astype(np.int64)
    latest = np.repeat(np.maximum(ends[span] - 1, 0), size)
    return cast_at, np.minimum(np.repeat(cast_at, size) + offset, latest)


def _directions(
    spec: Spec, kit: SkillKit, skill: np.ndarray, execution: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    rate = np.where(kit.is_positional[skill], 0.75 + execution, MISPLACED)
    draw = rng.random(skill.size)
    nothing = draw < MISPLACED
    if spec.position == "back":
        return draw < rate, np.zeros(skill.size, bool)
    if spec.position == "front":
        return np.zeros(skill.size, bool), draw < rate
    return nothing, np.zeros(skill.size, bool)


def generate_hits(
    spec: Spec,
    wanted: int,
    spans: list[tuple[int, int]],
    buff_grid: np.ndarray,
    debuff_grid: np.ndarray,
    execution: float,
    rng: np.random.Generator,
) -> tuple[Hits, np.ndarray]:
    """About `wanted` hits without damage yet, and the relative weight of each hit."""
    kit = skill_kit(spec)
    cast_skill, size = _cast_plan(kit, wanted, rng)
    cast_at, at_ms = _times(cast_skill, size, spans, rng)
    cast = np.repeat(np.arange(cast_skill.size), size)
    skill = cast_skill[cast]
    back, front = _directions(spec, kit, skill, execution, rng)
    chance = spec.crit_rate + kit.crit_bonus[skill] + 0.10 * back
    hyper = kit.is_hyper[skill]
    crit = (rng.random(skill.size) < chance) & ~hyper
    cell = at_ms // GRID_MS
    buffs = buff_grid[cell] | FOOD
    buffs = np.where(hyper, buffs & (0xFF - SUPPORT_BUFFS), buffs)
    debuffs = debuff_grid[cell]
    per_skill = np.bincount(skill, minlength=kit.ids.size)
    weight = (kit.share / per_skill)[skill] * rng.lognormal(0.0, 0.25, skill.size)
    weight *= np.where(crit, CRIT_FACTOR, 1.0) * (1 + 0.05 * back + 0.20 * front)
    weight *= SUPPORT_MULTIPLIER[buffs, debuffs] * SYNERGY_MULTIPLIER[buffs, debuffs]
    stagger = kit.stagger[skill]
    empty = np.zeros(skill.size, np.int64)
    return Hits(skill, cast, at_ms, empty, crit, back, front, buffs, debuffs, stagger, cast_at), weight


def spread_damage(total: float, weight: np.ndarray) -> np.ndarray:
    """Integer damage per hit, at least 1, in proportion to the weights."""
    return np.maximum(np.round(weight * (total / weight.sum())), 1).astype(np.int64)


def attribute_damage(hits: Hits) -> None:
    """Fill in the damage of each hit owed to supports, synergy and grenades, as integers."""
    support = SUPPORT_MULTIPLIER[hits.buffs, hits.debuffs]
    synergy = SYNERGY_MULTIPLIER[hits.buffs, hits.debuffs]
    grenade = GRENADE_MULTIPLIER[hits.buffs, hits.debuffs]
    left = hits.damage / support
    hits.received_support = (hits.damage - left).astype(np.int64)
    after_synergy = left / synergy
    hits.received_synergy = (left - after_synergy).astype(np.int64)
    unbuffed = after_synergy / grenade
    hits.received = (
        hits.received_support + hits.received_synergy + (after_synergy - unbuffed).astype(np.int64)
    )
    hits.unbuffed = unbuffed.astype(np.int64)
