"""Materializes fight days in this process, without a daemon, on the platform's Dagster instance."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

import dagster as dg

from lostark_assets.automation.requests import ACROSS_DAYS_JOB, INGEST_JOB, PUBLISH_VERSION, days_run
from lostark_assets.definitions import build_defs
from lostark_assets.settings import Settings
from lostark_platform.services.dagster_home import dagster_instance, process_tag
from lostark_platform.services.fight_days import ProcessedDays

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def materialize_days(settings: Settings, days: Iterable[date], say: Callable[[str], None]) -> ProcessedDays:
    """Clean ``days``, compute statistics per day and across days, and publish them for API and pages.

    A failed day stops neither the others nor the publish.
    """
    days = sorted(set(days))
    result = ProcessedDays()
    if not days:
        return result
    defs = build_defs(settings=settings)
    with dagster_instance(settings) as instance:

        def run(job: str, what: str, config: dict[str, Any] | None = None) -> None:
            _execute(defs.resolve_job_def(job), instance, {**(config or {}), **_QUIET}, what, result)

        some = f"{days[0]}" if len(days) == 1 else f"{len(days)} fight days, {days[0]} to {days[-1]}"
        say(f"cleaning, computing and publishing {some}")
        config, _ = days_run(INGEST_JOB, [day.isoformat() for day in days])
        run(INGEST_JOB, some, config)
        say("statistics across days")
        run(ACROSS_DAYS_JOB, "across days")
    return result


def _execute(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    config: dict[str, Any],
    what: str,
    result: ProcessedDays,
) -> None:
    done = job.execute_in_process(
        instance=instance, tags=process_tag(), raise_on_error=False, run_config=config
    )
    result.run_ids.append(done.run_id)
    if not done.success:
        causes = [_cause(event) for event in done.all_events if event.is_step_failure]
        result.failed.append(f"{what}: {'; '.join(causes) or 'the run failed'}")
    for event in done.get_asset_materialization_events():
        version = event.materialization.metadata.get(PUBLISH_VERSION)
        result.publish_version = result.publish_version if version is None else int(str(version.value))


def _cause(event: dg.DagsterEvent) -> str:
    """The first line of the root cause, below Dagster's wrappers."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip().splitlines()[0] if error is not None else event.step_key or "a step"
