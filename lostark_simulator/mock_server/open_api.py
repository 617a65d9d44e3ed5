"""The Open API routes of the mock server: headers, limits and oddities of the real one.

Bodies are made in ``armory_parts`` and ``news``. Answers are kept for as long as the
real service's data stays the same, some minutes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from lostark_simulator.mock_server import news
from lostark_simulator.mock_server.armory_parts import KEY_OF_FILTER, combined, comma_number, part
from lostark_simulator.mock_server.calendar import is_weekly_maintenance
from lostark_simulator.mock_server.characters import Look, build_crowd
from lostark_simulator.mock_server.config import OPEN_API_PREFIX
from lostark_simulator.mock_server.context import MockServer, Shared
from lostark_simulator.mock_server.faults import SCOPE_FAULT
from lostark_simulator.mock_server.limits import Verdict
from lostark_simulator.mock_server.responses import HTML_TYPE, json_answer, maintenance_page

router = APIRouter(prefix=OPEN_API_PREFIX, include_in_schema=False)
REFRESH_S = 600
_MAX_JITTER = 4
_encoder = msgspec.json.Encoder()


@router.get("/armories/characters/{name}")
async def armory(request: Request, shared: Shared, name: str) -> Response:
    """Several parts of one character at once; ``null`` for a name that nobody has."""
    names = parse_filters(request.scope.get("query_string", b""))
    return _answer(request, shared, lambda: _of_person(shared, name, lambda look: combined(look, names)))


@router.get("/armories/characters/{name}/{part_name}")
async def armory_part(request: Request, shared: Shared, name: str, part_name: str) -> Response:
    """One part of one character."""
    if part_name not in KEY_OF_FILTER:
        return _answer(request, shared, None)
    return _answer(request, shared, lambda: _of_person(shared, name, lambda look: part(part_name, look)))


@router.get("/characters/{name}/siblings")
async def siblings(request: Request, shared: Shared, name: str) -> Response:
    """Everybody of the character's account; ``null`` for a name that nobody has."""
    return _answer(request, shared, lambda: _siblings(shared, name))


@router.get("/news/notices")
async def notices(
    request: Request,
    shared: Shared,
    searchText: str | None = None,  # noqa: N803 - the API's spelling
    type: str | None = None,  # noqa: A002 - the same
) -> Response:
    """Announcements, newest first."""
    return _answer(request, shared, lambda: news.search(_notices(shared), searchText, type))


@router.get("/news/events")
async def events(request: Request, shared: Shared) -> Response:
    """Events that run now."""
    return _answer(request, shared, lambda: news.events(_started_s(shared), shared.config.clock()))


@router.get("/news/alarms")
async def alarms(request: Request, shared: Shared) -> Response:
    """What the game's makers warn of."""
    return _answer(request, shared, lambda: news.alarms(shared.config.clock(), is_down_soon=_is_soon(shared)))


@router.api_route("/{path:path}", methods=["GET", "POST"])
async def unknown(request: Request, shared: Shared, path: str) -> Response:  # noqa: ARG001 - FastAPI's
    """Any other path."""
    return _answer(request, shared, None)


def parse_filters(query: bytes) -> list[str]:
    """The filters of a query string; all of them where it has none.

    Names are parted by a literal ``+``. One that was encoded (``%2B``) is a part of a name, and no filter
    has such a name: nothing is given then, as by the real service.
    """
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if key == b"filters" and value:
            return [unquote_to_bytes(name).decode("utf-8", "replace") for name in value.split(b"+")]
    return list(KEY_OF_FILTER)


def shown_remaining(remaining: int, number: int) -> int:
    """What one of several counters behind a balancer says is left: a few more or fewer from call to call."""
    digest = hashlib.blake2b(str(number).encode(), digest_size=1).digest()
    return max(remaining + digest[0] % (_MAX_JITTER + 1) - 1, 0)


def _answer(request: Request, shared: MockServer, make: Callable[[], Any] | None) -> Response:
    """What every call goes through first: maintenance, key, limit; ``make`` gives the body, None is 404."""
    config, now_s = shared.config, shared.config.clock()
    if shared.is_in_maintenance or (config.weekly_maintenance and is_weekly_maintenance(now_s)):
        return Response(maintenance_page(), 503, media_type=HTML_TYPE)
    key = _read_key(request)
    if key is None or key not in config.open_api_keys:
        return json_answer({"message": "Unauthorized"}, 401)
    verdict = shared.open_api_limit.count(key, now_s)
    headers = _limit_headers(request, shared, verdict)
    if not verdict.is_allowed:
        return json_answer({"message": "API rate limit exceeded"}, 429, headers)
    if request.method == "POST" and not request.headers.get("content-type", "").startswith(
        "application/json"
    ):
        return json_answer({"message": "Unsupported Media Type"}, 415, headers)
    if make is None:
        return json_answer({"message": "Not Found"}, 404, headers)
    place = (int(now_s // REFRESH_S), request.url.path, request.scope["query_string"])
    body = shared.bodies.get(place)
    if body is None:
        body = _encoder.encode(make())
        shared.bodies.put(place, body)
    return Response(body, 200, headers, "application/json; charset=utf-8")


def _read_key(request: Request) -> str | None:
    """The key of ``authorization: bearer KEY``: one space, no brackets, either spelling of the word."""
    word, _, key = request.headers.get("authorization", "").partition(" ")
    return key if word in ("bearer", "Bearer") and key and not key.startswith(("<", " ")) else None


def _limit_headers(request: Request, shared: MockServer, verdict: Verdict) -> dict[str, str]:
    skew_s = shared.traffic.faults.skew_s if request.scope.get(SCOPE_FAULT) == "clock_skew" else 0
    shown = shown_remaining(verdict.remaining, sum(shared.traffic.requests.values()))
    return {
        "X-RateLimit-Limit": str(shared.open_api_limit.limit),
        "X-RateLimit-Remaining": str(min(shown, shared.open_api_limit.limit - 1)),
        "X-RateLimit-Reset": str(int(-(-verdict.reset_at_s // 1)) + skew_s),
    }


def _of_person(shared: MockServer, name: str, make: Callable[[Look], Any]) -> Any:
    look = _look(shared, name)
    return None if look is None else make(look)


def _look(shared: MockServer, name: str) -> Look | None:
    crowd = build_crowd(shared.config.seed, shared.config.characters)
    person = crowd.find(name)
    if person is None:
        return None
    # Data lags behind the game, and stays the same until it is refreshed.
    seen_ms = shared.config.clock() // REFRESH_S * REFRESH_S * 1000
    return crowd.look(person, shared.season.weeks_at(seen_ms), seen_ms)


def _siblings(shared: MockServer, name: str) -> list[dict[str, Any]] | None:
    crowd = build_crowd(shared.config.seed, shared.config.characters)
    person = crowd.find(name)
    if person is None:
        return None
    looks = [_look(shared, one.name) for one in crowd.get_account(person)]
    return [
        {
            "ServerName": look.person.server,
            "CharacterName": look.person.name,
            "CharacterLevel": look.level,
            "CharacterClassName": look.person.class_name,
            "ItemAvgLevel": comma_number(look.item_level),
        }
        for look in looks
        if look is not None
    ]


def _notices(shared: MockServer) -> list[dict[str, Any]]:
    return news.notices(_started_s(shared), shared.config.clock())


def _started_s(shared: MockServer) -> float:
    return shared.season.started_ms / 1000


def _is_soon(shared: MockServer) -> bool:
    return shared.config.weekly_maintenance and is_weekly_maintenance(shared.config.clock() + 3600)
