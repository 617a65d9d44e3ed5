"""The configured origins of battle logs: paths, services, and uploads in the landing folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from lostark_assets.errors import SettingsError
from lostark_assets.gateway.budget import Budget
from lostark_assets.gateway.client import GatewayConfig
from lostark_assets.ledger import open_ledger
from lostark_assets.settings import Settings, named_urls
from lostark_assets.sources.battle_log_http import BattleLogHttp
from lostark_assets.sources.detect import Found, ImportArguments, build_limits, find_sources
from lostark_assets.sources.landing import Landing

DEMO_SOURCE = "demo"


@dataclass(frozen=True)
class FolderOrigin:
    """A file, or a folder that is watched."""

    path: Path
    arguments: ImportArguments = field(default_factory=ImportArguments)

    @property
    def where(self) -> str:
        """The path as text."""
        return str(self.path)


@dataclass(frozen=True)
class ServiceOrigin:
    """A service that offers the battle-log HTTP contract; ``name`` is that of its source."""

    name: str
    url: str

    @property
    def where(self) -> str:
        """The address."""
        return self.url


Origin = FolderOrigin | ServiceOrigin
"""One configured origin of battle logs."""


def has_sources(settings: Settings) -> bool:
    """Whether any source is configured; without one the platform shows demo data."""
    return bool(settings.sources or settings.battle_log_urls)


def has_demo(settings: Settings) -> bool:
    """Whether battle logs come from the mock server, and so are synthetic."""
    return any(url.startswith(f"{DEMO_SOURCE}=") for url in settings.battle_log_urls)


def configured_paths(settings: Settings) -> list[Path]:
    """The files and folders to collect from."""
    return list(settings.sources)


def configured_origins(settings: Settings) -> list[Origin]:
    """Every origin to collect from: paths, services, then pending uploads."""
    return [*watched_origins(settings), *list_uploads(settings)]


def watched_origins(settings: Settings) -> list[Origin]:
    """The origins that are polled for new logs: paths and services."""
    folders: list[Origin] = [FolderOrigin(path) for path in configured_paths(settings)]
    return [*folders, *(service_at(url) for url in settings.battle_log_urls)]


def list_uploads(settings: Settings) -> list[FolderOrigin]:
    """Pending uploads in the landing folder."""
    return [
        FolderOrigin(landed.file, ImportArguments(source=landed.ticket.source, **landed.ticket.arguments))
        for landed in open_landing(settings).waiting()
    ]


def open_landing(settings: Settings) -> Landing:
    """The landing folder of the settings."""
    return Landing(settings.landing_dir)


def service_at(address: str) -> ServiceOrigin:
    """The service at ``name=URL`` or a bare URL.

    Raises:
        SettingsError: not an address of a service.
    """
    try:
        [named] = named_urls((address,))
    except ValueError as error:
        # The address itself stays out of the text: it may hold a password.
        shown = urlsplit(address.split("=", 1)[-1]).hostname or "an address"
        raise SettingsError(f"{shown}: {error}. Nothing was started or changed.") from None
    name, url = named.split("=", 1)
    return ServiceOrigin(name, url)


def is_address(text: str) -> bool:
    """Whether ``text`` names a service rather than a path."""
    return "://" in text


def sources_at(origin: Origin, settings: Settings) -> Iterator[Found]:
    """The sources of one origin: each file of a folder, or the service."""
    if isinstance(origin, FolderOrigin):
        yield from find_sources(origin.path, origin.arguments, build_limits(settings))
    else:
        yield Found(origin.url, service_source(origin, settings))


def service_source(
    origin: ServiceOrigin, settings: Settings, *, total_timeout_s: float | None = None
) -> BattleLogHttp:
    """The source that reads a service, within its budget; no request is made yet."""
    token = settings.battle_log_token
    headers = {} if token is None else {"authorization": f"Bearer {token.get_secret_value()}"}
    gateway = GatewayConfig(
        source=origin.name,
        base_url=origin.url,
        state_dir=settings.state_dir,
        headers=headers,
        budget=Budget(origin.name, settings.battle_log_requests_per_minute),
        total_timeout_s=total_timeout_s or settings.http_total_timeout_s,
        max_body_bytes=int(settings.max_log_bytes),
        concurrency=settings.http_concurrency,
    )
    return BattleLogHttp(gateway, open_ledger(settings))
