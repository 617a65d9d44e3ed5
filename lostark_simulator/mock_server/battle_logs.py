"""The battle-log routes of the mock server. The contract is ``lostark_assets.contracts.battle_log_api``."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from lostark_assets.contracts.battle_log_api import (
    CURSOR_FORGOTTEN_STATUS,
    CURSOR_PATTERN,
    DEFAULT_LIMIT,
    ID_PATTERN,
    JSON_TYPE,
    LIST_PATH,
    LOG_PATH,
    MAX_LIMIT,
    PROBLEM_TYPE,
    BattleLogPage,
)
from lostark_simulator.mock_server.context import MockServer, Shared
from lostark_simulator.mock_server.faults import SCOPE_FAULT
from lostark_simulator.mock_server.growing_season import CursorExpired, Page
from lostark_simulator.mock_server.log_record import page_json
from lostark_simulator.mock_server.responses import problem

router = APIRouter(tags=["battle logs"])
_PACKED = {"content-encoding": "gzip"}
_LOG_PREFIX = LIST_PATH + "/"
_READY_HEADERS = [(b"content-type", JSON_TYPE.encode()), (b"content-encoding", b"gzip")]
_encoder = msgspec.json.Encoder()


def _problems(**kinds: str) -> dict[int | str, dict[str, Any]]:
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        int(status.removeprefix("_")): {"description": text, "content": content}
        for status, text in kinds.items()
    }


_OFTEN = {
    "_401": "The token is missing or wrong.",
    "_422": "The request makes no sense; the detail says what was expected.",
    "_429": "Too many requests; Retry-After says how many seconds to wait.",
    "_503": "Down for a while; the body may be HTML.",
}


@router.get(
    LIST_PATH,
    summary="List battle logs, oldest change first",
    operation_id="list_battle_logs",
    responses={
        200: {"model": BattleLogPage, "description": "The logs after the cursor; none: nothing new now."},
        **_problems(**_OFTEN, _410="The cursor is forgotten. List again from the beginning."),
    },
)
async def list_battle_logs(
    request: Request,
    shared: Shared,
    after: Annotated[
        str | None, Query(pattern=CURSOR_PATTERN, description="next_cursor of an earlier page.")
    ] = None,
    limit: Annotated[
        int, Query(ge=1, le=MAX_LIMIT, description="The most logs of one page.")
    ] = DEFAULT_LIMIT,
) -> Response:
    """Logs after ``after`` in the order of (updated_at, id)."""
    refusal = _refusal(request.headers.get("authorization", ""), shared)
    if refusal is not None:
        return refusal
    try:
        page = shared.season.page(after, limit)
    except CursorExpired:
        detail = f"The cursor {after} is forgotten. List again without a cursor; logs keep their ids."
        return problem(CURSOR_FORGOTTEN_STATUS, detail)
    entries = _entries(page, request.scope.get(SCOPE_FAULT), shared)
    return Response(page_json(entries, page.next_cursor), media_type=JSON_TYPE)


@router.get(
    LOG_PATH,
    summary="Fetch the newest upload JSON of one battle log",
    operation_id="fetch_battle_log",
    responses={
        200: {
            "description": "The upload JSON, gzip-encoded.",
            "content": {JSON_TYPE: {"schema": {"type": "object"}}},
            "headers": {"Content-Encoding": {"schema": {"type": "string", "enum": ["gzip"]}}},
        },
        **_problems(**_OFTEN, _404="There is no log of this id."),
    },
)
async def fetch_battle_log(
    request: Request,
    shared: Shared,
    id: Annotated[str, Path(pattern=ID_PATTERN, description="The id from the listing.")],  # noqa: A002 - the contract's
) -> Response:
    """The newest revision of one log."""
    refusal = _refusal(request.headers.get("authorization", ""), shared)
    if refusal is not None:
        return refusal
    record = shared.season.find(id)
    if record is None:
        return problem(404, f"There is no battle log {id}. List the logs to see which there are.")
    body = shared.season.ready_body(record)
    if body is None:
        body = await run_in_threadpool(shared.season.body, record)
    return Response(body, headers=_PACKED, media_type=JSON_TYPE)


class ReadyBodies:
    """Fast path for logs with a cached body: responds before the routes, which take seven times as long."""

    def __init__(self, app: ASGIApp, shared: MockServer) -> None:
        self._app, self._shared = app, shared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request for a cached log as the route would; pass on any other."""
        body = self._body(scope) if scope["type"] == "http" else None
        if body is None:
            await self._app(scope, receive, send)
            return
        sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        refusal = _refusal(sent.decode("latin-1"), self._shared)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        headers = [*_READY_HEADERS, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _body(self, scope: Scope) -> bytes | None:
        path: str = scope["path"]
        if scope["method"] != "GET" or not path.startswith(_LOG_PREFIX):
            return None
        record = self._shared.season.find(path[len(_LOG_PREFIX) :])
        return None if record is None else self._shared.season.ready_body(record)


def _refusal(sent: str, shared: MockServer) -> Response | None:
    """The error response for a wrong token or an exceeded limit, if any."""
    token = shared.config.battle_log_token
    if token is not None and not secrets.compare_digest(sent.encode(), f"Bearer {token}".encode()):
        detail = "Send the header Authorization: Bearer with the server's token."
        return problem(401, detail, {"www-authenticate": "Bearer"})
    if shared.battle_log_limit.limit:
        now_s = shared.config.clock()
        verdict = shared.battle_log_limit.count(sent, now_s)
        if not verdict.is_allowed:
            wait_s = max(int(-(-(verdict.reset_at_s - now_s) // 1)), 1)
            detail = f"More than {shared.battle_log_limit.limit} requests; wait {wait_s} s."
            return problem(429, detail, {"retry-after": str(wait_s)})
    return None


def _entries(page: Page, fault: str | None, shared: MockServer) -> list[bytes]:
    """The page's entries as JSON, with the injected fault."""
    if fault == "clock_skew":
        skew_ms = shared.traffic.faults.skew_s * 1000
        return [_encoder.encode(record.entry(skew_ms)) for record in page.records]
    entries = [record.entry_json for record in page.records]
    if fault == "duplicated_page":
        return [record.entry_json for record in page.earlier] + entries + entries[-5:]
    return entries[::-1] if fault == "reordered_page" else entries
