"""LRU cache of encoded bodies, limited by size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock


class BodyCache:
    """Evicts the least recently used body first. Thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        """``max_bytes`` limits all bodies together; the newest one stays, whatever its size."""
        self._max_bytes = max_bytes
        self._bytes = 0
        self._bodies: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> bytes | None:
        """The body, if it is cached."""
        with self._lock:
            body = self._bodies.get(key)
            if body is not None:
                self._bodies.move_to_end(key)
            return body

    def put(self, key: Hashable, body: bytes) -> None:
        """Cache a body."""
        with self._lock:
            self._bytes += len(body) - len(self._bodies.pop(key, b""))
            self._bodies[key] = body
            while self._bytes > self._max_bytes and len(self._bodies) > 1:
                self._bytes -= len(self._bodies.popitem(last=False)[1])
