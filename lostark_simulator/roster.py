"""Chooses the players of a fight: parties, uploaders, deaths, knockdowns.

model.py computes their damage and hits.py distributes it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from lostark_simulator import model
from lostark_simulator.fight import Incapacitation, Player
from lostark_simulator.population import Character, Population
from lostark_simulator.raids import Gate
from lostark_simulator.specs import SPECS, Spec

PARTY_SIZE = 4
CROWD_OF_THE_BROKEN_LOG = 18
PRINCESS = Spec(
    name="Princess",
    class_name="Gunlancer",
    class_id=104,
    is_support=False,
    position="none",
    crit_rate=0.4,
    effect=-0.6,
)
_BY_NAME = {spec.name: spec for spec in SPECS}
_FORCED_SPEC = {
    "judgement_spelling": (_BY_NAME["Judgment"], 105, "Judgement"),
    "princess_spec": (PRINCESS, 104, "Princess"),
    "class_id_701": (_BY_NAME["Hellfire Successor"], 701, "Hellfire Successor"),
    "class_id_702": (_BY_NAME["Dreadful Roar"], 702, "Dreadful Roar"),
}
_Death = tuple[float, float | None]


@dataclass
class Roster:
    """The players of one fight with their parties, uptimes and uploaders."""

    players: list[Player]
    uploaders: list[str]
    uptimes: dict[int, model.Uptimes]
    support_of_party: dict[int, str | None]
    synergy_of_party: dict[int, str]
    deaths: list[_Death | None] = field(default_factory=list)

    def time_events(
        self, at: Callable[[float], int], duration_ms: int, wall_ms: int, rng: np.random.Generator
    ) -> None:
        """Place deaths and knockdowns in the fight, in ms since its start."""
        for player, death in zip(self.players, self.deaths, strict=True):
            for share in np.sort(rng.random(int(rng.poisson(1.2)))):
                kind = "FALL_DOWN" if rng.random() < 0.6 else "CROWD_CONTROL"
                stumble = Incapacitation(kind, at(float(share)), int(rng.integers(700, 4_200)))
                player.incapacitations.append(stumble)
            player.damage_taken = int(rng.lognormal(12.3, 0.5))
            player.counters = int(rng.poisson(1.0))
            if death is not None:
                share, dead_for = death
                dead_ms = None if dead_for is None else min(int(dead_for * duration_ms), wall_ms)
                player.deaths = [(max(at(share), 1_000), dead_ms)]


def _seats(
    gate: Gate, population: Population, weeks: float, dirt: str | None, rng: np.random.Generator
) -> list[tuple[Character, int]]:
    """Characters with their party, one support per party of four while supports last."""
    size = CROWD_OF_THE_BROKEN_LOG if dirt == "too_many_players" else gate.size
    wanted_supports = size // PARTY_SIZE
    missing_support = int(rng.random() < 0.02)
    missing_dealer = int(rng.random() < 0.05)
    supports, dealers = population.choose(
        rng,
        gate.item_level,
        weeks,
        wanted_supports - missing_support,
        size - wanted_supports - missing_dealer,
    )
    seats = [(character, party) for party, character in enumerate(supports)]
    dealers_a_party = PARTY_SIZE - 1
    return seats + [(character, place // dealers_a_party) for place, character in enumerate(dealers)]


def _forced(character: Character, dirt: str | None) -> tuple[Character, str]:
    """The character with the class and spec required by a kind of dirt, and the spec as logged."""
    if dirt in _FORCED_SPEC:
        spec, class_id, logged = _FORCED_SPEC[dirt]
        return replace(character, spec=spec, class_id=class_id), logged
    return character, character.spec.name


def _uploaders(seats: list[tuple[Character, int]], share: float, rng: np.random.Generator) -> list[int]:
    count = 1
    if rng.random() < share:
        count = 2 if rng.random() < 0.75 else 3
    return [int(place) for place in rng.permutation(len(seats))[:count]]


def _player(
    seat: tuple[Character, int],
    gate: Gate,
    weeks: float,
    raid: float,
    uptimes: model.Uptimes,
    dirt: str | None,
    rng: np.random.Generator,
    *,
    is_uploader: bool,
) -> Player:
    character, logged = _forced(seat[0], dirt)
    item_level = max(character.item_level(weeks), float(gate.item_level))
    parts = model.log_dps_parts(
        gate, character, item_level, int(weeks), raid, uptimes.effect, rng, is_uploader=is_uploader
    )
    return Player(
        character=character,
        name=character.name,
        spec=character.spec,
        class_id=character.class_id,
        spec_logged=None if dirt == "no_spec" else logged,
        party=seat[1],
        item_level=item_level,
        item_level_logged=0.0 if dirt == "item_level_zero" else item_level,
        combat_power=character.combat_power(item_level),
        parts=parts,
    )


def choose_roster(
    gate: Gate,
    population: Population,
    weeks: float,
    duplicate_share: float,
    dirt: str | None,
    rng: np.random.Generator,
    *,
    is_cleared: bool,
) -> Roster:
    """Players, parties and causes of damage of one fight; dirt affects the last player."""
    seats = _seats(gate, population, weeks, dirt, rng)
    uploaders = _uploaders(seats, duplicate_share, rng)
    supports = {party: character for character, party in seats if character.spec.is_support}
    uptimes = {
        party: model.draw_uptimes(rng, supports[party].skill) if party in supports else model.NO_SUPPORT
        for party in sorted({party for _, party in seats})
    }
    raid = float(rng.normal(0.0, model.RAID_SD))
    players, deaths = [], []
    for place, seat in enumerate(seats):
        own_dirt = dirt if place == len(seats) - 1 else None
        is_uploader = place in uploaders
        player = _player(seat, gate, weeks, raid, uptimes[seat[1]], own_dirt, rng, is_uploader=is_uploader)
        death = model.draw_death(rng, player.character.skill, is_cleared=is_cleared)
        player.parts["death"] = model.death_effect(death)
        players.append(player)
        deaths.append(death)
    synergy = {one.party: one.name for one in players if not one.spec.is_support}
    return Roster(
        players=players,
        uploaders=[players[place].name for place in uploaders],
        uptimes=uptimes,
        support_of_party={
            party: supports[party].spec.class_name if party in supports else None for party in uptimes
        },
        synergy_of_party=synergy,
        deaths=deaths,
    )
