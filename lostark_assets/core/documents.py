"""The JSON documents inside a battle log, typed: only the fields that we use.

Declaring less decodes faster. Field names are the meter's (camelCase on the wire). A field that a meter
version does not write is None, never zero.
"""

from __future__ import annotations

import msgspec


class Document(msgspec.Struct, rename="camel", gc=False, frozen=True):
    """Base: camelCase on the wire, unknown fields ignored."""


class Hit(Document, frozen=True):
    """One hit; ``timestamp`` in ms since the fight's start."""

    timestamp: int
    damage: int
    crit: bool = False
    back_attack: bool = False
    front_attack: bool = False


class Cast(Document, frozen=True):
    """One cast and its hits."""

    hits: list[Hit] | None = None


class Skill(Document, frozen=True):
    """One skill of one player; times in ms since the fight's start."""

    id: int | None = None
    name: str | None = None
    total_damage: int = 0
    max_damage: int | None = None
    max_damage_cast: int | None = None
    buffed_by_support: int | None = None
    debuffed_by_support: int | None = None
    buffed_by_identity: int | None = None
    buffed_by_hat: int | None = None
    casts: int | None = None
    hits: int | None = None
    crits: int | None = None
    adjusted_crit: float | None = None
    crit_damage: int | None = None
    back_attacks: int | None = None
    front_attacks: int | None = None
    back_attack_damage: int | None = None
    front_attack_damage: int | None = None
    cast_log: list[int] | None = None
    skill_cast_log: list[Cast] | None = None
    stagger: int | None = None
    is_hyper_awakening: bool | None = None
    special: bool | None = None


class Death(Document, frozen=True):
    """One death; ``death_time`` epoch ms, ``dead_for`` ms (None: until the end)."""

    death_time: int | None = None
    dead_for: int | None = None


class Incapacitation(Document, frozen=True):
    """One knock-down or loss of control; epoch ms and ms. Cut short by death, ``duration`` is negative."""

    timestamp: int
    duration: int


class DamageStats(Document, frozen=True):
    """What the meter summed up for one player."""

    damage_dealt: int
    damage_taken: int | None = None
    hyper_awakening_damage: int | None = None
    buffed_by_support: int | None = None
    debuffed_by_support: int | None = None
    buffed_by_identity: int | None = None
    buffed_by_hat: int | None = None
    crit_damage: int | None = None
    back_attack_damage: int | None = None
    front_attack_damage: int | None = None
    shields_given: int | None = None
    damage_absorbed_on_others: int | None = None
    deaths: int | None = None
    death_time: int | None = None
    death_info: list[Death] | None = None
    dps: int | None = None
    dps_average: msgspec.Raw = msgspec.Raw()
    dps_rolling10s_avg: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="dpsRolling10sAvg")
    rdps_damage_received: int | None = None
    rdps_damage_received_support: int | None = None
    rdps_damage_given: int | None = None
    rdps: int | None = None
    ndps: int | None = None
    unbuffed_damage: int | None = None
    stagger: int | None = None
    incapacitations: list[Incapacitation] | None = None


class SkillStats(Document, frozen=True):
    """Counts over all skills of one player."""

    casts: int | None = None
    hits: int | None = None
    crits: int | None = None
    back_attacks: int | None = None
    front_attacks: int | None = None
    counters: int | None = None


class BossHp(Document, frozen=True):
    """One second of a boss's HP; ``p`` is a fraction, in old rows absent or percent."""

    time: float
    hp: float | None = None
    p: float | None = None


class Misc(Document, frozen=True):
    """What the meter stores beside the numbers; epoch ms."""

    raid_clear: bool | None = None
    party_info: dict[str, list[str]] | None = None
    region: str | None = None
    version: str | None = None
    rdps_valid: bool | None = None
    ntp_fight_start: int | None = None
    manual_save: bool | None = None
    intermission_start: int | None = None
    intermission_end: int | None = None
    boss_hp_log: dict[str, list[BossHp]] | None = None


class Entity(Document, frozen=True):
    """One entity of an upload: a player, a boss, an esther."""

    name: str | None = None
    character_id: str | int | None = None
    entity_type: str | None = None
    class_id: int | None = None
    class_name: str | None = msgspec.field(default=None, name="class")
    gear_score: float | None = None
    current_hp: float | None = None
    max_hp: float | None = None
    is_dead: bool | None = None
    skills: dict[str, Skill] | None = None
    damage_stats: DamageStats | None = None
    skill_stats: SkillStats | None = None
    ark_passive_active: bool | None = None
    spec: str | None = None
    loadout_hash: str | None = None
    combat_power: float | None = None


class EncounterStats(Document, frozen=True):
    """The encounter-wide part of an upload."""

    total_damage_dealt: int | None = None
    dps: int | None = None
    misc: Misc | None = None
    boss_hp_log: dict[str, list[BossHp]] | None = None


class Upload(Document, frozen=True):
    """A LOA Logs upload: one encounter."""

    entities: dict[str, Entity]
    fight_start: int | None = None
    last_combat_packet: int | None = None
    local_player: str | None = None
    current_boss_name: str | None = None
    current_boss: Entity | None = None
    encounter_damage_stats: EncounterStats | None = None
    duration: int | None = None
    difficulty: str | None = None
    cleared: bool | None = None
    boss_only_damage: bool | None = None
    region: str | None = None


class DbLog(msgspec.Struct, gc=False):
    """The packed rows of one encounter of an ``encounters.db``."""

    encounter: dict[str, object]
    entity_columns: list[str]
    entities: list[list[object]]
    preview: dict[str, object] | None = None


class TableLog(msgspec.Struct, gc=False):
    """The packed rows of one encounter of a player table."""

    context: dict[str, str]
    columns: list[str]
    rows: list[list[object]]
