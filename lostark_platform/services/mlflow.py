"""MLflow's server as a service of the platform: the UI for runs and models; no other service waits for it.

Clients on this machine use its database directly. ``python -m lostark_platform.services.mlflow`` is the
service: it creates the tables, then becomes the server.
"""

from __future__ import annotations

import os
import shlex
import sys

from lostark_assets.settings import PREFIX, Settings, get_settings, local_url, project_root
from lostark_ml.registry.mlflow_database import MLFLOW_VARIABLES, prepare_database
from lostark_platform.config import UVICORN_LOGS_YAML
from lostark_platform.healthcheck import responds
from lostark_platform.services.console_script import name_service, run_console_script
from lostark_platform.services.supervisor import Service

MLFLOW = "mlflow"
_BACKEND, _ROOT = "MLFLOW_BACKEND_STORE_URI", "MLFLOW_DEFAULT_ARTIFACT_ROOT"
_FIRST_PAGE = "#/models?workflowType=machine_learning"
"""MLflow's UI opens the pages for language models by default."""
_NICENESS = 10
_READY_TIMEOUT_S = 180.0


def models_page(url: str) -> str:
    """Address of the list of registered models."""
    return f"{url}/{_FIRST_PAGE}"


def mlflow_service(settings: Settings, backend: str, port: int) -> Service:
    """The server on the database ``backend``; expendable and not awaited.

    The database URL may hold a password: it is passed in the environment, which only the owner can read.
    """
    url = local_url(settings.mlflow_host, port)
    command = [sys.executable, "-m", "lostark_platform.services.mlflow"]
    return Service(
        MLFLOW,
        [*command, settings.mlflow_host, str(port)],
        env={
            **MLFLOW_VARIABLES,
            f"{PREFIX}HOME": str(settings.home),
            _BACKEND: backend,
            _ROOT: settings.mlflow_artifacts_dir.as_uri(),
            "OMP_NUM_THREADS": "1",
        },
        cwd=project_root(),
        ready=lambda: responds(f"{url}/health"),
        ready_timeout_s=_READY_TIMEOUT_S,
        is_expendable=True,
        is_awaited=False,
    )


def main(host: str, port: str) -> None:
    """Create the tables, then run the server."""
    name_service(MLFLOW)
    # Dagster starts at the same time and is needed first.
    os.nice(_NICENESS)
    settings = get_settings()
    # A configured database may be shared: its owner upgrades its tables.
    is_ours = settings.mlflow_tracking_uri is None
    prepare_database(os.environ[_BACKEND], settings.mlflow_artifacts_dir, upgrade=is_ours)
    _serve(settings, host, port, "--no-serve-artifacts")


def serve_with_artifacts(settings: Settings, backend: str, host: str, path_prefix: str) -> None:
    """Become a server for clients on other machines, which hand their artifacts to it.

    The tables of ``backend`` were made by ``lostark migrate``.
    """
    os.environ |= {**MLFLOW_VARIABLES, _BACKEND: backend, _ROOT: "mlflow-artifacts:/"}
    folder = settings.mlflow_artifacts_dir
    folder.mkdir(parents=True, exist_ok=True)
    artifacts = ["--serve-artifacts", "--artifacts-destination", str(folder)]
    prefix = ["--static-prefix", path_prefix] if path_prefix else []
    _serve(settings, host, str(settings.mlflow_port), *artifacts, *prefix)


def _serve(settings: Settings, host: str, port: str, *options: str) -> None:
    arguments = ["server", "--host", host, "--port", port, "--workers", "1", *options]
    if settings.logs == "stdout":
        arguments += ["--uvicorn-opts", f"--log-config {shlex.quote(str(UVICORN_LOGS_YAML))}"]
    run_console_script(MLFLOW, "mlflow", arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
