"""What the routes of one mock server share, and how they find it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from lostark_simulator.mock_server.body_cache import BodyCache
from lostark_simulator.mock_server.config import MockServerConfig
from lostark_simulator.mock_server.growing_season import GrowingSeason
from lostark_simulator.mock_server.limits import RenewedWindow, SlidingWindow
from lostark_simulator.mock_server.traffic import Traffic

_BODIES_BYTES = 64 * 1024 * 1024


@dataclass
class MockServer:
    """One running mock server."""

    config: MockServerConfig
    season: GrowingSeason
    traffic: Traffic
    battle_log_limit: SlidingWindow
    open_api_limit: RenewedWindow
    bodies: BodyCache = field(default_factory=lambda: BodyCache(_BODIES_BYTES))
    is_in_maintenance: bool = False


def _of(request: Request) -> MockServer:
    return request.app.state.mock_server


Shared = Annotated[MockServer, Depends(_of)]
