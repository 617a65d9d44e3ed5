"""What a run of the job ``ingest`` is requested with, by the sensors and by the API. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

INGEST_JOB = "ingest"
UPLOADS = "(uploads)"
"""Stands for all pending uploads among the sources."""
CONCURRENCY_GROUP_TAG = "lostark/concurrency_group"
SOURCES_TAG = "lostark/sources"
PRIORITY_TAG = "dagster/priority"
_MAX_TAG = 200


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


def uploads_run() -> tuple[dict[str, Any], dict[str, str]]:
    """Run config and tags of a run that ingests the pending uploads."""
    return ingest_run("uploads", [UPLOADS])
