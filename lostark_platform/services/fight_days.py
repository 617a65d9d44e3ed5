"""Processing fight days in runs of the platform that runs on the data folder."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from filelock import FileLock, Timeout

from lostark_assets.automation.requests import ACROSS_DAYS_JOB, INGEST_JOB, days_run
from lostark_assets.errors import PermanentError, TransientError
from lostark_assets.settings import Settings
from lostark_platform.config import RESTORING_FILE
from lostark_platform.services.dagster import DagsterUi, RunState
from lostark_platform.terminal import Say

_LOCK, _ADDRESS = "up.lock", "dagster.url"
_POLL_EVERY_S = 0.3
_MAX_SILENCE_S = 60.0


@dataclass
class ProcessedDays:
    """Runs and their failures; ``publish_version`` is the last publish, if there was one."""

    run_ids: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    publish_version: int | None = None

    @property
    def success(self) -> bool:
        """Every run succeeded."""
        return not self.failed


@contextmanager
def hold_home(settings: Settings) -> Iterator[Path]:
    """Be the one platform of the data folder; the file that is to hold the address of its Dagster UI.

    Raises:
        PermanentError: a platform is running there, or a backup is being restored.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    if (settings.home / RESTORING_FILE).exists():
        raise PermanentError(
            f"{settings.home}: expected a complete data folder, found one that a backup is being restored "
            "into. Nothing was started. Wait for `lostark restore`; if it was interrupted, delete the folder "
            "and restore again."
        )
    try:
        lock = FileLock(settings.home / _LOCK, timeout=0).acquire()
    except Timeout:
        raise PermanentError(
            f"The platform on {settings.home} is already running. Nothing was started. Use that one, "
            "stop it, or choose another folder with LOSTARK_HOME."
        ) from None
    address = settings.home / _ADDRESS
    with lock:
        address.unlink(missing_ok=True)
        try:
            yield address
        finally:
            address.unlink(missing_ok=True)


def find_running_platform(settings: Settings) -> DagsterUi | None:
    """The Dagster UI of the platform on the data folder; None if none runs, or it is still starting."""
    try:
        host, _, port = (settings.home / _ADDRESS).read_text().rpartition(":")
    except OSError:
        return None
    try:
        # A platform that was killed leaves its address behind, but not its lock.
        FileLock(settings.home / _LOCK, timeout=0).acquire().lock.release()
    except Timeout:
        return DagsterUi(host, int(port))
    return None


def process_on_platform(ui: DagsterUi, days: Iterable[date], say: Say) -> ProcessedDays:
    """Clean ``days``, compute and publish them, and the tables across days, in runs of the platform."""
    done = ProcessedDays()
    config, tags = days_run(INGEST_JOB, [day.isoformat() for day in sorted(set(days))])
    for job, run_config, run_tags in ((INGEST_JOB, config, tags), (ACROSS_DAYS_JOB, {}, {})):
        try:
            run_id = ui.launch(job, run_config, run_tags)
        except TransientError as error:
            done.failed.append(str(error))
            continue
        say(f"{job}: {ui.url}/runs/{run_id}")
        run = _wait(ui, run_id)
        done.run_ids.append(run_id)
        done.failed += [f"{job}: {error}" for error in run.errors]
        done.publish_version = run.publish_version or done.publish_version
    return done


def _wait(ui: DagsterUi, run_id: str) -> RunState:
    seen_at = time.monotonic()
    while time.monotonic() - seen_at < _MAX_SILENCE_S:
        run = ui.find_run(run_id)
        if run is not None and run.has_ended:
            return run
        seen_at = seen_at if run is None else time.monotonic()
        time.sleep(_POLL_EVERY_S)
    return RunState(has_ended=True, errors=("the platform stopped responding; the run may go on",))
