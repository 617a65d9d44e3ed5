"""Character classes: English name as in LOA Logs, Korean name as in the Open API, ids and aliases.

Builds of a class, and which of them are supports, are in `specs`.
"""

from __future__ import annotations

from dataclasses import dataclass

from lostark_assets.game.names import index_by_key, name_key


@dataclass(frozen=True, slots=True)
class GameClass:
    """One class; `is_base` marks the undifferentiated class a character has before it chooses."""

    name: str
    korean: str
    ids: tuple[int, ...]
    is_base: bool
    aliases: tuple[str, ...]


def _base(class_id: int, name: str, korean: str, *aliases: str) -> GameClass:
    return GameClass(name, korean, (class_id,), is_base=True, aliases=aliases)


def _class(class_id: int, name: str, korean: str, *aliases: str) -> GameClass:
    return GameClass(name, korean, (class_id,), is_base=False, aliases=aliases)


CLASSES: tuple[GameClass, ...] = (
    _base(101, "Warrior (Male)", "전사(남)", "Warrior", "Male Warrior"),
    _class(102, "Berserker", "버서커"),
    _class(103, "Destroyer", "디스트로이어"),
    _class(104, "Gunlancer", "워로드", "warlord"),
    _class(105, "Paladin", "홀리나이트", "holyknight"),
    _base(111, "Female Warrior", "전사(여)", "Warrior (Female)"),
    _class(112, "Slayer", "슬레이어", "berserker_female"),
    _class(113, "Valkyrie", "발키리", "holyknight_female"),
    _base(201, "Mage", "마법사", "마법사(여)"),
    _class(202, "Arcanist", "아르카나", "arcana"),
    _class(203, "Summoner", "서머너"),
    _class(204, "Bard", "바드"),
    _class(205, "Sorceress", "소서리스", "elemental_master"),
    _base(301, "Martial Artist (Female)", "무도가(여)", "Martial Artist"),
    _class(302, "Wardancer", "배틀마스터", "battle_master"),
    _class(303, "Scrapper", "인파이터", "infighter"),
    _class(304, "Soulfist", "기공사", "soulmaster", "force_master"),
    _class(305, "Glaivier", "창술사", "lance_master", "Glavier"),
    _base(311, "Martial Artist (Male)", "무도가(남)"),
    _class(312, "Striker", "스트라이커", "battle_master_male"),
    _class(313, "Breaker", "브레이커", "infighter_male"),
    _base(401, "Assassin", "암살자", "암살자(여)"),
    _class(402, "Deathblade", "블레이드", "blade"),
    _class(403, "Shadowhunter", "데모닉", "demonic"),
    _class(404, "Reaper", "리퍼"),
    _class(405, "Souleater", "소울이터"),
    _base(501, "Gunner (Male)", "헌터(남)", "Gunner"),
    _class(502, "Sharpshooter", "호크아이", "hawkeye"),
    _class(503, "Deadeye", "데빌헌터", "devil_hunter"),
    _class(504, "Artillerist", "블래스터", "blaster"),
    _class(505, "Machinist", "스카우터", "scouter"),
    _base(511, "Gunner (Female)", "헌터(여)"),
    _class(512, "Gunslinger", "건슬링어", "devil_hunter_female"),
    _base(601, "Specialist", "스페셜리스트", "스페셜리스트(여)"),
    _class(602, "Artist", "도화가", "yinyangshi"),
    _class(603, "Aeromancer", "기상술사", "weather_artist"),
    _class(604, "Wildsoul", "환수사", "Alchemist"),
    GameClass("Guardianknight", "가디언나이트", (701, 702), is_base=False, aliases=("dragon_knight",)),
    GameClass("Dimensionmaster", "차원술사", (), is_base=False, aliases=()),
)

CLASS_NAMES = tuple(entry.name for entry in CLASSES)
_BY_ID = {class_id: entry.name for entry in CLASSES for class_id in entry.ids}
_BY_NAME = index_by_key((n, c) for c in CLASSES for n in (c.name, c.korean, *c.aliases))


def class_name_of_id(class_id: int | None) -> str | None:
    """Name the class of a LOA Logs class id; None for 0 (bosses, esthers), None and ids not known yet."""
    return None if class_id is None else _BY_ID.get(class_id)


def resolve_class(text: str | None) -> str | None:
    """Give the canonical class name for an English or Korean name, or a lostark.bible slug; None if unknown.

    Case, spaces, underscores and hyphens do not matter: "Guardian Knight" is Guardianknight.
    """
    found = _BY_NAME.get(name_key(text))
    return found.name if found else None


def korean_class(name: str | None) -> str | None:
    """Give the Open API's Korean name of a class named in any known way; None if unknown."""
    found = _BY_NAME.get(name_key(name))
    return found.korean if found else None
