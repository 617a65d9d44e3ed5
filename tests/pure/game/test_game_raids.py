"""A gate is resolved from a log's or an import's facts, and never guessed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lostark_assets.game.bosses import KOREAN_OF_BOSS, MAIN_BOSS_OF
from lostark_assets.game.raids import (
    RAIDS,
    boss_korean,
    canonical_boss,
    find_raid,
    gate_from_text,
    raid_korean,
    resolve_gate,
    resolve_named_gate,
)

PHANTOM = "Phantom Legion Commander Brelshaza"
OLD_GATES = (("Brelshaza", "G4"), ("Brelshaza", "G6"))
ACT_2 = ("Act 2: Brelshaza", "G2")
BEFORE_ACT_2 = datetime(2024, 9, 24, 23, tzinfo=UTC)
BOSSES = [(boss, gate, raid) for raid in RAIDS for gate in raid.gates for boss in gate.bosses]


def described(match):
    return match.raid_name, match.gate_name, match.resolution


@pytest.mark.parametrize(("boss", "gate", "raid"), BOSSES, ids=lambda v: v if isinstance(v, str) else "")
def test_every_boss_leads_to_its_gate_in_both_languages(boss, gate, raid):
    expected = (gate.raid_name, gate.gate_name)
    spelled = [boss, boss.upper(), f"  {boss.replace(' ', '_')} ", KOREAN_OF_BOSS.get(boss, boss)]

    for name in spelled:
        match = resolve_gate(name)
        assert expected in match.candidates
        if len(match.candidates) == 1:
            assert (*described(match), match.players) == (*expected, "boss", raid.players)


def test_only_two_names_occur_in_more_than_one_gate():
    names = {name for boss, _, _ in BOSSES for name in (boss, KOREAN_OF_BOSS.get(boss, boss))}

    assert {name for name in names if len(resolve_gate(name).candidates) > 1} == {
        PHANTOM,
        "몽환군단장 아브렐슈드",
        "욕망의 주인, 에키드나",
    }


def test_korean_names_belong_to_bosses_of_the_table():
    assert set(KOREAN_OF_BOSS) | set(MAIN_BOSS_OF.values()) <= {boss for boss, _, _ in BOSSES}


@pytest.mark.parametrize(
    ("known", "raid_name", "gate_name", "resolution"),
    [
        ({}, None, None, "ambiguous"),
        ({"difficulty": "Hard"}, None, None, "ambiguous"),
        ({"difficulty": "Nightmare"}, None, None, "ambiguous"),
        ({"difficulty": "Mythic"}, None, None, "ambiguous"),
        ({"boss_max_hp": 399_000_000_000}, *ACT_2, "boss_hp"),
        ({"boss_max_hp": 100_000_000_001}, *ACT_2, "boss_hp"),
        ({"boss_max_hp": 100_000_000_000}, "Brelshaza", None, "ambiguous"),
        ({"boss_max_hp": 3_000_000_000}, "Brelshaza", None, "ambiguous"),
        ({"boss_max_hp": 3_000_000_000, "difficulty": "Solo"}, None, None, "ambiguous"),
        ({"boss_max_hp": 0}, None, None, "ambiguous"),
        ({"boss_max_hp": -5}, None, None, "ambiguous"),
        ({"difficulty": "Extreme Hard"}, *ACT_2, "difficulty"),
        ({"difficulty": "익스트림"}, *ACT_2, "difficulty"),
        ({"difficulty": "Inferno"}, "Brelshaza", None, "ambiguous"),
        ({"fight_started_at": BEFORE_ACT_2}, "Brelshaza", None, "ambiguous"),
        ({"fight_started_at": datetime(2023, 1, 1)}, "Brelshaza", None, "ambiguous"),  # noqa: DTZ001 (no zone)
        ({"fight_started_at": BEFORE_ACT_2 + timedelta(days=200)}, None, None, "ambiguous"),
        ({"players": 8}, None, None, "ambiguous"),
        ({"boss_max_hp": 399_000_000_000, "fight_started_at": BEFORE_ACT_2}, *ACT_2, "boss_hp"),
    ],
)
def test_the_shared_boss_of_two_raids_is_only_resolved_by_facts(known, raid_name, gate_name, resolution):
    match = resolve_gate(PHANTOM, **known)

    assert described(match) == (raid_name, gate_name, resolution)
    assert match.players == 8
    assert set(match.candidates) <= {*OLD_GATES, ACT_2}
    assert (raid_name == "Brelshaza") == (match.candidates == OLD_GATES)


def test_the_day_a_raid_opened_is_counted_in_utc():
    korea = timezone(timedelta(hours=9))
    opening = datetime(2025, 8, 20, 1, tzinfo=korea)

    assert described(resolve_gate("욕망의 주인, 에키드나", fight_started_at=opening)) == (
        "Echidna",
        "G2",
        "time",
    )
    later = opening + timedelta(hours=9)
    assert resolve_gate("욕망의 주인, 에키드나", fight_started_at=later).resolution == "ambiguous"


@pytest.mark.parametrize("name", [None, "", "   ", "Celestial Sentinel", "Field Boss", "?"])
def test_an_unknown_boss_is_unknown(name):
    match = resolve_gate(name, difficulty="Hard", boss_max_hp=10**12)

    assert described(match) == (None, None, "unknown")
    assert match.candidates == ()
    assert match.players is None


@pytest.mark.parametrize(
    ("part", "boss", "gate"),
    [
        ("Chaos Lightning Dragon Jade", "Argeos", ("Guardian Raids", "Argeos")),
        ("Vicious Argeos", "Behemoth, the Storm Commander", ("Behemoth", "G1")),
        ("despicable skolakia", "Behemoth, the Storm Commander", ("Behemoth", "G1")),
        ("Krathios's Tail", "Krathios", ("Guardian Raids", "Krathios")),
        ("Krathios’s Tail", "Krathios", ("Guardian Raids", "Krathios")),
        ("소나벨+", "Sonavel", ("Guardian Raids", "Sonavel")),
        ("Argeos", "Argeos", ("Guardian Raids", "Argeos")),
    ],
)
def test_a_part_of_a_boss_counts_as_the_boss(part, boss, gate):
    assert canonical_boss(part) == boss
    assert described(resolve_gate(part)) == (*gate, "boss")


def test_a_korean_name_of_two_bosses_has_no_canonical_boss():
    assert canonical_boss("욕망의 주인, 에키드나") is None
    assert canonical_boss("no such boss") is None
    assert boss_korean("Act 4: Covetous Master Echidna") == "욕망의 주인, 에키드나"
    assert boss_korean("Vicious Argeos") == "폭풍의 지휘관, 베히모스"
    assert boss_korean("Narok the Butcher") is None


@pytest.mark.parametrize("raid", RAIDS, ids=lambda r: r.name)
def test_every_name_of_a_raid_leads_to_it_and_its_sizes_are_real(raid):
    assert {find_raid(name).name for name in (raid.name, raid.korean, *raid.aliases)} == {raid.name}
    assert raid_korean(raid.name) == raid.korean
    assert raid.players in (4, 8, 16)
    assert set(raid.min_item_level) <= set(raid.difficulties)
    assert {gate.raid_name for gate in raid.gates} == {raid.name}
    assert len({gate.gate_name for gate in raid.gates}) == len(raid.gates)


@pytest.mark.parametrize("gate", ["G1", "g1", 1, "1", "1.0", "Gate 1", "1관문", "관문 1", " G 1 "])
@pytest.mark.parametrize("raid", ["Aegir", "에기르", "1막", "act 1: aegir"])
def test_an_import_names_a_gate_in_its_own_words(raid, gate):
    match = resolve_named_gate(raid, gate)

    assert described(match) == ("Aegir", "G1", "import")
    assert match.players == 8


@pytest.mark.parametrize(
    ("raid", "gate", "boss", "expected"),
    [
        ("Brelshaza", "G4", None, ("Brelshaza", "G4", "import")),
        ("Brelshaza", "G4", PHANTOM, ("Brelshaza", "G4", "import")),
        ("2막 아브렐슈드", 2, PHANTOM, (*ACT_2, "import")),
        ("Brelshaza", "G1", "Narok the Butcher", ("Act 2: Brelshaza", "G1", "boss")),
        ("Brelshaza", None, PHANTOM, ("Brelshaza", None, "ambiguous")),
        ("Act 2: Brelshaza G2", None, None, (*ACT_2, "import")),
        ("Echidna", None, "Agris", ("Echidna", "G1", "import")),
        ("Aegir", None, None, ("Aegir", None, "ambiguous")),
        ("Aegir", "", None, ("Aegir", None, "ambiguous")),
        ("Aegir", "G7", None, ("Aegir", None, "unknown")),
        ("Aegir", "last", None, ("Aegir", None, "unknown")),
        ("Aegir", "10", None, ("Aegir", None, "unknown")),
        ("Assault: Crimson Abyss", None, None, ("Assault: Crimson Abyss", "G1", "import")),
        ("Guardian Raids", "Sonavel", None, ("Guardian Raids", "Sonavel", "import")),
        ("가디언 토벌", "소나벨", None, ("Guardian Raids", "Sonavel", "boss")),
        ("Sonavel", None, None, ("Guardian Raids", "Sonavel", "boss")),
        (None, "G1", "Saydon", ("Clown", "G1", "boss")),
        ("no such raid", "G1", None, (None, None, "unknown")),
        (None, None, None, (None, None, "unknown")),
    ],
)
def test_an_import_is_believed_unless_the_boss_contradicts_it(raid, gate, boss, expected):
    assert described(resolve_named_gate(raid, gate, boss)) == expected


@pytest.mark.parametrize(
    ("text", "raid_name", "gate_name", "difficulty"),
    [
        ("Aegir_G1_Hard", "Aegir", "G1", "Hard"),
        ("Aegir_G1_Hard_long", "Aegir", "G1", "Hard"),
        ("Aegir_G1_Hard.parquet", "Aegir", "G1", "Hard"),
        ("2024-10-30_Aegir_G2_Hard", "Aegir", "G2", "Hard"),
        ("AegirG2_Hard", "Aegir", "G2", "Hard"),
        ("Echidna_G2_Normal", "Echidna", "G2", "Normal"),
        ("thaemine-g4-hard", "Thaemine", "G4", "Hard"),
        ("Thaemine_G4_The_First", "Thaemine", "G4", "The First"),
        ("Thaemine G4 Extreme Hard", "Thaemine", "G4", "Extreme Hard"),
        ("Act 2: Brelshaza_G2_Normal", "Act 2: Brelshaza", "G2", "Normal"),
        ("Brelshaza_Act_2_G1", "Act 2: Brelshaza", "G1", None),
        ("Brelshaza_G4_Hard", "Brelshaza", "G4", "Hard"),
        ("Horizon_Cathedral_Level_2_Gate_1", "Horizon Cathedral", "G1", "Level 2"),
        ("에기르 1관문 하드", "Aegir", "G1", "Hard"),
        ("Aegir 2", "Aegir", "G2", None),
        ("Sonavel", "Guardian Raids", "Sonavel", None),
        ("Argeos_Trial", "Guardian Raids", "Argeos", "Trial"),
        ("Akkan, Lord of Death_Hard", "Aegir", "G1", "Hard"),
        ("Phantom Legion Commander Brelshaza_Extreme", "Act 2: Brelshaza", "G2", "Extreme"),
        ("Serca_G1_Inferno", "Serca", "G1", "Nightmare"),
        ("Echidna", "Echidna", None, None),
        ("Aegir_Hard", "Aegir", None, "Hard"),
        ("Aegir_G9_Hard", "Aegir", None, "Hard"),
        ("export_Hard", None, None, "Hard"),
        ("encounters", None, None, None),
        ("", None, None, None),
    ],
)
def test_a_file_stem_names_gate_and_difficulty(text, raid_name, gate_name, difficulty):
    match, word = gate_from_text(text)

    assert (match.raid_name, match.gate_name, word) == (raid_name, gate_name, difficulty)


@given(st.sampled_from([(r, g) for r in RAIDS if r.kind != "guardian" for g in r.gates]), st.data())
def test_a_stem_built_from_the_table_is_read_back(raid_and_gate, data):
    raid, gate = raid_and_gate
    word = data.draw(st.sampled_from([d for d in raid.difficulties if d != "Extreme"]))
    name = data.draw(st.sampled_from([raid.name, raid.korean]))
    separator = data.draw(st.sampled_from(["_", "-", " "]))

    match, difficulty = gate_from_text(separator.join([name, gate.gate_name, word]).replace(" ", separator))

    assert (match.raid_name, match.gate_name, difficulty) == (raid.name, gate.gate_name, word)


@given(st.text(max_size=60))
def test_any_text_is_answered_without_an_error(text):
    match, _ = gate_from_text(text)

    assert resolve_gate(text).resolution in ("boss", "ambiguous", "unknown")
    assert resolve_named_gate(text, text, text) is not None
    assert (match.resolution == "unknown") <= (match.candidates == ())
