"""ASGI middleware that injects faults; ``traffic`` picks the fault of each request.

Page faults (repeated, out of order) are made by the routes, which read the kind from the request's scope.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate

from isal import igzip
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lostark_assets.contracts.battle_log_api import JSON_TYPE
from lostark_simulator.mock_server.config import FaultConfig
from lostark_simulator.mock_server.fault_kinds import FaultKind
from lostark_simulator.mock_server.responses import HTML_TYPE, maintenance_page
from lostark_simulator.mock_server.traffic import CONTROL_ROUTE, Traffic

SCOPE_FAULT = "mock_server.fault"
_SLOW_PIECES = 8
_INSTEAD = frozenset({"429", "500", "502", "503_html"})
_CORRUPTED = frozenset({"slow_body", "cut_body", "wrong_type", "malformed_json"})
Headers = list[tuple[bytes, bytes]]


def replacement_response(kind: FaultKind, faults: FaultConfig) -> tuple[int, Headers, bytes]:
    """Status, headers and body of a response that bypasses the routes."""
    if kind == "429":
        body = b'{"message":"Too Many Requests"}'
        return 429, [_type(JSON_TYPE), (b"retry-after", str(faults.retry_after_s).encode())], body
    if kind == "503_html":
        return 503, [_type(HTML_TYPE)], maintenance_page()
    if kind == "502":
        return 502, [_type(HTML_TYPE)], b"<html><head><title>502 Bad Gateway</title></head></html>\r\n"
    return 500, [_type(JSON_TYPE)], b'{"message":"Internal Server Error"}'


def corrupt_response(
    kind: FaultKind, status: int, headers: Headers, body: bytes
) -> tuple[int, Headers, bytes]:
    """The response of the routes with a wrong content type, or with half of its JSON."""
    if kind == "wrong_type":
        return 200, [_type(HTML_TYPE)], b"<html><body>Please log in to this network.</body></html>\r\n"
    if kind == "malformed_json":
        is_packed = (b"content-encoding", b"gzip") in headers
        plain = igzip.decompress(body) if is_packed else body
        half = plain[: max(len(plain) // 2, 1)] + b"\x00"
        body = igzip.compress(half, 1, mtime=0) if is_packed else half
    return status, headers, body


class FaultyServer:
    """Counts requests, sets the date header, and corrupts the responses with a fault."""

    def __init__(self, app: ASGIApp, traffic: Traffic, clock: Callable[[], float]) -> None:
        self._app, self._traffic, self._clock = app, traffic, clock
        self._date = (0, b"")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; with ``cut_body`` the connection ends in the middle of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route, fault = self._traffic.arrive(scope["path"], time.monotonic())
        date = self._now(self._traffic.faults.skew_s if fault == "clock_skew" else 0)

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                if route != CONTROL_ROUTE:
                    self._traffic.statuses[str(message["status"])] += 1
                message["headers"] = [*message["headers"], (b"date", date)]
            await send(message)

        if fault is None:
            await self._app(scope, receive, dated)
        elif fault in _INSTEAD:
            await _whole(dated, *replacement_response(fault, self._traffic.faults))
        elif fault in _CORRUPTED:
            await self._corrupt(fault, scope, receive, dated)
        else:
            await self._app({**scope, SCOPE_FAULT: fault}, receive, dated)

    async def _corrupt(self, fault: FaultKind, scope: Scope, receive: Receive, send: Send) -> None:
        status, headers, pieces = 500, [], []

        async def keep(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message["headers"])
            else:
                pieces.append(message.get("body", b""))

        await self._app(scope, receive, keep)
        status, headers, body = corrupt_response(fault, status, headers, b"".join(pieces))
        if fault == "cut_body":
            await _start(send, status, headers, len(body))
            # The server closes a connection whose response ends before its length.
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        elif fault == "slow_body":
            await self._dribble(send, status, headers, body)
        else:
            await _whole(send, status, headers, body)

    async def _dribble(self, send: Send, status: int, headers: Headers, body: bytes) -> None:
        await _start(send, status, headers, len(body))
        size = max(-(-len(body) // _SLOW_PIECES), 1)
        for start in range(0, len(body), size):
            await asyncio.sleep(self._traffic.faults.slow_body_s / _SLOW_PIECES)
            piece = {"type": "http.response.body", "body": body[start : start + size], "more_body": True}
            await send(piece)
        await send({"type": "http.response.body", "body": b""})

    def _now(self, skew_s: int) -> bytes:
        second = int(self._clock()) + skew_s
        if self._date[0] != second:
            self._date = (second, formatdate(second, usegmt=True).encode())
        return self._date[1]


def _type(content_type: str) -> tuple[bytes, bytes]:
    return (b"content-type", content_type.encode())


async def _start(send: Send, status: int, headers: Headers, length: int) -> None:
    kept = [(name, value) for name, value in headers if name != b"content-length"]
    kept.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": status, "headers": kept})


async def _whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await _start(send, status, headers, len(body))
    await send({"type": "http.response.body", "body": body})
