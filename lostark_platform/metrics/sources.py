"""Metrics of collecting: what the ledger records, circuits, request budgets, and the backlog."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from prometheus_client.core import Metric

from lostark_assets.automation.backlog import read_backlog
from lostark_assets.gateway.budget import Budget, count_used
from lostark_assets.gateway.circuit import read_open_circuits
from lostark_assets.ledger import OUTCOMES, CollectionRecord, open_ledger
from lostark_assets.settings import Settings
from lostark_assets.sources.configured import Origin, ServiceOrigin, watched_origins
from lostark_platform.alerts.detect import OPEN_API
from lostark_platform.metrics.families import Durations, counter, gauge, single

_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
_IMPORTED = ("loa_logs", "upload_json")
_UPLOADS = "uploads"
_OTHER = "other"
"""Sources with names of their own, such as player tables, without end."""


class SourceMetrics:
    """Metrics of the configured sources, counted from when this object was made."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ledger = open_ledger(settings)
        self._last, _ = self._ledger.collections_after(None)
        self._names = sorted(
            {*_IMPORTED, _UPLOADS, OPEN_API, *(_get_name(o) for o in watched_origins(settings))}
        )
        self._collections: Counter[tuple[str, ...]] = Counter(
            {(name, outcome): 0 for name in self._names for outcome in OUTCOMES}
        )
        self._requests: Counter[tuple[str, ...]] = Counter()
        self._logs: Counter[tuple[str, ...]] = Counter()
        self._seconds = Durations(_SECONDS)

    def read(self, now: float) -> Iterator[Metric]:
        """The metrics at ``now`` (epoch seconds)."""
        self._last, records = self._ledger.collections_after(self._last)
        for record in records:
            self._count(record)
        yield counter(
            "lostark_source_collections",
            "Collections and failed polls by source and outcome.",
            ["source", "outcome"],
            self._collections,
        )
        yield counter(
            "lostark_source_requests",
            "Requests to a service; failed ones include those whose retry succeeded.",
            ["source", "result"],
            self._requests,
        )
        yield counter(
            "lostark_source_logs",
            "Battle logs found by collections: new ones, and those that were known.",
            ["source", "state"],
            self._logs,
        )
        yield self._seconds.family(
            "lostark_source_collection_seconds", "Duration of collections.", ["source"]
        )
        yield gauge(
            "lostark_source_last_success_timestamp_seconds",
            "When a source was last collected without an error.",
            ["source"],
            self._read_successes(),
        )
        yield from self._read_services(now)
        yield from self._read_backlog(now)

    def _count(self, record: CollectionRecord) -> None:
        source = self._get_label(record.source)
        self._collections[source, record.outcome] += 1
        self._requests[source, "ok"] += record.requests - record.failed_requests
        self._requests[source, "failed"] += record.failed_requests
        self._logs[source, "new"] += record.new
        self._logs[source, "known"] += record.known
        self._seconds.observe((source,), (record.ended_at - record.started_at).total_seconds())

    def _get_label(self, source: str) -> str:
        """The source's own name if it is one of few."""
        if source.startswith("upload:"):
            return _UPLOADS
        return source if source in self._names else _OTHER

    def _read_successes(self) -> Mapping[tuple[str, ...], float]:
        found = {name: self._ledger.last_collection(name, outcome="ok") for name in self._names}
        return {(name,): record.ended_at.timestamp() for name, record in found.items() if record}

    def _read_services(self, now: float) -> Iterator[Metric]:
        names = [o.name for o in watched_origins(self._settings) if isinstance(o, ServiceOrigin)]
        opened = read_open_circuits(self._settings.state_dir)
        yield gauge(
            "lostark_source_circuit_open",
            "1 while no request is made to the service after repeated failures.",
            ["source"],
            {(name,): float(name in opened) for name in names},
        )
        limit = self._settings.battle_log_requests_per_minute
        budgets = [Budget(name, limit) for name in names if limit]
        yield gauge(
            "lostark_source_budget_requests",
            "Requests that the source's budget allows in a minute.",
            ["source"],
            {(one.name,): float(one.requests) for one in budgets},
        )
        folder = self._settings.state_dir / "budgets"
        yield gauge(
            "lostark_source_budget_used_requests",
            "Requests of the last minute that count against the source's budget.",
            ["source"],
            {(one.name,): float(count_used(one, folder, now)) for one in budgets},
        )

    def _read_backlog(self, now: float) -> Iterator[Metric]:
        backlog = read_backlog(self._ledger, datetime.fromtimestamp(now, UTC))
        stages = {"uploaded": backlog.uploads_waiting, "collected": backlog.logs_waiting}
        yield gauge(
            "lostark_backlog_logs",
            "What waits to be published: uploads that are not collected, and collected logs.",
            ["stage"],
            {(stage,): float(count) for stage, count in stages.items() if count is not None},
        )
        described = {
            "oldest_timestamp_seconds": ("Since when the oldest of them waits.", backlog.oldest_waits_since),
            "behind_timestamp_seconds": ("Since when the platform is too far behind.", backlog.behind_since),
            "logs_in_per_minute": (
                "Logs that arrived, per minute of the last ten.",
                backlog.logs_in_per_minute,
            ),
            "logs_out_per_minute": (
                "Logs that were published, per minute of the last ten.",
                backlog.logs_out_per_minute,
            ),
            "observed_timestamp_seconds": ("When this was observed.", backlog.observed_at),
        }
        for name, (description, value) in described.items():
            yield single(f"lostark_backlog_{name}", description, value)


def _get_name(origin: Origin) -> str:
    return origin.name if isinstance(origin, ServiceOrigin) else origin.where
