"""``encounters.db`` of every layout, in every state that it may have on a player's disk."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import msgspec
import pytest

from lostark_assets.core.clean import clean_log
from lostark_assets.core.clean_meter import Rules
from lostark_assets.errors import LogRejected, SourceBusy, UnknownFormat
from lostark_assets.sources import loa_logs_db
from lostark_assets.sources.loa_logs_db import LoaLogsDb
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights

START = 1_700_000_000_000
OLD_ENCOUNTER = """
CREATE TABLE encounter
    (id INTEGER PRIMARY KEY, last_combat_packet INTEGER, fight_start INTEGER,
    local_player TEXT, current_boss TEXT, duration INTEGER, total_damage_dealt INTEGER,
    top_damage_dealt INTEGER,
    total_damage_taken INTEGER, top_damage_taken INTEGER, dps INTEGER, buffs TEXT, debuffs TEXT, misc TEXT);
CREATE TABLE entity (name TEXT, encounter_id INTEGER NOT NULL, npc_id INTEGER, entity_type TEXT,
    class_id INTEGER, class TEXT, gear_score REAL, current_hp INTEGER, max_hp INTEGER,
    is_dead INTEGER, skills TEXT,
    damage_stats TEXT, skill_stats TEXT, last_update INTEGER, PRIMARY KEY (name, encounter_id));
"""
SLASH = {"id": 16000, "name": "Slash", "totalDamage": 6_000, "hits": 3, "crits": 1, "castLog": [100, 900]}
SKILLS = {"16000": SLASH}
STATS = {"damageDealt": 6_000, "damageTaken": 5, "deaths": 0, "dps": 100}


def connect(path):
    return closing(sqlite3.connect(path, isolation_level=None))


def old_db(path, *, pack=json.dumps, ids=(1,)):
    """The two-table layout of 2023; ``pack`` makes a column's value of a document."""
    with connect(path) as db:
        db.executescript(OLD_ENCOUNTER)
        db.execute("BEGIN")
        for key in ids:
            start = START + key * 600_000
            db.execute(
                "INSERT INTO encounter VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    key,
                    start + 60_000,
                    start,
                    "Ann",
                    "Ravaged Tyrant of Beasts",
                    60_000,
                    6_000,
                    6_000,
                    5,
                    5,
                    100,
                    pack({}),
                    pack({}),
                    "{}",
                ),
            )
            db.execute(
                "INSERT INTO entity VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    "Ann",
                    key,
                    0,
                    "PLAYER",
                    102,
                    "Berserker",
                    1445.0,
                    1,
                    1,
                    0,
                    pack(SKILLS),
                    pack(STATS),
                    None,
                    0,
                ),
            )
        db.execute("COMMIT")
    return path


def gz(document):
    return gzip.compress(json.dumps(document).encode(), mtime=0)


def new_db(path, encounters=3, **options):
    config = SeasonConfig(
        encounters=encounters, hits_per_player=15, dirt=False, duplicate_share=0.0, seed=4, **options
    )
    write_encounters_db(path, generate_fights(config))
    return path


def read(path):
    """Source, listing and fetched logs."""
    source = LoaLogsDb(path)
    listed = list(source.list_logs())
    return source, listed, list(source.fetch(listed))


def cleaned(log):
    return clean_log("loa_logs_db", log.payload, Rules())[0]


def get_fingerprint(path):
    return (
        hashlib.sha256(path.read_bytes()).hexdigest(),
        path.stat().st_mtime_ns,
        sorted(p.name for p in path.parent.iterdir()),
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return new_db(tmp_path_factory.mktemp("template") / "encounters.db")


@pytest.fixture
def db(template, tmp_path):
    return shutil.copy(template, tmp_path / "encounters.db")


@pytest.mark.parametrize(
    "pack", [json.dumps, gz, lambda d: json.dumps(d).encode()], ids=["text", "gzip", "blob text"]
)
def test_the_oldest_layout_is_read_whatever_its_columns_hold(tmp_path, pack):
    _, _, [log] = read(old_db(tmp_path / "encounters.db", pack=pack))

    made = cleaned(log)
    [player] = made.players
    assert (player["damage"], player["dps"], player["meter_dps"], player["deaths"]) == (6_000, 100, 100, 0)
    assert (made.encounter["duration_s"], made.encounter["gate_name"], made.encounter["meter_version"]) == (
        60,
        "G2",
        None,
    )
    assert made.encounter["is_cleared"] is None
    assert (player["spec_name"], player["combat_power"], player["support_ap"]) == (None, None, None)
    skill = [made.skills.columns()[name] for name in ("skill_id", "crit_rate", "cast_at_ms")]
    assert skill == [[16000], [1 / 3], [[100, 900]]]


def test_one_file_can_have_text_and_blob_rows(tmp_path):
    path = old_db(tmp_path / "encounters.db", ids=(1, 2))
    with connect(path) as db:
        db.execute(
            "UPDATE entity SET skills = ?, damage_stats = ? WHERE encounter_id = 2", (gz(SKILLS), gz(STATS))
        )

    _, _, logs = read(path)

    assert [cleaned(log).players[0]["damage"] for log in logs] == [6_000, 6_000]


def test_blobs_stay_the_same_bytes_in_the_payload(tmp_path):
    path = old_db(tmp_path / "encounters.db", pack=gz)

    _, _, [log] = read(path)

    packed = msgspec.msgpack.decode(log.payload)
    assert packed["entities"][0][packed["entity_columns"].index("skills")] == gz(SKILLS)
    assert packed["encounter"]["misc"] == "{}"


def test_listing_is_stable_and_keeps_the_fight_start(db):
    _, first, logs = read(db)
    _, second, _ = read(db)

    assert [one.fingerprint for one in first] == [one.fingerprint for one in second]
    assert [log.source_log_id for log in logs] == ["1", "2", "3"]
    with connect(db) as connection:
        starts = [
            row[0] for row in connection.execute("SELECT fight_start FROM encounter_preview ORDER BY id")
        ]
    assert [log.fight_started_ms for log in logs] == starts


@pytest.mark.parametrize(
    ("edit", "changes"),
    [
        ("UPDATE encounter SET dps = dps + 1 WHERE id = 2", True),
        ("UPDATE encounter_preview SET cleared = 1 - cleared WHERE id = 2", True),
        ("UPDATE entity SET is_dead = 1 - is_dead WHERE encounter_id = 2 AND entity_type = 'PLAYER'", True),
        ("UPDATE entity SET skills = skills || x'00' WHERE encounter_id = 2", True),
        ("UPDATE encounter SET misc = replace(misc, '1.48', '1.29') WHERE id = 2", True),
        ("UPDATE encounter_preview SET players = upper(players) WHERE id = 2", True),
        ("UPDATE encounter_preview SET favorite = 1 WHERE id = 2", False),
        ("INSERT INTO sync_logs VALUES (2, '0', 1)", False),
    ],
)
def test_the_fingerprint_follows_the_fight_and_not_the_bookmark(db, edit, changes):
    before = {one.source_log_id: one.fingerprint for one in LoaLogsDb(db).list_logs()}
    with connect(db) as connection:
        connection.execute("DROP TRIGGER IF EXISTS encounter_preview_au")
        connection.execute(edit)

    after = {one.source_log_id: one.fingerprint for one in LoaLogsDb(db).list_logs()}

    assert [key for key in before if before[key] != after[key]] == (["2"] if changes else [])


def test_a_log_deleted_between_listing_and_fetching_is_left_out(db):
    source = LoaLogsDb(db)
    listed = list(source.list_logs())
    with connect(db) as connection:
        connection.executescript(
            "DELETE FROM entity WHERE encounter_id = 2; DELETE FROM encounter WHERE id = 2"
        )

    assert [log.source_log_id for log in source.fetch(listed)] == ["1", "3"]
    assert source.problems == []


def test_vacuum_between_listing_and_fetching_changes_nothing(db):
    expected = [log.payload for log in read(db)[2]]
    with connect(db) as connection:
        connection.execute("DELETE FROM entity WHERE encounter_id = 1")
    source = LoaLogsDb(db)
    listed = list(source.list_logs())
    with connect(db) as connection:
        connection.execute("VACUUM")

    assert [log.payload for log in source.fetch(listed)][1:] == expected[1:]


def test_a_search_table_that_this_sqlite_cannot_open_is_no_obstacle(db):
    with connect(db) as connection:
        connection.executescript(
            """DROP TABLE IF EXISTS encounter_search;
            PRAGMA writable_schema = ON;
            INSERT INTO sqlite_master VALUES ('table', 'encounter_search', 'encounter_search', 0,
                'CREATE VIRTUAL TABLE encounter_search USING fts99(players, tokenize=''trigram'')');
            PRAGMA writable_schema = OFF;"""
        )

    source, _, logs = read(db)

    assert (len(logs), source.problems) == (3, [])


def test_an_index_less_entity_table_and_extra_columns_are_read(tmp_path):
    path = old_db(tmp_path / "encounters.db")
    with connect(path) as connection:
        connection.executescript(
            """CREATE TABLE plain AS SELECT *, 'x' AS "odd ""name" FROM entity; DROP TABLE entity;
            ALTER TABLE plain RENAME TO entity; ALTER TABLE encounter ADD COLUMN favorite BOOLEAN DEFAULT 0"""
        )

    _, _, [log] = read(path)

    assert cleaned(log).players[0]["damage"] == 6_000
    assert "favorite" not in msgspec.msgpack.decode(log.payload)["encounter"]


def test_reading_leaves_the_file_and_its_folder_as_they_were(db):
    before = get_fingerprint(db)

    read(db)

    assert get_fingerprint(db) == before


def test_a_file_in_wal_mode_gets_no_side_files(db):
    with connect(db) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    before = get_fingerprint(db)
    assert before[2] == ["encounters.db"]

    _, _, logs = read(db)

    assert len(logs) == 3
    assert get_fingerprint(db) == before


def test_rows_that_only_the_wal_holds_are_read_and_nothing_is_left_behind(db, tmp_path):
    """A meter that was killed leaves its WAL; reading it in place would create the shared-memory file."""
    folder = tmp_path / "killed"
    folder.mkdir()
    with connect(db) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE encounter SET dps = 77 WHERE id = 1")
        for suffix in ("", "-wal"):
            shutil.copy(f"{db}{suffix}", folder / f"encounters.db{suffix}")
    path = folder / "encounters.db"
    before = get_fingerprint(path)

    _, _, logs = read(path)

    assert msgspec.msgpack.decode(logs[0].payload)["encounter"]["dps"] == 77
    assert get_fingerprint(path) == before


def test_a_file_whose_writer_died_in_the_middle_is_read_as_before_the_write(db, tmp_path):
    """The hot journal holds the pages to roll back; the player's file is not repaired by us."""
    folder = tmp_path / "hot"
    folder.mkdir()
    script = f"""
import os, shutil, sqlite3
db = sqlite3.connect({str(db)!r}, isolation_level=None)
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN EXCLUSIVE")
db.execute("UPDATE encounter SET dps = 1")
db.execute("UPDATE entity SET skills = zeroblob(20000)")
for suffix in ("", "-journal"):
    shutil.copy({str(db)!r} + suffix, {str(folder)!r} + "/encounters.db" + suffix)
os._exit(9)
"""
    expected = [log.payload for log in read(db)[2]]
    subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    path = folder / "encounters.db"
    before = get_fingerprint(path)
    assert before[2] == ["encounters.db", "encounters.db-journal"]

    _, _, logs = read(path)

    assert [log.payload for log in logs] == expected
    assert get_fingerprint(path) == before


def test_an_exclusively_locked_file_is_busy_and_says_so(db, monkeypatch):
    monkeypatch.setattr(loa_logs_db, "_BUSY_TIMEOUT_S", 0.1)
    with connect(db) as writer:
        writer.execute("BEGIN EXCLUSIVE")

        with pytest.raises(SourceBusy, match=r"locked by another program.*left as it was|left as it is"):
            list(LoaLogsDb(db).list_logs())
    assert len(read(db)[2]) == 3


def test_a_lock_of_a_moment_is_waited_for(db):
    writer = sqlite3.connect(db, isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.4, writer.rollback)
    release.start()

    _, _, logs = read(db)

    release.join()
    writer.close()
    assert len(logs) == 3


@pytest.mark.parametrize("phase", ["listing", "fetching"])
def test_the_meter_can_write_while_we_are_in_the_middle(db, phase):
    """The meter waits for its busy timeout at most: no lock of ours outlives one read."""
    source = LoaLogsDb(db)
    listed = list(source.list_logs())
    rows = iter(source.list_logs() if phase == "listing" else source.fetch(listed))
    next(rows)

    with closing(sqlite3.connect(db, isolation_level=None, timeout=0.5)) as meter:
        meter.execute("UPDATE encounter SET top_damage_taken = top_damage_taken + 1")

    assert len(list(rows)) == 2


def test_half_of_a_file_gives_what_can_be_read_and_says_the_rest(tmp_path):
    path = new_db(tmp_path / "encounters.db", encounters=12)
    whole = {log.source_log_id: log.payload for log in read(path)[2]}
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])

    source, _, logs = read(path)

    assert source.problems
    assert all(str(path) in problem.where for problem in source.problems)
    assert all(whole[log.source_log_id] == log.payload for log in logs if log.source_log_id in whole)
    assert 0 < len(logs) < 12


def test_a_damaged_page_costs_the_logs_on_it_only(tmp_path):
    path = old_db(tmp_path / "encounters.db", ids=range(1, 400))
    data = bytearray(path.read_bytes())
    page = 4096 * (len(data) // 4096 // 2)
    data[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(data)

    source, _, logs = read(path)

    assert "reading goes on at" in source.problems[0].reason
    assert 350 < len(logs) < 399
    assert {cleaned(log).players[0]["damage"] for log in logs} == {6_000}
    assert logs[-1].source_log_id == "399"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "an empty file"),
        (b"hello", "something else"),
        (b"SQLite format 3\x00" + b"\x00" * 40, "damage|not a database|tables"),
        (b"SQLite format 3\x00" + b"\xff" * 5000, "damage|not a database"),
    ],
)
def test_what_is_no_database_is_an_unknown_format(tmp_path, content, says):
    path = tmp_path / "encounters.db"
    path.write_bytes(content)

    with pytest.raises(UnknownFormat, match=says):
        list(LoaLogsDb(path).list_logs())
    assert path.read_bytes() == content


def test_a_database_of_another_meter_is_named_by_its_tables(tmp_path):
    path = tmp_path / "encounters.db"
    with connect(path) as db:
        db.executescript("CREATE TABLE encounters (id INTEGER); CREATE TABLE encounter_players (name TEXT)")

    with pytest.raises(UnknownFormat, match="encounter_players, encounters"):
        list(LoaLogsDb(path).list_logs())


def test_text_that_is_no_utf8_goes_in_with_a_mark(tmp_path):
    path = old_db(tmp_path / "encounters.db")
    with connect(path) as db:
        db.execute("UPDATE entity SET name = CAST(x'416ee9' AS TEXT)")
        db.execute("UPDATE encounter SET local_player = CAST(x'416ee9' AS TEXT)")

    _, _, [log] = read(path)

    [player] = cleaned(log).players
    assert (player["player_name"], player["is_uploader"]) == ("An\ufffd", True)


def test_documents_that_are_no_utf8_are_refused(tmp_path):
    path = old_db(tmp_path / "encounters.db")
    with connect(path) as db:
        db.execute("""UPDATE entity SET skills = CAST(x'7b22e9223a7b7d7d' AS TEXT)""")

    with pytest.raises(LogRejected) as refused:
        cleaned(read(path)[2][0])
    assert (refused.value.reason_code, refused.value.locator) == ("invalid_json", "entity 'Ann', skills")


def test_a_blob_that_unpacks_to_gigabytes_is_refused_by_its_size(tmp_path):
    path = old_db(tmp_path / "encounters.db")
    with connect(path) as db:
        db.execute("UPDATE entity SET skills = ?", (gzip.compress(b" " * (4 << 20)),))
    [log] = read(path)[2]

    with pytest.raises(LogRejected) as refused:
        clean_log("loa_logs_db", log.payload, Rules(max_part_bytes=1 << 20))
    assert refused.value.reason_code == "payload_too_large"


def test_many_parts_below_the_limit_of_one_are_refused_together(db):
    payload = read(db)[2][0].payload

    clean_log("loa_logs_db", payload, Rules(max_part_bytes=200_000))
    with pytest.raises(LogRejected) as refused:
        clean_log("loa_logs_db", payload, Rules(max_part_bytes=200_000, max_log_bytes=20_000))
    assert refused.value.reason_code == "payload_too_large"
