"""The metrics exporter as a supervised process; this module never imports it, which keeps the start fast."""

from __future__ import annotations

from lostark_assets.settings import PREFIX, Settings, project_root
from lostark_platform.healthcheck import responds
from lostark_platform.services.supervisor import LOSTARK, Service

METRICS = "metrics"


def metrics_service(settings: Settings, variables: dict[str, str]) -> Service:
    """The exporter; expendable, and no other service waits for it."""
    return Service(
        METRICS,
        [*LOSTARK, METRICS],
        env=variables | {f"{PREFIX}METRICS_PORT": str(settings.metrics_port)},
        cwd=project_root(),
        ready=lambda: responds(settings.metrics_url),
        is_expendable=True,
        is_awaited=False,
    )
