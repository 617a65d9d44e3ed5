"""The API as a supervised process; this module never imports it, which keeps the start fast."""

from __future__ import annotations

import sys

from lostark_assets.settings import Settings, project_root
from lostark_platform.services.supervisor import Service

API = "api"


def api_url(settings: Settings, port: int) -> str:
    """Address for a browser on this machine."""
    every = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    host = "127.0.0.1" if settings.api_host in every else settings.api_host
    return f"http://{host}:{port}"


def api_service(settings: Settings, port: int, variables: dict[str, str]) -> Service:
    """The API as an expendable service."""
    return Service(
        API,
        [sys.executable, "-m", "lostark_api.serve", "--host", settings.api_host, "--port", str(port)],
        env=variables,
        cwd=project_root(),
        ready=f"{api_url(settings, port)}/healthz",
        is_expendable=True,
    )
