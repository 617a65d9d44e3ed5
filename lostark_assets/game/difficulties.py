"""Difficulty words: one canonical word per mode, whatever the language and the meter version wrote.

Which difficulties a raid has is in `raid_table`; difficulties are never guessed from damage or HP.
"""

from __future__ import annotations

from dataclasses import dataclass

from lostark_assets.game.names import index_by_key, name_key
from lostark_assets.game.raid_names import find_raid
from lostark_assets.game.versions import parse_meter_version


@dataclass(frozen=True, slots=True)
class Difficulty:
    """One mode; `korean` is None where no Korean word is known."""

    name: str
    korean: str | None
    aliases: tuple[str, ...] = ()


DIFFICULTIES: tuple[Difficulty, ...] = (
    Difficulty("Solo", "싱글", ("Special", "솔로")),
    Difficulty("Matching", None),
    Difficulty("Normal", "노말", ("노멀",)),
    Difficulty("Hard", "하드"),
    Difficulty("Nightmare", "나이트메어", ("나메",)),
    Difficulty("Inferno", "헬"),
    Difficulty("Trial", None),
    Difficulty("Challenge", None),
    Difficulty("Level 1", "1단계"),
    Difficulty("Level 2", "2단계"),
    Difficulty("Level 3", "3단계"),
    Difficulty("The First", "더 퍼스트", ("퍼스트",)),
    Difficulty("Extreme", "익스트림"),
    Difficulty("Extreme Normal", "익스트림 노말"),
    Difficulty("Extreme Hard", "익스트림 하드"),
    Difficulty("Extreme Nightmare", "익스트림 나이트메어", ("익스트림 나메",)),
)

DIFFICULTY_NAMES = tuple(difficulty.name for difficulty in DIFFICULTIES)
_BY_WORD = index_by_key((w, d.name) for d in DIFFICULTIES for w in (d.name, d.korean, *d.aliases))
_NIGHTMARE_RENAMED = (1, 42, 0)


def resolve_difficulty(
    text: str | None, *, meter_version: str | None = None, raid_name: str | None = None
) -> str | None:
    """Give the canonical word for a reported difficulty; None for "", None and unknown words.

    The caller also stores the reported word. LOA Logs renamed the same zone levels over time and
    left old rows as they were (format notes, section 1.6):

    | zone level | word of the meter | canonical word |
    | --- | --- | --- |
    | 4 | "Special" before 1.12, then "Solo" | Solo |
    | 2 | "Inferno" before 1.42, then "Nightmare" | Inferno in a raid that has that mode, else Nightmare |
    | 5 | "Extreme" 1.6-1.8, "The First" 1.9-1.47, "Extreme" | The First in a raid that has it, else Extreme |
    | any | "Extreme Normal", "Extreme Hard", "Extreme Nightmare" | as it is |

    With no known raid the newest vocabulary decides: "Inferno" from a meter before 1.42 is Nightmare;
    "Inferno" of an unknown meter stays, since a person may have written it; "The First" and "Extreme" stay.
    """
    word = _BY_WORD.get(name_key(text))
    raid = find_raid(raid_name)
    if word in ("Inferno", "Nightmare"):
        if raid is not None:
            return "Inferno" if "Inferno" in raid.difficulties else "Nightmare"
        version = parse_meter_version(meter_version)
        return "Nightmare" if version and version < _NIGHTMARE_RENAMED else word
    if word in ("Extreme", "The First") and raid is not None:
        return "The First" if "The First" in raid.difficulties else "Extreme"
    return word


def korean_difficulty(name: str | None) -> str | None:
    """Give the Korean word of a difficulty; None if the difficulty or its Korean word is unknown."""
    word = _BY_WORD.get(name_key(name))
    return next((d.korean for d in DIFFICULTIES if d.name == word), None)
