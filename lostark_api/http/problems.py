"""Errors as problem documents (RFC 9457), never a stack trace."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from lostark_assets.contracts.battle_log_api import PROBLEM_TYPE
from lostark_assets.errors import LostarkError, NotFound, TransientError
from lostark_assets.observability.logs import REQUEST_ID, get_logger

RETRY_AFTER_S = 5
_MAX_ECHO = 80
_MSGSPEC_PLACE = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)
log = get_logger()


class InvalidCursor(LostarkError):
    """The cursor of a request was not made by this API."""


class InvalidBody(LostarkError):
    """The body of a request does not fit its schema; the text is msgspec's."""


def problem_response(
    status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """One problem document."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if request_id := REQUEST_ID.get():
        more["request_id"] = request_id
    no_store = {"Cache-Control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(body | more), status, no_store, PROBLEM_TYPE)


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error of ``app`` with a problem document."""
    app.add_exception_handler(HTTPException, _handle_http)
    app.add_exception_handler(RequestValidationError, _handle_invalid_parameters)
    app.add_exception_handler(InvalidBody, _handle_invalid_body)
    app.add_exception_handler(ClientDisconnect, _handle_disconnect)
    app.add_exception_handler(NotFound, _handle_not_found)
    app.add_exception_handler(InvalidCursor, _handle_invalid_cursor)
    app.add_exception_handler(TransientError, _handle_transient)
    app.add_exception_handler(Exception, _handle_unexpected)


async def _handle_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail
    if error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = "There is no such route; /docs lists all of them."
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method[:_MAX_ECHO]} is not allowed here."
    return problem_response(error.status_code, str(detail), headers=error.headers)


async def _handle_invalid_parameters(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _invalid([(".".join(map(str, item["loc"])), str(item["msg"])) for item in error.errors()[:20]])


async def _handle_invalid_body(_: Request, error: Exception) -> Response:
    message, where = str(error), "body"
    if found := _MSGSPEC_PLACE.fullmatch(message):
        message, place = found.groups()
        where = f"body.{place.replace('[', '.').replace(']', '')}"
    return _invalid([(where, message)])


def _invalid(found: list[tuple[str, str]]) -> Response:
    errors = [{"where": where[:_MAX_ECHO], "what": what[:200]} for where, what in found]
    detail = "; ".join(f"{item['where']}: {item['what']}" for item in errors)
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


async def _handle_disconnect(_: Request, __: Exception) -> Response:
    return problem_response(
        HTTPStatus.BAD_REQUEST, "The connection closed before the whole body had arrived. Nothing was kept."
    )


async def _handle_not_found(_: Request, error: Exception) -> Response:
    return problem_response(HTTPStatus.NOT_FOUND, str(error))


async def _handle_invalid_cursor(_: Request, __: Exception) -> Response:
    detail = "after: expected a next_cursor of this list, found something else. Start without it."
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


async def _handle_transient(_: Request, error: Exception) -> Response:
    log.warning("api_unavailable", error=str(error))
    return problem_response(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The data can't be reached right now. Try again in a few seconds.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


async def _handle_unexpected(_: Request, __: Exception) -> Response:
    # Starlette raises the error again after this response; the outermost middleware logs it there.
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error; it has been logged.")
