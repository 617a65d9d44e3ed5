"""A published season behind the API, built once per session, and a blocking client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from lostark_api.app import ApiApp, create_app
from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.lake.tables import Lake
from lostark_assets.marts.publish import find_pending, publish
from lostark_assets.settings import get_settings
from tests.serving.season_lake import add_fights


class Client:
    """Requests to the app on one event loop, which stands still between them."""

    def __init__(self, api: ApiApp) -> None:
        self.api = api
        self.loop = asyncio.Runner()
        self._lifespan = api.fastapi.router.lifespan_context(api.fastapi)
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://test")

    def __enter__(self) -> Client:
        self.loop.run(self._lifespan.__aenter__())
        return self

    def __exit__(self, *error: object) -> None:
        self.loop.run(self._http.aclose())
        self.loop.run(self._lifespan.__aexit__(None, None, None))
        self.loop.close()

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.loop.run(self._http.request(method, path, **more))

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder = tmp_path_factory.mktemp("served")
    lake = Lake(str(folder / "lake"))
    add_fights(lake, folder, encounters=60)
    return lake


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory, lake: Lake) -> Iterator[str]:
    with embedded_postgres(get_settings(home=tmp_path_factory.mktemp("home"))) as databases:
        due = find_pending(lake, databases.lostark)
        publish(lake, databases.lostark, due.days, due.tables)
        yield databases.lostark


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory, url: str) -> Iterator[Client]:
    settings = get_settings(home=tmp_path_factory.mktemp("api"))
    with Client(create_app(settings, url=url)) as client:
        yield client
