"""Expected DPS of builds: the question's documentation, and what is said of a wrong one.

What does not belong here: the way of a good question, which is answered in front (``front``).
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from lostark_api.routes import PREFIX
from lostark_api.schemas import responses as c
from lostark_api.schemas.builds import Builds
from lostark_api.services.champion import Champion
from lostark_api.services.expected import answer
from lostark_assets.contracts.battle_log_api import JSON_TYPE

PATH = f"{PREFIX}/expected-dps"
router = APIRouter(prefix=PREFIX, tags=["expected DPS"])


@router.post("/expected-dps", response_model=c.Expectations)
async def expected_dps(request: Request, body: Builds) -> Response:
    """What a dealer of each build would be expected to reach, with a 90 % interval, or why none can say."""
    champion: Champion = request.app.state.champion
    content = await answer(champion.predictor, body.builds)
    return Response(content, headers={"Cache-Control": "no-store"}, media_type=JSON_TYPE)
