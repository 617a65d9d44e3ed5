"""A generated season goes through the whole pipeline, and every number equals its recorded truth."""

from __future__ import annotations

import gzip
import json
import sqlite3
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import pandas as pd
import pytest

from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.pipeline import CoreRun, clean_days
from lostark_assets.lake.tables import Lake
from lostark_assets.sources.collect import collect
from lostark_assets.sources.collector import Collected
from lostark_assets.sources.loa_logs_db import LoaLogsDb
from lostark_assets.stats.pipeline import (
    StatsRun,
    compute_days,
    due_stats_days,
    refresh_distribution,
    refresh_progression,
)
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights
from lostark_simulator.truth import Truth, read_truth

SEASON = SeasonConfig(encounters=70, seed=11, hits_per_player=120, duplicate_share=0.25)
REASON_OF_DIRT = {
    "invalid_json": "invalid_json",
    "truncated_gzip": "truncated_gzip",
    "impossible_duration": "impossible_duration",
    "too_many_players": "too_many_players",
    "broken_player_sum": "broken_sums",
    "broken_total": "broken_sums",
    "negative_damage": "impossible_value",
}


@dataclass(frozen=True)
class Season:
    """A season after the whole pipeline; frames are indexed by the database's encounter id."""

    db: object
    lake: Lake
    truth: Truth
    collected: Collected
    core: CoreRun
    stats: StatsRun
    encounters: pd.DataFrame
    players: pd.DataFrame
    figures: pd.DataFrame

    @property
    def kept(self) -> pd.DataFrame:
        """The true encounters that the pipeline has to keep."""
        return self.truth.encounters.query("expected_outcome == 'kept'").set_index("encounter_id")

    def true_players(self) -> pd.DataFrame:
        """The true rows of the players to keep, by encounter and name."""
        rows = self.truth.players[self.truth.players["encounter_id"].isin(self.kept.index)]
        return rows.set_index(["encounter_id", "player_name"]).sort_index()


def by_source_id(lake, name, encounters):
    frame = lake.read(name).to_pandas()
    frame["source_id"] = frame["encounter_id"].map(encounters["source_log_id"].astype(int))
    return frame.set_index(["source_id", "player_name"]).sort_index()


@pytest.fixture(scope="session")
def season(tmp_path_factory):
    folder = tmp_path_factory.mktemp("season")
    db = folder / "encounters.db"
    write_encounters_db(db, generate_fights(SEASON))
    lake = Lake(str(folder / "lake"))
    collected = collect(LoaLogsDb(db), lake, run_id="t", earliest=date(2022, 1, 1), batch_bytes=2_000_000)
    core = clean_days(lake, None, Rules(), run_id="t", batch_bytes=2_000_000)
    stats = compute_days(lake, lake.days("core_encounters"), "polars", run_id="t")
    encounters = lake.read("core_encounters").to_pandas().set_index("encounter_id")
    return Season(
        db,
        lake,
        read_truth(db),
        collected,
        core,
        stats,
        encounters,
        by_source_id(lake, "core_players", encounters),
        by_source_id(lake, "stats_player_dps", encounters),
    )


def differences(found: pd.Series, true: pd.Series) -> dict:
    """Where two columns differ, null being equal to null only."""
    left, right = found.reindex(true.index).astype(object), true.astype(object)
    same = (left == right) | (left.isna() & right.isna())
    return {key: (left[key], right[key]) for key in true.index[~same.to_numpy(dtype=bool)]}


def test_every_log_is_an_encounter_or_in_quarantine(season):
    logs = len(season.truth.encounters)

    assert season.collected.found == season.collected.new == logs
    assert season.core.due == logs
    assert season.core.encounters == len(season.kept)
    assert season.core.encounters + sum(season.core.quarantined.values()) == logs


def test_the_kept_encounters_are_exactly_the_good_ones(season):
    assert sorted(season.encounters["source_log_id"].astype(int)) == sorted(season.kept.index)


def test_each_bad_log_is_refused_for_what_is_wrong_with_it(season):
    refused = season.lake.read("core_quarantine").to_pandas()
    bad = season.truth.encounters.query("expected_outcome == 'quarantine'").set_index("encounter_id")

    found = dict(zip(refused["source_log_id"].astype(int), refused["reason_code"], strict=True))
    assert found == {key: REASON_OF_DIRT[kind] for key, kind in bad["dirt"].items()}
    assert set(REASON_OF_DIRT) == set(bad["dirt"])
    assert refused["detail"].str.contains("expected .*found|expected .*stored", regex=True).all()


def test_no_blocking_rule_is_broken_and_the_dps_rule_checked_every_player(season):
    findings = {f.rule: f for group in season.core.findings.values() for f in group}

    assert [str(f) for f in findings.values() if f.severity == "error" and not f.passed] == []
    assert findings["core_dps_equals_meter_dps"].checked == len(season.players)
    assert findings["core_hits_sum_to_skill_damage"].checked > len(season.players)


PLAYER_COLUMNS = (
    "class_name spec_name is_support is_dead is_uploader combat_power damage dps hits crits back_attacks "
    "front_attacks casts crit_damage deaths"
).split()


@pytest.mark.parametrize("column", PLAYER_COLUMNS)
def test_every_player_figure_of_core_equals_the_truth(season, column):
    true = season.true_players()[column]

    assert len(season.players) == len(true)
    assert differences(season.players[column], true) == {}


def test_item_levels_are_those_logged_and_zero_is_unknown(season):
    true = season.true_players()["item_level"]

    found = season.players["item_level"].reindex(true.index)
    assert found.isna().equals(true.isna())
    assert true.isna().any()
    assert (found - true.round(2)).abs().max() < 0.006


@pytest.mark.parametrize("column", ["damage", "dps", "is_support", "is_dead", "deaths", "spec_name"])
def test_statistics_carry_the_same_figures(season, column):
    true = season.true_players()[column]

    assert len(season.figures) == len(true)
    assert differences(season.figures[column], true) == {}


def test_the_largest_hit_is_the_true_one(season):
    assert differences(season.figures["max_hit_damage"], season.true_players()["max_hit"]) == {}


def test_rates_follow_from_the_true_counts(season):
    true = season.true_players()
    figures = season.figures.reindex(true.index)

    for rate, count in (("crit_rate", "crits"), ("back_attack_rate", "back_attacks")):
        assert (figures[rate] - true[count] / true["hits"]).abs().max() < 1e-12
    minutes = (true["duration_ms"] // 1000).clip(lower=1) / 60
    assert (figures["casts_per_minute"] - true["casts"] / minutes).abs().max() < 1e-9
    shares = true["damage"] / true.groupby("encounter_id")["damage"].transform("sum")
    assert (figures["damage_share"] - shares).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("column", "truth"),
    [
        ("raid_name", "raid_name"),
        ("gate_name", "gate_name"),
        ("is_cleared", "is_cleared"),
        ("duration_ms", "duration_ms"),
        ("damage", "total_damage"),
        ("player_damage", "total_damage"),
        ("player_count", "players"),
        ("local_player_name", "uploader"),
    ],
)
def test_every_figure_of_an_encounter_equals_the_truth(season, column, truth):
    found = season.encounters.assign(key=season.encounters["source_log_id"].astype(int)).set_index("key")

    assert differences(found[column], season.kept[truth]) == {}


def test_difficulties_are_read_where_the_log_holds_one(season):
    found = season.encounters.assign(key=season.encounters["source_log_id"].astype(int)).set_index("key")
    logged = season.kept[season.kept["difficulty_logged"].fillna("") != ""]

    assert differences(found["difficulty"], logged["difficulty"]) == {}
    unlogged = season.kept.index.difference(logged.index)
    assert len(unlogged) >= 2
    assert found.loc[unlogged, "difficulty"].isna().all()


def test_logs_of_one_fight_share_a_fight_and_no_others_do(season):
    kept = season.kept
    first = kept["is_duplicate_of"].fillna(pd.Series(kept.index, index=kept.index)).astype(int)
    found = season.encounters.assign(key=season.encounters["source_log_id"].astype(int)).set_index("key")

    true_groups = sorted(sorted(group) for group in first.groupby(first).groups.values())
    groups = sorted(sorted(group) for group in found.groupby("fight_id").groups.values())
    assert groups == true_groups
    assert len(true_groups) < len(kept)
    assert (found.groupby("fight_id")["is_counted"].sum() == 1).all()


def test_skills_equal_the_truth(season):
    skills = season.lake.read("core_skills").to_pandas()
    skills["source_id"] = skills["encounter_id"].map(season.encounters["source_log_id"].astype(int))
    found = skills.set_index(["source_id", "player_name", "skill_id"]).sort_index()
    true = season.truth.skills[season.truth.skills["encounter_id"].isin(season.kept.index)]
    true = true.set_index(["encounter_id", "player_name", "skill_id"]).sort_index()

    assert len(found) == len(true)
    for column in ("damage", "hits", "crits", "casts"):
        assert differences(found[column], true[column]) == {}


def test_first_and_last_hit_equal_the_truth(season):
    hits = season.lake.read("core_hits").to_pandas()
    hits["source_id"] = hits["encounter_id"].map(season.encounters["source_log_id"].astype(int))
    times = hits.groupby(["source_id", "player_name"])["hit_at_ms"].agg(["min", "max", "size"])
    true = season.true_players()

    for column, name in (("min", "first_hit_ms"), ("max", "last_hit_ms"), ("size", "hits")):
        assert differences(times[column], true[name]) == {}


def test_hits_lie_in_the_order_that_statistics_rely_on(season):
    hits = season.lake.read("core_hits")
    keys = list(
        zip(
            *(hits[c].to_pylist() for c in ("encounter_id", "player_name", "skill_id", "hit_at_ms")),
            strict=True,
        )
    )
    runs = [one[0] for one, other in pairwise([*keys, ("",)]) if one[0] != other[0]]

    assert len(runs) == len(set(runs))
    assert all(one <= other for one, other in pairwise(keys) if one[0] == other[0])


def decoded_hits(db) -> dict:
    """Hits by (encounter, player) as (ms, damage), read with the standard library only."""
    hits = {}
    with sqlite3.connect(db) as connection:
        rows = connection.execute(
            "SELECT encounter_id, name, skills FROM entity WHERE entity_type = 'PLAYER'"
        )
        for encounter, name, skills in rows:
            try:
                text = gzip.decompress(skills) if isinstance(skills, bytes) else skills
                casts = [c for skill in json.loads(text).values() for c in skill.get("skillCastLog") or ()]
            except (EOFError, ValueError):
                continue
            hits[encounter, name] = sorted((h["timestamp"], h["damage"]) for c in casts for h in c["hits"])
    connection.close()
    return hits


@pytest.fixture(scope="module")
def references(season):
    """By player: length of the fight on the wall clock in ms, and the hits."""
    lengths = {
        int(row.source_log_id): max(int(row.duration_ms + (row.intermission_ms or 0)), 1000)
        for row in season.encounters.itertuples()
    }
    return {key: (lengths[key[0]], own) for key, own in decoded_hits(season.db).items() if key[0] in lengths}


def test_a_second_of_the_timeline_holds_the_damage_of_its_hits(season, references):
    timeline = by_source_id(season.lake, "stats_dps_timeline", season.encounters)
    assert set(timeline["measured_by"]) == {"hits"}

    for key, rows in timeline.sort_values("second").groupby(level=[0, 1]):
        length, hits = references[key]
        bins = [0] * -(-length // 1000)
        for at, damage in hits:
            bins[min(max(at, 0) // 1000, len(bins) - 1)] += damage
        assert rows["second"].tolist() == list(range(len(bins)))
        assert rows["damage"].tolist() == bins
        assert rows["cumulative_damage"].iloc[-1] == sum(bins) == season.players.loc[key, "damage"]


def test_bursts_equal_a_slow_reference(season, references):
    checked = 0
    for key, row in season.figures.iterrows():
        length, hits = references[key]
        gaps = [b - a for (a, _), (b, _) in pairwise(hits) if b - a <= 5_000]
        assert row["active_s"] == pytest.approx(sum(gaps) / 1000, abs=1e-9)
        bins = [0] * (length // 1000)
        for at, damage in hits:
            if max(at, 0) // 1000 < len(bins):
                bins[max(at, 0) // 1000] += damage
        windows = [sum(bins[t : t + 10]) // 10 for t in range(len(bins) - 9)]
        if length >= 11_000 and length % 1000:
            assert row["peak_10s_dps"] == max(windows)
            checked += 1
        opener = sum(damage for at, damage in hits if at < 30_000)
        assert row["opener_dps"] == opener // min(row["duration_s"], 30)
    assert checked > 100


def test_a_second_run_computes_nothing(season):
    assert clean_days(season.lake, None, Rules(), run_id="again").due == 0
    assert due_stats_days(season.lake) == []
    assert compute_days(season.lake, season.core.days, "polars", run_id="again").due == 0


def test_both_engines_give_the_same_rows(season, tmp_path):
    days = season.lake.days("core_encounters")[:3]
    columns = [
        c
        for c in season.lake.read("stats_player_dps").column_names
        if c not in ("computed_at", "stats_run_id")
    ]
    frames = []
    for engine in ("pandas", "polars"):
        compute_days(season.lake, days, engine, run_id=engine)
        frames.append(season.lake.read("stats_player_dps", days=days, columns=columns).to_pandas())

    key = ["encounter_id", "player_name"]
    one, other = (f.sort_values(key).reset_index(drop=True) for f in frames)
    pd.testing.assert_frame_equal(one, other, rtol=1e-12, check_dtype=False)


def test_distribution_and_progression_count_each_fight_once(season):
    refresh_distribution(season.lake, "polars")
    refresh_progression(season.lake, "polars")

    figures = season.figures[season.figures["is_counted"]]
    cleared = figures[(figures["is_cleared"] == True) & (figures["is_dead"] == False)]  # noqa: E712 - null is neither
    placed = cleared[cleared["gate_name"].notna() & cleared["spec_name"].notna()]
    distribution = season.lake.read("stats_dps_distribution").to_pandas()
    progression = season.lake.read("stats_raid_progression").to_pandas()
    assert distribution["player_count"].sum() == len(placed)
    assert progression["pulls"].sum() == figures["is_name_known"].sum()
    assert progression["clears"].sum() == (figures["is_name_known"] & (figures["is_cleared"] == True)).sum()  # noqa: E712
