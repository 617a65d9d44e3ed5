"""Expected DPS in front of everything else: a plain question is answered before any framework wakes up.

Whatever is not plainly a good question (another type, a large body, many builds, one that makes no sense)
goes on to the route, that documents the question and says what is wrong with it. What does not belong here:
which questions are plain (``plain``), and the answer itself (``expected``).
"""

from __future__ import annotations

import time
from typing import Any

from lostark_api.http.cache import MAX_BODY_BYTES, SECURITY_HEADERS, App, Receive, Scope, Send
from lostark_api.http.metrics import Metrics
from lostark_api.routes.expected import PATH
from lostark_api.schemas.builds import decode_plain_builds
from lostark_api.services.champion import Champion
from lostark_api.services.expected import answer_at_once
from lostark_assets.contracts.battle_log_api import JSON_TYPE

_JSON = JSON_TYPE.encode()
_HEADERS = [(b"cache-control", b"no-store"), (b"content-type", _JSON), *SECURITY_HEADERS]


class ExpectedInFront:
    """``app``, with ``POST /v1/expected-dps`` in front of it."""

    def __init__(self, app: App, champion: Champion, metrics: Metrics) -> None:
        self.app = app
        self.champion = champion
        self._answered = metrics.get_tally(PATH, "POST", 200, "none")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on with its body."""
        if scope["type"] != "http" or scope["path"] != PATH or not _is_plain(scope):
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
        try:
            content = answer_at_once(self.champion.predictor, decode_plain_builds(body))
        except Exception:  # noqa: BLE001 - the route says what is wrong, with the body or with us
            await self.app(scope, _again(body, receive), send)
            return
        headers = [*_HEADERS, (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        self._answered.note(time.perf_counter() - started)


def _is_plain(scope: Scope) -> bool:
    """Whether the request says that it has a short body of JSON."""
    said = dict(scope["headers"])
    length = said.get(b"content-length", b"")
    return (
        scope["method"] == "POST"
        and said.get(b"content-type") == _JSON
        and b"transfer-encoding" not in said
        and length.isdigit()
        and int(length) <= MAX_BODY_BYTES
    )


def _again(body: bytes, receive: Receive) -> Receive:
    """``receive`` that begins with the body that was read from it."""
    is_read = False

    async def again() -> dict[str, Any]:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
