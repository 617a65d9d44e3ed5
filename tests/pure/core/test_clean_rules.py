"""The rules of cleaning one by one: what is refused, for which reason, and what next to it is kept."""

from __future__ import annotations

import copy
import json
from datetime import UTC, date, datetime

import pytest

from lostark_assets.contracts.core import CORE_PLAYERS, CORE_QUARANTINE
from lostark_assets.contracts.reasons import REASONS
from lostark_assets.core.clean import Stamp, clean_into, clean_log
from lostark_assets.core.clean_meter import Rules, completeness, is_name_known, item_level_or_none, measured
from lostark_assets.core.limits import CONTROL
from lostark_assets.core.rows import Cleaned
from lostark_assets.core.validate import build_tables
from lostark_assets.errors import LogRejected

START = 1_760_000_000_000
NOW = datetime(2026, 6, 1, tzinfo=UTC)
RULES = Rules(now=NOW)


def hit(at, damage, **flags):
    return {"timestamp": at, "damage": damage, **flags}


def skill(key=10, damage=6_000, **more):
    return {"id": key, "name": "Slash", "totalDamage": damage, "hits": 4, "crits": 1, "casts": 2} | more


def player(name="Ann", damage=6_000, **more):
    """One player whose skills and counts agree."""
    stats = {"damageDealt": damage, "dps": damage // 60, "deaths": 0, **more.pop("stats", {})}
    counts = {"hits": 4, "crits": 1, "backAttacks": 2, "frontAttacks": 0, "casts": 2}
    return {
        "name": name, "entityType": "PLAYER", "classId": 102, "gearScore": 1700.0, "isDead": False,
        "skills": {"10": skill(damage=damage)}, "damageStats": stats, "skillStats": counts,
    } | more  # fmt: skip


def fight(*players, misc=None, **more):
    """An upload of 60 s that breaks no rule."""
    players = players or (player(),)
    total = sum(p["damageStats"]["damageDealt"] for p in players)
    stats = {"totalDamageDealt": total, "dps": total // 60, "misc": misc or {}, **more.pop("totals", {})}
    return {
        "fightStart": START, "lastCombatPacket": START + 60_000, "duration": 60_000, "difficulty": "Hard",
        "currentBossName": "Aegir, the Oppressor", "localPlayer": "Ann", "cleared": True,
        "entities": {f"{n}": p for n, p in enumerate(players)}, "encounterDamageStats": stats,
    } | more  # fmt: skip


def clean(document, rules=RULES):
    return clean_log("upload_json", json.dumps(document).encode(), rules)[0]


def refusal(document, rules=RULES):
    with pytest.raises(LogRejected) as refused:
        clean(document, rules)
    return refused.value


def only_player(**more):
    return clean(fight(player(**more))).players[0]


TOO_MANY = fight(*(player(f"P{n}", 60) for n in range(9)))
REFUSED = [
    ("missing_field", fight(fightStart=None)),
    ("missing_field", fight(fightStart=0)),
    ("missing_field", fight(lastCombatPacket=None)),
    ("no_players", fight(entities={})),
    ("no_players", fight(player(entityType="BOSS"))),
    ("impossible_duration", fight(duration=72_654_676)),
    ("impossible_duration", fight(lastCombatPacket=START + 72_654_676)),
    ("impossible_duration", fight(lastCombatPacket=START - 1_001)),
    ("impossible_duration", fight(misc={"intermissionStart": START + 1, "intermissionEnd": START + 10**9})),
    ("impossible_time", fight(fightStart=1_600_000_000_000, lastCombatPacket=1_600_000_060_000)),
    ("impossible_time", fight(fightStart=4_000_000_000_000, lastCombatPacket=4_000_000_060_000)),
    ("impossible_time", fight(fightStart=10**30, lastCombatPacket=10**30)),
    ("too_many_players", TOO_MANY),
    ("duplicate_player", fight(player("Ann", 60), player("Ann", 60))),
    ("impossible_value", fight(player(damage=-6_000))),
    ("impossible_value", fight(player(skills={"10": skill(crits=5)}))),
    ("impossible_value", fight(player(skills={"10": skill(backAttacks=5)}))),
    ("impossible_value", fight(player(skills={"1": skill(damage=9_000), "2": skill(damage=-3_000)}))),
    ("impossible_value", fight(player(skillStats={"hits": 4, "crits": 5}))),
    ("impossible_value", fight(player(skills={"x": skill(key=None)}))),
    ("impossible_value", fight(player(skills={"x": skill(key=-4)}))),
    ("impossible_value", fight(player(skills={"x": skill(damage=3_000), "10": skill(damage=3_000)}))),
    ("impossible_value", fight(player(skills={"10": skill(skillCastLog=[{"hits": [hit(61_001, 5)]}])}))),
    ("impossible_value", fight(player(skills={"10": skill(skillCastLog=[{"hits": [hit(-1_001, 5)]}])}))),
    ("impossible_value", fight(player(skills={"10": skill(skillCastLog=[{"hits": [hit(5, -5)]}])}))),
    ("impossible_value", fight(player(skills={"10": skill(castLog=[5, 2**31])}))),
    ("impossible_value", fight(player(classId=2**40))),
    ("impossible_value", fight(player(stats={"damageTaken": -1}))),
    ("impossible_value", fight(player(stats={"stagger": 2**63}))),
    ("impossible_value", fight(player(damage=10**30, stats={"dps": 10**30 // 60}))),
    ("broken_sums", fight(player(skills={"10": skill(damage=5_993)}))),
    ("broken_sums", fight(player(skills={"10": skill(skillCastLog=[{"hits": [hit(5, 6_007)]}])}))),
    ("broken_sums", fight(totals={"totalDamageDealt": 6_061})),
    ("broken_sums", fight(totals={"totalDamageDealt": 5_939})),
    ("meter_dps_mismatch", fight(player(stats={"dps": 101}))),
    ("meter_dps_mismatch", fight(totals={"dps": 99})),
    ("invalid_json", {"fightStart": START}),
    ("invalid_json", fight(player(skills=[1]))),
    ("invalid_json", fight(fightStart=1.5)),
]
KEPT = [
    fight(lastCombatPacket=START + 60_999),
    fight(player(damage=0, skills={}, stats={"dps": 0}), lastCombatPacket=START - 1_000, duration=-1_000),
    fight(*(player(f"P{n}", 60) for n in range(8))),
    fight(player(skills={"10": skill(damage=5_994)})),
    fight(player(skills={"10": skill(skillCastLog=[{"hits": [hit(61_000, 5), hit(-1_000, 5)]}])})),
    fight(player(skills={"10": skill(skillCastLog=[{"hits": [hit(5, 6_005)]}])})),
    fight(totals={"totalDamageDealt": 6_050}),
    fight(totals={"totalDamageDealt": 0, "dps": 0}),
    fight(totals={"totalDamageDealt": None, "dps": None}),
    fight(player(stats={"dps": None})),
    fight(player(gearScore="1700.5", skills={})),
    fight(currentBossName="Nobody knows it"),
    fight(currentBossName=None, difficulty="Mythic"),
]


@pytest.mark.parametrize(("reason", "document"), REFUSED)
def test_a_log_that_cannot_be_is_refused_for_the_reason_that_fits(reason, document):
    error = refusal(document)

    assert error.reason_code == reason
    assert "expected" in error.detail


@pytest.mark.parametrize("document", KEPT)
def test_a_log_at_the_edge_of_a_rule_is_kept(document):
    assert clean(document).encounter["player_count"] >= 1


def test_every_reason_has_a_test_and_every_refusal_a_reason():
    elsewhere = {"truncated_gzip", "payload_too_large", "unexpected_error"}

    assert {reason for reason, _ in REFUSED} | elsewhere == set(REASONS)
    assert tuple(REASONS) == CORE_QUARANTINE.by_name["reason_code"].allowed


def test_limits_come_from_the_rules():
    long, early = fight(lastCombatPacket=START + 7_300_000, duration=7_300_000, totals={"dps": 0}), fight()
    long["entities"]["0"]["damageStats"]["dps"] = 0

    assert refusal(long).reason_code == "impossible_duration"
    assert clean(long, Rules(max_fight_s=8_000, now=NOW)).encounter["duration_s"] == 7_300
    assert (
        refusal(long, Rules(max_fight_s=10**9, now=datetime(2025, 1, 1, tzinfo=UTC))).reason_code
        == "impossible_time"
    )
    late = Rules(earliest_fight_date=date(2026, 1, 1), now=NOW)
    assert refusal(early, late).reason_code == "impossible_time"


@pytest.mark.parametrize(
    ("last_packet_ms", "intermission", "stored", "dps", "seconds"),
    [
        (60_999, None, 60_999, 100, 60),
        (90_500, (10_000, 40_000), 60_500, 100, 60),
        (90_500, (40_000, 10_000), 90_500, 66, 90),
        (90_500, (10_000, None), 90_500, 66, 90),
        (400, None, 400, 6_000, 1),
        (0, None, 0, 6_000, 1),
        (-500, None, -500, 6_000, 1),
        (90_500, (10_000, 40_000), 90_500, 66, 90),
        (60_000, None, None, 100, 60),
    ],
)
def test_dps_is_damage_by_the_meters_seconds(last_packet_ms, intermission, stored, dps, seconds):
    """The last but one stored a length that forgets the intermission, and divided by it: its DPS decides."""
    misc = {}
    if intermission:
        begin, end = (None if ms is None else START + ms for ms in intermission)
        misc = {"intermissionStart": begin, "intermissionEnd": end}
    document = fight(
        player(stats={"dps": dps}), misc=misc, lastCombatPacket=START + last_packet_ms, duration=stored
    )
    document["encounterDamageStats"]["dps"] = dps

    log = clean(document)

    assert (log.encounter["duration_s"], log.encounter["dps"], log.players[0]["dps"]) == (seconds, dps, dps)


SUPPORT, DEALER = {"classId": 204}, {"classId": 102}
PARTIES = {"0": ["Ann", "Bob", "Cid"], "1": ["Dan", "Eve"]}


def under_ap(name, damage, share, **more):
    return player(name, damage, stats={"buffedBySupport": share * damage // 100}, **more)


@pytest.mark.parametrize(
    ("misc", "ann", "dan"),
    [
        # Bob 1,200 of 6,000 and Cid 600 of 12,000, without Ann's own; Dan is a support beside Eve, another.
        ({"partyInfo": PARTIES}, 1_800 / 18_000, 0.5),
        # Who was with whom is not known, and five are more than one party.
        ({}, None, None),
    ],
)
def test_the_only_support_of_a_party_has_the_uptime_of_its_dealers(misc, ann, dan):
    logs = [
        under_ap("Ann", 600, 90, **SUPPORT), under_ap("Bob", 6_000, 20, **DEALER),
        under_ap("Cid", 12_000, 5, **DEALER), under_ap("Dan", 600, 50, **SUPPORT),
        under_ap("Eve", 600, 70, **SUPPORT),
    ]  # fmt: skip

    uptimes = {row["player_name"]: row["support_ap"] for row in clean(fight(*logs, misc=misc)).players}

    assert uptimes == {"Ann": ann, "Bob": 0.2, "Cid": 0.05, "Dan": dan, "Eve": 0.7 if misc else None}


def test_four_without_parties_are_one_party():
    log = clean(fight(under_ap("Ann", 600, 90, **SUPPORT), under_ap("Bob", 6_000, 20, **DEALER)))

    assert [row["support_ap"] for row in log.players] == [0.2, 0.2]


def test_what_a_log_lacks_is_null_and_never_zero():
    bare = {"name": "Ann", "entityType": "PLAYER", "damageStats": {"damageDealt": 6_000}}

    log = clean({"fightStart": START, "lastCombatPacket": START + 60_000, "entities": {"Ann": bare}})

    [row] = log.players
    known = {name for name, value in row.items() if value is not None}
    assert known == {"player_name", "is_name_known", "damage", "dps", "damage_share"}
    assert set(row) <= set(CORE_PLAYERS.names)
    nothing = (
        "difficulty",
        "is_cleared",
        "meter_version",
        "region",
        "meter_dps",
        "boss_hp_left",
        "raid_size",
    )
    assert [log.encounter[name] for name in nothing] == [None] * len(nothing)
    assert (log.encounter["damage"], log.encounter["meter_damage"]) == (6_000, None)
    assert (log.encounter["detail_level"], len(log.skills), log.hits.runs) == ("players", 0, [])


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (0, None),
        (0.0, None),
        (-1, None),
        (1_640.8333740234375, 1_640.83),
        (3_001, None),
        (None, None),
        (0.4, None),
    ],
)
def test_an_item_level_that_cannot_be_is_unknown(level, expected):
    assert item_level_or_none(level) == expected
    assert only_player(gearScore=level)["item_level"] == expected


@pytest.mark.parametrize(
    ("changes", "column", "expected"),
    [
        ({"combatPower": 0}, "combat_power", None),
        ({"combatPower": -5}, "combat_power", None),
        ({"combatPower": "inf"}, "combat_power", None),
        ({"combatPower": 2_345.6}, "combat_power", 2_345.6),
        ({"gearScore": "nan"}, "item_level", None),
        ({"classId": 701}, "class_name", "Guardianknight"),
        ({"classId": 702}, "class_name", "Guardianknight"),
        ({"classId": 0, "class": "버서커"}, "class_name", "Berserker"),
        ({"classId": 105, "spec": "Judgement"}, "spec_name", "Judgment"),
        ({"classId": 105, "spec": "Judgement"}, "is_support", False),
        ({"classId": 105, "spec": None}, "is_support", True),
        ({"classId": 104, "spec": "Princess Maker"}, "spec_name", "Princess"),
        ({"classId": 99_999, "class": "Nobody"}, "class_name", None),
    ],
)
def test_odd_facts_of_a_player(changes, column, expected):
    assert only_player(**changes)[column] == expected


@pytest.mark.parametrize(
    ("stored", "expected"), [(0.0, 0.0), (1.0, 1.0), (1.0001, None), (-0.1, None), (None, None)]
)
def test_an_adjusted_crit_rate_that_cannot_be_is_unknown(stored, expected):
    log = clean(fight(player(skills={"10": skill(adjustedCrit=stored)})))

    assert log.skills.columns()["adjusted_crit_rate"] == [expected]


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        ({"buffedBySupport": 3_000}, 0.5),
        ({"buffedBySupport": 3_000, "hyperAwakeningDamage": 2_000}, 0.75),
        ({"buffedBySupport": 6_000, "hyperAwakeningDamage": 5_999}, None),
        ({"buffedBySupport": 0}, 0.0),
        ({"buffedBySupport": 3_000, "hyperAwakeningDamage": 6_000}, None),
        ({}, None),
    ],
)
def test_an_uptime_that_is_not_stored_is_the_share_of_damage_under_the_buff(stats, expected):
    assert only_player(stats=stats)["support_ap"] == expected


@pytest.mark.parametrize(
    ("deaths", "expected"),
    [
        ({"deaths": 0}, (0, None, 0.0)),
        ({"deaths": 1, "deathInfo": [{"deathTime": START + 30_000, "deadFor": 5_000}]}, (1, 30.0, 5.0)),
        ({"deaths": 1, "deathInfo": [{"deathTime": START + 30_000, "deadFor": None}]}, (1, 30.0, 30.0)),
        (
            {
                "deaths": 2,
                "deathInfo": [
                    {"deathTime": START + 10_000, "deadFor": 4_000},
                    {"deathTime": START + 50_000, "deadFor": None},
                ],
            },
            (2, 50.0, 14.0),
        ),
        ({"deaths": 1, "deathInfo": [{"deathTime": START + 10_000, "deadFor": -7}]}, (1, 10.0, 0.0)),
        ({"deaths": 1, "deathInfo": [{"deathTime": 0, "deadFor": 5}]}, (1, None, None)),
        ({"deaths": 1, "deathTime": START + 40_000}, (1, 40.0, None)),
        ({"deaths": None}, (None, None, None)),
    ],
)
def test_deaths_give_their_last_second_and_the_time_spent_dead(deaths, expected):
    row = only_player(stats=deaths)

    assert (row["deaths"], row["died_at_s"], row["dead_s"]) == expected


def test_an_old_log_of_a_dead_player_counts_from_the_death_to_the_end():
    row = only_player(isDead=True, stats={"deaths": 1, "deathTime": START + 45_000})

    assert (row["dead_s"], row["is_dead"]) == (15.0, True)


@pytest.mark.parametrize(
    ("intervals", "seconds"),
    [
        ([], 0.0),
        ([(1_000, 2_000)], 2.0),
        ([(1_000, 2_000), (2_000, 3_000)], 4.0),
        ([(1_000, 9_000), (2_000, 1_000)], 9.0),
        ([(10_000, -1_500)], 1.5),
        ([(59_000, 9_000)], 1.0),
        ([(-5_000, 6_000)], 1.0),
        ([(70_000, 1_000)], 0.0),
    ],
)
def test_time_under_control_is_the_union_of_its_intervals_inside_the_fight(intervals, seconds):
    listed = [{"type": "FALL_DOWN", "timestamp": START + at, "duration": ms} for at, ms in intervals]

    assert only_player(stats={"incapacitations": listed})["incapacitated_s"] == seconds
    assert only_player(stats={"incapacitations": None})["incapacitated_s"] is None


@pytest.mark.parametrize(
    ("damage", "count", "expected"), [(0, 5, None), (0, 0, 0), (7, 5, 7), (None, 5, None)]
)
def test_a_zero_beside_hits_of_its_kind_was_not_measured(damage, count, expected):
    assert measured(damage, count) == expected


@pytest.mark.parametrize("is_valid", [True, False, None])
def test_contributions_count_only_where_the_meter_vouches_for_them(is_valid):
    stats = {"rdps": 120, "ndps": 90, "rdpsDamageGiven": 5}

    row = clean(fight(player(stats=stats), misc={"rdpsValid": is_valid})).players[0]

    expected = (120, 90, 5) if is_valid else (None, None, None)
    assert (row["rdps"], row["ndps"], row["rdps_damage_given"]) == expected


@pytest.mark.parametrize(
    ("points", "fractions"),
    [
        ([(0, 1.0), (9, 0.5), (10, 0.004)], [1.0, 0.5, 0.004]),
        ([(0, 100.0), (9, 50.0), (10, 0.4)], [1.0, 0.5, 0.004]),
        ([(0, 1.2), (9, -0.1)], [1.0, 0.0]),
        ([(0, None)], None),
        ([(0, "nan"), (4, 0.5)], [0.5]),
    ],
)
def test_boss_hp_is_a_fraction_whatever_the_meter_wrote(points, fractions):
    """The last tenth of a percent of an old log reads like a fraction: the log as a whole decides."""
    log = {"Aegir, the Oppressor": [{"time": at, "hp": 5, "p": p} for at, p in points]}
    document = fight()
    document["encounterDamageStats"]["bossHpLog"] = log

    encounter = clean(document).encounter

    assert encounter["boss_hp"] == (fractions and pytest.approx(fractions))
    assert encounter["boss_hp_left"] == (fractions and pytest.approx(fractions[-1]))


@pytest.mark.parametrize(("current", "left"), [(-428_339, 0.0), (250, 0.25), (1_200, 1.0)])
def test_boss_hp_left_comes_from_the_boss_entity(current, left):
    boss = {"name": "Aegir, the Oppressor", "entityType": "BOSS", "currentHp": current, "maxHp": 1_000}
    document = fight()
    document["entities"][boss["name"]] = boss

    encounter = clean(document).encounter

    assert (encounter["boss_hp_left"], encounter["boss_max_hp"], encounter["player_count"]) == (
        left,
        1_000,
        1,
    )


@pytest.mark.parametrize(
    ("word", "version", "expected"),
    [("Hard", "1.48.0", "Hard"), ("Special", "1.11.0", "Solo"), ("", None, None), (None, None, None)],
)
def test_difficulty_words_become_one_and_the_reported_one_stays(word, version, expected):
    encounter = clean(fight(difficulty=word, misc={"version": version})).encounter

    assert (encounter["difficulty"], encounter["difficulty_reported"]) == (expected, word or None)


@pytest.mark.parametrize(
    ("boss", "difficulty", "expected"),
    [
        ("Narok the Butcher", "Hard", ("Act 2: Brelshaza", "G1", None)),
        ("Aegir, the Oppressor", None, ("Aegir", "G2", None)),
        ("Nobody", "Hard", (None, None, None)),
    ],
)
def test_the_gate_comes_from_the_boss(boss, difficulty, expected):
    encounter = clean(fight(currentBossName=boss, difficulty=difficulty)).encounter

    assert (encounter["raid_name"], encounter["gate_name"], encounter["gate_candidates"]) == expected


@pytest.mark.parametrize(
    ("max_hp", "expected"),
    [
        (None, (None, None, "ambiguous", 3)),
        (800_000_000_000, ("Act 2: Brelshaza", "G2", "boss_hp", 0)),
        (3_000_000_000, ("Brelshaza", None, "ambiguous", 2)),
    ],
)
def test_an_ambiguous_brelshaza_is_resolved_by_hp_or_lists_its_candidates(max_hp, expected):
    name = "Phantom Legion Commander Brelshaza"
    document = fight(currentBossName=name)
    if max_hp:
        boss = {"name": name, "entityType": "BOSS", "currentHp": 1, "maxHp": max_hp}
        document["entities"][name] = boss

    encounter = clean(document).encounter

    candidates = (encounter["gate_candidates"] or "").split("; ")
    raid, gate, resolution, count = expected
    assert (encounter["raid_name"], encounter["gate_name"], encounter["gate_resolution"]) == (
        raid,
        gate,
        resolution,
    )
    assert len([one for one in candidates if one]) == count


@pytest.mark.parametrize("name", ["You", "74bfd02", "Bard #7", "Unknown", "0a1b2c3d"])
def test_mock_servers_are_no_names(name):
    assert not is_name_known(name)


@pytest.mark.parametrize("name", ["Youna", "Faced", "Cafebabe", "슬레이어", "Plé4", "Deadbeefcafe"])
def test_names_are_names(name):
    assert is_name_known(name)


def test_detail_ranks_before_players_and_players_before_names():
    ann, you = {"is_name_known": True}, {"is_name_known": False}

    ranks = [
        completeness("players", [ann] * 16), completeness("skills", [you]), completeness("skills", [ann]),
        completeness("skills", [you, you]), completeness("hits", [you]),
    ]  # fmt: skip
    assert ranks == sorted(ranks)


def test_names_of_any_kind_go_through():
    names = ["", "x" * 50_000, "a b\u200bc", "💥🐉", "ﷺ"]

    log = clean(fight(*(player(name or "0", 600) for name in names)))

    assert {p["player_name"] for p in log.players} == {name or "0" for name in names}


@pytest.mark.parametrize("sign", ["\x00", "\x01", "\n", "\x1f", "\x7f", "\uffff"])
@pytest.mark.parametrize(
    "document",
    [
        lambda name: fight(player(name)),
        lambda name: fight(player(skills={"10": skill(name=name)})),
        lambda name: fight(misc={"region": name}),
        lambda name: fight(currentBossName=name),
    ],
    ids=["player", "skill", "region", "boss"],
)
def test_names_that_svg_and_postgresql_can_not_hold_are_refused(document, sign):
    assert clean(document("한국어")).players

    cleaned = Cleaned()
    clean_into(cleaned, raw_rows(document(f"A{sign}B"))[0], RULES, Stamp("run", NOW))

    [entry] = build_tables(cleaned)["core_quarantine"].to_pylist()
    assert entry["reason_code"] == "impossible_value"
    assert "without control characters" in entry["detail"]
    assert not any(CONTROL.search(text) for text in entry.values() if isinstance(text, str))


def test_a_meter_that_stored_no_dps_of_players_has_none_to_compare():
    row = only_player(stats={"dps": 0})

    assert (row["dps"], row["meter_dps"]) == (100, None)


@pytest.mark.parametrize("part", ["critDamage", "backAttackDamage", "frontAttackDamage"])
def test_no_part_of_the_damage_is_more_than_all_of_it(part):
    assert only_player(stats={part: 6_000})["damage"] == 6_000

    refused = refusal(fight(player(stats={part: 6_001})))

    assert (refused.reason_code, refused.locator) == ("impossible_value", "Ann")
    assert "expected at most 6,000 damage" in refused.detail


def test_skills_are_known_by_the_key_that_the_meter_kept_them_under():
    skills = {"10": skill(damage=4_000, key=99), "11": skill(damage=2_000, key=99, name="11")}

    log = clean(fight(player(skills=skills)))

    stored = (log.skills.columns()[name] for name in ("skill_id", "damage", "skill_name"))
    assert [*zip(*stored, strict=True)] == [(10, 4_000, "Slash"), (11, 2_000, None)]


def test_hits_come_out_by_player_skill_and_time():
    def with_hits(name):
        casts = [
            {"hits": [hit(900, 2_000, crit=True), hit(100, 1_000)]},
            {"hits": None},
            {"hits": [hit(500, 3_000)]},
        ]
        return player(name, skills={"10": skill(damage=0), "2": skill(key=2, skillCastLog=casts)})

    hits = clean(fight(with_hits("Bob"), with_hits("Ann"))).hits

    assert hits.runs == [("Ann", 2, 3), ("Bob", 2, 3)]
    assert hits.arrays["hit_at_ms"].tolist() == [100, 500, 900] * 2
    assert hits.arrays["damage"].tolist() == [1_000, 3_000, 2_000] * 2
    assert hits.arrays["is_crit"].tolist() == [False, False, True] * 2


@pytest.mark.parametrize(("listed", "coverage"), [(6_000, 1.0), (3_000, 0.5), (6_005, 1.0)])
def test_hit_coverage_is_the_share_that_the_hits_explain(listed, coverage):
    log = clean(fight(player(skills={"10": skill(skillCastLog=[{"hits": [hit(5, listed)]}])})))

    assert log.players[0]["hit_coverage"] == coverage
    assert log.encounter["detail_level"] == "hits"


@pytest.mark.parametrize(("key", "number"), [("0", 1), ("3", 4), ("4", None), ("²", None), ("x", None)])
def test_party_numbers_count_from_one_and_end_at_four(key, number):
    log = clean(fight(misc={"partyInfo": {key: ["Ann"]}}))

    assert log.players[0]["party_number"] == number


def raw_rows(*documents):
    return [
        {
            "log_id": f"{n:016x}" * 2, "source": "s", "source_log_id": str(n), "log_format": "upload_json",
            "fight_date": date(2025, 10, 9), "fetched_at": NOW, "payload": json.dumps(document).encode(),
        }
        for n, document in enumerate(documents)
    ]  # fmt: skip


def test_one_bad_log_among_good_ones_leaves_them_alone():
    bad = copy.deepcopy(fight())
    bad["entities"]["0"]["classId"] = 2**40

    cleaned = Cleaned()
    for row in raw_rows(fight(), bad, fight()):
        clean_into(cleaned, row, RULES, Stamp("run", NOW))
    tables = build_tables(cleaned)

    assert tables["core_encounters"]["log_id"].to_pylist() == [f"{n:016x}" * 2 for n in (0, 2)]
    [entry] = tables["core_quarantine"].to_pylist()
    assert (entry["scope"], entry["source_log_id"], entry["locator"]) == ("log", "1", "core_players, Ann")
    assert entry["detail"].startswith(
        "expected class_id in -2,147,483,648 to 2,147,483,647, found 1099511627776"
    )
