"""Uploading battle logs, and following what becomes of them."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from lostark_api.database import Marts
from lostark_api.dependencies import (
    IngestRunsDep,
    LanguageDep,
    MartsDep,
    SettingsDep,
    UploadsDep,
    require_scope,
)
from lostark_api.http.language import add_labels
from lostark_api.http.problems import RETRY_AFTER_S, problem_response
from lostark_api.http.responses import NO_STORE, encode_json
from lostark_api.queries import tickets
from lostark_api.queries.backlog import load_backlog
from lostark_api.routes import PREFIX
from lostark_api.schemas.problems import document_problems
from lostark_api.schemas.uploads import UploadTicket
from lostark_api.services.keys import UPLOAD
from lostark_api.services.uploads import NoRoom, UploadRefused, UploadTooLarge, UploadTooSlow
from lostark_assets.contracts.battle_log_api import JSON_TYPE, LIST_PATH
from lostark_assets.lake.tables import open_lake
from lostark_assets.observability.logs import REQUEST_ID, get_logger
from lostark_assets.settings import Settings
from lostark_assets.sources.landing import TICKET_PATTERN, Landed, Landing, clean_arguments

router = APIRouter(prefix=PREFIX, tags=["upload"])
log = get_logger()
ACCEPTED_TYPES = (
    "application/octet-stream", "application/json", "application/gzip", "application/x-gzip",
    "application/vnd.sqlite3", "application/x-sqlite3", "application/vnd.apache.parquet", "text/csv",
)  # fmt: skip
_BODY = {
    "required": True,
    "description": "The file, unchanged; its format is detected from its content, not from this type.",
    "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in ACCEPTED_TYPES},
}
_REFUSALS = document_problems(
    {
        401: "Missing or invalid API key.",
        403: "The key lacks the scope, or the request comes from another site's page.",
        408: "The client stopped sending.",
        413: "The file exceeds the size limit.",
        415: "The Content-Type is not accepted.",
        429: "Too many requests of this key; Retry-After says how many seconds to wait.",
    }
)


def _argument(what: str) -> Any:
    return Query(max_length=100, description=f"{what}, for a player table that does not state it.")


@router.post(
    "/battle-logs",
    status_code=HTTPStatus.ACCEPTED,
    response_model=UploadTicket,
    responses=_REFUSALS,
    openapi_extra={"requestBody": _BODY, "security": [{"key": []}, {}]},
    dependencies=[Depends(require_scope(UPLOAD))],
)
async def send_battle_logs(
    request: Request,
    uploads: UploadsDep,
    settings: SettingsDep,
    marts: MartsDep,
    language: LanguageDep,
    ingest_runs: IngestRunsDep,
    name: Annotated[str, Query(max_length=300, description="The file's own name.")] = "upload",
    raid: Annotated[str | None, _argument("Raid")] = None,
    gate: Annotated[str | None, _argument("Gate")] = None,
    boss: Annotated[str | None, _argument("Boss")] = None,
    difficulty: Annotated[str | None, _argument("Difficulty")] = None,
    region: Annotated[str | None, _argument("Server region")] = None,
) -> Response:
    """Upload an `encounters.db`, upload JSON (plain or gzip) or a player table; returns a ticket.

    Known logs count once, so the same file can be sent again. Needs a key of scope `upload`, unless the
    platform accepts anonymous uploads.
    """
    refusal = _check_headers(request)
    if refusal is not None:
        return refusal
    request_id = REQUEST_ID.get()
    arguments = {"raid": raid, "gate": gate, "boss": boss, "difficulty": difficulty, "region": region}
    try:
        # What is no number is found while receiving; 20 digits are too large in any case.
        length = request.headers.get("content-length", "0")[:20]
        uploads.check_size(int(length) if length.isascii() and length.isdigit() else 0)
        landed = await uploads.receive(request.stream(), name, clean_arguments(arguments), request_id)
    except NoRoom as error:
        later = {"Retry-After": str(12 * RETRY_AFTER_S)}
        return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers=later)
    except UploadRefused as error:
        # The rest of the body is unread, and would be taken for the next request.
        return problem_response(_get_status(error), str(error), headers={"Connection": "close"})
    ingest_runs.request(request_id)
    log.info("upload_received", log_format=landed.ticket.log_format, size_bytes=landed.ticket.bytes)
    location = {"Location": f"{LIST_PATH}/tickets/{landed.ticket.ticket}"}
    content = await _describe(landed, uploads.landing, settings, marts, language)
    return Response(encode_json(content), HTTPStatus.ACCEPTED, {**NO_STORE, **location}, JSON_TYPE)


@router.get("/battle-logs/tickets/{ticket}", response_model=UploadTicket)
async def follow_upload(
    uploads: UploadsDep,
    settings: SettingsDep,
    marts: MartsDep,
    language: LanguageDep,
    ticket: Annotated[str, Path(pattern=TICKET_PATTERN, description="The ticket of an upload.")],
) -> Response:
    """State of an upload: received, collected, cleaned, published, or refused with reasons.

    Everyone with the ticket may see it; tickets are not listed.
    """
    landed = await asyncio.to_thread(uploads.landing.find, ticket)
    content = await _describe(landed, uploads.landing, settings, marts, language)
    return Response(encode_json(content), headers=NO_STORE, media_type=JSON_TYPE)


async def _describe(
    landed: Landed, landing: Landing, settings: Settings, marts: Marts, language: str
) -> dict[str, Any]:
    before = await asyncio.to_thread(landing.count_before, landed)
    waiting = await asyncio.to_thread(load_backlog, settings)
    lake = open_lake(settings)
    encounters, reasons, refused = await asyncio.to_thread(tickets.read_cleaned_logs, lake, landed)
    fights = []
    if encounters:
        async with marts.snapshot() as snapshot:
            fights = await tickets.read_published_fights(snapshot, list(encounters.values()))
    labelled = add_labels(fights, language)
    return tickets.describe_ticket(landed, encounters, reasons, refused, labelled, before, waiting, language)


def _check_headers(request: Request) -> Response | None:
    kind = request.headers.get("content-type", ACCEPTED_TYPES[0]).partition(";")[0].strip().lower()
    if kind not in ACCEPTED_TYPES:
        detail = f"Content-Type: expected one of {', '.join(ACCEPTED_TYPES)}, found {kind[:80]!r}."
        return problem_response(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"{detail} Nothing was read.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        detail = "Content-Encoding: expected none; send a gzip file as it is. Nothing was read."
        return problem_response(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    return None


def _get_status(error: UploadRefused) -> HTTPStatus:
    if isinstance(error, UploadTooLarge):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    if isinstance(error, UploadTooSlow):
        return HTTPStatus.REQUEST_TIMEOUT
    return HTTPStatus.UNPROCESSABLE_ENTITY
