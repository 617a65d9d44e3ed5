"""An erased name is in no table, file or database, and the figures of all other players stay."""

from __future__ import annotations

import gzip
import json
import unicodedata
import zipfile
from datetime import UTC, date, datetime

import msgspec
import polars as pl
import psycopg
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.pipeline import clean_days
from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.lake.tables import Lake
from lostark_assets.ledger import CollectionRecord, open_ledger
from lostark_assets.marts.migrate import libpq_url
from lostark_assets.marts.publish import find_pending, publish
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.collect import collect
from lostark_assets.sources.configured import open_landing
from lostark_assets.sources.detect import build_limits
from lostark_assets.sources.examine import examine
from lostark_assets.sources.landing import Landed, Ticket
from lostark_assets.sources.loa_logs_db import LoaLogsDb
from lostark_assets.sources.protocol import content_sha256
from lostark_platform.cli.app import app
from lostark_platform.erasure.forget import ANONYMOUS_PREFIX, forget, prove
from lostark_platform.erasure.rename import Renaming
from lostark_simulator.season import SeasonConfig, generate_fights
from lostark_simulator.upload_json import write_upload_json
from tests.serving.season_lake import START, add_fights

FIGURES = ("damage", "dps", "crit_rate", "class_name", "spec_name", "item_level")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    settings = get_settings(home=home)
    lake = Lake(settings.lake_url)
    add_fights(lake, home.parent, encounters=30)
    player = get_busiest_player(lake)
    row = {
        "player_name": player,
        "encounter_id": "0" * 16,
        "fight_date": START,
        "region": "EUC",
        "spec_name": "Reflux",
    }
    for name in ("ml_training_set", "ml_player_clusters"):
        contract = CONTRACTS[name]
        one = {field.name: row.get(field.name, _sample_value(field)) for field in contract.schema}
        lake.append(contract, pa.Table.from_pylist([one], schema=contract.schema))
    settings.logs_dir.mkdir(parents=True)
    (settings.logs_dir / "code.log").write_text(f"cleaned {player}, {player}2 and {player}\n")
    build_upload(settings, player)
    write_name_into_files(settings, player)
    with embedded_postgres(settings) as databases:
        due = find_pending(lake, databases.lostark)
        publish(lake, databases.lostark, due.days, due.tables)
        with psycopg.connect(libpq_url(databases.dagster)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS event_logs (event text)")
            connection.execute("INSERT INTO event_logs VALUES (%s)", [f"| {player} | 5 |\n| Other | 1 |"])
        yield settings


def build_upload(settings: Settings, player: str, *, damage: int = 7_000_000) -> Landed:
    """A gzipped upload of a fight of ``player``, waiting to be collected."""
    fight = next(iter(generate_fights(SeasonConfig(encounters=1, seed=damage, days=1, start=START))))
    path = write_upload_json(settings.home.parent / f"{damage}.json", fight)
    document = json.loads(path.read_text())
    first = next(name for name, entity in document["entities"].items() if entity["entityType"] == "PLAYER")
    text = path.read_text().replace(f'"{first}"', json.dumps(player, ensure_ascii=False))
    landing = open_landing(settings)
    ticket, place = landing.begin(f"{player}.json.gz")
    place.write_bytes(gzip.compress(text.encode()))
    found = examine(place, build_limits(settings))
    return landing.accept(
        Ticket(ticket, place.name, found.source, found.log_format, 1, "0" * 64, datetime.now(UTC))
    )


def write_name_into_files(settings: Settings, player: str) -> None:
    """Write the name into the ledger, and into a zip file among the model files."""
    error = f"{player}: no DPS"
    at = datetime.now(UTC)
    open_ledger(settings).record_collection(CollectionRecord("x", "collect", at, at, "failed", error=error))
    settings.mlflow_artifacts_dir.mkdir(parents=True)
    with zipfile.ZipFile(settings.mlflow_artifacts_dir / "model.skops", "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("schema.json", json.dumps({"example": [player]}))


def _sample_value(field: pa.Field) -> object:
    if field.nullable:
        return None
    if pa.types.is_string(field.type):
        return "x"
    if pa.types.is_list(field.type):
        return []
    return (
        pa.scalar(0, pa.int64())
        .cast(pa.int32() if pa.types.is_date(field.type) else pa.int64())
        .cast(field.type)
        .as_py()
    )


def get_busiest_player(lake: Lake) -> str:
    players = pl.from_arrow(lake.read("core_players", columns=["player_name", "is_name_known"]))
    known = players.filter("is_name_known").group_by("player_name").len().sort("len", "player_name")
    return known["player_name"][-1]


def test_erasure_removes_the_name_from_every_kind_of_place(settings):
    lake = Lake(settings.lake_url)
    player = get_busiest_player(lake)
    before = pl.from_arrow(lake.read("stats_player_dps"))
    places = prove(settings, player).found
    assert {
        "raw_battle_logs", "core_players", "core_skills", "core_hits", "stats_player_dps",
        "stats_dps_timeline", "stats_raid_progression", "ml_training_set", "ml_player_clusters",
        "database lostark, marts.players", "database dagster, public.event_logs",
        "files in logs", "files in landing", "files in mlflow", "files in state", "waiting uploads",
    } <= places.keys()  # fmt: skip

    done = forget(settings, player, lambda _: None)
    proof = prove(settings, player)

    # Rewriting a model's files would break the model: they are reported, to be deleted manually.
    assert proof.found == {"files in mlflow": 1}
    (settings.mlflow_artifacts_dir / "model.skops").unlink()
    assert prove(settings, player).is_gone
    assert open_landing(settings).waiting() == []
    assert proof.searched["raw_battle_logs"] == lake.count("raw_battle_logs")
    assert done.files_deleted > 0
    log = (settings.logs_dir / "code.log").read_text()
    redacted = "x" * len(player.encode())
    assert log == f"cleaned {redacted}, {player}2 and {redacted}\n"
    [recorded] = open_ledger(settings).collections(datetime.min.replace(tzinfo=UTC), "x")
    assert recorded.error == "x: no DPS"
    after = pl.from_arrow(lake.read("stats_player_dps"))
    key = ["encounter_id", "player_name"]
    others = before.filter(pl.col("player_name") != player).sort(key)
    assert after.filter(~pl.col("player_name").str.starts_with(ANONYMOUS_PREFIX)).sort(key).equals(others)
    mine = after.filter(pl.col("player_name").str.starts_with(ANONYMOUS_PREFIX)).sort("encounter_id")
    assert mine.select(FIGURES).equals(before.filter(player_name=player).sort("encounter_id").select(FIGURES))
    assert mine["player_name"].n_unique() == mine["encounter_id"].n_unique()
    assert not mine["is_name_known"].any()


def test_rewritten_logs_match_their_hash_and_clean_to_the_same_figures(settings):
    lake = Lake(settings.lake_url)
    rows = lake.read("raw_battle_logs", columns=["content_sha256", "payload"])
    for sha256, payload in zip(rows["content_sha256"].to_pylist(), rows["payload"].to_pylist(), strict=True):
        assert content_sha256(payload) == sha256

    key = ["encounter_id", "player_name"]
    columns = [*key, "damage", "dps", "is_name_known"]
    before = pl.from_arrow(lake.read("core_players", columns=columns)).sort(key)
    clean_days(lake, None, Rules(), run_id="again", force=True)
    after = pl.from_arrow(lake.read("core_players", columns=columns)).sort(key)
    assert after.join(before, on="encounter_id", how="semi").equals(before)
    of_upload = after.join(before, on="encounter_id", how="anti")
    assert of_upload["player_name"].str.starts_with(ANONYMOUS_PREFIX).sum() == 1


def test_the_command_requires_confirmation_and_exits_by_the_search_result(settings, monkeypatch):
    player = get_busiest_player(Lake(settings.lake_url))
    monkeypatch.setenv("LOSTARK_HOME", str(settings.home))
    run = lambda *arguments, **options: CliRunner().invoke(app, ["forget", *arguments], **options)  # noqa: E731

    declined = run(player, input="n\n")
    assert (declined.exit_code, prove(settings, player).is_gone) == (1, False)
    found = run(player, "--prove", "--json")
    assert (found.exit_code, json.loads(found.stdout)["is_gone"]) == (1, False)
    assert run(player, "--yes").exit_code == 0
    nowhere = run(player, "--prove", "--json")
    assert (nowhere.exit_code, json.loads(nowhere.stdout)["found"]) == (0, {})


def test_a_name_in_a_later_log_is_found_and_erased_again(settings):
    lake = Lake(settings.lake_url)
    player = get_busiest_player(lake)
    raw_logs = lake.count("raw_battle_logs")
    forget(settings, player, lambda _: None)

    # A second collection of the same source recognises its rewritten logs and adds nothing.
    source = LoaLogsDb(settings.home.parent / f"{START}-11.db", f"{START}-11")
    assert collect(source, lake, run_id="second", earliest=date(2022, 1, 1)).new == 0
    assert (lake.count("raw_battle_logs"), prove(settings, player).is_gone) == (raw_logs, True)

    build_upload(settings, player, damage=9)
    assert prove(settings, player).found["waiting uploads"] == 1
    forget(settings, player, lambda _: None)
    assert (lake.count("raw_battle_logs"), prove(settings, player).found) == (raw_logs + 1, {})


def test_a_player_of_the_same_name_in_another_region_stays(settings):
    lake = Lake(settings.lake_url)
    player = get_busiest_player(lake)
    rows = lake.count("core_players")
    done = forget(settings, player, lambda _: None, region="nowhere")

    # The region of a log that never became a fight is unknown.
    assert done.changed.keys() <= {"raw_battle_logs", "core_quarantine"}
    assert (lake.count("core_players"), prove(settings, player).is_gone) == (rows, False)


NAMES = st.text("abcdefgh가나다é", min_size=2, max_size=8)


@given(NAMES, NAMES, st.booleans())
def test_a_name_is_replaced_everywhere_in_a_document_and_others_stay(name, other, packed):
    if unicodedata.normalize("NFC", other) == unicodedata.normalize("NFC", name):
        other += "x"
    document = {
        "entities": {name: {"name": name, "characterId": "7"}, other: {"name": other, "characterId": "8"}},
        "localPlayer": unicodedata.normalize("NFD", name),
        "misc": {"partyInfo": {"0": [other, name]}, "note": f"x{name}"},
        "players": f"204:{name},105:{other}",
    }
    payload = json.dumps(document, ensure_ascii=False).encode()
    payload = gzip.compress(payload) if packed else payload
    changed = Renaming(name, "Unknown-1", 1 << 20).log("upload_json", payload)
    found = json.loads(gzip.decompress(changed) if packed else changed)

    assert found == {
        "entities": {
            "Unknown-1": {"name": "Unknown-1", "characterId": None},
            other: {"name": other, "characterId": "8"},
        },
        "localPlayer": "Unknown-1",
        "misc": {"partyInfo": {"0": [other, "Unknown-1"]}, "note": f"x{name}"},
        "players": f"204:Unknown-1,105:{other}",
    }
    assert Renaming(name, "Unknown-1", 1 << 20).log("upload_json", changed) is None


def test_a_name_is_replaced_in_columns_and_nested_documents_of_rows():
    rows = {
        "encounter": {"local_player": "Bo", "misc": '{"partyInfo":{"0":["Bo","Ann"]}}'},
        "preview": {"players": "1:Bo,2:Ann"},
        "entity_columns": ["name", "character_id", "skills"],
        "entities": [["Bo", 7, gzip.compress(b'{"1":{"name":"Bo Slash"}}')], ["Ann", 8, b"{}"]],
    }
    changed = msgspec.msgpack.decode(
        Renaming("Bo", "U", 1 << 20).log("loa_logs_db", msgspec.msgpack.encode(rows))
    )

    assert changed["encounter"] == {"local_player": "U", "misc": '{"partyInfo":{"0":["U","Ann"]}}'}
    assert changed["preview"] == {"players": "1:U,2:Ann"}
    assert changed["entities"] == [["U", None, rows["entities"][0][2]], ["Ann", 8, b"{}"]]
    assert Renaming("Absent", "U", 1 << 20).log("loa_logs_db", msgspec.msgpack.encode(rows)) is None


@pytest.mark.parametrize("cut", [1, 9, 40])
def test_a_name_is_replaced_in_a_truncated_log(cut):
    payload = gzip.compress(b'{"localPlayer":"Bo","entities":{}}' * 50)[:-cut]
    changed = Renaming("Bo", "U", 1 << 20).log("upload_json", payload)
    assert changed is None or b'"Bo"' not in changed
    broken = Renaming("Bo", "U", 1 << 20).log("upload_json", b'{"localPlayer":"Bo","entit')
    assert broken == b'{"localPlayer":"U","entit'
