"""Causes of a player's damage: the parts of log DPS, and deaths.

Effect sizes follow public logs; hits.py distributes the result over hits.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np

from lostark_simulator.population import Character, median_combat_power
from lostark_simulator.raids import Gate

ITEM_LEVEL_SLOPE = 0.014
MAX_BY_ITEM_LEVEL = 0.20
"""Maximum effect of gear far above a gate's level: mechanics and the boss's pauses remain."""
AFFINITY_SD = 0.12
REFERENCE_ABOVE_FLOOR = 15
LIMIT_SHARE_OF_A_TYPICAL_CLEAR = 0.68
SUPPORT_SCALE = float(np.log(0.035))
FIRST_WEEK_DRIFT = 0.09
DRIFT_DECAY = 0.75
UPLOADER_EFFECT = 0.10
NOISE_SD = 0.17
RAID_SD = 0.13
DEATH_EFFECT = float(np.log(0.6))
PARTS = (
    "base",
    "item_level",
    "combat_power",
    "spec",
    "skill",
    "raid",
    "uptime",
    "death",
    "uploader",
    "week",
    "noise",
)


@dataclass(frozen=True)
class Uptimes:
    """Share of the time, 0..1, with the support's buffs and brand active."""

    ap: float
    brand: float
    identity: float
    hat: float

    @property
    def effect(self) -> float:
        """Log DPS relative to a typical support; a party without support loses about a third."""
        return (
            0.20 * (self.ap - 0.94)
            + 0.10 * (self.brand - 0.97)
            + 0.25 * (self.identity - 0.45)
            + 0.10 * (self.hat - 0.28)
        )


NO_SUPPORT = Uptimes(0.0, 0.0, 0.0, 0.0)


def draw_uptimes(rng: np.random.Generator, skill: float) -> Uptimes:
    """A support's uptimes in one fight; a better support keeps them higher."""
    quality = float(rng.normal(0.0, 0.7)) + skill * 6
    squash = 1 / (1 + np.exp(-quality))
    return Uptimes(
        ap=float(0.88 + 0.10 * squash),
        brand=float(0.93 + 0.06 * squash),
        identity=float(0.28 + 0.34 * squash),
        hat=float(0.18 + 0.18 * squash),
    )


def week_effect(weeks: int) -> float:
    """Log DPS gained since the season's first week by gear that item level does not reflect."""
    return FIRST_WEEK_DRIFT * (1 - DRIFT_DECAY**weeks) / (1 - DRIFT_DECAY)


def item_level_effect(above: float) -> float:
    """Log DPS by item level relative to the usual one at a gate: linear below it, saturating above."""
    if above <= 0:
        return ITEM_LEVEL_SLOPE * above
    return MAX_BY_ITEM_LEVEL * (1 - float(np.exp(-ITEM_LEVEL_SLOPE * above / MAX_BY_ITEM_LEVEL)))


@cache
def affinity(boss: str, position: str) -> float:
    """Log DPS effect of a boss on a position: some bosses turn, some stand still."""
    seed = int.from_bytes(hashlib.sha256(f"{boss} {position}".encode()).digest()[:4], "big")
    return float(np.random.default_rng(seed).normal(0.0, AFFINITY_SD))


def skewed_noise(rng: np.random.Generator) -> float:
    """Random variation in one fight: sd 0.17, with a slightly longer left tail."""
    z = float(rng.normal())
    return NOISE_SD * (z - 0.05 * (z * z - 1))


def log_dps_parts(
    gate: Gate,
    character: Character,
    item_level: float,
    weeks: int,
    raid: float,
    uptime: float,
    rng: np.random.Generator,
    *,
    is_uploader: bool,
) -> dict[str, float]:
    """The parts that add up to log DPS before death; `death` is filled in later."""
    anchor = gate.max_hp / gate.dealers / (gate.limit_s * LIMIT_SHARE_OF_A_TYPICAL_CLEAR)
    is_support = character.spec.is_support
    power = character.combat_power(item_level) / median_combat_power(item_level)
    return {
        "base": float(np.log(anchor)) + (SUPPORT_SCALE if is_support else 0.0),
        "item_level": item_level_effect(item_level - gate.item_level - REFERENCE_ABOVE_FLOOR),
        "combat_power": float(np.log(power)),
        "spec": character.spec.effect + affinity(gate.boss, character.spec.position),
        "skill": character.skill,
        "raid": raid,
        "uptime": 0.0 if is_support else uptime,
        "death": 0.0,
        "uploader": UPLOADER_EFFECT if is_uploader else 0.0,
        "week": week_effect(weeks),
        "noise": skewed_noise(rng),
    }


def draw_death(
    rng: np.random.Generator, skill: float, *, is_cleared: bool
) -> tuple[float, float | None] | None:
    """Time and length of a death as shares of the fight (length None: to the end); or no death."""
    if rng.random() > (0.17 if is_cleared else 0.75) * float(np.exp(-3 * skill)):
        return None
    if not is_cleared and rng.random() < 0.8:
        return float(rng.uniform(0.88, 0.995)), None
    at = float(rng.beta(3.0, 2.0)) * 0.97
    if rng.random() < 0.35 and at < 0.85:
        return at, float(rng.uniform(0.02, 0.10))
    return at, None


def death_effect(death: tuple[float, float | None] | None) -> float:
    """Log DPS lost to a death: x0.6 for dying at three fifths of the fight and staying dead."""
    if death is None:
        return 0.0
    at, dead_for = death
    lost = (1 - at) if dead_for is None else dead_for
    return DEATH_EFFECT * lost / 0.4
