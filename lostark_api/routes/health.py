"""Liveness, readiness and metrics."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from lostark_api.dependencies import ChampionDep, MartsDep, MetricsDep
from lostark_api.http.problems import problem_response
from lostark_api.http.responses import NO_STORE
from lostark_assets.errors import DatabaseUnavailable

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> Response:
    """Whether the process is alive."""
    return JSONResponse({"status": "alive"}, headers=NO_STORE)


@router.get("/readyz")
async def readyz(marts: MartsDep, champion: ChampionDep) -> Response:
    """Whether the marts can be read. A missing champion is reported and does not matter."""
    try:
        async with marts.snapshot() as snapshot:
            version = snapshot.version
    except DatabaseUnavailable:
        return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, "The marts can't be read; see the API's log.")
    body = {"status": "ready", "publish_version": version, "model_version": champion.version}
    return JSONResponse(body, headers=NO_STORE)


@router.get("/metrics")
async def metrics(metrics: MetricsDep) -> Response:
    """The metrics of this process, for Prometheus; `lostark metrics` has those of the other layers."""
    return Response(metrics.render(), headers=NO_STORE, media_type=CONTENT_TYPE_LATEST)
