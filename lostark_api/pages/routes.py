"""The pages, one route each. They ask, choose what is shown, and leave looks to the templates.

Addresses carry every filter, so that a page can be shared. What does not belong here: SQL (``queries``), HTML
(``templates``), pictures (``pictures``).
"""

# ruff: noqa: ARG001 - `lang` is read where the page is made; here it is said that it can be given

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, BeforeValidator
from starlette.responses import Response

from lostark_api.database import Snapshot
from lostark_api.http.language import LABELS, labelled
from lostark_api.http.parameters import (
    After,
    FightId,
    GateId,
    Lang,
    PlayerName,
    Region,
    RoleOf,
    Weeks,
    storable,
)
from lostark_api.pages.render import ASSETS, PageRoute, asset, page
from lostark_api.pages.translations import words
from lostark_api.queries import characters, fights, gates, progression, state
from lostark_api.queries.pools import Pool, gate_distribution, tier_list
from lostark_api.routes.fights import report_in
from lostark_api.services.access import Access
from lostark_assets.contracts.ml import CONTEXT_PARTS, GAP_PARTS
from lostark_assets.contracts.reasons import REASONS
from lostark_assets.errors import NotFound
from lostark_assets.settings import Settings

ROWS = 30
HISTORY = 60
"""Fights of a character that its page shows."""
_DAY = 86_400

router = APIRouter(route_class=PageRoute, include_in_schema=False)


def _given(value: object) -> object:
    """A form sends what was not filled in as an empty text."""
    return None if value == "" else value


_Empty = BeforeValidator(_given)
_Text = Annotated[
    str | None, Query(max_length=100), _Empty, AfterValidator(lambda v: v if v is None else storable(v))
]
_Level = Annotated[float | None, Query(ge=0, le=3000, allow_inf_nan=False), _Empty]
_Outcome = Annotated[Literal["won", "lost"] | None, Query(), _Empty]
_UPLOAD_STATES = (
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
)
_GATE = ("raid_name", "gate_name", "difficulty")
"""In one text, the model's name of a gate."""
_OUTCOMES = {"won": True, "lost": False, None: None}


@router.get("/")
async def home(request: Request, role: RoleOf = "dealer", weeks: Weeks = 4, lang: Lang = None) -> Response:
    """What is new, and the tier list."""

    async def ask(now: Snapshot, language: str) -> Mapping[str, Any]:
        newest, _ = await fights.list_fights(now, fights.FightFilter(), limit=8)
        return {
            "role": role,
            "weeks": weeks,
            "gates": labelled(await gates.list_gates(now), language)[:6],
            "fights": labelled(newest, language),
            "specs": labelled(await tier_list(now, Pool(role, weeks)), language),
            "quality": await state.quality(now),
        }

    return await page(request, "home.html", ask)


@router.get("/gates")
async def all_gates(request: Request, lang: Lang = None) -> Response:
    """Every gate, with how it is learnt."""

    async def ask(now: Snapshot, language: str) -> Mapping[str, Any]:
        learnt = {row["gate_id"]: row for row in await progression.by_gate(now)}
        found = labelled(await gates.list_gates(now), language)
        raids: dict[str, list[dict[str, Any]]] = {}
        for gate in sorted(found, key=lambda g: (g["gate_name"] or "", g["difficulty"] or "")):
            raids.setdefault(gate["raid_label"], []).append(gate | {"learnt": learnt.get(gate["gate_id"])})
        return {"raids": {gate["raid_label"]: raids[gate["raid_label"]] for gate in found}}

    return await page(request, "gates.html", ask)


@router.get("/gates/{gate_id}")
async def one_gate(
    request: Request,
    gate_id: GateId,
    role: RoleOf = "dealer",
    weeks: Weeks = 4,
    item_level_min: _Level = None,
    item_level_max: _Level = None,
    lang: Lang = None,
) -> Response:
    """One gate at one difficulty: what each spec reaches there."""
    pool = Pool(role, weeks, gate_id, None, item_level_min, item_level_max)

    async def ask(now: Snapshot, language: str) -> Mapping[str, Any]:
        gate = labelled([await gates.gate(now, gate_id)], language)[0]
        every = labelled(await gates.list_gates(now), language)
        newest, _ = await fights.list_fights(now, fights.FightFilter(gate_id=gate_id), limit=8)
        learnt = {row["gate_id"]: row for row in await progression.by_gate(now)}
        return {
            "gate": gate,
            "learnt": learnt.get(gate_id),
            "siblings": sorted(
                (g for g in every if g["raid_name"] == gate["raid_name"]),
                key=lambda g: (g["gate_name"] or "", g["difficulty"] or ""),
            ),
            "pool": pool,
            "specs": labelled(await gate_distribution(now, pool), language),
            "fights": labelled(newest, language),
        }

    return await page(request, "gate.html", ask)


@router.get("/fights")
async def all_fights(
    request: Request,
    gate_id: _Text = None,
    outcome: _Outcome = None,
    player_name: _Text = None,
    after: After = None,
    lang: Lang = None,
) -> Response:
    """Fights, newest first."""
    which = fights.FightFilter(gate_id=gate_id, is_cleared=_OUTCOMES[outcome], player_name=player_name)

    async def ask(now: Snapshot, language: str) -> Mapping[str, Any]:
        rows, cursor = await fights.list_fights(now, which, limit=ROWS, after=after)
        return {
            "fights": labelled(rows, language),
            "next_cursor": cursor,
            "is_first": after is None,
            "gates": labelled(await gates.list_gates(now), language),
            "chosen": {"gate_id": gate_id, "outcome": outcome, "player_name": player_name},
        }

    return await page(request, "fights.html", ask)


@router.get("/fights/{fight_id}")
async def one_fight(request: Request, fight_id: FightId, player: _Text = None, lang: Lang = None) -> Response:
    """One fight: the meter's table, the course of the fight, and one player in full."""

    async def ask(now: Snapshot, language: str) -> Mapping[str, Any]:
        report = report_in(await fights.fight_report(now, fight_id), language)
        players = report["players"]
        chosen = next((p for p in players if p["player_name"] == player), None)
        if player is not None and chosen is None:
            raise NotFound("Nobody of this name was in the fight.")
        if chosen is None and players:
            chosen = next((p for p in players if (p["expected"] or {}).get("expected_dps")), players[0])
        skills = await fights.fight_skills(now, fight_id, chosen["player_name"]) if chosen else []
        return report | {
            "chosen": chosen,
            "skills": skills,
            "gap_parts": [c.name for c in GAP_PARTS],
            "context_parts": [c.name for c in CONTEXT_PARTS],
        }

    return await page(request, "fight.html", ask)


@router.get("/characters")
async def find_characters(
    request: Request, q: _Text = None, after: After = None, lang: Lang = None
) -> Response:
    """Characters by the beginning of their name."""

    async def ask(now: Snapshot, language: str) -> Mapping[str, Any]:
        rows, cursor = await characters.search_characters(now, prefix=q, limit=ROWS, after=after)
        return {
            "characters": labelled(rows, language),
            "next_cursor": cursor,
            "is_first": after is None,
            "q": q or "",
        }

    return await page(request, "characters.html", ask)


@router.get("/characters/{region}/{player_name}")
async def one_character(
    request: Request, region: Region, player_name: PlayerName, gate_id: _Text = None, lang: Lang = None
) -> Response:
    """One character: its fights against what was expected, its percentiles, its progress."""

    async def ask(now: Snapshot, language: str) -> Mapping[str, Any]:
        found = await characters.character(now, region, player_name)
        rows, cursor = await characters.history(now, region, player_name, gate_id=gate_id, limit=HISTORY)
        return {
            "character": labelled([found["character"]], language)[0],
            "progress": labelled(found["progress"], language),
            "play_styles": labelled(found["play_styles"], language),
            "fights": labelled(rows, language),
            "has_more": cursor is not None,
            "gate_id": gate_id,
        }

    return await page(request, "character.html", ask)


@router.get("/compare")
async def compare(request: Request, a: _Text = None, b: _Text = None, lang: Lang = None) -> Response:
    """Two characters (REGION/NAME) or two fights (ids) beside each other, or a form that asks for them."""

    async def ask(now: Snapshot, language: str) -> Mapping[str, Any]:
        asked = {"a": a or "", "b": b or ""}
        if not a or not b:
            return asked | {"kind": "form"}
        if "/" not in a and "/" not in b:
            two = {
                side: report_in(await fights.fight_report(now, of), language) for side, of in asked.items()
            }
            return asked | {"kind": "fights", "two": two}
        (region_a, _, name_a), (region_b, _, name_b) = a.partition("/"), b.partition("/")
        found = await characters.compare_characters(now, (region_a, name_a), (region_b, name_b))
        two = {side: labelled([found[side]["character"]], language)[0] for side in ("a", "b")}
        return asked | {"kind": "characters", "two": two, "gates": labelled(found["gates"], language)}

    return await page(request, "compare.html", ask)


@router.get("/model")
async def model(request: Request, lang: Lang = None) -> Response:
    """The model that says what to expect: which one, how good, and how it came to be."""

    async def ask(now: Snapshot, language: str) -> Mapping[str, Any]:
        found = await state.model(now)
        overall = [row for row in found["evaluation"] if row["slice"] == "overall"]
        labels = {
            " ".join(str(gate[n]) for n in _GATE): " ".join(filter(None, (gate[LABELS[n]] for n in _GATE)))
            for gate in labelled(await gates.list_gates(now), language)
        }
        return {
            "gate_labels": labels,
            "champion_version": found["champion_version"],
            "history": found["history"][:ROWS],
            "tested": sorted(overall, key=lambda row: (row["mape"] is None, row["mape"] or 0)),
            "slices": [
                row
                for row in found["evaluation"]
                if row["slice"] != "overall" and row["predictor"] == "challenger"
            ],
            "weeks": [row for row in found["monitoring"] if row["slice"] == "overall"],
        }

    return await page(request, "model.html", ask)


@router.get("/status")
async def status(request: Request, lang: Lang = None) -> Response:
    """How fresh and how good the data is."""

    async def ask(now: Snapshot, language: str) -> Mapping[str, Any]:
        return {"quality": await state.quality(now), "publications": await state.publications(now, 10)}

    return await page(request, "status.html", ask)


@router.get("/upload")
async def upload(request: Request, lang: Lang = None) -> Response:
    """A form that sends battle logs and follows what becomes of them."""
    settings: Settings = request.app.state.settings
    access: Access = request.app.state.access

    async def ask(_: Snapshot, language: str) -> Mapping[str, Any]:
        said = {name: words(language, f"upload.{name}") for name in _UPLOAD_STATES}
        said["key"] = words(language, "upload.key_wrong")
        said |= {name: words(language, name) for name in ("won", "lost")}
        said |= {f"reason.{code}": words(language, f"quarantine.{code}") for code in REASONS}
        return {"said": said, "largest": int(settings.upload_max_bytes), "needs_key": not access.is_open}

    return await page(request, "upload.html", ask)


@router.get("/static/{name}")
async def static(name: str) -> Response:
    """Looks and script; their addresses change with their bytes, so that browsers keep them."""
    if name not in ASSETS:
        raise NotFound("There is no such asset.")
    body, _ = asset(name)
    return Response(body, 200, {"Cache-Control": f"public, max-age={365 * _DAY}, immutable"}, ASSETS[name])
