"""What is known at one look: the facts that detectors judge. Plain values; nothing here asks or decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lostark_assets.ledger import CollectionRecord, ReportedProblem
from lostark_platform.alerts.silence import Activity, Window


@dataclass(frozen=True)
class FailedUnit:
    """What failed last time it ran: a job with its partitions (``first`` to ``last``; empty without).

    ``since`` is the end of its first failed run, ``started_at`` and ``ended_at`` are of the newest one.
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
    """A run that ended. ``will_retry``: Dagster starts it again by itself."""

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
    """How long a step took, or takes so far, and on how much: ``work`` counts logs, 1 where unknown."""

    step: str
    seconds: float
    work: float
    at: datetime
    run_id: str
    is_running: bool = False


@dataclass(frozen=True)
class Ticking:
    """A sensor or schedule that is switched on. ``every_s`` is its own interval."""

    name: str
    every_s: float
    last_tick_at: datetime | None
    failures_in_a_row: int = 0
    error: str = ""


@dataclass(frozen=True)
class Queue:
    """Runs that wait, and those that are being started or run."""

    waiting: int = 0
    oldest_waits_since: datetime | None = None
    in_progress: int = 0


@dataclass(frozen=True)
class Disk:
    """Room on the file system that holds ``name`` (``data folder``, ``lake``)."""

    name: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class Refusals:
    """Logs of one source that were cleaned lately and before that, and how many of them were refused."""

    source: str
    recent_refused: int
    recent_cleaned: int
    before_refused: int
    before_cleaned: int
    since: datetime
    commonest_reason: str = ""


@dataclass(frozen=True)
class Facts:
    """Everything that is known at one look. None: could not be found out; what was open then stays open."""

    now: datetime
    listening_since: datetime
    failed_units: Sequence[FailedUnit] | None = ()
    collections: Sequence[CollectionRecord] | None = ()
    activities: Mapping[str, Activity] | None = field(default_factory=dict)
    closed: Sequence[Window] = ()
    refusals: Sequence[Refusals] | None = ()
    step_times: Sequence[StepTime] | None = ()
    queue: Queue | None = None
    disks: Sequence[Disk] | None = ()
    ticking: Sequence[Ticking] | None = ()
    reported: Sequence[ReportedProblem] | None = ()
