"""The mock server serves battle logs according to the contract, over real sockets."""

from __future__ import annotations

import hashlib
import json

import httpx
import pytest

from lostark_assets.contracts.battle_log_api import LIST_PATH, BattleLogPage, Problem
from lostark_simulator.mock_server.config import MockServerConfig
from lostark_simulator.mock_server.running import mock_server_process, running_mock_server, running_season

TINY = MockServerConfig(history=25, tiny_logs=True, new_fight_every_s=0, late_share=0, reupload_share=0)


@pytest.fixture
def mock_server():
    with running_season(TINY) as (url, season), httpx.Client(base_url=url) as client:
        yield client, season


def get_page(client, **query):
    response = client.get(LIST_PATH, params=query)
    assert response.status_code == 200, response.text
    return BattleLogPage.model_validate_json(response.content)


def walk(client, limit, after=None):
    """All logs after a cursor, page by page, and the last cursor."""
    found = []
    for _ in range(100):
        page = get_page(client, limit=limit, **({"after": after} if after else {}))
        after = page.next_cursor
        if not page.logs:
            return found, after
        found += page.logs
    raise AssertionError("the listing does not end")


def test_pages_give_every_log_once_in_the_order_of_updated_at_and_id(mock_server):
    client, season = mock_server
    logs, _ = walk(client, limit=7)

    assert len(logs) == season.logs == 25
    assert [(log.updated_at, log.id) for log in logs] == sorted((log.updated_at, log.id) for log in logs)
    assert len({log.id for log in logs}) == 25


def test_hash_and_size_are_those_of_the_json_before_gzip(mock_server):
    client, _ = mock_server
    entry = get_page(client, limit=1).logs[0]
    response = client.get(f"{LIST_PATH}/{entry.id}")

    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-encoding"] == "gzip"
    assert int(response.headers["content-length"]) < entry.size_bytes == len(response.content)
    assert hashlib.sha256(response.content).hexdigest() == entry.content_sha256
    assert json.loads(response.content)["fightStart"] == entry.fight_started_at.timestamp() * 1000


def test_an_old_cursor_returns_new_late_and_edited_logs(mock_server):
    client, _ = mock_server
    known, cursor = walk(client, limit=1000)
    assert get_page(client, after=cursor).logs == []

    fresh = client.post("/mock-server/grow", json={"fights": 1}).json()["logs"]
    late = client.post("/mock-server/grow", json={"fights": 1, "late_days": 9}).json()["logs"]
    edited = client.post("/mock-server/grow", json={"edited": 1}).json()["logs"]
    since, _ = walk(client, limit=1, after=cursor)

    assert [log.id for log in since] == [fresh[0]["id"], edited[0]["id"]]
    assert edited[0]["id"] == late[0]["id"]
    assert edited[0]["content_sha256"] != late[0]["content_sha256"]
    assert (since[0].fight_started_at - since[1].fight_started_at).days in (8, 9)
    body = client.get(f"{LIST_PATH}/{since[1].id}").content
    assert hashlib.sha256(body).hexdigest() == since[1].content_sha256 == edited[0]["content_sha256"]
    assert {log.id for log in since}.isdisjoint(log.id for log in known)


def test_an_expired_cursor_is_410_and_the_logs_keep_their_ids(mock_server):
    client, _ = mock_server
    before, cursor = walk(client, limit=1000)
    client.post("/mock-server/forget-cursors")
    response = client.get(LIST_PATH, params={"after": cursor})

    assert response.status_code == 410
    assert response.headers["content-type"] == "application/problem+json"
    assert cursor in Problem.model_validate_json(response.content).detail
    assert walk(client, limit=10)[0] == before


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/v1/battle-logs/unknown-0", 404, "unknown-0"),
        ("/v1/battle-logs?limit=0", 422, "limit"),
        ("/v1/battle-logs?limit=1001", 422, "1000"),
        ("/v1/battle-logs?after=another-season", 410, "another-season"),
        ("/v1/nothing", 404, "Not Found"),
    ],
)
def test_errors_are_problem_documents_with_the_cause(mock_server, path, status, says):
    client, _ = mock_server
    response = client.get(path)
    found = Problem.model_validate_json(response.content)

    assert (response.status_code, found.status) == (status, status)
    assert response.headers["content-type"] == "application/problem+json"
    assert says in found.detail


def test_a_token_is_required_if_configured():
    with running_mock_server(MockServerConfig(history=1, tiny_logs=True, battle_log_token="s3cret")) as url:
        statuses = [
            httpx.get(url + LIST_PATH, headers=headers).status_code
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer s3cret"})
        ]
        refused = httpx.get(url + LIST_PATH)

    assert statuses == [401, 401, 200]
    assert "s3cret" not in refused.text


def test_the_request_limit_is_exact_and_returns_retry_after():
    now = [1_795_000_000.0]
    config = MockServerConfig(
        history=1, tiny_logs=True, new_fight_every_s=0, battle_log_limit=3, clock=lambda: now[0]
    )
    with running_mock_server(config) as url, httpx.Client(base_url=url) as client:
        statuses = [client.get(LIST_PATH).status_code for _ in range(4)]
        refused = client.get(LIST_PATH)
        now[0] += 61
        later = client.get(LIST_PATH)

    assert statuses == [200, 200, 200, 429]
    assert refused.headers["retry-after"] == "60"
    assert later.status_code == 200


def test_requests_are_counted_by_route_except_control_routes(mock_server):
    client, _ = mock_server
    client.delete("/mock-server/counts")
    entry = get_page(client, limit=1).logs[0]
    for _ in range(3):
        client.get(f"{LIST_PATH}/{entry.id}")
    client.get(f"{LIST_PATH}/unknown")
    counts = client.get("/mock-server/counts").json()

    assert counts["requests"]["battle_logs.list"] == 1
    assert counts["requests"]["battle_logs.fetch"] == 4
    assert counts["statuses"] == {"200": 4, "404": 1}
    assert counts["busiest"] == {"battle_logs": 5}


def test_a_mock_server_runs_in_a_separate_process():
    with mock_server_process(MockServerConfig(history=3, tiny_logs=True)) as url:
        logs = httpx.get(url + LIST_PATH).json()["logs"]

    assert len(logs) == 3
    with pytest.raises(httpx.ConnectError):
        httpx.get(url + LIST_PATH)


def test_cached_and_regenerated_bodies_have_equal_responses():
    config = MockServerConfig(history=2, hits_per_player=20, new_fight_every_s=0, cache_bytes=1, dirt=False)
    with running_season(config) as (url, season), httpx.Client(base_url=url) as client:
        record = season.page(None, 1).records[0]
        season.grow(1)
        assert season.ready_body(record) is None
        generated, cached = (client.get(f"{LIST_PATH}/{record.id}") for _ in range(2))
        assert season.ready_body(record) is not None

    assert generated.content == cached.content
    assert dict(generated.headers) | {"date": ""} == dict(cached.headers) | {"date": ""}


def test_cached_bodies_require_the_token_and_count_against_the_limit():
    config = MockServerConfig(history=1, tiny_logs=True, battle_log_token="s3cret", battle_log_limit=2)
    with running_season(config) as (url, season):
        path = f"{url}{LIST_PATH}/{season.page(None, 1).records[0].id}"
        right = {"Authorization": "Bearer s3cret"}
        statuses = [httpx.get(path, headers=headers).status_code for headers in ({}, right, right, right)]

    assert statuses == [401, 200, 200, 429]
