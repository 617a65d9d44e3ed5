"""What the API tells Prometheus. Labels are closed: route templates, methods, classes of status, outcomes.

What does not belong here: when something is counted (``cache``).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

METHODS = ("GET", "HEAD", "POST", "OPTIONS")
OUTCOMES = ("hot", "shared", "computed", "none")
"""Where an answer came from: this process, Redis, a computation; none: an answer that is never kept."""
UNMATCHED = "unmatched"
_MAX_RECORDED = 512
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Tally:
    """Answers of one kind: noted while others wait, and handed to Prometheus' own objects many in a row.

    One by one these cost three microseconds an answer, in a row one.
    """

    def __init__(self, counter: Any, timer: Any) -> None:
        self._counter, self._timer = counter, timer
        self._noted_s: list[float] = []

    def note(self, seconds: float) -> None:
        """One more answer, that took so long."""
        self._noted_s.append(seconds)
        if len(self._noted_s) >= _MAX_RECORDED:
            self.hand_over()

    def hand_over(self) -> None:
        """Let Prometheus know of all that were noted."""
        noted_s, self._noted_s = self._noted_s, []
        self._counter.inc(len(noted_s))
        for seconds in noted_s:
            self._timer.observe(seconds)


class Metrics:
    """The metrics of one app, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "lostark_api_requests",
            "Requests by route template, method, class of status and where the answer came from.",
            ["route", "method", "status_class", "cache"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "lostark_api_request_seconds",
            "From the request's head to the answer's last byte; kept answers are counted, not timed.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.cache_bytes = Gauge(
            "lostark_api_cache_bytes", "Bytes of answers kept in this process.", registry=self.registry
        )
        self.publish_version = Gauge(
            "lostark_api_publish_version", "Publish that answers come from.", registry=self.registry
        )
        self.published_at = Gauge(
            "lostark_api_published_timestamp_seconds", "When it was published.", registry=self.registry
        )
        self.model = Gauge(
            "lostark_api_model_loaded",
            "1 for the version of the champion that serves.",
            ["version"],
            registry=self.registry,
        )
        self.model_failures = Counter(
            "lostark_api_model_load_failures", "Champions that could not be loaded.", registry=self.registry
        )
        self.get_counter = lru_cache(maxsize=4096)(self._make_counter)
        self._tallies: list[Tally] = []

    def _make_counter(self, route: str, method: str, status: int, cache: str) -> Any:
        """The counter of such requests; cheap to ask again."""
        name = method if method in METHODS else "other"
        return self._requests.labels(route, name, f"{status // 100}xx", cache)

    def get_timer(self, route: str) -> Any:
        """What observes how long such answers take [s]."""
        return self._seconds.labels(route)

    def get_tally(self, route: str, method: str, status: int, cache: str) -> Tally:
        """What notes such answers."""
        self._tallies.append(Tally(self.get_counter(route, method, status, cache), self.get_timer(route)))
        return self._tallies[-1]

    def timed(self, route: str, seconds: float) -> None:
        """Note how long a computed answer took."""
        self.get_timer(route).observe(seconds)

    def serves_model(self, version: int | None) -> None:
        """Note which champion serves; None: no one."""
        self.model.clear()
        if version is not None:
            self.model.labels(str(version)).set(1)

    def page(self) -> bytes:
        """All of it, as Prometheus reads it."""
        for tally in self._tallies:
            tally.hand_over()
        return generate_latest(self.registry)
