"""The Data Docs that Great Expectations wrote, read-only and below one path."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from lostark_api.dependencies import SettingsDep
from lostark_api.http.problems import problem_response

_CDNS = (
    "https://cdn.jsdelivr.net https://cdnjs.cloudflare.com https://code.jquery.com "
    "https://maxcdn.bootstrapcdn.com https://stackpath.bootstrapcdn.com https://unpkg.com"
)
_LOGO = "https://great-expectations-web-assets.s3.us-east-2.amazonaws.com"
# The pages have inline scripts, and load their libraries from these hosts. The sandbox gives them an origin
# of their own: no script on them can read or call this API.
_HEADERS = {
    "Content-Security-Policy": (
        "sandbox allow-scripts allow-popups; default-src 'none'; connect-src 'none'; "
        f"script-src 'self' 'unsafe-inline' {_CDNS}; style-src 'self' 'unsafe-inline' {_CDNS}; "
        f"font-src 'self' {_CDNS}; img-src 'self' data: {_LOGO}; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
}
router = APIRouter(include_in_schema=False)


@router.api_route("/data-docs/{path:path}", methods=["GET", "HEAD"])
async def get_file(request: Request, settings: SettingsDep, path: str) -> Response:
    """A page or a file of the Data Docs; ``index.html`` for the folder itself."""
    folder = settings.data_docs_dir
    if not (folder / "index.html").exists():
        return problem_response(
            HTTPStatus.NOT_FOUND,
            "There are no Data Docs yet. The job validate_tables writes them once a day; launch it in the "
            "Dagster UI to have them now.",
        )
    response = await StaticFiles(directory=folder).get_response(path or "index.html", request.scope)
    response.headers.update(_HEADERS)
    return response
