"""Finding a character's name in a raw log, and putting another in its place, whatever the format. Pure.

A name counts as the whole of a text, as a key, or as one entry of a list in a text (``204:Name,105:Other``);
inside words of others it does not. What can't be parsed is searched as text. What does not belong here: which
logs (``commands.forget``).
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
    """Korean text comes composed and decomposed."""
    return {unicodedata.normalize(form, name) for form in ("NFC", "NFD")} | {name}


def build_pattern(name: str) -> str:
    """A regular expression that finds the name where it stands for itself."""
    alternatives = "|".join(sorted(map(re.escape, spellings(name)), key=len, reverse=True))
    return rf"(?<!\w)(?:{alternatives})(?!\w)"


@dataclass
class Renaming:
    """``old`` becomes ``new``; ``limit``: bytes that a part may unpack to."""

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
        """The log with the new name; None where the old one is not in it."""
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
        """``value`` itself where nothing in it changed, else a changed copy."""
        if isinstance(value, str):
            return self._string(value)
        if isinstance(value, bytes):
            return self._document(value)
        if isinstance(value, dict):
            pairs = [(self._value(key), self._value(item)) for key, item in value.items()]
            same = all(a is k and b is v for (a, b), (k, v) in zip(pairs, value.items(), strict=True))
            return value if same else self._anonymous(dict(pairs), value)
        if isinstance(value, list):
            items = [self._value(item) for item in value]
            return value if all(a is b for a, b in zip(items, value, strict=True)) else items
        return value

    def _rows(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Packed rows: an entity's columns stand apart from its values."""
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

    def _anonymous(self, changed: dict[Any, Any], before: dict[Any, Any]) -> dict[Any, Any]:
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
        """JSON text or gzip of it, a text, or anything else."""
        packed = data.startswith(GZIP_MAGIC)
        plain, is_whole = _unpacked(data, self.limit) if packed else (data, True)
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
        return igzip.compress(changed, 2, mtime=0) if packed and is_whole else changed

    def _replace_in_text(self, data: bytes) -> bytes:
        text = data.decode("utf-8", "surrogateescape")
        replaced = self._anywhere.sub(self.new, text)
        return data if replaced == text else replaced.encode("utf-8", "surrogateescape")


def _json(document: Any) -> bytes:
    try:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(document, separators=(",", ":")).encode()


def _unpacked(data: bytes, limit: int) -> tuple[bytes, bool]:
    """What a gzip stream holds as far as it can be read, and whether that is all."""
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
    """A damaged stream gives what stands before the damage, a piece at a time."""
    step = 1 << 16
    return (data[at : at + step] for at in range(0, len(data), step))
