"""Polling every configured source for new battle logs, concurrently and independently.

A source that can't be read is recorded and paused for a while. It never counts as a source without new logs,
and it never delays the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from lostark_assets.automation.decisions import compute_backoff_s
from lostark_assets.errors import LostarkError
from lostark_assets.ledger import CollectionRecord, Ledger, open_ledger
from lostark_assets.observability.logs import report_unexpected
from lostark_assets.settings import Settings
from lostark_assets.sources.collect import classify_outcome
from lostark_assets.sources.configured import Origin, ServiceOrigin, watched_origins
from lostark_assets.sources.probe import Probe, fingerprint_folder, probe_origin

PROBE_KIND = "peek"
"""Kind of a probe in the ledger, unchanged since the first version. Failed probes are recorded, and the first
success after them."""
MAX_BACKOFF_S = 120.0
SERVICE_INTERVAL_S = 30.0
"""How often a service without new logs is probed, and at most collected; folders are at every poll. At one
fight in 15 s half the time would double the runs, and with them the cost."""
_MAX_CONCURRENT_PROBES = 8
Prober = Callable[[Origin, Settings], Probe]


@dataclass(frozen=True)
class SourceFailure:
    """A source that could not be read ``failures`` times in a row, last at ``failed_at`` (epoch seconds)."""

    failures: int
    failed_at: float
    error: str = ""

    def retry_at(self) -> float:
        """When to probe the source again, epoch seconds."""
        return self.failed_at + compute_backoff_s(self.failures, MAX_BACKOFF_S)


@dataclass(frozen=True)
class PollResult:
    """Result of one poll: the ``due`` sources with a digest of what is new there; ``failures`` by address.

    ``quiet``: services without new logs, with the epoch seconds of their last probe.
    """

    due: dict[str, str] = field(default_factory=dict)
    failures: dict[str, SourceFailure] = field(default_factory=dict)
    quiet: dict[str, float] = field(default_factory=dict)


def poll_sources(
    settings: Settings,
    failures: Mapping[str, SourceFailure],
    now: float,
    prober: Prober = probe_origin,
    quiet: Mapping[str, float] = MappingProxyType({}),
) -> PollResult:
    """Probe every watched origin that is not paused; an origin stays in ``failures`` until it succeeds.

    A service that was ``quiet`` at its last probe is probed every ``SERVICE_INTERVAL_S`` only.
    """
    origins = watched_origins(settings)
    paused = {o.where: failures[o.where] for o in origins if _is_paused(failures.get(o.where), now)}
    resting = {o.where: quiet[o.where] for o in origins if now - quiet.get(o.where, 0.0) < SERVICE_INTERVAL_S}
    polled = [origin for origin in origins if origin.where not in paused and origin.where not in resting]
    result, ledger = PollResult(failures=dict(paused), quiet=resting), open_ledger(settings)
    with ThreadPoolExecutor(max(min(len(polled), _MAX_CONCURRENT_PROBES), 1)) as pool:
        outcomes = list(pool.map(lambda origin: _probe_origin(origin, settings, prober), polled))
    for origin, outcome in zip(polled, outcomes, strict=True):
        before = failures.get(origin.where)
        if isinstance(outcome, Exception):
            count = before.failures + 1 if before else 1
            result.failures[origin.where] = SourceFailure(count, now, str(outcome)[:500])
            _record(ledger, origin, now, outcome)
            continue
        if before:
            _record(ledger, origin, now, None)
        result.due.update(outcome)
        if isinstance(origin, ServiceOrigin) and not outcome:
            result.quiet[origin.where] = now
    return result


def _is_paused(failure: SourceFailure | None, now: float) -> bool:
    return failure is not None and now < failure.retry_at()


def _probe_origin(origin: Origin, settings: Settings, prober: Prober) -> dict[str, str] | Exception:
    """The sources with new logs, each with a digest by which the same logs are recognised in a later poll."""
    try:
        probe = prober(origin, settings)
        digest = f"{probe.reason} {fingerprint_folder(origin) or ''}".strip() if probe.has_new else ""
    except (LostarkError, OSError) as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever one source raises, the others are probed
        return report_unexpected(f"probing {origin.where}", error)
    return dict.fromkeys(probe.sources, digest) if probe.has_new else {}


def _record(ledger: Ledger, origin: Origin, now: float, error: Exception | None) -> None:
    at = datetime.fromtimestamp(now, UTC)
    is_service = isinstance(origin, ServiceOrigin)
    ledger.record_collection(
        CollectionRecord(
            source=origin.name if isinstance(origin, ServiceOrigin) else origin.where,
            kind=PROBE_KIND,
            started_at=at,
            ended_at=at,
            outcome=classify_outcome(error) if error else "ok",
            requests=int(is_service),
            failed_requests=int(is_service and error is not None),
            error=str(error)[:500] if error else None,
        )
    )
