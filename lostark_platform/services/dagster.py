"""The Dagster processes of the platform, and how to tell over HTTP that they are well.

Webserver and daemon share one code server for each code location instead of starting their own: it halves the
imports and saves a third of the memory (docs/decisions/0008). What does not belong here: running processes
(``supervisor``), the order of a start (``up``).
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import urllib.request
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from lostark_assets.settings import Settings, project_root
from lostark_platform.config import WORKSPACE_YAML
from lostark_platform.services.supervisor import DIRECT, Service

_CODE_SERVER_RESTARTS = 3
_PATIENCE_WITH_LOCATIONS_S = 10
_RUNS_IN_PROGRESS = """{ runsOrError(filter: {statuses: [STARTING, STARTED, CANCELING]}, limit: 1) {
  ... on Runs { results { runId } } } }"""
_HEALTH = """{
  instance { daemonHealth { allDaemonStatuses { healthy required } } }
  workspaceOrError { ... on Workspace { locationEntries {
    name locationOrLoadError { __typename ... on PythonError { message } } } } }
}"""


@dataclass(frozen=True)
class CodeLocation:
    """An entry of ``workspace.yaml`` and the socket that its code server listens on."""

    name: str
    module: str
    socket: Path

    def listens(self) -> bool:
        """Whether its code server takes connections."""
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
        return True


@dataclass(frozen=True)
class DagsterUi:
    """The address of the webserver and what it can be asked."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Address for a browser on this machine."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        return f"http://{host}:{self.port}"

    def daemons_are_healthy(self) -> bool:
        """Whether every daemon that the instance needs has reported lately."""
        data = self._ask(_HEALTH)
        statuses = data["instance"]["daemonHealth"]["allDaemonStatuses"] if data else []
        return bool(statuses) and all(status["healthy"] for status in statuses if status["required"])

    def broken_locations(self) -> dict[str, str] | None:
        """Message of each code location that can't be loaded; None while the webserver doesn't answer."""
        data = self._ask(_HEALTH)
        if not data:
            return None
        entries = data["workspaceOrError"].get("locationEntries", [])
        outcomes = {entry["name"]: entry["locationOrLoadError"] or {} for entry in entries}
        return {
            name: outcome.get("message", "not loaded yet").strip()
            for name, outcome in outcomes.items()
            if outcome.get("__typename") != "RepositoryLocation"
        }

    def has_runs_in_progress(self) -> bool:
        """Whether the instance holds runs that began and did not end; True if it can't be told."""
        data = self._ask(_RUNS_IN_PROGRESS)
        return not data or bool(data["runsOrError"].get("results", True))

    def has_settled(self, locations: list[CodeLocation]) -> bool:
        """Whether every location is loaded, or has had its time since its code server came up."""
        broken = self.broken_locations()
        if not broken:
            return broken is not None
        try:
            newest = max(place.socket.stat().st_mtime for place in locations)
        except FileNotFoundError:
            return False
        return time.time() - newest > _PATIENCE_WITH_LOCATIONS_S

    def _ask(self, question: str) -> dict | None:
        body = json.dumps({"query": question}).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}/graphql", body, headers)  # noqa: S310 - http, see url
        try:
            with DIRECT.open(request, timeout=10) as answer:
                return json.load(answer)["data"]
        except (OSError, ValueError, KeyError):
            return None


def code_locations(sockets: Path) -> list[CodeLocation]:
    """The code locations of the project's ``workspace.yaml``, each with a socket in ``sockets``."""
    entries = [entry["python_module"] for entry in yaml.safe_load(WORKSPACE_YAML.read_text())["load_from"]]
    return [
        CodeLocation(entry["location_name"], entry["module_name"], sockets / f"{entry['location_name']}.sock")
        for entry in entries
    ]


def write_workspace(settings: Settings, locations: list[CodeLocation]) -> Path:
    """Write the workspace that points webserver and daemon at the code servers."""
    servers = [
        {"grpc_server": {"host": "localhost", "socket": str(place.socket), "location_name": place.name}}
        for place in locations
    ]
    path = settings.dagster_home / "workspace.yaml"
    path.write_text(yaml.safe_dump({"load_from": servers}, sort_keys=False))
    return path


def dagster_services(
    ui: DagsterUi, variables: dict[str, str], locations: list[CodeLocation], workspace: Path
) -> list[Service]:
    """The code servers, the webserver and the daemon. They can start together and find each other."""
    scripts = Path(sys.executable).parent
    env = {**variables, "PATH": os.pathsep.join([str(scripts), os.environ.get("PATH", os.defpath)])}
    at_root = partial(Service, env=env, cwd=project_root())
    webserver = [str(scripts / "dagster-webserver"), "-w", str(workspace), "-h", ui.host, "-p", str(ui.port)]
    daemon = [str(scripts / "dagster-daemon"), "run", "-w", str(workspace)]
    return [
        *(
            at_root(
                f"code-{place.name}",
                _code_server(scripts, place),
                ready=place.listens,
                restarts=_CODE_SERVER_RESTARTS,
            )
            for place in locations
        ),
        at_root("dagster-webserver", webserver, ready=partial(ui.has_settled, locations)),
        at_root("dagster-daemon", daemon, ready=ui.daemons_are_healthy),
    ]


def _code_server(scripts: Path, place: CodeLocation) -> list[str]:
    command = [str(scripts / "dagster"), "api", "grpc", "--socket", str(place.socket)]
    # Lazy: a location that can't be imported shows its error in the UI and stops nothing else.
    names = ["--module-name", place.module, "--location-name", place.name]
    return [*command, *names, "--lazy-load-user-code"]
