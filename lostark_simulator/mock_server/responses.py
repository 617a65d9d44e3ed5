"""Responses shared by routes: problem documents, JSON, the maintenance page."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from lostark_assets.contracts.battle_log_api import JSON_TYPE, PROBLEM_TYPE

HTML_TYPE = "text/html; charset=utf-8"
_encoder = msgspec.json.Encoder()


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """An RFC 9457 document."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(_encoder.encode(body), status, headers, PROBLEM_TYPE)


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response; Korean text is not escaped."""
    return Response(_encoder.encode(content), status, headers, JSON_TYPE)


def maintenance_page() -> bytes:
    """The HTML page of a service in maintenance, sent to all clients."""
    return (
        "<!DOCTYPE html>\r\n<html lang='ko'><head><title>점검 중</title></head>"
        "<body><h1>서비스 점검 중입니다.</h1><p>잠시 후 다시 이용해 주세요.</p></body></html>\r\n"
    ).encode()
