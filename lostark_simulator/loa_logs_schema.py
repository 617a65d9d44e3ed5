"""The tables of an `encounters.db` after all LOA Logs migrations up to 1.48, in physical column order."""

import sqlite3

ENCOUNTER = (
    "id last_combat_packet total_damage_dealt top_damage_dealt total_damage_taken top_damage_taken dps buffs "
    "debuffs total_shielding total_effective_shielding applied_shield_buffs misc version boss_hp_log "
    "stagger_log"
).split()
PREVIEW = (
    "id fight_start current_boss duration players difficulty local_player my_dps favorite cleared "
    "boss_only_damage my_rdps my_ndps"
).split()
ENTITY = (
    "name character_id encounter_id npc_id entity_type class_id class gear_score current_hp max_hp is_dead "
    "skills damage_stats dps skill_stats last_update engravings gear_hash spec ark_passive_active "
    "ark_passive_data loadout_hash combat_power support_ap support_brand support_identity support_hyper "
    "unbuffed_damage unbuffed_dps hp_bars rdps_damage_received rdps_damage_received_support "
    "rdps_damage_given rdps ndps"
).split()

_TABLES = """
CREATE TABLE encounter (
    id INTEGER PRIMARY KEY, last_combat_packet INTEGER, total_damage_dealt INTEGER, top_damage_dealt INTEGER,
    total_damage_taken INTEGER, top_damage_taken INTEGER, dps INTEGER, buffs TEXT, debuffs TEXT,
    total_shielding INTEGER DEFAULT 0, total_effective_shielding INTEGER DEFAULT 0, applied_shield_buffs TEXT,
    misc TEXT, version INTEGER NOT NULL DEFAULT 5, boss_hp_log BLOB, stagger_log TEXT);
CREATE TABLE encounter_preview (
    id INTEGER PRIMARY KEY, fight_start INTEGER, current_boss TEXT, duration INTEGER, players TEXT,
    difficulty TEXT, local_player TEXT, my_dps INTEGER, favorite BOOLEAN NOT NULL DEFAULT 0, cleared BOOLEAN,
    boss_only_damage BOOLEAN NOT NULL DEFAULT 0, my_rdps INTEGER DEFAULT 0, my_ndps INTEGER DEFAULT 0,
    FOREIGN KEY (id) REFERENCES encounter(id) ON DELETE CASCADE);
CREATE TABLE entity (
    name TEXT, character_id INTEGER, encounter_id INTEGER NOT NULL, npc_id INTEGER, entity_type TEXT,
    class_id INTEGER, class TEXT, gear_score REAL, current_hp INTEGER, max_hp INTEGER, is_dead INTEGER,
    skills TEXT, damage_stats TEXT, dps INTEGER, skill_stats TEXT, last_update INTEGER, engravings TEXT,
    gear_hash TEXT, spec TEXT, ark_passive_active BOOLEAN, ark_passive_data TEXT, loadout_hash TEXT,
    combat_power REAL, support_ap REAL, support_brand REAL, support_identity REAL, support_hyper REAL,
    unbuffed_damage INTEGER DEFAULT 0, unbuffed_dps INTEGER DEFAULT 0, hp_bars INTEGER DEFAULT NULL,
    rdps_damage_received INTEGER DEFAULT 0, rdps_damage_received_support INTEGER DEFAULT 0,
    rdps_damage_given INTEGER DEFAULT 0, rdps INTEGER DEFAULT 0, ndps INTEGER DEFAULT 0,
    PRIMARY KEY (name, encounter_id),
    FOREIGN KEY (encounter_id) REFERENCES encounter(id) ON DELETE CASCADE);
CREATE TABLE sync_logs (
    encounter_id INTEGER PRIMARY KEY, upstream_id TEXT, failed BOOLEAN NOT NULL DEFAULT 0,
    FOREIGN KEY (encounter_id) REFERENCES encounter(id) ON DELETE CASCADE);
"""
_INDEXES = """
CREATE INDEX encounter_preview_favorite_index ON encounter_preview(favorite);
CREATE INDEX encounter_preview_fight_start_index ON encounter_preview(fight_start);
CREATE INDEX encounter_preview_my_dps_index ON encounter_preview(my_dps);
CREATE INDEX encounter_preview_duration_index ON encounter_preview(duration);
CREATE INDEX encounter_preview_my_rdps_index ON encounter_preview(my_rdps);
CREATE INDEX encounter_preview_my_ndps_index ON encounter_preview(my_ndps);
CREATE INDEX encounter_preview_local_player_index ON encounter_preview(local_player, fight_start DESC);
CREATE INDEX entity_encounter_id_index ON entity(encounter_id DESC);
CREATE INDEX entity_name_index ON entity(name);
CREATE INDEX entity_class_index ON entity(class);
"""
_SEARCH_TABLE = """
CREATE VIRTUAL TABLE encounter_search USING fts5(
    current_boss, players, content='encounter_preview', content_rowid='id',
    tokenize='trigram remove_diacritics 1')
"""
_INSERT = (
    "INSERT INTO encounter_search(rowid, current_boss, players) "
    "VALUES (new.id, new.current_boss, new.players);"
)
_DELETE = (
    "INSERT INTO encounter_search(encounter_search, rowid, current_boss, players) "
    "VALUES ('delete', old.id, old.current_boss, old.players);"
)
_TRIGGERS = f"""
CREATE TRIGGER encounter_preview_ai AFTER INSERT ON encounter_preview BEGIN {_INSERT} END;
CREATE TRIGGER encounter_preview_ad AFTER DELETE ON encounter_preview BEGIN {_DELETE} END;
CREATE TRIGGER encounter_preview_au AFTER UPDATE OF current_boss, players ON encounter_preview
BEGIN {_DELETE} {_INSERT} END;
"""


def create_tables(connection: sqlite3.Connection) -> None:
    """Create all tables; the search table only where SQLite supports it (3.45 with FTS5)."""
    connection.executescript(_TABLES)
    try:
        connection.execute(_SEARCH_TABLE)
    except sqlite3.OperationalError:
        return
    connection.executescript(_TRIGGERS)


def create_indexes(connection: sqlite3.Connection) -> None:
    """Create the meter's indexes; faster after inserting rows than before."""
    connection.executescript(_INDEXES)


def insert_statement(table: str, columns: list[str]) -> str:
    """An insert of all columns of a table, by name."""
    names = ", ".join(columns)
    values = ", ".join(f":{column}" for column in columns)
    return f"INSERT INTO {table} ({names}) VALUES ({values})"  # noqa: S608 - our own names only
