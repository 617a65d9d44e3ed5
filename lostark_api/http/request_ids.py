"""Request ids: by one, a client's error is found in the log lines of its request and of the run it started.

The gateway in front of the API sets ``X-Request-ID`` and drops what clients send; without a gateway a client
may choose it. With ``LOSTARK_LOGS=stdout`` each request is a log line; with ``files`` only those that failed
are, since a line costs more than a cached response.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lostark_api.http.metrics import get_route
from lostark_assets.observability.logs import REQUEST_ID, get_logger

HEADER = "X-Request-ID"
_HEADER = HEADER.lower().encode()
_VALID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_SERVER_ERROR = 500
log = get_logger()


class RequestIds:
    """Middleware that gives each request an id, and logs it: all, or those that failed."""

    def __init__(self, app: ASGIApp, *, logs_all: bool) -> None:
        self.app = app
        self.logs_all = logs_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, size = time.perf_counter(), 0, 0
        request_id = _read_id(scope)
        header = (_HEADER, request_id)

        # No coroutine of its own, and no structlog context: both would cost a tenth of a cached response.
        def send_with_id(message: Message) -> Awaitable[None]:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], header]}
            else:
                size += len(message.get("body", b""))
            return send(message)

        bound = REQUEST_ID.set(request_id.decode())
        try:
            await self.app(scope, receive, send_with_id)
        except BaseException:
            status = status or _SERVER_ERROR
            raise
        finally:
            if self.logs_all or status >= _SERVER_ERROR:
                _log_request(scope, status, size, time.perf_counter() - started)
            REQUEST_ID.reset(bound)


def _read_id(scope: Scope) -> bytes:
    """The request's own id if it is a valid one, else a new one."""
    for name, value in scope["headers"]:
        if name == _HEADER:
            return value if _VALID.fullmatch(value) else _make_id()
    return _make_id()


def _make_id() -> bytes:
    return os.urandom(16).hex().encode()


def _log_request(scope: Scope, status: int, size: int, duration_s: float) -> None:
    """Log a request by its route's template: paths and queries hold names of players."""
    write = log.error if status >= _SERVER_ERROR else log.info
    write(
        "request",
        method=scope["method"],
        route=get_route(scope),
        # None: the client was gone before a response.
        status=status or None,
        duration_ms=round(duration_s * 1000, 3),
        bytes=size,
    )
