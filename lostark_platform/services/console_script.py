"""A console script of a library, run in a process whose log lines are the platform's.

``python -m lostark_platform.services.console_script SERVICE SCRIPT ARGUMENT…``
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from logging import Handler

from lostark_assets.observability.library_logs import HANDLER
from lostark_assets.observability.logs import SERVICE_VARIABLE, configure_logs
from lostark_assets.settings import get_settings


def name_service(service: str) -> None:
    """Configure the logs of this process, and of those that it will start, as those of ``service``."""
    os.environ[SERVICE_VARIABLE] = service
    configure_logs(get_settings(), service)


def run_console_script(service: str, script: str, arguments: Sequence[str]) -> None:
    """Run ``script``, like ``dagster-daemon``, in this process; its log lines are those of ``service``."""
    name_service(service)
    # MLflow's is declared by each of its packages.
    entry_point, *_ = entry_points(group="console_scripts", name=script)
    sys.argv = [script, *arguments]
    entry_point.load()()


def build_uvicorn_handler(service: str) -> Handler:
    """The handler of uvicorn's ``--log-config`` (``config/uvicorn_logs.yaml``).

    MLflow starts uvicorn as a process of its own, in which this is the first code of ours that runs.
    """
    name_service(service)
    return HANDLER


if __name__ == "__main__":
    run_console_script(sys.argv[1], sys.argv[2], sys.argv[3:])
