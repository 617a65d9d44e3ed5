"""Expected DPS of a few builds, served before any framework code runs.

Everything else (another media type, a large body, many or invalid builds) goes to the route.
"""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lostark_api.http.cache import MAX_BODY_BYTES, SECURITY_HEADERS
from lostark_api.http.metrics import ROUTE, Metrics
from lostark_api.routes.expected import PATH
from lostark_api.schemas.builds import decode_builds
from lostark_api.services.champion import ActiveChampion
from lostark_api.services.expected import MAX_INLINE_BUILDS, predict_inline
from lostark_assets.contracts.battle_log_api import JSON_TYPE

_JSON = JSON_TYPE.encode()
_HEADERS = [(b"cache-control", b"no-store"), (b"content-type", _JSON), *SECURITY_HEADERS]


class FastPath:
    """Middleware that serves ``POST /v1/expected-dps`` itself where it can, and passes on the rest."""

    def __init__(self, app: ASGIApp, champion: ActiveChampion, metrics: Metrics) -> None:
        self.app = app
        self.champion = champion
        self._served = metrics.get_tally(PATH, "POST", 200, "none")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass it on with its body."""
        if scope["type"] != "http" or scope["path"] != PATH or not _has_short_json(scope):
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        message = await receive()
        body = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        if message["type"] != "http.request":
            return
        content = self._predict(body)
        if content is None:
            await self.app(scope, _replay(body, receive), send)
            return
        scope[ROUTE] = PATH
        headers = [*_HEADERS, (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        self._served.record(time.perf_counter() - started)

    def _predict(self, body: bytes) -> bytes | None:
        try:
            builds = decode_builds(body)
            if len(builds) > MAX_INLINE_BUILDS:
                return None
            return predict_inline(self.champion.predictor, builds)
        except Exception:  # noqa: BLE001 - the route answers the error, whether it is the client's or ours
            return None


def _has_short_json(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"")
    return (
        scope["method"] == "POST"
        and headers.get(b"content-type") == _JSON
        and b"transfer-encoding" not in headers
        and length.isdigit()
        and int(length) <= MAX_BODY_BYTES
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    """``receive``, preceded by the body that was already read from it."""
    is_replayed = False

    async def replay() -> Message:
        nonlocal is_replayed
        if is_replayed:
            return await receive()
        is_replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
