"""The `skills` map of one player as LOA Logs writes it, with every hit, for database and upload."""

import numpy as np

from lostark_simulator.effects import effect_ids
from lostark_simulator.fight import Fight
from lostark_simulator.hit_json import skill_cast_logs
from lostark_simulator.views import PlayerView


def list_ids(view: PlayerView, fight: Fight) -> tuple[list[int], list[int]]:
    """Effect ids of the buff and debuff bits for this player."""
    return effect_ids(fight.support_of_party.get(view.player.party), view.player.class_id)


def effect_map(ids: list[int], damage: list[int]) -> dict[str, int]:
    """Damage under each effect, without effects that were never active."""
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
        "rdpsReceived": {},
        "rdpsContributed": {},
    }


def _sum_columns(view: PlayerView, seconds: int) -> dict[str, list]:
    """The summed fields of all skills, as plain lists with one value a skill."""
    sums = view.sums
    ap, identity, hat, brand = sums.by_support
    adjusted = sums.adjusted_crits / np.maximum(sums.adjusted_hits, 1)
    columns = {
        "totalDamage": sums.damage,
        "maxDamage": sums.max_hit,
        "maxDamageCast": sums.max_cast,
        "buffedBySupport": ap,
        "buffedByIdentity": identity,
        "buffedByHat": hat,
        "debuffedBySupport": brand,
        "casts": sums.casts,
        "hits": sums.hits,
        "crits": sums.crits,
        "adjustedCrit": adjusted,
        "critDamage": sums.crit_damage,
        "backAttacks": sums.backs,
        "backAttackDamage": sums.back_damage,
        "frontAttacks": sums.fronts,
        "frontAttackDamage": sums.front_damage,
        "dps": sums.damage // seconds,
        "stagger": sums.stagger,
        "rdpsDamageReceived": sums.received,
        "rdpsDamageReceivedSupport": sums.received_support,
    }
    return {name: column.tolist() for name, column in columns.items()}


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
    hits, sums = view.hits, view.sums
    buff_ids, debuff_ids = list_ids(view, fight)
    support_class = fight.support_of_party.get(view.player.party)
    logs = skill_cast_logs(hits, sums, support_class, view.player.class_id)
    cast_times = hits.cast_at[hits.cast[sums.cast_start]].tolist()
    columns = _sum_columns(view, seconds)
    names, by_effect = list(columns), sums.by_effect.T.tolist()
    cast_edges = np.append(0, np.cumsum(sums.casts)).tolist()
    skills = {}
    for row, (place, values) in enumerate(
        zip(sums.skills.tolist(), zip(*columns.values(), strict=True), strict=True)
    ):
        skill = _skill_base(view, place) | dict(zip(names, values, strict=True))
        skill["buffedBy"] = effect_map(buff_ids, by_effect[row][: len(buff_ids)])
        skill["debuffedBy"] = effect_map(debuff_ids, by_effect[row][len(buff_ids) :])
        skill["castLog"] = cast_times[cast_edges[row] : cast_edges[row + 1]]
        skill["skillCastLog"] = logs[row]
        skills[str(skill["id"])] = skill
    for skill_id, times in view.idle_casts.items():
        skills[str(skill_id)] = _idle_skill(skill_id, times)
    return skills
