"""Whether the process lives, whether it can answer, and what it has counted."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from lostark_api.http.problems import problem
from lostark_assets.errors import DatabaseUnavailable

router = APIRouter(tags=["health"])
_NO_STORE = {"Cache-Control": "no-store"}


@router.get("/healthz")
async def healthz() -> Response:
    """The process answers."""
    return JSONResponse({"status": "alive"}, headers=_NO_STORE)


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """The marts can be read. Whether a champion is loaded is told, and does not decide."""
    try:
        async with request.app.state.marts.snapshot() as now:
            version = now.version
    except DatabaseUnavailable:
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "The marts can't be read; see the API's log.")
    body = {
        "status": "ready",
        "publish_version": version,
        "model_version": request.app.state.champion.version,
    }
    return JSONResponse(body, headers=_NO_STORE)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """For Prometheus."""
    return Response(request.app.state.metrics.page(), headers=_NO_STORE, media_type=CONTENT_TYPE_LATEST)
