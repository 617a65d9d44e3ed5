"""From a question to a finished page: templates, assets with their versions, and errors that look like pages.

What does not belong here: which pages there are (``routes``), words and formats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache, partial
from http import HTTPStatus
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.exceptions import HTTPException
from starlette.responses import Response

from lostark_api.database import Marts, Snapshot
from lostark_api.http.language import ENGLISH, KOREAN, label
from lostark_api.http.problems import BadCursor
from lostark_api.http.responses import get_language, reply
from lostark_api.pages import formats
from lostark_api.pages.addresses import Addresses
from lostark_api.pages.reasons import reason_in
from lostark_api.pages.translations import has_words, words
from lostark_assets.errors import NotFound, TransientError
from lostark_assets.observability.logs import get_logger

HTML_TYPE = "text/html; charset=utf-8"
RETRY_AFTER_S = 5
_STATIC = files("lostark_api.pages") / "static"
ASSETS = {
    "pages.css": "text/css",
    "pages.js": "text/javascript",
    "theme.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_MAX_NAME = 40
log = get_logger()


def _short(text: object) -> str:
    """A name that no layout breaks on; pages show the whole one on hover, and no more than a line of it."""
    text = str(text)
    return text if len(text) <= _MAX_NAME else f"{text[:_MAX_NAME]}…"


@lru_cache(maxsize=len(ASSETS))
def asset(name: str) -> tuple[bytes, str]:
    """Bytes of an asset, and the version that its address carries."""
    body = (_STATIC / name).read_bytes()
    return body, hashlib.sha256(body).hexdigest()[:12]


def _asset_address(name: str) -> str:
    return f"/static/{name}?v={asset(name)[1]}"


_environment = Environment(
    loader=PackageLoader("lostark_api.pages"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals["asset"] = _asset_address
_environment.filters |= {
    "short": _short,
    "percent": formats.percent,
    "number": formats.number,
    "clock": formats.clock,
    "moment": formats.moment,
    "day": formats.day,
    "quoted": lambda text: quote(str(text), safe=""),
}


def render_html(request: Request, template: str, content: Mapping[str, Any], *, language: str) -> bytes:
    """``template`` with ``content``, in ``language``."""
    addresses = Addresses(request.url.path, dict(request.query_params))
    page = _environment.get_template(template).render(
        **content,
        lang=language,
        other_lang=ENGLISH if language == KOREAN else KOREAN,
        t=partial(words, language),
        has_words=has_words,
        term=lambda kind, name: label(kind, name, language) if name else formats.NOTHING,
        reason_in=partial(reason_in, language),
        dps=partial(formats.damage, language=language),
        signed=partial(formats.signed_damage, language=language),
        to=addresses.to,
        here=addresses.here,
        path=request.url.path,
    )
    return page.encode("utf-8", "replace")


async def page(
    request: Request, template: str, question: Callable[[Snapshot, str], Awaitable[Mapping[str, Any]]]
) -> Response:
    """Ask ``question`` of one snapshot and show its answer."""
    marts: Marts = request.app.state.marts
    language = get_language(request)
    async with marts.snapshot() as now:
        content = await question(now, language)
    seen = {"publish": now.version, "published_at": now.published_at}
    body = render_html(request, template, {**seen, **content}, language=language)
    return reply(body, HTML_TYPE, version=now.version, language=language)


def error_page(request: Request, status: int) -> Response:
    """What went wrong, in words for a reader; details are for logs and the API."""
    language = get_language(request)
    content = {"status": status, "publish": None, "published_at": None}
    body = render_html(request, "error.html", content, language=language)
    headers = {"Cache-Control": "no-store", "Content-Language": language, "Vary": "Accept-Language"}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return Response(body, status, headers, HTML_TYPE)


class PageRoute(APIRoute):
    """A route whose errors are pages too."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:
        """The handler, with errors made pages."""
        handler = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await handler(request)
            except NotFound:
                return error_page(request, HTTPStatus.NOT_FOUND)
            except (RequestValidationError, BadCursor):
                return error_page(request, HTTPStatus.UNPROCESSABLE_ENTITY)
            except TransientError as error:
                log.warning("page_unavailable", error=str(error))
                return error_page(request, HTTPStatus.SERVICE_UNAVAILABLE)
            except HTTPException as error:
                return error_page(request, error.status_code)
            except Exception as error:
                log.exception("page_failed", path=request.url.path[:200], error=type(error).__name__)
                return error_page(request, HTTPStatus.INTERNAL_SERVER_ERROR)

        return guarded


def add_error_pages(app: FastAPI) -> None:
    """Show readers a page for addresses that there are not; programs still get their problem document."""
    for_programs = app.exception_handlers[HTTPException]

    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        is_reader = "text/html" in request.headers.get("accept", "")
        if is_reader and not request.url.path.startswith("/v1/"):
            return error_page(request, error.status_code)
        made: Response = await for_programs(request, error)  # type: ignore[misc, arg-type]
        return made

    app.add_exception_handler(HTTPException, answer)
