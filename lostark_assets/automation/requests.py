"""What runs are requested with: by the sensors, by the API and by commands. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

INGEST_JOB = "ingest"
ACROSS_DAYS_JOB = "across_days"
CODE_LOCATION = "lostark_assets"
UPLOADS = "(uploads)"
"""Stands for all pending uploads among the sources."""
CONCURRENCY_GROUP_TAG = "lostark/concurrency_group"
SOURCES_TAG = "lostark/sources"
DAYS_TAG = "lostark/fight_days"
REQUEST_ID_TAG = "lostark/request_id"
"""The id of the API's request that a run was requested for."""
PRIORITY_TAG = "dagster/priority"
PUBLISH_VERSION = "publish version"
"""Metadata in which a run reports a publication that it made."""
_MAX_TAG = 200
LAUNCH = """mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
"""Dagster's GraphQL mutation that starts a run, with the ``params`` of ``launch_params``."""


def concurrency_group(name: str) -> dict[str, str]:
    """Runs of one concurrency group are serialised, other groups run beside them (``dagster.yaml``)."""
    return {CONCURRENCY_GROUP_TAG: name}


def op_name(job_name: str) -> str:
    """The only op of the jobs that are configured: its name must differ from the job's."""
    return f"{job_name}_op"


def run_config(job_name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The run config that hands ``config`` to the job's op."""
    return {"ops": {op_name(job_name): {"config": dict(config)}}}


def ingest_run(group: str, sources: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Run config and tags of a run that ingests ``sources``, or the pending uploads for ``[UPLOADS]``."""
    is_upload = list(sources) == [UPLOADS]
    config: dict[str, Any] = {"uploads": True} if is_upload else {"sources": list(sources)}
    priority = {PRIORITY_TAG: "10"} if is_upload else {}
    tags = {**concurrency_group(group), SOURCES_TAG: ", ".join(sources)[:_MAX_TAG], **priority}
    return run_config(INGEST_JOB, config), tags


def uploads_run(request_id: str | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """Run config and tags of a run that ingests the pending uploads.

    ``request_id``: of the upload that it is requested for. It ingests all others that wait, too; the
    lines about each upload carry the id of its own request.
    """
    config, tags = ingest_run("uploads", [UPLOADS])
    return config, tags if request_id is None else {**tags, REQUEST_ID_TAG: request_id}


def days_run(job_name: str, days: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Run config and tags of a run of ``job_name`` for fight days (ISO dates, ascending)."""
    tag = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return run_config(job_name, {"days": list(days)}), {DAYS_TAG: tag}


def launch_params(job_name: str, config: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, Any]:
    """The variables of ``LAUNCH``."""
    selector = {
        "repositoryLocationName": CODE_LOCATION,
        "repositoryName": "__repository__",
        "jobName": job_name,
    }
    return {
        "params": {
            "selector": selector,
            "runConfigData": dict(config),
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
    }
