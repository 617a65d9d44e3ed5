"""The exporter: parts that are read in the background, and scrapes that answer from memory.

A part is read in a thread of its own, so that one that hangs delays neither the others nor a scrape. What a
part that fails said before is dropped: a figure that is no longer known must not look alive.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from lostark_assets.observability.logs import get_logger, redacted
from lostark_platform.metrics.families import counter, gauge

log = get_logger()


@dataclass(frozen=True)
class Part:
    """One group of metrics. ``read`` takes the time in epoch seconds and is called every ``every_s``."""

    name: str
    every_s: float
    read: Callable[[float], Iterable[Metric]]


class Exporter(Collector):
    """The newest metrics of ``parts``."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = tuple(parts)
        self._metrics: dict[str, tuple[Metric, ...]] = {}
        self._read_at: dict[str, float] = {}
        self._failures = {part.name: 0 for part in parts}
        self._finished = threading.Event()

    def refresh(self, part: Part, now: float) -> None:
        """Read ``part``; whatever it raises is logged and counted."""
        try:
            metrics = tuple(part.read(now))
        except Exception as error:  # noqa: BLE001 - the next reading may work, and the other parts go on
            self._metrics.pop(part.name, None)
            self._failures[part.name] += 1
            log.warning(
                "metrics_unreadable", part=part.name, error=redacted(f"{type(error).__name__}: {error}")
            )
        else:
            self._metrics[part.name] = metrics
            self._read_at[part.name] = now

    def start(self) -> None:
        """Read all parts from now on, each in a thread, until :meth:`stop`."""
        for part in self._parts:
            threading.Thread(target=self._follow, args=(part,), name=part.name, daemon=True).start()

    def stop(self) -> None:
        """Let the threads end after their current reading."""
        self._finished.set()

    def _follow(self, part: Part) -> None:
        while not self._finished.is_set():
            self.refresh(part, time.time())
            self._finished.wait(part.every_s)

    def collect(self) -> Iterator[Metric]:
        """All metrics, and how the exporter itself is."""
        for part in self._parts:
            yield from self._metrics.get(part.name, ())
        up = {(part.name,): float(part.name in self._metrics) for part in self._parts}
        yield gauge("lostark_exporter_part_up", "1 if the last reading of this part worked.", ["part"], up)
        yield gauge(
            "lostark_exporter_part_timestamp_seconds",
            "When this part was last read.",
            ["part"],
            {(name,): at for name, at in dict(self._read_at).items()},
        )
        yield counter(
            "lostark_exporter_part_failures",
            "Readings of this part that failed.",
            ["part"],
            {(name,): count for name, count in self._failures.items()},
        )


def serve(exporter: Exporter, host: str, port: int) -> None:
    """Answer scrapes at ``host:port`` in a background thread.

    Raises:
        OSError: the address can't be bound.
    """
    registry = CollectorRegistry()
    registry.register(exporter)
    start_http_server(port, host, registry)
