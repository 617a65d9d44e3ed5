"""The API as one ASGI app: routes in the middle, the cache around them, and what runs beside.

What does not belong here: any route's body. ``create_app`` connects nothing; its lifespan does.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI

from lostark_api.database import Marts
from lostark_api.fast_path import ExpectedInFront
from lostark_api.http.api_docs import router as manual
from lostark_api.http.cache import CachedApp, Receive, Scope, Send
from lostark_api.http.metrics import Metrics
from lostark_api.http.problems import add_problem_handlers
from lostark_api.http.shared_cache import SharedCache
from lostark_api.pages import add_pages
from lostark_api.routes import battle_logs, characters, expected, export, fights, gates, health, state, upload
from lostark_api.schemas.responses import Problem
from lostark_api.services.access import Access
from lostark_api.services.champion import Champion, Registry
from lostark_api.services.offered_logs import OfferedLogs
from lostark_api.services.uploads import Uploads
from lostark_assets.errors import DatabaseUnavailable
from lostark_assets.lake.tables import open_lake
from lostark_assets.marts.migrate import migrate
from lostark_assets.observability.logs import get_logger
from lostark_assets.settings import Settings

LOOK_FOR_PUBLISH_EVERY_S = 1.0
CODE_VERSION = "1"
"""Part of every shared key: raise it when the same question gets another answer."""
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "content": {"application/problem+json": {}}, "description": what}
    for status, what in (
        (404, "There is no such thing."),
        (422, "A parameter makes no sense."),
        (503, "The marts can't be read right now."),
    )
}
_ABOUT = """
What is known of Lost Ark fights: gates and their distributions, fights, characters, progression, the model
that says what DPS to expect, and how good the data is.

* Names (`raid_name`, `spec_name`, …) are English and stable; labels beside them follow `Accept-Language`.
* Lists are paged by `next_cursor`. `Publish-Version` says which publish an answer comes from; use its `ETag`.
* Errors are problem documents (RFC 9457).
"""
log = get_logger()


class Api:
    """The served app: ``front`` before ``cached`` before ``app``."""

    def __init__(self, app: FastAPI, cached: CachedApp, front: ExpectedInFront) -> None:
        self.fastapi = app
        self.cached = cached
        self.front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection of the server."""
        await self.front(scope, receive, send)


def create_app(settings: Settings, *, url: str | None = None, registry: Registry | None = None) -> Api:
    """The API on the marts at ``url`` (default: the configured database).

    ``registry`` gives the champion; without one there is no expected DPS.
    """
    address = url or (settings.postgres_url.get_secret_value() if settings.postgres_url else "")
    metrics = Metrics()
    marts = Marts(address)
    access = Access(address, settings)
    champion = Champion(registry, metrics.serves_model, metrics.model_failures.inc)
    shared = SharedCache(settings.redis_url.get_secret_value()) if settings.redis_url else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await marts.open()
        await access.open()
        beside = [
            asyncio.create_task(_follow_publishes(cached, marts, metrics, address)),
            asyncio.create_task(champion.follow()),
        ]
        yield
        for task in beside:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await access.close()
        await marts.close()
        if shared is not None:
            await shared.close()

    app = FastAPI(
        title="Lost Ark battle analysis API",
        version=_version(),
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        responses=_PROBLEMS,
    )
    for module in (gates, fights, characters, state, expected, export, upload, battle_logs):
        app.include_router(module.router)
    app.include_router(health.router)
    app.include_router(manual)
    add_problem_handlers(app)
    add_pages(app)
    app.state.settings, app.state.marts, app.state.metrics, app.state.champion = (
        settings,
        marts,
        metrics,
        champion,
    )
    app.state.access, app.state.uploads = access, Uploads(settings)
    app.state.offered = OfferedLogs(open_lake(settings))
    cached = CachedApp(_no_trace(app), metrics, CODE_VERSION, shared)
    return Api(app, cached, ExpectedInFront(cached, champion, metrics))


def _no_trace(app: FastAPI) -> Any:
    """``app``, whose last handler answers what nobody foresaw and raises it again, for the log."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        try:
            await app(scope, receive, send)
        except Exception as error:
            log.exception("api_failed", path=scope["path"][:200], error=type(error).__name__)

    return guarded


async def _follow_publishes(cached: CachedApp, marts: Marts, metrics: Metrics, url: str) -> None:
    """Learn of new publishes; at first make sure that the marts are there."""
    is_migrated = False
    while True:
        try:
            if not is_migrated:
                await asyncio.to_thread(migrate, url)
                is_migrated = True
            async with marts.snapshot() as now:
                cached.saw(now.version)
                metrics.publish_version.set(now.version)
                if now.published_at:
                    metrics.published_at.set(now.published_at.timestamp())
        except (DatabaseUnavailable, OSError) as error:
            log.warning("marts_unavailable", error=str(error))
        except Exception as error:  # noqa: BLE001 - the migration's driver has errors of its own; we go on looking
            log.warning("marts_unavailable", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(LOOK_FOR_PUBLISH_EVERY_S)


def _version() -> str:
    try:
        return importlib.metadata.version("lostark-analytics")
    except importlib.metadata.PackageNotFoundError:
        return "0"
