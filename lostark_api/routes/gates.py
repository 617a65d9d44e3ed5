"""Gates, their distributions, and the tier list."""

# ruff: noqa: ARG001 - `lang` is read where the answer is made; here it is said that it can be given

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from lostark_api.database import Snapshot
from lostark_api.http.language import labelled
from lostark_api.http.parameters import (
    ClassFilter,
    GateFilter,
    GateId,
    ItemLevel,
    Lang,
    RegionFilter,
    RoleOf,
    SpecFilter,
    Weeks,
)
from lostark_api.http.responses import answer
from lostark_api.queries import gates
from lostark_api.queries.pools import Pool, gate_distribution, tier_list
from lostark_api.routes import PREFIX
from lostark_api.schemas import responses as c

router = APIRouter(prefix=PREFIX, tags=["gates"])


@router.get("/gates", response_model=c.GateList)
async def list_gates(request: Request, lang: Lang = None) -> Response:
    """Every raid gate at each difficulty that there are fights of, the last fought first."""

    async def ask(now: Snapshot, language: str) -> Any:
        return {"gates": labelled(await gates.list_gates(now), language)}

    return await answer(request, ask)


@router.get("/gates/{gate_id}/distribution", response_model=c.GateDistribution)
async def distribution(
    request: Request,
    gate_id: GateId,
    role: RoleOf = "dealer",
    weeks: Weeks = 4,
    item_level_min: ItemLevel = None,
    item_level_max: ItemLevel = None,
    class_name: ClassFilter = None,
    region: RegionFilter = None,
    lang: Lang = None,
) -> Response:
    """Quantiles by spec of living players in counted clears, with n and the median's 95 % interval."""
    pool = Pool(role, weeks, gate_id, class_name, item_level_min, item_level_max, region)

    async def ask(now: Snapshot, language: str) -> Any:
        gate = labelled([await gates.gate(now, gate_id)], language)[0]
        specs = labelled(await gate_distribution(now, pool), language)
        return {"gate": gate, "pool": _told(pool), "specs": specs}

    return await answer(request, ask)


@router.get("/gates/{gate_id}/weeks", response_model=c.GateWeeks)
async def gate_weeks(
    request: Request,
    gate_id: GateId,
    spec_name: SpecFilter = None,
    item_level_bracket: SpecFilter = None,
    lang: Lang = None,
) -> Response:
    """The gate's distributions by spec, item-level bracket and week, with its trend."""

    async def ask(now: Snapshot, language: str) -> Any:
        await gates.gate(now, gate_id)
        rows = await gates.weeks(now, gate_id, spec_name, item_level_bracket)
        return {"gate_id": gate_id, "weeks": labelled(rows, language)}

    return await answer(request, ask)


@router.get("/tier-list", response_model=c.TierList)
async def tiers(
    request: Request,
    role: RoleOf = "dealer",
    weeks: Weeks = 4,
    gate_id: GateFilter = None,
    item_level_min: ItemLevel = None,
    item_level_max: ItemLevel = None,
    region: RegionFilter = None,
    lang: Lang = None,
) -> Response:
    """Specs by how their players do against the median of their gate and week, with n and interval."""
    pool = Pool(role, weeks, gate_id, None, item_level_min, item_level_max, region)

    async def ask(now: Snapshot, language: str) -> Any:
        return {"pool": _told(pool), "specs": labelled(await tier_list(now, pool), language)}

    return await answer(request, ask)


def _told(pool: Pool) -> dict[str, Any]:
    told = asdict(pool)
    del told["gate_id"]
    return told
