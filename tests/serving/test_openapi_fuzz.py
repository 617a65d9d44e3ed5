"""Requests generated from the OpenAPI document, valid and invalid: never a 5xx, errors are problem documents.

Bodies are sent as well as parameters, and routes that need a key get one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from lostark_api.app import create_app
from lostark_api.services.keys import create_key, revoke_key
from lostark_assets.contracts.battle_log_api import LIST_PATH, LOG_PATH
from lostark_assets.lake.tables import Lake
from lostark_assets.settings import get_settings
from lostark_assets.sources.collect import collect
from lostark_assets.sources.configured import open_landing
from lostark_assets.sources.detect import open_source
from lostark_simulator.season import SeasonConfig, generate_fights
from lostark_simulator.upload_json import write_upload_json
from tests.serving.conftest import Client

EXAMPLES = 6
few = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def door(tmp_path_factory, url) -> Iterator[Client]:
    """A platform that takes uploads and has one to offer to others."""
    folder = tmp_path_factory.mktemp("fuzzed")
    platform = get_settings(home=folder / "home")
    fight = next(iter(generate_fights(SeasonConfig(encounters=1, seed=2, days=1, start=date(2026, 10, 5)))))
    path = write_upload_json(folder / "fight.json", fight)
    collect(open_source(path), Lake(platform.lake_url), run_id="test", earliest=date(2022, 1, 1))
    api = create_app(platform, url=url)
    api.fastapi.state.offered.hold_back = timedelta(0)
    with Client(api) as client:
        client.get("/readyz")
        yield client


@pytest.fixture(scope="module")
def bearer(url) -> Iterator[dict[str, str]]:
    key = create_key(url, "fuzz", ["upload", "logs:read"], 100_000)
    yield {"Authorization": f"Bearer {key}"}
    revoke_key(url, "fuzz")


def holds(response: Any, what: object) -> int:
    # Without a model in this app, expected DPS says so.
    is_no_model = response.status_code == 503 and response.request.url.path.endswith("/expected-dps")
    assert response.status_code < 500 or is_no_model, (what, response.text)
    if response.status_code >= 400:
        assert response.headers["Content-Type"] == "application/problem+json", what
    return int(response.status_code)


def send(door: Client, case: schemathesis.Case, keys: dict[str, str]) -> Any:
    request = case.as_transport_kwargs(base_url="http://test")
    body = {name: request[of] for name, of in (("content", "data"), ("json", "json")) if of in request}
    headers = {**request["headers"], **keys}
    return door.request(
        request["method"], request["url"], params=request.get("params"), headers=headers, **body
    )


def fuzzed(door: Client, operation: Any, keys: dict[str, str]) -> set[int]:
    """The statuses of right and wrong requests to one operation."""
    statuses = set()
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

        @few
        @given(case=operation.as_strategy(generation_mode=mode))
        def fuzz(case: schemathesis.Case) -> None:
            response = send(door, case, keys)
            statuses.add(holds(response, response.request.url))

        # An operation without parameters has nothing to be wrong about.
        with contextlib.suppress(Unsatisfiable):
            fuzz()
    return statuses


def test_no_generated_request_ends_in_a_server_error(door, bearer):
    document = door.get("/openapi.json").json()
    statuses = {}
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = result.ok()
        keys = bearer if operation.path.startswith(LIST_PATH) else {}
        statuses[operation.label] = fuzzed(door, operation, keys)

    assert len(statuses) == sum(len(methods) for methods in document["paths"].values())
    assert {200, 404, 422} <= set().union(*statuses.values())
    # The key opened them: what is wrong with a request is said, not that it lacks a key.
    assert 200 in statuses[f"GET {LIST_PATH}"]
    assert {404, 422} & statuses[f"GET {LOG_PATH}"]
    for route in (f"GET {LIST_PATH}", f"GET {LOG_PATH}", f"POST {LIST_PATH}"):
        assert not {401, 403} & statuses[route], route
    assert not open_landing(door.api.fastapi.state.settings).waiting()


@few
@given(cursor=st.text(max_size=80), limit=st.integers(-(2**70), 2**70) | st.text(max_size=5))
def test_invented_cursors_and_limits_are_refused(door, bearer, cursor, limit):
    answer = door.get(LIST_PATH, params={"after": cursor, "limit": limit}, headers=bearer)
    holds(answer, (cursor, limit))
    assert answer.status_code in (410, 422) if cursor else True


def test_an_offered_log_is_fetched_with_the_key_and_other_ids_are_not_found(door, bearer):
    [log] = door.get(LIST_PATH, headers=bearer).json()["logs"]
    assert door.get(f"{LIST_PATH}/{log['id']}", headers=bearer).json()["entities"]

    @few
    @given(wrong=st.text(min_size=1, max_size=60).filter(lambda text: text != log["id"]))
    def fuzz(wrong):
        answer = door.get(f"{LIST_PATH}/{quote(wrong, safe='')}", headers=bearer)
        assert holds(answer, wrong) in (404, 405, 422)

    fuzz()


@pytest.mark.parametrize("path", [LIST_PATH, f"{LIST_PATH}/x"])
@few
@given(words=st.sampled_from(["Bearer", "bearer", "Basic", ""]), key=st.text("lak_09AZé .-", max_size=90))
def test_invented_keys_are_refused(door, path, words, key):
    header = f"{words} {key}".encode()
    assert holds(door.get(path, headers={b"Authorization": header}), header) == 401
