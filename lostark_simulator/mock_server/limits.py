"""Request limits as the two real services count them. Times are epoch seconds, given by the caller."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """Whether a request is allowed; ``remaining`` of the limit, ``reset_at_s`` when the window ends."""

    is_allowed: bool
    remaining: int
    reset_at_s: float


class RenewedWindow:
    """Fixed window: at most ``limit`` requests of a key in a window that starts with its first request."""

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit, self._window_s = limit, window_s
        self._windows: dict[str, tuple[float, int]] = {}

    def count(self, key: str, now_s: float) -> Verdict:
        """Count a request; a refused one counts too."""
        began_s, used = self._windows.get(key, (now_s, 0))
        if now_s >= began_s + self._window_s:
            began_s, used = now_s, 0
        self._windows[key] = (began_s, used + 1)
        return Verdict(used < self.limit, max(self.limit - used - 1, 0), began_s + self._window_s)


class SlidingWindow:
    """Sliding window: at most ``limit`` allowed requests of a key within any ``window_s``."""

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit, self._window_s = limit, window_s
        self._times: dict[str, deque[float]] = {}

    def count(self, key: str, now_s: float) -> Verdict:
        """Count a request; a refused one does not count."""
        times = self._times.setdefault(key, deque())
        while times and times[0] <= now_s - self._window_s:
            times.popleft()
        reset_at_s = (times[0] if times else now_s) + self._window_s
        if len(times) >= self.limit:
            return Verdict(is_allowed=False, remaining=0, reset_at_s=reset_at_s)
        times.append(now_s)
        return Verdict(is_allowed=True, remaining=self.limit - len(times), reset_at_s=reset_at_s)
