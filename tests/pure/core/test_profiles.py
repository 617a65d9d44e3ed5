"""Which profile counts for a player: the latest one before the fight, of the same character, not too old."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from lostark_assets.contracts.core import CORE_ENCOUNTERS, CORE_PLAYERS, PROFILE
from lostark_assets.contracts.expectations import examine
from lostark_assets.contracts.raw import RAW_ARMORY_PROFILES
from lostark_assets.sources.open_api_parse import ArmoryProfile, Engraving
from lostark_assets.sources.profiles import INDEX_COLUMNS, ProfileRules, attach_profiles

FIGHT = datetime(2026, 9, 2, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RULES = ProfileRules(max_age=timedelta(days=7))


def profile(key, at, name="이다", region="KR", status="found", **facts):
    row = {"profile_id": key, "region": region, "character_name": name, "fetched_at": at, "status": status}
    return row, ArmoryProfile(**({"class_name": "Bard", "combat_power": 2000.0} | facts))


def player(name="이다", encounter="e1", **more):
    return {
        "log_id": encounter * 2, "encounter_id": encounter, "fight_date": FIGHT.date(), "player_name": name,
        "is_name_known": True, "class_name": "Bard",
    } | more  # fmt: skip


def fight(encounter="e1", at=FIGHT, region="KR", ntp=None):
    return {"encounter_id": encounter, "fight_started_at": at, "fight_started_ntp_at": ntp, "region": region}


def attach(players, profiles, fights=None, rules=RULES):
    """Rows with their profile columns, and which bodies were requested."""
    index = pa.Table.from_pylist(
        [row for row, _ in profiles],
        schema=pa.schema([RAW_ARMORY_PROFILES.schema.field(c) for c in INDEX_COLUMNS]),
    )
    encounters = pa.Table.from_pylist(
        fights or [fight()],
        schema=pa.schema(
            [CORE_ENCOUNTERS.schema.field(c).with_nullable(nullable=True) for c in CORE_ENCOUNTERS.names]
        ),
    )
    rows = CORE_PLAYERS.conform(pa.Table.from_pylist(players)).cast(CORE_PLAYERS.schema)
    requested = set()

    def read(ids):
        requested.update(ids)
        return {row["profile_id"]: parsed for row, parsed in profiles if row["profile_id"] in ids}

    return attach_profiles(rows, encounters, index, read, rules), requested


def chosen(players, profiles, fights=None, rules=RULES):
    return attach(players, profiles, fights, rules)[0]["profile_id"].to_pylist()


@pytest.mark.parametrize(
    ("fetched", "expected"),
    [
        ([-3600], ["p0"]),
        ([0], ["p0"]),
        ([1], [None]),
        ([3600], [None]),
        ([-7200, -3600, 3600], ["p1"]),
        ([3600, -3600, -7200], ["p1"]),
        ([-7200, 0, 1], ["p1"]),
        ([-7 * 86_400], ["p0"]),
        ([-7 * 86_400 - 1], [None]),
        ([-30 * 86_400, 60], [None]),
        ([], [None]),
    ],
)
def test_the_latest_profile_at_or_before_the_start_counts(fetched, expected):
    profiles = [profile(f"p{place}", FIGHT + s * SECOND) for place, s in enumerate(fetched)]

    assert chosen([player()], profiles) == expected


def test_each_fight_of_a_character_has_its_own_profile():
    starts = {"e1": FIGHT, "e2": FIGHT + timedelta(days=1), "e3": FIGHT + timedelta(days=30)}
    profiles = [profile("old", FIGHT - SECOND), profile("new", FIGHT + timedelta(hours=5))]

    assert chosen(
        [player(encounter=e) for e in ("e2", "e3", "e1")],
        profiles,
        [fight(e, at) for e, at in starts.items()],
    ) == ["new", None, "old"]


def test_the_same_name_in_another_region_is_another_character():
    profiles = [profile("korea", FIGHT - 2 * SECOND), profile("west", FIGHT - SECOND, region="NAE")]
    fights = [fight("k", region="KR"), fight("w", region="NAE"), fight("x", region="EUC")]

    assert chosen([player(encounter=e) for e in "kwx"], profiles, fights) == ["korea", "west", None]


def test_regions_that_the_api_serves_are_a_setting():
    rules = ProfileRules(regions=frozenset({"KR", "NAE"}))
    fights = [fight("n", region="NAE"), fight("e", region="EUC"), fight("u", region=None)]

    assert chosen([player(encounter=e) for e in "neu"], [profile("p", FIGHT)], fights, rules) == [
        "p",
        None,
        None,
    ]


def test_a_log_without_a_region_needs_a_class_that_agrees():
    profiles = [profile("p", FIGHT), profile("blank", FIGHT, name="b", class_name=None)]
    players = [
        player(), player(encounter="e2", class_name=None), player(encounter="e3", class_name="Paladin"),
        player("b", encounter="e4"),
    ]  # fmt: skip

    assert chosen(players, profiles, [fight(f"e{n}", region=None) for n in (1, 2, 3, 4)]) == [
        "p",
        None,
        None,
        None,
    ]


def test_a_profile_of_another_class_is_another_characters():
    """Names pass on, also to a character of another server: the API knows one of each."""
    profiles = [
        profile("bard", FIGHT - timedelta(days=2), server_name="루페온"),
        profile("taker", FIGHT - timedelta(days=1), server_name="아만", class_name="Berserker"),
    ]
    rows, _ = attach(
        [
            player(), player(encounter="e2", class_name="Berserker"), player(encounter="e3"),
            player(encounter="e4", class_name=None),
        ],
        profiles,
        [fight(), fight("e2"), fight("e3", FIGHT - timedelta(days=1, hours=1)), fight("e4")],
    )  # fmt: skip

    assert rows["profile_id"].to_pylist() == [None, "taker", "bard", "taker"]
    assert rows["profile_server_name"].to_pylist() == [None, "아만", "루페온", "아만"]


def test_an_answer_that_knew_no_such_character_is_no_profile_and_hides_none():
    profiles = [profile("p", FIGHT - 9 * SECOND), profile("u", FIGHT - SECOND, status="unknown")]

    assert chosen([player(), player("아무도", encounter="e2")], profiles, [fight(), fight("e2")]) == [
        "p",
        None,
    ]


def test_mock_servers_have_no_profile_and_names_are_compared_composed():
    apart = unicodedata.normalize("NFD", "이다")

    assert chosen(
        [player(apart), player(encounter="e2", is_name_known=False)],
        [profile("p", FIGHT)],
        [fight(), fight("e2")],
    ) == ["p", None]


@pytest.mark.parametrize("behind_s", [-600, 600])
def test_of_two_clocks_the_earlier_one_bounds_the_profile(behind_s):
    profiles = [profile("safe", FIGHT - timedelta(hours=1)), profile("late", FIGHT - timedelta(minutes=5))]
    fights = [fight(ntp=FIGHT + timedelta(seconds=behind_s))]

    assert chosen([player()], profiles, fights) == ["safe" if behind_s < 0 else "late"]


def test_two_profiles_of_one_moment_give_the_same_one_in_any_order():
    profiles = [profile("a", FIGHT), profile("b", FIGHT)]

    assert chosen([player()], profiles) == chosen([player()], profiles[::-1]) == ["b"]


def test_all_columns_come_from_the_profile_and_hold_their_contract():
    whole = profile(
        "p" * 32, FIGHT - SECOND, server_name="루페온", spec_name="Desperate Salvation", item_level=1752.5,
        combat_power=4615.34, engravings=(Engraving("각성", 3, None), Engraving("원한", None, "유물")),
        gem_levels=(10, 9, 9), evolution=120, enlightenment=101, leap=70,
        ark_grid=(("질서의 해 코어", 20), ("혼돈의 달 코어", None)), card_sets=("세상을 구하는 빛 6세트",),
    )  # fmt: skip
    rows, _ = attach([player(), player("b")], [whole])

    first, second = rows.select([c.name for c in PROFILE]).to_pylist()
    assert first == {
        "combat_power_source": "profile", "profile_id": "p" * 32, "profile_at": FIGHT - SECOND,
        "profile_server_name": "루페온", "profile_item_level": 1752.5, "profile_combat_power": 4615.34,
        "profile_spec_name": "Desperate Salvation", "engravings": ["각성", "원한"],
        "engraving_levels": [3, None], "engraving_grades": [None, "유물"], "gem_levels": [10, 9, 9],
        "ark_passive_evolution": 120, "ark_passive_enlightenment": 101, "ark_passive_leap": 70,
        "ark_grid_cores": ["질서의 해 코어", "혼돈의 달 코어"], "ark_grid_points": [20, None],
        "card_sets": ["세상을 구하는 빛 6세트"],
    }  # fmt: skip
    assert set(second.values()) == {None}
    assert rows.schema.equals(CORE_PLAYERS.schema)
    assert [str(f) for f in examine(CORE_PLAYERS, rows) if not f.passed] == []


def test_the_logs_own_combat_power_stays_and_the_profiles_stands_in_where_there_is_none():
    players = [
        player(combat_power=1500.0),
        player("b", combat_power=None),
        player("c", combat_power=1.0),
        player("d"),
    ]
    rows, _ = attach(
        players,
        [
            profile("p1", FIGHT),
            profile("p2", FIGHT, name="b"),
            profile("p4", FIGHT, name="d", combat_power=None),
        ],
    )

    assert rows["combat_power"].to_pylist() == [1500.0, 2000.0, 1.0, None]
    assert rows["combat_power_source"].to_pylist() == ["log", "profile", "log", None]
    assert rows["profile_combat_power"].to_pylist() == [2000.0, 2000.0, None, None]
    assert rows["profile_id"].to_pylist() == ["p1", "p2", None, "p4"]


def test_only_the_bodies_that_count_are_read_and_an_unreadable_one_adds_nothing():
    profiles = [profile(f"p{n}", FIGHT - n * SECOND) for n in range(5)] + [profile("x", FIGHT, name="other")]
    _, requested = attach([player()], profiles)
    assert requested == {"p0"}

    index = pa.Table.from_pylist([profiles[0][0]])
    encounters = CORE_ENCOUNTERS.conform(pa.Table.from_pylist([fight()]))
    rows = attach_profiles(
        CORE_PLAYERS.conform(pa.Table.from_pylist([player()])), encounters, index, lambda _: {}, RULES
    )
    assert rows["profile_id"].to_pylist() == [None]


def test_no_players_and_no_profiles_are_fine():
    index = RAW_ARMORY_PROFILES.empty().select(INDEX_COLUMNS)

    rows = attach_profiles(CORE_PLAYERS.empty(), CORE_ENCOUNTERS.empty(), index, lambda _: {}, RULES)
    assert rows.schema.equals(CORE_PLAYERS.schema)
    assert rows.num_rows == 0
