"""Content negotiation and labels: names of game terms stay English; labels are in the reader's language."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from lostark_assets.game.bosses import boss_korean
from lostark_assets.game.classes import korean_class
from lostark_assets.game.difficulties import korean_difficulty
from lostark_assets.game.raid_names import gate_number, raid_korean
from lostark_assets.game.specs import resolve_spec

ENGLISH, KOREAN = "en", "ko"
LANGUAGES = (ENGLISH, KOREAN)


def _korean_spec(name: str) -> str | None:
    spec = resolve_spec(name)
    return spec.korean if spec else None


def _korean_gate(name: str) -> str | None:
    number = gate_number(name)
    # A guardian raid names its gates after its bosses.
    return f"{number}관문" if number else boss_korean(name)


_KOREAN = {
    "raid": raid_korean,
    "gate": _korean_gate,
    "boss": boss_korean,
    "difficulty": korean_difficulty,
    "class": korean_class,
    "spec": _korean_spec,
}
TERMS = {"difficulty": "difficulty", **{f"{kind}_name": kind for kind in _KOREAN if kind != "difficulty"}}
"""Column to kind of term."""
LABELS = {column: f"{kind}_label" for column, kind in TERMS.items()}
"""Column to the field that holds its label."""


@lru_cache(maxsize=256)
def negotiate(accept_language: str) -> str:
    """The best language for an ``Accept-Language`` header; English where neither is accepted."""
    best, quality = ENGLISH, 0.0
    for part in accept_language.split(",")[:20]:
        tag, _, weight = part.strip().partition(";q=")
        try:
            q = float(weight) if weight else 1.0
        except ValueError:
            continue
        language = tag.strip().lower()[:2]
        if language in LANGUAGES and q > quality:
            best, quality = language, q
    return best


@lru_cache(maxsize=8192)
def get_label(kind: str, name: str, language: str) -> str:
    """The term ``name`` in ``language``; unchanged where no translation is known."""
    return (_KOREAN[kind](name) or name) if language == KOREAN else name


def add_labels(rows: Iterable[dict[str, Any]], language: str) -> list[dict[str, Any]]:
    """``rows`` with a label beside every game term."""
    labelled = []
    for row in rows:
        labels = {
            LABELS[column]: None if row[column] is None else get_label(kind, row[column], language)
            for column, kind in TERMS.items()
            if column in row
        }
        labelled.append(row | labels)
    return labelled
