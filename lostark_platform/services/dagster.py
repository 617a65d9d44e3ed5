"""The Dagster processes of the platform, and their health over GraphQL.

Webserver and daemon share one code server for each code location instead of starting their own: it halves the
imports and saves a third of the memory (docs/decisions/0008).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from lostark_assets.automation.requests import LAUNCH, PUBLISH_VERSION, launch_params
from lostark_assets.errors import PermanentError, TransientError
from lostark_assets.settings import Settings, local_url, project_root
from lostark_platform.config import WORKSPACE_YAML
from lostark_platform.healthcheck import DIRECT
from lostark_platform.services.supervisor import Service

DAGSTER_COMMANDS = ("dagster", "dagster-webserver", "dagster-daemon")
_CODE_SERVER_RESTARTS = 3
_MAX_LOCATION_LOAD_S = 10
_RUNS_IN_PROGRESS = """{ runsOrError(filter: {statuses: [STARTING, STARTED, CANCELING]}, limit: 1) {
  ... on Runs { results { runId } } } }"""
_HEALTH = """{
  instance { daemonHealth { allDaemonStatuses { healthy required } } }
  workspaceOrError { ... on Workspace { locationEntries {
    name locationOrLoadError { __typename ... on PythonError { message } } } } }
}"""


_STATUS = """query Status($id: ID!) { runOrError(runId: $id) { __typename ... on Run { status } } }"""
_RUN = """query Run($id: ID!) { runOrError(runId: $id) { __typename ... on Run {
  status
  assetMaterializations { metadataEntries { label ... on IntMetadataEntry { intRepr } } }
  eventConnection(limit: 10000) { events {
    ... on ExecutionStepFailureEvent { error { message causes { message } } }
    ... on RunFailureEvent { message } } }
} } }"""
_ENDED = ("SUCCESS", "FAILURE", "CANCELED")


@dataclass(frozen=True)
class RunState:
    """A run; once ``has_ended``, with its errors and the last publication that it made, if any."""

    has_ended: bool
    errors: tuple[str, ...] = ()
    publish_version: int | None = None


@dataclass(frozen=True)
class CodeLocation:
    """An entry of ``workspace.yaml`` and the socket that its code server listens on."""

    name: str
    module: str
    socket: Path

    @property
    def address(self) -> dict[str, str | int]:
        """Where its code server listens, for a workspace file."""
        return {"host": "localhost", "socket": str(self.socket)}

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
    """The webserver's address, and GraphQL queries about the instance behind it."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Address for a browser on this machine."""
        return local_url(self.host, self.port)

    def daemons_are_healthy(self) -> bool:
        """Whether every daemon that the instance needs has reported recently."""
        data = self._query(_HEALTH)
        statuses = data["instance"]["daemonHealth"]["allDaemonStatuses"] if data else []
        return bool(statuses) and all(status["healthy"] for status in statuses if status["required"])

    def broken_locations(self) -> dict[str, str] | None:
        """Message of each code location that can't be loaded; None while the webserver doesn't respond."""
        data = self._query(_HEALTH)
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
        """Whether runs of the instance have started and not ended; True if unknown."""
        data = self._query(_RUNS_IN_PROGRESS)
        return not data or bool(data["runsOrError"].get("results", True))

    def has_settled(self, locations: list[CodeLocation]) -> bool:
        """Whether every location is loaded, or its code server has been up long enough to load it."""
        broken = self.broken_locations()
        if not broken:
            return broken is not None
        try:
            newest = max(place.socket.stat().st_mtime for place in locations)
        except FileNotFoundError:
            return False
        return time.time() - newest > _MAX_LOCATION_LOAD_S

    def launch(self, job: str, config: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """Start a run of ``job``; its id.

        Raises:
            TransientError: Dagster does not respond, or refuses the run.
        """
        data = self._query(LAUNCH, launch_params(job, config, tags))
        launched: dict[str, Any] = data["launchRun"] if data else {"__typename": "no response"}
        if launched["__typename"] != "LaunchRunSuccess":
            found = " ".join([launched["__typename"], launched.get("message", "")]).strip()
            raise TransientError(
                f"{self.url}: expected a run of {job} to start, found {found}. Collected logs were kept; the "
                "platform processes them by itself once it can."
            )
        return str(launched["run"]["runId"])

    def find_run(self, run_id: str) -> RunState | None:
        """The state of a run; None while the webserver doesn't respond."""
        data = self._query(_STATUS, {"id": run_id})
        if data is not None and data["runOrError"].get("status") in _ENDED:
            # Its events are read once, not at every poll.
            data = self._query(_RUN, {"id": run_id})
        return None if data is None else _read_run(data["runOrError"])

    def _query(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        body = json.dumps({"query": query, "variables": variables or {}}).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}/graphql", body, headers)  # noqa: S310 - http, see url
        try:
            with DIRECT.open(request, timeout=10) as response:
                return json.load(response)["data"]
        except (OSError, ValueError, KeyError):
            return None


def _read_run(run: dict[str, Any]) -> RunState:
    if run["__typename"] != "Run":
        return RunState(has_ended=True, errors=("the run was deleted",))
    if run["status"] not in _ENDED:
        return RunState(has_ended=False)
    errors = [_read_error(event) for event in run["eventConnection"]["events"] if event]
    entries = [entry for one in run["assetMaterializations"] for entry in one["metadataEntries"]]
    versions = [int(entry["intRepr"]) for entry in entries if entry["label"] == PUBLISH_VERSION]
    failed = run["status"] != "SUCCESS"
    return RunState(
        has_ended=True,
        errors=(errors[0] if errors else f"the run ended as {run['status'].lower()}",) if failed else (),
        publish_version=max(versions, default=None),
    )


def _read_error(event: dict[str, Any]) -> str:
    """The first line of the root cause, below Dagster's wrappers."""
    error: dict[str, Any] = event.get("error") or event
    causes: list[dict[str, Any]] = [error, *(error.get("causes") or [])]
    return str(causes[-1]["message"]).strip().splitlines()[0]


def list_modules() -> dict[str, str]:
    """Module by name of each code location of the packaged ``workspace.yaml``."""
    entries = [entry["python_module"] for entry in yaml.safe_load(WORKSPACE_YAML.read_text())["load_from"]]
    return {entry["location_name"]: entry["module_name"] for entry in entries}


def code_locations(sockets: Path) -> list[CodeLocation]:
    """The code locations of the packaged ``workspace.yaml``, each with a socket in ``sockets``."""
    return [CodeLocation(name, module, sockets / f"{name}.sock") for name, module in list_modules().items()]


def write_workspace(settings: Settings, servers: Mapping[str, Mapping[str, str | int]]) -> Path:
    """Write the workspace file that names the code servers to webserver and daemon.

    Args:
        settings: whose Dagster home it is written into.
        servers: where each code server listens, by code location: host and port or socket.
    """
    entries = [{"grpc_server": {**address, "location_name": name}} for name, address in servers.items()]
    path = settings.dagster_home / "workspace.yaml"
    # Webserver and daemon of a deployment may write it at once.
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(yaml.safe_dump({"load_from": entries}, sort_keys=False))
    draft.replace(path)
    return path


def dagster_services(
    ui: DagsterUi, variables: dict[str, str], locations: list[CodeLocation], workspace: Path
) -> list[Service]:
    """The code servers, the webserver and the daemon, which can all start at once."""
    scripts = Path(sys.executable).parent
    env = {**variables, "PATH": os.pathsep.join([str(scripts), os.environ.get("PATH", os.defpath)])}
    at_root = partial(Service, env=env, cwd=project_root())
    webserver = [_command("dagster-webserver"), "-w", str(workspace), "-h", ui.host, "-p", str(ui.port)]
    daemon = [_command("dagster-daemon"), "run", "-w", str(workspace)]
    return [
        *(
            at_root(
                f"code-{place.name}",
                _code_server(place),
                ready=place.listens,
                restarts=_CODE_SERVER_RESTARTS,
            )
            for place in locations
        ),
        at_root("dagster-webserver", webserver, ready=partial(ui.has_settled, locations)),
        at_root("dagster-daemon", daemon, ready=ui.daemons_are_healthy),
    ]


def find_command(name: str) -> str | None:
    """The command of this environment, else the first one on ``PATH``."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def _command(name: str) -> str:
    found = find_command(name)
    if found is None:
        raise PermanentError(
            f"The command {name} is not installed beside {sys.executable}. Nothing was started. "
            "`lostark doctor` shows what is missing."
        )
    return found


def _code_server(place: CodeLocation) -> list[str]:
    command = [sys.executable, "-m", "lostark_platform.services.code_server", "--socket", str(place.socket)]
    # Lazy: a location that can't be imported shows its error in the UI and stops nothing else.
    names = ["--module-name", place.module, "--location-name", place.name]
    return [*command, *names, "--lazy-load-user-code"]
