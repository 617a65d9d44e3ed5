"""The entities of a log, players and others, as dictionaries in LOA Logs' upload spelling.

Both the database rows and the upload JSON are built from them.
"""

from lostark_simulator import encode
from lostark_simulator.encode_skills import skills_map
from lostark_simulator.fight import METER_VERSION
from lostark_simulator.views import FightView, PlayerView

ESTHER_SKILL = 534_100
BOSS_SKILL = 4_100_100


def _player(view: FightView, one: PlayerView) -> dict:
    player = one.player
    is_dead = any(dead_for is None for _, dead_for in view.deaths(player))
    return {
        "id": 268_000_000 + player.character.character_id % 1_000_000,
        "characterId": player.character.character_id,
        "npcId": 0,
        "name": player.name,
        "entityType": "PLAYER",
        "classId": player.class_id,
        "class": player.spec.class_name,
        "gearScore": player.item_level_logged,
        "currentHp": 0 if is_dead else 310_000,
        "maxHp": 350_000,
        "currentShield": 0,
        "isDead": is_dead,
        "skills": skills_map(one, view.fight, view.seconds),
        "damageStats": encode.damage_stats(view, one),
        "skillStats": encode.skill_stats(one),
        "engravingData": encode.engravings(player),
        "arkPassiveActive": True,
        "arkPassiveData": encode.ark_passive_data(player),
        "spec": player.spec_logged,
        "loadoutHash": f"{player.character.character_id * 2_654_435_761 % 2**32:08x}",
        "combatPower": player.combat_power,
        "supportShares": encode.support_shares(view, one),
    }


def _other(name: str, kind: str, npc_id: int, stats: dict, skill: dict | None) -> dict:
    return {
        "id": npc_id + 7,
        "characterId": 0,
        "npcId": npc_id,
        "name": name,
        "entityType": kind,
        "classId": 0,
        "class": "",
        "gearScore": 0.0,
        "currentHp": 0,
        "maxHp": 0,
        "currentShield": 0,
        "isDead": False,
        "skills": {str(skill["id"]): skill} if skill else {},
        "damageStats": stats,
        "skillStats": {
            "casts": skill["casts"] if skill else 0,
            "hits": skill["hits"] if skill else 0,
            "crits": 0,
            "backAttacks": 0,
            "frontAttacks": 0,
            "counters": 0,
        },
    }


def _basic_skill(skill_id: int, name: str, damage: list[int], cast_log: list[int]) -> dict:
    return {
        "id": skill_id,
        "name": name,
        "icon": "",
        "totalDamage": sum(damage),
        "maxDamage": max(damage),
        "casts": len(cast_log),
        "hits": len(damage),
        "crits": 0,
        "castLog": cast_log,
        "skillCastLog": [],
        "buffedBy": {},
        "debuffedBy": {},
    }


def _boss(view: FightView) -> dict:
    fight, gate = view.fight, view.fight.gate
    dealt = sum(one.player.damage_taken for one in view.players)
    stats = encode.empty_stats(dealt, view.total_damage + _esther_damage(view), view.seconds)
    boss = _other(gate.boss, "BOSS", gate.npc_id, stats, _basic_skill(BOSS_SKILL, "Slam", [dealt], [900]))
    return boss | {
        "currentHp": fight.current_hp,
        "maxHp": gate.max_hp,
        "isDead": fight.is_cleared,
        "hpBars": gate.hp_bars,
    }


def _esther_damage(view: FightView) -> int:
    return sum(damage for at, damage in view.fight.esther_hits if at <= view.wall_ms)


def build_entities(view: FightView) -> list[dict]:
    """Everything that the meter stores of one log: players by damage, the boss, sometimes two more."""
    found = [_player(view, one) for one in view.players]
    found.append(_boss(view))
    seen = [hit for hit in view.fight.esther_hits if hit[0] <= view.wall_ms]
    if seen:
        damage = [value for _, value in seen]
        skill = _basic_skill(ESTHER_SKILL, "Esther Skill", damage, [seen[0][0]])
        stats = encode.empty_stats(sum(damage), 0, view.seconds)
        found.append(_other("Nineveh", "ESTHER", 53_820, stats, skill))
    if view.grenade_given > 0:
        stats = encode.empty_stats(0, 0, view.seconds, view.grenade_given)
        found.append(_other("Dark Grenade", "DARK_GRENADE", 0, stats, None))
    return found


def total_taken(view: FightView) -> tuple[int, int]:
    """Damage taken by all players, and the maximum of one player."""
    taken = [one.player.damage_taken for one in view.players]
    return sum(taken), max(taken)


def encounter_stats(view: FightView) -> dict:
    """`encounterDamageStats` of the upload JSON."""
    buffs, debuffs = encode.get_active_effects(view)
    taken, top_taken = total_taken(view)
    return {
        "totalDamageDealt": view.total_damage,
        "topDamageDealt": max(one.damage for one in view.players),
        "totalDamageTaken": taken,
        "topDamageTaken": top_taken,
        "dps": view.total_damage // view.seconds,
        "buffs": buffs,
        "debuffs": debuffs,
        "totalShielding": 0,
        "totalEffectiveShielding": 0,
        "appliedShieldBuffs": {},
        "misc": encode.misc(view),
        "bossHpLog": {view.fight.gate.boss: encode.boss_hp_log(view)},
    }


def encounter_json(view: FightView) -> dict:
    """The whole fight in the upload's map form."""
    fight = view.fight
    entities = {}
    for entity in build_entities(view):
        entity.pop("supportShares", None)
        entity["characterId"] = str(entity["characterId"])
        entities[entity["name"]] = entity
    return {
        "lastCombatPacket": view.last_packet_ms,
        "fightStart": view.start_ms,
        "localPlayer": view.upload.local_player,
        "entities": entities,
        "currentBossName": fight.gate.boss,
        "currentBoss": None,
        "encounterDamageStats": encounter_stats(view),
        "duration": view.duration_ms,
        "difficulty": fight.difficulty_logged,
        "favorite": False,
        "cleared": fight.is_cleared,
        "bossOnlyDamage": True,
        "sync": None,
        "region": fight.region,
        "version": METER_VERSION,
    }
