"""Buffs and debuffs of hits: bits, effect ids, strength, and uptime.

Hits store buffs and debuffs as bit masks; ids are only used in written logs.
"""

import numpy as np

BUFFS = ("ap", "identity", "hat", "self", "food")
DEBUFFS = ("brand", "synergy", "grenade")
AP, IDENTITY, HAT, SELF, FOOD = (1 << bit for bit in range(5))
BRAND, SYNERGY, GRENADE = (1 << bit for bit in range(3))
SUPPORT_BUFFS = AP | IDENTITY | HAT

GRID_MS = 100
_SUPPORT_IDS = {
    "Paladin": {"ap": 361501, "identity": 500150, "hat": 362006, "brand": 360804},
    "Valkyrie": {"ap": 481501, "identity": 480150, "hat": 482006, "brand": 480804},
    "Bard": {"ap": 211606, "identity": 211749, "hat": 212610, "brand": 210230},
    "Artist": {"ap": 314004, "identity": 310501, "hat": 319503, "brand": 314181},
}
_STRENGTH = {"ap": 0.18, "identity": 0.10, "hat": 0.10}
_BRAND_STRENGTH = 0.10
_SYNERGY_STRENGTH = 0.06
_GRENADE_STRENGTH = 0.03


def effect_ids(support_class: str | None, class_id: int) -> tuple[list[int], list[int]]:
    """Effect id of each buff bit and each debuff bit for a player of a party with this support class."""
    support = _SUPPORT_IDS.get(support_class or "Bard", _SUPPORT_IDS["Bard"])
    buffs = [support["ap"], support["identity"], support["hat"], class_id * 100 + 11, 413403]
    debuffs = [support["brand"], class_id // 100 * 10_000 + 4281, 32240]
    return buffs, debuffs


def palette(ids: list[int]) -> list[list[int]]:
    """The id list of every combination of bits."""
    return [[ids[bit] for bit in range(len(ids)) if mask >> bit & 1] for mask in range(1 << len(ids))]


def _multipliers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    buffs, debuffs = np.meshgrid(np.arange(32), np.arange(8), indexing="ij")
    support = np.ones(buffs.shape)
    support += sum(_STRENGTH[name] * (buffs >> bit & 1) for bit, name in enumerate(BUFFS[:3]))
    support *= 1 + _BRAND_STRENGTH * (debuffs & 1)
    synergy = 1 + _SYNERGY_STRENGTH * (debuffs >> 1 & 1)
    grenade = 1 + _GRENADE_STRENGTH * (debuffs >> 2 & 1)
    return support, synergy, grenade


SUPPORT_MULTIPLIER, SYNERGY_MULTIPLIER, GRENADE_MULTIPLIER = _multipliers()


def uptime_grid(rng: np.random.Generator, wall_ms: int, uptime: float, on_ms: float) -> np.ndarray:
    """A boolean per 100 ms: active about `uptime` of the time, in intervals of about `on_ms`."""
    cells = wall_ms // GRID_MS + 1
    uptime = min(max(uptime, 0.02), 0.98)
    off_ms = on_ms * (1 - uptime) / uptime
    turns = int(wall_ms / (on_ms + off_ms)) * 2 + 8
    lengths = rng.gamma(4.0, 0.25, (turns, 2)) * (on_ms / GRID_MS, off_ms / GRID_MS)
    states = np.repeat(np.tile((True, False), turns), np.maximum(lengths, 1).astype(np.int64).ravel())
    short = cells - states.size
    if short > 0:
        states = np.concatenate([states, np.ones(short, bool)])
    return states[:cells]


def status_effect(effect_id: int, name: str) -> dict:
    """The description of an effect as LOA Logs stores it."""
    is_debuff = name in DEBUFFS
    categories = {"identity": "identity", "self": "classskill", "food": "cook", "grenade": "battleitem"}
    return {
        "target": "SELF" if name in ("self", "food") else "PARTY",
        "category": "debuff" if is_debuff else "buff",
        "buffCategory": categories.get(name, "classskill"),
        "buffType": 1,
        "uniqueGroup": effect_id // 10 * 10,
        "source": {
            "name": f"Simulated {name}",
            "desc": "<FONT COLOR='#99ff99'>Damage</FONT> changes",
            "icon": f"buff_{effect_id % 100}.png",
            "skill": None,
            "setName": None,
        },
    }
