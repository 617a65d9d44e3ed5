"""Rendering: templates, versioned assets, and errors that look like pages."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import lru_cache, partial
from http import HTTPStatus
from importlib.resources import files
from typing import Any, cast
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.exceptions import HTTPException
from starlette.responses import Response

from lostark_api.database import MartsSnapshot
from lostark_api.http.language import ENGLISH, KOREAN, get_label, negotiate
from lostark_api.http.problems import InvalidCursor
from lostark_api.http.responses import NO_STORE, cacheable_response
from lostark_api.pages import formats
from lostark_api.pages.addresses import Addresses
from lostark_api.pages.reasons import translate_reason
from lostark_api.pages.translations import has_translation, translate
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
    """``text``, shortened so that it fits any layout."""
    text = str(text)
    return text if len(text) <= _MAX_NAME else f"{text[:_MAX_NAME]}…"


@lru_cache(maxsize=len(ASSETS))
def read_asset(name: str) -> tuple[bytes, str]:
    """Bytes of an asset, and the version in its URL."""
    body = (_STATIC / name).read_bytes()
    return body, hashlib.sha256(body).hexdigest()[:12]


def _make_asset_url(name: str) -> str:
    return f"/static/{name}?v={read_asset(name)[1]}"


_environment = Environment(
    loader=PackageLoader("lostark_api.pages"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.globals["asset"] = _make_asset_url
_environment.filters |= {
    "short": _short,
    "percent": formats.percent,
    "number": formats.number,
    "clock": formats.clock,
    "moment": formats.moment,
    "day": formats.day,
    "quoted": lambda text: quote(str(text), safe=""),
}


def _describe_rank(language: str, percentile: float | None) -> str:
    if percentile is None:
        return formats.NOTHING
    return translate(language, "percentile.value", n=formats.rank_number(percentile, language))


def _describe_rank_range(language: str, low: float, high: float) -> str:
    first, last = (formats.rank_number(value, language) for value in (low, high))
    if language == KOREAN:
        first, last = last, first
    return translate(language, "percentile.range", low=first, high=last)


def render_html(request: Request, template: str, content: Mapping[str, Any], *, language: str) -> bytes:
    """``template`` with ``content``, in ``language``."""
    addresses = Addresses(request.url.path, dict(request.query_params))
    page = _environment.get_template(template).render(
        **content,
        lang=language,
        other_lang=ENGLISH if language == KOREAN else KOREAN,
        t=partial(translate, language),
        has_translation=has_translation,
        term=lambda kind, name: get_label(kind, name, language) if name else formats.NOTHING,
        translate_reason=partial(translate_reason, language),
        dps=partial(formats.damage, language=language),
        signed=partial(formats.signed_damage, language=language),
        rank_number=partial(formats.rank_number, language=language),
        rank=partial(_describe_rank, language),
        rank_range=partial(_describe_rank_range, language),
        to=addresses.to,
        here=addresses.here,
        path=request.url.path,
    )
    return page.encode("utf-8", "replace")


def render_page(
    request: Request,
    template: str,
    content: Mapping[str, Any],
    *,
    snapshot: MartsSnapshot,
    language: str,
    is_live: bool = False,
) -> Response:
    """A page as a cacheable response; not if it ``is_live``: it shows more than what was published."""
    publish = {"publish": snapshot.version, "published_at": snapshot.published_at}
    body = render_html(request, template, {**publish, **content}, language=language)
    if is_live:
        headers = {**NO_STORE, "Content-Language": language, "Vary": "Accept-Language"}
        return Response(body, headers=headers, media_type=HTML_TYPE)
    return cacheable_response(body, HTML_TYPE, version=snapshot.version, language=language)


def render_error(request: Request, status: int) -> Response:
    """An error page; details are for logs and the API."""
    # Also called outside of routes, where dependencies are not resolved.
    language = negotiate(request.query_params.get("lang") or request.headers.get("accept-language", ""))
    content = {"status": status, "publish": None, "published_at": None}
    body = render_html(request, "error.html", content, language=language)
    headers = {"Cache-Control": "no-store", "Content-Language": language, "Vary": "Accept-Language"}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return Response(body, status, headers, HTML_TYPE)


class PageRoute(APIRoute):
    """A route whose errors are rendered as pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with errors rendered as pages."""
        handler = super().get_route_handler()

        async def handle_errors(request: Request) -> Response:
            try:
                return await handler(request)
            except NotFound:
                return render_error(request, HTTPStatus.NOT_FOUND)
            except (RequestValidationError, InvalidCursor):
                return render_error(request, HTTPStatus.UNPROCESSABLE_ENTITY)
            except TransientError as error:
                log.warning("page_unavailable", error=str(error))
                return render_error(request, HTTPStatus.SERVICE_UNAVAILABLE)
            except HTTPException as error:
                return render_error(request, error.status_code)
            except Exception as error:
                log.exception("page_failed", path=request.url.path[:200], error=type(error).__name__)
                return render_error(request, HTTPStatus.INTERNAL_SERVER_ERROR)

        return handle_errors


def add_error_pages(app: FastAPI) -> None:
    """Show browsers a page for unknown paths; other clients still get a problem document."""
    make_problem = cast(
        "Callable[[Request, Exception], Awaitable[Response]]", app.exception_handlers[HTTPException]
    )

    async def handle(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        is_browser = "text/html" in request.headers.get("accept", "")
        if is_browser and not request.url.path.startswith("/v1/"):
            return render_error(request, error.status_code)
        return await make_problem(request, error)

    app.add_exception_handler(HTTPException, handle)
