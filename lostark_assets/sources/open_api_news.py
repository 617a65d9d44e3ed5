"""The entries of the Open API's news lists as raw rows. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from lostark_assets.sources.protocol import content_sha256

NEWS_PATHS = {"notices": "/news/notices", "events": "/news/events"}


def news_rows(news_list: str, body: bytes, *, fetched_at: datetime, run_id: str) -> Iterator[dict[str, Any]]:
    """One raw row for each entry of a list's body, the entry's bytes as they are; ``null`` is an empty list.

    Raises:
        ValueError: the body is no JSON list.
    """
    try:
        entries = msgspec.json.decode(body, type=list[msgspec.Raw] | None) or []
    except msgspec.DecodeError as error:
        raise ValueError(f"expected a JSON list of {news_list}, found {body[:40]!r}: {error}") from None
    for raw in entries:
        entry = bytes(raw)
        fields = msgspec.json.decode(entry)
        fields = fields if isinstance(fields, dict) else {}
        link, title = (_text(fields.get(name)) for name in ("Link", "Title"))
        sha256 = content_sha256(entry)
        identity = "\x00".join((news_list, link or "", sha256))
        yield {
            "notice_id": hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()[:32],
            "news_list": news_list,
            "link": link,
            "title": title,
            "content_sha256": sha256,
            "body": entry,
            "fetched_at": fetched_at,
            "fetch_run_id": run_id,
        }


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
