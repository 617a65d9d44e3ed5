"""The gateway against a scripted server: its results, and how many requests it made."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import multiprocessing
import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
import pytest

from lostark_assets.errors import CircuitOpen, SourceRefused, SourceUnavailable
from lostark_assets.gateway.budget import Budget
from lostark_assets.gateway.client import Gateway, GatewayConfig, quote_segment

TOKEN = "bearer tok-3nSecret99"


def http(status=200, body=b"{}", media="application/json", length=None, **headers):
    """A whole answer as bytes; ``length`` may lie."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body) if length is None else length}"]
    lines += [f"content-type: {media}"] if media else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Server:
    """Answers request ``n`` with ``answer(n, path)``: bytes, cut off where they are short; None hangs."""

    def __init__(self, answer):
        self.answer = answer
        self.seen = []
        self.times = []
        self.most_at_once = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._now = 0

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    def _run(self):
        self._loop.run_until_complete(self._serve())

    async def _serve(self):
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        clients = asyncio.all_tasks() - {asyncio.current_task()}
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _client(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                path = head.split(" ", 2)[1]
                self.seen.append((path, head.lower()))
                self.times.append(time.monotonic())
                self._now += 1
                self.most_at_once = max(self.most_at_once, self._now)
                data = self.answer(len(self.seen), path)
                await asyncio.sleep(0.002 if data is not None else 60)
                self._now -= 1
                writer.write(data)
                await writer.drain()
                announced = int(data.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                if len(data.partition(b"\r\n\r\n")[2]) < announced:
                    break
        writer.close()

    @property
    def paths(self):
        return [path for path, _ in self.seen]


def build_config(server, folder, **values):
    given = {"total_timeout_s": 5.0, "read_timeout_s": 0.3, **values}
    return GatewayConfig("src", server.url, folder, headers={"authorization": TOKEN}, **given)


def query(server, folder, paths=("/v1/x",), *, accept=("application/json",), check=None, **values):
    """All answers or errors, and the gateway's counts."""

    async def run():
        async with Gateway(build_config(server, folder, **values)) as gateway:
            responses = await asyncio.gather(
                *(gateway.get(p, accept, check) for p in paths), return_exceptions=True
            )
            return responses, gateway.counts

    return asyncio.run(run())


def ask_one(server, folder, path="/v1/x", **values):
    [answer], counts = query(server, folder, (path,), **values)
    return answer, counts


def then(*responses):
    """Each once, the last for ever."""
    return lambda n, _: responses[min(n, len(responses)) - 1]


def test_an_answer_comes_whole_decoded_and_checked(tmp_path):
    body = gzip.compress(b'{"a": [1, 2]}')
    with Server(then(http(body=body, content_encoding="gzip", X_Seen="Yes"))) as server:
        answer, counts = ask_one(server, tmp_path, check=msgspec.json.decode)

    assert (answer.status, answer.body, answer.value) == (200, b'{"a": [1, 2]}', {"a": [1, 2]})
    assert answer.headers["x-seen"] == "Yes"
    assert (counts.requests, counts.retries, counts.failed) == (1, 0, 0)


def test_the_path_is_sent_as_it_is_written(tmp_path):
    name = quote_segment("이다/치명")
    path = f"/armories/characters/{name}?filters=profiles+gems&x=a%2Bb"
    with Server(then(http())) as server:
        ask_one(server, tmp_path, path)

    assert server.paths == [path]
    assert name == "%EC%9D%B4%EB%8B%A4%2F%EC%B9%98%EB%AA%85"


BAD = {
    "rate_limited": http(429, b"slow down", Retry_After="0"),
    "maintenance": http(503, b"<html>maintenance</html>", "text/html"),
    "server_error": http(500, b"oops"),
    "timeout": None,
    "short_body": http(body=b'{"a": 1', length=400),
    "wrong_type": http(body=b"<html>", media="text/html"),
    "malformed": http(body=b'{"a": '),
}


@pytest.mark.parametrize("kind", BAD)
def test_transient_failures_are_retried_and_counted_by_kind(tmp_path, kind):
    with Server(then(BAD[kind], BAD[kind], http(body=b'{"a": 1}'))) as server:
        answer, counts = ask_one(server, tmp_path, check=msgspec.json.decode)

    assert answer.value == {"a": 1}
    assert (counts.requests, counts.retries, dict(counts.failures)) == (3, 2, {kind: 2})
    assert len(server.seen) == 3


def test_a_truncated_gzip_stream_is_retried_though_all_announced_bytes_came(tmp_path):
    torn, whole = gzip.compress(b"[1, 2, 3]" * 50)[:-6], gzip.compress(b"[1]")
    with Server(
        then(http(body=torn, content_encoding="gzip"), http(body=whole, content_encoding="gzip"))
    ) as s:
        answer, counts = ask_one(s, tmp_path)

    assert answer.body == b"[1]"
    assert counts.failures == {"short_body": 1}


def test_a_refused_connection_is_retried_until_the_time_limit(tmp_path):
    with Server(then(http())) as server:
        pass
    started = time.monotonic()
    error, counts = ask_one(server, tmp_path, total_timeout_s=1.0)

    assert isinstance(error, SourceUnavailable)
    assert error.kind == "connection"
    assert "src: GET /v1/x: expected a response within 1 s" in str(error)
    assert 0.9 < time.monotonic() - started < 3
    assert counts.requests == counts.failures["connection"] >= 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "unauthorised"), (403, "unauthorised"), (404, "not_found"), (410, "gone"), (415, "client_error"),
     (302, "client_error")],
)  # fmt: skip
def test_a_permanent_refusal_is_not_retried(tmp_path, status, kind):
    with Server(then(http(status, b'{"title": "no"}', "application/problem+json"))) as server:
        error, counts = ask_one(server, tmp_path)

    assert isinstance(error, SourceRefused)
    assert (error.status, error.kind) == (status, kind)
    assert (counts.requests, counts.retries, dict(counts.failures)) == (1, 0, {kind: 1})


def test_a_body_over_the_limit_is_refused_plain_or_packed(tmp_path):
    packed = http(body=gzip.compress(b" " * 5000), content_encoding="gzip")
    for answer in (http(body=b" " * 5000), packed):
        with Server(then(answer)) as server:
            error, _ = ask_one(server, tmp_path, max_body_bytes=2000)
        assert isinstance(error, SourceRefused)
        assert "2,000 bytes" in str(error)


def test_a_retry_after_is_kept_by_every_request_of_the_gateway(tmp_path):
    def answer(n, _):
        return http(429, Retry_After="1") if n == 1 else http()

    with Server(answer) as server:
        responses, _ = query(server, tmp_path, ["/1", "/2", "/3", "/4"], concurrency=1)

    assert [a.status for a in responses] == [200] * 4
    assert server.times[1] - server.times[0] >= 0.99


def test_a_reset_is_read_against_the_clock_of_the_service(tmp_path):
    wrong = datetime.now(UTC) - timedelta(hours=5)
    first = http(
        429, X_RateLimit_Reset=str(int(wrong.timestamp()) + 1), Date=format_datetime(wrong, usegmt=True)
    )
    with Server(then(first, http())) as server:
        answer, _ = ask_one(server, tmp_path)

    assert answer.status == 200
    assert 0.9 < server.times[1] - server.times[0] < 3


def test_a_wait_beyond_the_time_limit_is_not_waited_for(tmp_path):
    with Server(then(http(429, Retry_After="3600"))) as server:
        started = time.monotonic()
        error, counts = ask_one(server, tmp_path)

    assert time.monotonic() - started < 2
    assert (error.kind, counts.requests) == ("rate_limited", 1)
    assert "asks to retry in 3600 s" in str(error)


def test_an_endless_trickle_ends(tmp_path):
    class Trickle(Server):
        async def _client(self, reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                writer.write(
                    b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n"
                )
                for _ in range(200):
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.05)

    with Trickle(None) as server:
        started = time.monotonic()
        error, counts = ask_one(server, tmp_path, total_timeout_s=1.0)

    assert error.kind == "timeout"
    assert 0.9 < time.monotonic() - started < 3
    assert counts.failures in ({"timeout": 1}, {"timeout": 2})


def test_never_more_requests_at_once_than_allowed(tmp_path):
    with Server(then(http())) as server:
        query(server, tmp_path, [f"/{n}" for n in range(40)], concurrency=3)

    assert server.most_at_once == 3
    assert len(server.seen) == 40


def most_in_window(times, window_s):
    times = sorted(times)
    return max(sum(start <= at < start + window_s for at in times) for start in times)


def test_the_budget_holds_to_the_request_and_its_wait_is_not_counted_as_time_spent(tmp_path):
    budget = Budget("b", 5, window_s=1.0)
    with Server(then(http())) as server:
        responses, counts = query(
            server, tmp_path, [f"/{n}" for n in range(12)], budget=budget, total_timeout_s=0.9
        )

    assert [a.status for a in responses] == [200] * 12
    assert most_in_window(server.times, 1.0) == 5
    assert 2.8 < server.times[-1] - server.times[0] < 5
    assert counts.waited_s > 2.8


def spend(url, folder):
    class At:
        pass

    server = At()
    server.url = url
    responses, _ = query(server, folder, [f"/{n}" for n in range(4)], budget=Budget("b", 4, window_s=1.0))
    assert [a.status for a in responses] == [200] * 4


def test_processes_share_a_budget(tmp_path):
    context = multiprocessing.get_context("fork")
    with Server(then(http())) as server:
        writers = [context.Process(target=spend, args=(server.url, tmp_path)) for _ in range(3)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(30)

    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(server.seen) == 12
    assert most_in_window(server.times, 1.0) == 4


def opened_long_ago(folder):
    with contextlib.closing(sqlite3.connect(folder / "circuits.db")) as connection, connection:
        connection.execute("UPDATE circuits SET opened_at = opened_at - 3600")


def test_a_circuit_opens_after_failures_in_a_row_outlives_the_process_and_closes_again(tmp_path):
    with Server(then(http(500))) as server:
        error, counts = ask_one(server, tmp_path, failures_to_open=3)
        assert isinstance(error, CircuitOpen)
        assert (counts.requests, len(server.seen)) == (3, 3)
        assert "open for 30 s more" in str(error)

        server.answer = then(None)
        again, counts = ask_one(server, tmp_path, failures_to_open=3)
        assert isinstance(again, CircuitOpen)
        assert (counts.requests, len(server.seen)) == (0, 3)

        opened_long_ago(tmp_path)
        error, counts = ask_one(server, tmp_path, failures_to_open=3)
        assert isinstance(error, CircuitOpen)
        assert counts.requests == 1

        opened_long_ago(tmp_path)
        server.answer = then(http())
        responses, _ = query(server, tmp_path, ["/1", "/2", "/3"], failures_to_open=3)
        assert [a.status for a in responses] == [200] * 3


def test_an_open_circuit_quotes_the_services_last_answer_without_our_secrets(tmp_path):
    body = f"maintenance until noon; you sent {TOKEN}".encode()
    with Server(then(http(503, body, "text/plain"))) as server:
        ask_one(server, tmp_path, failures_to_open=2)
        # Another process, later: no request is made.
        error, counts = ask_one(server, tmp_path, failures_to_open=2)
        assert isinstance(error, CircuitOpen)
        assert counts.requests == 0
        assert "the last one: status 503 (text/plain) that begins with 'maintenance until noon" in str(error)
        assert "3nSecret99" not in str(error)

        # A probe that is cut off says nothing new.
        opened_long_ago(tmp_path)
        server.answer = then(None)
        ask_one(server, tmp_path, failures_to_open=2, total_timeout_s=0.2, read_timeout_s=10)
        error, _ = ask_one(server, tmp_path, failures_to_open=2)
        assert "maintenance until noon" in str(error)


def test_circuits_of_an_older_version_are_forgotten(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "circuits.db")) as connection, connection:
        connection.execute("CREATE TABLE circuits (source TEXT PRIMARY KEY, state, failures, opened_at)")
        connection.execute("INSERT INTO circuits VALUES ('src', 'opened', 3, 1e12)")
    with Server(then(http())) as server:
        responses, _ = query(server, tmp_path)

    assert [response.status for response in responses] == [200]


def test_failures_of_one_process_count_in_the_next(tmp_path):
    with Server(then(http(500))) as server:
        failed = 0
        for _ in range(2):
            _, counts = ask_one(server, tmp_path, failures_to_open=1000, total_timeout_s=0.5)
            failed += counts.failed
        rows = sqlite3.connect(tmp_path / "circuits.db").execute("SELECT failures FROM circuits").fetchall()

    # The last request of each may have been cut off: the server saw it, and it is no failure.
    assert rows == [(failed,)]
    assert len(server.seen) - 2 <= failed <= len(server.seen)
    assert failed > counts.failed


def test_a_request_that_is_cut_off_ends_no_row_of_failures(tmp_path):
    limits = {"failures_to_open": 1000, "total_timeout_s": 0.5, "read_timeout_s": 10}
    failures = "SELECT failures FROM circuits"
    with Server(then(http(500))) as server:
        ask_one(server, tmp_path, **limits)
        before = sqlite3.connect(tmp_path / "circuits.db").execute(failures).fetchall()
        server.answer = then(None)
        error, counts = ask_one(server, tmp_path, **limits)
        after = sqlite3.connect(tmp_path / "circuits.db").execute(failures).fetchall()

    assert isinstance(error, SourceUnavailable)
    assert counts.requests == 1
    assert after == before != [(0,)]


def test_an_open_circuit_is_tried_by_one_request_at_a_time(tmp_path):
    with Server(then(http(500))) as server:
        ask_one(server, tmp_path, failures_to_open=2)
        opened_long_ago(tmp_path)
        seen = len(server.seen)
        responses, _ = query(server, tmp_path, [f"/{n}" for n in range(10)], failures_to_open=2)

    assert len(server.seen) == seen + 1
    assert all(isinstance(a, CircuitOpen) for a in responses)


def test_being_refused_or_limited_does_not_open_the_circuit(tmp_path):
    def answer(n, _):
        return http(404) if n % 2 else http(429, Retry_After="0")

    with Server(answer) as server:
        responses, _ = query(server, tmp_path, [f"/{n}" for n in range(6)], failures_to_open=2)

    assert {type(a) for a in responses} == {SourceRefused}


def test_sources_have_circuits_of_their_own(tmp_path):
    with Server(then(http(500))) as server:
        ask_one(server, tmp_path, failures_to_open=2)
        server.answer = then(http())

        async def other():
            config = GatewayConfig("other", server.url, tmp_path, failures_to_open=2)
            async with Gateway(config) as gateway:
                return await gateway.get("/")

        assert asyncio.run(other()).status == 200


def test_a_secret_that_the_service_echoes_is_not_in_the_error_nor_in_the_representation(tmp_path):
    with Server(then(http(401, f"bad key {TOKEN}".encode(), "text/plain"))) as server:
        error, _ = ask_one(server, tmp_path)
        config = build_config(server, tmp_path)

    assert "tok-3nSecret99" not in str(error)
    assert "***" in str(error)
    assert "tok-3nSecret99" not in repr(config)
    assert f"authorization: {TOKEN}".lower() in server.seen[0][1]


def test_retries_print_nothing(tmp_path, capsys):
    with Server(then(http(500), http())) as server:
        ask_one(server, tmp_path)

    assert capsys.readouterr() == ("", "")
