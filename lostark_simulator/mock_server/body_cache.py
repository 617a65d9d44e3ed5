"""Encoded bodies that were asked for lately, as many as fit into a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock


class BodyCache:
    """Forgets the body that was asked for longest ago first. Safe to use from several threads."""

    def __init__(self, max_bytes: int) -> None:
        """``max_bytes`` of all bodies together; the newest one stays, whatever its size."""
        self._max_bytes = max_bytes
        self._bytes = 0
        self._bodies: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> bytes | None:
        """The body, if it is still here."""
        with self._lock:
            body = self._bodies.get(key)
            if body is not None:
                self._bodies.move_to_end(key)
            return body

    def put(self, key: Hashable, body: bytes) -> None:
        """Keep a body."""
        with self._lock:
            self._bytes += len(body) - len(self._bodies.pop(key, b""))
            self._bodies[key] = body
            while self._bytes > self._max_bytes and len(self._bodies) > 1:
                self._bytes -= len(self._bodies.popitem(last=False)[1])
