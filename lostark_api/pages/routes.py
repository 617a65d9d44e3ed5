"""The pages, one route each. Their URLs hold every filter, so that pages can be shared."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, BeforeValidator
from starlette.responses import Response

from lostark_api.dependencies import AccessDep, LanguageDep, SettingsDep, SnapshotDep
from lostark_api.http.language import LABELS, add_labels
from lostark_api.http.parameters import (
    After,
    FightId,
    GateId,
    PlayerName,
    Region,
    RoleFilter,
    Weeks,
    check_storable,
)
from lostark_api.pages.render import ASSETS, PageRoute, read_asset, render_page
from lostark_api.pages.translations import translate
from lostark_api.queries import characters, fights, gates, progression, state
from lostark_api.queries.backlog import describe_backlog, load_backlog
from lostark_api.queries.pools import Pool, read_gate_distribution, read_tier_list
from lostark_api.schemas.fights import label_fight_report
from lostark_assets.contracts.ml import CONTEXT_PARTS, GAP_PARTS
from lostark_assets.contracts.reasons import REASONS
from lostark_assets.errors import NotFound

LIST_ROWS = 30
CHARACTER_FIGHTS = 60
_DAY_S = 86_400

router = APIRouter(route_class=PageRoute, include_in_schema=False)


def _drop_empty(value: object) -> object:
    """Forms send fields that were not filled in as empty strings."""
    return None if value == "" else value


_Empty = BeforeValidator(_drop_empty)
_Text = Annotated[
    str | None, Query(max_length=100), _Empty, AfterValidator(lambda v: v if v is None else check_storable(v))
]
_Level = Annotated[float | None, Query(ge=0, le=3000, allow_inf_nan=False), _Empty]
_Outcome = Annotated[Literal["won", "lost"] | None, Query(), _Empty]
_UPLOAD_TEXTS = (
    "sending",
    "received",
    "collected",
    "cleaned",
    "published",
    "refused",
    "failed",
    "large",
    "not_ours",
    "later",
    "slow",
    "unknown",
    "logs",
    "more",
    "before",
    "expected",
    "platform",
)
_GATE = ("raid_name", "gate_name", "difficulty")
"""Joined by spaces, the model's name of a gate."""
_OUTCOMES = {"won": True, "lost": False, None: None}


@router.get("/")
async def home(
    request: Request,
    snapshot: SnapshotDep,
    language: LanguageDep,
    role: RoleFilter = "dealer",
    weeks: Weeks = 4,
) -> Response:
    """What is new, and the tier list."""
    newest, _ = await fights.list_fights(snapshot, fights.FightFilter(), limit=8)
    content = {
        "role": role,
        "weeks": weeks,
        "gates": add_labels(await gates.list_gates(snapshot), language)[:6],
        "fights": add_labels(newest, language),
        "specs": add_labels(await read_tier_list(snapshot, Pool(role, weeks)), language),
        "quality": await state.read_quality(snapshot),
    }
    return render_page(request, "home.html", content, snapshot=snapshot, language=language)


@router.get("/gates")
async def list_gates(request: Request, snapshot: SnapshotDep, language: LanguageDep) -> Response:
    """All gates by raid, with their progression."""
    by_gate = {row["gate_id"]: row for row in await progression.summarize_gates(snapshot)}
    found = add_labels(await gates.list_gates(snapshot), language)
    raids: dict[str, list[dict[str, Any]]] = {gate["raid_label"]: [] for gate in found}
    for gate in sorted(found, key=_sort_key):
        raids[gate["raid_label"]].append(gate | {"progression": by_gate.get(gate["gate_id"])})
    return render_page(request, "gates.html", {"raids": raids}, snapshot=snapshot, language=language)


@router.get("/gates/{gate_id}")
async def get_gate(
    request: Request,
    snapshot: SnapshotDep,
    language: LanguageDep,
    gate_id: GateId,
    role: RoleFilter = "dealer",
    weeks: Weeks = 4,
    item_level_min: _Level = None,
    item_level_max: _Level = None,
) -> Response:
    """One gate at one difficulty, with the distribution of each spec."""
    pool = Pool(role, weeks, gate_id, None, item_level_min, item_level_max)
    gate = add_labels([await gates.read_gate(snapshot, gate_id)], language)[0]
    all_gates = add_labels(await gates.list_gates(snapshot), language)
    newest, _ = await fights.list_fights(snapshot, fights.FightFilter(gate_id=gate_id), limit=8)
    by_gate = {row["gate_id"]: row for row in await progression.summarize_gates(snapshot)}
    content = {
        "gate": gate,
        "progression": by_gate.get(gate_id),
        "siblings": sorted((g for g in all_gates if g["raid_name"] == gate["raid_name"]), key=_sort_key),
        "pool": pool,
        "specs": add_labels(await read_gate_distribution(snapshot, pool), language),
        "fights": add_labels(newest, language),
    }
    return render_page(request, "gate.html", content, snapshot=snapshot, language=language)


def _sort_key(gate: dict[str, Any]) -> tuple[str, str]:
    return gate["gate_name"] or "", gate["difficulty"] or ""


@router.get("/fights")
async def list_fights(
    request: Request,
    snapshot: SnapshotDep,
    language: LanguageDep,
    gate_id: _Text = None,
    outcome: _Outcome = None,
    player_name: _Text = None,
    after: After = None,
) -> Response:
    """Fights, newest first."""
    which = fights.FightFilter(gate_id=gate_id, is_cleared=_OUTCOMES[outcome], player_name=player_name)
    rows, cursor = await fights.list_fights(snapshot, which, limit=LIST_ROWS, after=after)
    content = {
        "fights": add_labels(rows, language),
        "next_cursor": cursor,
        "is_first": after is None,
        "gates": add_labels(await gates.list_gates(snapshot), language),
        "chosen": {"gate_id": gate_id, "outcome": outcome, "player_name": player_name},
    }
    return render_page(request, "fights.html", content, snapshot=snapshot, language=language)


@router.get("/fights/{fight_id}")
async def get_fight(
    request: Request,
    snapshot: SnapshotDep,
    language: LanguageDep,
    fight_id: FightId,
    player: _Text = None,
) -> Response:
    """One fight: the meter's table, the timeline, and the details of one player."""
    report = label_fight_report(await fights.read_report(snapshot, fight_id), language)
    players = report["players"]
    chosen = next((p for p in players if p["player_name"] == player), None)
    if player is not None and chosen is None:
        raise NotFound("This player was not in the fight.")
    if chosen is None and players:
        chosen = next((p for p in players if (p["expected"] or {}).get("expected_dps")), players[0])
    content = report | {
        "chosen": chosen,
        "skills": await fights.read_skills(snapshot, fight_id, chosen["player_name"]) if chosen else [],
        "gap_parts": [c.name for c in GAP_PARTS],
        "context_parts": [c.name for c in CONTEXT_PARTS],
    }
    return render_page(request, "fight.html", content, snapshot=snapshot, language=language)


@router.get("/characters")
async def find_characters(
    request: Request,
    snapshot: SnapshotDep,
    language: LanguageDep,
    q: _Text = None,
    after: After = None,
) -> Response:
    """Characters by the beginning of their name."""
    rows, cursor = await characters.search_characters(snapshot, prefix=q, limit=LIST_ROWS, after=after)
    content = {
        "characters": add_labels(rows, language),
        "next_cursor": cursor,
        "is_first": after is None,
        "q": q or "",
    }
    return render_page(request, "characters.html", content, snapshot=snapshot, language=language)


@router.get("/characters/{region}/{player_name}")
async def get_character(
    request: Request,
    snapshot: SnapshotDep,
    language: LanguageDep,
    region: Region,
    player_name: PlayerName,
    gate_id: _Text = None,
) -> Response:
    """One character: its fights against their expected DPS, its percentiles, its progress."""
    found = await characters.read_character(snapshot, region, player_name)
    rows, cursor = await characters.read_history(
        snapshot, region, player_name, gate_id=gate_id, limit=CHARACTER_FIGHTS
    )
    content = {
        "character": add_labels([found["character"]], language)[0],
        "progress": add_labels(found["progress"], language),
        "play_styles": add_labels(found["play_styles"], language),
        "fights": add_labels(rows, language),
        "has_more": cursor is not None,
        "gate_id": gate_id,
    }
    return render_page(request, "character.html", content, snapshot=snapshot, language=language)


@router.get("/compare")
async def compare(
    request: Request, snapshot: SnapshotDep, language: LanguageDep, a: _Text = None, b: _Text = None
) -> Response:
    """Two characters (REGION/NAME) or two fights (ids) side by side, or a form to choose them."""
    content: dict[str, Any] = {"a": a or "", "b": b or ""}
    if not a or not b:
        content |= {"kind": "form"}
    elif "/" not in a and "/" not in b:
        two = {
            side: label_fight_report(await fights.read_report(snapshot, fight_id), language)
            for side, fight_id in (("a", a), ("b", b))
        }
        content |= {"kind": "fights", "two": two}
    else:
        (region_a, _, name_a), (region_b, _, name_b) = a.partition("/"), b.partition("/")
        found = await characters.compare_characters(snapshot, (region_a, name_a), (region_b, name_b))
        two = {side: add_labels([found[side]["character"]], language)[0] for side in ("a", "b")}
        content |= {"kind": "characters", "two": two, "gates": add_labels(found["gates"], language)}
    return render_page(request, "compare.html", content, snapshot=snapshot, language=language)


@router.get("/model")
async def get_model(request: Request, snapshot: SnapshotDep, language: LanguageDep) -> Response:
    """The model of expected DPS: its version, its accuracy, and its history."""
    found = await state.read_model(snapshot)
    overall = [row for row in found["evaluation"] if row["slice"] == "overall"]
    gate_labels = {
        " ".join(str(gate[n]) for n in _GATE): " ".join(filter(None, (gate[LABELS[n]] for n in _GATE)))
        for gate in add_labels(await gates.list_gates(snapshot), language)
    }
    content = {
        "gate_labels": gate_labels,
        "champion_version": found["champion_version"],
        "history": found["history"][:LIST_ROWS],
        "tested": sorted(overall, key=lambda row: (row["mape"] is None, row["mape"] or 0)),
        "slices": [
            row
            for row in found["evaluation"]
            if row["slice"] != "overall" and row["predictor"] == "challenger"
        ],
        "weeks": [row for row in found["monitoring"] if row["slice"] == "overall"],
    }
    return render_page(request, "model.html", content, snapshot=snapshot, language=language)


@router.get("/status")
async def get_status(
    request: Request, snapshot: SnapshotDep, language: LanguageDep, settings: SettingsDep
) -> Response:
    """What waits, freshness and quality of the data."""
    waiting = await asyncio.to_thread(load_backlog, settings)
    content = {
        "backlog": describe_backlog(waiting, language),
        "quality": await state.read_quality(snapshot),
        "publications": await state.list_publications(snapshot, 10),
        "has_data_docs": (settings.data_docs_dir / "index.html").exists(),
    }
    return render_page(request, "status.html", content, snapshot=snapshot, language=language, is_live=True)


@router.get("/upload")
async def upload(
    request: Request,
    snapshot: SnapshotDep,
    language: LanguageDep,
    settings: SettingsDep,
    access: AccessDep,
) -> Response:
    """A form that uploads battle logs and follows their ticket."""
    texts = {name: translate(language, f"upload.{name}") for name in _UPLOAD_TEXTS}
    texts["key"] = translate(language, "upload.key_wrong")
    texts |= {name: translate(language, name) for name in ("won", "lost")}
    texts |= {f"reason.{code}": translate(language, f"quarantine.{code}") for code in REASONS}
    content = {
        "texts": texts,
        "max_bytes": int(settings.upload_max_bytes),
        "needs_key": not access.is_open,
    }
    return render_page(request, "upload.html", content, snapshot=snapshot, language=language)


@router.get("/static/{name}")
async def get_asset(name: str) -> Response:
    """Stylesheet, scripts and icon; their URLs change with their bytes: browsers cache them forever."""
    if name not in ASSETS:
        raise NotFound("There is no such asset.")
    body, _ = read_asset(name)
    return Response(body, 200, {"Cache-Control": f"public, max-age={365 * _DAY_S}, immutable"}, ASSETS[name])
