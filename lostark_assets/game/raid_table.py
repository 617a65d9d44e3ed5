"""The raids of the game as one table: gates, bosses, sizes, difficulties, entry levels, release days.

Newest raid last. Recognising raids in a log is in `raids`, Korean boss names are in `bosses`.
Raid names and bosses per gate are LOA Logs' encounter map; sizes, levels and release days (Korea) are the
Open API notes, section 5. Raids that map does not have yet follow the notes, and Belgardin has no confirmed
English names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Literal

RaidKind = Literal["legion", "abyss", "kazeros", "epic", "assault", "shadow", "cathedral", "guardian"]
GUARDIAN_RAIDS = "Guardian Raids"


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate; its bosses are the names a log can show for it. A guardian is a gate of `GUARDIAN_RAIDS`."""

    raid_name: str
    gate_name: str
    number: int
    bosses: tuple[str, ...]
    min_item_level: int | None = None


@dataclass(frozen=True, slots=True)
class Raid:
    """One raid; `min_item_level` maps difficulties to entry levels, `released` is the day in Korea."""

    name: str
    korean: str
    players: int
    gates: tuple[Gate, ...]
    released: date | None
    kind: RaidKind
    difficulties: tuple[str, ...]
    min_item_level: dict[str, int] = field(default_factory=dict, hash=False)
    aliases: tuple[str, ...] = ()


def _raid(
    name: str,
    korean: str,
    kind: RaidKind,
    players: int,
    gates: tuple[tuple[str, ...], ...],
    *,
    levels: dict[str, int],
    released: date | None = None,
    more: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
) -> Raid:
    """Number the gates and list the difficulties: those with an entry level, then `more`."""
    numbered = tuple(Gate(name, f"G{i}", i, bosses) for i, bosses in enumerate(gates, start=1))
    return Raid(name, korean, players, numbered, released, kind, (*levels, *more), levels, aliases)


_LEGION_MODES = ("Hard", "Inferno", "Solo")

_GUARDIANS: tuple[tuple[str, int | None], ...] = (
    ("Ur'nil", None),
    ("Lumerus", None),
    ("Icy Legoros", None),
    ("Vertus", None),
    ("Chromanium", None),
    ("Nacrasena", None),
    ("Flame Fox Yoho", None),
    ("Tytalos", None),
    ("Dark Legoros", None),
    ("Helgaia", None),
    ("Calventus", None),
    ("Achates", None),
    ("Frost Helgaia", None),
    ("Lava Chromanium", None),
    ("Levanos", None),
    ("Alberhastic", None),
    ("Armored Nacrasena", None),
    ("Igrexion", None),
    ("Night Fox Yoho", None),
    ("Velganos", None),
    ("Deskaluda", None),
    ("Kungelanium", None),
    ("Caliligos", None),
    ("Hanumatan", None),
    ("Sonavel", 1580),
    ("Gargadeth", 1610),
    ("Veskal", 1630),
    ("Argeos", 1640),
    ("Skolakia", 1680),
    ("Drextalas", 1700),
    ("Krathios", 1720),
    ("Lumencaligo", None),
)

RAIDS: tuple[Raid, ...] = (
    Raid(
        GUARDIAN_RAIDS,
        "가디언 토벌",
        4,
        tuple(Gate(GUARDIAN_RAIDS, name, 1, (name,), level) for name, level in _GUARDIANS),
        None,
        "guardian",
        ("Normal", "Trial", "Challenge"),
        aliases=("Guardian Raid", "Guardian", "Guardians", "가디언"),
    ),
    _raid(
        "Valtan",
        "발탄",
        "legion",
        8,
        (
            ("Dark Mountain Predator", "Destroyer Lucas", "Leader Lugaru"),
            ("Demon Beast Commander Valtan", "Ravaged Tyrant of Beasts"),
        ),
        levels={"Normal": 1415},
        more=_LEGION_MODES,
    ),
    _raid(
        "Vykas",
        "비아키스",
        "legion",
        8,
        (
            ("Incubus Morphe", "Nightmarish Morphe"),
            ("Covetous Devourer Vykas",),
            ("Covetous Legion Commander Vykas",),
        ),
        levels={"Normal": 1430},
        more=_LEGION_MODES,
    ),
    _raid(
        "Clown",
        "쿠크세이튼",
        "legion",
        4,
        (("Saydon",), ("Kakul",), ("Kakul-Saydon", "Encore-Desiring Kakul-Saydon")),
        levels={"Normal": 1475},
        more=("Inferno", "Solo"),
        aliases=("Kakul-Saydon",),
    ),
    _raid(
        "Brelshaza",
        "아브렐슈드",
        "legion",
        8,
        (
            ("Gehenna Helkasirs",),
            ("Prokel", "Prokel's Spiritual Echo", "Ashtarot"),
            ("Primordial Nightmare",),
            ("Phantom Legion Commander Brelshaza",),
            (
                "Brelshaza, Monarch of Nightmares",
                "Imagined Primordial Nightmare",
                "Pseudospace Primordial Nightmare",
            ),
            ("Phantom Legion Commander Brelshaza",),
        ),
        levels={"Normal": 1490},
        more=_LEGION_MODES,
        aliases=("Brel",),
    ),
    _raid(
        "Kayangel",
        "카양겔",
        "abyss",
        4,
        (("Tienis",), ("Prunya",), ("Lauriel",)),
        levels={"Normal": 1540},
        more=("Hard", "Solo"),
    ),
    _raid(
        "Akkan",
        "일리아칸",
        "legion",
        8,
        (
            ("Griefbringer Maurug", "Evolved Maurug"),
            ("Lord of Degradation Akkan",),
            ("Plague Legion Commander Akkan", "Lord of Kartheon Akkan"),
        ),
        levels={"Normal": 1580},
        more=_LEGION_MODES,
    ),
    _raid(
        "Ivory Tower",
        "혼돈의 상아탑",
        "abyss",
        4,
        (
            ("Kaltaya, the Blooming Chaos",),
            ("Rakathus, the Lurking Arrogance",),
            ("Firehorn, Trampler of Earth",),
            (
                "Lazaram, the Trailblazer",
                "Subordinated Vertus",
                "Subordinated Calventus",
                "Subordinated Legoros",
                "Brand of Subordination",
            ),
        ),
        levels={"Normal": 1600},
        more=("Hard", "Solo"),
        aliases=("Ivory", "Voldis", "상아탑"),
    ),
    _raid(
        "Thaemine",
        "카멘",
        "legion",
        8,
        (
            ("Killineza the Dark Worshipper",),
            ("Valinak, Knight of Darkness", "Valinak, Taboo Usurper", "Valinak, Herald of the End"),
            ("Thaemine the Lightqueller", "Dark Greatsword"),
            ("Darkness Legion Commander Thaemine", "Thaemine Prokel", "Thaemine, Conqueror of Stars"),
        ),
        levels={"Normal": 1610},
        more=("Hard", "The First", "Solo", "Extreme Normal", "Extreme Hard"),
    ),
    _raid(
        "Echidna",
        "에키드나",
        "kazeros",
        8,
        (
            ("Red Doom Narkiel", "Agris"),
            (
                "Echidna",
                "Covetous Master Echidna",
                "Desire in Full Bloom, Echidna",
                "Alcaone, the Twisted Venom",
                "Agris, the Devouring Bog",
            ),
        ),
        levels={"Normal": 1620, "Hard": 1630},
        released=date(2024, 1, 31),
        more=("Solo",),
        aliases=("서막", "서막 에키드나", "서막: 붉어진 백야의 나선"),
    ),
    _raid(
        "Behemoth",
        "베히모스",
        "epic",
        16,
        (
            (
                "Behemoth, the Storm Commander",
                "Despicable Skolakia",
                "Untrue Crimson Yoho",
                "Ruthless Lakadroff",
                "Vicious Argeos",
            ),
            ("Behemoth, Cruel Storm Slayer",),
        ),
        levels={"Normal": 1640},
        released=date(2024, 3, 27),
    ),
    _raid(
        "Aegir",
        "1막 에기르",
        "kazeros",
        8,
        (
            ("Akkan, Lord of Death", "Abyss Monarch Aegir"),
            ("Aegir, the Oppressor", "Pulsating Giant's Heart"),
        ),
        levels={"Normal": 1660, "Hard": 1680},
        released=date(2024, 7, 24),
        more=("Solo", "Extreme Normal", "Extreme Hard", "Extreme Nightmare"),
        aliases=("Act 1", "Act 1: Aegir", "1막", "에기르", "1막: 대지를 부수는 업화의 궤적"),
    ),
    _raid(
        "Act 2: Brelshaza",
        "2막 아브렐슈드",
        "kazeros",
        8,
        (("Narok the Butcher",), ("Phantom Legion Commander Brelshaza", "Phantom Manifester Brelshaza")),
        levels={"Normal": 1670, "Hard": 1690},
        released=date(2024, 9, 25),
        more=("Solo", "Extreme Normal", "Extreme Hard", "Extreme Nightmare"),
        aliases=("Act 2", "Act 2 Brel", "2막", "2막: 부유하는 악몽의 진혼곡"),
    ),
    _raid(
        "Assault: Crimson Abyss",
        "강습 나르하쉬",
        "assault",
        4,
        (("Abyssal Beast, Narhash",),),
        levels={"Normal": 1660},
        more=("Hard",),
        aliases=("Crimson Abyss", "Narhash", "나르하쉬"),
    ),
    _raid(
        "Act 3: Mordum",
        "3막 모르둠",
        "kazeros",
        8,
        (
            ("Thaemine, Master of Darkness", "Infernas"),
            ("Blossoming Fear, Naitreya",),
            ("Mordum, the Abyssal Punisher", "Mordum's Hammer", "Flash of Punishment"),
        ),
        levels={"Normal": 1680, "Hard": 1700},
        released=date(2025, 1, 22),
        more=("Solo",),
        aliases=("Act 3", "Mordum", "Mount Antares", "3막", "모르둠", "3막: 칠흑, 폭풍의 밤"),
    ),
    _raid(
        "Assault: Flame of Destruction",
        "강습 타르칼",
        "assault",
        8,
        (("Flame of Darkness, Tarkal",),),
        levels={"Normal": 1680},
        more=("Hard",),
        aliases=("Flame of Destruction", "Tarkal", "타르칼", "강습: 멸망의 불꽃, 타르칼"),
    ),
    _raid(
        "Act 4: Armoche",
        "4막 아르모체",
        "kazeros",
        8,
        (
            ("Act 4: Covetous Master Echidna", "Brelshaza, Ember in the Ashes"),
            ("Armoche, Sentinel of the Abyss",),
        ),
        levels={"Normal": 1700, "Hard": 1720},
        released=date(2025, 8, 20),
        more=("Solo",),
        aliases=("Act 4", "Armoche", "Fortress of Destruction", "4막", "아르모체", "4막: 파멸의 성채"),
    ),
    _raid(
        "Final Act: Kazeros",
        "종막 카제로스",
        "kazeros",
        8,
        (("Abyss Lord Kazeros", "Abyssal Afterimage"), ("Archdemon Kazeros", "Death Incarnate Kazeros")),
        levels={"Normal": 1710, "Hard": 1730},
        released=date(2025, 8, 20),
        more=("The First", "Solo"),
        aliases=("Final Act", "Kazeros", "Final Day", "종막", "카제로스", "종막: 최후의 날"),
    ),
    _raid(
        "Serca",
        "세르카",
        "shadow",
        4,
        (("Witch of Agony, Serca",), ("Corvus Tul Rak",)),
        levels={"Normal": 1710, "Hard": 1730, "Nightmare": 1740},
        released=date(2026, 1, 7),
        aliases=("Shadow Raid: Serca", "그림자: 고통의 마녀, 세르카"),
    ),
    _raid(
        "Horizon Cathedral",
        "지평의 성당",
        "cathedral",
        4,
        (("Archbishop Arcenos",), ("Arcenos, Vanguard of Fanaticism",)),
        levels={"Level 1": 1700, "Level 2": 1720, "Level 3": 1750},
        released=date(2026, 3, 18),
        aliases=("Cathedral", "Horizon", "성당"),
    ),
    _raid(
        "Belgardin",
        "벨가르딘",
        "shadow",
        8,
        (("죽음의 계율자, 벨가르딘",), ("페투스 안 크라그마",)),
        levels={"Normal": 1750, "Hard": 1770, "Nightmare": 1780},
        released=date(2026, 8, 5),
        aliases=("그림자: 죽음의 계율자, 벨가르딘",),
    ),
)
