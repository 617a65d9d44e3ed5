"""How names are compared: one key for all spellings of a name.

The names themselves are in the tables of the sibling modules.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeVar

Item = TypeVar("Item")


@lru_cache(maxsize=16384)
def name_key(text: str | None) -> str:
    """Reduce a name to its letters and digits, without case; "" for None and for text without any.

    Spaces, hyphens, underscores, quotes and commas differ between sources, and Korean text comes both
    composed and decomposed. None of that tells two game names apart.
    """
    if not text:
        return ""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if char.isalnum())


def index_by_key(pairs: Iterable[tuple[str | None, Item]]) -> dict[str, Item]:
    """Build a lookup by `name_key`; names that are None or empty are skipped.

    Raises ValueError when one key would mean two different things: that is a mistake in a table, not in data.
    """
    index: dict[str, Item] = {}
    for name, item in pairs:
        key = name_key(name)
        if not key:
            continue
        if index.setdefault(key, item) != item:
            message = f"{name!r} names both {index[key]!r} and {item!r}"
            raise ValueError(message)
    return index
