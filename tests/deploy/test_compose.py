"""All of compose.yaml, built and run: from an upload at the gateway to its fight, and through trouble."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from lostark_assets.settings import project_root
from tests.deploy.engine import Engine, compose_command, is_available, run, running_engine
from tests.deploy.waiting import free_port, wait_for

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.skipif(
        not is_available(), reason="needs a Docker engine with compose, or root and Debian's docker.io"
    ),
]
PROFILES = ("core", "monitoring")
OURS = ("api", "pipeline", "model", "gateway")
NOT_HERE = {"grafana", "loki", "fluent-bit"}
"""No image of them can be made where none can be pulled."""
MAX_API_BYTES = 1_150_000_000
"""Over its base; the goal is 600 MB, see docs/decisions/0035."""


@dataclass
class Stack:
    """A running compose project."""

    engine: Engine
    folder: Path
    https_port: int
    http_port: int
    password: str
    name: str = f"lostark-test-{os.getpid()}"
    key: str = ""
    certificate: Path = field(default_factory=Path)

    def compose(self, *arguments: str, timeout_s: float = 1800) -> str:
        profiles = [word for profile in PROFILES for word in ("--profile", profile)]
        command = [
            *compose_command(),
            "--project-name",
            self.name,
            "--file",
            "deploy/compose.yaml",
            *profiles,
        ]
        return run(*command, *arguments, cwd=self.folder, timeout_s=timeout_s, **self.engine.env)

    def services(self) -> list[str]:
        profiles = {
            name: set(service["profiles"])
            for name, service in yaml.safe_load((self.folder / "deploy/compose.yaml").read_text())[
                "services"
            ].items()
        }
        left_out = set() if self.engine.pulls else NOT_HERE
        return [name for name in profiles if profiles[name] & set(PROFILES) and name not in left_out]

    def start(self) -> None:
        """Start all services, and wait for those that requests need."""
        self.compose("up", "--detach", "--no-build", *self.services())
        wait_for(lambda: self.are_healthy("gateway", "api", "code-assets", "dagster-webserver"), 300)
        # It is made at the first start.
        self.certificate = self.folder / "gateway.pem"
        [gateway] = self.containers("gateway")
        self.engine.docker("cp", f"{gateway}:/certs/gateway.pem", self.certificate)

    def remove(self) -> None:
        """Stop all services and delete all data."""
        self.compose("rm", "--stop", "--force")
        project = f"label=com.docker.compose.project={self.name}"
        assert self.engine.docker("ps", "--all", "--quiet", "--filter", project) == ""
        volumes = self.engine.docker("volume", "ls", "--quiet", "--filter", project).split()
        self.engine.docker("volume", "rm", *volumes)

    def containers(self, service: str) -> list[str]:
        return sorted(self.compose("ps", "--quiet", service).split())

    def inspect(self, container: str) -> dict[str, Any]:
        return json.loads(self.engine.docker("inspect", container))[0]

    def logs(self, service: str) -> str:
        return "".join(self.engine.docker("logs", container) for container in self.containers(service))

    def exec(self, service: str, *command: str) -> str:
        return self.engine.docker("exec", self.containers(service)[0], *command)

    def client(self, *, login: bool = False, **options: Any) -> httpx.Client:
        auth = httpx.BasicAuth("operator", self.password) if login else None
        context = ssl.create_default_context(cafile=str(self.certificate))
        return httpx.Client(
            base_url=f"https://localhost:{self.https_port}", verify=context, auth=auth, trust_env=False,
            timeout=30, **options,
        )  # fmt: skip

    def are_healthy(self, *names: str) -> bool:
        states = [
            self.inspect(container)["State"]["Health"]["Status"]
            for name in names
            for container in self.containers(name)
        ]
        assert len(states) >= len(names)
        return set(states) == {"healthy"}

    def upload(self, path: Path) -> dict[str, Any]:
        """Post ``path`` and wait until its fights are published; the final ticket."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/octet-stream"}
        with self.client(headers=headers) as client:
            sent = client.post(f"/v1/battle-logs?name={path.name}", content=path.read_bytes())
            assert sent.status_code == 202, sent.text
            ticket = sent.json()["ticket"]

            def is_final() -> dict[str, Any] | None:
                found = client.get(f"/v1/battle-logs/tickets/{ticket}")
                return found.json() if found.is_success and found.json()["is_final"] else None

            return wait_for(is_final, 180) | {"request_id": sent.headers["x-request-id"]}

    def events(self, service: str) -> list[dict[str, Any]]:
        """The lines that it logged as JSON."""
        return [json.loads(line) for line in self.logs(service).splitlines() if line.startswith("{")]


def write_encounters(folder: Path, seed: int) -> Path:
    path = folder / f"encounters-{seed}.db"
    command = "from lostark_platform.cli.app import app; app()"
    options = ["--encounters", "20", "--hits-per-player", "20", "--seed", str(seed), "--no-dirt"]
    run(sys.executable, "-c", command, "simulate", path, *options, LOSTARK_HOME=str(folder / "home"))
    return path


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running_engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def stack(engine, tmp_path_factory) -> Iterator[Stack]:
    """A copy of the checkout, so that secrets and settings of this machine are neither used nor made."""
    folder = tmp_path_factory.mktemp("deployment")
    tracked = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=project_root())
    for name in tracked.split("\0"):
        source = project_root() / name
        if name and source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    said = run(folder / "deploy/init")
    password = re.search(r"operator, (\w+)", said)
    assert password
    with (folder / "deploy/settings.env").open("a") as settings:
        # One client sends all requests of these tests.
        settings.write("GATEWAY_CLIENT_REQUESTS_PER_10S=100000\n")
    if not engine.pulls:
        # Debian's Alertmanager is older than `url_file`.
        path = folder / "deploy/alertmanager/alertmanager.yml"
        path.write_text(re.sub(r"url_file: \S+", "url: http://127.0.0.1:9/", path.read_text()))
    stack = Stack(engine, folder, free_port(), free_port(), password[1])
    ports = {"HTTPS_PORT": stack.https_port, "HTTP_PORT": stack.http_port}
    lines = [f"{name}={value}\n" for name, value in {**engine.variables, **ports}.items()]
    (folder / "deploy/.env").write_text("".join(lines))
    try:
        stack.compose(
            "build",
            *(name for name in stack.services() if name in {"api", "code-assets", "code-ml", "gateway"}),
        )
        stack.start()
        stack.key = stack.exec(
            "code-assets", "lostark", "key", "create", "test", "--scope", "upload"
        ).splitlines()[0]
        yield stack
    finally:
        (folder / "compose.log").write_text(stack.compose("logs", "--no-color"))
        stack.remove()
        # An engine of version 20 may still count an address that a container had.
        engine.try_docker("network", "rm", f"{stack.name}_platform")


def test_every_service_becomes_healthy(stack) -> None:
    names = [name for name in stack.services() if name != "migrate"]
    watched = [name for name in names if "Health" in stack.inspect(stack.containers(name)[0])["State"]]
    assert set(watched) >= {
        "postgres",
        "valkey",
        "api",
        "gateway",
        "mlflow",
        "metrics",
        "prometheus",
        "dagster-daemon",
    }
    wait_for(lambda: stack.are_healthy(*watched), 300)
    assert all(stack.inspect(one)["RestartCount"] == 0 for name in names for one in stack.containers(name))
    [migrate] = stack.containers("migrate") or re.findall(
        r"\w+", stack.compose("ps", "--all", "--quiet", "migrate")
    )
    assert stack.inspect(migrate)["State"]["ExitCode"] == 0


def test_images_hold_what_their_service_needs_and_nothing_else(stack, record_property) -> None:
    sizes = {}
    for name in OURS:
        image = f"lostark-{name}:local"
        [found] = json.loads(stack.engine.docker("image", "inspect", image))
        base = stack.engine.variables.get("PYTHON_IMAGE" if name != "gateway" else "DEBIAN_IMAGE")
        base = base or {"gateway": "debian:bookworm-slim"}.get(name, "python:3.11-slim-bookworm")
        sizes[name] = found["Size"] - json.loads(stack.engine.docker("image", "inspect", base))[0]["Size"]
        assert found["Config"]["User"] == "10001"
        assert found["Config"]["Healthcheck"]["Test"][0] == "CMD"
        assert found["Config"]["Labels"]["org.opencontainers.image.licenses"] == "MIT"
        missing = "for p in gcc cc make git; do command -v $p && exit 1; done; true"
        assert stack.engine.docker("run", "--rm", "--entrypoint", "sh", image, "-c", missing) == ""
    for name, forbidden in {
        "api": "dagster great_expectations duckdb polars typer flask pytest",
        "pipeline": "sklearn mlflow pytest ruff",
        "model": "pytest ruff playwright",
    }.items():
        code = "import importlib.util as u, sys; sys.exit(' '.join(filter(u.find_spec, sys.argv[1:])) or 0)"
        found = stack.engine.try_docker(
            "run", "--rm", "--entrypoint", "python", f"lostark-{name}:local", "-c", code, *forbidden.split()
        )
        assert found.returncode == 0, f"{name} has {found.stdout}"
    for name, size in sizes.items():
        record_property(name, f"{size / 1e6:,.0f} MB over its base")
    assert sizes["api"] < MAX_API_BYTES


def test_containers_can_write_only_where_they_must(stack) -> None:
    for service in stack.services():
        for container in stack.containers(service):
            host = stack.inspect(container)["HostConfig"]
            assert "no-new-privileges:true" in host["SecurityOpt"], service
            assert host["Memory"] > 0, service
            if service != "postgres":
                assert host["ReadonlyRootfs"], service
                assert host["CapDrop"] == ["ALL"], service
    refused = stack.engine.try_docker("exec", stack.containers("api")[0], "touch", "/opt/lostark/x")
    assert "Read-only file system" in refused.stdout


def test_an_upload_at_the_gateway_becomes_fights_on_pages(stack, tmp_path) -> None:
    ticket = stack.upload(write_encounters(tmp_path, 1))
    assert ticket["state"] == "published", ticket
    assert ticket["fight_count"] == 20
    with stack.client() as client:
        [fight, *_] = client.get("/v1/fights").json()["fights"]
        page = client.get(f"/fights/{fight['fight_id']}")
        assert page.status_code == 200
        assert page.headers["strict-transport-security"]
        assert fight["boss_name"] in page.text
    with httpx.Client(trust_env=False) as plain:
        answer = plain.get(f"http://localhost:{stack.http_port}/fights")
        assert (answer.status_code, answer.headers["location"].partition(":")[0]) == (308, "https")


def test_one_request_is_found_from_the_gateway_to_its_run(stack, tmp_path) -> None:
    request_id = stack.upload(write_encounters(tmp_path, 3))["request_id"]
    found = {
        service: [one for one in stack.events(service) if one.get("request_id") == request_id]
        for service in ("gateway", "api", "code-assets")
    }
    [at_gateway], at_api, at_run = found["gateway"], found["api"], found["code-assets"]
    assert (at_gateway["method"], at_gateway["path"], at_gateway["status"]) == (
        "POST",
        "/v1/battle-logs",
        202,
    )
    assert any(one["event"] == "request" and one["status"] == 202 for one in at_api)
    assert len({one["run_id"] for one in at_run if "run_id" in one}) == 1


def test_every_line_of_ours_is_json_with_the_same_fields(stack) -> None:
    for service in (
        "api",
        "gateway",
        "code-assets",
        "code-ml",
        "dagster-webserver",
        "dagster-daemon",
        "mlflow",
        "metrics",
    ):
        lines = stack.logs(service).splitlines()
        broken = [line for line in lines if not line.startswith("{")]
        # HAProxy's own messages have a form of their own.
        assert service == "gateway" or broken == [], (service, broken[:20])
        for line in lines:
            if line.startswith("{"):
                assert {"time", "level", "event", "service"} <= json.loads(line).keys(), (service, line)


def test_uploads_need_a_key(stack) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    with stack.client(headers=headers) as client:
        assert client.post("/v1/battle-logs?name=a.db", content=b"x").status_code == 401


@pytest.mark.parametrize(
    ("path", "holds"),
    [
        ("/dagster/server_info", "dagster_version"),
        ("/dagster/runs", "Dagster"),
        ("/mlflow/", "MLflow"),
        ("/mlflow/ajax-api/2.0/mlflow/experiments/search?max_results=5", "experiments"),
        ("/prometheus/api/v1/status/buildinfo", "version"),
        ("/alertmanager/api/v2/status", "cluster"),
    ],
)
def test_pages_of_operators_need_their_login(stack, path, holds) -> None:
    with stack.client() as client:
        assert client.get(path).status_code == 401
    with stack.client(login=True) as client:
        wait_for(lambda: client.get(path).status_code == 200, 120)
        assert holds in client.get(path).text


def test_prometheus_reaches_every_service_and_dashboards_have_data(stack) -> None:
    jobs = {
        one["job_name"]
        for one in yaml.safe_load((stack.folder / "deploy/prometheus/compose.yml").read_text())[
            "scrape_configs"
        ]
    }
    with stack.client(login=True) as client:

        def query(expression: str) -> list[dict[str, Any]]:
            answer = client.get("/prometheus/api/v1/query", params={"query": expression})
            return answer.json()["data"]["result"] if answer.is_success else []

        wait_for(lambda: {one["metric"]["job"] for one in query("up == 1")} == jobs, 120)
        assert len(query('up{job="api"} == 1')) == 2
        for expression in (
            "lostark_publish_version > 0",
            "sum by (route) (rate(lostark_api_requests_total[5m]))",
            'lostark_table_rows{table="core_encounters"} >= 20',
            "haproxy_backend_active_servers{proxy='api'} == 2",
            "pg_up == 1",
            "redis_up == 1",
            "node_memory_MemAvailable_bytes",
        ):
            wait_for(lambda expression=expression: query(expression), 90)


@contextmanager
def reading(stack: Stack) -> Iterator[list[int | str]]:
    """Four clients that read all the time; what they got."""
    statuses: list[int | str] = []
    finished = threading.Event()

    def read() -> None:
        with stack.client() as client:
            while not finished.is_set():
                try:
                    statuses.append(client.get("/v1/fights?limit=5").status_code)
                except httpx.HTTPError as error:
                    statuses.append(repr(error))
                time.sleep(0.02)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        wait_for(lambda: len(statuses) > 50, 30)
        yield statuses
    finally:
        finished.set()
        for reader in readers:
            reader.join()


def test_no_request_fails_while_an_api_server_is_killed(stack, record_property) -> None:
    with reading(stack) as statuses:
        victim = stack.containers("api")[0]
        stack.engine.docker("kill", "--signal", "KILL", victim)
        # A kill by hand is no crash to Docker's restart policy.
        time.sleep(3)
        stack.engine.docker("start", victim)
        wait_for(lambda: stack.are_healthy("api"), 60)
        time.sleep(3)
    record_property("requests", len(statuses))
    assert len(statuses) > 300
    assert set(statuses) == {200}


def roll_out(stack: Stack, image: str, instructions: str) -> subprocess.CompletedProcess[str]:
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", image, "-"],
        input=f"FROM lostark-api:local\n{instructions}\n",
        env={**os.environ, **stack.engine.env}, text=True, check=True, capture_output=True,
    )  # fmt: skip
    (stack.folder / "images").write_text(f"API_IMAGE={image}\n")
    return subprocess.run(
        [stack.folder / "deploy/rollout", stack.folder / "images"],
        env={**os.environ, **stack.engine.env, "COMPOSE_PROJECT": stack.name, "ROLLOUT_WAIT_S": "60"},
        text=True, capture_output=True, check=False, timeout=900,
    )  # fmt: skip


def api_images(stack: Stack) -> set[str]:
    containers = stack.containers("api")
    assert len(containers) == 2
    return {stack.inspect(one)["Config"]["Image"] for one in containers}


def test_a_rollout_replaces_api_servers_without_a_failed_request(stack, record_property) -> None:
    with reading(stack) as statuses:
        done = roll_out(stack, "lostark-api:next", "LABEL next=1")
        assert done.returncode == 0, done.stderr
    record_property("requests", len(statuses))
    assert len(statuses) > 300
    assert set(statuses) == {200}
    assert api_images(stack) == {"lostark-api:next"}


def test_a_rollout_of_a_broken_image_goes_back_without_a_failed_request(stack, record_property) -> None:
    with reading(stack) as statuses:
        done = roll_out(stack, "lostark-api:broken", 'CMD ["false"]')
        assert done.returncode == 1, done.stderr
    assert "rolled back" in done.stderr
    record_property("requests", len(statuses))
    assert len(statuses) > 300
    assert set(statuses) == {200}
    assert api_images(stack) == {"lostark-api:next"}
    assert "API_IMAGE=lostark-api:next" in (stack.folder / "deploy/.env").read_text()


def test_pages_are_served_without_the_shared_cache_and_use_it_again(stack) -> None:
    [valkey] = stack.containers("valkey")
    stack.engine.docker("stop", "--time", "10", valkey)
    try:
        with stack.client() as client:
            for path in ("/v1/fights?limit=7", "/v1/gates", "/readyz"):
                assert client.get(path).status_code == 200, path
    finally:
        stack.engine.docker("start", valkey)
    wait_for(lambda: stack.are_healthy("valkey"), 60)
    keys = "valkey-cli -a $(sed -n 's/^requirepass //p' /run/secrets/valkey.conf) dbsize 2>/dev/null"

    def is_used() -> bool:
        with stack.client() as client:
            client.get("/v1/fights?limit=8")
        return int(stack.exec("valkey", "sh", "-c", keys)) > 0

    wait_for(is_used, 60)


def test_a_restart_of_postgresql_loses_nothing(stack, tmp_path) -> None:
    with stack.client() as client:

        def fights() -> set[str]:
            return {one["fight_id"] for one in client.get("/v1/fights?limit=100").json()["fights"]}

        before = fights()
        assert len(before) >= 20
        stack.engine.docker("restart", "--time", "30", stack.containers("postgres")[0])
        wait_for(lambda: client.get("/readyz").status_code == 200, 60)
        assert fights() == before
        ticket = stack.upload(write_encounters(tmp_path, 2))
        assert ticket["state"] == "published", ticket
        wait_for(lambda: before < fights(), 30)
    assert stack.are_healthy("dagster-webserver", "code-assets")


def test_logs_hold_no_secret(stack) -> None:
    secrets = {
        path.name: path.read_text() for path in (stack.folder / "deploy/secrets").iterdir() if path.is_file()
    }
    passwords = {secrets["postgres_password"], secrets["grafana_admin_password"], stack.key, stack.password}
    passwords.add(json.loads(secrets["valkey_passwords.json"])["redis://valkey:6379"])
    everything = stack.compose("logs", "--no-color")
    assert len(everything) > 1000
    assert [one for one in passwords if one in everything] == []
    assert base64.b64encode(f"operator:{stack.password}".encode()).decode() not in everything


@pytest.mark.parametrize(
    ("image", "command", "env", "says"),
    [
        ("api", [], {}, "LOSTARK_POSTGRES_URL"),
        ("api", [], {"LOSTARK_POSTGRES_URL": "mysql://x"}, "LOSTARK_POSTGRES_URL: expected"),
        ("api", [], {"LOSTARK_API_PORT": "many"}, "LOSTARK_API_PORT: expected a whole number, found 'many'"),
        ("api", [], {"LOSTARK_SECRETS_DIR": "/nowhere"}, "LOSTARK_SECRETS_DIR: expected a folder"),
        (
            "pipeline",
            ["service", "code-server", "--location", "lostark_assets"],
            {},
            "LOSTARK_DAGSTER_POSTGRES_URL and",
        ),
        ("pipeline", ["service", "dagster-daemon"], {}, "LOSTARK_CODE_SERVERS: expected"),
        (
            "pipeline",
            ["service", "dagster-webserver"],
            {"LOSTARK_CODE_SERVERS": "here"},
            "expected name=host:port, found 'here'",
        ),
        ("pipeline", ["service", "nothing"], {}, "expected code-server"),
        ("model", ["service", "mlflow"], {}, "LOSTARK_MLFLOW_TRACKING_URI: expected MLflow's database"),
        ("model", ["migrate"], {}, "LOSTARK_DAGSTER_POSTGRES_URL and LOSTARK_POSTGRES_URL: expected"),
        ("gateway", [], {}, "gateway_users.cfg can't be read"),
    ],
)
def test_a_container_with_wrong_settings_stops_at_once_and_names_them(
    stack, image, command, env, says
) -> None:
    variables = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
    done = stack.engine.try_docker(
        "run", "--rm", "--read-only", "--tmpfs", "/tmp", *variables, f"lostark-{image}:local", *command
    )
    assert done.returncode not in (0, 137), done.stdout
    assert says in " ".join(done.stdout.split()), done.stdout
    assert "Traceback" not in done.stdout


def test_a_wrong_password_of_postgresql_is_named_without_being_shown(stack) -> None:
    env = ["--env", "LOSTARK_POSTGRES_URL=postgresql://lostark:wrong-secret@postgres/lostark"]
    env += ["--env", "LOSTARK_DAGSTER_POSTGRES_URL=postgresql://lostark:wrong-secret@postgres/dagster"]
    done = stack.engine.try_docker(
        "run", "--rm", "--network", f"{stack.name}_platform", *env, "lostark-model:local", "migrate"
    )
    assert done.returncode == 1
    assert "LOSTARK_DAGSTER_POSTGRES_URL" in done.stdout
    assert "password authentication failed" in done.stdout
    assert "wrong-secret" not in done.stdout


def test_an_older_image_refuses_a_newer_schema(stack) -> None:
    """And starts again once the database is one that it knows."""
    change = "UPDATE marts.alembic_version SET version_num = '{}'"
    [postgres] = stack.containers("postgres")

    def execute(statement: str) -> None:
        psql = (
            'PGPASSWORD=$(cat /run/secrets/postgres_password) psql -h 127.0.0.1 -U lostark -d lostark -c "$0"'
        )
        stack.engine.docker("exec", postgres, "sh", "-c", psql, statement)

    known = stack.exec(
        "code-assets", "python", "-c", "from lostark_assets.marts.migrate import HEAD; print(HEAD)"
    ).strip()
    execute(change.format("m9999"))
    api = stack.containers("api")[0]
    try:
        stack.engine.docker("restart", "--time", "10", api)
        wait_for(
            lambda: "found m9999, which a newer version" in stack.engine.docker("logs", "--tail", "50", api),
            60,
        )
        refused = stack.engine.try_docker("exec", stack.containers("code-assets")[0], "lostark", "migrate")
        assert refused.returncode == 1
        assert "m9999" in refused.stdout
    finally:
        execute(change.format(known))
    wait_for(lambda: stack.are_healthy("api"), 120)


def test_a_backup_brings_fights_keys_and_runs_back_into_new_volumes(stack, tmp_path) -> None:
    backups = stack.folder / "backups"
    backups.mkdir()
    # Written by the images' user.
    backups.chmod(0o777)
    mounted = ("run", "-T", "--rm", "--volume", f"{backups}:/backups", "migrate")

    def read() -> tuple[list[str], int]:
        with stack.client() as client, stack.client(login=True) as operator:
            fights = [one["fight_id"] for one in client.get("/v1/fights?limit=100").json()["fights"]]
            runs = operator.post(
                "/dagster/graphql", json={"query": "{ runsOrError { ... on Runs { count } } }"}
            )
        return fights, runs.json()["data"]["runsOrError"]["count"]

    fights, runs = read()
    assert len(fights) >= 40
    stack.compose(*mounted, "backup", "/backups/one")
    stack.remove()

    stack.compose(*mounted, "restore", "/backups/one")
    volumes = {f"{stack.name}_data": "/var/lib/lostark", backups: "/backups"}
    options = [word for source, target in volumes.items() for word in ("--volume", f"{source}:{target}")]
    again = stack.engine.try_docker("run", "--rm", *options, "lostark-model:local", "restore", "/backups/one")
    assert "expected a new data folder" in again.stdout
    stack.start()
    # A run that was under way when the backup was made may have ended since.
    found, counted = read()
    assert found == fights
    assert abs(counted - runs) <= 2
    assert stack.upload(write_encounters(tmp_path, 4))["state"] == "published"


def test_every_service_of_ours_stops_within_ten_seconds(stack, record_property) -> None:
    for service in (
        "gateway",
        "api",
        "metrics",
        "dagster-daemon",
        "dagster-webserver",
        "mlflow",
        "code-ml",
        "code-assets",
    ):
        for container in stack.containers(service):
            began = time.monotonic()
            stack.engine.docker("stop", "--time", "15", container)
            took_s = time.monotonic() - began
            state = stack.inspect(container)["State"]
            record_property(f"{service} {container[:4]}", f"{took_s:.1f} s, exit code {state['ExitCode']}")
            assert took_s < 10, service
            assert state["ExitCode"] in (0, 130, 143), service
            assert not state["OOMKilled"]
