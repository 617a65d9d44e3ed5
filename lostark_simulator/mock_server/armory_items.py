"""Parts of a profile that are lists: equipment, gems, cards, skills, collectibles.

Items have tooltips as in the API: a JSON document in a string, with HTML, line breaks and nulls.
"""

from __future__ import annotations

import json
from typing import Any

from lostark_simulator.mock_server.characters import Profile
from lostark_simulator.specs import skill_kit

Part = dict[str, Any]
_ICONS = "https://cdn.example.invalid/icons"
_PLACES = (
    "무기 투구 상의 하의 장갑 어깨 목걸이 귀걸이 귀걸이 반지 반지 어빌리티_스톤 팔찌 나침반 부적".split()
)
_TRIPOD_TEXT = "<font color='#FFFDE7'>피해량이 <FONT COLOR='#99ff99'>45.0%</FONT> 증가한다.</font>"
_HONED = 6
_CARDS = "별빛의_기사 새벽의_현자 바다의_노래 붉은_사막 오래된_숲 마지막_파수꾼".split()
_MAX_GEMS = 11


def tooltip(title: str, *texts: str, quality: int = -1) -> str:
    """A tooltip as the API writes it."""
    document: Part = {
        "Element_000": {
            "type": "NameTagBox",
            "value": f"<P ALIGN='CENTER'><FONT COLOR='#E3C7A1'>{title}</FONT></P>",
        },
        "Element_001": {
            "type": "ItemTitle",
            "value": {
                "bEquip": 0,
                "leftStr0": f"<FONT SIZE='12'><FONT COLOR='#E3C7A1'>{title}</FONT></FONT>",
                "leftStr2": "<FONT SIZE='14'>아이템 레벨 1640 (티어 4)</FONT>",
                "qualityValue": quality,
                "slotData": {"iconPath": f"{_ICONS}/use_13_55.png", "iconGrade": 6, "seal": False},
            },
        },
        "Element_002": None,
        "Element_003": {"type": "IndentStringGroup", "value": None},
    }
    for place, text in enumerate(texts, start=4):
        document[f"Element_{place:03d}"] = {
            "type": "ItemPartBox",
            "value": {"Element_000": "<FONT COLOR='#A9D0F5'>효과</FONT>", "Element_001": f"{text}<BR>"},
        }
    return json.dumps(document, ensure_ascii=False, indent=2).replace("\n", "\r\n")


def html_name(text: str) -> str:
    """A name as the API gives those of gems and titles: in HTML."""
    return f"<P ALIGN='CENTER'><FONT COLOR='#E3C7A1'>{text}</FONT></P>"


def equipment(profile: Profile, *, is_combined: bool) -> list[Part]:
    """Fifteen pieces of equipment. Only the combined call has the two keys at the end, both null."""
    hone = max(int((profile.item_level - 1580) // 8), 0)
    extra = {"EquipOptions": None, "AccessoryOptions": None} if is_combined else {}
    things = []
    for place, kind in enumerate(_PLACES):
        name = f"+{hone} 운명의 {kind}" if place < _HONED else f"운명의 {kind.replace('_', ' ')}"
        things.append(
            {
                "Type": kind.replace("_", " "),
                "Name": name,
                "Icon": f"{_ICONS}/item_{place}.png",
                "Grade": "고대",
                "Tooltip": tooltip(name, "추가 효과", quality=(profile.person.number * 7 + place * 13) % 101),
            }
            | extra
        )
    return things


def gems(profile: Profile) -> Part:
    """Up to eleven gems with their levels, and their effects on skills; low-level characters have none."""
    if profile.person.fighter is None:
        return {"Gems": None, "Effects": {"Description": "", "Skills": []}}
    skills = [name for name in skill_kit(profile.person.fighter.spec).names if name]
    count = _MAX_GEMS - profile.person.number % 3
    found, effects = [], []
    for slot in range(count):
        level = gem_level(profile, slot)
        kind = "겁화" if slot % 2 else "작열"
        name = html_name(f"{level}레벨 {kind}의 보석")
        skill = skills[slot % len(skills)]
        found.append(
            {
                "Slot": slot,
                "Name": name,
                "Icon": f"{_ICONS}/gem_{level}.png",
                "Level": level,
                "Grade": "고대" if level >= 8 else "유물",
                "Tooltip": tooltip(f"{level}레벨 {kind}의 보석", f"<FONT COLOR='#FFD200'>{skill}</FONT>"),
            }
        )
        text = f"피해 {level * 4}.00% 증가" if slot % 2 else f"재사용 대기시간 {4 + level * 2}.00% 감소"
        effects.append(
            {
                "GemSlot": slot,
                "Name": skill,
                "Description": [text],
                "Option": "기본 공격력 1.20% 증가",
                "Icon": f"{_ICONS}/skill_{slot}.png",
                "Tooltip": None if slot == 0 else tooltip(skill, text),
            }
        )
    total = f"<FONT COLOR='#B7FB00'>기본 공격력 총합 : {count * 1.2:.2f}%</FONT>"
    return {"Gems": found, "Effects": {"Description": total, "Skills": effects[::-1]}}


def gem_level(profile: Profile, slot: int) -> int:
    """Gems of 5 to 10, higher with the item level."""
    return min(5 + int(max(profile.item_level - 1640, 0) // 30) + (profile.person.number + slot) % 2, 10)


def cards(profile: Profile) -> Part:
    """Six cards and their set."""
    awake = 3 + profile.person.number % 3
    found = [
        {
            "Slot": slot,
            "Name": name.replace("_", " "),
            "Icon": f"{_ICONS}/card_{slot}.png",
            "AwakeCount": awake,
            "AwakeTotal": 5,
            "Grade": "전설",
            "Tooltip": tooltip(name.replace("_", " "), "카드"),
        }
        for slot, name in enumerate(_CARDS)
    ]
    items = [
        {"Name": f"세상을 구하는 빛 {count}세트", "Description": f"피해 감소 +{count}.00%"}
        for count in (2, 4, 6)
    ]
    return {"Cards": found, "Effects": [{"Index": 0, "CardSlots": list(range(6)), "Items": items}]}


def combat_skills(profile: Profile) -> list[Part]:
    """The skills of the spec; half of them have no rune."""
    if profile.person.fighter is None:
        return []
    rune = {"Name": "질풍", "Icon": f"{_ICONS}/rune.png", "Grade": "전설", "Tooltip": tooltip("질풍")}
    names = [name for name in skill_kit(profile.person.fighter.spec).names if name]
    return [
        {
            "Name": name,
            "Icon": f"{_ICONS}/skill_{place}.png",
            "Level": 10 + place % 5,
            "Type": "일반",
            "SkillType": 0,
            "Tripods": [
                {
                    "Tier": tier,
                    "Slot": 1,
                    "Name": "강화",
                    "Icon": f"{_ICONS}/tripod.png",
                    "IsSelected": tier == place % 3,
                    "Tooltip": _TRIPOD_TEXT,
                }
                for tier in range(3)
            ],
            "Rune": rune if place % 2 else None,
            "Tooltip": tooltip(name),
        }
        for place, name in enumerate(names)
    ]


def avatars(profile: Profile) -> list[Part] | None:
    """Cosmetic items; a third of the characters has none, and then the value is null."""
    if profile.person.number % 3 == 0:
        return None
    return [
        {
            "Type": f"{kind} 아바타",
            "Name": "여름밤 " + kind,
            "Icon": f"{_ICONS}/avatar.png",
            "Grade": "전설",
            "IsSet": False,
            "IsInner": True,
            "Tooltip": tooltip("여름밤 " + kind),
        }
        for kind in ("무기", "상의", "하의")
    ]


def colosseums() -> Part:
    """PvP results, all empty; without rank, as since V10."""
    nothing = dict.fromkeys(
        "Competitive TeamDeathmatch TeamElimination CoOpBattle OneDeathmatch OneDeathmatchRank".split()
    )
    return {"Colosseums": [{"SeasonName": f"시즌 {number}", **nothing} for number in (1, 2)]}


def collectibles(profile: Profile) -> list[Part]:
    """Collectibles of an account."""
    points = 400 + profile.person.account * 31 % 1_000
    return [
        {
            "Type": kind,
            "Icon": f"{_ICONS}/collect.png",
            "Point": min(points, most),
            "MaxPoint": most,
            "CollectiblePoints": [{"PointName": "유디아", "Point": 37, "MaxPoint": 37}],
        }
        for kind, most in (("모코코 씨앗", 1474), ("섬의 마음", 110))
    ]
