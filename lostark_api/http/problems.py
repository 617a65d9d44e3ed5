"""Errors as clients see them: problem documents (RFC 9457), never a stack trace.

What does not belong here: which errors there are (``lostark_assets.errors``).
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from lostark_assets.contracts.battle_log_api import PROBLEM_TYPE
from lostark_assets.errors import LostarkError, NotFound, TransientError
from lostark_assets.observability.logs import get_logger

RETRY_AFTER_S = 5
_MAX_ECHO = 80
log = get_logger()


class BadCursor(LostarkError):
    """The cursor of a request is none of ours."""


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """One problem document."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    no_store = {"Cache-Control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(body | more), status, no_store, PROBLEM_TYPE)


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error of ``app`` with a problem document."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(NotFound, _not_found)
    app.add_exception_handler(BadCursor, _bad_cursor)
    app.add_exception_handler(TransientError, _later)
    app.add_exception_handler(Exception, _unforeseen)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = "There is no such route; /docs lists all of them."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method[:_MAX_ECHO]} is not allowed here."
    return problem(error.status_code, str(detail), headers=error.headers)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [
        {"where": ".".join(map(str, item["loc"]))[:_MAX_ECHO], "what": str(item["msg"])[:200]}
        for item in error.errors()[:20]
    ]
    detail = "; ".join(f"{item['where']}: {item['what']}" for item in found)
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=found)


async def _not_found(_: Request, error: Exception) -> Response:
    return problem(HTTPStatus.NOT_FOUND, str(error))


async def _bad_cursor(_: Request, __: Exception) -> Response:
    detail = "after: expected a next_cursor of this list, found something else. Begin without it."
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


async def _later(_: Request, error: Exception) -> Response:
    log.warning("api_unavailable", error=str(error))
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "What the answer needs can't be reached right now. Try again in a few seconds.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


async def _unforeseen(_: Request, __: Exception) -> Response:
    # Starlette raises the error again after this answer; the app's boundary logs it there.
    detail = "Something is wrong on our side; it has been written down."
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
