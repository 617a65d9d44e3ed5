"""Specs: the two builds of each class, as LOA Logs spells them, with Korean names.

Specs are never guessed from skills or sets.
Pairs of English and Korean names come from the Open API notes, section 4; only the four support pairs are
certain.
"""

from __future__ import annotations

from dataclasses import dataclass

from lostark_assets.game.classes import resolve_class
from lostark_assets.game.names import index_by_key, name_key

SUPPORT_SPECS = ("Blessed Aura", "Desperate Salvation", "Full Bloom", "Liberator")
SUPPORT_CLASSES = ("Paladin", "Bard", "Artist", "Valkyrie")


@dataclass(frozen=True, slots=True)
class Spec:
    """One build of one class; `korean` is None where no Korean name is known."""

    name: str
    korean: str | None
    class_name: str
    is_support: bool
    aliases: tuple[str, ...]


def _spec(class_name: str, name: str, korean: str | None, *aliases: str) -> Spec:
    return Spec(name, korean, class_name, name in SUPPORT_SPECS, aliases)


SPECS: tuple[Spec, ...] = (
    _spec("Berserker", "Mayhem", "광기"),
    _spec("Berserker", "Berserker Technique", "광전사의 비기", "Berserker's Technique"),
    _spec("Destroyer", "Rage Hammer", "분노의 망치"),
    _spec("Destroyer", "Gravity Training", "중력 수련"),
    _spec("Gunlancer", "Combat Readiness", "전투 태세"),
    _spec("Gunlancer", "Lone Knight", "고독한 기사"),
    _spec("Gunlancer", "Princess", None, "Princess Maker"),
    _spec("Paladin", "Blessed Aura", "축복의 오라"),
    _spec("Paladin", "Judgment", "심판자", "Judgement"),
    _spec("Slayer", "Predator", "포식자"),
    _spec("Slayer", "Punisher", "처단자"),
    _spec("Valkyrie", "Liberator", "해방자"),
    _spec("Valkyrie", "Shining Knight", "빛의 기사"),
    _spec("Arcanist", "Grace of the Empress", "황후의 은총", "Empress's Grace"),
    _spec("Arcanist", "Order of the Emperor", "황제의 칙령"),
    _spec("Summoner", "Master Summoner", "상급 소환사"),
    _spec("Summoner", "Communication Overflow", "넘치는 교감"),
    _spec("Bard", "Desperate Salvation", "절실한 구원"),
    _spec("Bard", "True Courage", "진실된 용맹"),
    _spec("Sorceress", "Igniter", "점화"),
    _spec("Sorceress", "Reflux", "환류"),
    _spec("Wardancer", "First Intention", "초심"),
    _spec("Wardancer", "Esoteric Skill Enhancement", "오의 강화"),
    _spec("Scrapper", "Ultimate Skill: Taijutsu", "극의: 체술", "Taijutsu"),
    _spec("Scrapper", "Shock Training", "충격 단련"),
    _spec("Soulfist", "Energy Overflow", "역천지체"),
    _spec("Soulfist", "Robust Spirit", "세맥타통"),
    _spec("Glaivier", "Pinnacle", "절정"),
    _spec("Glaivier", "Control", "절제"),
    _spec("Striker", "Deathblow", "일격필살"),
    _spec("Striker", "Esoteric Flurry", "오의난무"),
    _spec("Breaker", "Asura's Path", "수라의 길"),
    _spec("Breaker", "Brawl King Storm", "권왕파천무"),
    _spec("Deathblade", "Remaining Energy", "잔재된 기운"),
    _spec("Deathblade", "Surge", "버스트"),
    _spec("Shadowhunter", "Demonic Impulse", "멈출 수 없는 충동"),
    _spec("Shadowhunter", "Perfect Suppression", "완벽한 억제"),
    _spec("Reaper", "Hunger", "갈증"),
    _spec("Reaper", "Lunar Voice", "달의 소리"),
    _spec("Souleater", "Full Moon Harvester", "만월의 집행자"),
    _spec("Souleater", "Night's Edge", "그믐의 경계"),
    _spec("Sharpshooter", "Death Strike", "죽음의 습격"),
    _spec("Sharpshooter", "Loyal Companion", "두 번째 동료"),
    _spec("Deadeye", "Enhanced Weapon", "강화 무기"),
    _spec("Deadeye", "Pistoleer", "핸드거너"),
    _spec("Artillerist", "Firepower Enhancement", "화력 강화"),
    _spec("Artillerist", "Barrage Enhancement", "포격 강화"),
    _spec("Machinist", "Evolutionary Legacy", "진화의 유산"),
    _spec("Machinist", "Arthetinean Skill", "아르데타인의 기술"),
    _spec("Gunslinger", "Peacemaker", "피스메이커"),
    _spec("Gunslinger", "Time to Hunt", "사냥의 시간"),
    _spec("Artist", "Full Bloom", "만개"),
    _spec("Artist", "Recurrence", "회귀"),
    _spec("Aeromancer", "Wind Fury", "질풍노도"),
    _spec("Aeromancer", "Drizzle", "이슬비"),
    _spec("Wildsoul", "Ferality", "야성"),
    _spec("Wildsoul", "Phantom Beast Awakening", "환수 각성"),
    _spec("Guardianknight", "Hellfire Successor", "업화의 계승자"),
    _spec("Guardianknight", "Dreadful Roar", "드레드 로어"),
    _spec("Dimensionmaster", "시간 관리자", "시간 관리자"),
    _spec("Dimensionmaster", "공간 검사", "공간 검사"),
)

SPEC_NAMES = tuple(spec.name for spec in SPECS)
_BY_NAME = index_by_key((n, s) for s in SPECS for n in (s.name, s.korean, *s.aliases))


def resolve_spec(text: str | None, class_name: str | None = None) -> Spec | None:
    """Find the spec with this name, English or Korean; None for "", "Unknown", None and class names.

    Table exports write the class name where the spec is unknown, so a class name is no spec. When
    `class_name` is a known class and the spec belongs to another one, the two contradict each other and the
    answer is None.
    """
    found = _BY_NAME.get(name_key(text))
    owner = resolve_class(class_name)
    if found is None or (owner is not None and owner != found.class_name):
        return None
    return found


def is_support(spec_name: str | None, class_name: str | None) -> bool | None:
    """Whether the player is a support: by spec if known, else by class; None when both are unknown.

    Supports are the four specs of `SUPPORT_SPECS`. A Paladin in Judgment deals damage, while a Paladin of
    unknown spec counts as support. Princess, the Gunlancer who plays for the party, is False: the uptime
    rules (attack power, brand, identity, hyper) are made for those four, and LOA Logs counts no other spec
    as support. The public player tables mark fights with a Princess as "weird" instead.
    """
    spec = resolve_spec(spec_name)
    if spec is not None:
        return spec.is_support
    owner = resolve_class(class_name)
    return None if owner is None else owner in SUPPORT_CLASSES
