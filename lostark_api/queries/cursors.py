"""Opaque cursors: the sort key of a page's last row, for the URL of the next page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from lostark_api.http.problems import InvalidCursor


def encode_cursor(key: Sequence[Any]) -> str:
    """A cursor that continues after the row with this sort key."""
    return base64.urlsafe_b64encode(msgspec.json.encode(list(key))).decode().rstrip("=")


def decode_cursor(cursor: str | None, kinds: Sequence[type]) -> list[Any] | None:
    """The sort key; None without a cursor.

    Raises:
        InvalidCursor: it is not a cursor of a list with sort keys of ``kinds``.
    """
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        values = msgspec.json.decode(raw, type=list[Any])
        key: list[Any] = [
            datetime.fromisoformat(value) if kind is datetime else msgspec.convert(value, kind)
            for value, kind in zip(values, kinds, strict=True)
        ]
    except (ValueError, TypeError, binascii.Error, msgspec.MsgspecError):
        raise InvalidCursor from None
    texts = [value for value in key if isinstance(value, str)]
    instants = [value for value in key if isinstance(value, datetime)]
    if any("\x00" in text or len(text) > 1000 for text in texts) or any(at.tzinfo is None for at in instants):
        raise InvalidCursor
    return key
