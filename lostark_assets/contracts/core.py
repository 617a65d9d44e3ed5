"""Contracts of the core layer: cleaned encounters, players, skills, hits, and what was refused.

Columns carry their unit; a figure that a log can't give is null, never zero.
"""

from __future__ import annotations

import pyarrow as pa

from lostark_assets.contracts.raw import LOG_FORMATS, NEWS_LISTS
from lostark_assets.contracts.reasons import REASONS
from lostark_assets.contracts.table import (
    BOOL,
    DAY,
    FLOAT,
    INSTANT,
    INT,
    SMALL,
    STRING,
    Column,
    Contract,
    Published,
    Storage,
    concat,
    ordered,
)
from lostark_assets.game.classes import CLASS_NAMES
from lostark_assets.game.difficulties import DIFFICULTY_NAMES
from lostark_assets.game.raid_names import GATE_NAMES, RAID_NAMES
from lostark_assets.game.specs import SPEC_NAMES
from lostark_assets.game.versions import list_measurement_rules

DETAIL_LEVELS = ("players", "skills", "hits")
MAX_FIGHT_S = 86_400
"""The most that LOSTARK_MAX_FIGHT_S can allow; what is refused below it is a setting, not a contract."""
GATE_RESOLUTIONS = ("boss", "difficulty", "boss_hp", "time", "import", "ambiguous", "unknown")

MEASUREMENT_RULES = list_measurement_rules("dps")

LOG_KEY = (
    Column("log_id", STRING, "the raw row this comes from", nullable=False),
    Column("encounter_id", STRING, "the encounter: the first 16 hex digits of log_id", nullable=False),
)
FIGHT_DATE = (Column("fight_date", DAY, "UTC day of the fight's start", nullable=False),)
PLAYER_NAME = (
    Column("player_name", STRING, "character name as the meter knew it", nullable=False, personal="name"),
)

GATE = (
    Column("raid_name", STRING, "raid, in the field's English name", allowed=RAID_NAMES),
    Column("gate_name", STRING, "gate of the raid", allowed=GATE_NAMES),
    Column("boss_name", STRING, "boss the log is named after; a new boss keeps the meter's own name"),
    Column(
        "difficulty",
        STRING,
        "difficulty, one word for one meaning over all meter versions",
        allowed=DIFFICULTY_NAMES,
    ),
)
ENCOUNTER_FACTS = concat(
    (
        Column("fight_id", STRING, "one real fight, however many of its players uploaded it", nullable=False),
        Column(
            "is_counted", BOOL, "this log is the one of its fight that counts in statistics", nullable=False
        ),
        Column("fight_started_at", INSTANT, "start of the fight by the meter's clock", nullable=False),
    ),
    GATE,
    (
        Column("is_cleared", BOOL, "the boss was beaten; null where the log does not say"),
        Column(
            "duration_s",
            INT,
            "fight length by the meter's rule: whole seconds, at least 1",
            unit="s",
            nullable=False,
            minimum=1,
            maximum=MAX_FIGHT_S,
            odd_above=1800,
        ),
        Column("meter_version", STRING, "version of the meter that wrote the log"),
        Column(
            "measurement_rules",
            STRING,
            "era of measuring rules the meter version belongs to",
            nullable=False,
            allowed=MEASUREMENT_RULES,
        ),
        Column("region", STRING, "server region as logged (KR, NAE, NAW, EUC, …)"),
    ),
)

CORE_ENCOUNTERS = Contract(
    name="core_encounters",
    row="one encounter: one attempt at one boss, as one log tells it",
    key=("encounter_id",),
    grain="day",
    published=Published(
        "encounters",
        only=tuple(
            "encounter_id fight_id fight_date is_counted fight_started_at raid_name gate_name boss_name "
            "difficulty is_cleared duration_s meter_version measurement_rules region log_format "
            "detail_level is_superseded gate_resolution intermission_ms player_count raid_size damage dps "
            "boss_max_hp boss_hp_left boss_hp_at_s boss_hp is_boss_only_damage is_rdps_valid completeness "
            "fetched_at".split()
        ),
        has_gate_id=True,
        is_complete=False,
    ),
    preview=(
        "encounter_id",
        "fight_started_at",
        "raid_name",
        "gate_name",
        "boss_name",
        "difficulty",
        "is_cleared",
        "duration_s",
        "player_count",
        "dps",
        "source",
        "detail_level",
        "is_counted",
    ),
    notes="Several logs of one real fight share fight_id; exactly one of them is_counted.",
    columns=concat(
        LOG_KEY,
        FIGHT_DATE,
        ENCOUNTER_FACTS,
        (
            Column("source", STRING, "source the log came from", nullable=False),
            Column("source_log_id", STRING, "the source's own id of the log", nullable=False),
            Column("log_format", STRING, "format of the log", nullable=False, allowed=LOG_FORMATS),
            Column(
                "detail_level", STRING, "finest level the log carries", nullable=False, allowed=DETAIL_LEVELS
            ),
            Column(
                "is_superseded", BOOL, "the source later gave another version of this log", nullable=False
            ),
            Column(
                "gate_resolution",
                STRING,
                "what decided raid and gate",
                nullable=False,
                allowed=GATE_RESOLUTIONS,
            ),
            Column("gate_candidates", STRING, "the gates it may be, where ambiguous"),
            Column("difficulty_reported", STRING, "difficulty word that the log itself holds"),
            Column("fight_started_ntp_at", INSTANT, "start of the fight by a corrected clock"),
            Column(
                "duration_ms",
                INT,
                "fight length without the intermission",
                unit="ms",
                nullable=False,
                minimum=-1000,
                maximum=1000 * MAX_FIGHT_S,
            ),
            Column(
                "intermission_ms",
                INT,
                "time cut out of the clock",
                unit="ms",
                minimum=0,
                # Cleaning forgives a fight one second. A longer one would take a timeline beyond any memory.
                maximum=1000 * (MAX_FIGHT_S + 1),
            ),
            Column("local_player_name", STRING, "player whose meter wrote the log", personal="name"),
            Column(
                "player_count",
                SMALL,
                "players in the log",
                unit="players",
                nullable=False,
                minimum=1,
                maximum=16,
            ),
            Column("raid_size", SMALL, "players the raid is made for", unit="players", minimum=1, maximum=16),
            Column(
                "damage",
                INT,
                "damage of the raid; null where the log has no totals",
                unit="damage",
                minimum=0,
            ),
            Column("dps", INT, "damage // duration_s", unit="damage/s", minimum=0),
            Column("player_damage", INT, "sum of the player rows", unit="damage", minimum=0),
            Column("meter_damage", INT, "damage total that the meter stored", unit="damage", minimum=0),
            Column("meter_dps", INT, "raid DPS that the meter stored", unit="damage/s", minimum=0),
            Column("boss_max_hp", INT, "boss HP at full", unit="HP", minimum=0),
            Column(
                "boss_hp_left",
                FLOAT,
                "boss HP left at the end, as a fraction of full",
                unit="0..1",
                minimum=0,
                maximum=1,
            ),
            Column("boss_hp_at_s", pa.list_(SMALL), "seconds of the boss HP log", unit="s"),
            Column("boss_hp", pa.list_(FLOAT), "boss HP fraction at those seconds", unit="0..1"),
            Column("is_boss_only_damage", BOOL, "the meter counted damage to bosses only"),
            Column("is_manual_save", BOOL, "the player saved the log by hand"),
            Column("is_rdps_valid", BOOL, "the meter vouches for its rDPS figures"),
            Column(
                "completeness",
                FLOAT,
                "rank of the log among those of its fight; higher counts",
                nullable=False,
            ),
            Column(
                "player_rows_in",
                SMALL,
                "player rows that the log holds",
                unit="rows",
                nullable=False,
                minimum=1,
            ),
            Column("fetched_at", INSTANT, "when the source gave the log", nullable=False),
            Column("clean_version", STRING, "version of the cleaning code", nullable=False),
            Column("cleaned_at", INSTANT, "when the log was cleaned", nullable=False),
            Column("clean_run_id", STRING, "the run that cleaned the log", nullable=False),
        ),
    ),
)

IDENTITY = (
    Column("class_name", STRING, "class, in English", allowed=CLASS_NAMES),
    Column("spec_name", STRING, "class engraving (build), in English", allowed=SPEC_NAMES),
    Column(
        "item_level",
        FLOAT,
        "item level; null where the meter had not seen it",
        unit="item level",
        minimum=1,
        maximum=3000,
        odd_below=300,
        odd_above=1900,
    ),
    Column("combat_power", FLOAT, "combat power", unit="combat power", minimum=0),
    Column("is_support", BOOL, "support by spec; by class only where the spec is unknown"),
    Column("is_dead", BOOL, "dead at the end of the fight"),
    Column("is_uploader", BOOL, "the player whose meter wrote the log"),
    Column("party_number", SMALL, "party within the raid, from 1", minimum=1, maximum=4),
)
AMOUNTS = (
    Column("damage", INT, "damage dealt", unit="damage", minimum=0),
    Column("dps", INT, "damage // duration_s", unit="damage/s", minimum=0),
    Column("damage_share", FLOAT, "share of the damage of all players", unit="0..1", minimum=0, maximum=1),
)


def _count(name: str, what: str) -> Column:
    return Column(name, INT, what, unit="count", minimum=0)


def _damage(name: str, what: str) -> Column:
    return Column(name, INT, what, unit="damage", minimum=0)


def _uptime(name: str, what: str) -> Column:
    return Column(
        name, FLOAT, f"share of damage dealt under {what}", unit="0..1", minimum=0, maximum=1.5, odd_above=1.1
    )


UPTIMES = (
    _uptime("support_ap", "a support's attack-power buff"),
    _uptime("support_brand", "a support's brand"),
    _uptime("support_identity", "a support's identity"),
    _uptime("support_hyper", "a support's hyper-awakening buff"),
)

COMBAT_POWER_SOURCES = ("log", "profile")
PROFILE = (
    Column(
        "combat_power_source",
        STRING,
        "who gave combat_power: the log itself, or the profile where the log has none",
        allowed=COMBAT_POWER_SOURCES,
    ),
    Column("profile_id", STRING, "the row of raw_armory_profiles that the columns below come from"),
    Column("profile_at", INSTANT, "when the profile was fetched: at or before the fight's start"),
    Column("profile_server_name", STRING, "game server of the character, in Korean"),
    Column(
        "profile_item_level", FLOAT, "item level by the profile", unit="item level", minimum=1, maximum=3000
    ),
    Column("profile_combat_power", FLOAT, "combat power by the profile", unit="combat power", minimum=0),
    Column("profile_spec_name", STRING, "spec by the profile's ark passive, in English", allowed=SPEC_NAMES),
    Column("engravings", pa.list_(STRING), "names of the engravings worn, in Korean"),
    Column("engraving_levels", pa.list_(SMALL), "their levels, in the same order", unit="level"),
    Column("engraving_grades", pa.list_(STRING), "their grades, in Korean and the same order"),
    Column("gem_levels", pa.list_(SMALL), "levels of the gems worn, highest first", unit="level"),
    Column("ark_passive_evolution", SMALL, "points in evolution (진화)", unit="points", minimum=0),
    Column("ark_passive_enlightenment", SMALL, "points in enlightenment (깨달음)", unit="points", minimum=0),
    Column("ark_passive_leap", SMALL, "points in leap (도약)", unit="points", minimum=0),
    Column("ark_grid_cores", pa.list_(STRING), "names of the ark grid's cores, in Korean"),
    Column("ark_grid_points", pa.list_(SMALL), "points of those cores, in the same order", unit="points"),
    Column("card_sets", pa.list_(STRING), "card sets that work, each by its highest step, in Korean"),
)

HITS_OF_A_KIND = (ordered("crits", "hits"), ordered("back_attacks", "hits"), ordered("front_attacks", "hits"))

CORE_PLAYERS = Contract(
    name="core_players",
    row="one player in one encounter",
    key=("encounter_id", "player_name"),
    grain="day",
    relations=HITS_OF_A_KIND,
    published=Published(
        "players",  # beside the statistics of the player
        only=tuple(
            "died_at_s casts hits crits back_attacks front_attacks combat_power_source shields_given "
            "damage_absorbed_on_others rdps_damage_received rdps_damage_given is_ark_passive_active "
            "engravings engraving_levels gem_levels ark_passive_evolution ark_passive_enlightenment "
            "ark_passive_leap card_sets".split()
        ),
        is_complete=False,
    ),
    preview=(
        "encounter_id",
        "player_name",
        "class_name",
        "spec_name",
        "item_level",
        "is_support",
        "damage",
        "dps",
        "damage_share",
        "deaths",
    ),
    columns=concat(
        LOG_KEY,
        FIGHT_DATE,
        PLAYER_NAME,
        (
            Column(
                "is_name_known",
                BOOL,
                "the name is a character's, no anonymous one of meter or export",
                nullable=False,
            ),
            Column("character_id", STRING, "the game's id of the character", personal="identifier"),
            Column("class_id", SMALL, "class id as logged"),
        ),
        IDENTITY,
        AMOUNTS,
        (
            Column("meter_dps", INT, "DPS that the meter stored", unit="damage/s", minimum=0),
            _damage("damage_taken", "damage taken"),
            _count("deaths", "deaths in the fight"),
            Column("dead_s", FLOAT, "time spent dead", unit="s", minimum=0),
            Column("died_at_s", FLOAT, "last death, from the fight's start", unit="s"),
            _count("casts", "skill casts"),
            _count("hits", "hits"),
            _count("crits", "critical hits"),
            _count("back_attacks", "hits from behind"),
            _count("front_attacks", "hits from the front"),
            _count("counters", "counters"),
            _damage("crit_damage", "damage by critical hits"),
            _damage("back_attack_damage", "damage from behind"),
            _damage("front_attack_damage", "damage from the front"),
            _damage("hyper_awakening_damage", "damage of hyper-awakening skills"),
            _count("stagger", "stagger dealt"),
            Column("incapacitated_s", FLOAT, "time knocked down or under control", unit="s", minimum=0),
            Column(
                "hit_coverage",
                FLOAT,
                "share of the damage that the hit list explains; null without hits",
                unit="0..1",
                minimum=0,
                maximum=1,
                odd_below=0.95,
            ),
            _damage("damage_under_ap", "damage under a support's attack-power buff"),
            _damage("damage_under_brand", "damage under a support's brand"),
            _damage("damage_under_identity", "damage under a support's identity"),
            _damage("damage_under_hyper", "damage under a support's hyper-awakening buff"),
        ),
        UPTIMES,
        (
            Column(
                "unbuffed_damage", INT, "damage without support buffs, by the game's analyzer", unit="damage"
            ),
            Column("rdps_damage_received", INT, "damage owed to party buffs", unit="damage"),
            Column("rdps_damage_received_support", INT, "of that, owed to supports", unit="damage"),
            Column("rdps_damage_given", INT, "damage given to others by own buffs", unit="damage"),
            Column("rdps", INT, "own damage less received plus given, per second", unit="damage/s"),
            Column("ndps", INT, "own damage less received, per second", unit="damage/s"),
            Column("shields_given", INT, "shield given to others", unit="HP", minimum=0),
            Column(
                "damage_absorbed_on_others",
                INT,
                "damage that own shields took for others",
                unit="damage",
                minimum=0,
            ),
            Column("is_ark_passive_active", BOOL, "ark passive is on"),
            Column("loadout_hash", STRING, "the meter's hash of the loadout", personal="identifier"),
            Column(
                "meter_rolling_dps",
                pa.list_(INT),
                "the meter's 10 s DPS, one figure a second; only where the log has no hits",
                unit="damage/s",
            ),
            Column(
                "meter_average_dps",
                pa.list_(INT),
                "the meter's DPS since the start, one figure every 5 s; only where the log has no hits",
                unit="damage/s",
            ),
        ),
        PROFILE,
    ),
)

CORE_SKILLS = Contract(
    name="core_skills",
    row="one skill of one player in one encounter",
    key=("encounter_id", "player_name", "skill_id"),
    grain="day",
    relations=HITS_OF_A_KIND,
    published=Published("skills", without=("log_id", "cast_at_ms"), is_complete=False),
    preview=("encounter_id", "player_name", "skill_name", "damage", "casts", "hits", "crit_rate"),
    columns=concat(
        LOG_KEY,
        FIGHT_DATE,
        PLAYER_NAME,
        (
            Column("skill_id", INT, "the game's id of the skill; 0 is bleed", nullable=False, minimum=0),
            Column("skill_name", STRING, "skill name as logged; null where the meter did not know it"),
            _damage("damage", "damage of the skill"),
            Column("dps", INT, "damage // duration_s", unit="damage/s", minimum=0),
            _damage("max_hit_damage", "largest hit"),
            _damage("max_cast_damage", "largest cast"),
            _count("casts", "casts"),
            _count("hits", "hits"),
            _count("crits", "critical hits"),
            Column("crit_rate", FLOAT, "crits / hits", unit="0..1", minimum=0, maximum=1),
            Column(
                "adjusted_crit_rate",
                FLOAT,
                "crit rate of hits over 5 % of the average cast",
                unit="0..1",
                minimum=0,
                maximum=1,
            ),
            _count("back_attacks", "hits from behind"),
            _count("front_attacks", "hits from the front"),
            _damage("crit_damage", "damage by critical hits"),
            _damage("back_attack_damage", "damage from behind"),
            _damage("front_attack_damage", "damage from the front"),
            _count("stagger", "stagger dealt"),
            _damage("damage_under_ap", "damage under a support's attack-power buff"),
            _damage("damage_under_brand", "damage under a support's brand"),
            _damage("damage_under_identity", "damage under a support's identity"),
            _damage("damage_under_hyper", "damage under a support's hyper-awakening buff"),
            Column("is_hyper_awakening", BOOL, "a hyper-awakening skill"),
            Column("is_special", BOOL, "can neither crit nor be buffed"),
            Column("cast_at_ms", pa.list_(SMALL), "start of every cast, from the fight's start", unit="ms"),
        ),
    ),
)

CORE_HITS = Contract(
    name="core_hits",
    row="one hit",
    key=(),
    grain="day",
    storage=Storage(
        sorted_by=("encounter_id", "player_name", "skill_id", "hit_at_ms"),
        dictionary=("encounter_id", "player_name", "skill_id"),
        byte_stream_split=("hit_at_ms", "damage"),
        row_group_rows=1 << 18,
    ),
    notes="Sorted by encounter, player, skill, time: statistics over hits rely on it.",
    columns=concat(
        (Column("encounter_id", STRING, "the encounter", nullable=False),),
        FIGHT_DATE,
        PLAYER_NAME,
        (
            Column("skill_id", INT, "the game's id of the skill", nullable=False, minimum=0),
            Column(
                "hit_at_ms",
                SMALL,
                "time of the hit, from the fight's start",
                unit="ms",
                nullable=False,
                minimum=-1000,
                maximum=1000 * (MAX_FIGHT_S + 1),
            ),
            Column("damage", INT, "damage of the hit", unit="damage", nullable=False, minimum=0),
            Column("is_crit", BOOL, "critical hit", nullable=False),
            Column("is_back_attack", BOOL, "hit from behind", nullable=False),
            Column("is_front_attack", BOOL, "hit from the front", nullable=False),
        ),
    ),
)

EVENT_KINDS = ("maintenance", "patch", "event", "notice")
MOMENT_SOURCES = ("title", "completion notice", "usual hours", "publication", "listing")

CORE_GAME_EVENTS = Contract(
    name="core_game_events",
    row="one maintenance window, patch or event of the game, or a notice that is none of them",
    key=("event_id",),
    preview=("kind", "event_name", "starts_at", "ends_at", "start_known_by", "end_known_by", "title"),
    notes=(
        "Korea only. Notices carry no hours but in their titles: the columns *_known_by say what is stated "
        "and what is the usual."
    ),
    columns=(
        Column("event_id", STRING, "hash of news list and link (16 hex)", nullable=False),
        Column("kind", STRING, "what happens", nullable=False, allowed=EVENT_KINDS),
        Column("title", STRING, "title as listed, in Korean", nullable=False),
        Column("event_name", STRING, "short name of a maintenance or patch, with its Korean date"),
        Column("is_regular", BOOL, "the weekly maintenance; null for what is no maintenance"),
        Column("starts_at", INSTANT, "when it begins; of a notice when it was published"),
        Column("ends_at", INSTANT, "when it ends; null for patches, notices and where unknown"),
        Column("start_known_by", STRING, "where starts_at comes from", allowed=MOMENT_SOURCES),
        Column("end_known_by", STRING, "where ends_at comes from", allowed=MOMENT_SOURCES),
        Column("published_at", INSTANT, "when it was first announced; null where the list has no date"),
        Column("link", STRING, "page of the notice or event"),
        Column("source", STRING, "news list it comes from", nullable=False, allowed=NEWS_LISTS),
        Column("notice_id", STRING, "the row of raw_game_notices that announced it", nullable=False),
        Column("completion_notice_id", STRING, "the row that reported a maintenance as over"),
        Column("fetched_at", INSTANT, "when the newest of these rows was fetched", nullable=False),
    ),
)

CORE_QUARANTINE = Contract(
    name="core_quarantine",
    row="one refused log or player row, with the reason and the raw row it came from",
    key=("quarantine_id",),
    grain="day",
    published=Published("day_quarantine", only=("fight_date", "scope", "reason_code"), is_complete=False),
    preview=("reason_code", "detail", "locator", "source", "source_log_id", "log_id", "scope"),
    notes="Entries leave when a replay succeeds; the raw row stays for ever.",
    columns=(
        Column("quarantine_id", STRING, "hash of log, place and reason", nullable=False),
        Column("log_id", STRING, "the raw row that was refused, whole or in part", nullable=False),
        Column("fight_date", DAY, "day partition of the raw row", nullable=False),
        Column(
            "scope",
            STRING,
            "the whole log, or one player row of it",
            nullable=False,
            allowed=("log", "player"),
        ),
        Column("reason_code", STRING, "why; a closed list", nullable=False, allowed=tuple(REASONS)),
        Column("detail", STRING, "expected against found", nullable=False),
        Column("locator", STRING, "where in the log, or the later step that refused it"),
        Column("source", STRING, "source the log came from", nullable=False),
        Column("source_log_id", STRING, "the source's own id of the log", nullable=False),
        Column("clean_version", STRING, "version of the code that refused", nullable=False),
        Column("quarantined_at", INSTANT, "when it was refused", nullable=False),
        Column("clean_run_id", STRING, "the run that refused it", nullable=False),
    ),
)
