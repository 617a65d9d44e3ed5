"""Fights: list, report, skills, timeline; and a comparison of two."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from lostark_api.dependencies import LanguageDep, SnapshotDep
from lostark_api.http.language import add_labels
from lostark_api.http.parameters import (
    After,
    Cleared,
    FightId,
    GateFilter,
    Limit,
    NameFilter,
    RegionFilter,
    Since,
    SpecFilter,
    Until,
)
from lostark_api.http.responses import json_response
from lostark_api.queries import fights
from lostark_api.routes import PREFIX
from lostark_api.schemas.fights import (
    FightComparison,
    FightPage,
    FightReport,
    FightSkills,
    FightTimeline,
    label_fight_report,
)

router = APIRouter(prefix=PREFIX, tags=["fights"])
OneOfTwo = Annotated[str, Query(description="A fight id.", pattern=r"^[A-Za-z0-9._~:-]{1,128}$")]


@router.get("/fights", response_model=FightPage)
async def list_fights(
    snapshot: SnapshotDep,
    language: LanguageDep,
    gate_id: GateFilter = None,
    cleared: Cleared = None,
    region: RegionFilter = None,
    spec_name: SpecFilter = None,
    player_name: NameFilter = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    after: After = None,
) -> Response:
    """Fights that match all filters, newest first."""
    which = fights.FightFilter(gate_id, cleared, region, spec_name, player_name, since, until)
    rows, cursor = await fights.list_fights(snapshot, which, limit=limit, after=after)
    content = {"fights": add_labels(rows, language), "next_cursor": cursor}
    return json_response(content, version=snapshot.version, language=language)


@router.get("/fights/{fight_id}", response_model=FightReport)
async def get_fight(snapshot: SnapshotDep, language: LanguageDep, fight_id: FightId) -> Response:
    """One fight: its facts, players with their expected DPS, deaths, boss HP, and its logs."""
    content = label_fight_report(await fights.read_report(snapshot, fight_id), language)
    return json_response(content, version=snapshot.version, language=language)


@router.get("/fights/{fight_id}/skills", response_model=FightSkills)
async def get_skills(
    snapshot: SnapshotDep, language: LanguageDep, fight_id: FightId, player_name: NameFilter = None
) -> Response:
    """Skills of all players of the fight, or of one."""
    content = {"skills": await fights.read_skills(snapshot, fight_id, player_name)}
    return json_response(content, version=snapshot.version, language=language)


@router.get("/fights/{fight_id}/timeline", response_model=FightTimeline)
async def get_timeline(snapshot: SnapshotDep, language: LanguageDep, fight_id: FightId) -> Response:
    """10 s DPS and cumulative damage of every player, one point every ten seconds."""
    content = await fights.read_timeline(snapshot, fight_id)
    return json_response(content, version=snapshot.version, language=language)


@router.get("/compare/fights", response_model=FightComparison, tags=["compare"])
async def compare_fights(snapshot: SnapshotDep, language: LanguageDep, a: OneOfTwo, b: OneOfTwo) -> Response:
    """Two fights side by side."""
    content = {
        "a": label_fight_report(await fights.read_report(snapshot, a), language),
        "b": label_fight_report(await fights.read_report(snapshot, b), language),
    }
    return json_response(content, version=snapshot.version, language=language)
