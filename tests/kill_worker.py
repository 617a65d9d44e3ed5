"""The process that ``test_kill_dash_nine`` kills: one run of a job, as a run worker executes it."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

import dagster as dg
import psycopg
from pydantic import SecretStr

from lostark_assets.automation.requests import INGEST_JOB, run_config
from lostark_assets.database.postgres import Databases
from lostark_assets.definitions import build_defs
from lostark_assets.lake.files import write_file
from lostark_assets.lake.tables import Lake
from lostark_assets.settings import Settings, get_settings
from lostark_ml.definitions import build_defs as build_ml_defs
from lostark_platform.services.dagster_home import (
    environment,
    fail_abandoned_runs,
    prepare_dagster_home,
    process_tag,
)
from tests.model_lake import World

BUILTINS = {os.mkdir, os.rename, os.replace, os.unlink}
PYTHON = {
    function.__code__
    for function in (
        write_file,
        Lake._commit,
        psycopg.Cursor.execute,
        psycopg.Cursor.executemany,
        psycopg.Connection.commit,
        psycopg.Copy.write,
    )
}


@dataclass(frozen=True)
class Work:
    """One run: its job, its op's configuration, and the platform that it works on.

    ``kill_at``: the worker kills itself at the N-th beginning or end of an effect (file, commit, statement).
    ``has_profiler``: effects are counted; a run takes longer with it.
    """

    home: Path
    databases: Databases
    job: str
    config: dict[str, Any] = field(default_factory=dict)
    sources: tuple[Path, ...] = ()
    kill_at: int | None = None
    has_profiler: bool = False

    @property
    def settings(self) -> Settings:
        """The settings of this platform: small batches, so that there are several commits."""
        return get_settings(
            home=self.home,
            sources=self.sources,
            batch_bytes=100_000,
            postgres_url=SecretStr(self.databases.lostark),
            dagster_postgres_url=SecretStr(self.databases.dagster),
        )


class Effects:
    """Counts the beginnings and ends of effects on disk and database; a profiler of the worker's thread."""

    def __init__(self, kill_at: int | None) -> None:
        self.count = 0
        self._kill_at = kill_at

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """One call or return of any function."""
        if argument in BUILTINS if event.startswith("c_") else frame.f_code in PYTHON:
            if self.count == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            self.count += 1


def work(task: Work, pipe: Connection) -> None:
    """Execute the run; sends the abandoned runs found before, then, if it ends, the number of effects."""
    settings = task.settings
    with (
        environment(prepare_dagster_home(settings, task.databases)),
        dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance,
    ):
        if task.job == INGEST_JOB:
            defs = build_defs(settings=settings)
        else:
            defs = build_ml_defs(settings=settings, resources={"registries": World(task.home)})
        job = defs.resolve_job_def(task.job)
        pipe.send(fail_abandoned_runs(instance, datetime.now(UTC)))
        effects = Effects(task.kill_at)
        sys.setprofile(effects if task.has_profiler else None)
        job.execute_in_process(
            instance=instance, run_config=run_config(task.job, task.config), tags=process_tag()
        )
        sys.setprofile(None)
        pipe.send(effects.count)
