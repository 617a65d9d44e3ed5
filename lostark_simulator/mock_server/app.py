"""The mock server as an ASGI application; ``running`` starts a server for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from lostark_assets.observability.logs import get_logger
from lostark_simulator.mock_server import battle_logs, control, open_api
from lostark_simulator.mock_server.config import MockServerConfig
from lostark_simulator.mock_server.context import MockServer
from lostark_simulator.mock_server.faults import FaultyServer
from lostark_simulator.mock_server.growing_season import GrowingSeason
from lostark_simulator.mock_server.limits import RenewedWindow, SlidingWindow
from lostark_simulator.mock_server.responses import problem
from lostark_simulator.mock_server.traffic import Traffic

_MAX_SLEEP_S = 0.25
log = get_logger()


def create_app(config: MockServerConfig) -> ASGIApp:
    """A mock server of this configuration. Returns once its history is generated: seconds for 60 fights.

    Raises:
        SourceBusy: another mock server uses the season in the state folder.
    """
    return wrap(GrowingSeason(config))


def wrap(season: GrowingSeason) -> ASGIApp:
    """The application that serves a season; it grows while the application runs, and closes the season."""
    config = season.config
    traffic = Traffic(config.faults)

    @contextlib.asynccontextmanager
    async def grow(_: FastAPI) -> AsyncIterator[None]:
        growing = asyncio.create_task(_grow(season))
        try:
            yield
        finally:
            growing.cancel()
            await asyncio.wait([growing])
            season.close()

    app = FastAPI(
        title="Synthetic battle logs", lifespan=grow, docs_url=None, redoc_url=None, openapi_url=None
    )
    shared = MockServer(
        config=config,
        season=season,
        traffic=traffic,
        battle_log_limit=SlidingWindow(config.battle_log_limit, config.limit_window_s),
        open_api_limit=RenewedWindow(config.open_api_limit, config.limit_window_s),
    )
    app.state.mock_server = shared
    app.include_router(battle_logs.router)
    app.include_router(control.router)
    app.include_router(open_api.router)
    app.add_exception_handler(RequestValidationError, _explain_request)
    app.add_exception_handler(HTTPException, _explain_status)
    return FaultyServer(battle_logs.ReadyBodies(app, shared), traffic, config.clock)


async def _grow(season: GrowingSeason) -> None:
    while True:
        try:
            added = await run_in_threadpool(season.advance)
        except OSError as error:
            # A full disk: serve the existing logs; the next fight may fit.
            log.warning("mock_server_cannot_grow", error=str(error))
            added = []
        for record in added:
            log.info("mock_server_log_added", log=record.id, revision=record.revision, logs=season.logs)
        await asyncio.sleep(min(max(season.seconds_to_next(), 0.005), _MAX_SLEEP_S))


async def _explain_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    messages = [
        f"{'.'.join(map(str, one['loc']))}: {one['msg']}, found {one.get('input')!r}"
        for one in error.errors()
    ]
    return problem(422, "; ".join(messages))


async def _explain_status(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, str(error.detail))
