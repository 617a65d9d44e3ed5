"""The specs that the simulator plays: class, position, crit rate, and skills.

Skill names and ids are invented; class and spec names are spelled as LOA Logs writes them.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

SUPPORT_CLASSES = frozenset({"Paladin", "Valkyrie", "Bard", "Artist"})


@dataclass(frozen=True)
class Spec:
    """One build of a class; `position` is back, front or none, `crit_rate` is a fraction of hits."""

    name: str
    class_name: str
    class_id: int
    is_support: bool
    position: str
    crit_rate: float
    effect: float


@dataclass(frozen=True)
class SkillKit:
    """The skills of one spec as parallel arrays; `share` sums to 1, `per_minute` counts casts."""

    ids: np.ndarray
    names: tuple[str, ...]
    hits_per_cast: np.ndarray
    per_minute: np.ndarray
    share: np.ndarray
    crit_bonus: np.ndarray
    is_positional: np.ndarray
    stagger: np.ndarray
    is_hyper: np.ndarray


_TABLE = """
102 Berserker: Berserker Technique/none/.80, Mayhem/back/.85
103 Destroyer: Rage Hammer/front/.62, Gravity Training/front/.66
104 Gunlancer: Lone Knight/front/.66, Combat Readiness/front/.60
105 Paladin: Judgment/none/.72, Blessed Aura/none/.25
112 Slayer: Punisher/back/.82, Predator/back/.84
113 Valkyrie: Shining Knight/none/.75, Liberator/none/.25
202 Arcanist: Order of the Emperor/none/.70, Grace of the Empress/none/.78
203 Summoner: Communication Overflow/none/.66, Master Summoner/none/.70
204 Bard: True Courage/none/.70, Desperate Salvation/none/.22
205 Sorceress: Igniter/none/.74, Reflux/none/.72
302 Wardancer: First Intention/back/.72, Esoteric Skill Enhancement/back/.74
303 Scrapper: Ultimate Skill: Taijutsu/back/.70, Shock Training/back/.68
304 Soulfist: Energy Overflow/none/.70, Robust Spirit/none/.73
305 Glaivier: Control/none/.78, Pinnacle/back/.80
312 Striker: Esoteric Flurry/back/.76, Deathblow/back/.78
313 Breaker: Brawl King Storm/none/.74, Asura's Path/none/.76
402 Deathblade: Surge/back/.80, Remaining Energy/back/.82
403 Shadowhunter: Demonic Impulse/none/.78, Perfect Suppression/back/.72
404 Reaper: Lunar Voice/back/.76, Hunger/back/.78
405 Souleater: Full Moon Harvester/none/.74, Night's Edge/back/.76
502 Sharpshooter: Death Strike/none/.70, Loyal Companion/none/.68
503 Deadeye: Enhanced Weapon/back/.72, Pistoleer/none/.70
504 Artillerist: Barrage Enhancement/none/.66, Firepower Enhancement/none/.64
505 Machinist: Evolutionary Legacy/none/.68, Arthetinean Skill/none/.70
512 Gunslinger: Peacemaker/none/.84, Time to Hunt/none/.78
602 Artist: Full Bloom/none/.22, Recurrence/none/.70
603 Aeromancer: Wind Fury/none/.76, Drizzle/none/.72
604 Wildsoul: Ferality/back/.72, Phantom Beast Awakening/none/.74
701 Guardianknight: Hellfire Successor/front/.68, Dreadful Roar/none/.70
"""
_SUPPORT_SPECS = frozenset({"Blessed Aura", "Liberator", "Desperate Salvation", "Full Bloom"})
_FIRST = "Rending Silent Burning Frozen Crimson Astral Hollow Rising Shattered Swift Iron Lunar".split()
_SECOND = "Arc Blow Tempest Fang Sigil Lance Volley Cascade Pulse Verdict Thorn Wave Descent".split()


def _read_specs() -> tuple[Spec, ...]:
    lines = [line for line in _TABLE.split("\n") if line]
    effects = np.random.default_rng(70).normal(0.0, 0.07, 2 * len(lines))
    specs: list[Spec] = []
    for line in lines:
        head, builds = line.split(": ", 1)
        class_id, class_name = head.split(" ", 1)
        for build in builds.split(", "):
            name, position, crit = build.rsplit("/", 2)
            is_support = name in _SUPPORT_SPECS
            effect = float(effects[len(specs)])
            specs.append(Spec(name, class_name, int(class_id), is_support, position, float(crit), effect))
    return tuple(specs)


SPECS: tuple[Spec, ...] = _read_specs()
DEALER_SPECS = tuple(spec for spec in SPECS if not spec.is_support)
SUPPORT_SPECS = tuple(spec for spec in SPECS if spec.is_support)


def _skill_names(count: int, rng: np.random.Generator) -> tuple[str, ...]:
    pairs = rng.permutation(len(_FIRST) * len(_SECOND))[:count]
    names = [f"{_FIRST[pair % len(_FIRST)]} {_SECOND[pair // len(_FIRST)]}" for pair in pairs]
    names[0] = "Basic Attack"
    names[1] = ""
    return tuple(names)


@cache
def skill_kit(spec: Spec) -> SkillKit:
    """The skills of a spec, always the same; the last one is its hyper awakening."""
    number = SPECS.index(spec) if spec in SPECS else len(SPECS)
    rng = np.random.default_rng([77, number])
    count = int(rng.integers(10, 17))
    share = rng.dirichlet(np.full(count, 1.2))
    share[:2] *= 0.15
    is_hyper = np.zeros(count, bool)
    is_hyper[-1] = True
    per_minute = rng.uniform(1.5, 6.0, count)
    per_minute[0], per_minute[-1] = 5.0, 0.35
    return SkillKit(
        ids=(1000 + number * 200 + np.arange(count) * 10).astype(np.int64),
        names=_skill_names(count, rng),
        hits_per_cast=np.clip(np.round(rng.lognormal(1.3, 0.8, count)), 1, 20).astype(np.int64),
        per_minute=per_minute,
        share=share / share.sum(),
        crit_bonus=rng.normal(0.0, 0.05, count),
        is_positional=rng.random(count) < 0.85,
        stagger=rng.integers(0, 40, count),
        is_hyper=is_hyper,
    )
