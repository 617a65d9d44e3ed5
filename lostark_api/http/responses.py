"""What every readable route answers with: finished JSON bytes, an ETag, and the publish that they come from.

What does not belong here: questions, and keeping answers (``cache``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import msgspec
from fastapi import Request
from starlette.responses import Response

from lostark_api.database import Marts, Snapshot
from lostark_api.http.language import negotiate
from lostark_assets.contracts.battle_log_api import JSON_TYPE

CACHE_CONTROL = "public, max-age=10, stale-while-revalidate=60"
VERSION_HEADER = "Publish-Version"


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} has no place in an answer")


_encoder = msgspec.json.Encoder(enc_hook=_plain)


def encoded(content: Any) -> bytes:
    """``content`` as the JSON of an answer."""
    return _encoder.encode(content)


def get_language(request: Request) -> str:
    """The language of the answer: ``?lang=`` of a shared address, else ``Accept-Language``."""
    wanted = request.query_params.get("lang")
    return negotiate(wanted or request.headers.get("accept-language", ""))


def compute_etag(body: bytes) -> str:
    """A strong ETag: another publish that changes nothing here keeps it."""
    return f'"{hashlib.sha256(body).hexdigest()[:24]}"'


async def answer(
    request: Request, question: Callable[[Snapshot, str], Awaitable[Any]], status: int = 200
) -> Response:
    """Ask ``question`` of one snapshot, in the reader's language, and answer with its JSON."""
    marts: Marts = request.app.state.marts
    language = get_language(request)
    async with marts.snapshot() as now:
        content = await question(now, language)
    return reply(encoded(content), JSON_TYPE, version=now.version, language=language, status=status)


def reply(
    body: bytes, media_type: str, *, version: int, language: str | None = None, status: int = 200
) -> Response:
    """A finished answer that caches may keep."""
    headers = {"Cache-Control": CACHE_CONTROL, "ETag": compute_etag(body), VERSION_HEADER: str(version)}
    if language:
        headers |= {"Content-Language": language, "Vary": "Accept-Language"}
    return Response(body, status, headers, media_type)
