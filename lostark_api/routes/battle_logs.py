"""The battle-log contract served: a platform's upload JSON for another platform to collect."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from isal import igzip
from starlette.responses import Response

from lostark_api.http.problems import problem
from lostark_api.schemas import responses as c
from lostark_api.services.keys import READ_LOGS
from lostark_api.services.offered_logs import OfferedLogs, UnknownCursor
from lostark_assets.contracts.battle_log_api import (
    CURSOR_FORGOTTEN_STATUS,
    CURSOR_PATTERN,
    DEFAULT_LIMIT,
    ID_PATTERN,
    JSON_TYPE,
    LIST_PATH,
    LOG_PATH,
    MAX_LIMIT,
    BattleLogPage,
)

router = APIRouter(tags=["battle logs"])
_PACKED = {"Content-Encoding": "gzip", "Cache-Control": "no-store"}
_SECURITY = {"security": [{"key": []}]}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": c.Problem, "content": {"application/problem+json": {}}, "description": what}
    for status, what in (
        (401, "The token is missing or wrong."),
        (403, "The key lacks the scope logs:read."),
        (429, "Too many requests; Retry-After says how many seconds to wait."),
    )
}


@router.get(LIST_PATH, response_model=BattleLogPage, responses=_REFUSALS, openapi_extra=_SECURITY)
async def list_battle_logs(
    request: Request,
    after: Annotated[
        str | None, Query(pattern=CURSOR_PATTERN, description="next_cursor of an earlier page.")
    ] = None,
    limit: Annotated[
        int, Query(ge=1, le=MAX_LIMIT, description="The most logs of one page.")
    ] = DEFAULT_LIMIT,
) -> Response:
    """List the platform's upload JSON, oldest change first. Needs a key of scope `logs:read`."""
    await request.app.state.access.allow(request, READ_LOGS)
    offered: OfferedLogs = request.app.state.offered
    try:
        logs, cursor = await asyncio.to_thread(offered.page, after, limit, datetime.now(UTC))
    except UnknownCursor:
        detail = "The cursor is none of this platform's. List again without a cursor; logs keep their ids."
        return problem(CURSOR_FORGOTTEN_STATUS, detail)
    body = BattleLogPage.model_construct(logs=logs, next_cursor=cursor).model_dump_json()
    return Response(body, HTTPStatus.OK, {"Cache-Control": "no-store"}, JSON_TYPE)


@router.get(LOG_PATH, response_class=Response, responses=_REFUSALS, openapi_extra=_SECURITY)
async def fetch_battle_log(
    request: Request,
    id: Annotated[str, Path(pattern=ID_PATTERN, description="The listing's id.")],  # noqa: A002 - the contract's name
) -> Response:
    """Fetch the newest upload JSON of one log, gzip-encoded. Needs a key of scope `logs:read`."""
    await request.app.state.access.allow(request, READ_LOGS)
    offered: OfferedLogs = request.app.state.offered
    packed = await asyncio.to_thread(lambda: igzip.compress(offered.payload(id), 1, mtime=0))
    return Response(packed, HTTPStatus.OK, _PACKED, JSON_TYPE)
