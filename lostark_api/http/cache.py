"""Keeping finished answers, in front of everything else: a kept one is sent before any framework wakes up.

An answer is kept whole (status, headers, body), by address, query and language, for the publish that it came
from. Another publish forgets all of them at once. Equal requests that come together are computed once. What
does not belong here: making answers (``answers``), Redis (``shared_cache``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.responses import Response

from lostark_api.http.language import negotiate
from lostark_api.http.metrics import UNMATCHED, Metrics
from lostark_api.http.problems import problem
from lostark_api.http.responses import VERSION_HEADER
from lostark_api.http.shared_cache import SharedCache

HOT_BYTES = 64 * 1024 * 1024
STREAMED = "/v1/battle-logs"
"""Its body goes to the disk while it comes; the route has limits of its own."""
KEPT_UNDER = (
    "/v1/",
    "/gates",
    "/fights",
    "/characters",
    "/compare",
    "/model",
    "/status",
    "/charts/",
    "/static/",
)
KEPT = ("/",)
NEVER_KEPT = ("/v1/export/", "/v1/expected-dps", "/v1/battle-logs")
_VERSION = VERSION_HEADER.lower().encode()
_OVERHEAD = 512
MAX_BODY_BYTES = 1024 * 1024
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (
        b"content-security-policy",
        (
            b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
            b"img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
    ),
    (b"cross-origin-resource-policy", b"cross-origin"),
)
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
_Key = tuple[str, bytes, str]
"""Path, query string, language."""
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Kept(msgspec.Struct, frozen=True):
    """A finished answer. ``version``: the publish that it came from; None: it may not be kept."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    route: str
    version: int | None


@dataclass
class _Hot:
    """A kept answer and the messages that send it."""

    kept: Kept
    etag: bytes
    start: dict[str, Any]
    body: dict[str, Any]
    not_modified: dict[str, Any]
    counters: tuple[Any, Any]


_EMPTY = {"type": "http.response.body", "body": b""}
_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Kept).decode


@dataclass
class CachedApp:
    """``app`` behind the cache, with security headers and metrics around every answer.

    ``version`` is the newest publish that is known; ``forget`` is called when another one is seen.
    """

    app: App
    metrics: Metrics
    code: str
    shared: SharedCache | None = None
    version: int = -1
    _hot: dict[_Key, _Hot] = field(default_factory=dict)
    _bytes: int = 0
    _computing: dict[_Key, asyncio.Future[tuple[Kept, str]]] = field(default_factory=dict)

    def saw(self, version: int) -> None:
        """Forget everything if ``version`` is another publish than the last."""
        if version != self.version:
            self.version = version
            self._hot.clear()
            self._bytes = 0
            self.metrics.cache_bytes.set(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        if method not in ("GET", "HEAD") or not _may_be_kept(path):
            await self._pass_on(scope, receive, send)
            return
        accept, wanted = b"", None
        for name, value in scope["headers"]:
            if name == b"accept-language":
                accept = value
            elif name == b"if-none-match":
                wanted = value
        key = (path, scope["query_string"], negotiate(accept.decode("latin-1")))
        hot, outcome = self._hot.get(key), 0
        if hot is None:
            hot, outcome = await self._fill(key, scope, receive), 1
        if wanted is not None and hot.kept.status == 200 and _matches(wanted, hot.etag):
            hot.counters[outcome].inc()
            await send(hot.not_modified)
            await send(_EMPTY)
            return
        hot.counters[outcome].inc()
        await send(hot.start)
        await send(hot.body if method == "GET" else _EMPTY)

    async def _fill(self, key: _Key, scope: Scope, receive: Receive) -> _Hot:
        """Have the answer made once, however many ask for it now, and keep it if it may be kept."""
        running = self._computing.get(key)
        if running is None:
            running = asyncio.ensure_future(self._obtain(key, {**scope, "method": "GET"}, receive))
            self._computing[key] = running
            running.add_done_callback(lambda _: self._computing.pop(key, None))
        # A client that leaves must not take the answer from those who wait with it.
        kept, outcome = await asyncio.shield(running)
        hot = self._prepared(kept, outcome)
        if kept.version is not None and kept.status == 200:
            if kept.version > self.version:
                self.saw(kept.version)
            if kept.version == self.version and key not in self._hot:
                self._keep(key, hot)
        return hot

    async def _obtain(self, key: _Key, scope: Scope, receive: Receive) -> tuple[Kept, str]:
        made: list[Kept] = []

        async def compute() -> bytes | None:
            started = time.perf_counter()
            kept = await _recorded(self.app, scope, receive)
            self.metrics.timed(kept.route, time.perf_counter() - started)
            made.append(kept)
            is_fit = kept.status == 200 and kept.version == self.version
            return _encode(kept) if is_fit else None

        if self.shared is None:
            await compute()
            return made[0], "computed"
        path, query, language = key
        pairs = sorted(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
        name = f"lostark:{self.code}:{self.version}:{language}:{path}?{urlencode(pairs)}"
        body, was_there = await self.shared.get_or_compute(name, compute)
        if was_there and body is not None:
            try:
                return _decode(body), "shared"
            except msgspec.MsgspecError:
                await compute()
        return made[0], "computed"

    def _prepared(self, kept: Kept, outcome: str) -> _Hot:
        headers = [*kept.headers, *SECURITY_HEADERS]
        etag = next((value for name, value in headers if name == b"etag"), b"")
        slim = [(n, v) for n, v in headers if n not in (b"content-length", b"content-type")]
        is_kept = kept.version is not None and kept.status == 200
        later = self.metrics.get_counter(kept.route, "GET", kept.status, "hot")
        first = self.metrics.get_counter(kept.route, "GET", kept.status, outcome if is_kept else "none")
        return _Hot(
            kept,
            etag,
            {"type": "http.response.start", "status": kept.status, "headers": headers},
            {"type": "http.response.body", "body": kept.body},
            {"type": "http.response.start", "status": 304, "headers": slim},
            (later, first),
        )

    def _keep(self, key: _Key, hot: _Hot) -> None:
        self._hot[key] = hot
        self._bytes += _size(key, hot)
        while self._bytes > HOT_BYTES:
            oldest = next(iter(self._hot))
            self._bytes -= _size(oldest, self._hot.pop(oldest))
        self.metrics.cache_bytes.set(self._bytes)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and (refusal := _refused_body(scope)):
            await refusal(scope, receive, send)
            self.metrics.get_counter(UNMATCHED, scope["method"], refusal.status_code, "none").inc()
            return
        started, status = time.perf_counter(), 500

        async def guarded(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", []), *SECURITY_HEADERS]}
            await send(message)

        try:
            await self.app(scope, receive, guarded)
        finally:
            route = _get_route(scope)
            self.metrics.get_counter(route, scope["method"], status, "none").inc()
            self.metrics.timed(route, time.perf_counter() - started)


def _refused_body(scope: Scope) -> Response | None:
    """Why a request's body is not even read."""
    if scope["path"] == STREAMED:
        return None
    length = next((value for name, value in scope["headers"] if name == b"content-length"), None)
    is_chunked = any(name == b"transfer-encoding" for name, _ in scope["headers"])
    if is_chunked or (length is not None and not length.isdigit()):
        return problem(411, "Content-Length: expected the size of the body, found none. Nothing was read.")
    if length is not None and int(length) > MAX_BODY_BYTES:
        return problem(413, f"The body: expected at most {MAX_BODY_BYTES:,} bytes. Nothing was read.")
    return None


def _may_be_kept(path: str) -> bool:
    return (path in KEPT or path.startswith(KEPT_UNDER)) and not path.startswith(NEVER_KEPT)


def _matches(wanted: bytes, etag: bytes) -> bool:
    return wanted in (etag, b"*") or etag in [t.strip().removeprefix(b"W/") for t in wanted.split(b",")]


def _size(key: _Key, hot: _Hot) -> int:
    return len(hot.kept.body) + len(key[0]) + len(key[1]) + _OVERHEAD


def _get_route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", UNMATCHED)


async def _recorded(app: App, scope: Scope, receive: Receive) -> Kept:
    """The whole answer of ``app``, in memory."""
    status, headers, parts = 500, [], []

    async def record(message: dict[str, Any]) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], [(bytes(n), bytes(v)) for n, v in message["headers"]]
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, record)
    version = next((int(value) for name, value in headers if name == _VERSION), None)
    return Kept(status, headers, b"".join(parts), _get_route(scope), version)
