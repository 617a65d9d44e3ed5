"""Responses that several API processes share, in Redis. A dead Redis costs speed, never a response."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.exceptions import LockError, RedisError

from lostark_assets.observability.logs import get_logger

TTL_S = 3600
_TIMEOUT_S = 0.25
_BACKOFF_S = 5.0
_LOCK_TTL_S = 10.0
_POLL_EVERY_S = 0.05
_ERRORS = (RedisError, OSError, TimeoutError, asyncio.TimeoutError)
T = TypeVar("T")
log = get_logger()


class SharedCache:
    """Bytes by key. While Redis fails it is empty, and retried every five seconds."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
        self._retry_at = 0.0

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def get_or_compute(
        self, key: str, compute: Callable[[], Awaitable[bytes | None]]
    ) -> tuple[bytes | None, bool]:
        """The bytes cached under ``key``, or computed by one of all processes; and whether they were cached.

        ``compute`` returns None for a response that must not be cached.
        """
        found = await self._try(lambda: self._get(key))
        if found is not None:
            return found, True
        lock = self._redis.lock(f"{key}:lock", timeout=_LOCK_TTL_S, blocking=False, thread_local=False)
        is_ours = await self._try(lock.acquire)
        if is_ours is False:
            found = await self._wait_for(key)
            if found is not None:
                return found, True
        try:
            body = await compute()
            if body is not None:
                await self._try(lambda: self._redis.set(key, body, ex=TTL_S))
        finally:
            if is_ours:
                await self._try(lambda: _release(lock))
        return body, False

    async def _get(self, key: str) -> bytes | None:
        found = await self._redis.get(key)
        return found if isinstance(found, bytes) else None

    async def _wait_for(self, key: str) -> bytes | None:
        until = time.monotonic() + _LOCK_TTL_S / 2
        while time.monotonic() < until:
            await asyncio.sleep(_POLL_EVERY_S)
            found = await self._try(lambda: self._get(key))
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


async def _release(lock: Lock) -> None:
    # A computation can take longer than its lock lives.
    with contextlib.suppress(LockError):
        await lock.release()
