"""Characters and accounts of the season, and their state at a time, as the Open API's profiles show it.

The characters are those of the fights. Each account also has a few characters that never raid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lostark_assets.game.classes import CLASSES, korean_class
from lostark_assets.game.specs import SPECS, resolve_spec
from lostark_simulator.population import Character
from lostark_simulator.season import DAY_MS, build_population

SERVERS = ("루페온", "실리안", "아만", "카마인", "카제로스", "아브렐슈드", "카단", "니나브")
ACCOUNT_SIZE = 6
_BASE_CLASSES = tuple(one.korean for one in CLASSES if one.is_base)
_SYLLABLES = "초보창고부캐알바구름달콤바람노을이슬"
_PRESET_MS = DAY_MS // 4
_OTHER_PRESET_SHARE = 0.05
_OTHER_PRESET_POWER = 0.72
_WITHOUT_ARK_PASSIVE_SHARE = 0.02
_RAID_LEVEL = 70


@dataclass(frozen=True)
class Person:
    """One character of one account; ``fighter`` is None for one that never raids.

    ``class_name`` is Korean, as the API spells it.
    """

    name: str
    number: int
    account: int
    class_name: str
    fighter: Character | None
    low_level: int = _RAID_LEVEL
    low_item_level: float = 0.0

    @property
    def server(self) -> str:
        """The game server of the account."""
        return SERVERS[self.account % len(SERVERS)]


@dataclass(frozen=True)
class Profile:
    """A character's state at a time, as in the API; ``spec`` is Korean, None if unknown."""

    person: Person
    level: int
    item_level: float
    combat_power: float
    spec: str | None
    has_ark_passive: bool


class Characters:
    """All characters of a season's seed, by name and by account."""

    def __init__(self, seed: int, size: int) -> None:
        self._seed = seed
        fighters = build_population(seed, size).characters
        people = [
            Person(one.name, number, number // ACCOUNT_SIZE, korean_class(one.spec.class_name) or "", one)
            for number, one in enumerate(fighters)
        ]
        taken = {one.name for one in people}
        for account in range(-(-size // ACCOUNT_SIZE)):
            people += self._idlers(account, size + account, taken)
        self._by_name = {one.name: one for one in people}
        self._by_account: dict[int, list[Person]] = {}
        for one in people:
            self._by_account.setdefault(one.account, []).append(one)

    def find(self, name: str) -> Person | None:
        """The character of this name, in any Unicode form."""
        return self._by_name.get(name)

    def get_account(self, person: Person) -> list[Person]:
        """All characters of the same account, this one included."""
        return self._by_account[person.account]

    def get_profile(self, person: Person, weeks: float, epoch_ms: float) -> Profile:
        """A character's state after ``weeks`` of progression, in the preset worn last.

        Sometimes that preset is not the one for raids: another spec, far less combat power.
        """
        fighter = person.fighter
        if fighter is None:
            return Profile(person, person.low_level, person.low_item_level, 0.0, None, has_ark_passive=False)
        item_level = fighter.item_level(weeks)
        power = fighter.combat_power(item_level)
        spec = resolve_spec(fighter.spec.name, fighter.spec.class_name)
        title = spec.korean if spec else None
        chance = np.random.default_rng([self._seed, person.number, int(epoch_ms // _PRESET_MS)])
        if chance.random() < _OTHER_PRESET_SHARE:
            power, title = round(power * _OTHER_PRESET_POWER, 2), _other_spec(fighter, title)
        own = np.random.default_rng([self._seed, 50_000_000 + person.number])
        has_ark_passive = bool(own.random() >= _WITHOUT_ARK_PASSIVE_SHARE)
        return Profile(person, _RAID_LEVEL, item_level, power, title, has_ark_passive)

    def _idlers(self, account: int, number: int, taken: set[str]) -> list[Person]:
        """One or two characters that never raid; some have only a base class."""
        rng = np.random.default_rng([self._seed, 60_000_000 + account])
        found = []
        for place in range(int(rng.integers(1, 3))):
            name = "".join(rng.choice(list(_SYLLABLES), int(rng.integers(3, 7))))
            if name in taken:
                continue
            taken.add(name)
            is_new = bool(rng.random() < 0.5)
            class_name = str(rng.choice(_BASE_CLASSES)) if is_new else "바드"
            level = int(rng.integers(1, 30)) if is_new else 60
            item_level = 0.0 if is_new else round(float(rng.uniform(302, 1580)), 2)
            found.append(Person(name, number * 2 + place, account, class_name, None, level, item_level))
        return found


@lru_cache(maxsize=4)
def build_characters(seed: int, size: int) -> Characters:
    """All characters of a season."""
    return Characters(seed, size)


def _other_spec(fighter: Character, title: str | None) -> str | None:
    others = [
        one.korean
        for one in SPECS
        if one.class_name == fighter.spec.class_name and one.korean and one.korean != title
    ]
    return others[0] if others else title
