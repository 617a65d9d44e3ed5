"""The API as a supervised process; this module never imports it, which keeps the start fast."""

from __future__ import annotations

import sys

from lostark_assets.settings import Settings, project_root
from lostark_platform.services.supervisor import Service

API = "api"


def api_service(settings: Settings, variables: dict[str, str]) -> Service:
    """The API as an expendable service."""
    return Service(
        API,
        [
            sys.executable,
            "-m",
            "lostark_api.serve",
            "--host",
            settings.api_host,
            "--port",
            str(settings.api_port),
        ],
        env=variables,
        cwd=project_root(),
        ready=f"{settings.api_url}/healthz",
        is_expendable=True,
    )
