"""Collecting profiles of characters and news from the Lost Ark Open API into their raw tables.

Every key has its own budget; a key that is refused or rate limited is paused, the others continue. Responses
are committed in batches, so that a crashed run loses little and the next one requests the rest.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from pydantic import SecretStr

from lostark_assets.contracts.raw import RAW_ARMORY_PROFILES, RAW_GAME_NOTICES
from lostark_assets.contracts.table import Contract
from lostark_assets.errors import CircuitOpen, LostarkError, SettingsError, SourceRefused, SourceUnavailable
from lostark_assets.gateway.budget import Budget
from lostark_assets.gateway.client import Gateway, GatewayConfig, quote_segment
from lostark_assets.lake.tables import Lake
from lostark_assets.ledger import CollectionOutcome, CollectionRecord, Ledger
from lostark_assets.settings import Settings
from lostark_assets.sources.open_api_choice import CharacterChoice
from lostark_assets.sources.open_api_news import NEWS_PATHS, news_rows
from lostark_assets.sources.open_api_parse import FILTERS, find_drift, parse_profile
from lostark_assets.sources.profiles import KOREA
from lostark_assets.sources.protocol import content_sha256

SOURCE = "open_api"
REQUEST_PATH = "/armories/characters/{name}?filters=" + "+".join(FILTERS)
"""The plus sign must not be encoded: %2B is another filter."""
PROFILES_PER_COMMIT = 50
MINUTES_PER_RUN = 4
"""A run requests as many characters as its budget allows in this time; the next one continues."""
_CONCURRENCY_PER_KEY = 4
_TOTAL_TIMEOUT_S = 75.0
"""Longer than the window of the service's rate limit, to wait out a 429."""
_FAILURES_TO_OPEN, _OPEN_S = 10, 120.0
_MAX_BODY_BYTES = 16 << 20
_MAX_PROBLEMS = 5
_SINGLE_RESPONSE_KINDS = frozenset(
    {"malformed", "wrong_type", "short_body", "too_large", "client_error", "gone"}
)
"""Failures of a single response, not of the service."""


@dataclass(frozen=True)
class OpenApi:
    """How to reach the Open API. ``requests_per_minute`` is the budget of each key."""

    url: str
    keys: tuple[SecretStr, ...] = field(repr=False)
    requests_per_minute: int
    state_dir: Path
    total_timeout_s: float = _TOTAL_TIMEOUT_S

    def gateway(self, key: SecretStr) -> Gateway:
        """The gateway of one key. All keys share the circuit; a budget is named by a hash of its key."""
        secret = key.get_secret_value()
        name = f"{SOURCE}-{hashlib.sha256(secret.encode()).hexdigest()[:12]}"
        return Gateway(
            GatewayConfig(
                source=SOURCE,
                base_url=self.url,
                state_dir=self.state_dir,
                headers={"authorization": f"bearer {secret}"},
                budget=Budget(name, self.requests_per_minute),
                total_timeout_s=self.total_timeout_s,
                max_body_bytes=_MAX_BODY_BYTES,
                concurrency=_CONCURRENCY_PER_KEY,
                failures_to_open=_FAILURES_TO_OPEN,
                open_s=_OPEN_S,
            )
        )

    @property
    def characters_per_run(self) -> int:
        """Maximum number of characters that one run requests."""
        return len(self.keys) * self.requests_per_minute * MINUTES_PER_RUN


@dataclass
class OpenApiRun:
    """Result of one collection. ``left``: due but not requested; ``drift``: missing and unknown fields.

    ``was_circuit_open``: the circuit was already open, no request was made.
    """

    kind: str
    outcome: CollectionOutcome = "ok"
    error: str | None = None
    is_maintenance: bool = False
    was_circuit_open: bool = False
    found: int = 0
    new: int = 0
    known: int = 0
    unknown: int = 0
    left: int = 0
    requests: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    waited_s: float = 0.0
    problems: list[str] = field(default_factory=list)
    drift: Counter[str] = field(default_factory=Counter)

    def end(self, error: LostarkError) -> None:
        """Set the outcome for the error that ended the collection."""
        self.error = str(error)
        if isinstance(error, SourceUnavailable):
            self.outcome = "unavailable"
            is_open = isinstance(error, CircuitOpen)
            opened_by = self.failures.most_common(1)[0][0] if is_open and self.failures else error.kind
            self.is_maintenance = opened_by == "maintenance"
            self.was_circuit_open = is_open and not self.failures
        else:
            self.outcome = "refused" if isinstance(error, SourceRefused) else "failed"

    @property
    def needs_attention(self) -> bool:
        """Whether the failure persists without action, unlike maintenance or an open circuit."""
        return self.outcome != "ok" and not (self.is_maintenance or self.was_circuit_open)

    def count(self, gateways: Iterable[Gateway]) -> None:
        """Add the counters of the gateways."""
        for gateway in gateways:
            self.requests += gateway.counts.requests
            self.failures += gateway.counts.failures
            self.waited_s += gateway.counts.waited_s


def collect_profiles(
    api: OpenApi,
    lake: Lake,
    ledger: Ledger,
    choose: Callable[[datetime], CharacterChoice],
    *,
    run_id: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> OpenApiRun:
    """Request the characters that ``choose`` finds due, once each, and store the responses.

    Errors of the service end the run and are part of its result; earlier responses are committed.

    Raises:
        SettingsError: there is no key.
        LakeBusy: other writers committed first too often.
    """
    _require_keys(api)
    run, started_at = OpenApiRun("profiles"), now()
    with lake.lock(RAW_ARMORY_PROFILES.name):
        choice = choose(started_at)
        names = choice.due[: api.characters_per_run]
        run.found, run.known = choice.seen, choice.fresh
        try:
            asyncio.run(_Profiles(api, lake, run, run_id, now).fetch(names))
        except LostarkError as error:
            run.end(error)
            raise
        finally:
            run.left = len(choice.due) - run.new
            _record(ledger, run, started_at, now())
    return run


def collect_news(
    api: OpenApi,
    lake: Lake,
    ledger: Ledger,
    *,
    run_id: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> OpenApiRun:
    """Store new entries of the news lists; errors as in :func:`collect_profiles`.

    Raises:
        SettingsError: there is no key.
    """
    _require_keys(api)
    run, started_at = OpenApiRun("news"), now()
    with lake.lock(RAW_GAME_NOTICES.name):
        rows = asyncio.run(_news(api, run, run_id, now))
        known = set(lake.read(RAW_GAME_NOTICES.name, columns=["notice_id"])["notice_id"].to_pylist())
        fresh = {row["notice_id"]: row for row in rows if row["notice_id"] not in known}
        lake.append(RAW_GAME_NOTICES, _table(RAW_GAME_NOTICES, list(fresh.values())))
    run.found, run.new, run.known = len(rows), len(fresh), len(rows) - len(fresh)
    _record(ledger, run, started_at, now())
    return run


class _Profiles:
    """One collection of profiles: workers of every key take names from one queue."""

    def __init__(
        self, api: OpenApi, lake: Lake, run: OpenApiRun, run_id: str, now: Callable[[], datetime]
    ) -> None:
        self._api, self._lake, self._run, self._run_id, self._now = api, lake, run, run_id, now
        self._names: deque[str] = deque()
        self._rows: list[dict[str, Any]] = []
        self._ended_by: LostarkError | None = None
        self._paused: dict[int, LostarkError] = {}

    async def fetch(self, names: Sequence[str]) -> None:
        self._names.extend(names)
        if not names:
            return
        async with AsyncExitStack() as stack:
            gateways = [await stack.enter_async_context(self._api.gateway(key)) for key in self._api.keys]
            try:
                # Repeated: a paused key returns its name when the other workers may have ended already.
                while self._names and self._ended_by is None and len(self._paused) < len(gateways):
                    workers = [
                        self._work(number, gateway)
                        for number, gateway in enumerate(gateways, start=1)
                        for _ in range(_CONCURRENCY_PER_KEY)
                    ]
                    await asyncio.gather(*workers)
            finally:
                self._commit()
                self._run.count(gateways)
        if self._ended_by is not None:
            self._run.end(self._ended_by)
        elif self._names and self._paused:
            self._run.end(next(iter(self._paused.values())))
        self._run.problems += [f"key {n}: {error}" for n, error in sorted(self._paused.items())]

    async def _work(self, number: int, gateway: Gateway) -> None:
        while self._names and self._ended_by is None and number not in self._paused:
            name = self._names.popleft()
            try:
                await self._one(gateway, name)
            except (SourceUnavailable, SourceRefused) as error:
                self._handle_error(number, name, error)

    async def _one(self, gateway: Gateway, name: str) -> None:
        try:
            response = await gateway.get(REQUEST_PATH.format(name=quote_segment(name)), check=_object_or_null)
            body = response.body
        except SourceRefused as error:
            if error.kind != "not_found":
                raise
            body = b""
        status = "found" if body and parse_profile(body) is not None else "unknown"
        fetched_at = self._now()
        sha256 = content_sha256(body)
        identity = f"{KOREA}\x00{name}\x00{fetched_at.isoformat()}\x00{sha256}"
        self._rows.append(
            {
                "profile_id": hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()[:32],
                "region": KOREA,
                "character_name": name,
                "fetched_at": fetched_at,
                "status": status,
                "content_sha256": sha256,
                "body_bytes": len(body),
                "body": body,
                "request_path": REQUEST_PATH,
                "fetch_run_id": self._run_id,
            }
        )
        self._run.unknown += status == "unknown"
        self._run.drift.update(find_drift(body) if body else ())
        if len(self._rows) >= PROFILES_PER_COMMIT:
            self._commit()

    def _handle_error(self, number: int, name: str, error: SourceUnavailable | SourceRefused) -> None:
        """Handle an error of this response only, of this key, or of the service."""
        if error.kind in _SINGLE_RESPONSE_KINDS and not isinstance(error, CircuitOpen):
            self._run.problems.append(str(error))
            if len(self._run.problems) >= _MAX_PROBLEMS:
                self._ended_by = error
        else:
            self._names.appendleft(name)
            if error.kind in ("unauthorised", "rate_limited"):
                self._paused.setdefault(number, error)
            else:
                self._ended_by = error

    def _commit(self) -> None:
        rows, self._rows = self._rows, []
        self._lake.append(RAW_ARMORY_PROFILES, _table(RAW_ARMORY_PROFILES, rows))
        self._run.new += len(rows)


async def _news(
    api: OpenApi, run: OpenApiRun, run_id: str, now: Callable[[], datetime]
) -> list[dict[str, Any]]:
    """Rows of all lists, with the first accepted key. A missing list does not affect the others."""
    rows: list[dict[str, Any]] = []
    for number, key in enumerate(api.keys, start=1):
        rows = []
        async with api.gateway(key) as gateway:
            try:
                for name, path in NEWS_PATHS.items():
                    rows += await _list(gateway, name, path, run, run_id, now)
            except (SourceUnavailable, SourceRefused) as error:
                run.count([gateway])
                run.end(error)
                if error.kind not in ("unauthorised", "rate_limited"):
                    return rows
                run.problems.append(f"key {number}: {error}")
                continue
            run.count([gateway])
        run.outcome, run.error = "ok", None
        break
    return rows


async def _list(
    gateway: Gateway, name: str, path: str, run: OpenApiRun, run_id: str, now: Callable[[], datetime]
) -> list[dict[str, Any]]:
    try:
        response = await gateway.get(path, check=_list_or_null)
    except SourceRefused as error:
        if error.kind == "unauthorised":
            raise
        run.problems.append(str(error))
        return []
    return list(news_rows(name, response.body, fetched_at=now(), run_id=run_id))


def _object_or_null(body: bytes) -> None:
    parse_profile(body)


def _list_or_null(body: bytes) -> None:
    msgspec.json.decode(body, type=list[msgspec.Raw] | None)


def _require_keys(api: OpenApi) -> None:
    if not api.keys:
        raise SettingsError(
            "LOSTARK_OPEN_API_KEYS: expected at least one key, found none. No request was made. Create a key "
            "at the Open API's own site."
        )


def _table(contract: Contract, rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=contract.schema)


def _record(ledger: Ledger, run: OpenApiRun, started_at: datetime, ended_at: datetime) -> None:
    ledger.record_collection(
        CollectionRecord(
            source=SOURCE,
            kind=run.kind,
            started_at=started_at,
            ended_at=ended_at,
            outcome=run.outcome,
            requests=run.requests,
            failed_requests=run.failures.total(),
            found=run.found,
            new=run.new,
            known=run.known,
            error=run.error,
        )
    )


def build_open_api(settings: Settings) -> OpenApi:
    """The Open API of the settings."""
    return OpenApi(
        settings.open_api_url,
        settings.open_api_keys,
        settings.open_api_requests_per_minute,
        settings.state_dir,
    )
