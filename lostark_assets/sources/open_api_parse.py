"""Parsing one body of the Open API's combined armory call, however incomplete. Pure.

Fields disappear without a version change: a part that is missing, null or of another type is unknown, never
an error, and :func:`find_drift` reports what changed.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from lostark_assets.game.classes import resolve_class
from lostark_assets.game.specs import resolve_spec

PARTS: dict[str, tuple[str, frozenset[str]]] = {
    "ArmoryProfile": (
        "profiles",
        frozenset("CombatPower ServerName CharacterName CharacterClassName ItemAvgLevel".split()),
    ),
    "ArmoryEngraving": ("engravings", frozenset("Engravings Effects ArkPassiveEffects".split())),
    "ArmoryCard": ("cards", frozenset("Cards Effects".split())),
    "ArmoryGem": ("gems", frozenset("Gems Effects".split())),
    "ArkPassive": ("arkpassive", frozenset("Title IsArkPassive Points Effects".split())),
    "ArkGrid": ("arkgrid", frozenset("Slots Effects".split())),
}
"""Part of the body → (its name as a filter, the fields that are read or expected of it)."""
FILTERS = ("profiles", "engravings", "gems", "arkpassive", "arkgrid", "cards")
_ALSO_THERE = frozenset("ArmoryEquipment ArmoryAvatars ArmorySkills ColosseumInfo Collectibles".split())
_POINTS = {"진화": "evolution", "깨달음": "enlightenment", "도약": "leap"}
_TAG = re.compile(r"</?(?:a|b|br|font|i|img|p|span|textformat|u)\b[^>]*>", re.IGNORECASE)
"""The game's own markup; titles also put names in angle brackets."""
_ENGRAVING_EFFECT = re.compile(r"(.+?)\s*Lv\.\s*(\d+)")
_CARD_STEP = re.compile(r"(.+?) \d+세트.*")
_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Engraving:
    """One engraving worn; ``level`` 0 to 4 (older characters: 1 to 3), None if missing."""

    name: str
    level: int | None
    grade: str | None


@dataclass(frozen=True, slots=True)
class ArmoryProfile:
    """The content of a body; None if missing. Names are Korean except class and spec (English).

    ``item_level`` and ``combat_power`` are in the game's own points; gem levels are sorted descending, ark
    grid cores by name.
    """

    character_name: str | None = None
    server_name: str | None = None
    class_name: str | None = None
    spec_name: str | None = None
    item_level: float | None = None
    combat_power: float | None = None
    engravings: tuple[Engraving, ...] | None = None
    gem_levels: tuple[int, ...] | None = None
    evolution: int | None = None
    enlightenment: int | None = None
    leap: int | None = None
    ark_grid: tuple[tuple[str, int | None], ...] | None = None
    card_sets: tuple[str, ...] | None = None


def parse_profile(body: bytes) -> ArmoryProfile | None:
    """The profile in a body; None for ``null`` and for a body without a profile: no such character.

    Raises:
        ValueError: the body is no JSON object.
    """
    document = _document(body)
    profile = _object(document, "ArmoryProfile")
    if not profile:
        return None
    class_name = resolve_class(_text(profile.get("CharacterClassName")))
    ark_passive = _object(document, "ArkPassive")
    spec = resolve_spec(_text(ark_passive.get("Title")), class_name)
    points = {_text(one.get("Name")): _whole(one.get("Value")) for one in _objects(ark_passive, "Points")}
    return ArmoryProfile(
        character_name=_text(profile.get("CharacterName")),
        server_name=_text(profile.get("ServerName")),
        class_name=class_name,
        spec_name=spec.name if spec else None,
        item_level=_within(_number(profile.get("ItemAvgLevel")), 1, 3000),
        combat_power=_number(profile.get("CombatPower")) or None,
        engravings=_engravings(document),
        gem_levels=_gem_levels(document),
        ark_grid=_ark_grid(document),
        card_sets=_card_sets(document),
        **{field: points.get(name) for name, field in _POINTS.items()},
    )


def find_drift(body: bytes) -> set[str]:
    """Unknown parts of a body, and missing fields that we read: ``+ArmoryPet``, ``-ArkPassive.Title``.

    Parts that are null are normal. A body that is no JSON object is one finding.
    """
    try:
        document = _document(body)
    except ValueError:
        return {"no JSON object"}
    if not document:
        return set()
    found = {f"+{name}" for name in document.keys() - PARTS.keys() - _ALSO_THERE}
    for part, (_, expected) in PARTS.items():
        if part not in document:
            found.add(f"-{part}")
        elif isinstance(document[part], dict):
            found |= {f"-{part}.{name}" for name in expected - document[part].keys()}
        elif document[part] is not None:
            found.add(f"{part} is no object")
    return found


def plain_text(text: str) -> str:
    """``text`` without HTML tags and entities, blanks collapsed."""
    return " ".join(html.unescape(_TAG.sub(" ", text)).split())


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ValueError(f"expected JSON, found {body[:40]!r}: {error}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ValueError(f"expected a JSON object or null, found {body[:40]!r}")  # noqa: TRY004 - data, not a bug
    return document


def _engravings(document: Mapping[str, Any]) -> tuple[Engraving, ...] | None:
    """Engravings of ark passive, else those from before it existed ("원한 Lv. 3")."""
    part = _object(document, "ArmoryEngraving")
    if isinstance(part.get("ArkPassiveEffects"), list):
        rows = [
            Engraving(name, _whole(one.get("Level")), _text(one.get("Grade")))
            for one in _objects(part, "ArkPassiveEffects")
            if (name := _text(one.get("Name")))
        ]
    elif isinstance(part.get("Effects"), list):
        texts = [
            _ENGRAVING_EFFECT.fullmatch(_text(one.get("Name")) or "") for one in _objects(part, "Effects")
        ]
        rows = [Engraving(found[1], int(found[2]), None) for found in texts if found]
    else:
        return None
    return tuple(sorted(rows, key=lambda one: one.name))


def _gem_levels(document: Mapping[str, Any]) -> tuple[int, ...] | None:
    part = _object(document, "ArmoryGem")
    if not isinstance(part.get("Gems"), list):
        return None
    levels = [_whole(gem.get("Level")) for gem in _objects(part, "Gems")]
    return tuple(sorted((level for level in levels if level is not None), reverse=True))


def _ark_grid(document: Mapping[str, Any]) -> tuple[tuple[str, int | None], ...] | None:
    part = _object(document, "ArkGrid")
    if not isinstance(part.get("Slots"), list):
        return None
    cores = [
        (name, _whole(slot.get("Point")))
        for slot in _objects(part, "Slots")
        if (name := _text(slot.get("Name")))
    ]
    return tuple(sorted(cores, key=lambda core: core[0]))


def _card_sets(document: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The last item of each set is the highest step reached."""
    part = _object(document, "ArmoryCard")
    if not isinstance(part.get("Effects"), list):
        return None
    steps: dict[str, str] = {}
    for effect in _objects(part, "Effects"):
        for item in _objects(effect, "Items"):
            name = _text(item.get("Name"))
            found = _CARD_STEP.fullmatch(name or "")
            if name:
                steps[found[1] if found else name] = name
    return tuple(steps.values())


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _objects(document: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    value = document.get(name)
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())


def _text(value: Any) -> str | None:
    return (plain_text(value) or None) if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    """A number that may be text with commas; None for anything else and for negative numbers."""
    if isinstance(value, str):
        value = value.replace(",", "").strip()
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return _within(number, 0, math.inf) if math.isfinite(number) else None


def _whole(value: Any) -> int | None:
    number = _within(_number(value), 0, _LARGEST)
    return None if number is None else int(number)


def _within(number: float | None, low: float, high: float) -> float | None:
    return number if number is not None and low <= number <= high else None
