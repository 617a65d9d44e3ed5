"""Rows of `encounters.db` from one log: packs the dictionaries of encode.py into columns and gzip blobs."""

import msgspec
from isal import igzip

from lostark_simulator import encode
from lostark_simulator.entities import build_entities, encounter_stats
from lostark_simulator.views import FightView

DB_VERSION = 5
_encoder = msgspec.json.Encoder()


def to_json(value: object) -> bytes:
    """UTF-8 JSON as the meter writes it."""
    return _encoder.encode(value)


def pack(value: object) -> bytes:
    """JSON in a gzip stream, without a time stamp so that equal content gives equal bytes."""
    return igzip.compress(_encoder.encode(value), 2, mtime=0)


def _text(value: object) -> str | None:
    return None if value is None else _encoder.encode(value).decode()


def _entity_row(entity: dict, encounter_id: int) -> dict:
    stats = entity["damageStats"]
    ap, brand, identity, hyper = entity.get("supportShares") or [None] * 4
    return {
        "name": entity["name"],
        "character_id": entity["characterId"],
        "encounter_id": encounter_id,
        "npc_id": entity["npcId"],
        "entity_type": entity["entityType"],
        "class_id": entity["classId"],
        "class": entity["class"],
        "gear_score": entity["gearScore"],
        "current_hp": entity["currentHp"],
        "max_hp": entity["maxHp"],
        "is_dead": entity["isDead"],
        "skills": pack(entity["skills"]),
        "damage_stats": pack(stats),
        "dps": stats["dps"],
        "skill_stats": _text(entity["skillStats"]),
        "last_update": None,
        "engravings": _text(entity.get("engravingData")),
        "gear_hash": None,
        "spec": entity.get("spec"),
        "ark_passive_active": entity.get("arkPassiveActive"),
        "ark_passive_data": _text(entity.get("arkPassiveData")),
        "loadout_hash": entity.get("loadoutHash"),
        "combat_power": entity.get("combatPower"),
        "support_ap": ap,
        "support_brand": brand,
        "support_identity": identity,
        "support_hyper": hyper,
        "unbuffed_damage": stats["unbuffedDamage"],
        "unbuffed_dps": stats["unbuffedDps"],
        "hp_bars": entity.get("hpBars"),
        "rdps_damage_received": stats["rdpsDamageReceived"],
        "rdps_damage_received_support": stats["rdpsDamageReceivedSupport"],
        "rdps_damage_given": stats["rdpsDamageGiven"],
        "rdps": stats["rdps"],
        "ndps": stats["ndps"],
    }


def _encounter_row(view: FightView, encounter_id: int) -> dict:
    stats = encounter_stats(view)
    return {
        "id": encounter_id,
        "last_combat_packet": view.last_packet_ms,
        "total_damage_dealt": stats["totalDamageDealt"],
        "top_damage_dealt": stats["topDamageDealt"],
        "total_damage_taken": stats["totalDamageTaken"],
        "top_damage_taken": stats["topDamageTaken"],
        "dps": stats["dps"],
        "buffs": pack(stats["buffs"]),
        "debuffs": pack(stats["debuffs"]),
        "total_shielding": 0,
        "total_effective_shielding": 0,
        "applied_shield_buffs": pack({}),
        "misc": _text(stats["misc"]),
        "version": DB_VERSION,
        "boss_hp_log": pack(stats["bossHpLog"]),
        "stagger_log": None,
    }


def _preview_row(view: FightView, encounter_id: int) -> dict:
    fight = view.fight
    local = next((one for one in view.players if one.player.name == view.upload.local_player), None)
    mine = encode.rates(view, local) if local else {"dps": None, "rdps": 0, "ndps": 0}
    return {
        "id": encounter_id,
        "fight_start": view.start_ms,
        "current_boss": fight.gate.boss,
        "duration": view.duration_ms,
        "players": ",".join(f"{one.player.class_id}:{one.player.name}" for one in view.players),
        "difficulty": fight.difficulty_logged,
        "local_player": view.upload.local_player,
        "my_dps": mine["dps"],
        "favorite": 0,
        "cleared": fight.is_cleared,
        "boss_only_damage": 1,
        "my_rdps": mine["rdps"],
        "my_ndps": mine["ndps"],
    }


def build_rows(view: FightView, encounter_id: int) -> dict:
    """All rows of one log: `encounter`, `preview` and the list `entities`, as column dictionaries."""
    return {
        "encounter": _encounter_row(view, encounter_id),
        "preview": _preview_row(view, encounter_id),
        "entities": [_entity_row(entity, encounter_id) for entity in build_entities(view)],
    }
