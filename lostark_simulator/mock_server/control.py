"""Routes under ``/mock-server`` that control it for tests and demos; not part of any contract."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from lostark_assets.errors import SettingsError
from lostark_simulator.mock_server.config import CONTROL_PREFIX, FAULT_KINDS, FaultConfig
from lostark_simulator.mock_server.context import Shared
from lostark_simulator.mock_server.fault_kinds import FaultKind
from lostark_simulator.mock_server.responses import json_response, problem

router = APIRouter(prefix=CONTROL_PREFIX, include_in_schema=False)


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Faults(_Order):
    """Faults to inject from now on."""

    share: float = Field(0.0, ge=0, le=1)
    kinds: tuple[FaultKind, ...] = FAULT_KINDS
    seed: int = 1
    slow_body_s: float = Field(0.2, ge=0, le=60)
    retry_after_s: int = Field(1, ge=0)
    skew_s: int = 3 * 3600


class Switch(_Order):
    """An on/off switch."""

    on: bool


class Growth(_Order):
    """Logs to add now: new fights, and edited revisions of the newest logs."""

    fights: int = Field(0, ge=0, le=10_000)
    late_days: float | None = Field(None, ge=0, le=365)
    edited: int = Field(0, ge=0, le=10_000)


@router.get("")
@router.get("/")
async def describe(shared: Shared) -> Response:
    """What is served and what is switched on."""
    season = shared.season
    return json_response(
        {
            "is_demo_data": True,
            "season": season.token,
            "logs": season.logs,
            "is_paused": season.is_paused,
            "is_in_maintenance": shared.is_in_maintenance,
            "new_fight_every_s": shared.config.new_fight_every_s,
            "fault_share": shared.traffic.faults.share,
        }
    )


@router.get("/counts")
async def counts(shared: Shared, window_s: float = 60.0) -> Response:
    """Requests by route, responses by status, faults by kind, and the busiest ``window_s`` of each group."""
    traffic = shared.traffic
    return json_response(
        {
            "requests": dict(traffic.requests),
            "statuses": dict(traffic.statuses),
            "faults": dict(traffic.faults_made),
            "busiest": {group: traffic.busiest(group, window_s) for group in traffic.arrivals},
        }
    )


@router.delete("/counts")
async def reset_counts(shared: Shared) -> Response:
    """Reset the counters; the fault sequence restarts with the first request."""
    shared.traffic.reset()
    return json_response({})


@router.post("/faults")
async def set_faults(shared: Shared, order: Faults) -> Response:
    """Replace the injected faults."""
    try:
        shared.traffic.faults = FaultConfig(**order.model_dump())
    except SettingsError as error:
        return problem(422, str(error))
    return json_response(order.model_dump())


@router.post("/pause")
async def pause(shared: Shared, order: Switch) -> Response:
    """Pause or resume the automatic growth."""
    shared.season.is_paused = order.on
    return json_response({"is_paused": order.on})


@router.post("/maintenance")
async def maintenance(shared: Shared, order: Switch) -> Response:
    """Start or end the maintenance of the Open API."""
    shared.is_in_maintenance = order.on
    return json_response({"is_in_maintenance": order.on})


@router.post("/grow")
def grow(shared: Shared, order: Growth) -> Response:
    """Add logs now; the response lists them."""
    added = shared.season.grow(order.fights, late_days=order.late_days)
    added += shared.season.add_revisions(order.edited)
    entries: list[dict[str, Any]] = [record.entry() for record in added]
    return json_response({"logs": entries})


@router.post("/forget-cursors")
async def expire_cursors(shared: Shared) -> Response:
    """Expire every cursor issued so far: 410."""
    shared.season.expire_cursors()
    return json_response({})
