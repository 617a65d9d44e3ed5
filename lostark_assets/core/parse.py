"""Parsing the bytes of a raw log of any format into one typed structure. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from lostark_assets.core.documents import (
    BossHp,
    DamageStats,
    DbLog,
    Entity,
    Misc,
    Skill,
    SkillStats,
    TableLog,
    Upload,
)
from lostark_assets.core.skill_scan import UNREADABLE, ScannedSkills, collect_skills, scan_skills
from lostark_assets.errors import LogRejected
from lostark_assets.gunzip import GZIP_MAGIC, gunzip

T = TypeVar("T")


class UnpackBudget:
    """Limits on the unpacked size of a log: of each part, and of all parts together."""

    def __init__(self, max_part_bytes: int, max_log_bytes: int) -> None:
        """``max_part_bytes`` of one document, ``max_log_bytes`` of the log."""
        self._part = max_part_bytes
        self._left = max_log_bytes

    def unpack(self, data: bytes, locator: str) -> bytes:
        """``data`` as it is, or what its gzip stream holds.

        Raises:
            LogRejected: it is damaged, or exceeds a limit.
        """
        limit = min(self._part, self._left)
        if data.startswith(GZIP_MAGIC):
            data = gunzip(data, limit, locator)
        elif len(data) > limit:
            raise LogRejected(
                "payload_too_large", f"expected at most {limit:,} bytes, found {len(data):,}", locator
            )
        self._left -= len(data)
        return data


@dataclass(slots=True)
class PlayerPart:
    """One player of a log, as the meter saw it."""

    name: str
    class_id: int | None
    class_text: str | None
    spec_text: str | None
    item_level: float | None
    combat_power: float | None
    character_id: str | None
    is_dead: bool | None
    stats: DamageStats
    counts: SkillStats
    skills: ScannedSkills
    meter_dps: int | None
    party_number: int | None = None
    uptimes: tuple[float | None, float | None, float | None, float | None] = (None, None, None, None)
    is_ark_passive_active: bool | None = None
    loadout_hash: str | None = None


@dataclass(slots=True)
class MeterLog:
    """One log of a damage meter (``encounters.db`` or upload JSON). Times in epoch ms."""

    fight_started_ms: int | None
    last_packet_ms: int | None
    stored_duration_ms: int | None
    boss_name: str | None
    difficulty: str | None
    local_player: str | None
    is_cleared: bool | None
    is_boss_only_damage: bool | None
    meter_damage: int | None
    meter_dps: int | None
    misc: Misc
    boss_max_hp: int | None
    boss_current_hp: int | None
    boss_hp: list[BossHp]
    region: str | None
    players: list[PlayerPart] = field(default_factory=list)


_skills = msgspec.json.Decoder(dict[str, Skill] | None, strict=False)
_damage_stats = msgspec.json.Decoder(DamageStats, strict=False)
_skill_stats = msgspec.json.Decoder(SkillStats | None, strict=False)
_misc = msgspec.json.Decoder(Misc | None, strict=False)
_boss_hp = msgspec.json.Decoder(dict[str, list[BossHp]] | None, strict=False)
_upload = msgspec.json.Decoder(Upload, strict=False)
_db_log = msgspec.msgpack.Decoder(DbLog)
_table_log = msgspec.msgpack.Decoder(TableLog)


def parse_table(payload: bytes | memoryview) -> TableLog:
    """The rows of a player-table log."""
    return _table_log.decode(payload)


def parse_upload(payload: bytes | memoryview, budget: UnpackBudget) -> MeterLog:
    """An upload JSON document, plain or gzip.

    Raises:
        LogRejected: it can't be unpacked, does not parse, or lacks a required field.
    """
    upload = _decode(_upload, bytes(payload), budget, "document")
    if upload is None:
        raise LogRejected("invalid_json", "expected a document of the meter, found nothing", "document")
    totals = upload.encounter_damage_stats
    misc = (totals.misc if totals else None) or Misc()
    bosses = (totals.boss_hp_log if totals else None) or misc.boss_hp_log or {}
    boss = upload.entities.get(upload.current_boss_name or "") or upload.current_boss
    log = MeterLog(
        fight_started_ms=upload.fight_start,
        last_packet_ms=upload.last_combat_packet,
        stored_duration_ms=upload.duration,
        boss_name=upload.current_boss_name or None,
        difficulty=upload.difficulty,
        local_player=upload.local_player or None,
        is_cleared=_cleared(upload.cleared, misc),
        is_boss_only_damage=upload.boss_only_damage,
        meter_damage=totals.total_damage_dealt if totals else None,
        meter_dps=totals.dps if totals else None,
        misc=misc,
        boss_max_hp=_whole(boss.max_hp) if boss else None,
        boss_current_hp=_whole(boss.current_hp) if boss else None,
        boss_hp=bosses.get(upload.current_boss_name or "", []),
        region=upload.region or misc.region,
    )
    parties = _parties(misc)
    for key, entity in upload.entities.items():
        name = entity.name or key
        if _is_player(entity.entity_type, name, entity.class_id, log.local_player) and entity.damage_stats:
            log.players.append(_upload_player(name, entity, entity.damage_stats, parties.get(name)))
    return log


def _upload_player(name: str, entity: Entity, stats: DamageStats, party: int | None) -> PlayerPart:
    return PlayerPart(
        name=name,
        class_id=entity.class_id,
        class_text=entity.class_name,
        spec_text=entity.spec,
        item_level=entity.gear_score,
        combat_power=entity.combat_power,
        character_id=str(entity.character_id) if entity.character_id not in (None, 0, "0", "") else None,
        is_dead=entity.is_dead,
        stats=stats,
        counts=entity.skill_stats or SkillStats(),
        skills=collect_skills(entity.skills or {}),
        meter_dps=stats.dps,
        party_number=party,
        is_ark_passive_active=entity.ark_passive_active,
        loadout_hash=entity.loadout_hash,
    )


def parse_db_log(payload: bytes | memoryview, budget: UnpackBudget) -> MeterLog:
    """The packed rows of an ``encounters.db`` encounter, of any layout.

    Raises:
        LogRejected: a document in it can't be unpacked or does not parse.
    """
    rows = _db_log.decode(payload)
    encounter = rows.encounter | (rows.preview or {})
    misc = _decode(_misc, encounter.get("misc"), budget, "encounter.misc") or Misc()
    hp = _decode(_boss_hp, encounter.get("boss_hp_log"), budget, "encounter.boss_hp_log") or misc.boss_hp_log
    boss_name = _text(encounter.get("current_boss"))
    log = MeterLog(
        fight_started_ms=_whole(encounter.get("fight_start")),
        last_packet_ms=_whole(encounter.get("last_combat_packet")),
        stored_duration_ms=_whole(encounter.get("duration")),
        boss_name=boss_name,
        difficulty=_text(encounter.get("difficulty")),
        local_player=_text(encounter.get("local_player")),
        is_cleared=_cleared(_flag(encounter.get("cleared")), misc),
        is_boss_only_damage=_flag(encounter.get("boss_only_damage")),
        meter_damage=_whole(encounter.get("total_damage_dealt")),
        meter_dps=_whole(encounter.get("dps")),
        misc=misc,
        boss_max_hp=None,
        boss_current_hp=None,
        boss_hp=(hp or {}).get(boss_name or "", []),
        region=misc.region,
    )
    parties = _parties(misc)
    for values in rows.entities:
        entity = dict(zip(rows.entity_columns, values, strict=False))
        name = _text(entity.get("name")) or ""
        kind = _text(entity.get("entity_type"))
        if name == boss_name and kind != "PLAYER":
            log.boss_max_hp, log.boss_current_hp = (
                _whole(entity.get("max_hp")),
                _whole(entity.get("current_hp")),
            )
        elif _is_player(kind, name, _whole(entity.get("class_id")), log.local_player):
            log.players.append(_db_player(name, entity, budget, parties.get(name)))
    return log


def _db_player(name: str, entity: dict[str, Any], budget: UnpackBudget, party: int | None) -> PlayerPart:
    at = f"entity {name!r}"
    stats = _decode(_damage_stats, entity.get("damage_stats"), budget, f"{at}, damage_stats")
    if stats is None:
        raise LogRejected("missing_field", "expected damage_stats, found NULL", at)
    meter_dps = _whole(entity.get("dps"))
    return PlayerPart(
        name=name,
        class_id=_whole(entity.get("class_id")),
        class_text=_text(entity.get("class")),
        spec_text=_text(entity.get("spec")),
        item_level=_real(entity.get("gear_score")),
        combat_power=_real(entity.get("combat_power")),
        character_id=str(entity["character_id"]) if entity.get("character_id") else None,
        is_dead=_flag(entity.get("is_dead")),
        stats=stats,
        counts=_decode(_skill_stats, entity.get("skill_stats"), budget, f"{at}, skill_stats") or SkillStats(),
        skills=_scan(entity.get("skills"), budget, f"{at}, skills"),
        meter_dps=stats.dps if meter_dps is None else meter_dps,
        party_number=party,
        uptimes=(
            _real(entity.get("support_ap")),
            _real(entity.get("support_brand")),
            _real(entity.get("support_identity")),
            _real(entity.get("support_hyper")),
        ),
        is_ark_passive_active=_flag(entity.get("ark_passive_active")),
        loadout_hash=_text(entity.get("loadout_hash")),
    )


def _scan(value: object, budget: UnpackBudget, locator: str) -> ScannedSkills:
    """The skills of one player; msgspec decodes the documents that the scanner does not support."""
    data = _unpacked(value, budget, locator)
    if data is None:
        return ScannedSkills()
    return scan_skills(data) or collect_skills(_decoded(_skills, data, locator) or {})


def _decode(decoder: msgspec.json.Decoder[T], value: object, budget: UnpackBudget, locator: str) -> T | None:
    """A JSON document from text, bytes or gzip; None for NULL and empty values."""
    data = _unpacked(value, budget, locator)
    return None if data is None else _decoded(decoder, data, locator)


def _unpacked(value: object, budget: UnpackBudget, locator: str) -> bytes | None:
    if value in (None, b"", ""):
        return None
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    if not isinstance(data, bytes):
        raise LogRejected("invalid_json", f"expected a JSON document, found {type(value).__name__}", locator)
    return budget.unpack(data, locator).removeprefix(b"\xef\xbb\xbf")


def _decoded(decoder: msgspec.json.Decoder[T], data: bytes, locator: str) -> T:
    try:
        return decoder.decode(data)
    except UNREADABLE as error:
        raise LogRejected(
            "invalid_json", f"expected a document of the meter, found: {error}", locator
        ) from error


def _parties(misc: Misc) -> dict[str, int]:
    """Party number by name, from 1; a raid has at most four parties."""
    pairs: Iterator[tuple[str, list[str]]] = iter((misc.party_info or {}).items())
    return {name: int(key) + 1 for key, names in pairs if key in {"0", "1", "2", "3"} for name in names}


def _is_player(kind: str | None, name: str, class_id: int | None, local_player: str | None) -> bool:
    return kind == "PLAYER" or (name == local_player and bool(class_id) and kind in (None, "UNKNOWN"))


def _cleared(stored: bool | None, misc: Misc) -> bool | None:  # noqa: FBT001 - a value, no switch
    """The meter writes raidClear only when it is true; before 1.3.1 there is no other mark."""
    if stored is None or (stored is False and misc.raid_clear):
        return True if misc.raid_clear else stored
    return stored


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= 2**62:
        return None
    return int(value)


def _real(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _flag(value: object) -> bool | None:
    return bool(value) if isinstance(value, (int, float)) else None


def _text(value: object) -> str | None:
    """Text; SQLite returns bytes for invalid UTF-8."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return text if isinstance(text, str) and text else None
