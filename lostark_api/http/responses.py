"""Cacheable responses: encoded JSON with an ETag and the version of the publish that the data comes from."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import msgspec
from starlette.responses import Response

from lostark_assets.contracts.battle_log_api import JSON_TYPE

CACHE_CONTROL = "public, max-age=10, stale-while-revalidate=60"
NO_STORE = {"Cache-Control": "no-store"}
VERSION_HEADER = "Publish-Version"


def _encode_decimal(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} can't be encoded as JSON")


_encoder = msgspec.json.Encoder(enc_hook=_encode_decimal)


def encode_json(content: Any) -> bytes:
    """``content`` as JSON."""
    return _encoder.encode(content)


def compute_etag(body: bytes) -> str:
    """A strong ETag: a publish that changes nothing here keeps it."""
    return f'"{hashlib.sha256(body).hexdigest()[:24]}"'


def json_response(content: Any, *, version: int, language: str) -> Response:
    """A cacheable JSON response from the publish ``version``."""
    return cacheable_response(encode_json(content), JSON_TYPE, version=version, language=language)


def cacheable_response(
    body: bytes, media_type: str, *, version: int, language: str | None = None
) -> Response:
    """A response that caches may keep."""
    headers = {"Cache-Control": CACHE_CONTROL, "ETag": compute_etag(body), VERSION_HEADER: str(version)}
    if language:
        headers |= {"Content-Language": language, "Vary": "Accept-Language"}
    return Response(body, 200, headers, media_type)
