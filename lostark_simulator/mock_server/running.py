"""Runs a mock server in this process, in a thread, or in a separate process."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection

import uvicorn

from lostark_assets.errors import SourceUnavailable
from lostark_simulator.mock_server.app import wrap
from lostark_simulator.mock_server.config import MockServerConfig
from lostark_simulator.mock_server.growing_season import GrowingSeason
from lostark_simulator.mock_server.listening import get_url, listen

_START_LIMIT_S = 120.0
_STOP_LIMIT_S = 10.0


def build_server(season: GrowingSeason) -> uvicorn.Server:
    """A server for a season; ``run(sockets=[listen()])`` serves until a signal or ``should_exit``."""
    return uvicorn.Server(
        uvicorn.Config(
            wrap(season),
            # Without these a mock server is the slowest part of a benchmark.
            loop="uvloop",
            http="httptools",
            ws="none",
            access_log=False,
            log_config=None,
            log_level="critical",
            # A fault skews the clock, so the application sets the date header.
            date_header=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=30,
        )
    )


@contextlib.contextmanager
def running_mock_server(config: MockServerConfig) -> Iterator[str]:
    """A mock server in a thread of this process, until the block ends; gives its URL.

    Raises:
        SourceUnavailable: it did not start.
    """
    with running_season(config) as (url, _):
        yield url


@contextlib.contextmanager
def running_season(config: MockServerConfig) -> Iterator[tuple[str, GrowingSeason]]:
    """Like :func:`running_mock_server`, with the season, so that a test can compare against it."""
    season = GrowingSeason(config)
    opened = listen()
    server = build_server(season)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [opened]}, name="mock-server", daemon=True
    )
    thread.start()
    try:
        _wait_until_started(server, thread)
        yield get_url(opened), season
    finally:
        server.should_exit = True
        thread.join(_STOP_LIMIT_S)
        opened.close()
        season.close()


@contextlib.contextmanager
def mock_server_process(config: MockServerConfig) -> Iterator[str]:
    """A mock server in a separate process, so that it uses no time of a benchmark; gives its URL.

    Raises:
        SourceUnavailable: it did not start.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve_and_report, args=(config, there), name="mock-server", daemon=True)
    process.start()
    there.close()
    try:
        if not here.poll(_START_LIMIT_S):
            raise _not_started()
        try:
            url = here.recv()
        except EOFError:
            raise _not_started() from None
        yield url
    finally:
        process.terminate()
        process.join(_STOP_LIMIT_S)
        if process.is_alive():
            process.kill()
            process.join()
        here.close()


def _serve_and_report(config: MockServerConfig, pipe: Connection) -> None:
    season = GrowingSeason(config)
    opened = listen()
    pipe.send(get_url(opened))
    pipe.close()
    build_server(season).run(sockets=[opened])


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    waited = threading.Event()
    for _ in range(int(_START_LIMIT_S / 0.01)):
        if server.started:
            return
        if not thread.is_alive():
            break
        waited.wait(0.01)
    raise _not_started()


def _not_started() -> SourceUnavailable:
    return SourceUnavailable("The mock server did not start. Nothing is served. Look above for its error.")
