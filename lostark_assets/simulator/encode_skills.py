"""The `skills` map of one player as LOA Logs writes it, with every hit; shared by database and upload JSON."""

import msgspec
import numpy as np

from lostark_assets.simulator.effects import effect_ids, palette
from lostark_assets.simulator.fight import Fight
from lostark_assets.simulator.views import PlayerView


class Hit(msgspec.Struct, rename="camel", gc=False):
    """One hit; `timestamp` in ms since the fight's start."""

    timestamp: int
    damage: int
    unbuffed_damage: int
    rdps_damage_received: int
    rdps_damage_received_support: int
    crit: bool
    back_attack: bool
    front_attack: bool
    buffed_by: msgspec.Raw
    debuffed_by: msgspec.Raw
    stagger: int


class Cast(msgspec.Struct, gc=False):
    """One cast with the hits it made; times in ms since the fight's start."""

    timestamp: int
    last: int
    hits: list[Hit]


def ids_of(view: PlayerView, fight: Fight) -> tuple[list[int], list[int]]:
    """Effect ids of the buff and debuff bits for this player."""
    return effect_ids(fight.support_of_party.get(view.player.party), view.player.class_id)


def _raw_palette(ids: list[int]) -> np.ndarray:
    raw = [msgspec.Raw(msgspec.json.encode(combination)) for combination in palette(ids)]
    column = np.empty(len(raw), object)
    column[:] = raw
    return column


def _hit_list(view: PlayerView, fight: Fight) -> list[Hit]:
    hits = view.hits
    buffs, debuffs = (_raw_palette(ids) for ids in ids_of(view, fight))
    return list(
        map(
            Hit,
            hits.at_ms.tolist(),
            hits.damage.tolist(),
            hits.unbuffed.tolist(),
            hits.received.tolist(),
            hits.received_support.tolist(),
            hits.crit.tolist(),
            hits.back.tolist(),
            hits.front.tolist(),
            buffs[hits.buffs].tolist(),
            debuffs[hits.debuffs].tolist(),
            hits.stagger.tolist(),
        )
    )


def casts_of(view: PlayerView, fight: Fight) -> list[list[Cast]]:
    """Per skill that hit, its casts in order of time."""
    hits, sums = view.hits, view.sums
    listed = _hit_list(view, fight)
    casts: list[list[Cast]] = [[] for _ in range(sums.skills.size)]
    rows = zip(
        sums.cast_skill_row.tolist(),
        hits.cast_at[hits.cast[sums.cast_start]].tolist(),
        hits.at_ms[sums.cast_stop - 1].tolist(),
        sums.cast_start.tolist(),
        sums.cast_stop.tolist(),
        strict=True,
    )
    for row, timestamp, last, start, stop in rows:
        casts[row].append(Cast(timestamp, last, listed[start:stop]))
    return casts


def effect_map(ids: list[int], damage: list[int]) -> dict[str, int]:
    """Damage done under each effect, without those that were never up."""
    return {str(effect): value for effect, value in zip(ids, damage, strict=True) if value}


def _skill_base(view: PlayerView, place: int) -> dict:
    kit, skill_id = view.kit, int(view.kit.ids[place])
    is_hyper = bool(kit.is_hyper[place])
    name = kit.names[place]
    return {
        "id": skill_id,
        "name": name,
        "icon": f"skill_{skill_id}.png" if place > 1 else "",
        "tripodIndex": {"first": place % 3 + 1, "second": skill_id % 3 + 1, "third": place % 2 + 1},
        "tripodLevel": None,
        "gemCooldown": None if is_hyper else 20 + place % 5,
        "gemTier": None if is_hyper else 4,
        "gemDamage": None if is_hyper else 36 + place % 9,
        "gemTierDmg": None if is_hyper else 4,
        "isHyperAwakening": is_hyper,
        "special": True if is_hyper else None,
    }


def _numbers(view: PlayerView, row: int, ids: list[int], buffs: int, seconds: int) -> dict:
    sums = view.sums
    by_effect = sums.by_effect[:, row].tolist()
    ap, identity, hat, brand = sums.by_support[:, row].tolist()
    damage, adjusted = int(sums.damage[row]), int(sums.adjusted_hits[row])
    return {
        "totalDamage": damage,
        "maxDamage": int(sums.max_hit[row]),
        "maxDamageCast": int(sums.max_cast[row]),
        "buffedBy": effect_map(ids[:buffs], by_effect[:buffs]),
        "debuffedBy": effect_map(ids[buffs:], by_effect[buffs:]),
        "buffedBySupport": ap,
        "buffedByIdentity": identity,
        "buffedByHat": hat,
        "debuffedBySupport": brand,
        "casts": int(sums.casts[row]),
        "hits": int(sums.hits[row]),
        "crits": int(sums.crits[row]),
        "adjustedCrit": int(sums.adjusted_crits[row]) / adjusted if adjusted else None,
        "critDamage": int(sums.crit_damage[row]),
        "backAttacks": int(sums.backs[row]),
        "backAttackDamage": int(sums.back_damage[row]),
        "frontAttacks": int(sums.fronts[row]),
        "frontAttackDamage": int(sums.front_damage[row]),
        "dps": damage // seconds,
        "stagger": int(sums.stagger[row]),
        "rdpsDamageReceived": int(sums.received[row]),
        "rdpsDamageReceivedSupport": int(sums.received_support[row]),
        "rdpsReceived": {},
        "rdpsContributed": {},
    }


_IDLE_ZEROS = dict.fromkeys(
    "totalDamage maxDamage maxDamageCast buffedBySupport buffedByIdentity buffedByHat debuffedBySupport hits "
    "crits critDamage backAttacks backAttackDamage frontAttacks frontAttackDamage dps stagger "
    "rdpsDamageReceived rdpsDamageReceivedSupport".split(),
    0,
)


def _idle_skill(skill_id: int, times: list[int]) -> dict:
    return _IDLE_ZEROS | {
        "id": skill_id,
        "name": str(skill_id),
        "icon": "",
        "buffedBy": {},
        "debuffedBy": {},
        "casts": len(times),
        "castLog": times,
        "skillCastLog": [],
        "isHyperAwakening": False,
    }


def skills_map(view: PlayerView, fight: Fight, seconds: int) -> dict[str, dict]:
    """Every skill of a player by id, as the meter stores it; DPS by whole seconds."""
    buff_ids, debuff_ids = ids_of(view, fight)
    casts = casts_of(view, fight)
    skills = {}
    for row, place in enumerate(view.sums.skills.tolist()):
        skill = _skill_base(view, place)
        skill |= _numbers(view, row, buff_ids + debuff_ids, len(buff_ids), seconds)
        skill["castLog"] = [cast.timestamp for cast in casts[row]]
        skill["skillCastLog"] = casts[row]
        skills[str(skill["id"])] = skill
    for skill_id, times in view.idle_casts.items():
        skills[str(skill_id)] = _idle_skill(skill_id, times)
    return skills
