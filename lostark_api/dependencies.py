"""FastAPI dependencies: a snapshot of the marts, the language, the caller's scope, and the services.

They are coroutines although most await nothing: FastAPI runs plain functions in a thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Annotated

import msgspec
from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from lostark_api.database import Marts, MartsSnapshot
from lostark_api.http.language import negotiate
from lostark_api.http.metrics import Metrics
from lostark_api.http.parameters import Lang
from lostark_api.http.problems import InvalidBody
from lostark_api.schemas.builds import Build, decode_builds
from lostark_api.services.access import Access, Caller
from lostark_api.services.champion import ActiveChampion
from lostark_api.services.ingest_runs import IngestRuns
from lostark_api.services.offered_logs import OfferedLogs
from lostark_api.services.uploads import Uploads
from lostark_assets.contracts.battle_log_api import JSON_TYPE
from lostark_assets.settings import Settings


async def get_settings(request: Request) -> Settings:
    """The settings that the app was created with."""
    settings: Settings = request.app.state.settings
    return settings


async def get_marts(request: Request) -> Marts:
    """The database, for routes that let go of their connection before the response is made."""
    marts: Marts = request.app.state.marts
    return marts


async def get_snapshot(marts: MartsDep) -> AsyncIterator[MartsSnapshot]:
    """A snapshot of the marts for the time that the route runs."""
    async with marts.snapshot() as snapshot:
        yield snapshot


async def get_language(request: Request, lang: Lang = None) -> str:
    """The language of the response: ``?lang=`` of a shared address, else ``Accept-Language``."""
    return lang or negotiate(request.headers.get("accept-language", ""))


async def get_access(request: Request) -> Access:
    """API keys and rate limits."""
    access: Access = request.app.state.access
    return access


async def get_uploads(request: Request) -> Uploads:
    """The landing folder."""
    uploads: Uploads = request.app.state.uploads
    return uploads


async def get_ingest_runs(request: Request) -> IngestRuns:
    """Requests runs that ingest uploads."""
    runs: IngestRuns = request.app.state.ingest_runs
    return runs


async def get_offered_logs(request: Request) -> OfferedLogs:
    """The battle logs that other platforms may collect."""
    offered: OfferedLogs = request.app.state.offered
    return offered


async def get_champion(request: Request) -> ActiveChampion:
    """The model that serves."""
    champion: ActiveChampion = request.app.state.champion
    return champion


async def get_metrics(request: Request) -> Metrics:
    """The app's Prometheus metrics."""
    metrics: Metrics = request.app.state.metrics
    return metrics


def require_scope(scope: str) -> Callable[..., Awaitable[Caller]]:
    """A dependency that refuses callers without ``scope``, and those above their rate limit."""

    async def authorize(request: Request, access: AccessDep) -> Caller:
        return await access.allow(request, scope)

    return authorize


async def read_builds(request: Request) -> list[Build]:
    """The builds in the request's body.

    Raises:
        HTTPException: 415, the body is not JSON.
        InvalidBody: it does not fit the schema.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON_TYPE:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type: expected {JSON_TYPE}.")
    try:
        return decode_builds(await request.body())
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidBody(str(error)) from error


SettingsDep = Annotated[Settings, Depends(get_settings)]
MartsDep = Annotated[Marts, Depends(get_marts)]
SnapshotDep = Annotated[MartsSnapshot, Depends(get_snapshot, scope="function")]
LanguageDep = Annotated[str, Depends(get_language)]
AccessDep = Annotated[Access, Depends(get_access)]
UploadsDep = Annotated[Uploads, Depends(get_uploads)]
IngestRunsDep = Annotated[IngestRuns, Depends(get_ingest_runs)]
OfferedLogsDep = Annotated[OfferedLogs, Depends(get_offered_logs)]
ChampionDep = Annotated[ActiveChampion, Depends(get_champion)]
MetricsDep = Annotated[Metrics, Depends(get_metrics)]
BuildsDep = Annotated[list[Build], Depends(read_builds)]
