"""Applies each kind of dirt to finished rows; dirt.py picks the kind of each fight."""

import json
from collections.abc import Callable

from isal import igzip

from lostark_simulator.dirt import IMPOSSIBLE_DURATION_MS


def _unpack(blob: bytes) -> str:
    return igzip.decompress(blob).decode()


def _repack(text: str) -> bytes:
    return igzip.compress(text.encode(), 2, mtime=0)


def _players(rows: dict) -> list[dict]:
    return [entity for entity in rows["entities"] if entity["entity_type"] == "PLAYER"]


def _invalid_json(rows: dict) -> None:
    player = _players(rows)[0]
    text = _unpack(player["skills"])
    player["skills"] = _repack(text[: len(text) // 2] + "}}")


def _truncated_gzip(rows: dict) -> None:
    player = _players(rows)[0]
    player["skills"] = player["skills"][: len(player["skills"]) * 6 // 10]


def _impossible_duration(rows: dict) -> None:
    rows["preview"]["duration"] = IMPOSSIBLE_DURATION_MS
    rows["encounter"]["last_combat_packet"] = rows["preview"]["fight_start"] + IMPOSSIBLE_DURATION_MS


def _broken_player_sum(rows: dict) -> None:
    player = _players(rows)[0]
    stats = json.loads(_unpack(player["damage_stats"]))
    stats["damageDealt"] = stats["damageDealt"] * 3 // 2
    player["damage_stats"] = _repack(json.dumps(stats, ensure_ascii=False, separators=(",", ":")))


def _broken_total(rows: dict) -> None:
    rows["encounter"]["total_damage_dealt"] *= 2


def _odd_players_piece(rows: dict) -> None:
    rows["preview"]["players"] = rows["preview"]["players"].replace(":", "", 1)


def _negative_incapacitation(rows: dict) -> None:
    player = _players(rows)[0]
    stats = json.loads(_unpack(player["damage_stats"]))
    at = rows["preview"]["fight_start"] + 30_000
    stats["incapacitations"].append({"type": "FALL_DOWN", "timestamp": at, "duration": -1_734})
    player["damage_stats"] = _repack(json.dumps(stats, ensure_ascii=False, separators=(",", ":")))


def _support_ap_above_one(rows: dict) -> None:
    _players(rows)[0]["support_ap"] = 1.0004


def _support_ap_null(rows: dict) -> None:
    _players(rows)[0]["support_ap"] = None


_UNKNOWN_TO_OLD_ENTITIES = (
    "spec ark_passive_active ark_passive_data loadout_hash combat_power support_ap support_brand "
    "support_identity support_hyper hp_bars"
).split()
_UNKNOWN_TO_OLD_STATS = (
    "hyperAwakeningDamage buffedByHat deathInfo rdps ndps unbuffedDamage unbuffedDps stagger incapacitations "
    "rdpsDamageReceived rdpsDamageReceivedSupport rdpsDamageGiven"
).split()
_ZERO_IN_OLD_ENTITIES = (
    "unbuffed_damage unbuffed_dps rdps_damage_received rdps_damage_received_support rdps_damage_given "
    "rdps ndps"
).split()


def _old_layout(rows: dict) -> None:
    """A row in the layout before 1.13.5: text for blobs, no version, health in percent in `misc`."""
    encounter = rows["encounter"]
    for column in ("buffs", "debuffs", "applied_shield_buffs"):
        encounter[column] = _unpack(encounter[column])
    log = json.loads(_unpack(encounter["boss_hp_log"]))
    for items in log.values():
        for item in items:
            item["p"] *= 100
    misc = json.loads(encounter["misc"])
    kept = {key: misc[key] for key in ("raidClear", "partyInfo", "region") if key in misc}
    encounter["misc"] = json.dumps(kept | {"bossHpLog": log}, ensure_ascii=False)
    encounter["boss_hp_log"], encounter["version"] = None, 4
    rows["preview"] |= {"my_rdps": 0, "my_ndps": 0}
    for entity in rows["entities"]:
        entity["skills"] = _unpack(entity["skills"])
        stats = json.loads(_unpack(entity["damage_stats"]))
        for key in _UNKNOWN_TO_OLD_STATS:
            stats.pop(key, None)
        entity["damage_stats"] = json.dumps(stats, ensure_ascii=False)
        entity.update(dict.fromkeys(_UNKNOWN_TO_OLD_ENTITIES), **dict.fromkeys(_ZERO_IN_OLD_ENTITIES, 0))


_DAMAGE: dict[str, Callable[[dict], None]] = {
    "invalid_json": _invalid_json,
    "truncated_gzip": _truncated_gzip,
    "impossible_duration": _impossible_duration,
    "broken_player_sum": _broken_player_sum,
    "broken_total": _broken_total,
    "odd_players_piece": _odd_players_piece,
    "negative_incapacitation": _negative_incapacitation,
    "support_ap_above_one": _support_ap_above_one,
    "support_ap_null": _support_ap_null,
    "old_layout": _old_layout,
}


def damage_rows(kind: str | None, rows: dict) -> None:
    """Apply a kind to the rows of one log, in place; other kinds change nothing here."""
    if kind in _DAMAGE:
        _DAMAGE[kind](rows)
