"""Gates, their distributions, and the tier list."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from lostark_api.dependencies import LanguageDep, SnapshotDep
from lostark_api.http.language import add_labels
from lostark_api.http.parameters import (
    ClassFilter,
    GateFilter,
    GateId,
    ItemLevel,
    RegionFilter,
    RoleFilter,
    SpecFilter,
    Weeks,
)
from lostark_api.http.responses import json_response
from lostark_api.queries import gates
from lostark_api.queries.pools import Pool, read_gate_distribution, read_tier_list
from lostark_api.routes import PREFIX
from lostark_api.schemas.gates import GateDistribution, GateList, GateWeeks, TierList

router = APIRouter(prefix=PREFIX, tags=["gates"])


@router.get("/gates", response_model=GateList)
async def list_gates(snapshot: SnapshotDep, language: LanguageDep) -> Response:
    """Every raid gate with published fights, at each difficulty; the most recently fought first."""
    content = {"gates": add_labels(await gates.list_gates(snapshot), language)}
    return json_response(content, version=snapshot.version, language=language)


@router.get("/gates/{gate_id}/distribution", response_model=GateDistribution)
async def get_distribution(
    snapshot: SnapshotDep,
    language: LanguageDep,
    gate_id: GateId,
    role: RoleFilter = "dealer",
    weeks: Weeks = 4,
    item_level_min: ItemLevel = None,
    item_level_max: ItemLevel = None,
    class_name: ClassFilter = None,
    region: RegionFilter = None,
) -> Response:
    """Quantiles by spec of living players in counted clears, with n and the median's 95 % interval."""
    pool = Pool(role, weeks, gate_id, class_name, item_level_min, item_level_max, region)
    content = {
        "gate": add_labels([await gates.read_gate(snapshot, gate_id)], language)[0],
        "pool": _describe(pool),
        "specs": add_labels(await read_gate_distribution(snapshot, pool), language),
    }
    return json_response(content, version=snapshot.version, language=language)


@router.get("/gates/{gate_id}/weeks", response_model=GateWeeks)
async def get_weeks(
    snapshot: SnapshotDep,
    language: LanguageDep,
    gate_id: GateId,
    spec_name: SpecFilter = None,
    item_level_bracket: SpecFilter = None,
) -> Response:
    """The gate's distributions by spec, item-level bracket and week, with its trend."""
    await gates.read_gate(snapshot, gate_id)
    rows = await gates.read_weeks(snapshot, gate_id, spec_name, item_level_bracket)
    content = {"gate_id": gate_id, "weeks": add_labels(rows, language)}
    return json_response(content, version=snapshot.version, language=language)


@router.get("/tier-list", response_model=TierList)
async def get_tier_list(
    snapshot: SnapshotDep,
    language: LanguageDep,
    role: RoleFilter = "dealer",
    weeks: Weeks = 4,
    gate_id: GateFilter = None,
    item_level_min: ItemLevel = None,
    item_level_max: ItemLevel = None,
    region: RegionFilter = None,
) -> Response:
    """Specs by how their players do against the median of their gate and week, with n and interval."""
    pool = Pool(role, weeks, gate_id, None, item_level_min, item_level_max, region)
    content = {
        "pool": _describe(pool),
        "specs": add_labels(await read_tier_list(snapshot, pool), language),
    }
    return json_response(content, version=snapshot.version, language=language)


def _describe(pool: Pool) -> dict[str, Any]:
    return {name: value for name, value in asdict(pool).items() if name != "gate_id"}
