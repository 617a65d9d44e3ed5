"""Bodies of the combined armory call: whatever is missing, null or of another type reads as unknown."""

from __future__ import annotations

import json

import pytest

from lostark_assets.sources.open_api_parse import (
    ArmoryProfile,
    Engraving,
    find_drift,
    parse_profile,
    plain_text,
)


def body(**parts):
    whole = {
        "ArmoryProfile": {
            "ServerName": "루페온", "CharacterName": "이다", "CharacterClassName": "홀리나이트",
            "ItemAvgLevel": "1,760.00", "CombatPower": "4,351.68",
        },
        "ArmoryEngraving": {
            "Engravings": None, "Effects": None,
            "ArkPassiveEffects": [
                {"AbilityStoneLevel": 4, "Grade": "유물", "Level": 4, "Name": "원한", "Description": "<BR>"},
                {"AbilityStoneLevel": None, "Grade": "전설", "Level": 3, "Name": "각성", "Description": ""},
            ],
        },
        "ArmoryGem": {
            "Gems": [
                {"Slot": 0, "Name": "<P ALIGN='CENTER'>9레벨 겁화의 보석</P>", "Level": 9, "Grade": "유물"},
                {"Slot": 1, "Name": "10레벨", "Level": 10, "Grade": "고대"},
            ],
            "Effects": None,
        },
        "ArkPassive": {
            "Title": "축복의 오라", "IsArkPassive": True, "Effects": [],
            "Points": [
                {"Name": "진화", "Value": 120}, {"Name": "깨달음", "Value": 101},
                {"Name": "도약", "Value": 70},
            ],
        },
        "ArkGrid": {
            "Slots": [
                {"Index": 1, "Name": "혼돈의 달 코어 : 불타는 일격", "Point": 17, "Gems": None},
                {"Index": 0, "Name": "질서의 해 코어 : 수라안", "Point": 20, "Gems": None},
            ],
            "Effects": None,
        },
        "ArmoryCard": {
            "Cards": [],
            "Effects": [
                {"Items": [{"Name": "빛 2세트"}, {"Name": "빛 6세트 (30각성합계)"}]},
                {"Items": [{"Name": "남겨진 바람의 절벽 2세트"}]},
            ],
        },
    }  # fmt: skip
    whole |= parts
    return json.dumps({k: v for k, v in whole.items() if v != "gone"}, ensure_ascii=False).encode()


def build_profile(**fields):
    return parse_profile(body(ArmoryProfile={"CharacterName": "a"} | fields))


def test_every_part_of_a_whole_body_is_read():
    assert parse_profile(body()) == ArmoryProfile(
        character_name="이다",
        server_name="루페온",
        class_name="Paladin",
        spec_name="Blessed Aura",
        item_level=1760.0,
        combat_power=4351.68,
        engravings=(Engraving("각성", 3, "전설"), Engraving("원한", 4, "유물")),
        gem_levels=(10, 9),
        evolution=120,
        enlightenment=101,
        leap=70,
        ark_grid=(("질서의 해 코어 : 수라안", 20), ("혼돈의 달 코어 : 불타는 일격", 17)),
        card_sets=("빛 6세트 (30각성합계)", "남겨진 바람의 절벽 2세트"),
    )


@pytest.mark.parametrize(
    "unknown", [b"null", b" null\r\n", b"{}", body(ArmoryProfile=None), body(ArmoryProfile="gone")]
)
def test_a_name_that_the_api_does_not_know_is_no_profile(unknown):
    assert parse_profile(unknown) is None


@pytest.mark.parametrize("broken", [b"", b"<html>", b'{"ArmoryProfile": ', b"[]", b'"text"'])
def test_what_is_no_json_object_is_an_error(broken):
    with pytest.raises(ValueError, match="expected"):
        parse_profile(broken)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,760.00", 1760.0), ("999.17", 999.17), ("1,234,567.5", 1234567.5), (2751.36, 2751.36),
        (2751, 2751.0),
        ("0.00", None), ("", None), ("없음", None), (None, None), (True, None), ("-5", None), ("nan", None),
        ("1e999", None), ([], None), ("9" * 400, None),
    ],
)  # fmt: skip
def test_figures_are_texts_with_commas_and_nonsense_is_unknown(text, number):
    assert build_profile(CombatPower=text).combat_power == number


@pytest.mark.parametrize(("text", "level"), [("1,700.83", 1700.83), ("0.00", None), ("3,001.00", None)])
def test_an_item_level_is_one_that_can_be(text, level):
    assert build_profile(ItemAvgLevel=text).item_level == level


@pytest.mark.parametrize("part", ["ArmoryEngraving", "ArmoryGem", "ArkPassive", "ArkGrid", "ArmoryCard"])
@pytest.mark.parametrize("found", [None, "gone", [], "text", {}, {"Gems": None, "Slots": 5, "Effects": {}}])
def test_a_part_that_is_not_there_leaves_the_others_readable(part, found):
    profile = parse_profile(body(**{part: found}))
    whole = parse_profile(body())

    fields = {
        "ArmoryEngraving": ["engravings"], "ArmoryGem": ["gem_levels"], "ArkGrid": ["ark_grid"],
        "ArkPassive": ["spec_name", "evolution", "enlightenment", "leap"], "ArmoryCard": ["card_sets"],
    }  # fmt: skip
    for part_name, names in fields.items():
        for name in names:
            expected = None if part_name == part else getattr(whole, name)
            assert getattr(profile, name) == expected


def test_engravings_of_the_time_before_ark_passive_are_read_from_their_effects():
    effects = [{"Name": "원한 Lv. 3", "Description": ""}, {"Name": "아드레날린 Lv. 1"}, {"Name": "?"}, None]
    part = {"Engravings": [{"Slot": 0}], "Effects": effects, "ArkPassiveEffects": None}

    assert parse_profile(body(ArmoryEngraving=part)).engravings == (
        Engraving("아드레날린", 1, None),
        Engraving("원한", 3, None),
    )


@pytest.mark.parametrize("title", [None, "", "처음 보는 직업 각인", "절실한 구원", 7])
def test_a_spec_that_is_not_one_of_the_class_is_unknown(title):
    assert parse_profile(body(ArkPassive={"Title": title})).spec_name is None


def test_an_empty_ark_grid_slot_and_odd_points_do_not_break_the_others():
    slots = [
        {"Name": None, "Point": 3},
        None,
        {"Name": "<FONT COLOR='#F'>해 코어</FONT>", "Point": None},
        {"Name": "b", "Point": "1,0"},
    ]

    assert parse_profile(body(ArkGrid={"Slots": slots})).ark_grid == (("b", 10), ("해 코어", None))


def test_drift_names_what_came_and_what_went():
    assert find_drift(body()) == set()
    assert find_drift(b"null") == set()
    assert find_drift(b"<html>") == {"no JSON object"}
    assert find_drift(
        body(ArmoryPet={}, ArkGrid="gone", ArmoryGem={"Gems": []}, ArmoryCard=[1], ArkPassive=None)
    ) == {
        "+ArmoryPet",
        "-ArkGrid",
        "-ArmoryGem.Effects",
        "ArmoryCard is no object",
    }


def test_markup_goes_and_names_in_angle_brackets_stay():
    assert (
        plain_text("<P ALIGN='CENTER'><FONT COLOR='#F99200'>9레벨&nbsp;겁화</FONT></P><BR>끝")
        == "9레벨 겁화 끝"
    )
    assert plain_text("<2025 썸머 콜라보 이벤트>의 당첨자") == "<2025 썸머 콜라보 이벤트>의 당첨자"
