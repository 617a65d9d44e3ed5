"""A request's id: the gateway's or a new one; in the header, in errors, and in a log line without names."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from lostark_api.http.metrics import ROUTE
from lostark_api.http.problems import problem_response
from lostark_api.http.request_ids import RequestIds
from lostark_assets.observability import logs
from lostark_assets.observability.logs import REQUEST_ID, get_logger

NEW = re.compile(r"[0-9a-f]{32}")


async def found(scope: Scope, receive: Receive, send: Send) -> None:
    scope[ROUTE] = "/v1/characters/{region}/{name}"
    get_logger().warning("looked_up")
    await problem_response(404, "There is no such character.")(scope, receive, send)


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("boom")


async def unavailable(scope: Scope, receive: Receive, send: Send) -> None:
    await problem_response(503, "Later.")(scope, receive, send)


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    """The client was gone."""


@pytest.fixture
def lines(monkeypatch, caplog) -> Callable[[], list[dict[str, Any]]]:
    monkeypatch.setattr(logs._OUTPUT, "file", None)
    monkeypatch.setattr(logs._OUTPUT, "service", None)
    caplog.set_level(logging.INFO, logger="lostark")
    return lambda: [json.loads(record.getMessage()) for record in caplog.records if record.name == "lostark"]


def exchange(app: ASGIApp, sent: bytes | None = None, *, logs_all: bool = True) -> tuple[dict, bytes]:
    """Headers and body of the response to one request."""
    messages: list[Any] = []

    async def collect(message: Any) -> None:
        messages.append(message)

    async def work() -> None:
        headers = [] if sent is None else [(b"x-request-id", sent)]
        scope = {"type": "http", "method": "GET", "path": "/v1/characters/KR/Name", "headers": headers}
        scope["query_string"] = b"player=Secret"
        await RequestIds(app, logs_all=logs_all)(scope, None, collect)
        assert REQUEST_ID.get() is None

    asyncio.run(work())
    head = {name.decode(): value.decode() for one in messages for name, value in one.get("headers", ())}
    return head, b"".join(one.get("body", b"") for one in messages)


def test_the_id_is_in_the_header_the_problem_and_every_line(lines):
    head, body = exchange(found, b"gateway-1._A")

    assert head["x-request-id"] == "gateway-1._A"
    assert json.loads(body)["request_id"] == "gateway-1._A"
    inner, access = lines()
    assert (inner["event"], inner["request_id"]) == ("looked_up", "gateway-1._A")
    assert access["duration_ms"] >= 0
    del access["time"], access["pid"], access["duration_ms"]
    assert access == {
        "level": "info", "event": "request", "request_id": "gateway-1._A", "method": "GET",
        "route": "/v1/characters/{region}/{name}", "status": 404, "bytes": len(body),
    }  # fmt: skip


@pytest.mark.parametrize(
    "sent", [None, b"", b"x" * 129, b"a b", b"a\nb", "이름".encode(), b'{"a"', b"a;b", b"a\n"]
)
def test_a_missing_or_odd_id_is_replaced(sent, lines):
    head, body = exchange(found, sent)

    assert NEW.fullmatch(head["x-request-id"])
    assert json.loads(body)["request_id"] == head["x-request-id"] == lines()[-1]["request_id"]


def test_the_longest_valid_id_is_kept():
    assert exchange(found, b"x" * 128)[0]["x-request-id"] == "x" * 128


def test_two_requests_have_two_ids():
    assert exchange(found)[0] != exchange(found)[0]


def test_with_files_only_failed_requests_are_lines(lines):
    exchange(found, logs_all=False)
    exchange(silent, logs_all=False)
    assert [line["event"] for line in lines()] == ["looked_up"]

    exchange(unavailable, logs_all=False)
    with pytest.raises(ValueError, match="boom"):
        exchange(broken, logs_all=False)
    failed = lines()[1:]
    assert [(line["event"], line["level"], line["status"]) for line in failed] == [
        ("request", "error", 503), ("request", "error", 500),
    ]  # fmt: skip


def test_a_client_that_was_gone_is_no_failure(lines):
    exchange(silent)

    [line] = lines()
    assert (line["level"], line["status"], line["route"]) == ("info", None, "unmatched")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/gates", 200),
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/gates", 411),
        ("GET", "/healthz", 200),
    ],
)
def test_every_response_of_the_api_has_an_id(client, method, path, status):
    response = client.request(method, path, headers={"X-Request-ID": "mine", "Transfer-Encoding": "chunked"})

    assert (response.status_code, response.headers["x-request-id"]) == (status, "mine")
    if status != 200:
        assert response.json()["request_id"] == "mine"


def test_a_cached_response_has_the_id_of_its_own_request(client):
    ids = [client.get("/v1/gates", headers={"X-Request-ID": one}).headers["x-request-id"] for one in "ab"]

    assert ids == ["a", "b"]
