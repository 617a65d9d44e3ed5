"""The population of characters of a season, and their progression.

A seed defines the population, independent of the number of fights.
"""

from dataclasses import dataclass

import numpy as np

from lostark_simulator.specs import DEALER_SPECS, SUPPORT_SPECS, Spec

MEDIAN_COMBAT_POWER_AT_1700 = 2_400.0
COMBAT_POWER_SLOPE = 0.0125

_ENGLISH = (
    "ar bel cor dan el fen gar hal is jun kor lor mir nor oz pra quil ros syl tor um vex wyn yor zan".split()
)
_ACCENTED = "é ü ñ ø á ï ç".split()
_KOREAN = "가나다라마바사아자차카타파하루미소별달빛눈꽃봄설하늘검마녀왕초코두부감자곰토끼"


@dataclass(frozen=True)
class Character:
    """One character; item level in points at the season's start and per week, skill in log DPS."""

    character_id: int
    name: str
    spec: Spec
    class_id: int
    base_item_level: float
    item_level_per_week: float
    combat_power_offset: float
    skill: float

    def item_level(self, weeks: float) -> float:
        """Item level after ``weeks``, in honing steps of 0.83."""
        grown = self.base_item_level + self.item_level_per_week * weeks
        return round(int(grown / 0.83) * 0.83 + 0.01, 2)

    def combat_power(self, item_level: float) -> float:
        """Combat power at an item level: the population's median times this character's own factor."""
        return round(median_combat_power(item_level) * float(np.exp(self.combat_power_offset)), 2)


def median_combat_power(item_level: float) -> float:
    """The population's median combat power at an item level."""
    return MEDIAN_COMBAT_POWER_AT_1700 * float(np.exp(COMBAT_POWER_SLOPE * (item_level - 1700)))


def _name(rng: np.random.Generator, taken: set[str]) -> str:
    while True:
        if rng.random() < 0.25:
            name = "".join(rng.choice(list(_KOREAN), int(rng.integers(2, 7))))
        else:
            name = "".join(rng.choice(_ENGLISH, int(rng.integers(2, 4)))).capitalize()
            if rng.random() < 0.15:
                name += str(rng.choice(_ACCENTED))
        if name not in taken:
            taken.add(name)
            return name


def _character(number: int, rng: np.random.Generator, taken: set[str]) -> Character:
    specs = SUPPORT_SPECS if number % 4 == 0 else DEALER_SPECS
    spec = specs[int(rng.integers(len(specs)))]
    is_guardian = spec.class_name == "Guardianknight"
    return Character(
        character_id=90_000_000 + number * 37,
        name=_name(rng, taken),
        spec=spec,
        class_id=int(rng.choice((701, 702))) if is_guardian else spec.class_id,
        base_item_level=float(rng.uniform(1665, 1785)),
        item_level_per_week=float(rng.gamma(2.0, 1.2)),
        combat_power_offset=float(rng.normal(0.0, 0.10)),
        skill=float(rng.normal(0.0, 0.08)),
    )


class Population:
    """All characters, with the arrays needed to choose a group."""

    def __init__(self, seed: int, size: int) -> None:
        rng = np.random.default_rng([seed, 9_001])
        taken: set[str] = set()
        self.characters = [_character(number, rng, taken) for number in range(size)]
        self.base = np.array([one.base_item_level for one in self.characters])
        self.growth = np.array([one.item_level_per_week for one in self.characters])
        self.is_support = np.array([one.spec.is_support for one in self.characters])

    def choose(
        self, rng: np.random.Generator, floor: int, weeks: float, supports: int, dealers: int
    ) -> tuple[list[Character], list[Character]]:
        """Supports and dealers whose item level fits a gate; the closest ones if too few fit."""
        levels = self.base + self.growth * weeks
        misfit = np.maximum(floor + 2 - levels, 0) + np.maximum(levels - floor - 45, 0)
        order = np.lexsort((rng.random(levels.size), misfit))
        is_support = self.is_support[order]
        chosen_supports = order[is_support][:supports]
        chosen_dealers = order[~is_support][:dealers]
        return [self.characters[i] for i in chosen_supports], [self.characters[i] for i in chosen_dealers]
