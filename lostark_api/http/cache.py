"""The response cache, in front of FastAPI: a cached response is sent before any framework code runs.

Whole responses (status, headers, body) are cached by path, query and language for the publish that they come
from; a new publish invalidates all of them at once. Equal concurrent requests are computed once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lostark_api.http.language import negotiate
from lostark_api.http.metrics import ROUTE, UNMATCHED, Metrics, get_route
from lostark_api.http.problems import problem_response
from lostark_api.http.responses import VERSION_HEADER
from lostark_api.http.shared_cache import SharedCache

HOT_BYTES = 64 * 1024 * 1024
STREAMED = "/v1/battle-logs"
"""Its body is streamed to the disk; the route has limits of its own."""
CACHED_PREFIXES = (
    "/v1/",
    "/gates",
    "/fights",
    "/characters",
    "/compare",
    "/model",
    "/charts/",
    "/static/",
)
CACHED_PATHS = ("/",)
NEVER_CACHED = ("/v1/export/", "/v1/expected-dps", "/v1/battle-logs", "/v1/status")
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
_Key = tuple[str, bytes, str]
"""Path, query string, language."""


class StoredResponse(msgspec.Struct, frozen=True):
    """A complete response. ``version``: the publish that it comes from; None: it must not be cached."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    route: str
    version: int | None


@dataclass
class _Hot:
    """A cached response and the ASGI messages that send it."""

    stored: StoredResponse
    etag: bytes
    start: dict[str, Any]
    body: dict[str, Any]
    not_modified: dict[str, Any]
    counters: tuple[Any, Any]


_EMPTY = {"type": "http.response.body", "body": b""}
_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(StoredResponse).decode


@dataclass
class ResponseCache:
    """Middleware around ``app``: the cache, security headers and metrics; ``version``: the known publish."""

    app: ASGIApp
    metrics: Metrics
    code: str
    shared: SharedCache | None = None
    version: int = -1
    _hot: dict[_Key, _Hot] = field(default_factory=dict)
    _bytes: int = 0
    _computing: dict[_Key, asyncio.Future[tuple[StoredResponse, str]]] = field(default_factory=dict)

    def set_version(self, version: int) -> None:
        """Clear the cache if ``version`` is another publish than before."""
        if version != self.version:
            self.version = version
            self._hot.clear()
            self._bytes = 0
            self.metrics.cache_bytes.set(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        if method not in ("GET", "HEAD") or not _is_cacheable(path):
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
        scope[ROUTE] = hot.stored.route
        if wanted is not None and hot.stored.status == 200 and _matches(wanted, hot.etag):
            hot.counters[outcome].inc()
            await send(hot.not_modified)
            await send(_EMPTY)
            return
        hot.counters[outcome].inc()
        await send(hot.start)
        await send(hot.body if method == "GET" else _EMPTY)

    async def _fill(self, key: _Key, scope: Scope, receive: Receive) -> _Hot:
        """Compute the response once for all concurrent requests, and cache it if it may be cached."""
        running = self._computing.get(key)
        if running is None:
            running = asyncio.ensure_future(self._obtain(key, {**scope, "method": "GET"}, receive))
            self._computing[key] = running
            running.add_done_callback(lambda _: self._computing.pop(key, None))
        # A client that disconnects must not cancel the computation for the others.
        stored, outcome = await asyncio.shield(running)
        hot = self._prepare(stored, outcome)
        if stored.version is not None and stored.status == 200:
            if stored.version > self.version:
                self.set_version(stored.version)
            if stored.version == self.version and key not in self._hot:
                self._store(key, hot)
        return hot

    async def _obtain(self, key: _Key, scope: Scope, receive: Receive) -> tuple[StoredResponse, str]:
        computed: list[StoredResponse] = []

        async def compute() -> bytes | None:
            started = time.perf_counter()
            stored = await _record_response(self.app, scope, receive)
            self.metrics.observe(stored.route, time.perf_counter() - started)
            computed.append(stored)
            is_current = stored.status == 200 and stored.version == self.version
            return _encode(stored) if is_current else None

        if self.shared is None:
            await compute()
            return computed[0], "computed"
        path, query, language = key
        pairs = sorted(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
        name = f"lostark:{self.code}:{self.version}:{language}:{path}?{urlencode(pairs)}"
        body, is_shared = await self.shared.get_or_compute(name, compute)
        if is_shared and body is not None:
            try:
                return _decode(body), "shared"
            except msgspec.MsgspecError:
                await compute()
        return computed[0], "computed"

    def _prepare(self, stored: StoredResponse, outcome: str) -> _Hot:
        headers = [*stored.headers, *SECURITY_HEADERS]
        etag = next((value for name, value in headers if name == b"etag"), b"")
        slim = [(n, v) for n, v in headers if n not in (b"content-length", b"content-type")]
        is_cacheable = stored.version is not None and stored.status == 200
        later = self.metrics.get_counter(stored.route, "GET", stored.status, "hot")
        first = self.metrics.get_counter(
            stored.route, "GET", stored.status, outcome if is_cacheable else "none"
        )
        return _Hot(
            stored,
            etag,
            {"type": "http.response.start", "status": stored.status, "headers": headers},
            {"type": "http.response.body", "body": stored.body},
            {"type": "http.response.start", "status": 304, "headers": slim},
            (later, first),
        )

    def _store(self, key: _Key, hot: _Hot) -> None:
        self._hot[key] = hot
        self._bytes += _size(key, hot)
        while self._bytes > HOT_BYTES:
            oldest = next(iter(self._hot))
            self._bytes -= _size(oldest, self._hot.pop(oldest))
        self.metrics.cache_bytes.set(self._bytes)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and (refusal := _check_body(scope)):
            await refusal(scope, receive, send)
            self.metrics.get_counter(UNMATCHED, scope["method"], refusal.status_code, "none").inc()
            return
        started, status = time.perf_counter(), 500

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _secure(message.get("headers", []))}
            await send(message)

        try:
            await self.app(scope, receive, guarded)
        finally:
            route = get_route(scope)
            self.metrics.get_counter(route, scope["method"], status, "none").inc()
            self.metrics.observe(route, time.perf_counter() - started)


def _check_body(scope: Scope) -> Response | None:
    """The refusal of a body that will not be read."""
    if scope["path"] == STREAMED:
        return None
    length = next((value for name, value in scope["headers"] if name == b"content-length"), None)
    is_chunked = any(name == b"transfer-encoding" for name, _ in scope["headers"])
    if is_chunked or (length is not None and not length.isdigit()):
        return problem_response(
            411, "Content-Length: expected the size of the body, found none. Nothing was read."
        )
    if length is not None and int(length) > MAX_BODY_BYTES:
        return problem_response(
            413, f"The body exceeds the size limit of {MAX_BODY_BYTES:,} bytes. Nothing was read."
        )
    return None


def _secure(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """``headers`` and those of SECURITY_HEADERS that the route did not set itself."""
    headers = list(headers)
    own = {name for name, _ in headers}
    return [*headers, *(header for header in SECURITY_HEADERS if header[0] not in own)]


def _is_cacheable(path: str) -> bool:
    return (path in CACHED_PATHS or path.startswith(CACHED_PREFIXES)) and not path.startswith(NEVER_CACHED)


def _matches(wanted: bytes, etag: bytes) -> bool:
    return wanted in (etag, b"*") or etag in [t.strip().removeprefix(b"W/") for t in wanted.split(b",")]


def _size(key: _Key, hot: _Hot) -> int:
    return len(hot.stored.body) + len(key[0]) + len(key[1]) + _OVERHEAD


async def _record_response(app: ASGIApp, scope: Scope, receive: Receive) -> StoredResponse:
    """The whole response of ``app``, in memory."""
    status, headers, parts = 500, [], []

    async def record(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], [(bytes(n), bytes(v)) for n, v in message["headers"]]
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, record)
    version = next((int(value) for name, value in headers if name == _VERSION), None)
    return StoredResponse(status, headers, b"".join(parts), get_route(scope), version)
