"""The parts of a character's profile as the Open API shows them (V10), alone and several at once."""

from __future__ import annotations

from typing import Any

from lostark_simulator.mock_server import armory_items as items
from lostark_simulator.mock_server.characters import Profile

Part = dict[str, Any]
KEY_OF_FILTER = {
    "profiles": "ArmoryProfile",
    "equipment": "ArmoryEquipment",
    "avatars": "ArmoryAvatars",
    "combat-skills": "ArmorySkills",
    "engravings": "ArmoryEngraving",
    "cards": "ArmoryCard",
    "gems": "ArmoryGem",
    "arkpassive": "ArkPassive",
    "arkgrid": "ArkGrid",
    "colosseums": "ColosseumInfo",
    "collectibles": "Collectibles",
}
_IMAGES = "https://cdn.example.invalid/characters"
_STATS = "치명 특화 제압 신속 인내 숙련".split()
_DEALER_ENGRAVINGS = "원한 아드레날린 예리한_둔기 돌격대장 저주받은_인형".split()
_SUPPORT_ENGRAVINGS = "각성 전문의 구슬동자 중갑_착용 급소_타격".split()
_CORES = tuple(f"{force}의 {star} 코어" for force in ("질서", "혼돈") for star in ("해", "달", "별"))
_FULL_CORE_POINTS = 20
_BLUE = "<FONT color='#83E9FF'>"


def comma_number(value: float) -> str:
    """A number as the API writes item level and combat power: "1,760.00"."""
    return f"{value:,.2f}"


def part(name: str, profile: Profile, *, is_combined: bool = False) -> Any:
    """One part by the name of its filter; None where the API gives null."""
    if name == "equipment":
        return items.equipment(profile, is_combined=is_combined)
    makers = {
        "profiles": armory_profile,
        "avatars": items.avatars,
        "combat-skills": items.combat_skills,
        "engravings": engravings,
        "cards": items.cards,
        "gems": items.gems,
        "arkpassive": ark_passive,
        "arkgrid": ark_grid,
        "colosseums": lambda _: items.colosseums(),
        "collectibles": items.collectibles,
    }
    return makers[name](profile)


def combined(profile: Profile, names: list[str]) -> Part:
    """Every part by its key; null for those that were not requested for."""
    requested = set(names)
    return {
        key: part(name, profile, is_combined=True) if name in requested else None
        for name, key in KEY_OF_FILTER.items()
    }


def armory_profile(profile: Profile) -> Part:
    """Who it is, with item level and combat power as text with commas."""
    person, number = profile.person, profile.person.number
    has_guild = number % 4 != 0
    value = str(int(60 + profile.item_level * 0.6 + number % 90))
    return {
        "CharacterImage": f"{_IMAGES}/{number}.jpg" if person.fighter else None,
        "ExpeditionLevel": 80 + person.account % 300,
        "TownLevel": 50 + number % 21 if number % 7 else None,
        "TownName": "달빛 영지",
        "Title": "<img src='emoticon_title'></img> 심연의 손님" if number % 5 == 0 else None,
        "GuildMemberGrade": "길드원" if has_guild else None,
        "GuildName": f"길드{person.account % 40}" if has_guild else None,
        "UsingSkillPoint": 470,
        "TotalSkillPoint": 483,
        "Stats": [
            {"Type": kind, "Value": value, "Tooltip": [f"<font color='#99ff99'>{value}</font> 증가합니다."]}
            for kind in _STATS
        ]
        + [
            {"Type": "최대 생명력", "Value": str(350_000 + number), "Tooltip": []},
            {"Type": "공격력", "Value": str(120_000 + number * 31), "Tooltip": []},
        ],
        "Tendencies": [
            {"Type": kind, "Point": 700, "MaxPoint": 1000} for kind in "지성 담력 매력 친절".split()
        ],
        "CombatPower": comma_number(profile.combat_power),
        "Decorations": {"Symbol": None, "Emblems": None},
        "HonorPoint": 0,
        "ServerName": person.server,
        "CharacterName": person.name,
        "CharacterLevel": profile.level,
        "CharacterClassName": person.class_name,
        "ItemAvgLevel": comma_number(profile.item_level),
    }


def engravings(profile: Profile) -> Part | None:
    """Five engravings; in the old place for those without ark passive, null for those who have nothing."""
    fighter = profile.person.fighter
    if fighter is None:
        return None
    names = _SUPPORT_ENGRAVINGS if fighter.spec.is_support else _DEALER_ENGRAVINGS
    names = [name.replace("_", " ") for name in names]
    text = "피해량이 <FONT COLOR='#99ff99'>24.00%</FONT> 증가한다."
    if not profile.has_ark_passive:
        worn = [
            {"Slot": slot, "Name": name, "Icon": f"{_IMAGES}/engraving.png", "Tooltip": items.tooltip(name)}
            for slot, name in enumerate(names[:2])
        ]
        effects = [{"Icon": "", "Name": f"{name} Lv. 3", "Description": text} for name in names]
        return {"Engravings": worn, "Effects": effects, "ArkPassiveEffects": None}
    found = [
        {
            "AbilityStoneLevel": 4 - place if place < 2 else None,
            "Grade": "유물",
            "Level": (profile.person.number + place) % 5,
            "Name": name,
            "Description": text,
        }
        for place, name in enumerate(names)
    ]
    return {"Engravings": None, "Effects": None, "ArkPassiveEffects": found}


def ark_passive(profile: Profile) -> Part | None:
    """The spec as a title, with points of the three trees; null for characters that never opened it."""
    if profile.person.fighter is None:
        return None
    points = [
        {
            "Name": tree,
            "Value": value if profile.has_ark_passive else 0,
            "Tooltip": f"<img src='emoticon_ark'></img><FONT COLOR='#83E9FF'>{tree}</FONT>",
            "Description": "6랭크 30레벨" if profile.has_ark_passive else "",
        }
        for tree, value in (("진화", 120), ("깨달음", 101), ("도약", 70))
    ]
    if not profile.has_ark_passive:
        return {"IsArkPassive": False, "Points": points, "Effects": None}
    effect = {
        "Name": "깨달음",
        "Description": f"{_BLUE}깨달음</FONT> 1티어 {_BLUE}{profile.spec} Lv.1</FONT>",
        "Icon": f"{_IMAGES}/ark.png",
        "ToolTip": items.tooltip(profile.spec or ""),
    }
    return {"Title": profile.spec, "IsArkPassive": True, "Points": points, "Effects": [effect]}


def ark_grid(profile: Profile) -> Part | None:
    """Up to six cores in any order, the last one often empty; effects once there are three."""
    if profile.person.fighter is None or not profile.has_ark_passive:
        return None
    count = min(max(int((profile.item_level - 1640) // 15), 0), len(_CORES))
    slots = [_core(profile, place, is_last=place == count - 1) for place in range(count)]
    turn = profile.person.number % count if count else 0
    kinds = "추가 피해", "공격력", "보스 피해"
    effects = [
        {"Name": kind, "Level": 5 + count, "Tooltip": f"{kind} <font color='#ffd200'>+{count}.5%</font>"}
        for kind in kinds
    ]
    return {"Slots": slots[turn:] + slots[:turn], "Effects": effects if count >= 3 else None}


def core_points(profile: Profile, place: int) -> int:
    """Points of one core, 0..20: higher with the item level."""
    return min(
        8 + int(max(profile.item_level - 1660, 0) // 10) + (profile.person.number + place) % 3,
        _FULL_CORE_POINTS,
    )


def _core(profile: Profile, place: int, *, is_last: bool) -> Part:
    is_empty = is_last and profile.person.number % 2 == 0
    name = f"{_CORES[place]} : {profile.spec}"
    gems = [
        {
            "Index": index,
            "Icon": "",
            "IsActive": True,
            "Grade": "영웅",
            "Tooltip": items.tooltip("아크 그리드 젬"),
        }
        for index in range(4)
    ]
    return {
        "Index": place,
        "Icon": f"{_IMAGES}/core_{place}.png",
        "Name": name,
        "Point": 0 if is_empty else core_points(profile, place),
        "Grade": "유물" if profile.item_level >= 1720 else "전설",
        "Tooltip": items.tooltip(name),
        "Gems": None if is_empty else gems,
    }
