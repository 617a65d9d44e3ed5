"""Collecting sources into the raw table, and recording the outcomes in the ledger.

Append-only and idempotent: every source can be collected again at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote

from lostark_assets.contracts.raw import RAW_BATTLE_LOGS
from lostark_assets.errors import LostarkError, SourceRefused, TransientError
from lostark_assets.lake.tables import Lake
from lostark_assets.ledger import OUTCOMES, CollectionOutcome, CollectionRecord, Ledger
from lostark_assets.observability.logs import report_unexpected
from lostark_assets.sources.collector import (
    Collected,
    CollectOptions,
    Collector,
    StoreFailed,
)
from lostark_assets.sources.protocol import PagedSource, Source, escape_undecodable

OnResult = Callable[[Source, Collected, Exception | None], None]
"""Called once for each source: its logs are stored, or why they could not be read or stored completely."""
KIND = "battle_logs"
_MAX_ERROR = 2000
_MAX_SOURCES, _MAX_NAMES = 2_000, 100
"""In one group, which holds the locks of its names."""


def collect(source: Source, lake: Lake, *, run_id: str, earliest: date, **options: Any) -> Collected:
    """Append the new logs of ``source`` to the raw table; ``options`` are those of ``CollectOptions``.

    Raises:
        SourceError, SourceBusy: the source can't be read; earlier commits are kept.
    """
    done = _start(source)
    with _locked(lake, [source.name]):
        collector = Collector(lake, [source.name], CollectOptions(run_id, earliest, **options))
        try:
            collector.collect(source, done)
            collector.commit()
        except StoreFailed as error:
            raise error.__cause__ or error from None
    return done


def collect_all(
    sources: Iterable[Source], lake: Lake, ledger: Ledger, on_result: OnResult, options: CollectOptions
) -> None:
    """Append the new logs of ``sources``; whatever one of them raises, it alone fails.

    Small sources share commits. The ledger gets one record for each source name.
    """
    for group in _group(sources):
        _Group(group, lake, ledger, on_result, options).work()


def classify_outcome(error: Exception) -> CollectionOutcome:
    """The ledger's outcome of a collection or probe that ended with ``error``."""
    if isinstance(error, TransientError | OSError):
        return "unavailable"
    return "refused" if isinstance(error, SourceRefused) else "failed"


def _group(sources: Iterable[Source]) -> Iterator[list[Source]]:
    """Parts of ``sources`` that are collected together; a service is one of its own."""
    group: list[Source] = []
    names: set[str] = set()
    for source in sources:
        is_full = len(group) >= _MAX_SOURCES or len(names | {source.name}) > _MAX_NAMES
        if group and (is_full or isinstance(source, PagedSource)):
            yield group
            group, names = [], set()
        group.append(source)
        names.add(source.name)
        if isinstance(source, PagedSource):
            yield group
            group, names = [], set()
    if group:
        yield group


@dataclass
class _Outcome:
    """What became of one source. ``is_read``: its last logs are stored by the next commit."""

    source: Source
    done: Collected
    error: Exception | None = None
    is_read: bool = False


class _Group:
    """Sources that are collected together."""

    def __init__(
        self,
        sources: Sequence[Source],
        lake: Lake,
        ledger: Ledger,
        on_result: OnResult,
        options: CollectOptions,
    ) -> None:
        self._lake, self._ledger, self._on_result, self._options = lake, ledger, on_result, options
        self._open = [_Outcome(source, _start(source)) for source in sources]
        self._settled: list[_Outcome] = []

    def work(self) -> None:
        started_at = datetime.now(UTC)
        try:
            self._collect()
        except (LostarkError, OSError) as error:
            self._fail(error)
        except StoreFailed as error:
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            is_known = isinstance(cause, LostarkError | OSError)
            self._fail(cause if is_known else report_unexpected("storing battle logs", cause))
        finally:
            self._record(started_at)

    def _collect(self) -> None:
        names = {outcome.source.name for outcome in self._open}
        with _locked(self._lake, names):
            collector = Collector(self._lake, names, self._options, self._settle)
            for outcome in list(self._open):
                self._read(collector, outcome)
            collector.commit()

    def _read(self, collector: Collector, outcome: _Outcome) -> None:
        try:
            collector.collect(outcome.source, outcome.done)
        except StoreFailed:
            raise
        except (LostarkError, OSError) as error:
            outcome.error = error
        except Exception as error:  # noqa: BLE001 - a source may hold anything: it alone fails
            outcome.error = report_unexpected(f"collecting {outcome.source.path}", error)
        outcome.is_read = True
        if collector.is_stored:
            self._settle()

    def _fail(self, error: Exception) -> None:
        """The lake failed: nothing of the sources that are still open is stored."""
        for outcome in self._open:
            outcome.error, outcome.is_read = outcome.error or error, True
        self._settle()

    def _settle(self) -> None:
        """Report the sources of which all logs are stored."""
        read = [outcome for outcome in self._open if outcome.is_read]
        self._open = [outcome for outcome in self._open if not outcome.is_read]
        self._settled += read
        for outcome in read:
            self._on_result(outcome.source, outcome.done, outcome.error)

    def _record(self, started_at: datetime) -> None:
        by_name: dict[str, list[_Outcome]] = {}
        for outcome in self._settled:
            by_name.setdefault(outcome.source.name, []).append(outcome)
        for name, outcomes in by_name.items():
            self._ledger.record_collection(_summarize(name, outcomes, started_at))


def _summarize(name: str, outcomes: Sequence[_Outcome], started_at: datetime) -> CollectionRecord:
    """One record of all sources of a name; its outcome is the worst of theirs."""
    errors = [one.error for one in outcomes if one.error is not None]
    texts = [str(error) for error in errors]
    texts += [f"{p.where}: {p.reason}" for one in outcomes for p in one.done.problems]
    counts = [counts for one in outcomes if (counts := getattr(one.source, "counts", None))]
    if not texts:
        texts = [f"a request failed before it succeeded: {one.last_failure}" for one in counts if one.failed]
    outcomes_of_all: list[CollectionOutcome] = ["ok", *map(classify_outcome, errors)]
    return CollectionRecord(
        source=escape_undecodable(name),
        kind=KIND,
        started_at=started_at,
        ended_at=datetime.now(UTC),
        outcome=max(outcomes_of_all, key=OUTCOMES.index),
        requests=sum(one.requests for one in counts),
        failed_requests=sum(one.failed for one in counts),
        found=sum(one.done.found for one in outcomes),
        new=sum(one.done.new for one in outcomes),
        known=sum(one.done.known for one in outcomes),
        error=escape_undecodable("; ".join(texts))[:_MAX_ERROR] or None,
    )


def _start(source: Source) -> Collected:
    return Collected(source.name, source.log_format, source.path)


@contextmanager
def _locked(lake: Lake, names: Iterable[str]) -> Iterator[None]:
    """The locks of sources, which must be read and extended by one process at a time.

    One for each name, always in the same order: a slow source must not block the others. Concurrent appends
    don't conflict.
    """
    with ExitStack() as stack:
        for name in sorted(map(escape_undecodable, names)):
            stack.enter_context(lake.lock(f"{RAW_BATTLE_LOGS.name}-{quote(name, safe='')}"))
        yield
