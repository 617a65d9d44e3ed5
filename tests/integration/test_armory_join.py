"""Cleaning joins armory profiles from the lake; older lakes can be opened too."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lostark_assets.contracts.core import CORE_PLAYERS, PROFILE
from lostark_assets.contracts.raw import RAW_ARMORY_PROFILES
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.table import Contract
from lostark_assets.core import clean, pipeline
from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.pipeline import clean_days
from lostark_assets.dagster.core_checks import examine_stored
from lostark_assets.game.classes import korean_class
from lostark_assets.lake.tables import Lake
from lostark_assets.sources.collect import collect
from lostark_assets.sources.loa_logs_db import LoaLogsDb
from lostark_assets.sources.profiles import ProfileRules
from lostark_assets.stats.pipeline import compute_days
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights

RULES = Rules(profiles=ProfileRules(regions=frozenset({"NAE", "NAW", "EUC", "unknown"})))
NEW_COLUMNS = {column.name for column in PROFILE}
OLD_PLAYERS = Contract(
    "core_players",
    CORE_PLAYERS.row,
    tuple(c for c in CORE_PLAYERS.columns if c.name not in NEW_COLUMNS),
    CORE_PLAYERS.key,
    CORE_PLAYERS.partition_by,
)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("season") / "encounters.db"
    write_encounters_db(
        path, generate_fights(SeasonConfig(encounters=6, seed=5, hits_per_player=5, days=2, dirt=False))
    )
    return path


@pytest.fixture
def lake(tmp_path, database):
    lake = Lake(str(tmp_path / "lake"))
    collect(LoaLogsDb(database), lake, run_id="t", earliest=date(2022, 1, 1))
    return lake


def responses(*requested):
    """Rows of raw_armory_profiles: (name, time, English class, combat power); a class of None is unknown."""
    rows = []
    for place, (name, at, class_name, power) in enumerate(requested):
        profile = {
            "CharacterName": name,
            "CharacterClassName": korean_class(class_name),
            "CombatPower": power,
        }
        body = json.dumps({"ArmoryProfile": profile} if class_name else None, ensure_ascii=False).encode()
        rows.append(
            {
                "profile_id": f"{place:032x}", "region": "KR", "character_name": name, "fetched_at": at,
                "status": "found" if class_name else "unknown", "content_sha256": "0" * 64,
                "body_bytes": len(body), "body": body, "request_path": "/", "fetch_run_id": "t",
            }
        )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=RAW_ARMORY_PROFILES.schema)


def get_players(lake):
    starts = lake.read("core_encounters", columns=["encounter_id", "fight_started_at"]).to_pylist()
    started = {row["encounter_id"]: row["fight_started_at"] for row in starts}
    rows = [
        row | {"fight_started_at": started[row["encounter_id"]]}
        for row in lake.read("core_players").to_pylist()
    ]
    return sorted(rows, key=lambda row: (row["fight_started_at"], row["encounter_id"], row["player_name"]))


def test_profiles_that_were_there_before_the_fight_are_joined_and_later_ones_never(lake, tmp_path):
    bare = Lake(str(tmp_path / "bare"))
    bare.append(CONTRACTS["raw_battle_logs"], lake.read("raw_battle_logs"))
    clean_days(bare, None, RULES, run_id="t")
    first, *_, last = get_players(bare)
    at, hour = first["fight_started_at"], timedelta(hours=1)
    lake.append(
        RAW_ARMORY_PROFILES,
        responses(
            (first["player_name"], at - hour, first["class_name"], "1,234.50"),
            (first["player_name"], at + hour, first["class_name"], "9,999.00"),
            (
                last["player_name"],
                last["fight_started_at"] - timedelta(days=8),
                last["class_name"],
                "5,000.00",
            ),
            ("아무도", at - hour, None, None),
        ),
    )
    clean_days(lake, None, RULES, run_id="t")

    joined = {(p["encounter_id"], p["player_name"]): p for p in get_players(lake) if p["profile_id"]}
    one = joined[first["encounter_id"], first["player_name"]]
    assert (one["profile_id"], one["profile_at"]) == (f"{0:032x}", at - hour)
    assert one["profile_combat_power"] == 1234.5
    assert one["combat_power"] == first["combat_power"]
    assert {key[1] for key in joined} == {first["player_name"]}
    assert all(p["profile_at"] <= p["fight_started_at"] for p in joined.values())
    others = [{k: v for k, v in p.items() if k not in NEW_COLUMNS} for p in get_players(lake)]
    assert others == [{k: v for k, v in p.items() if k not in NEW_COLUMNS} for p in get_players(bare)]
    broken = [
        f for g in examine_stored(lake, lake.days("core_encounters")).values() for f in g if not f.passed
    ]
    assert [str(f) for f in broken if f.severity == "error"] == []


def test_an_answer_that_comes_later_changes_nothing_on_a_replay(lake):
    clean_days(lake, None, RULES, run_id="t")
    before = get_players(lake)
    late = max(p["fight_started_at"] for p in before) + timedelta(seconds=1)
    lake.append(
        RAW_ARMORY_PROFILES, responses(*((p["player_name"], late, p["class_name"], "1.00") for p in before))
    )

    clean_days(lake, None, RULES, run_id="t", force=True)

    assert get_players(lake) == before


def test_a_body_that_can_not_be_read_adds_nothing_and_stops_nothing(lake):
    clean_days(lake, None, RULES, run_id="t")
    first = get_players(lake)[0]
    rows = responses((first["player_name"], first["fight_started_at"], first["class_name"], "1.00"))
    body = pa.array([b"<html>maintenance</html>"], pa.large_binary())
    lake.append(RAW_ARMORY_PROFILES, rows.set_column(rows.schema.get_field_index("body"), "body", body))

    assert clean_days(lake, None, RULES, run_id="t", force=True).encounters > 0
    assert get_players(lake)[0]["profile_id"] is None


def make_old(lake, monkeypatch):
    """Clean the first day with the tables as they were before there were profiles."""
    day = min(lake.read("raw_battle_logs", columns=["fight_date"])["fight_date"].to_pylist())
    build_tables = pipeline.build_tables

    def old_tables(cleaned):
        tables = build_tables(cleaned)
        tables["core_players"] = tables["core_players"].select(OLD_PLAYERS.names)
        return tables

    with monkeypatch.context() as old:
        old.setattr(pipeline, "build_tables", old_tables)
        old.setattr(pipeline, "with_profiles", lambda lake, players, *_: players)
        old.setattr(clean, "CLEAN_VERSION", "1")
        old.setattr(pipeline, "CLEAN_VERSION", "1")
        clean_days(lake, [day], RULES, run_id="old")
    assert not NEW_COLUMNS & {column.name for column in lake.open("core_players").schema().fields}
    return day


def test_an_older_lake_opens_and_its_rows_are_recomputed(lake, monkeypatch):
    day = make_old(lake, monkeypatch)
    old = lake.read("core_players", columns=["encounter_id", "player_name", "dps"])
    compute_days(lake, [day], "polars", run_id="old")
    assert examine_stored(lake, [day])["core_players"][0].passed

    run = clean_days(lake, None, RULES, run_id="new")

    rows = lake.read("core_players")
    assert set(rows.column_names) == set(CORE_PLAYERS.names)
    assert run.encounters == lake.count("core_encounters") == lake.count("raw_battle_logs")
    assert set(rows["combat_power_source"].to_pylist()) <= {"log", None}
    sources = zip(rows["combat_power_source"].to_pylist(), rows["combat_power"].to_pylist(), strict=True)
    assert all((source == "log") == (power is not None) for source, power in sources)
    kept = rows.filter(pc.field("fight_date") == day).select(old.column_names)
    assert sorted(map(str, kept.to_pylist())) == sorted(map(str, old.to_pylist()))


def test_days_that_are_not_recomputed_read_as_null_beside_new_ones(lake, monkeypatch):
    day = make_old(lake, monkeypatch)
    others = set(lake.read("raw_battle_logs", columns=["fight_date"])["fight_date"].to_pylist()) - {day}

    clean_days(lake, others, RULES, run_id="new")

    rows = lake.read("core_players", columns=["combat_power_source", "gem_levels"], days=[day])
    assert rows.num_rows > 0
    assert set(rows["combat_power_source"].to_pylist()) == {None}
    assert lake.head("core_players", ["profile_id", "dps"], days=[day]).num_rows > 0
    assert (
        "log" in lake.read("core_players", columns=["combat_power_source"])["combat_power_source"].to_pylist()
    )


def test_an_old_answer_is_not_even_opened(lake, monkeypatch):
    clean_days(lake, None, RULES, run_id="t")
    first = get_players(lake)[0]
    requested = []
    groups_with = Lake.groups_with

    def noted(self, name, *args, **options):
        if name == RAW_ARMORY_PROFILES.name:
            requested.append(options["since"])
        return groups_with(self, name, *args, **options)

    monkeypatch.setattr(Lake, "groups_with", noted)
    clean_days(lake, None, RULES, run_id="t", force=True)

    oldest = first["fight_started_at"] - timedelta(days=7)
    assert all(timedelta(minutes=-10) < since - oldest <= timedelta(0) for since in requested)
    assert requested
