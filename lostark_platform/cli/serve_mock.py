"""``lostark simulate serve``: an HTTP server of synthetic battle logs and profiles, until stopped."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from typing import cast

from lostark_assets.contracts.battle_log_api import LIST_PATH
from lostark_assets.errors import PermanentError
from lostark_assets.observability.logs import get_logger
from lostark_assets.settings import Settings
from lostark_platform.terminal import Say
from lostark_simulator.mock_server.config import FAULT_KINDS, OPEN_API_PREFIX, FaultConfig, MockServerConfig
from lostark_simulator.mock_server.fault_kinds import FaultKind
from lostark_simulator.mock_server.listening import HOST, get_url, listen

_PORTS_TRIED = 20
log = get_logger()


def build_mock_server_config(
    settings: Settings,
    *,
    seed: int,
    hits_per_player: int | None,
    days: int,
    dirt: bool,
    history: int | None,
    every: float | None,
    faults: float,
    fault_kinds: list[str],
    maintenance: bool,
) -> MockServerConfig:
    """The configuration of the mock server from the options, with the settings as defaults.

    Raises:
        SettingsError: an unknown kind of fault.
    """
    kinds = cast("tuple[FaultKind, ...]", tuple(fault_kinds)) or FAULT_KINDS
    return MockServerConfig(
        state_dir=settings.state_dir / "mock_server",
        history=settings.demo_encounters if history is None else history,
        history_days=days,
        new_fight_every_s=settings.mock_server_new_fight_every_s if every is None else every,
        seed=seed,
        hits_per_player=hits_per_player or MockServerConfig.hits_per_player,
        dirt=dirt,
        weekly_maintenance=maintenance,
        faults=FaultConfig(share=faults, kinds=kinds),
    )


def serve(config: MockServerConfig, port: int, say: Say, *, takes_next: bool) -> None:
    """Serve until SIGINT or SIGTERM; the address goes to stdout as soon as requests are answered.

    With ``takes_next`` the next 19 ports are tried if ``port`` is in use.

    Raises:
        PermanentError: no port is free.
        SourceBusy: another mock server uses the season in the state folder.
    """
    opened = _listen(port, _PORTS_TRIED if takes_next else 1)
    try:
        # The server takes seconds to import; a port in use is reported before.
        from lostark_simulator.mock_server.growing_season import GrowingSeason  # noqa: PLC0415
        from lostark_simulator.mock_server.running import build_server  # noqa: PLC0415

        say(f"generating {config.history:,} synthetic fights (demo data)")
        season = GrowingSeason(config)
        server = build_server(season)
        sys.stdout.write(get_url(opened) + "\n")
        sys.stdout.flush()
        say(
            f"{season.logs:,} synthetic battle logs at {get_url(opened)}{LIST_PATH}, the mock Open API "
            f"at {get_url(opened)}{OPEN_API_PREFIX}; stop with Ctrl-C"
        )
        # The server re-raises the signal that stopped it; SIGTERM is then handled like Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        log.info("mock_server_started", url=get_url(opened), season=season.token, logs=season.logs)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[opened])
        log.info("mock_server_stopped", season=season.token, logs=season.logs)
    finally:
        opened.close()


def _listen(port: int, tries: int) -> socket.socket:
    for candidate in range(port, port + tries):
        try:
            return listen(candidate)
        except OSError as error:
            last = error
    where = f"a free port up to {port + tries - 1}" if tries > 1 else "a free port"
    raise PermanentError(
        f"{HOST}:{port}: expected {where}, found none ({last.strerror}). "
        "Nothing was started. Choose another with --port."
    )
