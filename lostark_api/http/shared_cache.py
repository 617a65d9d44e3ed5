"""Answers that several API processes share, in Redis. A dead Redis costs speed, never an answer.

What does not belong here: answers kept in the process (``cache``).
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable

from cashews import Cache
from cashews.exceptions import CacheError
from redis.exceptions import RedisError

from lostark_assets.observability.logs import get_logger

KEPT_S = 3600
_PATIENCE_S = 0.25
_REST_S = 5.0
_LOCKED_S = 10.0
_LOOK_AGAIN_S = 0.05
_TROUBLE = (CacheError, RedisError, OSError, TimeoutError, asyncio.TimeoutError)
log = get_logger()


class SharedCache:
    """Bytes by key; nothing while Redis fails, which is tried again every five seconds."""

    def __init__(self, url: str) -> None:
        self._cache = Cache()
        # pickle_type null: bytes stay bytes, and what lies in Redis never runs.
        self._cache.setup(
            url,
            suppress=False,
            pickle_type="null",
            socket_timeout=_PATIENCE_S,
            socket_connect_timeout=_PATIENCE_S,
        )
        self._rests_until = 0.0

    async def close(self) -> None:
        """Let go of the connections."""
        await self._cache.close()

    async def get_or_compute(
        self, key: str, compute: Callable[[], Awaitable[bytes | None]]
    ) -> tuple[bytes | None, bool]:
        """The bytes kept under ``key``, or computed by one of all processes; and whether they were there.

        None is what ``compute`` gives for an answer that may not be kept.
        """
        found = await self._try(lambda: self._cache.get(key))
        if found is not None:
            return found, True
        token = uuid.uuid4().hex
        lock = f"{key}:lock"
        is_ours = await self._try(lambda: self._cache.set_lock(lock, token, _LOCKED_S))
        if is_ours is False:
            found = await self._wait_for(key)
            if found is not None:
                return found, True
        try:
            body = await compute()
            if body is not None:
                await self._try(lambda: self._cache.set(key, body, expire=KEPT_S))
        finally:
            if is_ours:
                await self._try(lambda: self._cache.unlock(lock, token))
        return body, False

    async def _wait_for(self, key: str) -> bytes | None:
        until = time.monotonic() + _LOCKED_S / 2
        while time.monotonic() < until:
            await asyncio.sleep(_LOOK_AGAIN_S)
            found = await self._try(lambda: self._cache.get(key))
            if found is not None or time.monotonic() < self._rests_until:
                return found
        return None

    async def _try(self, call: Callable[[], Awaitable[bytes | bool | None]]) -> bytes | bool | None:  # type: ignore[return]
        if time.monotonic() < self._rests_until:
            return None
        try:
            return await asyncio.wait_for(call(), _PATIENCE_S)
        except _TROUBLE as error:
            self._rests_until = time.monotonic() + _REST_S
            log.warning("redis_unavailable", error=f"{type(error).__name__}: {error}", rests_s=_REST_S)
            return None
