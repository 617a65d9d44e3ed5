"""Characters: search, report, history, and a comparison of two."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AfterValidator
from starlette.responses import Response

from lostark_api.dependencies import LanguageDep, SnapshotDep
from lostark_api.http.language import add_labels
from lostark_api.http.parameters import (
    After,
    ClassFilter,
    Cleared,
    GateFilter,
    Limit,
    NamePrefix,
    PlayerName,
    Region,
    RegionFilter,
    SpecFilter,
)
from lostark_api.http.responses import json_response
from lostark_api.queries import characters
from lostark_api.routes import PREFIX
from lostark_api.schemas.characters import (
    CharacterComparison,
    CharacterHistory,
    CharacterPage,
    CharacterReport,
    label_character_report,
)

router = APIRouter(prefix=PREFIX, tags=["characters"])


def _check_character(text: str) -> str:
    region, name = _split(text)
    if not region or not name or "\x00" in text:
        raise ValueError("should be REGION/NAME")
    return text


OneOfTwo = Annotated[
    str,
    Query(description="A character as REGION/NAME.", max_length=200, examples=["EUC/Yorarel"]),
    AfterValidator(_check_character),
]


@router.get("/characters", response_model=CharacterPage)
async def search_characters(
    snapshot: SnapshotDep,
    language: LanguageDep,
    q: NamePrefix = None,
    region: RegionFilter = None,
    class_name: ClassFilter = None,
    spec_name: SpecFilter = None,
    limit: Limit = 50,
    after: After = None,
) -> Response:
    """Characters by the beginning of their name, the most recently seen first."""
    rows, cursor = await characters.search_characters(
        snapshot,
        prefix=q,
        region=region,
        class_name=class_name,
        spec_name=spec_name,
        limit=limit,
        after=after,
    )
    content = {"characters": add_labels(rows, language), "next_cursor": cursor}
    return json_response(content, version=snapshot.version, language=language)


@router.get("/characters/{region}/{player_name}", response_model=CharacterReport)
async def get_character(
    snapshot: SnapshotDep, language: LanguageDep, region: Region, player_name: PlayerName
) -> Response:
    """One character with its progress by gate and its play styles."""
    found = await characters.read_character(snapshot, region, player_name)
    content = label_character_report(found, language)
    return json_response(content, version=snapshot.version, language=language)


@router.get("/characters/{region}/{player_name}/history", response_model=CharacterHistory)
async def get_history(
    snapshot: SnapshotDep,
    language: LanguageDep,
    region: Region,
    player_name: PlayerName,
    gate_id: GateFilter = None,
    cleared: Cleared = None,
    limit: Limit = 50,
    after: After = None,
) -> Response:
    """A character's fights, newest first: figures, percentiles with their interval, expected DPS."""
    if after is None:
        await characters.read_character(snapshot, region, player_name)
    rows, cursor = await characters.read_history(
        snapshot, region, player_name, gate_id=gate_id, is_cleared=cleared, limit=limit, after=after
    )
    content = {"fights": add_labels(rows, language), "next_cursor": cursor}
    return json_response(content, version=snapshot.version, language=language)


@router.get("/compare/characters", response_model=CharacterComparison, tags=["compare"])
async def compare_characters(
    snapshot: SnapshotDep, language: LanguageDep, a: OneOfTwo, b: OneOfTwo
) -> Response:
    """Two characters, and their results at the gates that both cleared alive."""
    found = await characters.compare_characters(snapshot, _split(a), _split(b))
    content = {
        "a": label_character_report(found["a"], language),
        "b": label_character_report(found["b"], language),
        "gates": add_labels(found["gates"], language),
    }
    return json_response(content, version=snapshot.version, language=language)


def _split(text: str) -> tuple[str, str]:
    region, _, name = text.partition("/")
    return region, name
