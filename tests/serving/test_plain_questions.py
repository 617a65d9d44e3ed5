"""Questions read in front of the route: whatever is accepted there, the route accepts, and means the same."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lostark_api.fast_path import ExpectedInFront
from lostark_api.http.metrics import Metrics
from lostark_api.schemas.builds import (
    MAX_COMPANIONS,
    MAX_INLINE_BUILDS,
    Build,
    Builds,
    Companion,
    PlainBuild,
    PlainCompanion,
    decode_plain_builds,
)
from lostark_api.services.champion import Champion
from lostark_api.services.expected import planned
from tests.serving.test_expected_dps import BUILD

NOW_US = 1_700_000_000_000_000
FRIEND = BUILD["party"][0]


def build_body(**changed: Any) -> bytes:
    """A question for one build; ``None`` stands for itself, so that nulls can be asked."""
    return json.dumps({"builds": [{**BUILD, **changed}]}).encode()


def plainly(body: bytes) -> str | None:
    """What the front understands, as the model is asked it; None: it passes the question on."""
    try:
        return repr([planned(build, NOW_US) for build in decode_plain_builds(body)])
    except (msgspec.MsgspecError, ValueError):
        return None


def by_the_route(body: bytes) -> str | None:
    """What the route understands; None: it refuses."""
    try:
        return repr([planned(build, NOW_US) for build in Builds.model_validate_json(body).builds])
    except ValidationError:
        return None


@pytest.mark.parametrize(("plain", "model"), [(PlainBuild, Build), (PlainCompanion, Companion)])
def test_plain_questions_have_the_fields_of_the_documented_ones(plain, model):
    found = {field.encode_name: field.required for field in msgspec.structs.fields(plain)}

    assert found == {name: field.is_required() for name, field in model.model_fields.items()}


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
def test_plain_questions_mean_what_the_route_understands(changed):
    body = build_body(**changed)

    assert plainly(body) is not None
    assert plainly(body) == by_the_route(body)


@pytest.mark.parametrize(
    ("changed", "is_right"),
    [
        ({"item_level": "1745"}, True),
        ({"is_uploader": 1}, True),
        ({"is_ark_passive_active": "yes"}, True),
        ({"fight_started_at": 1_740_823_200}, True),
        ({"item_level": 0.99}, False),
        ({"item_level": 3000.01}, False),
        ({"item_level": None}, False),
        ({"combat_power": -1}, False),
        ({"combat_power": 1e9 + 1}, False),
        ({"combat_power": float("nan")}, False),
        ({"combat_power": float("inf")}, False),
        ({"support_ap": 1.01}, False),
        ({"class_name": ""}, False),
        ({"class_name": "x" * 101}, False),
        ({"class_name": "x\0"}, False),
        ({"region": None}, False),
        ({"is_uploader": None}, False),
        ({"party": None}, False),
        ({"party": [FRIEND] * (MAX_COMPANIONS + 1)}, False),
        ({"party": [{**FRIEND, "region": "KR"}]}, False),
        ({"party": [{"class_name": "Bard"}]}, False),
        ({"player_name": "x"}, False),
        ({"moment": "2025-03-01T10:00:00Z"}, False),
        ({"fight_started_at": "2025-03-01T10:00:00"}, False),
        ({"fight_started_at": "2019-12-31T23:59:59Z"}, False),
        ({"fight_started_at": "2100-01-01T00:00:01Z"}, False),
        ({"fight_started_at": "soon"}, False),
    ],
)
def test_other_questions_are_left_to_the_route(changed, is_right):
    body = build_body(**changed)

    assert plainly(body) is None
    assert (by_the_route(body) is not None) == is_right


@pytest.mark.parametrize(
    ("count", "is_plain"), [(0, False), (1, True), (MAX_INLINE_BUILDS, True), (17, False)]
)
def test_so_many_builds_are_plain(count, is_plain):
    body = json.dumps({"builds": [BUILD] * count}).encode()

    assert (plainly(body) is not None) == is_plain


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
def test_odd_bodies_mean_the_same_or_are_left_to_the_route(body):
    found = plainly(body)

    assert found is None or found == by_the_route(body)


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
    st.dictionaries(st.sampled_from([*Companion.model_fields, "x"]), st.floats(0, 2000), max_size=3),
)


@given(
    changed=st.dictionaries(st.sampled_from([*Build.model_fields, "x"]), ANYTHING, max_size=3),
    of_friend=st.dictionaries(st.sampled_from([*Companion.model_fields, "x"]), ANYTHING, max_size=1),
    left_out=st.sets(st.sampled_from([*BUILD]), max_size=1),
    is_ascii=st.booleans(),
)
@settings(max_examples=2000, deadline=None, derandomize=True, database=None)
def test_whatever_is_plain_is_right_and_means_the_same(changed, of_friend, left_out, is_ascii):
    build = {**BUILD, "party": [{**FRIEND, **of_friend}], **changed}
    asked = {"builds": [{name: value for name, value in build.items() if name not in left_out}]}
    body = json.dumps(asked, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")

    found = plainly(body)

    assert found is None or found == by_the_route(body)


@pytest.mark.parametrize(("body", "is_passed_on"), [(GOOD, False), (build_body(item_level="1745"), True)])
def test_only_what_is_not_plain_reaches_the_route(body, is_passed_on):
    reached, sent = [], []

    async def route(scope, receive, send):
        reached.append((await receive())["body"])

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    scope = {"type": "http", "method": "POST", "path": "/v1/expected-dps", "headers": headers}
    asyncio.run(ExpectedInFront(route, Champion(None), Metrics())(scope, receive, send))

    assert (reached, bool(sent)) == (([body], False) if is_passed_on else ([], True))
