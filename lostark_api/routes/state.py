"""Raid progression, data quality, the model, and publishes."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.responses import Response

from lostark_api.dependencies import LanguageDep, SettingsDep, SnapshotDep
from lostark_api.http.language import add_labels
from lostark_api.http.parameters import After, Cleared, GateId, Limit
from lostark_api.http.responses import NO_STORE, encode_json, json_response
from lostark_api.queries import gates, progression, state
from lostark_api.queries.backlog import describe_backlog, load_backlog
from lostark_api.routes import PREFIX
from lostark_api.schemas.backlog import Status
from lostark_api.schemas.progression import ProgressionPage, ProgressionSummary
from lostark_api.schemas.state import ModelState, Publications, Quality
from lostark_assets.contracts.battle_log_api import JSON_TYPE

router = APIRouter(prefix=PREFIX)


@router.get("/progression", response_model=ProgressionSummary, tags=["progression"])
async def get_progression(snapshot: SnapshotDep, language: LanguageDep) -> Response:
    """Progression by gate: characters, clears, pulls to the first clear."""
    content = {"gates": add_labels(await progression.summarize_gates(snapshot), language)}
    return json_response(content, version=snapshot.version, language=language)


@router.get("/progression/{gate_id}", response_model=ProgressionPage, tags=["progression"])
async def get_gate_progression(
    snapshot: SnapshotDep,
    language: LanguageDep,
    gate_id: GateId,
    cleared: Cleared = None,
    limit: Limit = 50,
    after: After = None,
) -> Response:
    """Characters at one gate, the most recently seen first."""
    await gates.read_gate(snapshot, gate_id)
    rows, cursor = await progression.list_gate_characters(
        snapshot, gate_id, is_cleared=cleared, limit=limit, after=after
    )
    content = {"characters": add_labels(rows, language), "next_cursor": cursor}
    return json_response(content, version=snapshot.version, language=language)


@router.get("/quality", response_model=Quality, tags=["state"])
async def get_quality(snapshot: SnapshotDep, language: LanguageDep) -> Response:
    """Data freshness, and what was refused: share, reasons, days."""
    content = await state.read_quality(snapshot)
    return json_response(content, version=snapshot.version, language=language)


@router.get("/status", response_model=Status, tags=["state"])
async def get_status(snapshot: SnapshotDep, language: LanguageDep, settings: SettingsDep) -> Response:
    """How fresh the pages are, and what waits for them: counts, age, rates and an estimate. Never cached."""
    waiting = await asyncio.to_thread(load_backlog, settings)
    content = await state.read_freshness(snapshot) | {"backlog": describe_backlog(waiting, language)}
    return Response(encode_json(content), headers=NO_STORE, media_type=JSON_TYPE)


@router.get("/model", response_model=ModelState, tags=["state"])
async def get_model(snapshot: SnapshotDep, language: LanguageDep) -> Response:
    """The champion, its history with reasons, the newest evaluation, and its weekly monitoring."""
    content = await state.read_model(snapshot)
    return json_response(content, version=snapshot.version, language=language)


@router.get("/publications", response_model=Publications, tags=["state"])
async def list_publications(snapshot: SnapshotDep, language: LanguageDep) -> Response:
    """The newest publishes: when, which days, how many rows."""
    content = {"publications": await state.list_publications(snapshot)}
    return json_response(content, version=snapshot.version, language=language)
