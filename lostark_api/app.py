"""The API as an ASGI app: FastAPI, wrapped by the response cache, the fast path and the request ids.

``create_app`` connects to nothing; the lifespan does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from lostark_api.database import Marts
from lostark_api.fast_path import FastPath
from lostark_api.http import api_docs
from lostark_api.http.cache import ResponseCache
from lostark_api.http.metrics import Metrics
from lostark_api.http.problems import add_problem_handlers
from lostark_api.http.request_ids import RequestIds
from lostark_api.http.shared_cache import SharedCache
from lostark_api.pages import add_pages
from lostark_api.routes import (
    battle_logs,
    characters,
    data_docs,
    expected,
    export,
    fights,
    gates,
    health,
    state,
    upload,
)
from lostark_api.schemas.builds import make_openapi_schemas
from lostark_api.schemas.problems import document_problems
from lostark_api.services.access import Access
from lostark_api.services.champion import ActiveChampion, ChampionSource
from lostark_api.services.ingest_runs import IngestRuns
from lostark_api.services.offered_logs import OfferedLogs
from lostark_api.services.uploads import Uploads
from lostark_assets.errors import DatabaseUnavailable
from lostark_assets.lake.tables import open_lake
from lostark_assets.marts.migrate import migrate
from lostark_assets.observability.logs import get_logger
from lostark_assets.settings import Settings, package_version

POLL_PUBLISHES_EVERY_S = 1.0
_CANCEL_AGAIN_AFTER_S = 0.1
CODE_VERSION = "2"
"""Part of every shared cache key: increment it when the same request gets another response."""
_PROBLEMS = document_problems(
    {404: "Not found.", 422: "Invalid parameter.", 503: "The marts can't be read right now."}
)
_DESCRIPTION = """
Statistics of Lost Ark fights: gates and their distributions, fights, characters, progression, the model of
expected DPS, and data quality.

* Names (`raid_name`, `spec_name`, …) are English and stable; labels beside them follow `Accept-Language`.
* Lists are paged by `next_cursor`. `Publish-Version` is the publish a response comes from; use its `ETag`.
* Errors are problem documents (RFC 9457).
"""
log = get_logger()


class _FastApi(FastAPI):
    """FastAPI, whose OpenAPI document includes the schemas that msgspec validates."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        if self.openapi_schema is None:
            document = super().openapi()
            document["components"]["schemas"] |= make_openapi_schemas()
            self.openapi_schema = document
        return self.openapi_schema


class ApiApp:
    """The served app: request ids, the fast path, then the cache, then FastAPI."""

    def __init__(self, app: FastAPI, cache: ResponseCache, entry: ASGIApp) -> None:
        self.fastapi = app
        self.cache = cache
        self._entry = entry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        await self._entry(scope, receive, send)


def create_app(
    settings: Settings, *, url: str | None = None, champions: ChampionSource | None = None
) -> ApiApp:
    """The API on the marts at ``url`` (default: the configured database).

    Without ``champions`` there is no expected DPS.
    """
    database_url = url or (settings.postgres_url.get_secret_value() if settings.postgres_url else "")
    metrics = Metrics()
    marts = Marts(database_url)
    access = Access(database_url, settings)
    champion = ActiveChampion(champions, metrics.set_model, metrics.model_failures.inc)
    shared = SharedCache(settings.redis_url.get_secret_value()) if settings.redis_url else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await marts.open()
        await access.open()
        background = [
            asyncio.create_task(_poll_publishes(cache, marts, metrics, database_url)),
            asyncio.create_task(champion.poll()),
        ]
        yield
        await _stop(background)
        await app.state.ingest_runs.close()
        await access.close()
        await marts.close()
        if shared is not None:
            await shared.close()

    app = _FastApi(
        title="Lost Ark battle analysis API",
        version=package_version(),
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses=_PROBLEMS,
    )
    for module in (gates, fights, characters, state, expected, export, upload, battle_logs, health):
        app.include_router(module.router)
    for module in (api_docs, data_docs):
        app.include_router(module.router)
    add_problem_handlers(app)
    add_pages(app)
    app.state.settings, app.state.marts, app.state.metrics = settings, marts, metrics
    app.state.champion, app.state.access, app.state.uploads = champion, access, Uploads(settings)
    app.state.ingest_runs = IngestRuns(None if settings.dagster_url is None else str(settings.dagster_url))
    app.state.offered = OfferedLogs(open_lake(settings))
    cache = ResponseCache(_log_errors(app), metrics, CODE_VERSION, shared)
    fast_path = FastPath(cache, champion, metrics)
    return ApiApp(app, cache, RequestIds(fast_path, logs_all=settings.logs == "stdout"))


async def _stop(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel ``tasks`` until they have ended.

    One cancellation may be lost: before Python 3.12 ``asyncio.wait_for``, which database drivers use,
    swallows it when the awaited result arrives at the same moment.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_AFTER_S)


def _log_errors(app: FastAPI) -> ASGIApp:
    """``app`` with its unexpected errors logged; FastAPI has answered them, and raises them again."""

    async def logged(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        try:
            await app(scope, receive, send)
        except Exception as error:
            log.exception("api_failed", path=scope["path"][:200], error=type(error).__name__)

    return logged


async def _poll_publishes(cache: ResponseCache, marts: Marts, metrics: Metrics, url: str) -> None:
    """Migrate the database once it can be reached, then watch for publishes until cancelled."""
    is_migrated = False
    while True:
        try:
            if not is_migrated:
                await asyncio.to_thread(migrate, url)
                is_migrated = True
            async with marts.snapshot() as snapshot:
                cache.set_version(snapshot.version)
                metrics.publish_version.set(snapshot.version)
                if snapshot.published_at:
                    metrics.published_at.set(snapshot.published_at.timestamp())
        except (DatabaseUnavailable, OSError) as error:
            log.warning("marts_unavailable", error=str(error))
        except Exception as error:  # noqa: BLE001 - SQLAlchemy raises errors of its own; polling must go on
            log.warning("marts_unavailable", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(POLL_PUBLISHES_EVERY_S)
