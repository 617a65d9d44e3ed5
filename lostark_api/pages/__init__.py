"""The pages for players: server-rendered, in Korean and English, with the same queries as the API."""

from __future__ import annotations

from fastapi import FastAPI

from lostark_api.pages import charts, routes
from lostark_api.pages.render import add_error_pages


def add_pages(app: FastAPI) -> None:
    """Serve the pages from ``app``; call it after its problem handlers are in place."""
    app.include_router(routes.router)
    app.include_router(charts.router)
    add_error_pages(app)
