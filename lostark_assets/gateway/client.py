"""The gateway: GET requests to one source, within budget, retried, behind a circuit breaker, counted.

A returned response is complete: right status, right content type, all bytes, decoded, and accepted by the
caller's check.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
import msgspec
import stamina

from lostark_assets.errors import LogRejected, SourceRefused, SourceUnavailable
from lostark_assets.gateway.budget import Budget, BudgetGate
from lostark_assets.gateway.circuit import BadResponse, Circuit
from lostark_assets.gateway.classify import Verdict, classify
from lostark_assets.gunzip import gunzip

JSON = ("application/json",)
_CONNECT_TIMEOUT_S = 10.0
_FIRST_WAIT_S, _MAX_WAIT_S, _JITTER_S = 0.1, 10.0, 0.5
_HEAD_BYTES = 400
_SECRET_LENGTH = 6

Check = Callable[[bytes], Any]
"""Decodes a body. Raises ValueError or msgspec.DecodeError for an invalid one."""


@dataclass(frozen=True)
class GatewayConfig:
    """How to reach a source. ``headers`` may hold secrets: they are never shown.

    Times in seconds. ``total_timeout_s`` limits one ``get`` with all its tries, except the time it waits for
    its budget; ``read_timeout_s`` the time between two bytes. ``failures_to_open`` consecutive failures open
    the circuit for ``open_s``.
    """

    source: str
    base_url: str
    state_dir: Path
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    budget: Budget | None = None
    total_timeout_s: float = 60.0
    read_timeout_s: float = 15.0
    max_body_bytes: int = 256 << 20
    concurrency: int = 16
    failures_to_open: int = 20
    open_s: float = 30.0


@dataclass(frozen=True)
class Response:
    """A complete response: header names in lower case, ``body`` decoded, ``value`` returned by the check."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    value: Any = field(default=None, repr=False)


@dataclass
class Counts:
    """Counters of a gateway. ``failures`` by kind (``classify.FAILURE_KINDS``), one per failed try.

    ``last_failure``: what the service answered at the last of them.
    """

    requests: int = 0
    retries: int = 0
    waited_s: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    last_failure: str = ""

    @property
    def failed(self) -> int:
        """Tries that failed."""
        return self.failures.total()


class _TryFailed(Exception):
    """One try failed with a retryable error: rate limited, or a bad response."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.found)
        self.verdict = verdict


class _BadResponseTry(_TryFailed, BadResponse):
    """A failure that counts for the circuit; a rate limit does not, since the service is healthy."""


@cache
def _certificates() -> ssl.SSLContext:
    """The TLS context: it takes 50 ms to load, so once per process and not per probe of a source."""
    return httpx.create_ssl_context()


class Gateway:
    """An async context manager; ``get`` may be called from many tasks at once.

    Raises, from ``get``:
        SourceUnavailable: no valid response within the time limit (``kind`` says why).
        CircuitOpen: no request was made, the circuit is open.
        SourceRefused: the service refused (``status``, ``kind``).
    """

    def __init__(self, config: GatewayConfig) -> None:
        """Nothing is opened yet."""
        self.config = config
        self.counts = Counts()
        self._stack = AsyncExitStack()
        self._held_until = 0.0

    async def __aenter__(self) -> Self:
        config = self.config
        # stamina would print each retry to stdout through an unconfigured structlog; here they are counted.
        stamina.instrumentation.set_on_retry_hooks([])
        self._budget = self._stack.enter_context(
            BudgetGate(config.budget or Budget(config.source, 0), config.state_dir / "budgets")
        )
        self._circuit = Circuit(
            config.source, config.state_dir, failures=config.failures_to_open, open_s=config.open_s
        )
        self._slots = asyncio.Semaphore(config.concurrency)
        limits = httpx.Limits(
            max_connections=config.concurrency, max_keepalive_connections=config.concurrency
        )
        timeout = httpx.Timeout(config.read_timeout_s, connect=_CONNECT_TIMEOUT_S, pool=None)
        headers = {"accept-encoding": "gzip", "user-agent": "lostark-analytics", **config.headers}
        self._client = await self._stack.enter_async_context(
            httpx.AsyncClient(headers=headers, limits=limits, timeout=timeout, verify=_certificates())
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def get(
        self, path_and_query: str, accept: Sequence[str] = JSON, check: Check | None = None
    ) -> Response:
        """The response to GET ``path_and_query``, which is sent verbatim.

        ``accept`` are the accepted content types. If ``check`` rejects the body, the request is retried.
        """
        last: list[Verdict] = []
        started = time.monotonic()
        try:
            async with asyncio.timeout(self.config.total_timeout_s) as limit:
                tries = stamina.retry_context(
                    lambda error: self._wait_before_retry(error, limit, last),
                    attempts=None,
                    timeout=None,
                    wait_initial=_FIRST_WAIT_S,
                    wait_max=_MAX_WAIT_S,
                    wait_jitter=_JITTER_S,
                )
                async for attempt in tries:
                    with attempt:
                        return await self._try(path_and_query, accept, check, limit)
        except _TryFailed:
            pass
        except TimeoutError:
            last.append(last[-1] if last else Verdict("retry", "timeout", "no complete response"))
        took_s = time.monotonic() - started
        raise self._unavailable(path_and_query, last[-1], took_s)

    def _wait_before_retry(
        self, error: Exception, limit: asyncio.Timeout, last: list[Verdict]
    ) -> bool | float:
        """Whether and after how many seconds to retry."""
        if not isinstance(error, _TryFailed):
            return False
        last.append(error.verdict)
        asked_s = error.verdict.retry_after_s
        left_s = (limit.when() or 0.0) - asyncio.get_running_loop().time()
        if asked_s is None:
            self.counts.retries += 1
            return True
        if asked_s >= left_s:
            return False
        # All requests wait: the service limits the key, not the single request.
        self._held_until = max(self._held_until, asyncio.get_running_loop().time() + asked_s)
        self.counts.retries += 1
        return asked_s + random.uniform(0, _JITTER_S)  # noqa: S311 - spreads requests, guards nothing

    async def _try(
        self, path: str, accept: Sequence[str], check: Check | None, limit: asyncio.Timeout
    ) -> Response:
        async with self._slots, self._circuit.closed():
            await self._wait_for_turn(limit)
            self.counts.requests += 1
            try:
                async with asyncio.timeout(max(self.config.read_timeout_s, self.config.total_timeout_s / 2)):
                    status, headers, raw = await self._fetch(path, accept)
            except TimeoutError:
                raise self._failed(Verdict("retry", "timeout", "a body that does not end")) from None
            except httpx.TimeoutException as error:
                found = f"silence ({type(error).__name__})"
                raise self._failed(Verdict("retry", "timeout", found)) from None
            except httpx.RemoteProtocolError as error:
                kind = "short_body" if "complete message body" in str(error) else "connection"
                raise self._failed(Verdict("retry", kind, str(error))) from None
            except httpx.TransportError as error:
                found = f"{type(error).__name__} {error}".strip()
                raise self._failed(Verdict("retry", "connection", found)) from None
            return self._judge(path, accept, check, Response(status, headers, raw))

    async def _wait_for_turn(self, limit: asyncio.Timeout) -> None:
        """Wait for the budget and for the service's Retry-After; the time limit does not include it."""
        loop = asyncio.get_running_loop()
        before, deadline = loop.time(), limit.when() or 0.0
        limit.reschedule(None)
        while (held_s := self._held_until - loop.time()) > 0:
            await asyncio.sleep(held_s)
        await self._budget.take()
        waited_s = loop.time() - before
        limit.reschedule(deadline + waited_s)
        self.counts.waited_s += waited_s

    async def _fetch(self, path: str, accept: Sequence[str]) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and the body's bytes as transferred."""
        request = self._client.build_request(
            "GET", self.config.base_url.rstrip("/") + path, headers={"accept": ", ".join(accept) or "*/*"}
        )
        response = await self._client.send(request, stream=True)
        try:
            parts, size = [], 0
            async for part in response.aiter_raw():
                size += len(part)
                if size > self.config.max_body_bytes:
                    raise self._refused(
                        path, response.status_code, Verdict("permanent", "too_large", self._over())
                    )
                parts.append(part)
        finally:
            await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return response.status_code, headers, b"".join(parts)

    def _judge(self, path: str, accept: Sequence[str], check: Check | None, response: Response) -> Response:
        """The response with its body decoded and checked, or the error that it stands for."""
        try:
            body = self._decoded(response)
        except LogRejected as error:
            if error.reason_code == "payload_too_large":
                verdict = Verdict("permanent", "too_large", self._over())
                raise self._refused(path, response.status, verdict) from None
            raise self._failed(Verdict("retry", "short_body", error.detail)) from None
        verdict = classify(response.status, response.headers, body[:_HEAD_BYTES], accept)
        if verdict.decision == "retry":
            raise self._failed(verdict)
        if verdict.decision == "permanent":
            raise self._refused(path, response.status, verdict)
        if check is None:
            return Response(response.status, response.headers, body)
        try:
            return Response(response.status, response.headers, body, check(body))
        except (ValueError, msgspec.DecodeError) as error:
            raise self._failed(Verdict("retry", "malformed", f"a malformed body: {error}")) from None

    def _decoded(self, response: Response) -> bytes:
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding == "gzip":
            return gunzip(response.body, self.config.max_body_bytes)
        if encoding not in ("identity", ""):
            raise self._failed(Verdict("retry", "wrong_type", f"content encoding {encoding}"))
        return response.body

    def _over(self) -> str:
        return f"a body of more than {self.config.max_body_bytes:,} bytes"

    def _failed(self, verdict: Verdict) -> _TryFailed:
        self.counts.failures[verdict.kind] += 1
        verdict = replace(verdict, found=self._scrubbed(verdict.found))
        self.counts.last_failure = verdict.found
        return _TryFailed(verdict) if verdict.kind == "rate_limited" else _BadResponseTry(verdict)

    def _refused(self, path: str, status: int, verdict: Verdict) -> SourceRefused:
        self.counts.failures[verdict.kind] += 1
        advice = _ADVICE.get(verdict.kind, "Check the address and what it serves.")
        text = (
            f"{self.config.source}: GET {path}: expected a response, found {verdict.found}. It is not "
            f"retried, earlier responses were kept. {advice}"
        )
        return SourceRefused(self._scrubbed(text), kind=verdict.kind, status=status)

    def _unavailable(self, path: str, verdict: Verdict, took_s: float) -> SourceUnavailable:
        asked = (
            "" if verdict.retry_after_s is None else f"; it asks to retry in {verdict.retry_after_s:.0f} s"
        )
        text = (
            f"{self.config.source}: GET {path}: expected a response within {self.config.total_timeout_s:g} "
            f"s, found {verdict.found} ({verdict.kind}{asked}) after {took_s:.1f} s. Earlier responses were "
            "kept. It is retried at the next collection."
        )
        return SourceUnavailable(self._scrubbed(text), kind=verdict.kind)

    def _scrubbed(self, text: str) -> str:
        """``text`` without our secrets: services echo what they were sent."""
        for value in self.config.headers.values():
            for word in sorted(value.split(), key=len, reverse=True):
                if len(word) >= _SECRET_LENGTH:
                    text = text.replace(word, "***")
        return text


_ADVICE = {
    "unauthorised": "Check the key or token.",
    "not_found": "Check the address.",
    "gone": "List again from the beginning.",
    "too_large": "Raise LOSTARK_MAX_LOG_BYTES if it is a battle log.",
}


def quote_segment(text: str) -> str:
    """Percent-encode one path segment as UTF-8: a name with a slash or in Hangul stays one segment."""
    return quote(text, safe="")
