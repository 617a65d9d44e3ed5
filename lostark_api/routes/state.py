"""Raid progression, data quality, the model, and what was published."""

# ruff: noqa: ARG001 - `lang` is read where the answer is made; here it is said that it can be given

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from lostark_api.database import Snapshot
from lostark_api.http.language import labelled
from lostark_api.http.parameters import After, Cleared, GateId, Lang, Limit
from lostark_api.http.responses import answer
from lostark_api.queries import gates, progression, state
from lostark_api.routes import PREFIX
from lostark_api.schemas import responses as c

router = APIRouter(prefix=PREFIX)


@router.get("/progression", response_model=c.ProgressionSummary, tags=["progression"])
async def progression_by_gate(request: Request, lang: Lang = None) -> Response:
    """How each gate is learnt: characters, clears, pulls to the first clear."""

    async def ask(now: Snapshot, language: str) -> Any:
        return {"gates": labelled(await progression.by_gate(now), language)}

    return await answer(request, ask)


@router.get("/progression/{gate_id}", response_model=c.ProgressionPage, tags=["progression"])
async def progression_of_gate(
    request: Request,
    gate_id: GateId,
    cleared: Cleared = None,
    limit: Limit = 50,
    after: After = None,
    lang: Lang = None,
) -> Response:
    """Characters at one gate, the last seen first."""

    async def ask(now: Snapshot, language: str) -> Any:
        await gates.gate(now, gate_id)
        rows, cursor = await progression.of_gate(now, gate_id, is_cleared=cleared, limit=limit, after=after)
        return {"characters": labelled(rows, language), "next_cursor": cursor}

    return await answer(request, ask)


@router.get("/quality", response_model=c.Quality, tags=["state"])
async def quality(request: Request) -> Response:
    """How fresh the data is, and what was refused: share, reasons, days."""

    async def ask(now: Snapshot, _: str) -> Any:
        return await state.quality(now)

    return await answer(request, ask)


@router.get("/model", response_model=c.ModelState, tags=["state"])
async def model(request: Request, lang: Lang = None) -> Response:
    """The champion, every change of it with its reason, its newest test, and how it does week by week."""

    async def ask(now: Snapshot, language: str) -> Any:
        return await state.model(now)

    return await answer(request, ask)


@router.get("/publications", response_model=c.Publications, tags=["state"])
async def publications(request: Request) -> Response:
    """The newest publishes: when, which days, how many rows."""

    async def ask(now: Snapshot, _: str) -> Any:
        return {"publications": await state.publications(now)}

    return await answer(request, ask)
