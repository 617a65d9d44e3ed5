"""The reader returns what the lake holds, and analysis functions give the numbers that the pipeline gives."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import lostark
from lostark_assets.errors import NotFound, UnknownFormat, WrongUsage
from lostark_assets.sources.detect import ImportArguments, open_source
from lostark_simulator.lake import build_lake
from lostark_simulator.season import SeasonConfig

ROOT = Path(__file__).resolve().parents[2]
KEY = ["encounter_id", "player_name"]
STARTED = 1_731_000_000_000
TABLE = pd.DataFrame(
    {
        "id": [21, 21, 21, 22, None],
        "boss": ["Aegir, the Oppressor"] * 5,
        "difficulty": ["Hard"] * 5,
        "timestamp": [STARTED] * 3 + [STARTED + 3_600_000] * 2,
        "duration": [200_000, 200_000, 200_000, 9_000_000, 200_000],
        "version": ["1.17.2"] * 5,
        "region": ["EUC"] * 5,
        "name": ["Cid", "Dee", "Cid", "Eve", "Fay"],
        "class": ["Paladin", "Berserker", "Paladin", "Sorceress", "Sorceress"],
        "spec": ["Judgement", "Mayhem", "Judgement", "Igniter", "Igniter"],
        "dps": [1_500, 500, 7, 900, 900],
        "percent": [0.75, 0.25, 0.0, 1.0, 1.0],
        "totalDamageDealt": [400_000] * 5,
        "gearScore": [1680.0, 1660.0, None, 1670.0, 1670.0],
        "isDead": [False, True, False, False, False],
    }
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    season = SeasonConfig(encounters=40, seed=7, hits_per_player=30, days=10)
    return build_lake(tmp_path_factory.mktemp("reader"), season)


@pytest.fixture
def lake_folder(lake):
    return Path(lake.url)


def sort_rows(frame):
    return frame.sort_values(KEY).reset_index(drop=True)


def test_pandas_frames_have_arrow_dtypes_and_the_rows_of_the_lake(lake, lake_folder):
    frame = lostark.read("stats_player_dps", lake=lake_folder)

    assert all(isinstance(dtype, pd.ArrowDtype) for dtype in frame.dtypes)
    assert pa.Table.from_pandas(frame, preserve_index=False).to_pylist() == (
        lake.read("stats_player_dps").to_pylist()
    )


def test_days_columns_and_filters_select_what_they_say(lake, lake_folder):
    days = lake.days("stats_player_dps")
    first, last = days[1], days[3]
    every = lostark.read("stats_player_dps", lake=lake_folder)
    spec = every["spec_name"].iloc[0]

    between = lostark.read("stats_player_dps", days=(first.isoformat(), last), lake=lake_folder)
    of_day = lostark.read("stats_player_dps", days=first, columns=["fight_date", "dps"], lake=lake_folder)
    filtered = lostark.read("stats_player_dps", where={"spec_name": [spec]}, lake=lake_folder)
    fast = lostark.read("stats_player_dps", where=pc.field("dps") > 1_000_000, lake=lake_folder)

    assert len(between) == every["fight_date"].between(first, last).sum()
    assert set(of_day.columns) == {"fight_date", "dps"}
    assert set(of_day["fight_date"]) == {first}
    assert len(filtered) == (every["spec_name"] == spec).sum() > 0
    assert len(fast) == (every["dps"] > 1_000_000).sum() > 0


def test_an_open_range_and_a_day_without_fights(lake, lake_folder):
    days = lake.days("core_players")

    rows = lostark.read("core_players", days=(days[-1], None), lake=lake_folder)
    none = lostark.read("core_players", days=days[-1] + timedelta(days=400), lake=lake_folder)

    assert set(rows["fight_date"]) == {days[-1]}
    assert len(none) == 0
    assert list(none.columns) == lostark.describe("core_players")["column"].tolist()


def test_polars_frames_and_lazy_frames_hold_the_same(lake, lake_folder):
    day = lake.days("stats_player_dps")[0]
    frame = lostark.read("stats_player_dps", days=day, lake=lake_folder)
    polars = lostark.read("stats_player_dps", days=day, as_="polars", lake=lake_folder)
    lazy = lostark.scan("stats_player_dps", days=(day, day), lake=lake_folder)

    assert isinstance(polars, pl.DataFrame)
    assert polars["dps"].to_list() == frame["dps"].tolist()
    assert lazy.select(pl.col("dps").sum()).collect().item() == frame["dps"].sum()
    assert lazy.filter(pl.col("is_support")).collect().height == frame["is_support"].sum()


def test_the_lake_of_the_settings_is_the_default(lake, lake_folder, monkeypatch):
    monkeypatch.setenv("LOSTARK_LAKE_URL", str(lake_folder))

    assert len(lostark.read("core_encounters")) == lake.count("core_encounters")


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (NotFound, r"stats_player_dsp.*Did you mean stats_player_dps", {"table": "stats_player_dsp"}),
        (NotFound, r"core_players, column 'item_lvl'.*item_level", {"columns": ["item_lvl"]}),
        (NotFound, r"core_players, column 'spec'", {"where": {"spec": "Igniter"}}),
        (WrongUsage, r"expected a date such as 2026-11-30, found '30.11.2026'", {"days": "30.11.2026"}),
        (WrongUsage, r"first day before the last", {"days": ("2026-11-30", "2026-11-01")}),
        (WrongUsage, r"expected a date or \(first, last\)", {"days": 7}),
        (WrongUsage, r"expected a date such as", {"days": (7, None)}),
        (
            WrongUsage,
            r"no partitions by fight day",
            {"table": "stats_dps_distribution", "days": "2026-11-30"},
        ),
        (WrongUsage, r"as_: expected 'pandas'", {"as_": "spark"}),
        (NotFound, r"does not have", {"version": 999}),
    ],
)
def test_mistakes_are_explained(lake_folder, error, message, arguments):
    with pytest.raises(error, match=message):
        lostark.read(**{"table": "core_players", "lake": lake_folder, **arguments})


def test_a_folder_that_is_not_there_is_no_empty_lake(tmp_path):
    with pytest.raises(NotFound, match="no such folder"):
        lostark.read("core_players", lake=tmp_path / "nothing")


def test_statistics_of_frames_equal_those_of_the_pipeline(lake_folder):
    encounters = lostark.read("core_encounters", lake=lake_folder)
    players = lostark.read("core_players", lake=lake_folder)
    stored = sort_rows(lostark.read("stats_player_dps", lake=lake_folder))
    bursts = stored[[*KEY, "active_s", "max_hit_damage", "peak_10s_dps", "opener_dps"]]

    computed = sort_rows(lostark.player_statistics(encounters, players, bursts))

    shared = [name for name in computed.columns if name in stored.columns]
    assert set(stored.columns) - set(shared) == {"stats_version", "computed_at", "stats_run_id"}
    pd.testing.assert_frame_equal(computed[shared], stored[shared], check_exact=False, rtol=1e-12)


def test_both_engines_give_the_same_figures(lake_folder):
    encounters = lostark.read("core_encounters", lake=lake_folder)
    players = lostark.read("core_players", as_="polars", lake=lake_folder)

    one, other = (
        sort_rows(lostark.player_statistics(encounters, players, engine=engine))
        for engine in ("pandas", "polars")
    )

    pd.testing.assert_frame_equal(one, other, check_exact=False, rtol=1e-12)


@pytest.mark.parametrize("table", ["stats_dps_distribution", "stats_raid_progression"])
def test_tables_across_days_equal_those_of_the_pipeline(lake_folder, table):
    statistics = lostark.read("stats_player_dps", lake=lake_folder)
    stored = lostark.read(table, lake=lake_folder)
    if table == "stats_dps_distribution":
        computed = lostark.distribution(statistics)
    else:
        computed = lostark.progression(statistics, lostark.read("core_encounters", lake=lake_folder))

    keys = [name for name in stored.columns if stored[name].dtype != pd.ArrowDtype(pa.float64())]
    one, other = (f.sort_values(keys).reset_index(drop=True)[stored.columns] for f in (computed, stored))
    assert len(stored)
    pd.testing.assert_frame_equal(one, other, check_exact=False, rtol=1e-12)


def test_a_player_table_is_standardized_with_its_refusals():
    found = lostark.standardize(TABLE)

    assert found.encounters[["raid_name", "gate_name", "difficulty", "duration_s"]].to_numpy().tolist() == [
        ["Aegir", "G2", "Hard", 200]
    ]
    assert found.players[["player_name", "spec_name", "dps", "damage", "is_dead"]].to_numpy().tolist() == [
        ["Cid", "Judgment", 1500, 300_000, False],
        ["Dee", "Mayhem", 500, 100_000, True],
    ]
    assert sorted(zip(found.refused["scope"], found.refused["reason_code"], strict=True)) == [
        ("log", "impossible_duration"),
        ("player", "duplicate_player"),
    ]
    assert all(isinstance(dtype, pd.ArrowDtype) for dtype in found.players.dtypes)


def test_standardizing_a_frame_gives_the_rows_that_ingesting_its_file_gives(tmp_path):
    from lostark_assets.core.clean_meter import Rules
    from lostark_assets.core.pipeline import clean_days
    from lostark_assets.lake.tables import Lake
    from lostark_assets.sources.collect import collect

    path, lake = tmp_path / "players.parquet", Lake(str(tmp_path / "lake"))
    TABLE.to_parquet(path)
    collect(open_source(path, ImportArguments()), lake, run_id="t", earliest=date(2022, 1, 1))
    clean_days(lake, None, Rules(), run_id="t")

    found = lostark.standardize(TABLE)

    ids = ["log_id", "encounter_id"]
    stored = lostark.read("core_players", lake=lake)
    pd.testing.assert_frame_equal(
        found.players.drop(columns=ids), stored.drop(columns=ids).reset_index(drop=True)
    )
    refused = lostark.read("core_quarantine", lake=lake)
    assert sorted(found.refused["detail"]) == sorted(refused["detail"])


def test_standardized_rows_go_straight_into_statistics():
    found = lostark.standardize(TABLE)

    figures = lostark.player_statistics(found.encounters, found.players).set_index("player_name")

    assert figures.loc["Cid", "damage_share"] == 0.75
    assert figures.loc["Dee", "item_level_bracket"] == "1660-1669"
    assert pd.isna(figures.loc["Cid", "spec_percentile"])


def test_what_the_frame_lacks_is_said():
    with pytest.raises(UnknownFormat, match="duration"):
        lostark.standardize(TABLE.drop(columns="duration"))
    found = lostark.standardize(TABLE)
    with pytest.raises(WrongUsage, match="duration_s"):
        lostark.player_statistics(found.encounters.drop(columns="duration_s"), found.players)


def test_reading_needs_neither_dagster_nor_mlflow():
    code = "import sys, lostark; print({'dagster', 'mlflow', 'polars', 'fastapi'} & set(sys.modules))"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "set()"
