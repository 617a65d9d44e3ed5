"""Reading a gate and a difficulty out of a file's stem, such as "Aegir_G1_Hard_long".

Sources open the files, and trust their contents over their names.
"""

from __future__ import annotations

import re
from itertools import combinations

from lostark_assets.game.difficulties import resolve_difficulty
from lostark_assets.game.gates import UNKNOWN_GATE, GateMatch, resolve_gate, resolve_named_gate
from lostark_assets.game.raid_names import find_raid, gate_number

_SUFFIX = re.compile(r"\.(?:csv|parquet|json|db|txt|gz)\b.*$", re.IGNORECASE)
_GLUED_GATE = re.compile(r"(?<=[^\W\d_])(?=G\d)")
_MAX_WORDS = 24
_GATE_WORDS = ("g", "gate", "관문")


def gate_from_text(text: str) -> tuple[GateMatch, str | None]:
    """Give the gate and the canonical difficulty that a file stem names; what is missing is unknown or None.

    The longest raid or boss name in the text counts, at any position; a name that is both, such as "Echidna",
    is the raid, whose gate then stays open. Words without a meaning ("long", a date) are ignored.
    """
    words = [w for w in re.split(r"[\s_\-]+", _GLUED_GATE.sub(" ", _SUFFIX.sub("", text.strip()))) if w][
        :_MAX_WORDS
    ]
    span = _longest_name(words)
    if span is None:
        return UNKNOWN_GATE, _take_difficulty(words, None)[0]
    start, end = span
    name, rest = " ".join(words[start:end]), [*words[end:], *words[:start]]
    raid = find_raid(name)
    if raid is not None:
        difficulty, rest = _take_difficulty(rest, raid.name)
        if raid.kind == "guardian":
            return resolve_named_gate(raid.name, None, boss=" ".join(rest) or None), difficulty
        return resolve_named_gate(raid.name, _take_gate(rest)), difficulty
    reported, _ = _take_difficulty(rest, None)
    match = resolve_gate(name, difficulty=reported)
    return match, _take_difficulty(rest, match.raid_name)[0]


def _longest_name(words: list[str]) -> tuple[int, int] | None:
    spans = sorted(combinations(range(len(words) + 1), 2), key=lambda span: (span[0] - span[1], span[0]))
    for start, end in spans:
        name = " ".join(words[start:end])
        if find_raid(name) or resolve_gate(name).candidates:
            return start, end
    return None


def _take_difficulty(words: list[str], raid_name: str | None) -> tuple[str | None, list[str]]:
    """Find a difficulty of one or two words, two first ("Extreme Hard"); give it and the remaining words."""
    for length in (2, 1):
        for start in range(len(words) - length + 1):
            found = resolve_difficulty(" ".join(words[start : start + length]), raid_name=raid_name)
            if found:
                return found, [*words[:start], *words[start + length :]]
    return None, words


def _take_gate(words: list[str]) -> str | None:
    """Find a gate such as "G1" or "1관문"; a bare number counts only right after the raid name."""
    for index, word in enumerate(words):
        after = words[index + 1] if index + 1 < len(words) else ""
        if word.casefold() in _GATE_WORDS and after.isdecimal():
            return after
        if gate_number(word) is not None and (index == 0 or not word.isdecimal()):
            return word
    return None
