"""Replace a character's name in a raw log of any format. Pure.

A match is a whole string, a key, or one entry of a list in a string (``204:Name,105:Other``), but not part of
a longer word. A log that can't be parsed is searched as text.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from isal import igzip, isal_zlib

from lostark_assets.gunzip import GZIP_MAGIC
from lostark_assets.sources.upload_json import FORMAT as UPLOAD_JSON

_GZIP_WINDOW = 31
_IDENTIFYING = ("characterId", "character_id", "loadoutHash", "loadout_hash")
_BROKEN = (ValueError, RecursionError, msgspec.MsgspecError)


def spellings(name: str) -> set[str]:
    """The name in both Unicode forms: Korean text is written composed and decomposed."""
    return {unicodedata.normalize(form, name) for form in ("NFC", "NFD")} | {name}


def build_pattern(name: str) -> str:
    """A regular expression that matches the name as a whole word."""
    alternatives = "|".join(sorted(map(re.escape, spellings(name)), key=len, reverse=True))
    return rf"(?<!\w)(?:{alternatives})(?!\w)"


@dataclass
class Renaming:
    """Replaces ``old`` with ``new``; ``limit`` is the maximum decompressed size of a part in bytes."""

    old: str
    new: str
    limit: int

    def __post_init__(self) -> None:
        self._spellings = spellings(self.old)
        options = "|".join(map(re.escape, self._spellings))
        self._listed = re.compile(rf"(^|[,:;|])(\s*)(?:{options})(?=\s*(?:$|[,:;|]))")
        self._bytes = [spelling.encode("utf-8", "surrogatepass") for spelling in self._spellings]
        self._anywhere = re.compile(build_pattern(self.old))

    def log(self, log_format: str, payload: bytes) -> bytes | None:
        """The log with the new name; None if the old one does not occur."""
        if log_format == UPLOAD_JSON:
            changed = self._document(payload)
        else:
            try:
                rows = msgspec.msgpack.decode(payload)
            except _BROKEN:
                changed = self._replace_in_text(payload)
            else:
                renamed = self._rows(rows) if isinstance(rows, dict) else self._value(rows)
                changed = payload if renamed is rows else msgspec.msgpack.encode(renamed)
        return None if changed is payload else changed

    def _value(self, value: Any) -> Any:
        """``value`` itself if nothing in it changed, else a changed copy."""
        if isinstance(value, str):
            return self._string(value)
        if isinstance(value, bytes):
            return self._document(value)
        if isinstance(value, dict):
            pairs = [(self._value(key), self._value(item)) for key, item in value.items()]
            same = all(a is k and b is v for (a, b), (k, v) in zip(pairs, value.items(), strict=True))
            return value if same else self._clear_ids(dict(pairs), value)
        if isinstance(value, list):
            items = [self._value(item) for item in value]
            return value if all(a is b for a, b in zip(items, value, strict=True)) else items
        return value

    def _rows(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Rows as lists: column names are stored once, apart from the values."""
        renamed = self._value(rows)
        columns = rows.get("entity_columns") or rows.get("columns") or []
        if renamed is rows or "name" not in columns:
            return renamed
        at = columns.index("name")
        hidden = [columns.index(name) for name in _IDENTIFYING if name in columns]
        for key in ("entities", "rows"):
            for before, after in zip(rows.get(key) or [], renamed.get(key) or [], strict=True):
                if before[at] != after[at]:
                    for place in hidden:
                        after[place] = None
        return renamed

    def _clear_ids(self, changed: dict[Any, Any], before: dict[Any, Any]) -> dict[Any, Any]:
        if before.get("name") in self._spellings:
            return {key: None if key in _IDENTIFYING else value for key, value in changed.items()}
        return changed

    def _string(self, text: str) -> str:
        if text in self._spellings:
            return self.new
        if not any(spelling in text for spelling in self._spellings) and "\\u" not in text:
            return text
        if text.lstrip()[:1] in ("{", "["):
            data = text.encode("utf-8", "surrogatepass")
            changed = self._document(data)
            return text if changed is data else changed.decode("utf-8", "surrogatepass")
        replaced = self._listed.sub(rf"\g<1>\g<2>{self.new}", text)
        return text if replaced == text else replaced

    def _document(self, data: bytes) -> bytes:
        """JSON, gzipped JSON, plain text, or arbitrary bytes."""
        is_gzip = data.startswith(GZIP_MAGIC)
        plain, is_complete = _decompress(data, self.limit) if is_gzip else (data, True)
        if not any(name in plain for name in self._bytes) and b"\\u" not in plain:
            return data
        try:
            document = json.loads(plain.removeprefix(b"\xef\xbb\xbf"))
        except _BROKEN:
            changed = self._replace_in_text(plain)
        else:
            renamed = self._value(document)
            changed = plain if renamed is document else _json(renamed)
        if changed is plain:
            return data
        return igzip.compress(changed, 2, mtime=0) if is_gzip and is_complete else changed

    def _replace_in_text(self, data: bytes) -> bytes:
        text = data.decode("utf-8", "surrogateescape")
        replaced = self._anywhere.sub(self.new, text)
        return data if replaced == text else replaced.encode("utf-8", "surrogateescape")


def _json(document: Any) -> bytes:
    try:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(document, separators=(",", ":")).encode()


def _decompress(data: bytes, limit: int) -> tuple[bytes, bool]:
    """The decompressed content as far as it is readable and within ``limit``, and whether it is complete."""
    stream = isal_zlib.decompressobj(_GZIP_WINDOW)
    parts: list[bytes] = []
    try:
        for part in _pieces(data):
            parts.append(stream.decompress(part, limit - sum(len(part) for part in parts) + 1))
            if stream.eof:
                return b"".join(parts), True
    except (isal_zlib.error, EOFError, ValueError):  # type: ignore[misc]  # typed as an instance
        pass
    return b"".join(parts), False


def _pieces(data: bytes) -> Iterator[bytes]:
    """Small pieces: a damaged stream then still yields the content before the damage."""
    step = 1 << 16
    return (data[at : at + step] for at in range(0, len(data), step))
