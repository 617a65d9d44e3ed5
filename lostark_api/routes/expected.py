"""Expected DPS of hypothetical builds. Small requests are served by ``fast_path`` instead."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from lostark_api.dependencies import BuildsDep, ChampionDep
from lostark_api.http.responses import NO_STORE
from lostark_api.routes import PREFIX
from lostark_api.schemas.builds import EXAMPLE
from lostark_api.schemas.expected import Expectations
from lostark_api.services.expected import predict
from lostark_assets.contracts.battle_log_api import JSON_TYPE

PATH = f"{PREFIX}/expected-dps"
router = APIRouter(prefix=PREFIX, tags=["expected DPS"])
_BODY = {
    "required": True,
    "content": {JSON_TYPE: {"schema": {"$ref": "#/components/schemas/Builds"}, "example": EXAMPLE}},
}


@router.post("/expected-dps", response_model=Expectations, openapi_extra={"requestBody": _BODY})
async def expected_dps(champion: ChampionDep, builds: BuildsDep) -> Response:
    """Expected DPS of a dealer with each build, with a 90 % interval, or the reason why there is none."""
    return Response(await predict(champion.predictor, builds), headers=NO_STORE, media_type=JSON_TYPE)
