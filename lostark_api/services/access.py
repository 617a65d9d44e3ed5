"""Authorization: API keys, their scopes and rate limits. Published data is public and needs no key.

A key's row is cached for ten seconds, so that a busy key does not cost a query per request and a revoked one
is refused soon. Rate limits are counted per process: with several API processes a key has its limit in each.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import psycopg
from fastapi import Request
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.exceptions import HTTPException

from lostark_api.services.keys import UPLOAD, hash_key
from lostark_assets.errors import DatabaseUnavailable
from lostark_assets.marts.migrate import libpq_url
from lostark_assets.settings import Settings

ANONYMOUS = "anonymous"
"""The name of callers without a key."""
_CACHE_TTL_S = 10.0
_RECORD_USE_EVERY_S = 60.0
_MAX_CACHED = 4096
_MAX_KEY_CHARS = 200
_TIMEOUT_S = 3.0
_FIND_KEY = (
    "SELECT name, scopes, requests_per_minute FROM access.keys WHERE key_sha256 = %s AND revoked_at IS NULL"
)
_RECORD_USE = "UPDATE access.keys SET last_used_at = now() WHERE name = %s"
Clock = Callable[[], float]


@dataclass(frozen=True)
class Caller:
    """The caller of a request: the name of its key, or ``ANONYMOUS``."""

    name: str
    scopes: frozenset[str]
    requests_per_minute: int


@dataclass
class TokenBucket:
    """A rate limit of ``per_minute`` requests, in bursts or spread; refilled continuously."""

    per_minute: int
    left: float
    at: float

    def take(self, now: float) -> float:
        """Take one token; if none is left, the seconds until the next."""
        self.left = min(self.per_minute, self.left + (now - self.at) * self.per_minute / 60)
        self.at = now
        if self.left >= 1:
            self.left -= 1
            return 0.0
        return (1 - self.left) * 60 / self.per_minute


@dataclass
class Access:
    """Authorizes requests; ``url`` is the database with the keys."""

    url: str
    settings: Settings
    clock: Clock = time.monotonic
    _callers: dict[bytes, tuple[float, Caller | None]] = field(default_factory=dict, repr=False)
    _buckets: dict[str, TokenBucket] = field(default_factory=dict, repr=False)
    _use_recorded: dict[str, float] = field(default_factory=dict, repr=False)
    _pool: AsyncConnectionPool[Any] | None = field(default=None, repr=False)

    async def open(self) -> None:
        """Open the pool; it connects with the first key."""
        self._pool = AsyncConnectionPool(
            libpq_url(self.url),
            min_size=0,
            max_size=2,
            timeout=_TIMEOUT_S,
            open=False,
            kwargs={"autocommit": True, "connect_timeout": 3, "options": "-c statement_timeout=5000"},
        )
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.close()

    @property
    def is_open(self) -> bool:
        """Whether uploads need no key."""
        wanted = self.settings.open_uploads
        return _is_loopback(self.settings.api_host) if wanted is None else wanted

    async def allow(self, request: Request, scope: str) -> Caller:
        """The caller, if it has ``scope``.

        Raises:
            HTTPException: 401 without a valid key, 403 without the scope or cross-site, 429 above the limit.
            DatabaseUnavailable: keys can't be checked.
        """
        key = _read_key(request)
        if key is not None:
            caller = await self._find_caller(key)
            if caller is None:
                raise _denied(HTTPStatus.UNAUTHORIZED, "Invalid API key, or it was revoked.")
            if scope not in caller.scopes:
                raise _denied(HTTPStatus.FORBIDDEN, f"The key lacks the scope {scope}.")
        elif scope == UPLOAD and self.is_open:
            self._refuse_other_sites(request)
            caller = Caller(ANONYMOUS, frozenset({UPLOAD}), self.settings.uploads_per_minute)
        else:
            raise _denied(
                HTTPStatus.UNAUTHORIZED,
                f"Expected `Authorization: Bearer KEY` with a key of scope {scope}, found none. "
                "The operator of this platform creates keys with `lostark key create`.",
            )
        wait_s = self._check_rate(caller)
        if wait_s:
            raise HTTPException(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"More than {caller.requests_per_minute} requests in a minute. Wait as Retry-After says.",
                {"Retry-After": str(int(wait_s) + 1)},
            )
        return caller

    def _check_rate(self, caller: Caller) -> float:
        now, most = self.clock(), caller.requests_per_minute
        bucket = self._buckets.get(caller.name)
        if bucket is None or bucket.per_minute != most:
            bucket = self._buckets[caller.name] = TokenBucket(most, most, now)
        return bucket.take(now)

    async def _find_caller(self, key: str) -> Caller | None:
        digest, now = hash_key(key), self.clock()
        at, caller = self._callers.get(digest, (-_CACHE_TTL_S, None))
        if now - at >= _CACHE_TTL_S:
            caller = await self._read_caller(digest)
            if len(self._callers) >= _MAX_CACHED:
                self._callers.clear()
            self._callers[digest] = (now, caller)
        last_s = self._use_recorded.get(caller.name, -_RECORD_USE_EVERY_S) if caller is not None else now
        if caller is not None and now - last_s >= _RECORD_USE_EVERY_S:
            self._use_recorded[caller.name] = now
            await self._execute(_RECORD_USE, caller.name)
        return caller

    async def _read_caller(self, digest: bytes) -> Caller | None:
        rows = await self._execute(_FIND_KEY, digest)
        return Caller(rows[0][0], frozenset(rows[0][1]), rows[0][2]) if rows else None

    async def _execute(self, query: str, value: object) -> list[Any]:
        assert self._pool is not None
        try:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(query, [value])
                return await cursor.fetchall() if cursor.description else []
        except (psycopg.Error, PoolTimeout) as error:
            raise DatabaseUnavailable(
                f"Keys can't be checked: {type(error).__name__}. Nothing was done."
            ) from error

    def _refuse_other_sites(self, request: Request) -> None:
        """Refuse cross-site requests, which would upload in the name of the page's visitor.

        Only browsers send Origin. Where uploads are open because only this machine listens, Host must name
        this machine too: DNS rebinding can point a foreign name here.
        """
        host = request.headers.get("host", "")
        origin = request.headers.get("origin")
        is_foreign = origin is not None and urlsplit(origin).netloc != host
        is_rebound = (
            origin is not None
            and self.settings.open_uploads is None
            and not _is_loopback(urlsplit(f"//{host}").hostname or "")
        )
        if is_foreign or is_rebound:
            raise _denied(HTTPStatus.FORBIDDEN, "Cross-site requests are not accepted.")


def _read_key(request: Request) -> str | None:
    header = request.headers.get("authorization")
    if header is None:
        return None
    kind, _, key = header.partition(" ")
    # Longer than any key: not worth hashing as a whole.
    return key.strip()[:_MAX_KEY_CHARS] if kind.lower() == "bearer" else ""


def _denied(status: HTTPStatus, detail: str) -> HTTPException:
    challenge = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return HTTPException(status, detail, challenge)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
