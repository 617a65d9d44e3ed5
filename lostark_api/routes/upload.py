"""Sending battle logs, and following what becomes of them."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from lostark_api.database import Marts
from lostark_api.http.language import labelled
from lostark_api.http.parameters import Lang
from lostark_api.http.problems import RETRY_AFTER_S, problem
from lostark_api.http.responses import encoded, get_language
from lostark_api.queries import tickets
from lostark_api.routes import PREFIX
from lostark_api.schemas import responses as c
from lostark_api.services.keys import UPLOAD
from lostark_api.services.uploads import NoRoom, UploadRefused, Uploads, UploadTooLarge, UploadTooSlow
from lostark_assets.contracts.battle_log_api import JSON_TYPE, LIST_PATH
from lostark_assets.lake.tables import open_lake
from lostark_assets.observability.logs import get_logger
from lostark_assets.sources.landing import TICKET_PATTERN, Landed, clean_arguments

router = APIRouter(prefix=PREFIX, tags=["upload"])
log = get_logger()
ACCEPTED_TYPES = (
    "application/octet-stream", "application/json", "application/gzip", "application/x-gzip",
    "application/vnd.sqlite3", "application/x-sqlite3", "application/vnd.apache.parquet", "text/csv",
)  # fmt: skip
_NO_STORE = {"Cache-Control": "no-store"}
_BODY = {
    "required": True,
    "description": "The file as it is; what it holds is told by its content, not by this type.",
    "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in ACCEPTED_TYPES},
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    int(status): {"model": c.Problem, "content": {"application/problem+json": {}}, "description": what}
    for status, what in (
        (401, "A key is needed, or this one opens nothing."),
        (403, "The key lacks the scope, or a page of another site sends this."),
        (408, "The sender fell silent."),
        (413, "Larger than an upload may be."),
        (415, "Neither a file nor one of the accepted types."),
        (429, "Too many requests of this key; Retry-After says when."),
    )
}


def _said(what: str) -> Any:
    return Query(max_length=100, description=f"{what} of a player table that doesn't say it.")


@router.post(
    "/battle-logs",
    status_code=HTTPStatus.ACCEPTED,
    response_model=c.UploadTicket,
    responses=_REFUSALS,
    openapi_extra={"requestBody": _BODY, "security": [{"key": []}, {}]},
)
async def send_battle_logs(
    request: Request,
    name: Annotated[str, Query(max_length=300, description="The file's own name.")] = "upload",
    raid: Annotated[str | None, _said("Raid")] = None,
    gate: Annotated[str | None, _said("Gate")] = None,
    boss: Annotated[str | None, _said("Boss")] = None,
    difficulty: Annotated[str | None, _said("Difficulty")] = None,
    region: Annotated[str | None, _said("Server region")] = None,
) -> Response:
    """Send an `encounters.db`, upload JSON (plain or gzip) or a player table; the answer is a ticket.

    Known logs count once, so that the same file can be sent again. Needs a key of scope `upload`, unless the
    platform takes uploads of everybody.
    """
    await request.app.state.access.allow(request, UPLOAD)
    uploads: Uploads = request.app.state.uploads
    refusal = _refused_by_header(request)
    if refusal is not None:
        return refusal
    said = {"raid": raid, "gate": gate, "boss": boss, "difficulty": difficulty, "region": region}
    try:
        length = request.headers.get("content-length", "0")
        uploads.check_size(int(length) if length.isdigit() else 0)
        landed = await uploads.receive(request.stream(), name, clean_arguments(said))
    except ClientDisconnect:
        return problem(HTTPStatus.BAD_REQUEST, "The body ended before all of it was there. Nothing was kept.")
    except NoRoom as error:
        later = {"Retry-After": str(12 * RETRY_AFTER_S)}
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers=later)
    except UploadRefused as error:
        # What was not read of the body can't be told from a next request.
        return problem(_get_status(error), str(error), headers={"Connection": "close"})
    log.info("upload_received", log_format=landed.ticket.log_format, size_bytes=landed.ticket.bytes)
    where = f"{LIST_PATH}/tickets/{landed.ticket.ticket}"
    return Response(
        encoded(await _document(request, landed)),
        HTTPStatus.ACCEPTED,
        {**_NO_STORE, "Location": where},
        JSON_TYPE,
    )


@router.get("/battle-logs/tickets/{ticket}", response_model=c.UploadTicket)
async def follow_upload(
    request: Request,
    ticket: Annotated[str, Path(pattern=TICKET_PATTERN, description="The ticket of an upload.")],
    lang: Lang = None,  # noqa: ARG001 - read where labels are made; here it is said that it can be given
) -> Response:
    """What became of an upload: received, collected, cleaned, published, or refused with reasons.

    Who has the ticket may look; there is no list of them.
    """
    landed = await asyncio.to_thread(request.app.state.uploads.landing.find, ticket)
    return Response(encoded(await _document(request, landed)), headers=_NO_STORE, media_type=JSON_TYPE)


async def _document(request: Request, landed: Landed) -> dict[str, Any]:
    lake = open_lake(request.app.state.settings)
    encounters, reasons, refused = await asyncio.to_thread(tickets.cleaned_logs, lake, landed)
    fights = []
    if encounters:
        marts: Marts = request.app.state.marts
        async with marts.snapshot() as now:
            fights = await tickets.published_fights(now, list(encounters.values()))
        fights = labelled(fights, get_language(request))
    return tickets.document(landed, encounters, reasons, refused, fights)


def _refused_by_header(request: Request) -> Response | None:
    kind = request.headers.get("content-type", ACCEPTED_TYPES[0]).partition(";")[0].strip().lower()
    if kind not in ACCEPTED_TYPES:
        detail = f"Content-Type: expected one of {', '.join(ACCEPTED_TYPES)}, found {kind[:80]!r}."
        return problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"{detail} Nothing was read.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        detail = "Content-Encoding: expected none; send a gzip file as it is. Nothing was read."
        return problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    return None


def _get_status(error: UploadRefused) -> HTTPStatus:
    if isinstance(error, UploadTooLarge):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    if isinstance(error, UploadTooSlow):
        return HTTPStatus.REQUEST_TIMEOUT
    return HTTPStatus.UNPROCESSABLE_ENTITY
