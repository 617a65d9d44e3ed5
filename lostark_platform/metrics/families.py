"""Building metric families from values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

Item = TypeVar("Item")
Values = Mapping[Any, float]
"""Sample values by their tuple of label values."""


def gauge(name: str, description: str, labels: Sequence[str], values: Values) -> GaugeMetricFamily:
    """A gauge with one sample per tuple of label values."""
    family = GaugeMetricFamily(name, description, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def single(name: str, description: str, value: float | datetime | None) -> GaugeMetricFamily:
    """A gauge without labels; no sample where the value is not known."""
    family = GaugeMetricFamily(name, description)
    if value is not None:
        family.add_metric((), value.timestamp() if isinstance(value, datetime) else value)
    return family


def counter(name: str, description: str, labels: Sequence[str], values: Values) -> CounterMetricFamily:
    """A counter with one sample per tuple of label values; ``_total`` is added to its name."""
    family = CounterMetricFamily(name, description, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def gauges(
    prefix: str,
    labels: Sequence[str],
    described: Mapping[str, tuple[str, Callable[[Item], float]]],
    items: Mapping[Any, Item],
) -> Iterator[GaugeMetricFamily]:
    """One gauge per figure of ``items``, which stand by their tuple of label values.

    ``described``: what follows ``prefix`` in its name, to its description and how an item gives it.
    """
    for name, (description, get) in described.items():
        yield gauge(f"{prefix}{name}", description, labels, {key: get(item) for key, item in items.items()})


class Durations:
    """Durations [s] by label values, as a histogram."""

    def __init__(self, buckets_s: Sequence[float]) -> None:
        self._buckets_s = (*buckets_s, float("inf"))
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def observe(self, key: tuple[str, ...], seconds: float) -> None:
        """Add one duration."""
        counts = self._counts.setdefault(key, [0] * len(self._buckets_s))
        for index, upper in enumerate(self._buckets_s):
            counts[index] += seconds <= upper
        self._sums[key] = self._sums.get(key, 0.0) + seconds

    def family(self, name: str, description: str, labels: Sequence[str]) -> HistogramMetricFamily:
        """The histogram so far."""
        family = HistogramMetricFamily(name, description, labels=labels)
        for key, counts in self._counts.items():
            buckets = [
                (f"{upper:g}".replace("inf", "+Inf"), float(count))
                for upper, count in zip(self._buckets_s, counts, strict=True)
            ]
            family.add_metric(key, buckets=buckets, sum_value=self._sums[key])
        return family
