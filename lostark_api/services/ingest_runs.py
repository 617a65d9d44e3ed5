"""Requesting a run for an upload as soon as it has arrived, from Dagster's GraphQL API."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from lostark_assets.automation.requests import (
    INGEST_JOB,
    LAUNCH,
    SOURCES_TAG,
    UPLOADS,
    launch_params,
    uploads_run,
)
from lostark_assets.observability.logs import get_logger

_TIMEOUT_S = 10.0
_RUNS = """query Runs($filter: RunsFilter!) { runsOrError(filter: $filter, limit: 1) {
  __typename ... on Runs { results { runId } } } }"""
log = get_logger()


class IngestRuns:
    """Requests runs of the job ``ingest`` for uploads; ``url`` is that of the Dagster UI.

    Without an address, or while Dagster does not respond, the run starts when the sensor polls next.
    """

    def __init__(self, url: str | None, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url
        self._transport = transport
        self._task: asyncio.Task[None] | None = None
        self._is_due = False
        self._request_id: str | None = None

    def request(self, request_id: str | None = None) -> None:
        """Request a run soon; uploads that arrive meanwhile share it. Returns at once.

        ``request_id``: of the upload; the run is tagged with that of the first upload that waits for it.
        """
        if self._url is None:
            return
        if not self._is_due:
            self._is_due, self._request_id = True, request_id
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(self._url))

    async def close(self) -> None:
        """Wait for a request that is under way."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_TIMEOUT_S)

    async def _work(self, url: str) -> None:
        async with httpx.AsyncClient(
            base_url=url, timeout=_TIMEOUT_S, trust_env=False, transport=self._transport
        ) as client:
            while self._is_due:
                self._is_due = False
                try:
                    if not await self._is_under_way(client):
                        await self._launch(client)
                except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                    log.warning("ingest_run_not_requested", error=f"{type(error).__name__}: {error}"[:300])

    async def _is_under_way(self, client: httpx.AsyncClient) -> bool:
        """Whether a run that collects all uploads is queued or running."""
        filters = {
            "pipelineName": INGEST_JOB,
            "statuses": ["QUEUED", "NOT_STARTED", "STARTING", "STARTED"],
            "tags": [{"key": SOURCES_TAG, "value": UPLOADS}],
        }
        found = await _query(client, _RUNS, {"filter": filters})
        return bool(found["runsOrError"]["results"])

    async def _launch(self, client: httpx.AsyncClient) -> None:
        variables = launch_params(INGEST_JOB, *uploads_run(self._request_id))
        launched = (await _query(client, LAUNCH, variables))["launchRun"]
        if launched["__typename"] != "LaunchRunSuccess":
            raise ValueError(f"{launched['__typename']}: {launched.get('message', '')}")


async def _query(client: httpx.AsyncClient, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    response = await client.post("/graphql", json={"query": query, "variables": variables})
    response.raise_for_status()
    data: dict[str, Any] = response.json()["data"]
    return data
