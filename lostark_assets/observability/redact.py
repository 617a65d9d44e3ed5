"""Removing secrets from text and values before they are logged or shown.

Two methods: the values of the secret settings, wherever they occur, and what looks like a secret (credentials
in URLs, authorization headers, webhook URLs, fields named like secrets).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import SecretStr

from lostark_assets.settings import Settings

REMOVED = "[removed]"
_MIN = 4
"""A shorter secret would match ordinary words; it is only removed if it is the whole value of a field."""
_SECRET_NAMES = re.compile(
    r"authorization|password|passwd|secret|token|api_?key|webhook|credential|cookie", re.IGNORECASE
)
_LOOKS_SECRET = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {REMOVED}"),
    (re.compile(r"(?i)\b(authorization['\"]?\s*[:=]\s*['\"]?)(?!bearer|basic)[^\s'\",;}]+"), rf"\1{REMOVED}"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s@'\"]+@"), rf"\1{REMOVED}@"),
    (re.compile(r"(?i)(/api(?:/v\d+)?/webhooks/)[\w./~-]+"), rf"\1{REMOVED}"),
    (re.compile(r"\blak_[A-Za-z0-9_-]{20,}"), REMOVED),
    (re.compile(r"(?i)(hooks\.slack\.com/)[\w./~-]+"), rf"\1{REMOVED}"),
)
_SIGN_OF_SECRET = re.compile(r"[\s:=/]|lak_")
"""Each of the above has one of these: most values are short words, for which one search is enough."""
_MAX_NAMES = 1024
_DEEPEST = 8
_MIN_PATH = 16
"""A webhook's path is its secret; a shorter path is an ordinary word."""


class Redactor:
    """Removes the given secrets, and what looks like one, from text and plain values."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """``secrets`` are the values themselves; of a URL, also its password and path."""
        whole = {secret for secret in secrets if secret}
        known = {form for secret in whole for form in _forms(secret) if len(form) >= _MIN}
        self._whole = whole
        longest_first = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if known else None
        # Few names of fields come again and again.
        self._name = lru_cache(_MAX_NAMES)(self.text)

    def __repr__(self) -> str:
        return "Redactor()"

    def text(self, text: str) -> str:
        """``text`` without secrets."""
        if text in self._whole:
            return REMOVED
        if self._known is not None:
            text = self._known.sub(REMOVED, text)
        if _SIGN_OF_SECRET.search(text) is None:
            return text
        for pattern, replacement in _LOOKS_SECRET:
            text = pattern.sub(replacement, text)
        return text

    def value(self, value: Any, depth: int = 0) -> Any:
        """``value`` in JSON types, without secrets; other types become text."""
        if value is None or isinstance(value, (bool, int, float)):
            return value if not isinstance(value, float) or math.isfinite(value) else str(value)
        if isinstance(value, SecretStr):
            return REMOVED
        if isinstance(value, Mapping) and depth < _DEEPEST:
            fields = ((str(name), item) for name, item in value.items())
            return {self._name(name): self._field(name, item, depth) for name, item in fields}
        if isinstance(value, (list, tuple, set, frozenset)) and depth < _DEEPEST:
            return [self.value(item, depth + 1) for item in value]
        return self.text(value.isoformat() if isinstance(value, date) else str(value))

    def _field(self, name: str, value: Any, depth: int) -> Any:
        # `tokens=3` is a count, `token=None` means that there is none.
        is_text = value is not None and not isinstance(value, (bool, int, float))
        return REMOVED if is_text and _is_secret_name(name) else self.value(value, depth + 1)


@lru_cache(_MAX_NAMES)
def _is_secret_name(name: str) -> bool:
    return _SECRET_NAMES.search(name) is not None


def list_secrets(settings: Settings) -> set[str]:
    """The values of all secret settings, including those in lists."""
    return set(_secrets_in(getattr(settings, name) for name in type(settings).model_fields))


def _secrets_in(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
        elif isinstance(value, (list, tuple, set, frozenset)):
            yield from _secrets_in(value)


def _forms(secret: str) -> Iterator[str]:
    """The secret, its URL-encoded forms, and the secret parts of a URL."""
    yield from {secret, quote(secret, safe=""), quote(secret), unquote(secret)}
    try:
        parts = urlsplit(secret)
        password = parts.password
    except ValueError:
        return
    if password:
        yield from {password, unquote(password)}
    elif parts.scheme in ("http", "https") and len(parts.path) > _MIN_PATH:
        yield parts.path.strip("/")
