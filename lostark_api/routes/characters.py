"""Characters: search, report, history, and two of them beside each other."""

# ruff: noqa: ARG001 - `lang` is read where the answer is made; here it is said that it can be given

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator
from starlette.responses import Response

from lostark_api.database import Snapshot
from lostark_api.http.language import labelled
from lostark_api.http.parameters import (
    After,
    ClassFilter,
    Cleared,
    GateFilter,
    Lang,
    Limit,
    PlayerName,
    Region,
    RegionFilter,
    SpecFilter,
)
from lostark_api.http.responses import answer
from lostark_api.queries import characters
from lostark_api.routes import PREFIX
from lostark_api.schemas import responses as c

router = APIRouter(prefix=PREFIX, tags=["characters"])


def _is_character(text: str) -> str:
    region, _, name = text.partition("/")
    if not region or not name or "\x00" in text:
        raise ValueError("should be REGION/NAME")
    return text


Prefix = Annotated[
    str | None,
    Query(description="Beginning of the name; upper and lower case are one.", min_length=1, max_length=64),
    AfterValidator(lambda text: text if text is None else _without_nul(text)),
]
OneOfTwo = Annotated[
    str,
    Query(description="A character as REGION/NAME.", max_length=200, examples=["EUC/Yorarel"]),
    AfterValidator(_is_character),
]


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("should hold no NUL character")
    return text


@router.get("/characters", response_model=c.CharacterPage)
async def search(
    request: Request,
    q: Prefix = None,
    region: RegionFilter = None,
    class_name: ClassFilter = None,
    spec_name: SpecFilter = None,
    limit: Limit = 50,
    after: After = None,
    lang: Lang = None,
) -> Response:
    """Characters by the beginning of their name, the last seen first."""

    async def ask(now: Snapshot, language: str) -> Any:
        rows, cursor = await characters.search_characters(
            now,
            prefix=q,
            region=region,
            class_name=class_name,
            spec_name=spec_name,
            limit=limit,
            after=after,
        )
        return {"characters": labelled(rows, language), "next_cursor": cursor}

    return await answer(request, ask)


@router.get("/characters/{region}/{player_name}", response_model=c.CharacterReport)
async def report(request: Request, region: Region, player_name: PlayerName, lang: Lang = None) -> Response:
    """One character: who it is, its progress by gate, its play styles."""

    async def ask(now: Snapshot, language: str) -> Any:
        return report_in(await characters.character(now, region, player_name), language)

    return await answer(request, ask)


@router.get("/characters/{region}/{player_name}/history", response_model=c.CharacterHistory)
async def history(
    request: Request,
    region: Region,
    player_name: PlayerName,
    gate_id: GateFilter = None,
    cleared: Cleared = None,
    limit: Limit = 50,
    after: After = None,
    lang: Lang = None,
) -> Response:
    """A character's fights, newest first: figures, percentiles with their interval, expectation."""

    async def ask(now: Snapshot, language: str) -> Any:
        if after is None:
            await characters.character(now, region, player_name)
        rows, cursor = await characters.history(
            now, region, player_name, gate_id=gate_id, is_cleared=cleared, limit=limit, after=after
        )
        return {"fights": labelled(rows, language), "next_cursor": cursor}

    return await answer(request, ask)


@router.get("/compare/characters", response_model=c.CharacterComparison, tags=["compare"])
async def compare(request: Request, a: OneOfTwo, b: OneOfTwo, lang: Lang = None) -> Response:
    """Two characters, and what both did at the gates that both cleared alive."""

    async def ask(now: Snapshot, language: str) -> Any:
        found = await characters.compare_characters(now, _parts(a), _parts(b))
        return {
            "a": report_in(found["a"], language),
            "b": report_in(found["b"], language),
            "gates": labelled(found["gates"], language),
        }

    return await answer(request, ask)


def report_in(found: dict[str, Any], language: str) -> dict[str, Any]:
    """A report with its terms in ``language``."""
    return {
        "character": labelled([found["character"]], language)[0],
        "progress": labelled(found["progress"], language),
        "play_styles": labelled(found["play_styles"], language),
    }


def _parts(text: str) -> tuple[str, str]:
    region, _, name = text.partition("/")
    return region, name
