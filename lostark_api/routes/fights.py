"""Fights: list, report, skills, timeline; and two of them beside each other."""

# ruff: noqa: ARG001 - `lang` is read where the answer is made; here it is said that it can be given

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from lostark_api.database import Snapshot
from lostark_api.http.language import labelled
from lostark_api.http.parameters import (
    After,
    Cleared,
    FightId,
    GateFilter,
    Lang,
    Limit,
    NameFilter,
    RegionFilter,
    Since,
    SpecFilter,
    Until,
)
from lostark_api.http.responses import answer
from lostark_api.queries import fights
from lostark_api.routes import PREFIX
from lostark_api.schemas import responses as c

router = APIRouter(prefix=PREFIX, tags=["fights"])
OneOfTwo = Annotated[str, Query(description="A fight id.", pattern=r"^[A-Za-z0-9._~:-]{1,128}$")]


@router.get("/fights", response_model=c.FightPage)
async def list_fights(
    request: Request,
    gate_id: GateFilter = None,
    cleared: Cleared = None,
    region: RegionFilter = None,
    spec_name: SpecFilter = None,
    player_name: NameFilter = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    after: After = None,
    lang: Lang = None,
) -> Response:
    """Fights, newest first; all filters must hold."""
    which = fights.FightFilter(gate_id, cleared, region, spec_name, player_name, since, until)

    async def ask(now: Snapshot, language: str) -> Any:
        rows, cursor = await fights.list_fights(now, which, limit=limit, after=after)
        return {"fights": labelled(rows, language), "next_cursor": cursor}

    return await answer(request, ask)


@router.get("/fights/{fight_id}", response_model=c.FightReport)
async def report(request: Request, fight_id: FightId, lang: Lang = None) -> Response:
    """One fight: facts, players with what was expected of them, deaths, boss HP, and its logs."""

    async def ask(now: Snapshot, language: str) -> Any:
        return report_in(await fights.fight_report(now, fight_id), language)

    return await answer(request, ask)


@router.get("/fights/{fight_id}/skills", response_model=c.FightSkills)
async def skills(
    request: Request, fight_id: FightId, player_name: NameFilter = None, lang: Lang = None
) -> Response:
    """Skills of the fight's players, or of one of them."""

    async def ask(now: Snapshot, _: str) -> Any:
        return {"skills": await fights.fight_skills(now, fight_id, player_name)}

    return await answer(request, ask)


@router.get("/fights/{fight_id}/timeline", response_model=c.FightTimeline)
async def timeline(request: Request, fight_id: FightId, lang: Lang = None) -> Response:
    """10 s DPS and damage so far of every player, a point every ten seconds."""

    async def ask(now: Snapshot, _: str) -> Any:
        return await fights.fight_timeline(now, fight_id)

    return await answer(request, ask)


@router.get("/compare/fights", response_model=c.FightComparison, tags=["compare"])
async def compare(request: Request, a: OneOfTwo, b: OneOfTwo, lang: Lang = None) -> Response:
    """Two fights beside each other."""

    async def ask(now: Snapshot, language: str) -> Any:
        return {
            "a": report_in(await fights.fight_report(now, a), language),
            "b": report_in(await fights.fight_report(now, b), language),
        }

    return await answer(request, ask)


def report_in(found: dict[str, Any], language: str) -> dict[str, Any]:
    """A report with its terms in ``language``."""
    return found | {
        "fight": labelled([found["fight"]], language)[0],
        "players": labelled(found["players"], language),
    }
