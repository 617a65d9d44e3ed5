"""Upload JSON in every packaging, and other JSON."""

from __future__ import annotations

import gzip
import json

import pytest

from lostark_assets.core.clean import clean_log
from lostark_assets.core.clean_meter import Rules
from lostark_assets.errors import LogRejected, SourceMissing, UnknownFormat
from lostark_assets.sources.detect import ImportArguments, Limits, find_sources, open_source
from lostark_assets.sources.loa_logs_db import LoaLogsDb
from lostark_assets.sources.player_table import PlayerTable
from lostark_assets.sources.upload_json import UploadJson
from lostark_simulator.season import SeasonConfig, generate_fight
from lostark_simulator.upload_json import write_upload_json

DAMAGE = 9_000


def document(start=1_700_000_000_000, **changes):
    """A small upload."""
    entity = {
        "name": "Ann",
        "entityType": "PLAYER",
        "classId": 102,
        "gearScore": 1500.5,
        "isDead": False,
        "skills": {},
        "damageStats": {"damageDealt": DAMAGE, "dps": DAMAGE // 90},
    }
    return {
        "fightStart": start,
        "lastCombatPacket": start + 90_000,
        "duration": 90_000,
        "currentBossName": "Ravaged Tyrant of Beasts",
        "localPlayer": "Ann",
        "entities": {"Ann": entity},
        "encounterDamageStats": {"totalDamageDealt": DAMAGE, "dps": DAMAGE // 90, "misc": {}},
    } | changes


def text(**changes):
    return json.dumps(document(**changes)).encode()


def read(path):
    """The logs of a file."""
    source = open_source(path)
    assert isinstance(source, UploadJson)
    return list(source.fetch(source.list_logs()))


def damages(logs):
    return [clean_log("upload_json", log.payload, Rules())[0].encounter["damage"] for log in logs]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", text()),
        ("a.json.gz", gzip.compress(text())),
        ("without suffix", text()),
        ("bom.json", b"\xef\xbb\xbf" + text()),
        ("spaced.json", b"\r\n  " + text() + b"\n"),
        ("indented.json", json.dumps(document(), indent=2).encode()),
        ("one in an array.json", b"[" + text() + b"]"),
    ],
)
def test_one_upload_is_read_however_it_is_wrapped(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)

    logs = read(path)

    assert damages(logs) == [DAMAGE]
    assert logs[0].fight_started_ms == 1_700_000_000_000
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        b"[" + text() + b", \n" + text(start=1_700_000_900_000) + b"]",
        text() + b"\n\n" + text(start=1_700_000_900_000) + b"\r\n",
        gzip.compress(b"\xef\xbb\xbf[" + text() + b"," + text(start=1_700_000_900_000) + b"]"),
    ],
    ids=["array", "one a line", "gzip array"],
)
def test_many_uploads_of_one_file_are_logs_of_their_own(tmp_path, content):
    path = tmp_path / "many.json"
    path.write_bytes(content)

    logs = read(path)

    assert damages(logs) == [DAMAGE, DAMAGE]
    assert len({log.source_log_id for log in logs}) == 2
    assert [log.fight_started_ms for log in logs] == [1_700_000_000_000, 1_700_000_900_000]


def test_the_same_document_has_one_identity_in_every_file(tmp_path):
    (tmp_path / "one.json").write_bytes(text())
    (tmp_path / "many.json").write_bytes(b"[" + text() + b"]")

    ids = {
        (log.source_log_id, log.payload)
        for name in ("one.json", "many.json")
        for log in read(tmp_path / name)
    }

    assert len(ids) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (text()[:-20], "invalid_json"),
        (b"[" + text() + b",]x", "invalid_json"),
        (gzip.compress(text())[:-30], "truncated_gzip"),
        (b'{"entities":' * 100_000, "invalid_json"),
        (b'{"fightStart": 1700000000000}', "invalid_json"),
        (text(entities={}), "no_players"),
    ],
    ids=["cut", "broken array", "cut gzip", "deep nesting", "no entities", "empty entities"],
)
def test_a_broken_upload_becomes_one_log_that_is_refused(tmp_path, content, reason):
    path = tmp_path / "broken.json"
    path.write_bytes(content)

    [log] = read(path)

    assert log.payload == content
    with pytest.raises(LogRejected) as refused:
        clean_log("upload_json", log.payload, Rules())
    assert refused.value.reason_code == reason


def test_a_bomb_is_kept_as_it_is_and_refused_by_its_size(tmp_path):
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(gzip.compress(b"[" + b" " * (8 << 20)))
    source = open_source(path, limits=Limits(max_part_bytes=1 << 20))

    [log] = source.fetch(source.list_logs())

    with pytest.raises(LogRejected) as refused:
        clean_log("upload_json", log.payload, Rules(max_part_bytes=1 << 20))
    assert refused.value.reason_code == "payload_too_large"


def test_a_file_above_the_limit_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "large.json"
    path.write_bytes(text() + b" " * 1000)

    with pytest.raises(UnknownFormat, match=r"at most 500 bytes.*Split it, or raise the limit"):
        list(open_source(path, limits=Limits(max_file_bytes=500)).list_logs())


@pytest.mark.parametrize("content", [b"{}", b"[]", b'{"name": "package", "version": 1}', b"[1, 2]"])
def test_json_of_something_else_is_no_battle_log(tmp_path, content):
    path = tmp_path / "package.json"
    path.write_bytes(content)

    with pytest.raises(UnknownFormat, match="JSON of something else"):
        open_source(path)


def test_a_simulated_upload_agrees_with_its_database(tmp_path):
    fight = generate_fight(SeasonConfig(hits_per_player=30, dirt=False, seed=3), 2)
    plain = write_upload_json(tmp_path / "a.json", fight)
    packed = write_upload_json(tmp_path / "b.json.gz", fight, gzip=True)

    [one], [other] = read(plain), read(packed)

    assert damages([one]) == damages([other])
    assert one.fight_started_ms == other.fight_started_ms is not None


def test_a_folder_gives_each_file_its_reader_and_skips_the_rest(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/b.json").write_bytes(text())
    (tmp_path / "a.csv").write_text("id,class,dps,date,duration\n1,Mayhem,5,1700000000000,60000\n")
    (tmp_path / "encounters.db").write_bytes(b"SQLite format 3\x00" + bytes(4000))
    (tmp_path / "encounters.db-wal").write_bytes(b"")
    (tmp_path / ".hidden.json").write_bytes(text())
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 and then nothing")
    (tmp_path / "empty.json").write_bytes(b"")

    found = {str(one.path.relative_to(tmp_path)): one for one in find_sources(tmp_path)}

    assert {name: type(one.source) for name, one in found.items() if one.source} == {
        "a.csv": PlayerTable,
        "encounters.db": LoaLogsDb,
        "sub/b.json": UploadJson,
    }
    assert sorted(name for name, one in found.items() if one.error) == ["damaged.parquet", "empty.json"]
    assert sorted(name for name, one in found.items() if one.skipped) == [
        "notes.txt",
        "other.csv",
        "package.json",
    ]


def test_a_named_file_must_be_ours(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")

    [found] = find_sources(path)
    [missing] = find_sources(tmp_path / "nowhere")

    assert isinstance(found.error, UnknownFormat)
    assert isinstance(missing.error, SourceMissing)
    assert "Check the path" in str(missing.error)


def test_an_import_can_name_its_source(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(text())

    assert open_source(path, ImportArguments(source="friend")).name == "friend"
    assert open_source(path).name == "upload_json"
