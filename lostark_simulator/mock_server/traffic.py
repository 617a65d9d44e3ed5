"""Counts requests by route and derives each request's fault from its number alone."""

from __future__ import annotations

import hashlib
from collections import Counter, deque

from lostark_assets.contracts.battle_log_api import LIST_PATH
from lostark_simulator.mock_server.config import CONTROL_PREFIX, OPEN_API_PREFIX, FaultConfig
from lostark_simulator.mock_server.fault_kinds import PAGE_KINDS, FaultKind

LIST_ROUTE = "battle_logs.list"
FETCH_ROUTE = "battle_logs.fetch"
CONTROL_ROUTE = "control"
_KEPT_ARRIVALS = 200_000
_OPEN_API_ROUTES = ("armories", "characters", "news")


def get_route(path: str) -> str:
    """The route of a path, from a closed list."""
    if path.startswith(LIST_PATH):
        return LIST_ROUTE if len(path) <= len(LIST_PATH) + 1 else FETCH_ROUTE
    if path.startswith(OPEN_API_PREFIX + "/"):
        group = path[len(OPEN_API_PREFIX) + 1 :].split("/", 1)[0]
        return f"open_api.{group}" if group in _OPEN_API_ROUTES else "open_api.other"
    return CONTROL_ROUTE if path.startswith(CONTROL_PREFIX + "/") else "other"


def pick_fault(faults: FaultConfig, number: int, route: str) -> FaultKind | None:
    """The fault of the request with this number (from 1), if any.

    Page faults apply to the listing only; other routes spread the share over the other kinds.
    """
    if faults.share <= 0 or route == CONTROL_ROUTE:
        return None
    digest = hashlib.blake2b(f"{faults.seed} {number}".encode(), digest_size=16).digest()
    if int.from_bytes(digest[:8], "big") / 2**64 >= faults.share:
        return None
    kinds = [kind for kind in faults.kinds if route == LIST_ROUTE or kind not in PAGE_KINDS]
    return kinds[int.from_bytes(digest[8:], "big") % len(kinds)] if kinds else None


class Traffic:
    """Counters of requests. ``faults`` may be replaced at any time; request numbers continue."""

    def __init__(self, faults: FaultConfig) -> None:
        self.faults = faults
        self.reset()

    def reset(self) -> None:
        """Reset all counters; the next request has number 1."""
        self.requests: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.faults_made: Counter[str] = Counter()
        self.arrivals: dict[str, deque[float]] = {}
        self._number = 0

    def arrive(self, path: str, at_s: float) -> tuple[str, FaultKind | None]:
        """Count a request; returns its route and its fault."""
        route = get_route(path)
        self.requests[route] += 1
        if route == CONTROL_ROUTE:
            return route, None
        self._number += 1
        self.arrivals.setdefault(route.split(".")[0], deque(maxlen=_KEPT_ARRIVALS)).append(at_s)
        fault = pick_fault(self.faults, self._number, route)
        if fault is not None:
            self.faults_made[fault] += 1
        return route, fault

    def busiest(self, group: str, window_s: float) -> int:
        """The most requests of a group (``battle_logs``, ``open_api``) that arrived within ``window_s``."""
        times = list(self.arrivals.get(group, ()))
        most, first = 0, 0
        for place, at_s in enumerate(times):
            while times[first] <= at_s - window_s:
                first += 1
            most = max(most, place - first + 1)
        return most
