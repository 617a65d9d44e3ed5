"""Real battle logs through the whole pipeline: the numbers that their players saw.

The folder is found beside the project or by ``LOSTARK_REAL_DATA``; without it these tests skip, saying so.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.pipeline import clean_days
from lostark_assets.lake.tables import Lake
from lostark_assets.sources.collect import collect
from lostark_assets.sources.detect import find_sources
from lostark_assets.stats.pipeline import compute_days

DATA = Path(os.environ.get("LOSTARK_REAL_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no real battle logs at {DATA}; set LOSTARK_REAL_DATA"),
]
METER_LOGS = ("loa_logs/encounters.db", "upload_json")
TABLES = ("player_tables/Aegir_G1_Hard.parquet", "player_tables/Aegir_G1_Hard_long.csv")


def take(lake, *paths):
    """Collect and clean real files; what was collected, and the run."""
    collected = [
        collect(found.source, lake, run_id="t", earliest=date(2022, 1, 1))
        for path in paths
        for found in find_sources(DATA / path)
    ]
    return collected, clean_days(lake, None, Rules(), run_id="t")


@pytest.fixture(scope="module")
def meter_logs(tmp_path_factory):
    lake = Lake(str(tmp_path_factory.mktemp("meter") / "lake"))
    before = hashlib.sha256((DATA / METER_LOGS[0]).read_bytes()).hexdigest()
    collected, run = take(lake, *METER_LOGS)
    assert hashlib.sha256((DATA / METER_LOGS[0]).read_bytes()).hexdigest() == before
    return lake, collected, run


@pytest.fixture(scope="module")
def encounters(meter_logs):
    return meter_logs[0].read("core_encounters").to_pandas().sort_values(["fight_started_at", "source"])


def test_eight_logs_go_in_and_none_is_refused(meter_logs):
    lake, collected, run = meter_logs

    assert [one.new for one in collected] == [5, 1, 1, 1]
    assert [one.problems for one in collected] == [[]] * 4
    assert (run.encounters, dict(run.quarantined), lake.count("core_players")) == (8, {}, 48)
    assert [
        str(f) for group in run.findings.values() for f in group if f.severity == "error" and not f.passed
    ] == []


def test_the_fights_are_those_that_were_fought(encounters):
    db = encounters[encounters["source"] == "loa_logs"]

    columns = ["boss_name", "raid_name", "gate_name", "duration_s", "dps", "damage", "player_count"]
    assert db[columns].values.tolist() == [
        ["Saydon", "Clown", "G1", 705, 8_090_011, 5_703_458_428, 4],
        ["Dark Mountain Predator", "Valtan", "G1", 442, 15_288_285, 6_757_421_996, 8],
        ["Dark Mountain Predator", "Valtan", "G1", 386, 18_347_621, 7_082_182_091, 8],
        ["Plague Legion Commander Akkan", "Akkan", "G3", 580, 41_919_537, 24_313_331_774, 8],
        ["Sonavel", "Guardian Raids", "Sonavel", 191, 53_632_886, 10_243_881_239, 4],
    ]
    assert db["difficulty"].fillna("unknown").tolist() == ["unknown"] * 3 + ["Normal"] * 2
    assert set(encounters["detail_level"]) == {"skills"}
    assert encounters["is_cleared"].all()
    assert (encounters["boss_hp_left"] < 1e-9).all()


def test_each_upload_is_the_same_fight_as_a_log_of_the_database(encounters):
    by_fight = encounters.groupby("fight_id")["source"].agg(sorted)

    assert sorted(map(tuple, by_fight)) == [("loa_logs",)] * 2 + [("loa_logs", "upload_json")] * 3
    assert (encounters.groupby("fight_id")["is_counted"].sum() == 1).all()
    shared = encounters[encounters["fight_id"].isin(by_fight.index[by_fight.map(len) == 2])]
    assert sorted(set(shared["boss_name"])) == ["Dark Mountain Predator", "Saydon", "Sonavel"]


def stored_dps():
    """DPS by (encounter, name) as the meter's own file holds it, read with the standard library only."""
    uri = f"file:{DATA / METER_LOGS[0]}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        rows = connection.execute(
            "SELECT encounter_id, name, dps, damage_stats FROM entity WHERE entity_type = 'PLAYER'"
        ).fetchall()
    found = {}
    for encounter, name, dps, packed in rows:
        stats = json.loads(gzip.decompress(packed) if isinstance(packed, bytes) else packed)
        found[str(encounter), name] = (dps, stats["damageDealt"])
    return found


def test_every_players_dps_is_the_one_that_the_meter_stored(meter_logs, encounters):
    players = (
        meter_logs[0]
        .read("core_players")
        .to_pandas()
        .merge(encounters[["encounter_id", "source", "source_log_id"]], on="encounter_id")
    )
    db = players[players["source"] == "loa_logs"]

    ours = {(r.source_log_id, r.player_name): (r.dps, r.damage) for r in db.itertuples()}
    assert ours == stored_dps()
    assert len(ours) == 32
    assert (players["dps"] == players["meter_dps"]).all()


def test_the_players_of_saydon(meter_logs, encounters):
    is_saydon = (encounters["boss_name"] == "Saydon") & encounters["is_counted"]
    players = meter_logs[0].read("core_players").to_pandas()
    players = players[players["encounter_id"].isin(encounters.loc[is_saydon, "encounter_id"])]

    rows = players.sort_values("dps", ascending=False)
    assert rows[["class_name", "dps", "is_support"]].values.tolist() == [
        ["Arcanist", 2_968_818, False],
        ["Gunslinger", 2_534_819, False],
        ["Sorceress", 2_512_428, False],
        ["Paladin", 73_852, True],
    ]
    assert rows["item_level"].isna().tolist() == [True, False, False, False]
    assert rows["is_uploader"].tolist() == [True, False, False, False]


def test_dirt_of_2023_is_put_right(meter_logs):
    players = meter_logs[0].read("core_players").to_pandas()

    strangers = players[~players["is_name_known"]]
    assert sorted(strangers["player_name"]) == ["74bfce2", "74bfd02"]
    assert strangers["item_level"].isna().all()
    assert players["player_name"].str.contains("é").sum() == 3
    assert players["spec_name"].isna().all()
    assert players["hit_coverage"].isna().all()


def test_the_reported_figures_of_logs_without_hits_come_from_the_meters_series(meter_logs):
    lake = meter_logs[0]
    compute_days(lake, lake.days("core_encounters"), "polars", run_id="t")

    timeline = lake.read("stats_dps_timeline").to_pandas()
    figures = lake.read("stats_player_dps").to_pandas()

    assert set(timeline["measured_by"]) == {"meter"}
    assert len(figures) == 48
    assert figures["max_hit_damage"].notna().sum() == figures["max_hit_damage"].count()
    longest = timeline.groupby("encounter_id")["second"].max() + 1
    seconds = figures.drop_duplicates("encounter_id").set_index("encounter_id")["duration_s"]
    assert ((longest - seconds).abs() <= 1).all()


@pytest.fixture(scope="module")
def table_logs(tmp_path_factory):
    lake = Lake(str(tmp_path_factory.mktemp("tables") / "lake"))
    return lake, *take(lake, *TABLES)


def test_all_rows_of_the_player_tables_go_in(table_logs):
    lake, collected, run = table_logs

    assert [(one.found, one.new, one.problems) for one in collected] == [
        (14_302, 14_302, []),
        (1_688, 1_688, []),
    ]
    assert (run.encounters, dict(run.quarantined)) == (15_990, {})
    assert lake.count("core_players") == 111_920 + 13_504
    assert lake.count("core_quarantine") == 0


def test_each_fight_of_the_long_table_is_one_of_the_other(table_logs):
    encounters = table_logs[0].read("core_encounters").to_pandas()
    encounters["table"] = encounters["source"].str.removeprefix("player_table:")

    long, short = (
        set(encounters[encounters["table"] == t]["fight_id"]) for t in ("Aegir_G1_Hard_long", "Aegir_G1_Hard")
    )
    assert len(long) > 1_600
    assert long <= short
    assert (encounters.groupby("fight_id")["is_counted"].sum() == 1).all()
    placed = encounters[["raid_name", "gate_name", "difficulty"]].drop_duplicates().values.tolist()
    assert placed == [["Aegir", "G1", "Hard"]]


def test_table_figures_are_the_stored_ones(table_logs):
    players = table_logs[0].read("core_players", columns=["dps", "item_level", "is_name_known"]).to_pandas()
    parquet = pq.read_table(DATA / TABLES[0], columns=["dps", "gearscore", "name"]).to_pandas()
    long = pa_csv.read_csv(DATA / TABLES[1]).to_pandas()

    assert players["dps"].sum() == parquet["dps"].sum() + long["dps"].sum()
    assert (players["dps"] == 0).sum() == (parquet["dps"] == 0).sum() + (long["dps"] == 0).sum()
    assert (
        players["item_level"].isna().sum()
        == (parquet["gearscore"] == 0).sum() + (long["gearScore"] == 0).sum()
    )
    anonymous = sum(table["name"].str.contains(" #").sum() for table in (parquet, long))
    assert (~players["is_name_known"]).sum() == anonymous > 100


def test_taking_the_tables_again_finds_nothing_new(table_logs):
    lake = table_logs[0]
    before = lake.version("core_encounters")

    collected, run = take(lake, *TABLES)

    assert [(one.new, one.known) for one in collected] == [(0, 14_302), (0, 1_688)]
    assert (run.due, lake.version("core_encounters")) == (0, before)
