"""Data model of a generated fight, before it is written; times are in ms since its start.

season.py and hits.py generate it; encode.py converts it to a log.
"""

from dataclasses import dataclass, field

import numpy as np

from lostark_simulator.population import Character
from lostark_simulator.raids import Gate
from lostark_simulator.specs import Spec

METER_VERSION = "1.48.4"


def _no_values() -> np.ndarray:
    return np.zeros(0, np.int64)


@dataclass
class Hits:
    """All hits of one player as columns, sorted by skill, cast and time; damage in damage units.

    `skill` is an index in the spec's kit, `cast` numbers the player's casts; `cast_at` has one time per cast.
    """

    skill: np.ndarray
    cast: np.ndarray
    at_ms: np.ndarray
    damage: np.ndarray
    crit: np.ndarray
    back: np.ndarray
    front: np.ndarray
    buffs: np.ndarray
    debuffs: np.ndarray
    stagger: np.ndarray
    cast_at: np.ndarray
    unbuffed: np.ndarray = field(default_factory=_no_values)
    received: np.ndarray = field(default_factory=_no_values)
    received_support: np.ndarray = field(default_factory=_no_values)
    received_synergy: np.ndarray = field(default_factory=_no_values)

    def until(self, cutoff_ms: int) -> "Hits":
        """The hits up to and including a time."""
        keep = self.at_ms <= cutoff_ms
        columns = {
            name: column[keep]
            for name, column in vars(self).items()
            if name != "cast_at" and column.size == keep.size
        }
        return Hits(cast_at=self.cast_at, **columns)


def _no_hits() -> Hits:
    return Hits(*(_no_values() for _ in range(11)))


@dataclass
class Incapacitation:
    """A period in which a player could not act; `kind` is FALL_DOWN or CROWD_CONTROL."""

    kind: str
    at_ms: int
    duration_ms: int


@dataclass
class Player:
    """One player in one fight: character, logged values, hits, and the parts of log DPS behind them."""

    character: Character
    name: str
    spec: Spec
    class_id: int
    spec_logged: str | None
    party: int
    item_level: float
    item_level_logged: float
    combat_power: float
    parts: dict[str, float]
    deaths: list[tuple[int, int | None]] = field(default_factory=list)
    incapacitations: list[Incapacitation] = field(default_factory=list)
    idle_casts: dict[int, np.ndarray] = field(default_factory=dict)
    damage_taken: int = 0
    counters: int = 0
    hits: Hits = field(default_factory=_no_hits)

    @property
    def is_dead(self) -> bool:
        """Whether the player was dead when the fight ended."""
        return any(dead_for is None for _, dead_for in self.deaths)


@dataclass(frozen=True)
class Upload:
    """One player's log of the fight: the uploader, the clock offset, and what the log missed."""

    local_player: str
    clock_offset_ms: int = 0
    cutoff_ms: int | None = None
    missing_player: str | None = None


@dataclass
class Fight:
    """One attempt at one gate. `started_at_ms` is true epoch time; `wall_ms` includes the intermission."""

    number: int
    gate: Gate
    difficulty_logged: str | None
    region: str
    started_at_ms: int
    wall_ms: int
    intermission_ms: tuple[int, int] | None
    is_cleared: bool
    current_hp: int
    players: list[Player]
    support_of_party: dict[int, str | None]
    synergy_of_party: dict[int, str]
    esther_hits: list[tuple[int, int]]
    has_grenade: bool
    uploads: list[Upload]
    dirt: str | None = None
