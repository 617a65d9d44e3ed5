"""Demo mode: without a configured source, the platform collects synthetic fights from the mock server.

The mock server is one more supervised process, configured by the settings that name a real service.
"""

from __future__ import annotations

import os

from lostark_assets.settings import PREFIX, Settings, project_root
from lostark_assets.sources.configured import DEMO_SOURCE, has_sources
from lostark_platform.healthcheck import responds
from lostark_platform.services.supervisor import LOSTARK, Service
from lostark_simulator.mock_server.config import CONTROL_PREFIX, DEMO_OPEN_API_KEY, OPEN_API_PREFIX

MOCK_SERVER = "mock-server"
_HOST = "127.0.0.1"
_SEASON = ["--days", "56", "--hits-per-player", "100"]
"""Enough weeks to train a model, and fights small enough to be collected within minutes."""
_RETRAINING = {f"{PREFIX}RETRAIN_NEW_FIGHTS": "150", f"{PREFIX}RETRAIN_PAUSE_H": "0.25"}
"""A demo runs for an hour, not for a month."""


def is_demo(settings: Settings) -> bool:
    """Whether the platform shows demo data: no source of battle logs is configured."""
    return not has_sources(settings)


def demo_variables(settings: Settings, port: int) -> dict[str, str]:
    """Variables that name the mock server as source and, where no key is configured, as the Open API."""
    url = f"http://{_HOST}:{port}"
    variables = {f"{PREFIX}BATTLE_LOG_URLS": f"{DEMO_SOURCE}={url}"}
    # A proxy of the environment does not apply to services on this machine.
    variables |= {name: value for name, value in _RETRAINING.items() if not os.environ.get(name)}
    for name in ("NO_PROXY", "no_proxy"):
        variables[name] = ",".join(filter(None, [os.environ.get(name), _HOST]))
    if not settings.open_api_keys:
        variables |= {
            f"{PREFIX}OPEN_API_URL": f"{url}{OPEN_API_PREFIX}",
            f"{PREFIX}OPEN_API_KEYS": DEMO_OPEN_API_KEY,
        }
    return variables


def mock_server_service(settings: Settings, port: int) -> Service:
    """The mock server as an expendable service."""
    return Service(
        MOCK_SERVER,
        [*LOSTARK, "simulate", "serve", "--port", str(port), *_SEASON],
        env={f"{PREFIX}HOME": str(settings.home)},
        cwd=project_root(),
        ready=lambda: responds(f"http://{_HOST}:{port}{CONTROL_PREFIX}"),
        ready_timeout_s=180.0,
        is_expendable=True,
    )
