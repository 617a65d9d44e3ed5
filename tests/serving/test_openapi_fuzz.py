"""Requests made from the OpenAPI document, right and wrong: never a 5xx, errors are problem documents."""

from __future__ import annotations

import contextlib

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

EXAMPLES = 6


def test_no_request_that_the_document_suggests_ends_in_a_server_error(client):
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    statuses = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def fuzz(case):
                request = case.as_transport_kwargs(base_url="http://test")
                response = client.request(
                    request["method"],
                    request["url"],
                    params=request.get("params"),
                    headers=request.get("headers"),
                )
                statuses.add(response.status_code)
                assert response.status_code < 500, (request["url"], response.text)
                if response.status_code >= 400:
                    assert response.headers["Content-Type"] == "application/problem+json"

            # An operation without parameters has nothing to be wrong about.
            with contextlib.suppress(Unsatisfiable):
                fuzz()
    assert {200, 404, 422} <= statuses
