"""Looking for news at every configured source, side by side, each on its own.

A source that can't be read is written down and left alone for a while; it never counts as one without news,
and never keeps the others waiting. What does not belong here: how to look (``sources.peek``), and Dagster.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lostark_assets.automation.decisions import pause_s
from lostark_assets.errors import LostarkError
from lostark_assets.ledger import CollectionRecord, Ledger, open_ledger
from lostark_assets.settings import Settings
from lostark_assets.sources.collect import classify_outcome
from lostark_assets.sources.configured import Origin, ServiceOrigin, configured_origins
from lostark_assets.sources.probe import Peek, fingerprint_folder, peek

PEEK = "peek"
"""What the ledger calls a look at a source; only failed ones and the first good one after them are noted."""
MAX_PAUSE_S = 120.0
_SIDE_BY_SIDE = 8
Peeker = Callable[[Origin, Settings], Peek]


@dataclass(frozen=True)
class Trouble:
    """A source that could not be read, so many times in a row, last at ``failed_at`` (epoch seconds)."""

    failures: int
    failed_at: float
    error: str = ""

    def retry_at(self) -> float:
        """When to look again, epoch seconds."""
        return self.failed_at + pause_s(self.failures, MAX_PAUSE_S)


@dataclass(frozen=True)
class News:
    """What one round of looks told: ``due`` sources, each with what waits there; ``troubles`` by place."""

    due: dict[str, str] = field(default_factory=dict)
    troubles: dict[str, Trouble] = field(default_factory=dict)


def look_for_news(
    settings: Settings, troubles: Mapping[str, Trouble], now: float, peeker: Peeker = peek
) -> News:
    """Look at every configured place whose pause is over; places in trouble keep it until a look succeeds."""
    origins = configured_origins(settings)
    resting = {o.where: troubles[o.where] for o in origins if _rests(troubles.get(o.where), now)}
    asked = [origin for origin in origins if origin.where not in resting]
    news, ledger = News(troubles=dict(resting)), open_ledger(settings)
    with ThreadPoolExecutor(max(min(len(asked), _SIDE_BY_SIDE), 1)) as pool:
        found = list(pool.map(lambda origin: _look(origin, settings, peeker), asked))
    for origin, outcome in zip(asked, found, strict=True):
        before = troubles.get(origin.where)
        if isinstance(outcome, Exception):
            failures = before.failures + 1 if before else 1
            news.troubles[origin.where] = Trouble(failures, now, str(outcome)[:500])
            _note(ledger, origin, now, outcome)
            continue
        if before:
            _note(ledger, origin, now, None)
        news.due.update(outcome)
    return news


def _rests(trouble: Trouble | None, now: float) -> bool:
    return trouble is not None and now < trouble.retry_at()


def _look(origin: Origin, settings: Settings, peeker: Peeker) -> dict[str, str] | Exception:
    """The sources with news, each with what makes a later look at the same news recognisable."""
    try:
        seen = peeker(origin, settings)
        waits = f"{seen.reason} {fingerprint_folder(origin) or ''}".strip() if seen.has_new else ""
    except (LostarkError, OSError) as error:
        return error
    return dict.fromkeys(seen.sources, waits) if seen.has_new else {}


def _note(ledger: Ledger, origin: Origin, now: float, error: Exception | None) -> None:
    at = datetime.fromtimestamp(now, UTC)
    is_service = isinstance(origin, ServiceOrigin)
    ledger.record_collection(
        CollectionRecord(
            source=origin.name if isinstance(origin, ServiceOrigin) else origin.where,
            kind=PEEK,
            started_at=at,
            ended_at=at,
            outcome=classify_outcome(error) if error else "ok",
            requests=int(is_service),
            failed_requests=int(is_service and error is not None),
            error=str(error)[:500] if error else None,
        )
    )


def partition_ranges(wanted: Collection[str], partitions: Sequence[str]) -> list[tuple[str, str]]:
    """``wanted`` as ranges of ``partitions`` in their order, each one run that touches no other source."""
    ranges: list[list[str]] = []
    is_open = False
    for name in partitions:
        if name in wanted:
            if not is_open:
                ranges.append([])
            ranges[-1].append(name)
        is_open = name in wanted
    return [(group[0], group[-1]) for group in ranges]
