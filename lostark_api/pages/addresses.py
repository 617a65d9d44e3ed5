"""Links between pages: they keep the filters and, where the reader chose one, the language."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

LANG = "lang"


class Addresses:
    """Links on the page at ``path`` with ``query``."""

    def __init__(self, path: str, query: Mapping[str, str]) -> None:
        self._path = path
        self._query = dict(query)

    def to(self, *parts: object, **query: object) -> str:
        """The page at ``/part/part…``; parts are quoted, empty values in ``query`` are left out."""
        path = "/" + "/".join(quote(str(part), safe="~:") for part in parts)
        return _joined(path, self._language() | query)

    def here(self, **changes: object) -> str:
        """This page with changed filters; None removes one."""
        return _joined(self._path, self._query | changes)

    def _language(self) -> dict[str, object]:
        return {LANG: self._query[LANG]} if LANG in self._query else {}


def _joined(path: str, query: Mapping[str, object]) -> str:
    given = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path
