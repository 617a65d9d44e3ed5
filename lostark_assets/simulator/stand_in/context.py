"""What the routes of one stand-in share, and how they find it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from lostark_assets.simulator.stand_in.config import StandInConfig
from lostark_assets.simulator.stand_in.growing_season import GrowingSeason
from lostark_assets.simulator.stand_in.limits import RenewedWindow, SlidingWindow
from lostark_assets.simulator.stand_in.traffic import Traffic


@dataclass
class StandIn:
    """One running stand-in."""

    config: StandInConfig
    season: GrowingSeason
    traffic: Traffic
    battle_log_limit: SlidingWindow
    open_api_limit: RenewedWindow
    is_in_maintenance: bool = False


def _of(request: Request) -> StandIn:
    return request.app.state.stand_in


Shared = Annotated[StandIn, Depends(_of)]
