"""Every kind of fault, on and off, from a client's side over real sockets."""

from __future__ import annotations

import contextlib
import json
import time
from email.utils import parsedate_to_datetime

import httpx
import pytest

from lostark_assets.contracts.battle_log_api import LIST_PATH, BattleLogPage
from lostark_simulator.mock_server.config import (
    DEMO_OPEN_API_KEY,
    FAULT_KINDS,
    OPEN_API_PREFIX,
    FaultConfig,
    MockServerConfig,
)
from lostark_simulator.mock_server.running import running_mock_server

KEY = {"authorization": f"bearer {DEMO_OPEN_API_KEY}"}
NOTICES = f"{OPEN_API_PREFIX}/news/notices"


@pytest.fixture(scope="module")
def client():
    config = MockServerConfig(history=40, tiny_logs=True, new_fight_every_s=0, faults=FaultConfig(share=0.0))
    with running_mock_server(config) as url, httpx.Client(base_url=url, headers=KEY) as opened:
        yield opened


@contextlib.contextmanager
def faulty(client, kind, **how):
    """Inject one kind of fault into every request until the block ends."""
    assert client.post("/mock-server/faults", json={"share": 1.0, "kinds": [kind], **how}).status_code == 200
    try:
        yield
    finally:
        client.post("/mock-server/faults", json={"share": 0.0})


def first_log(client):
    return f"{LIST_PATH}/{client.get(LIST_PATH).json()['logs'][0]['id']}"


def paths(client):
    return [LIST_PATH, first_log(client), NOTICES]


def test_without_faults_all_requests_succeed(client):
    client.delete("/mock-server/counts")
    for path in paths(client):
        assert client.get(path).status_code == 200
    counts = client.get("/mock-server/counts").json()

    assert counts["faults"] == {}
    assert counts["statuses"] == {"200": 4}


@pytest.mark.parametrize(
    ("kind", "status", "content_type"),
    [
        ("429", 429, "application/json"),
        ("500", 500, "application/json"),
        ("502", 502, "text/html; charset=utf-8"),
        ("503_html", 503, "text/html; charset=utf-8"),
        ("wrong_type", 200, "text/html; charset=utf-8"),
    ],
)
def test_responses_that_bypass_the_routes(client, kind, status, content_type):
    wanted = paths(client)
    with faulty(client, kind, retry_after_s=7):
        found = [client.get(path) for path in wanted]

    assert [(one.status_code, one.headers["content-type"]) for one in found] == [(status, content_type)] * 3
    assert [one.headers.get("retry-after") for one in found] == ["7" if kind == "429" else None] * 3
    assert [client.get(path).status_code for path in wanted] == [200] * 3


def test_a_slow_body_is_complete_but_delayed(client):
    path = first_log(client)
    body = client.get(path).content
    with faulty(client, "slow_body", slow_body_s=0.3):
        began = time.perf_counter()
        slow = client.get(path)
        took_s = time.perf_counter() - began

    assert slow.content == body
    assert took_s >= 0.3


def test_a_cut_body_ends_before_its_length(client):
    wanted = paths(client)
    with faulty(client, "cut_body"):
        for path in wanted:
            with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
                client.get(path)

    assert [client.get(path).status_code for path in wanted] == [200] * 3


def test_malformed_json_has_correct_type_length_and_compression(client):
    wanted = paths(client)
    whole = [client.get(path).content for path in wanted]
    with faulty(client, "malformed_json"):
        found = [client.get(path) for path in wanted]

    for response, right in zip(found, whole, strict=True):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("application/json")
        assert 0 < len(response.content) < len(right)
        with pytest.raises(ValueError, match=r"Unterminated|Expecting|Invalid|Extra"):
            json.loads(response.content)


def test_a_duplicated_page_repeats_logs_and_its_cursor_is_correct(client):
    first = BattleLogPage.model_validate(client.get(LIST_PATH, params={"limit": 10}).json())
    query = {"limit": 10, "after": first.next_cursor}
    right = BattleLogPage.model_validate(client.get(LIST_PATH, params=query).json())
    with faulty(client, "duplicated_page"):
        wrong = BattleLogPage.model_validate(client.get(LIST_PATH, params=query).json())

    assert wrong.next_cursor == right.next_cursor
    assert wrong.logs == first.logs[-5:] + right.logs + right.logs[-5:]


def test_a_reordered_page_has_the_same_logs_and_its_cursor_is_correct(client):
    right = BattleLogPage.model_validate(client.get(LIST_PATH, params={"limit": 10}).json())
    with faulty(client, "reordered_page"):
        wrong = BattleLogPage.model_validate(client.get(LIST_PATH, params={"limit": 10}).json())

    assert wrong.next_cursor == right.next_cursor
    assert wrong.logs == right.logs[::-1] != right.logs


def test_a_skewed_clock_moves_date_updated_at_and_reset_and_nothing_else(client):
    def seen():
        page = client.get(LIST_PATH, params={"limit": 5})
        reset = int(client.get(NOTICES).headers["X-RateLimit-Reset"])
        return parsedate_to_datetime(page.headers["date"]), BattleLogPage.model_validate(page.json()), reset

    right_at, right, right_reset = seen()
    with faulty(client, "clock_skew", skew_s=7200):
        wrong_at, wrong, wrong_reset = seen()

    assert 7195 <= (wrong_at - right_at).total_seconds() <= 7230
    assert {
        (b.updated_at - a.updated_at).total_seconds() for a, b in zip(right.logs, wrong.logs, strict=True)
    } == {7200}
    assert [log.fight_started_at for log in wrong.logs] == [log.fight_started_at for log in right.logs]
    assert wrong.next_cursor == right.next_cursor
    assert 7195 <= wrong_reset - right_reset <= 7290


def test_a_share_of_requests_fails_reproducibly(client):
    def run():
        client.delete("/mock-server/counts")
        client.post("/mock-server/faults", json={"share": 0.3, "kinds": ["500", "502"], "seed": 5})
        return [client.get(LIST_PATH).status_code for _ in range(60)]

    first, second = run(), run()
    made = client.get("/mock-server/counts").json()["faults"]
    client.post("/mock-server/faults", json={"share": 0.0})

    assert first == second
    assert 8 <= sum(status != 200 for status in first) <= 28
    assert made == {"500": first.count(500), "502": first.count(502)}


def test_control_routes_have_no_faults_and_refuse_invalid_input(client):
    with faulty(client, "500"):
        assert client.get("/mock-server/counts").status_code == 200
        refused = [
            client.post("/mock-server/faults", json=wrong)
            for wrong in ({"share": 2}, {"kinds": ["404"]}, {"kinds": []}, {"shore": 0.1})
        ]
        still = client.get(LIST_PATH).status_code

    assert [response.status_code for response in refused] == [422] * 4
    assert "share" in refused[0].json()["detail"]
    assert still == 500


def test_every_kind_of_fault_was_injected():
    made = {"429", "500", "502", "503_html", "wrong_type", "slow_body", "cut_body", "malformed_json"}
    made |= {"duplicated_page", "reordered_page", "clock_skew"}

    assert made == set(FAULT_KINDS)
