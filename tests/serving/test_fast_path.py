"""Builds: the fast path and the route accept and understand the same, and the OpenAPI schema allows it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lostark_api.fast_path import FastPath
from lostark_api.http.metrics import Metrics
from lostark_api.schemas.builds import (
    EXAMPLE,
    MAX_BUILDS,
    MAX_COMPANIONS,
    Build,
    Companion,
    decode_builds,
    make_openapi_schemas,
)
from lostark_api.services.champion import ActiveChampion
from lostark_api.services.expected import MAX_INLINE_BUILDS, make_player_build
from tests.serving.test_expected_dps import BUILD

NOW_US = 1_700_000_000_000_000
FRIEND = BUILD["party"][0]
BUILD_FIELDS = [field.encode_name for field in msgspec.structs.fields(Build)]
COMPANION_FIELDS = [field.encode_name for field in msgspec.structs.fields(Companion)]


def build_body(**changed: Any) -> bytes:
    """A request for one build; ``None`` is sent as null."""
    return json.dumps({"builds": [{**BUILD, **changed}]}).encode()


def decode(body: bytes) -> list[Build] | None:
    """The decoded builds; None: the body is refused."""
    try:
        return decode_builds(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


class Recorder:
    """A champion that records which builds it gets, as the model reads them."""

    version = 1

    def __init__(self) -> None:
        self.planned: list[str] = []

    def expect(self, builds):
        self.planned.append(repr([make_player_build(build, NOW_US) for build in builds]))
        return [None for _ in builds]


@pytest.fixture
def send(client, monkeypatch):
    """Sends a body on the fast path or to the route; returns the status and what the champion got."""

    def send(body: bytes, *, is_fast: bool) -> tuple[int, list[str], bytes]:
        recorder = Recorder()
        monkeypatch.setattr(client.api.fastapi.state.champion, "predictor", recorder)
        media_type = "application/json" if is_fast else "application/json; charset=utf-8"
        headers = {"Content-Type": media_type, "X-Request-ID": "the-same"}
        response = client.request("POST", "/v1/expected-dps", content=body, headers=headers)
        return response.status_code, recorder.planned, response.content

    return send


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"item_level": 1, "combat_power": 0, "region": "KR"},
        {"item_level": 3000.0, "combat_power": 1e9, "is_uploader": True},
        {"item_level": 1745.123456789012345678, "combat_power": None},
        {"class_name": "바드", "spec_name": "절실한 구원"},
        {"class_name": "x" * 100, "raid_name": "바" * 100},
        {"party": []},
        {"party": [{**FRIEND, "item_level": None}] * MAX_COMPANIONS},
        {"is_ark_passive_active": True, "support_ap": 0, "support_brand": 1, "support_identity": 0.5},
        {"support_hyper": None, "is_ark_passive_active": None, "fight_started_at": None},
        {"fight_started_at": "2025-03-01T10:00:00Z"},
        {"fight_started_at": "2025-03-01T10:00:00.1234567+09:00"},
    ],
)
def test_a_valid_build_means_the_same_on_the_fast_path_and_the_route(send, changed):
    body = build_body(**changed)
    fast, route = send(body, is_fast=True), send(body, is_fast=False)

    assert fast == route
    assert (fast[0], len(fast[1])) == (200, 1)
    assert is_in_schema(body)


@pytest.mark.parametrize(
    "changed",
    [
        {"item_level": "1745"},
        {"is_uploader": 1},
        {"is_ark_passive_active": "yes"},
        {"fight_started_at": 1_740_823_200},
        {"item_level": 0.99},
        {"item_level": 3000.01},
        {"item_level": None},
        {"combat_power": -1},
        {"combat_power": 1e9 + 1},
        {"combat_power": float("nan")},
        {"combat_power": float("inf")},
        {"support_ap": 1.01},
        {"class_name": ""},
        {"class_name": "x" * 101},
        {"class_name": "x\0"},
        {"region": None},
        {"is_uploader": None},
        {"party": None},
        {"party": [FRIEND] * (MAX_COMPANIONS + 1)},
        {"party": [{**FRIEND, "region": "KR"}]},
        {"party": [{"class_name": "Bard"}]},
        {"player_name": "x"},
        {"moment": "2025-03-01T10:00:00Z"},
        {"fight_started_at": "2025-03-01T10:00:00"},
        {"fight_started_at": "2019-12-31T23:59:59Z"},
        {"fight_started_at": "2100-01-01T00:00:01Z"},
        {"fight_started_at": "soon"},
    ],
)
def test_an_invalid_build_is_refused_with_its_place_in_the_request(send, changed):
    status, planned, content = send(build_body(**changed), is_fast=True)

    assert (status, planned) == (422, [])
    assert send(build_body(**changed), is_fast=False) == (status, planned, content)
    [error] = json.loads(content)["errors"]
    assert error["where"].startswith("body")


@pytest.mark.parametrize(
    ("count", "status"),
    [(0, 422), (1, 200), (MAX_INLINE_BUILDS, 200), (17, 200), (MAX_BUILDS, 200), (MAX_BUILDS + 1, 422)],
)
def test_the_number_of_builds_is_limited(send, count, status):
    body = json.dumps({"builds": [BUILD] * count}).encode()

    assert send(body, is_fast=True)[0] == send(body, is_fast=False)[0] == status


def is_in_schema(body: bytes) -> bool:
    """Whether a body fits the schema of the OpenAPI document."""
    document = {"components": {"schemas": make_openapi_schemas()}, "$ref": "#/components/schemas/Builds"}
    return jsonschema.Draft202012Validator(document).is_valid(json.loads(body))


def test_the_openapi_document_has_the_schema_that_is_decoded_with(client):
    document = client.get("/openapi.json").json()
    body = document["paths"]["/v1/expected-dps"]["post"]["requestBody"]["content"]["application/json"]

    assert body["schema"] == {"$ref": "#/components/schemas/Builds"}
    assert list(document["components"]["schemas"]["Build"]["properties"]) == BUILD_FIELDS
    assert decode(json.dumps(body["example"]).encode()) == decode(json.dumps(EXAMPLE).encode()) is not None


GOOD = build_body()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[" * 100_000,
        GOOD + b"x",
        GOOD + b" \n",
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b"Reflux", b"\xff"),
        GOOD.replace(b"Reflux", b"\xed\xa0\x80"),
        GOOD.replace(b"Reflux", b"\\ud800"),
        GOOD.replace(b"Reflux", b"\\ud83d\\ude00"),
        GOOD.replace(b"Reflux", b"\\uc808"),
        GOOD.replace(b"Reflux", b"\\u0000"),
        GOOD.replace(b"Reflux", b"\\\\u0000"),
        GOOD.replace(b"Reflux", b"a\x00"),
        GOOD.replace(b"Reflux", b"a\nb"),
        GOOD.replace(b"Reflux", b"a\\nb\x7f"),
        GOOD.replace(b"spec_name", b"spec\\u005fname"),
        GOOD.replace(b'"item_level": 1745.0', b'"item_level": 1, "item_level": 1745'),
        GOOD.replace(b'"item_level": 1745.0', b'"item_level": 1745, "item_level": 1700.5'),
        GOOD.replace(b'"item_level": 1745.0', b'"item_level": 1745, "item_level": null'),
        GOOD.replace(b'"item_level": 1745.0', b'"item_level": null, "item_level": 1745'),
        GOOD.replace(b"1745.0", b"1745.00000000000011368683772161602973937988281250001"),
        GOOD.replace(b"1745.0", b"0.1745e4"),
        GOOD.replace(b"1745.0", b"1e400"),
        GOOD.replace(b"1745.0", b"01745"),
        GOOD.replace(b"1745.0", b"+1745"),
        GOOD.replace(b"1745.0", b"1745."),
        GOOD.replace(b"4200.0", b"-0"),
        GOOD.replace(b"4200.0", b"-0.0"),
        GOOD.replace(b"4200.0", b"1e-400"),
        GOOD.replace(b"4200.0", b"4" + b"0" * 400),
        b'{"builds": [], ' + GOOD[1:],
        b'{"more": 1, ' + GOOD[1:],
    ],
)
def test_odd_bodies_mean_the_same_on_the_fast_path_and_the_route(send, body):
    fast, route = send(body, is_fast=True), send(body, is_fast=False)

    assert fast == route
    assert fast[0] in (200, 422)


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3002),
    st.integers(),
    st.floats(-1, 3001),
    st.floats(),
    st.text(max_size=3),
    st.text(min_size=99, max_size=101),
    st.datetimes().map(lambda at: at.isoformat()),
    st.datetimes(timezones=st.timezones()).map(lambda at: at.isoformat()),
    st.lists(st.just(FRIEND), max_size=2),
    st.dictionaries(st.sampled_from([*COMPANION_FIELDS, "x"]), st.floats(0, 2000), max_size=3),
)


@given(
    changed=st.dictionaries(st.sampled_from([*BUILD_FIELDS, "x"]), ANYTHING, max_size=3),
    of_friend=st.dictionaries(st.sampled_from([*COMPANION_FIELDS, "x"]), ANYTHING, max_size=1),
    left_out=st.sets(st.sampled_from([*BUILD]), max_size=1),
    is_ascii=st.booleans(),
)
@settings(
    max_examples=2000,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_whatever_is_decoded_fits_the_documented_schema(changed, of_friend, left_out, is_ascii):
    build = {**BUILD, "party": [{**FRIEND, **of_friend}], **changed}
    request = {"builds": [{name: value for name, value in build.items() if name not in left_out}]}
    body = json.dumps(request, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")

    assert decode(body) is None or is_in_schema(body)


@pytest.mark.parametrize(("body", "is_passed_on"), [(GOOD, False), (build_body(item_level="1745"), True)])
def test_only_what_the_fast_path_refuses_reaches_the_route(body, is_passed_on):
    reached, sent = [], []

    async def route(scope, receive, send):
        reached.append((await receive())["body"])

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    scope = {"type": "http", "method": "POST", "path": "/v1/expected-dps", "headers": headers}
    asyncio.run(FastPath(route, ActiveChampion(None), Metrics())(scope, receive, send))

    assert (reached, bool(sent)) == (([body], False) if is_passed_on else ([], True))
