"""Requesting a run for an upload: once for all that wait, and never at the upload's cost."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx

from lostark_api.services.ingest_runs import IngestRuns
from lostark_assets.automation.requests import uploads_run

URL = "http://dagster:3000"


class Dagster:
    """Answers as Dagster's GraphQL API does; ``under_way``: runs that are queued or running."""

    def __init__(self, *, under_way: int = 0, launched: str = "LaunchRunSuccess", status: int = 200) -> None:
        self.under_way, self.launched, self.status = under_way, launched, status
        self.params: list[dict[str, Any]] = []
        self.filters: list[dict[str, Any]] = []

    async def respond(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url) == f"{URL}/graphql"
        await asyncio.sleep(0)
        body = json.loads(request.content)
        if self.status != 200:
            return httpx.Response(self.status, text="no")
        if "launchRun" not in body["query"]:
            self.filters.append(body["variables"]["filter"])
            results = [{"runId": "1"}] * self.under_way
            return httpx.Response(200, json={"data": {"runsOrError": {"results": results}}})
        self.params.append(body["variables"]["params"])
        self.under_way += 1
        return httpx.Response(200, json={"data": {"launchRun": {"__typename": self.launched}}})


def request(dagster: Dagster, times: int = 1, *, url: str | None = URL) -> None:
    async def work() -> None:
        runs = IngestRuns(url, httpx.MockTransport(dagster.respond))
        for _ in range(times):
            runs.request()
        await runs.close()

    asyncio.run(work())


def test_the_run_is_that_of_the_sensor() -> None:
    dagster = Dagster()
    request(dagster)

    [params] = dagster.params
    config, tags = uploads_run()
    assert params["runConfigData"] == config
    assert {tag["key"]: tag["value"] for tag in params["executionMetadata"]["tags"]} == tags
    assert params["selector"]["jobName"] == "ingest"
    assert dagster.filters[0]["tags"] == [{"key": "lostark/sources", "value": "(uploads)"}]


def test_the_run_is_tagged_with_the_request_of_the_first_upload_that_waits_for_it() -> None:
    dagster = Dagster()

    async def work() -> None:
        runs = IngestRuns(URL, httpx.MockTransport(dagster.respond))
        for request_id in ("first", "second"):
            runs.request(request_id)
        await runs.close()
        dagster.under_way = 0
        runs.request("third")
        await runs.close()

    asyncio.run(work())

    tags = [{tag["key"]: tag["value"] for tag in one["executionMetadata"]["tags"]} for one in dagster.params]
    assert [one["lostark/request_id"] for one in tags] == ["first", "third"]
    assert tags[0] == uploads_run("first")[1]


def test_many_uploads_share_a_run() -> None:
    dagster = Dagster()
    request(dagster, 50)

    assert len(dagster.params) == 1


def test_no_run_is_requested_while_one_collects_uploads() -> None:
    dagster = Dagster(under_way=1)
    request(dagster)

    assert dagster.filters
    assert dagster.params == []


def test_without_an_address_nothing_is_requested() -> None:
    dagster = Dagster()
    request(dagster, url=None)

    assert (dagster.filters, dagster.params) == ([], [])


def test_after_a_failure_of_dagster_the_next_upload_tries_again() -> None:
    dagster = Dagster(status=500)

    async def work() -> None:
        runs = IngestRuns(URL, httpx.MockTransport(dagster.respond))
        runs.request()
        await runs.close()
        dagster.status, dagster.launched = 200, "InvalidSubsetError"
        runs.request()
        await runs.close()
        dagster.under_way, dagster.launched = 0, "LaunchRunSuccess"
        runs.request()
        await runs.close()

    asyncio.run(work())

    assert len(dagster.params) == 2
