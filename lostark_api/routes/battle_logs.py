"""The battle-log API, served: the platform's upload JSON for another platform to collect."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from isal import igzip
from starlette.responses import Response

from lostark_api.dependencies import OfferedLogsDep, require_scope
from lostark_api.http.problems import problem_response
from lostark_api.http.responses import NO_STORE
from lostark_api.schemas.problems import document_problems
from lostark_api.services.keys import READ_LOGS
from lostark_api.services.offered_logs import ForgottenCursor
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

_REFUSALS = document_problems(
    {
        401: "Missing or invalid API key.",
        403: "The key lacks the scope logs:read.",
        429: "Too many requests; Retry-After says how many seconds to wait.",
    }
)
router = APIRouter(
    tags=["battle logs"], responses=_REFUSALS, dependencies=[Depends(require_scope(READ_LOGS))]
)
_SECURITY: dict[str, Any] = {"security": [{"key": []}]}


@router.get(LIST_PATH, response_model=BattleLogPage, openapi_extra=_SECURITY)
async def list_battle_logs(
    offered: OfferedLogsDep,
    after: Annotated[
        str | None, Query(pattern=CURSOR_PATTERN, description="next_cursor of an earlier page.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Maximum number of logs.")] = DEFAULT_LIMIT,
) -> Response:
    """List the platform's upload JSON, oldest change first. Needs a key of scope `logs:read`."""
    try:
        logs, cursor = await asyncio.to_thread(offered.page, after, limit, datetime.now(UTC))
    except ForgottenCursor:
        detail = "The cursor is not from this platform. List without a cursor; logs keep their ids."
        return problem_response(CURSOR_FORGOTTEN_STATUS, detail)
    body = BattleLogPage.model_construct(logs=logs, next_cursor=cursor).model_dump_json()
    return Response(body, HTTPStatus.OK, NO_STORE, JSON_TYPE)


@router.get(LOG_PATH, response_class=Response, openapi_extra=_SECURITY)
async def fetch_battle_log(
    offered: OfferedLogsDep,
    id: Annotated[str, Path(pattern=ID_PATTERN, description="The listing's id.")],  # noqa: A002 - the contract's name
) -> Response:
    """Fetch the newest upload JSON of one log, gzip-encoded. Needs a key of scope `logs:read`."""
    packed = await asyncio.to_thread(lambda: igzip.compress(offered.payload(id), 1, mtime=0))
    return Response(packed, HTTPStatus.OK, {**NO_STORE, "Content-Encoding": "gzip"}, JSON_TYPE)
