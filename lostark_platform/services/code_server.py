"""A Dagster code server whose runs are forked from a process that has imported their code already.

``dagster api grpc`` spawns an interpreter for each run, and importing pandas, Arrow, Polars and the code
location takes it 5 to 15 CPU seconds: far more than most runs compute. Here the runs come from
multiprocessing's fork server, which imports the code location once and then forks.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from multiprocessing import forkserver
from multiprocessing.context import BaseContext

from lostark_platform.services.console_script import name_service, run_console_script

_WARM_UP = "lostark_platform.services.warm_up"
MODULE_VARIABLE = "CODE_LOCATION_MODULE"
"""Environment variable by which the fork server knows the code location."""
_get_context = multiprocessing.get_context


def main(arguments: list[str]) -> None:
    """Run ``dagster api grpc`` with ``arguments``; ``--module-name`` names the code location."""
    module = arguments[arguments.index("--module-name") + 1]
    os.environ[MODULE_VARIABLE] = module
    named_by = "--location-name" if "--location-name" in arguments else "--module-name"
    service = f"code-{arguments[arguments.index(named_by) + 1]}"
    # Before the fork server starts: it and the runs that it forks have the same name.
    name_service(service)
    multiprocessing.set_forkserver_preload([_WARM_UP])
    # Now, not with the first run, which would wait for it.
    forkserver.ensure_running()
    multiprocessing.get_context = _fork_from_server  # type: ignore[assignment]
    run_console_script(service, "dagster", ["api", "grpc", *arguments])


def _fork_from_server(method: str | None = None) -> BaseContext:
    """The fork server wherever Dagster requests fresh interpreters."""
    return _get_context("forkserver" if method == "spawn" else method)


if __name__ == "__main__":
    main(sys.argv[1:])
