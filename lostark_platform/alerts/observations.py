"""Observations that detectors evaluate. Values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lostark_assets.automation.backlog import Backlog
from lostark_assets.ledger import CollectionRecord, ReportedProblem
from lostark_platform.alerts.silence import Activity, Window


@dataclass(frozen=True)
class FailedUnit:
    """A job that failed on its last run, with its partitions (``first`` to ``last``; empty without).

    ``since`` is the end of its first failed run, ``started_at`` and ``ended_at`` belong to the latest.
    """

    job: str
    first: str
    last: str
    since: datetime
    started_at: datetime
    ended_at: datetime
    run_id: str
    step: str | None
    error: str
    times: int = 1


@dataclass(frozen=True)
class FinishedRun:
    """A run that ended. ``will_retry``: Dagster retries it automatically."""

    run_id: str
    job: str
    first: str
    last: str
    started_at: datetime
    ended_at: datetime
    succeeded: bool
    step: str | None = None
    error: str = ""
    will_retry: bool = False


@dataclass(frozen=True)
class StepTime:
    """Duration of a step, so far if it is running; ``work`` is its number of logs, 1 if unknown."""

    step: str
    seconds: float
    work: float
    at: datetime
    run_id: str
    is_running: bool = False


@dataclass(frozen=True)
class Ticking:
    """An enabled sensor or schedule. ``every_s`` is its interval."""

    name: str
    every_s: float
    last_tick_at: datetime | None
    failures_in_a_row: int = 0
    error: str = ""


@dataclass(frozen=True)
class Queue:
    """Queued runs and runs in progress."""

    waiting: int = 0
    oldest_waits_since: datetime | None = None
    in_progress: int = 0


@dataclass(frozen=True)
class Disk:
    """Free space on the file system of ``name`` (``data folder``, ``lake``)."""

    name: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class Refusals:
    """Numbers of cleaned and refused logs of one source, recently and before."""

    source: str
    recent_refused: int
    recent_cleaned: int
    before_refused: int
    before_cleaned: int
    since: datetime
    most_common_reason: str = ""


@dataclass(frozen=True)
class Facts:
    """All observations of one evaluation. None means unknown: problems of those kinds stay open."""

    now: datetime
    online_since: datetime
    failed_units: Sequence[FailedUnit] | None = ()
    collections: Sequence[CollectionRecord] | None = ()
    activities: Mapping[str, Activity] | None = field(default_factory=dict)
    closed: Sequence[Window] = ()
    refusals: Sequence[Refusals] | None = ()
    step_times: Sequence[StepTime] | None = ()
    queue: Queue | None = None
    backlog: Backlog | None = None
    disks: Sequence[Disk] | None = ()
    ticking: Sequence[Ticking] | None = ()
    reported: Sequence[ReportedProblem] | None = ()
