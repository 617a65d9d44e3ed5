"""The API's Prometheus metrics. Label sets are closed: route templates, methods, status classes."""

from __future__ import annotations

from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

ROUTE = "lostark.route"
"""Key of an ASGI scope: the route template of a response that is sent without the framework's routing."""
METHODS = ("GET", "HEAD", "POST", "OPTIONS")
UNMATCHED = "unmatched"
_MAX_BUFFERED = 512
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def get_route(scope: MutableMapping[str, Any]) -> str:
    """The template of the route that served a request."""
    found: str = scope[ROUTE] if ROUTE in scope else getattr(scope.get("route"), "path", UNMATCHED)
    return found


class ResponseTally:
    """Responses of one kind, buffered and passed to Prometheus' own objects many at a time.

    One at a time they cost three microseconds a response, in batches one.
    """

    def __init__(self, counter: Counter, timer: Histogram) -> None:
        self._counter, self._timer = counter, timer
        self._buffered_s: list[float] = []

    def record(self, seconds: float) -> None:
        """Record one response and its duration."""
        self._buffered_s.append(seconds)
        if len(self._buffered_s) >= _MAX_BUFFERED:
            self.flush()

    def flush(self) -> None:
        """Pass the buffered responses to Prometheus."""
        buffered_s, self._buffered_s = self._buffered_s, []
        self._counter.inc(len(buffered_s))
        for seconds in buffered_s:
            self._timer.observe(seconds)


class Metrics:
    """The metrics of one app, on a collector registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "lostark_api_requests",
            "Requests by route template, method, status class and source of the response.",
            ["route", "method", "status_class", "cache"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "lostark_api_request_seconds",
            "From the request's head to the response's last byte; cached responses are counted, not timed.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.cache_bytes = Gauge(
            "lostark_api_cache_bytes", "Bytes of responses cached in this process.", registry=self.registry
        )
        self.publish_version = Gauge(
            "lostark_api_publish_version", "The publish that is served.", registry=self.registry
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
        self._tallies: list[ResponseTally] = []

    def _make_counter(self, route: str, method: str, status: int, cache: str) -> Counter:
        name = method if method in METHODS else "other"
        return self._requests.labels(route, name, f"{status // 100}xx", cache)

    def get_timer(self, route: str) -> Histogram:
        """The histogram of a route's durations [s]."""
        return self._seconds.labels(route)

    def get_tally(self, route: str, method: str, status: int, cache: str) -> ResponseTally:
        """A new tally of such responses."""
        self._tallies.append(
            ResponseTally(self.get_counter(route, method, status, cache), self.get_timer(route))
        )
        return self._tallies[-1]

    def observe(self, route: str, seconds: float) -> None:
        """Record the duration of a computed response."""
        self.get_timer(route).observe(seconds)

    def set_model(self, version: int | None) -> None:
        """Record which champion serves; None: none does."""
        self.model.clear()
        if version is not None:
            self.model.labels(str(version)).set(1)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        for tally in self._tallies:
            tally.flush()
        return generate_latest(self.registry)
