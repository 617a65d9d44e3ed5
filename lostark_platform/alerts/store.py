"""State of alerts between evaluations, in one file of the state folder.

Written atomically, under a lock that the sensor and the command line share.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import TypeAdapter, ValidationError

from lostark_assets.errors import TransientError
from lostark_assets.observability.logs import get_logger
from lostark_assets.settings import Settings
from lostark_platform.alerts.deliver import Outbox
from lostark_platform.alerts.observations import FailedUnit, StepTime
from lostark_platform.alerts.reconcile import State

ALERTS_FILE = "alerts.json"
_LOCK_TIMEOUT_S = 60.0

log = get_logger()


@dataclass(frozen=True)
class Memory:
    """The persistent state of alerts.

    ``failed_units`` and ``step_times`` include runs that ended before ``runs_until``, and around that instant
    those in ``runs_seen``. The platform was off before ``online_since``.
    """

    state: State = field(default_factory=State)
    outbox: Outbox = field(default_factory=Outbox)
    failed_units: tuple[FailedUnit, ...] = ()
    step_times: tuple[StepTime, ...] = ()
    runs_until: datetime | None = None
    runs_seen: tuple[str, ...] = ()
    last_evaluated_at: datetime | None = None
    online_since: datetime | None = None

    def with_state(self, state: State) -> Memory:
        """The same with another state."""
        return replace(self, state=state)


_ADAPTER = TypeAdapter(Memory)


def memory_path(settings: Settings) -> Path:
    """Path of the state file in a data folder."""
    return settings.state_dir / ALERTS_FILE


def load(path: Path) -> Memory:
    """Load the state from ``path``; empty if the file does not exist.

    A file that can't be read is renamed and logged: open problems are then reported once more.
    """
    try:
        return peek(path)
    except ValidationError as error:
        aside = path.with_suffix(".broken")
        path.replace(aside)
        log.exception(
            "alert_state_unreadable", path=str(path), renamed_to=str(aside), problems=error.error_count()
        )
        return Memory()


def peek(path: Path) -> Memory:
    """The state in ``path``, which is left as it is; empty if there is none yet.

    Raises:
        ValueError: the file can't be read.
    """
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError:
        return Memory()


def save(path: Path, memory: Memory) -> None:
    """Replace the file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(_ADAPTER.dump_json(memory, indent=1))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock the state file against other processes.

    Raises:
        TransientError: another process holds the lock for longer than a minute.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path.with_suffix(".lock"), timeout=_LOCK_TIMEOUT_S):
            yield
    except Timeout:
        raise TransientError(
            f"{path}: another process has been changing the alerts for {_LOCK_TIMEOUT_S:.0f} s. Nothing was "
            "changed. Try again."
        ) from None
