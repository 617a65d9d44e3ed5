"""Generates the fights of a synthetic season: fight i is independent of the number of fights."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache

import numpy as np

from lostark_simulator.dirt import pick_dirt
from lostark_simulator.fight import Fight
from lostark_simulator.fight_builder import build_fight
from lostark_simulator.population import Population
from lostark_simulator.raids import GATES

DAY_MS = 86_400_000


@dataclass(frozen=True)
class SeasonConfig:
    """What to generate. `encounters` counts fights; logs of other players in the same fight are extra.

    `hits_per_player` is the mean at a fight of usual length; `raids` narrows the raids by name (empty: all).
    """

    encounters: int = 60
    seed: int = 1
    start: date = date(2026, 9, 2)
    days: int = 28
    hits_per_player: int = 1400
    duplicate_share: float = 0.06
    wipe_share: float = 0.25
    dirt: bool = True
    raids: tuple[str, ...] = ()
    characters: int = 800


@lru_cache(maxsize=4)
def build_population(seed: int, size: int) -> Population:
    """The population of a season."""
    return Population(seed, size)


def generate_fight(config: SeasonConfig, number: int, weeks: float | None = None) -> Fight:
    """One fight of the season, from (seed, number) alone.

    `weeks` since the season's start replaces the random time; the random choices stay the same.
    """
    rng = np.random.default_rng([config.seed, number])
    gates = [gate for gate in GATES if not config.raids or gate.raid in config.raids]
    if not gates:
        message = f"expected names of simulated raids, found {config.raids}"
        raise ValueError(message)
    weights = np.array([gate.weight for gate in gates])
    gate = gates[int(rng.choice(len(gates), p=weights / weights.sum()))]
    first = datetime(config.start.year, config.start.month, config.start.day, tzinfo=UTC)
    offset_ms = int(rng.integers(0, config.days * DAY_MS - 1_800_000))
    if weeks is not None:
        offset_ms = int(weeks * 7 * DAY_MS)
    dirt = pick_dirt(number, rng) if config.dirt else None
    return build_fight(
        number=number,
        gate=gate,
        population=build_population(config.seed, config.characters),
        started_at_ms=int(first.timestamp()) * 1000 + offset_ms,
        weeks=offset_ms / (7 * DAY_MS),
        hits_per_player=config.hits_per_player,
        duplicate_share=config.duplicate_share,
        wipe_share=config.wipe_share,
        dirt=dirt,
        rng=rng,
    )


def generate_fights(config: SeasonConfig) -> Iterator[Fight]:
    """All fights of the season, one at a time."""
    for number in range(config.encounters):
        yield generate_fight(config, number)
