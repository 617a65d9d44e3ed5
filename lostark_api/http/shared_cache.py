"""Responses that several API processes share, in Redis. A dead Redis costs speed, never a response."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

from cashews import Cache
from cashews.exceptions import CacheError
from redis.exceptions import RedisError

from lostark_assets.observability.logs import get_logger

TTL_S = 3600
_TIMEOUT_S = 0.25
_BACKOFF_S = 5.0
_LOCK_TTL_S = 10.0
_POLL_EVERY_S = 0.05
_ERRORS = (CacheError, RedisError, OSError, TimeoutError, asyncio.TimeoutError)
T = TypeVar("T")
log = get_logger()


class SharedCache:
    """Bytes by key. While Redis fails it is empty, and retried every five seconds."""

    def __init__(self, url: str) -> None:
        self._cache = Cache()
        # pickle_type null: bytes stay bytes, and what lies in Redis never runs.
        self._cache.setup(
            url,
            suppress=False,
            pickle_type="null",
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
        )
        self._retry_at = 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self._cache.close()

    async def get_or_compute(
        self, key: str, compute: Callable[[], Awaitable[bytes | None]]
    ) -> tuple[bytes | None, bool]:
        """The bytes cached under ``key``, or computed by one of all processes; and whether they were cached.

        ``compute`` returns None for a response that must not be cached.
        """
        found = await self._try(lambda: self._cache.get(key))
        if found is not None:
            return found, True
        token = uuid.uuid4().hex
        lock = f"{key}:lock"
        is_ours = await self._try(lambda: self._cache.set_lock(lock, token, _LOCK_TTL_S))
        if is_ours is False:
            found = await self._wait_for(key)
            if found is not None:
                return found, True
        try:
            body = await compute()
            if body is not None:
                await self._try(lambda: self._cache.set(key, body, expire=TTL_S))
        finally:
            if is_ours:
                await self._try(lambda: self._cache.unlock(lock, token))
        return body, False

    async def _wait_for(self, key: str) -> bytes | None:
        until = time.monotonic() + _LOCK_TTL_S / 2
        while time.monotonic() < until:
            await asyncio.sleep(_POLL_EVERY_S)
            found = await self._try(lambda: self._cache.get(key))
            if found is not None or time.monotonic() < self._retry_at:
                return found
        return None

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T | None:
        if time.monotonic() < self._retry_at:
            return None
        try:
            return await asyncio.wait_for(call(), _TIMEOUT_S)
        except _ERRORS as error:
            self._retry_at = time.monotonic() + _BACKOFF_S
            log.warning(
                "redis_unavailable", error=f"{type(error).__name__}: {error}", retry_after_s=_BACKOFF_S
            )
            return None
