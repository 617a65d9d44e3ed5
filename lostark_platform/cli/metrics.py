"""``lostark metrics``: the Prometheus exporter of the platform's stored state."""

from __future__ import annotations

import signal
import threading
import time

from dagster import DagsterInstance

from lostark_assets.database.postgres import marts_url
from lostark_assets.errors import SettingsError
from lostark_assets.lake.tables import open_lake
from lostark_assets.settings import PREFIX, Settings
from lostark_platform import terminal
from lostark_platform.dagster.run_metrics import RunMetrics
from lostark_platform.metrics.exporter import Exporter, Part, serve
from lostark_platform.metrics.lake import LakeMetrics
from lostark_platform.metrics.machine import read_disk_space, read_problems, read_services
from lostark_platform.metrics.marts import read_marts
from lostark_platform.metrics.sources import SourceMetrics
from lostark_platform.services.dagster_home import dagster_instance

OFTEN_S, SELDOM_S = 15.0, 60.0


def build_parts(settings: Settings, instance: DagsterInstance, marts: str) -> list[Part]:
    """Everything that is exported. ``marts``: address of their database."""
    runs = RunMetrics(instance, time.time())
    sources, lake = SourceMetrics(settings), LakeMetrics(open_lake(settings))
    return [
        Part("runs", OFTEN_S, runs.read),
        Part("sources", OFTEN_S, sources.read),
        Part("lake", SELDOM_S, lake.read),
        Part("marts", OFTEN_S, lambda _now: read_marts(marts)),
        Part("problems", OFTEN_S, lambda _now: read_problems(settings)),
        Part("services", OFTEN_S, lambda _now: read_services(settings)),
        Part("disks", SELDOM_S, lambda _now: read_disk_space(settings)),
    ]


def export_metrics(settings: Settings) -> None:
    """Serve the metrics until SIGINT or SIGTERM.

    Raises:
        SettingsError: the address can't be bound.
    """
    finished = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: finished.set())
    with dagster_instance(settings) as instance, marts_url(settings) as marts:
        exporter = Exporter(build_parts(settings, instance, marts))
        try:
            serve(exporter, settings.metrics_host, settings.metrics_port)
        except OSError as error:
            raise SettingsError(
                f"{PREFIX}METRICS_PORT: expected a free port on {settings.metrics_host}, found "
                f"{settings.metrics_port}: {error}. Nothing was started. Set another port."
            ) from error
        exporter.start()
        terminal.say(f"metrics are at {settings.metrics_url}; stop with Ctrl-C")
        finished.wait()
        exporter.stop()
