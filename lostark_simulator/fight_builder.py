"""Builds one fight: players, duration, deaths, and hits that sum exactly to the boss's lost health.

model.py has the causes of damage, hits.py distributes it over hits, and roster.py chooses the players.
"""

from dataclasses import dataclass

import numpy as np

from lostark_simulator import model
from lostark_simulator.dirt import HEX_NAME, NEGATIVE_BOSS_HP
from lostark_simulator.effects import AP, BRAND, GRENADE, HAT, IDENTITY, SELF, SYNERGY, uptime_grid
from lostark_simulator.fight import Fight, Hits, Player, Upload
from lostark_simulator.hits import active_spans, attribute_damage, generate_hits, spread_damage
from lostark_simulator.population import Population
from lostark_simulator.raids import GATES, Gate
from lostark_simulator.roster import Roster, choose_roster
from lostark_simulator.specs import skill_kit

REGIONS = ("NAE", "NAW", "EUC")
Grids = dict[int, tuple[np.ndarray, np.ndarray]]


@dataclass
class _Course:
    """Boss damage, and duration in ms with and without the intermission."""

    is_cleared: bool
    boss_damage: int
    duration_ms: int
    intermission_ms: tuple[int, int] | None

    @property
    def wall_ms(self) -> int:
        gap = self.intermission_ms
        return self.duration_ms + (gap[1] - gap[0] if gap else 0)

    def at(self, share: float) -> int:
        """Wall-clock time at a share of the fighting time."""
        at = int(share * self.duration_ms)
        gap = self.intermission_ms
        return at + (gap[1] - gap[0]) if gap and at >= gap[0] else at


def _course(gate: Gate, players: list[Player], rng: np.random.Generator, *, is_cleared: bool) -> _Course:
    dps = sum(float(np.exp(sum(player.parts.values()))) for player in players)
    progress = 1.0 if is_cleared else float(np.clip(rng.beta(2.2, 1.6), 0.03, 0.97))
    seconds = progress * gate.max_hp / dps
    if seconds > gate.limit_s:
        is_cleared, progress, seconds = False, progress * gate.limit_s / seconds, float(gate.limit_s)
    duration_ms = max(int(seconds * 1000), 5_000)
    boss_damage = gate.max_hp if is_cleared else int(progress * gate.max_hp)
    gap = None
    if gate.has_intermission and (is_cleared or progress > 0.55):
        start = int(duration_ms * rng.uniform(0.42, 0.55))
        gap = (start, start + int(rng.integers(60_000, 180_000)))
    return _Course(is_cleared, boss_damage, duration_ms, gap)


def _grids(roster: Roster, course: _Course, rng: np.random.Generator, *, has_grenade: bool) -> Grids:
    """Buff and debuff bits of each party per 100 ms."""
    wall_ms = course.wall_ms
    grenade = np.uint8(GRENADE) * uptime_grid(rng, wall_ms, 0.15 if has_grenade else 0.0, 10_000)
    grids: Grids = {}
    for party, uptimes in roster.uptimes.items():
        buffs = np.zeros(wall_ms // 100 + 1, np.uint8)
        debuffs = np.uint8(SYNERGY) * uptime_grid(rng, wall_ms, 0.85, 12_000)
        if has_grenade:
            debuffs |= grenade
        if uptimes is not model.NO_SUPPORT:
            buffs |= np.uint8(AP) * uptime_grid(rng, wall_ms, uptimes.ap, 16_000)
            buffs |= np.uint8(IDENTITY) * uptime_grid(rng, wall_ms, uptimes.identity, 10_000)
            buffs |= np.uint8(HAT) * uptime_grid(rng, wall_ms, uptimes.hat, 8_000)
            debuffs |= np.uint8(BRAND) * uptime_grid(rng, wall_ms, uptimes.brand, 20_000)
        grids[party] = (buffs, debuffs)
    return grids


def _wanted_hits(player: Player, gate: Gate, course: _Course, mean: int, rng: np.random.Generator) -> int:
    usual_ms = gate.limit_s * 1000 * model.LIMIT_SHARE_OF_A_TYPICAL_CLEAR
    wanted = mean * float(rng.lognormal(0.22, 0.35)) * course.duration_ms / usual_ms
    wanted *= 0.75 if player.spec.is_support else 1.08
    return int(np.clip(wanted, 0.21 * mean, 2.14 * mean))


def _play(
    player: Player, fight: Fight, course: _Course, grids: Grids, mean_hits: int, rng: np.random.Generator
) -> None:
    """Generate a player's hits, with damage by their parts of log DPS."""
    wall_ms = fight.wall_ms
    gaps = [course.intermission_ms] if course.intermission_ms else []
    gaps += [(at, wall_ms + 1 if dead_for is None else at + dead_for) for at, dead_for in player.deaths]
    spans = active_spans(wall_ms, gaps)
    buffs, debuffs = grids[player.party]
    buffs = buffs | np.uint8(SELF) * uptime_grid(rng, wall_ms, 0.6, 9_000)
    if fight.synergy_of_party.get(player.party) == player.name:
        debuffs = debuffs & np.uint8(0xFF - SYNERGY)
    wanted = _wanted_hits(player, fight.gate, course, mean_hits, rng)
    execution = player.parts["noise"] * 0.3
    player.hits, weight = generate_hits(player.spec, wanted, spans, buffs, debuffs, execution, rng)
    damage = float(np.exp(sum(player.parts.values()))) * course.duration_ms / 1000
    player.hits.damage = spread_damage(damage, weight)
    if player.spec.is_support:
        last_id = int(skill_kit(player.spec).ids[-1])
        for place in (10, 20):
            casts = max(int(wall_ms / 30_000), 1)
            player.idle_casts[last_id + place] = np.sort(rng.integers(0, max(spans[-1][1], 1), casts))


def _match_boss_damage(fight: Fight, boss_damage: int) -> None:
    """Align start and end with the first and last hit, and the damage sum with the boss's lost health."""
    hits = [player.hits for player in fight.players]
    earliest = min(hits, key=lambda one: int(one.at_ms.min()))
    place = int(earliest.at_ms.argmin())
    earliest.at_ms[place] = 0
    earliest.cast_at[earliest.cast[place]] = 0
    latest = max(hits, key=lambda one: int(one.at_ms.max()))
    latest.at_ms[latest.at_ms.size - 1 - int(latest.at_ms[::-1].argmax())] = fight.wall_ms
    target = boss_damage - sum(damage for _, damage in fight.esther_hits)
    scale = target / sum(int(one.damage.sum()) for one in hits)
    for one in hits:
        one.damage = np.maximum(np.round(one.damage * scale), 1).astype(np.int64)
    biggest = max(hits, key=lambda one: int(one.damage.max()))
    biggest.damage[biggest.damage.argmax()] += target - sum(int(one.damage.sum()) for one in hits)


def _single_hit(player: Player, rng: np.random.Generator) -> None:
    zero, one = np.zeros(1, np.int64), np.ones(1, bool)
    damage = np.array([int(rng.integers(2_000_000, 9_000_000))])
    player.hits = Hits(
        zero,
        zero.copy(),
        zero.copy(),
        damage,
        one,
        ~one,
        ~one,
        zero + 16,
        zero.copy(),
        zero.copy(),
        zero.copy(),
    )
    player.deaths, player.incapacitations, player.idle_casts = [], [], {}


def _uploads(fight: Fight, roster: Roster, rng: np.random.Generator) -> list[Upload]:
    first, *others = roster.uploaders
    uploads = [Upload(first, int(rng.integers(-800, 801)))]
    for name in others:
        offset, kind = int(rng.integers(-5_000, 5_001)), float(rng.random())
        cutoff = fight.wall_ms - int(rng.integers(200, 3_000)) if kind < 0.5 else None
        supports = [one.name for one in fight.players if one.spec.is_support and one.name != name]
        missing = str(rng.choice(supports)) if kind > 0.75 and supports else None
        uploads.append(Upload(name, offset, cutoff, missing))
    return uploads


def _dirty_shape(fight: Fight, dirt: str | None) -> None:
    """Apply the kinds of dirt that affect the fight itself and not its encoding."""
    if dirt == "difficulty_null":
        fight.difficulty_logged = None
    elif dirt == "difficulty_empty":
        fight.difficulty_logged = ""
    elif dirt == "boss_hp_negative":
        fight.current_hp = NEGATIVE_BOSS_HP
    elif dirt == "negative_damage":
        hits = fight.players[-1].hits
        hits.damage = np.where(hits.skill == hits.skill[hits.damage.argmax()], -hits.damage, hits.damage)
    elif dirt == "hex_local_player":
        local = next(one for one in fight.players if one.name == fight.uploads[0].local_player)
        for party, owner in fight.synergy_of_party.items():
            fight.synergy_of_party[party] = HEX_NAME if owner == local.name else owner
        local.name = HEX_NAME
        fight.uploads = [Upload(HEX_NAME, fight.uploads[0].clock_offset_ms)]


def build_fight(
    *,
    number: int,
    gate: Gate,
    population: Population,
    started_at_ms: int,
    weeks: float,
    hits_per_player: int,
    duplicate_share: float,
    wipe_share: float,
    dirt: str | None,
    rng: np.random.Generator,
) -> Fight:
    """One fight; `weeks` counts from the season's start, `hits_per_player` is the mean of a typical fight."""
    if dirt == "too_many_players":
        gate = GATES[2]
    is_cleared = bool(rng.random() >= wipe_share) or dirt == "boss_hp_negative"
    roster = choose_roster(
        gate, population, weeks, 0.0 if dirt else duplicate_share, dirt, rng, is_cleared=is_cleared
    )
    course = _course(gate, roster.players, rng, is_cleared=is_cleared)
    if dirt == "boss_hp_negative" and not course.is_cleared:
        course.is_cleared, course.boss_damage = True, gate.max_hp
    if dirt == "one_hit_log":
        course = _Course(is_cleared=False, boss_damage=0, duration_ms=0, intermission_ms=None)
    has_grenade = bool(rng.random() < 0.3) and dirt != "one_hit_log"
    esther = []
    if rng.random() < 0.25 and dirt not in ("one_hit_log", "negative_damage"):
        esther = [(course.at(share), course.boss_damage // 120) for share in (0.3, 0.3001, 0.71)]
    fight = Fight(
        number=number,
        gate=gate,
        difficulty_logged=gate.difficulty,
        region=str(rng.choice(REGIONS)),
        started_at_ms=started_at_ms,
        wall_ms=course.wall_ms,
        intermission_ms=course.intermission_ms,
        is_cleared=course.is_cleared,
        current_hp=gate.max_hp - course.boss_damage,
        players=roster.players,
        support_of_party=roster.support_of_party,
        synergy_of_party=roster.synergy_of_party,
        esther_hits=esther,
        has_grenade=has_grenade,
        uploads=[],
        dirt=dirt,
    )
    _fill(fight, roster, course, hits_per_player, rng)
    fight.uploads = _uploads(fight, roster, rng)
    _dirty_shape(fight, dirt)
    for player in fight.players:
        attribute_damage(player.hits)
    return fight


def _fill(
    fight: Fight, roster: Roster, course: _Course, hits_per_player: int, rng: np.random.Generator
) -> None:
    if fight.dirt == "one_hit_log":
        fight.players = [one for one in fight.players if one.name == roster.uploaders[0]]
        _single_hit(fight.players[0], rng)
        fight.current_hp = fight.gate.max_hp - int(fight.players[0].hits.damage[0])
        return
    roster.time_events(course.at, course.duration_ms, fight.wall_ms, rng)
    grids = _grids(roster, course, rng, has_grenade=fight.has_grenade)
    for player in fight.players:
        _play(player, fight, course, grids, hits_per_player, rng)
    _match_boss_damage(fight, course.boss_damage)
