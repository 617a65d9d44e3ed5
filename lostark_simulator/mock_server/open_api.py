"""The Open API routes of the mock server: headers, limits and oddities of the real one.

``armory_parts`` and ``news`` build the bodies. Responses are cached for as long as the real service's data
stays the same, some minutes.
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
from lostark_simulator.mock_server.characters import Profile, build_characters
from lostark_simulator.mock_server.config import OPEN_API_PREFIX
from lostark_simulator.mock_server.context import MockServer, Shared
from lostark_simulator.mock_server.faults import SCOPE_FAULT
from lostark_simulator.mock_server.limits import Verdict
from lostark_simulator.mock_server.responses import HTML_TYPE, json_response, maintenance_page

router = APIRouter(prefix=OPEN_API_PREFIX, include_in_schema=False)
REFRESH_S = 600
_MAX_JITTER = 4
_encoder = msgspec.json.Encoder()


@router.get("/armories/characters/{name}")
async def armory(request: Request, shared: Shared, name: str) -> Response:
    """Several parts of one character at once; ``null`` for an unknown name."""
    names = parse_filters(request.scope.get("query_string", b""))
    return _respond(
        request, shared, lambda: _build_for_character(shared, name, lambda profile: combined(profile, names))
    )


@router.get("/armories/characters/{name}/{part_name}")
async def armory_part(request: Request, shared: Shared, name: str, part_name: str) -> Response:
    """One part of one character."""
    if part_name not in KEY_OF_FILTER:
        return _respond(request, shared, None)
    return _respond(
        request, shared, lambda: _build_for_character(shared, name, lambda profile: part(part_name, profile))
    )


@router.get("/characters/{name}/siblings")
async def siblings(request: Request, shared: Shared, name: str) -> Response:
    """All characters of the account; ``null`` for an unknown name."""
    return _respond(request, shared, lambda: _siblings(shared, name))


@router.get("/news/notices")
async def notices(
    request: Request,
    shared: Shared,
    searchText: str | None = None,  # noqa: N803 - the API's spelling
    type: str | None = None,  # noqa: A002 - the same
) -> Response:
    """Announcements, newest first."""
    return _respond(request, shared, lambda: news.search(_notices(shared), searchText, type))


@router.get("/news/events")
async def events(request: Request, shared: Shared) -> Response:
    """Current events."""
    return _respond(request, shared, lambda: news.events(_started_s(shared), shared.config.clock()))


@router.get("/news/alarms")
async def alarms(request: Request, shared: Shared) -> Response:
    """Alarms of the game's publisher."""
    return _respond(
        request, shared, lambda: news.alarms(shared.config.clock(), is_down_soon=_is_soon(shared))
    )


@router.api_route("/{path:path}", methods=["GET", "POST"])
async def unknown(request: Request, shared: Shared, path: str) -> Response:  # noqa: ARG001 - FastAPI's
    """Any other path."""
    return _respond(request, shared, None)


def parse_filters(query: bytes) -> list[str]:
    """The filters of a query string; all filters if it has none.

    Names are separated by a literal ``+``. An encoded one (``%2B``) is part of a name, and no filter has such
    a name: no parts are returned then, as by the real service.
    """
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if key == b"filters" and value:
            return [unquote_to_bytes(name).decode("utf-8", "replace") for name in value.split(b"+")]
    return list(KEY_OF_FILTER)


def shown_remaining(remaining: int, number: int) -> int:
    """Remaining requests as reported by one of several counters behind a load balancer: not monotonic."""
    digest = hashlib.blake2b(str(number).encode(), digest_size=1).digest()
    return max(remaining + digest[0] % (_MAX_JITTER + 1) - 1, 0)


def _respond(request: Request, shared: MockServer, make: Callable[[], Any] | None) -> Response:
    """Check maintenance, key and limit, then respond with the body from ``make``; 404 if ``make`` is None."""
    config, now_s = shared.config, shared.config.clock()
    if shared.is_in_maintenance or (config.weekly_maintenance and is_weekly_maintenance(now_s)):
        return Response(maintenance_page(), 503, media_type=HTML_TYPE)
    key = _read_key(request)
    if key is None or key not in config.open_api_keys:
        return json_response({"message": "Unauthorized"}, 401)
    verdict = shared.open_api_limit.count(key, now_s)
    headers = _limit_headers(request, shared, verdict)
    if not verdict.is_allowed:
        return json_response({"message": "API rate limit exceeded"}, 429, headers)
    if request.method == "POST" and not request.headers.get("content-type", "").startswith(
        "application/json"
    ):
        return json_response({"message": "Unsupported Media Type"}, 415, headers)
    if make is None:
        return json_response({"message": "Not Found"}, 404, headers)
    place = (int(now_s // REFRESH_S), request.url.path, request.scope["query_string"])
    body = shared.bodies.get(place)
    if body is None:
        body = _encoder.encode(make())
        shared.bodies.put(place, body)
    return Response(body, 200, headers, "application/json; charset=utf-8")


def _read_key(request: Request) -> str | None:
    """The key of ``authorization: bearer KEY``: one space, no brackets, upper or lower case b."""
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


def _build_for_character(shared: MockServer, name: str, make: Callable[[Profile], Any]) -> Any:
    profile = _get_profile(shared, name)
    return None if profile is None else make(profile)


def _get_profile(shared: MockServer, name: str) -> Profile | None:
    characters = build_characters(shared.config.seed, shared.config.characters)
    person = characters.find(name)
    if person is None:
        return None
    # Data lags behind the game, and stays the same until it is refreshed.
    seen_ms = shared.config.clock() // REFRESH_S * REFRESH_S * 1000
    return characters.get_profile(person, shared.season.weeks_at(seen_ms), seen_ms)


def _siblings(shared: MockServer, name: str) -> list[dict[str, Any]] | None:
    characters = build_characters(shared.config.seed, shared.config.characters)
    person = characters.find(name)
    if person is None:
        return None
    profiles = [_get_profile(shared, one.name) for one in characters.get_account(person)]
    return [
        {
            "ServerName": profile.person.server,
            "CharacterName": profile.person.name,
            "CharacterLevel": profile.level,
            "CharacterClassName": profile.person.class_name,
            "ItemAvgLevel": comma_number(profile.item_level),
        }
        for profile in profiles
        if profile is not None
    ]


def _notices(shared: MockServer) -> list[dict[str, Any]]:
    return news.notices(_started_s(shared), shared.config.clock())


def _started_s(shared: MockServer) -> float:
    return shared.season.started_ms / 1000


def _is_soon(shared: MockServer) -> bool:
    return shared.config.weekly_maintenance and is_weekly_maintenance(shared.config.clock() + 3600)
