"""Expected DPS of builds."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from lostark_api import contracts as c
from lostark_api.champion import Champion
from lostark_api.expected import Builds, refused
from lostark_api.routes import PREFIX
from lostark_assets.battle_log_api import JSON_TYPE

router = APIRouter(prefix=PREFIX, tags=["expected DPS"])


@router.post("/expected-dps", response_model=c.Expectations)
async def expected_dps(request: Request, body: Builds) -> Response:
    """What a dealer of each build would be expected to reach, with a 90 % interval, or why none can say."""
    champion: Champion = request.app.state.champion
    predictor = champion.predictor
    if predictor is None:
        answers = refused(body.builds, "no_champion")
    else:
        answers = await run_in_threadpool(predictor.expect, body.builds)
    version = None if predictor is None else predictor.version
    content = msgspec.json.encode({"model_version": version, "expectations": answers})
    return Response(content, headers={"Cache-Control": "no-store"}, media_type=JSON_TYPE)
