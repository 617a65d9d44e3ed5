"""A fight as LOA Logs stores it: dictionaries with LOA Logs' field names, for database and upload.

Packing into blobs and rows is in loa_logs_rows.py, skills are in encode_skills.py.
"""

import numpy as np

from lostark_simulator.effects import BUFFS, DEBUFFS, status_effect
from lostark_simulator.encode_skills import effect_map, list_ids
from lostark_simulator.fight import METER_VERSION, Player
from lostark_simulator.sums import dps_average, dps_rolling
from lostark_simulator.views import FightView, PlayerView

_NO_SHIELDS = {
    "shieldsGiven": 0,
    "shieldsReceived": 0,
    "damageAbsorbed": 0,
    "damageAbsorbedOnOthers": 0,
    "shieldsGivenBy": {},
    "shieldsReceivedBy": {},
    "damageAbsorbedBy": {},
    "damageAbsorbedOnOthersBy": {},
}
_ENGRAVINGS = ("Grudge", "Adrenaline", "Keen Blunt Weapon", "Raid Captain", "Ambush Master", "Cursed Doll")
_SUPPORT_ENGRAVINGS = ("Awakening", "Expert", "Drops of Ether", "Heavy Armor", "Vital Point Hit")


def _lives(view: FightView, player: Player) -> dict:
    deaths = [{"deathTime": view.start_ms + at, "deadFor": dead_for} for at, dead_for in view.deaths(player)]
    incapacitations = [
        {"type": one.kind, "timestamp": view.start_ms + one.at_ms, "duration": one.duration_ms}
        for one in player.incapacitations
        if one.at_ms <= view.wall_ms
    ]
    return {
        "deaths": len(deaths),
        "deathTime": deaths[-1]["deathTime"] if deaths else 0,
        "deathInfo": deaths or None,
        "incapacitations": incapacitations,
    }


def _curves(view: FightView, one: PlayerView) -> dict:
    order = np.argsort(one.hits.at_ms, kind="stable")
    at_ms, damage = one.hits.at_ms[order], one.hits.damage[order]
    return {
        "dpsAverage": dps_average(at_ms, damage, view.start_ms, view.last_packet_ms),
        "dpsRolling10sAvg": dps_rolling(at_ms, damage, view.wall_ms),
    }


def rates(view: FightView, one: PlayerView) -> dict[str, int]:
    """The meter's integer rates: damage over whole seconds, with and without contributions of others."""
    seconds, own = view.seconds, one.damage - one.received
    unbuffed = int(one.sums.unbuffed.sum())
    return {
        "dps": one.damage // seconds,
        "ndps": own // seconds,
        "rdps": (own + one.given) // seconds,
        "unbuffedDamage": unbuffed,
        "unbuffedDps": unbuffed // seconds,
    }


def damage_stats(view: FightView, one: PlayerView) -> dict:
    """The complete DamageStats of a player, in damage units and epoch ms."""
    sums = one.sums
    buff_ids, debuff_ids = list_ids(one, view.fight)
    by_effect = sums.by_effect.sum(axis=1).tolist()
    ap, identity, hat, brand = sums.by_support.sum(axis=1).tolist()
    return {
        "damageDealt": one.damage,
        "hyperAwakeningDamage": sums.hyper_damage,
        "damageTaken": one.player.damage_taken,
        "buffedBySupport": ap,
        "buffedByIdentity": identity,
        "debuffedBySupport": brand,
        "buffedByHat": hat,
        "critDamage": int(sums.crit_damage.sum()),
        "backAttackDamage": int(sums.back_damage.sum()),
        "frontAttackDamage": int(sums.front_damage.sum()),
        "buffedBy": effect_map(buff_ids, by_effect[: len(buff_ids)]),
        "debuffedBy": effect_map(debuff_ids, by_effect[len(buff_ids) :]),
        **_NO_SHIELDS,
        **_lives(view, one.player),
        **_curves(view, one),
        **rates(view, one),
        "rdpsDamageReceived": one.received,
        "rdpsDamageReceivedSupport": one.received_support,
        "rdpsDamageGiven": one.given,
        "stagger": int(sums.stagger.sum()),
    }


def empty_stats(damage: int, taken: int, seconds: int, given: int = 0) -> dict:
    """DamageStats of an entity that is not a player."""
    zeros = (
        "hyperAwakeningDamage buffedBySupport buffedByIdentity debuffedBySupport buffedByHat critDamage "
        "backAttackDamage frontAttackDamage deaths deathTime ndps unbuffedDamage unbuffedDps "
        "rdpsDamageReceived rdpsDamageReceivedSupport stagger"
    )
    return {
        "damageDealt": damage,
        "damageTaken": taken,
        **dict.fromkeys(zeros.split(), 0),
        "buffedBy": {},
        "debuffedBy": {},
        **_NO_SHIELDS,
        "deathInfo": None,
        "dps": damage // seconds,
        "dpsAverage": [],
        "dpsRolling10sAvg": [],
        "rdpsDamageGiven": given,
        "rdps": given // seconds,
        "incapacitations": [],
    }


def skill_stats(one: PlayerView) -> dict:
    """Counts over all skills of a player."""
    sums = one.sums
    return {
        "casts": one.casts,
        "hits": int(sums.hits.sum()),
        "crits": int(sums.crits.sum()),
        "backAttacks": int(sums.backs.sum()),
        "frontAttacks": int(sums.fronts.sum()),
        "counters": one.player.counters,
        "identityStats": None,
    }


def ark_passive_data(player: Player) -> dict:
    """Ark passive nodes, the same for all of one class id."""
    base = player.class_id * 10_000
    nodes = {
        tree: [{"id": base + start + step, "lv": 1 + (player.class_id + step) % 3} for step in range(3)]
        for tree, start in (("evolution", 100), ("enlightenment", 200), ("leap", 300))
    }
    return nodes | {"arkGridOrder": {"sun": 1, "moon": 2, "star": 3}}


def engravings(player: Player) -> list[str]:
    """Five engravings by name."""
    names = _SUPPORT_ENGRAVINGS if player.spec.is_support else _ENGRAVINGS
    return list(names[:5])


def own_shares(one: PlayerView) -> list[float] | None:
    """Share of damage (0..1), hyper awakening left out, under AP, brand, identity and hyper buff."""
    counted = one.damage - one.sums.hyper_damage
    if counted <= 0:
        return None
    ap, identity, hat, brand = (one.sums.by_support.sum(axis=1) / counted).tolist()
    return [ap, brand, identity, hat]


def support_shares(view: FightView, one: PlayerView) -> list[float | None]:
    """AP, brand, identity, hyper (0..1); a support has the weighted mean of the party's dealers."""
    if not one.player.spec.is_support:
        return _shares_or_unknown(one)
    dealers = [
        other
        for other in view.players
        if other.player.party == one.player.party and not other.player.spec.is_support
    ]
    weight = np.array([other.damage - other.sums.hyper_damage for other in dealers], float)
    if not weight.sum() > 0:
        return _shares_or_unknown(one)
    shares = np.array([own_shares(other) or [0.0] * 4 for other in dealers])
    return (weight @ shares / weight.sum()).tolist()


def _shares_or_unknown(one: PlayerView) -> list[float | None]:
    shares = own_shares(one)
    return [None] * 4 if shares is None else [*shares]


def get_active_effects(view: FightView) -> tuple[dict[str, dict], dict[str, dict]]:
    """Descriptions of the buffs and debuffs that were active on any player's hits."""
    buffs: dict[str, dict] = {}
    debuffs: dict[str, dict] = {}
    for one in view.players:
        buff_ids, debuff_ids = list_ids(one, view.fight)
        up = np.asarray(one.sums.by_effect.any(axis=1)).tolist()
        for found, ids, names, flags in (
            (buffs, buff_ids, BUFFS, up[: len(BUFFS)]),
            (debuffs, debuff_ids, DEBUFFS, up[len(BUFFS) :]),
        ):
            for effect, name, is_up in zip(ids, names, flags, strict=True):
                if is_up:
                    found[str(effect)] = status_effect(effect, name)
    return buffs, debuffs


def boss_hp_log(view: FightView) -> list[dict]:
    """Health of the boss after every second with a hit; `p` is a fraction of its full health."""
    fight = view.fight
    at_ms = np.concatenate([one.hits.at_ms for one in fight.players])
    damage = np.concatenate([one.hits.damage for one in fight.players])
    if fight.esther_hits:
        esther_at, esther_damage = np.array(fight.esther_hits, np.int64).T
        at_ms, damage = np.append(at_ms, esther_at), np.append(damage, esther_damage)
    seen = at_ms <= view.wall_ms
    per_second = np.bincount(at_ms[seen] // 1000, minlength=1)
    # add.at keeps integer damage exact; bincount's weights are floats
    dealt = np.zeros(per_second.size, np.int64)
    np.add.at(dealt, at_ms[seen] // 1000, damage[seen])
    seconds = np.flatnonzero(per_second)
    left = np.maximum(fight.gate.max_hp - np.cumsum(dealt)[seconds], 0)
    return [
        {"time": time, "hp": hp, "p": hp / fight.gate.max_hp}
        for time, hp in zip(seconds.tolist(), left.tolist(), strict=True)
    ]


def misc(view: FightView) -> dict:
    """EncounterMisc: the meter's other metadata."""
    fight = view.fight
    parties: dict[str, list[str]] = {}
    for player in fight.players:
        parties.setdefault(str(player.party), []).append(player.name)
    found: dict = {"raidClear": True} if fight.is_cleared else {}
    found |= {
        "partyInfo": parties,
        "region": fight.region,
        "version": METER_VERSION,
        "rdpsValid": True,
        "ntpFightStart": fight.started_at_ms,
    }
    if fight.intermission_ms:
        start, end = fight.intermission_ms
        found |= {"intermissionStart": view.start_ms + start, "intermissionEnd": view.start_ms + end}
    return found
