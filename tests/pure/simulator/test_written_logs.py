"""The generated database, read with the standard library only, is consistent and matches ground truth."""

import gzip
import json
import sqlite3

import pytest

from lostark_simulator.dirt import KEPT, KINDS, QUARANTINE
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fight, generate_fights
from lostark_simulator.truth import read_truth, truth_paths
from lostark_simulator.upload_json import write_upload_json

CONFIG = SeasonConfig(encounters=50, seed=5, hits_per_player=80, duplicate_share=0.6)


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    path = tmp_path_factory.mktemp("season") / "encounters.db"
    return path, write_encounters_db(path, generate_fights(CONFIG)), read_truth(path)


def read_blob(value):
    return json.loads(gzip.decompress(value) if isinstance(value, bytes) else value)


def query(path, sql):
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    rows = [dict(row) for row in connection.execute(sql)]
    connection.close()
    return rows


@pytest.fixture(scope="module")
def clean_players(season):
    """Every player of every valid log: (encounter, preview, entity, stats, skills)."""
    path, _, truth = season
    kept = set(truth.encounters.query("expected_outcome == 'kept'").encounter_id)
    encounters = {row["id"]: row for row in query(path, "SELECT * FROM encounter")}
    previews = {row["id"]: row for row in query(path, "SELECT * FROM encounter_preview")}
    return [
        (
            encounters[row["encounter_id"]],
            previews[row["encounter_id"]],
            row,
            read_blob(row["damage_stats"]),
            read_blob(row["skills"]),
        )
        for row in query(path, "SELECT * FROM entity WHERE entity_type = 'PLAYER'")
        if row["encounter_id"] in kept
    ]


def test_the_content_is_determined_by_the_seed(tmp_path):
    config = SeasonConfig(encounters=3, seed=3, hits_per_player=60)
    paths = [tmp_path / "one" / "a.db", tmp_path / "two" / "a.db"]
    for path in paths:
        write_encounters_db(path, generate_fights(config))
    first, second = (
        [
            sorted(map(repr, query(path, f"SELECT * FROM {table}")))
            for table in ("encounter", "encounter_preview", "entity")
        ]
        for path in paths
    )

    assert first == second
    for table, path in truth_paths(paths[0]).items():
        assert path.read_bytes() == truth_paths(paths[1])[table].read_bytes()


def test_another_seed_gives_different_fights():
    one, other = (generate_fight(SeasonConfig(seed=seed, hits_per_player=60), 3) for seed in (1, 2))

    assert one.started_at_ms != other.started_at_ms


def test_a_fight_does_not_depend_on_the_number_of_fights(tmp_path):
    contents = []
    for total in (9, 5):
        config = SeasonConfig(encounters=total, seed=7, hits_per_player=60)
        fight = list(generate_fights(config))[4]
        contents.append(write_upload_json(tmp_path / f"{total}.json", fight).read_bytes())

    assert contents[0] == contents[1]


def test_hits_skills_and_players_sum_to_the_total(season, clean_players):
    totals = {}
    for encounter, _, row, stats, skills in clean_players:
        for skill in skills.values():
            hits = [hit for cast in skill["skillCastLog"] for hit in cast["hits"]]
            assert sum(hit["damage"] for hit in hits) == skill["totalDamage"]
            assert len(hits) == skill["hits"]
            assert sum(hit["crit"] for hit in hits) == skill["crits"]
            assert max((hit["damage"] for hit in hits), default=0) == skill["maxDamage"]
            assert [cast["timestamp"] for cast in skill["skillCastLog"]] == skill["castLog"] or not hits
        assert sum(skill["totalDamage"] for skill in skills.values()) == stats["damageDealt"]
        totals.setdefault(row["encounter_id"], [encounter["total_damage_dealt"], 0])[1] += stats[
            "damageDealt"
        ]

    assert len(totals) > 45
    assert all(stored == added for stored, added in totals.values())


def test_buff_maps_are_the_damage_of_the_hits_that_carry_the_buff(clean_players):
    _, _, _, stats, skills = clean_players[0]
    for key in ("buffedBy", "debuffedBy"):
        added = {}
        for skill in skills.values():
            for cast in skill["skillCastLog"]:
                for hit in cast["hits"]:
                    for effect in hit[key]:
                        added[str(effect)] = added.get(str(effect), 0) + hit["damage"]

        assert added == stats[key]


def test_ground_truth_matches_the_hits(season, clean_players):
    _, _, truth = season
    by_key = truth.players.set_index(["encounter_id", "player_name"])
    for _, preview, row, stats, skills in clean_players:
        true = by_key.loc[(row["encounter_id"], row["name"])]
        hits = [hit for skill in skills.values() for cast in skill["skillCastLog"] for hit in cast["hits"]]
        assert true.damage == stats["damageDealt"] == sum(hit["damage"] for hit in hits)
        assert true.hits == len(hits)
        assert true.crits == sum(hit["crit"] for hit in hits)
        assert true.back_attacks == sum(hit["backAttack"] for hit in hits)
        assert true.front_attacks == sum(hit["frontAttack"] for hit in hits)
        assert true.max_hit == max(hit["damage"] for hit in hits)
        assert true.first_hit_ms == min(hit["timestamp"] for hit in hits)
        assert true.last_hit_ms == max(hit["timestamp"] for hit in hits)
        assert true.casts == sum(skill["casts"] for skill in skills.values())
        assert true.dps == row["dps"]
        assert true.duration_ms == preview["duration"]

    skills_of_one = truth.skills.groupby(["encounter_id", "player_name"])["damage"].sum()
    assert (skills_of_one == by_key["damage"].reindex(skills_of_one.index)).all()


def test_the_meters_rules_hold(clean_players):
    for encounter, preview, row, stats, _ in clean_players:
        misc = json.loads(encounter["misc"])
        gap = misc.get("intermissionEnd", 0) - misc.get("intermissionStart", 0)
        start, end = preview["fight_start"], encounter["last_combat_packet"]
        assert preview["duration"] == end - start - gap
        assert row["dps"] == stats["dps"] == stats["damageDealt"] // max(preview["duration"] // 1000, 1)
        assert len(stats["dpsRolling10sAvg"]) == -((start - end) // 1000)
        assert len(stats["dpsAverage"]) == (end // 1000 - start // 1000) // 5 + 1


def test_the_rolling_dps_divides_by_ten_seconds_at_the_ends_too(clean_players):
    _, _, _, stats, skills = next(one for one in clean_players if len(one[3]["dpsRolling10sAvg"]) > 20)
    hits = [hit for skill in skills.values() for cast in skill["skillCastLog"] for hit in cast["hits"]]
    for second in (0, 3, 12, len(stats["dpsRolling10sAvg"]) - 1):
        near = sum(hit["damage"] for hit in hits if abs(hit["timestamp"] - second * 1000) <= 5000)
        assert stats["dpsRolling10sAvg"][second] == near // 10


def test_the_boss_loses_the_damage_dealt(season):
    path, _, truth = season
    complete = truth.encounters.query("dirt.isna() and is_duplicate_of.isna()")
    bosses = {
        row["encounter_id"]: row for row in query(path, "SELECT * FROM entity WHERE entity_type = 'BOSS'")
    }
    logs = {row["id"]: row["boss_hp_log"] for row in query(path, "SELECT id, boss_hp_log FROM encounter")}
    for one in complete.itertuples():
        boss = bosses[one.encounter_id]
        items = read_blob(logs[one.encounter_id])[one.boss_name]
        taken = read_blob(boss["damage_stats"])["damageTaken"]
        assert boss["max_hp"] - boss["current_hp"] == taken
        assert items[-1]["hp"] == boss["current_hp"]
        assert (boss["current_hp"] == 0) == one.is_cleared
        assert [item["time"] for item in items] == sorted({item["time"] for item in items})


def test_every_kind_of_dirt_occurs_once_among_forty_fights(season):
    _, summary, truth = season
    first = truth.encounters.query("fight_number < 40 and dirt.notna()")

    assert sorted(first.dirt) == sorted(KINDS)
    assert dict(zip(first.dirt, first.expected_outcome, strict=True)) == {
        **dict.fromkeys(QUARANTINE, "quarantine"),
        **dict.fromkeys(KEPT, "kept"),
    }
    assert (truth.encounters.expected_outcome == "quarantine").sum() == summary.quarantined


def test_each_kind_of_dirt_has_its_effect(season):
    path, _, truth = season
    ids = truth.encounters.query("fight_number < 40 and dirt.notna()").set_index("dirt").encounter_id

    def rows(table, kind):
        column = "encounter_id" if table == "entity" else "id"
        return query(path, f"SELECT * FROM {table} WHERE {column} = {ids[kind]}")

    def players(kind):
        return [row for row in rows("entity", kind) if row["entity_type"] == "PLAYER"]

    def stats(kind):
        return read_blob(players(kind)[0]["damage_stats"])

    with pytest.raises(json.JSONDecodeError):
        read_blob(players("invalid_json")[0]["skills"])
    with pytest.raises(EOFError):
        read_blob(players("truncated_gzip")[0]["skills"])
    assert rows("encounter_preview", "impossible_duration")[0]["duration"] == 72_654_676
    assert len(players("too_many_players")) == 18
    skills = read_blob(players("broken_player_sum")[0]["skills"])
    assert (
        stats("broken_player_sum")["damageDealt"] == sum(s["totalDamage"] for s in skills.values()) * 3 // 2
    )
    added = sum(read_blob(row["damage_stats"])["damageDealt"] for row in players("broken_total"))
    assert rows("encounter", "broken_total")[0]["total_damage_dealt"] == 2 * added
    assert (
        min(
            skill["totalDamage"]
            for row in players("negative_damage")
            for skill in read_blob(row["skills"]).values()
        )
        < 0
    )
    assert rows("encounter_preview", "difficulty_null")[0]["difficulty"] is None
    assert rows("encounter_preview", "difficulty_empty")[0]["difficulty"] == ""
    assert 0.0 in [row["gear_score"] for row in players("item_level_zero")]
    assert rows("encounter_preview", "hex_local_player")[0]["local_player"] == "74bfd02"
    assert "74bfd02" in [row["name"] for row in players("hex_local_player")]
    bosses = [row for row in rows("entity", "boss_hp_negative") if row["entity_type"] == "BOSS"]
    assert bosses[0]["current_hp"] < 0
    old = rows("encounter", "old_layout")[0]
    assert isinstance(old["buffs"], str)
    assert "version" not in json.loads(old["misc"])
    assert max(item["p"] for item in next(iter(json.loads(old["misc"])["bossHpLog"].values()))) > 1
    assert None in [row["spec"] for row in players("no_spec")]
    assert "Judgement" in [row["spec"] for row in players("judgement_spelling")]
    assert "Princess" in [row["spec"] for row in players("princess_spec")]
    assert 701 in [row["class_id"] for row in players("class_id_701")]
    assert 702 in [row["class_id"] for row in players("class_id_702")]
    pieces = rows("encounter_preview", "odd_players_piece")[0]["players"].split(",")
    assert [len(piece.split(":")) for piece in pieces].count(1) == 1
    assert min(one["duration"] for one in stats("negative_incapacitation")["incapacitations"]) < 0
    assert players("support_ap_above_one")[0]["support_ap"] > 1
    assert None in [row["support_ap"] for row in players("support_ap_null")]
    assert rows("encounter_preview", "one_hit_log")[0]["duration"] == 0
    assert sum(skill["hits"] for skill in read_blob(players("one_hit_log")[0]["skills"]).values()) == 1


def test_no_dirt_if_disabled():
    fights = generate_fights(SeasonConfig(encounters=20, hits_per_player=40, dirt=False))

    assert all(fight.dirt is None for fight in fights)


def test_two_uploaders_of_one_fight_share_its_players(season):
    _, _, truth = season
    copies = truth.encounters.dropna(subset=["is_duplicate_of"])
    names = truth.players.groupby("encounter_id").player_name.agg(set)
    starts = truth.encounters.set_index("encounter_id").fight_start_ms

    assert len(copies) >= 5
    for copy in copies.itertuples():
        first = int(copy.is_duplicate_of)
        assert names[copy.encounter_id] <= names[first]
        assert len(names[first]) - len(names[copy.encounter_id]) <= 1
        assert abs(starts[copy.encounter_id] - starts[first]) <= 6_000
        uploaders = truth.encounters.set_index("encounter_id").uploader
        assert uploaders[copy.encounter_id] != uploaders[first]


def test_an_intermission_is_subtracted_from_the_duration(tmp_path):
    config = SeasonConfig(
        encounters=10, raids=("Final Act: Kazeros",), hits_per_player=40, wipe_share=0, dirt=False
    )
    path = tmp_path / "gap.db"
    write_encounters_db(path, generate_fights(config))
    rows = query(path, "SELECT * FROM encounter JOIN encounter_preview USING (id)")
    gaps = [json.loads(row["misc"]).get("intermissionEnd") for row in rows]

    assert any(gaps)
    for row, gap in zip(rows, gaps, strict=True):
        whole = row["last_combat_packet"] - row["fight_start"]
        assert (row["duration"] < whole) == (gap is not None)


def test_an_upload_has_the_same_numbers_as_the_database(tmp_path):
    fight = generate_fight(SeasonConfig(hits_per_player=60), 0)
    plain = json.loads(write_upload_json(tmp_path / "a.json", fight).read_text())
    packed = json.loads(
        gzip.decompress(write_upload_json(tmp_path / "a.json.gz", fight, gzip=True).read_bytes())
    )
    path = tmp_path / "a.db"
    write_encounters_db(path, [fight])
    stored = {row["name"]: row for row in query(path, "SELECT * FROM entity")}

    assert plain == packed
    assert set(plain["entities"]) == set(stored)
    for name, entity in plain["entities"].items():
        assert read_blob(stored[name]["skills"]) == entity["skills"]
        assert read_blob(stored[name]["damage_stats"]) == entity["damageStats"]
