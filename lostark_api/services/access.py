"""Who may do what: keys of requests, their scopes, and how much each may ask in a minute.

Reading what is published is public and never comes here. A key's row is kept for ten seconds, so that a busy
key costs no query a request and a revoked one is out soon. Limits are counted in this process: with several
API processes a key has its limit in each. What does not belong here: making keys (``keys``).
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

OPEN = "everybody"
"""Who sends without a key."""
_FRESH_S = 10.0
_NOTE_USE_EVERY_S = 60.0
_MAX_KNOWN = 4096
_MAX_KEY = 200
_PATIENCE_S = 3.0
_LOOK_UP = (
    "SELECT name, scopes, requests_per_minute FROM access.keys WHERE key_sha256 = %s AND revoked_at IS NULL"
)
_USED = "UPDATE access.keys SET last_used_at = now() WHERE name = %s"
Clock = Callable[[], float]


@dataclass(frozen=True)
class Caller:
    """Who asks: the name of a key, or everybody."""

    name: str
    scopes: frozenset[str]
    requests_per_minute: int


@dataclass
class Allowance:
    """As many requests a minute as ``per_minute``, all at once or spread; refilled steadily."""

    per_minute: int
    left: float
    at: float

    def wait_s(self, now: float) -> float:
        """Take one; seconds to wait where none is left, and nothing is taken."""
        self.left = min(self.per_minute, self.left + (now - self.at) * self.per_minute / 60)
        self.at = now
        if self.left >= 1:
            self.left -= 1
            return 0.0
        return (1 - self.left) * 60 / self.per_minute


@dataclass
class Access:
    """The door of the API; ``url`` of the database that holds the keys."""

    url: str
    settings: Settings
    clock: Clock = time.monotonic
    _known: dict[bytes, tuple[float, Caller | None]] = field(default_factory=dict, repr=False)
    _allowances: dict[str, Allowance] = field(default_factory=dict, repr=False)
    _noted: dict[str, float] = field(default_factory=dict, repr=False)
    _pool: AsyncConnectionPool[Any] | None = field(default=None, repr=False)

    async def open(self) -> None:
        """Begin to connect when the first key comes."""
        self._pool = AsyncConnectionPool(
            libpq_url(self.url),
            min_size=0,
            max_size=2,
            timeout=_PATIENCE_S,
            open=False,
            kwargs={"autocommit": True, "connect_timeout": 3, "options": "-c statement_timeout=5000"},
        )
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Let go of the connections."""
        if self._pool is not None:
            await self._pool.close()

    @property
    def is_open(self) -> bool:
        """Whether battle logs may be sent without a key."""
        wanted = self.settings.open_uploads
        return _is_this_machine(self.settings.api_host) if wanted is None else wanted

    async def allow(self, request: Request, scope: str) -> Caller:
        """The caller, if it may do what ``scope`` stands for.

        Raises:
            HTTPException: 401 without a key or with a wrong one, 403 without the scope or from another site's
                page, 429 above the limit.
            DatabaseUnavailable: it can't be told now.
        """
        key = _read_key(request)
        if key is not None:
            caller = await self._caller(key)
            if caller is None:
                raise _denied(HTTPStatus.UNAUTHORIZED, "The key is wrong or was revoked.")
            if scope not in caller.scopes:
                raise _denied(HTTPStatus.FORBIDDEN, f"The key lacks the scope {scope}.")
        elif scope == UPLOAD and self.is_open:
            self._refuse_other_sites(request)
            caller = Caller(OPEN, frozenset({UPLOAD}), self.settings.uploads_per_minute)
        else:
            raise _denied(
                HTTPStatus.UNAUTHORIZED,
                f"Expected `Authorization: Bearer KEY` with a key of scope {scope}, found none. "
                "Whoever runs this platform makes keys with `lostark key create`.",
            )
        wait_s = self._take(caller)
        if wait_s:
            raise HTTPException(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"More than {caller.requests_per_minute} requests in a minute. Wait as Retry-After says.",
                {"Retry-After": str(int(wait_s) + 1)},
            )
        return caller

    def _take(self, caller: Caller) -> float:
        now, most = self.clock(), caller.requests_per_minute
        allowance = self._allowances.get(caller.name)
        if allowance is None or allowance.per_minute != most:
            allowance = self._allowances[caller.name] = Allowance(most, most, now)
        return allowance.wait_s(now)

    async def _caller(self, key: str) -> Caller | None:
        digest, now = hash_key(key), self.clock()
        at, caller = self._known.get(digest, (-_FRESH_S, None))
        if now - at >= _FRESH_S:
            caller = await self._look_up(digest)
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[digest] = (now, caller)
        if caller is not None and now - self._noted.get(caller.name, -_NOTE_USE_EVERY_S) >= _NOTE_USE_EVERY_S:
            self._noted[caller.name] = now
            await self._ask(_USED, caller.name)
        return caller

    async def _look_up(self, digest: bytes) -> Caller | None:
        rows = await self._ask(_LOOK_UP, digest)
        return Caller(rows[0][0], frozenset(rows[0][1]), rows[0][2]) if rows else None

    async def _ask(self, question: str, value: object) -> list[Any]:
        assert self._pool is not None
        try:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(question, [value])
                return await cursor.fetchall() if cursor.description else []
        except (psycopg.Error, PoolTimeout) as error:
            raise DatabaseUnavailable(
                f"Keys can't be checked: {type(error).__name__}. Nothing was done."
            ) from error

    def _refuse_other_sites(self, request: Request) -> None:
        """A page of another site must not send in the name of whoever looks at it.

        Only browsers send Origin. Where uploads are open because only this machine listens, the name that
        was asked for must be this machine's too: a stranger's name may have been made to lead here.
        """
        host = request.headers.get("host", "")
        origin = request.headers.get("origin")
        is_foreign = origin is not None and urlsplit(origin).netloc != host
        is_rebound = (
            origin is not None
            and self.settings.open_uploads is None
            and not _is_this_machine(urlsplit(f"//{host}").hostname or "")
        )
        if is_foreign or is_rebound:
            raise _denied(HTTPStatus.FORBIDDEN, "The page that sends this belongs to another site.")


def _read_key(request: Request) -> str | None:
    header = request.headers.get("authorization")
    if header is None:
        return None
    kind, _, key = header.partition(" ")
    # Too long for a key of ours: not even hashed.
    return key.strip()[:_MAX_KEY] if kind.lower() == "bearer" else ""


def _denied(status: HTTPStatus, detail: str) -> HTTPException:
    challenge = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return HTTPException(status, detail, challenge)


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
