"""The gateway as it is deployed, on loopback: the real HAProxy and its configuration, before small servers.

A name server of the test tells it which API servers there are, as Docker's does.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from lostark_api.http.problems import problem_response
from lostark_assets.contracts.battle_log_api import PROBLEM_TYPE
from lostark_assets.settings import project_root
from tests.deploy import waiting
from tests.deploy.waiting import free_port

GATEWAY = project_root() / "deploy/gateway"
BACKEND = Path(__file__).with_name("gateway_backend.py")
UIS = ("dagster", "mlflow", "grafana", "prometheus", "alertmanager")
LOGIN = ("ada", "correct horse")
KEY = "lak_0123456789abcdefghij"
MIB = 1 << 20
pytestmark = [
    pytest.mark.deploy,
    pytest.mark.skipif(
        not all(map(shutil.which, ("haproxy", "openssl", "curl"))), reason="needs haproxy, openssl and curl"
    ),
]


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    return waiting.wait_for(condition, seconds, every_s=0.05)


@contextmanager
def running(command: list[str], log: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process, with its output in ``log``; killed in the end if it still runs."""
    with log.open("ab") as output, log.with_suffix(".err").open("ab") as errors:
        process = subprocess.Popen(command, env={**os.environ, **env}, stdout=output, stderr=errors)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class NameServer:
    """Answers every question for an IPv4 address with ``addresses``."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses, self.is_away = addresses, False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            query, client = self.socket.recvfrom(4096)
            if self.is_away:
                continue
            end = query.index(b"\0", 12) + 5
            question, kind = query[12:end], query[end - 4 : end - 2]
            found = self.addresses if kind == b"\0\x01" else []
            # Each record points to the name in the question; type A, class IN, a second to live.
            records = [
                b"\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04" + socket.inet_aton(address) for address in found
            ]
            header = query[:2] + b"\x81\x80\0\x01" + len(found).to_bytes(2) + b"\0\0\0\0"
            self.socket.sendto(header + question + b"".join(records), client)


@dataclass
class Gateway:
    """A running gateway, and what is behind it."""

    folder: Path
    https: int
    http: int
    internal: int
    api_port: int
    env: dict[str, str]
    names: NameServer
    process: subprocess.Popen[bytes] | None = None
    apis: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.https}"

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of its log; every one must be JSON."""
        return [json.loads(line) for line in (self.folder / "gateway.log").read_text().splitlines()]

    def client(self, **options: Any) -> httpx.Client:
        context = ssl.create_default_context(cafile=self.folder / "certs/gateway.pem")
        return httpx.Client(base_url=self.url, verify=context, trust_env=False, timeout=30, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        with self.client() as client:
            return client.request(method, path, **options)

    def connect(self, address: str = "127.0.0.1", protocol: str = "http/1.1") -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self.folder / "certs/gateway.pem")
        context.set_alpn_protocols([protocol])
        plain = socket.create_connection((address, self.https), timeout=30)
        return context.wrap_socket(plain, server_hostname="localhost")

    def send(self, raw: bytes) -> bytes:
        """Everything that is returned for ``raw`` until the connection closes."""
        with self.connect() as connection:
            connection.sendall(raw)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def get_raw(self, path: str, *headers: str) -> tuple[int, bytes]:
        """Status and body for a path that no client would send like this."""
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
        head, _, body = self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")).partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def command(self, text: str) -> str:
        """What the admin socket returns."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self.folder / "run/admin.sock"))
            admin.sendall(f"{text}\n".encode())
            return b"".join(iter(lambda: admin.recv(65536), b"")).decode()

    def metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.internal}/metrics", trust_env=False).text

    def api_servers(self) -> set[str]:
        """Addresses of API servers that pass their check."""
        rows = self.command("show servers state api").strip().splitlines()[2:]
        return {row.split()[4] for row in rows if row.split()[5] == "2" and row.split()[6] == "0"}

    def wait_for_api_servers(self, *addresses: str) -> None:
        wait_for(lambda: self.api_servers() == set(addresses))


def start_backend(gateway: Gateway, name: str, address: str, port: int) -> Any:
    command = [sys.executable, str(BACKEND), name, address, str(port)]
    return running(command, gateway.folder / f"{name}.log")


@contextmanager
def open_gateway(folder: Path, **env: str) -> Iterator[Gateway]:
    """The gateway with two API servers, and Dagster; nothing listens where the other pages should be."""
    # Short: a socket's path has at most 108 characters.
    for name in ("certs", "run"):
        (folder / name).mkdir()
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", LOGIN[1]], capture_output=True, text=True, check=True
    ).stdout.strip()
    (folder / "users.cfg").write_text(f"userlist operators\n    user {LOGIN[0]} password {hashed}\n")
    https, http, internal, dagster, nothing = (free_port() for _ in range(5))
    names, api_port = NameServer(["127.0.0.1", "127.0.0.2"]), free_port("0.0.0.0")
    settings = {
        "GATEWAY_HOME": str(GATEWAY),
        "GATEWAY_RUN": str(folder / "run"),
        "GATEWAY_USERS": str(folder / "users.cfg"),
        "GATEWAY_CERTIFICATE": str(folder / "certs/gateway.pem"),
        "GATEWAY_HTTPS": f"127.0.0.1:{https},[::1]:{https}",
        "GATEWAY_HTTP": f"127.0.0.1:{http}",
        "GATEWAY_INTERNAL": f"127.0.0.1:{internal}",
        "GATEWAY_HTTPS_PORT": str(https),
        "GATEWAY_NAMESERVER": f"127.0.0.1:{names.port}",
        # A name that the system resolves too, as in a container: one of the addresses is known at once.
        "GATEWAY_API": f"localhost:{api_port}",
        "GATEWAY_CLIENT_REQUESTS_PER_10S": "100000",
        "GATEWAY_KEY_REQUESTS_PER_10S": "100000",
        "GATEWAY_UPLOADS_PER_MINUTE": "1000",
        **{f"GATEWAY_{name.upper()}": f"127.0.0.1:{nothing}" for name in UIS},
        "GATEWAY_DAGSTER": f"127.0.0.1:{dagster}",
        **env,
    }
    gateway = Gateway(folder, https, http, internal, api_port, settings, names)
    with ExitStack() as stack:
        for name, address in (("api1", "127.0.0.1"), ("api2", "127.0.0.2")):
            gateway.apis[name] = stack.enter_context(start_backend(gateway, name, address, api_port))
        stack.enter_context(start_backend(gateway, "dagster", "127.0.0.1", dagster))
        gateway.process = stack.enter_context(
            running([str(GATEWAY / "start")], folder / "gateway.log", **settings)
        )

        def is_ready() -> bool:
            assert gateway.process is not None
            assert gateway.process.poll() is None, (folder / "gateway.err").read_text()
            with contextlib.suppress(OSError):
                return gateway.api_servers() == {"127.0.0.1", "127.0.0.2"}
            return False

        wait_for(is_ready)
        wait_for(lambda: gateway.get("/dagster", auth=LOGIN).status_code == 200)
        yield gateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One without limits that a test could reach by itself."""
    with open_gateway(tmp_path_factory.mktemp("gw"), GATEWAY_FAILED_LOGINS_PER_MINUTE="1000") as gateway:
        yield gateway


def get_headers(response: httpx.Response) -> dict[str, list[str]]:
    """The headers that the backend received."""
    found: dict[str, list[str]] = {}
    for name, value in response.json()["headers"]:
        found.setdefault(name, []).append(value)
    return found


def assert_problem(response: httpx.Response, status: int) -> None:
    """The response is a problem document with the fields of the API's own."""
    assert response.status_code == status
    assert response.headers["content-type"] == PROBLEM_TYPE
    assert response.headers["cache-control"] == "no-store"
    assert set(response.json()) == set(json.loads(problem_response(404, "").body))
    assert response.json()["status"] == status


class Load:
    """Readers that request pages until the block ends; ``failures`` has what was no success."""

    def __init__(self, gateway: Gateway, path: str, readers: int = 4, *, keep_alive: bool = True) -> None:
        self.gateway, self.path, self.readers, self.keep_alive = gateway, path, readers, keep_alive
        self.done, self.failures, self.stop = 0, [], threading.Event()

    def _read(self) -> None:
        headers = {} if self.keep_alive else {"Connection": "close"}
        with self.gateway.client(headers=headers) as client:
            while not self.stop.is_set():
                try:
                    response = client.get(self.path)
                    if response.status_code != 200:
                        self.failures.append(response.text)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                self.done += 1

    def __enter__(self) -> Load:
        self.threads = [threading.Thread(target=self._read) for _ in range(self.readers)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()


# Start -----------------------------------------------------------------------------------------------


def test_haproxy_finds_nothing_to_warn_about(gateway) -> None:
    command = ["haproxy", "-c", "-W", "-f", GATEWAY / "haproxy.cfg", "-f", gateway.env["GATEWAY_USERS"]]
    for more in ({}, {"GATEWAY_ACME": "127.0.0.1:1", "GATEWAY_HTTPS_PORT": "443"}):
        env = {**os.environ, **gateway.env, **more}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "WARNING" not in done.stdout + done.stderr
        assert "Warnings were found" not in done.stdout + done.stderr


def test_a_name_that_does_not_resolve_at_the_start_is_used_once_it_does(tmp_path) -> None:
    port = free_port("0.0.0.0")
    with open_gateway(tmp_path, GATEWAY_MLFLOW=f"mlflow.invalid:{port}") as gateway:
        errors = (tmp_path / "gateway.err").read_text()
        assert "'server mlflow/mlflow' : could not resolve address 'mlflow.invalid'" in errors
        with start_backend(gateway, "mlflow", "0.0.0.0", port):
            wait_for(lambda: gateway.get("/mlflow/", auth=LOGIN).status_code == 200)


def test_without_logins_it_does_not_start_and_says_what_to_do(gateway, tmp_path) -> None:
    env = {**os.environ, **gateway.env, "GATEWAY_USERS": str(tmp_path / "missing.cfg")}
    done = subprocess.run([GATEWAY / "start"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{tmp_path / 'missing.cfg'} can't be read" in done.stderr
    assert "GATEWAY_USERS" in done.stderr


def test_a_certificate_is_made_once_and_never_replaced(gateway, tmp_path) -> None:
    path = gateway.folder / "certs/gateway.pem"
    before = path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0
    subprocess.run([GATEWAY / "make-certificate"], env={**os.environ, **gateway.env}, check=True)
    assert path.read_bytes() == before
    env = {**os.environ, "GATEWAY_CERTIFICATE": str(tmp_path / "a.pem"), "GATEWAY_DOMAIN": "battles.example"}
    subprocess.run([GATEWAY / "make-certificate"], env=env, check=True)
    text = subprocess.run(
        ["openssl", "x509", "-in", tmp_path / "a.pem", "-noout", "-ext", "subjectAltName"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "DNS:battles.example" in text


# TLS, redirect, internal -------------------------------------------------------------------------------


@pytest.mark.parametrize(("option", "version"), [("--http2", "2"), ("--http1.1", "1.1")])
def test_it_speaks_http_2_and_1(gateway, option, version) -> None:
    command = [
        "curl",
        "-sS",
        option,
        "--cacert",
        str(gateway.folder / "certs/gateway.pem"),
        "--noproxy",
        "*",
        "-o",
        os.devnull,
        "-w",
        "%{http_version} %{http_code}",
        f"{gateway.url}/v1/gates",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{version} 200"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(("version", "works"), [("1_1", False), ("1_2", True), ("1_3", True)])
def test_it_speaks_tls_1_2_and_newer(gateway, version, works) -> None:
    context = ssl.create_default_context(cafile=gateway.folder / "certs/gateway.pem")
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[f"TLSv{version}"]
    with socket.create_connection(("127.0.0.1", gateway.https), timeout=10) as plain:
        if works:
            with context.wrap_socket(plain, server_hostname="localhost") as wrapped:
                assert wrapped.version() == f"TLSv{version}".replace("_", ".")
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(plain, server_hostname="localhost")


def test_http_is_redirected_to_https(gateway) -> None:
    url = f"http://127.0.0.1:{gateway.http}"
    response = httpx.get(
        f"{url}/fights?player_name=x", headers={"Host": "battles.example:8080"}, trust_env=False
    )
    assert response.status_code == 308
    assert response.headers["location"] == f"https://battles.example:{gateway.https}/fights?player_name=x"
    # Without an ACME client there is nothing to pass a challenge to.
    challenge = httpx.get(f"{url}/.well-known/acme-challenge/x", trust_env=False)
    assert_problem(challenge, 404)


def test_responses_say_nothing_about_servers_and_demand_https(gateway) -> None:
    response = gateway.get("/v1/gates")
    assert "server" not in response.headers
    assert response.headers["strict-transport-security"] == "max-age=31536000"


def test_metrics_and_health_are_inside_only(gateway) -> None:
    assert httpx.get(f"http://127.0.0.1:{gateway.internal}/healthz", trust_env=False).status_code == 200
    assert 'haproxy_server_status{proxy="api",server="api1",state="UP"} 1' in gateway.metrics()
    assert httpx.get(f"http://127.0.0.1:{gateway.internal}/", trust_env=False).status_code == 404
    # The API's own metrics, by any spelling of their path.
    assert_problem(gateway.get("/metrics"), 404)
    for path, status in (
        ("/metrics/", 404),
        ("/%6detrics", 400),
        ("//metrics", 400),
        ("/./metrics", 400),
        ("/v1/../metrics", 400),
        ("/metrics%2f", 400),
        ("/metrics%00", 400),
        ("/metrics#", 400),
        ("/metrics?x=1", 404),
        ("https://localhost/metrics", 404),
        ("/%2e/metrics", 400),
        ("/\\metrics", 400),
        ("/metrics%", 400),
    ):
        assert gateway.get_raw(path)[0] == status, path


# Operators -------------------------------------------------------------------------------------------


def test_pages_of_operators_need_a_login_and_keep_their_path(gateway) -> None:
    for path in ("/dagster", "/dagster/runs?x=1", *(f"/{name}/x" for name in UIS)):
        response = gateway.get(path)
        assert_problem(response, 401)
        assert response.headers["www-authenticate"].startswith('Basic realm="operators"')
    assert_problem(gateway.get("/dagster", auth=("ada", "wrong")), 401)
    assert_problem(gateway.get("/dagster", headers={"Authorization": f"Bearer {KEY}"}), 401)

    response = gateway.get("/dagster/runs", auth=LOGIN)
    assert (response.json()["name"], response.json()["path"]) == ("dagster", "/dagster/runs")
    assert "authorization" not in get_headers(response)


def test_a_page_that_is_down_is_a_problem_and_the_others_are_served(gateway) -> None:
    response = gateway.get("/mlflow/", auth=LOGIN)
    assert_problem(response, 503)
    assert response.headers["retry-after"] == "5"
    assert gateway.get("/dagster", auth=LOGIN).status_code == 200


def test_the_login_does_not_reach_the_api(gateway) -> None:
    response = gateway.get("/v1/gates", auth=LOGIN)
    assert response.json()["name"] in {"api1", "api2"}
    assert "authorization" not in get_headers(response)
    kept = gateway.get("/v1/gates", headers={"Authorization": f"Bearer {KEY}"})
    assert get_headers(kept)["authorization"] == [f"Bearer {KEY}"]


@pytest.mark.parametrize(
    "path",
    [
        "/./dagster",
        "//dagster",
        "/%64agster",
        "/v1/../dagster",
        "/dagster%2f..",
        "/v1/..%2fdagster",
        "/%2e/dagster",
        "/v1/%2e%2e/dagster",
        "/dagster%00",
        "/\\dagster",
        "/%5cdagster",
        "/v1/..",
        "/dagster/../v1/gates",
        "/%",
        "/%6",
        "/%zz",
        "/dagster%0d%0aX:1",
        "/%44agster",
        "/v1/.",
        "/dagster#x",
    ],
)
def test_a_path_with_two_readings_is_refused(gateway, path) -> None:
    assert gateway.get_raw(path)[0] == (401 if path.startswith("/dagster/") else 400)
    login = base64.b64encode(":".join(LOGIN).encode()).decode()
    assert gateway.get_raw(path, f"Authorization: Basic {login}")[0] == 400


@pytest.mark.parametrize(
    "path", ["/Dagster", "/dagsterx", "/dagster;x", "/dagster%20", "/%2564agster", "/x/dagster"]
)
def test_a_path_that_only_resembles_a_page_is_the_apis(gateway, path) -> None:
    status, body = gateway.get_raw(path)
    assert status == 200
    assert json.loads(body)["name"] in {"api1", "api2"}
    assert json.loads(body)["path"] == path


def test_names_of_players_in_paths_are_not_refused(gateway) -> None:
    path = "/v1/characters/KR/" + "%EB%B0%94%EB%93%9C%C3%9F-_.~%20%40"
    assert gateway.get_raw(path)[0] == 200


def test_another_sites_page_can_not_use_an_operators_login(gateway) -> None:
    path, own = "/dagster/graphql", f"https://localhost:{gateway.https}"
    for origin, status in (
        (own, 200),
        ("https://evil.example", 403),
        ("null", 403),
        (f"{own}.evil.example", 403),
    ):
        response = gateway.request("POST", path, auth=LOGIN, headers={"Origin": origin}, content=b"{}")
        assert response.status_code == status, origin
    # The API decides itself: its statistics may be embedded.
    assert gateway.get("/v1/gates", headers={"Origin": "https://other.example"}).status_code == 200


def test_dagsters_websockets_work(gateway) -> None:
    context = ssl.create_default_context(cafile=gateway.folder / "certs/gateway.pem")
    url = f"wss://{LOGIN[0]}:correct%20horse@localhost:{gateway.https}/dagster/graphql"
    with connect(url, ssl=context, proxy=None) as opened:
        opened.send("subscribe")
        assert opened.recv() == "dagster: subscribe"
    url = url.replace("correct", "wrong")
    with pytest.raises(InvalidStatus, match="401"), connect(url, ssl=context, proxy=None):
        pass


# Headers and the log ---------------------------------------------------------------------------------


def test_a_request_gets_an_id_of_the_gateway(gateway) -> None:
    sent = [gateway.get("/v1/gates", headers={"X-Request-ID": "mine"}) for _ in range(2)]
    ids = [response.headers["x-request-id"] for response in sent]
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", one) for one in ids)
    assert ids[0] != ids[1]
    assert [get_headers(response)["x-request-id"] for response in sent] == [[one] for one in ids]
    refused = gateway.get("/metrics")
    assert len(refused.headers["x-request-id"]) == 36


def test_only_the_gateway_says_where_a_request_came_from(gateway) -> None:
    lies = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil",
        "Forwarded": "for=6.6.6.6",
        "X-Real-IP": "6.6.6.6",
        "X-Forwarded-Prefix": "/evil",
        "X_Forwarded_For": "6.6.6.6",
    }
    received = get_headers(gateway.get("/v1/gates", headers=lies))
    assert received["x-forwarded-for"] == ["127.0.0.1"]
    assert received["x-forwarded-proto"] == ["https"]
    assert received["x-forwarded-host"] == received["host"] == [f"localhost:{gateway.https}"]
    assert "6.6.6.6" not in str(received)
    assert "evil" not in str(received)


def test_a_log_line_says_what_happened_and_nothing_private(gateway) -> None:
    path = "/v1/characters/KR/%EB%B0%94%EB%93%9C?player_name=secretname"
    agent = 'quote " backslash \\ korean 바드'.encode()
    headers = {"Authorization": f"Bearer {KEY}", "Cookie": "session=secretcookie", "User-Agent": agent}
    request_id = gateway.get(path, headers=headers).headers["x-request-id"]
    [line] = wait_for(lambda: [one for one in gateway.log if one.get("request_id") == request_id])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["time"])
    expected = {
        "level": "info",
        "event": "request",
        "service": "gateway",
        "method": "GET",
        "path": "/v1/characters",
        "status": 200,
        "backend": "api",
        "client": "127.0.0.1",
        "retries": "0",
        "termination": "--",
        "user": "-",
        "user_agent": agent.decode(),
    }
    assert expected.items() <= line.items()
    assert line["server"].startswith("api")
    assert line["duration_ms"] >= line["response_ms"] >= 0
    assert line["bytes_out"] > 0
    assert gateway.get("/dagster/runs", auth=LOGIN).status_code == 200
    assert wait_for(lambda: [one for one in gateway.log if one.get("user") == "ada"])
    text = (gateway.folder / "gateway.log").read_text()
    for secret in (KEY, "secretname", "secretcookie", "%EB%B0%94", LOGIN[1]):
        assert secret not in text


def test_what_is_no_request_is_logged_as_json_too(gateway) -> None:
    gateway.send(b"nonsense\r\n\r\n")
    with socket.create_connection(("127.0.0.1", gateway.https), timeout=10) as plain:
        plain.sendall(b"this is no TLS\r\n\r\n")
        plain.recv(100)
    wait_for(lambda: [one for one in gateway.log if one["event"] == "connection_failed" and one["tls_error"]])
    wait_for(
        lambda: [one for one in gateway.log if one["event"] == "connection_failed" and one["status"] == 400]
    )


def test_errors_of_servers_are_logged_as_errors(gateway) -> None:
    request_id = gateway.request("POST", "/fails-with/500", content=b"x").headers["x-request-id"]
    [line] = wait_for(lambda: [one for one in gateway.log if one.get("request_id") == request_id])
    assert (line["event"], line["level"], line["status"]) == ("request", "error", 500)


def test_text_is_compressed_unless_the_server_did_it(gateway) -> None:
    response = gateway.get("/long-text", headers={"Accept-Encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert response.text == "the same words " * 1000
    assert int(response.num_bytes_downloaded) < 1000
    plain = gateway.get("/long-text", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with gateway.client() as client, client.stream("GET", "/compressed") as response:
        assert response.headers["content-encoding"] == "br"
        assert b"".join(response.iter_raw()) == b"as it is"


# Limits ----------------------------------------------------------------------------------------------


def test_bodies_are_limited_by_route(gateway) -> None:
    ok = gateway.request("POST", "/v1/expected-dps", content=b"x" * MIB)
    assert (ok.status_code, ok.json()["body_bytes"]) == (200, MIB)
    assert_problem(gateway.request("POST", "/v1/expected-dps", content=b"x" * (MIB + 1)), 413)
    upload = gateway.request("POST", "/v1/battle-logs?name=x", content=b"x" * 3 * MIB)
    assert upload.json()["body_bytes"] == 3 * MIB
    artifact = gateway.request("PUT", "/dagster/artifact", content=b"x" * 3 * MIB, auth=LOGIN)
    assert artifact.json()["body_bytes"] == 3 * MIB
    # Announced, and refused before it is sent.
    head = f"POST /v1/battle-logs HTTP/1.1\r\nHost: localhost\r\nContent-Length: {513 * MIB + 1}\r\n\r\n"
    assert gateway.send(head.encode()).startswith(b"HTTP/1.1 413 ")


def test_bodies_of_unknown_length_are_taken_for_uploads_only(gateway) -> None:
    def body() -> Iterator[bytes]:
        yield from [b"x" * 1000] * 3

    assert_problem(gateway.request("POST", "/v1/expected-dps", content=body()), 411)
    assert_problem(gateway.request("GET", "/v1/gates", content=body()), 411)
    both = "Transfer-Encoding: chunked", "Content-Length: 5"
    assert gateway.get_raw("/v1/gates", *both)[0] in {400, 408, 411}
    upload = gateway.request("POST", "/v1/battle-logs", content=body())
    assert (upload.status_code, upload.json()["body_bytes"]) == (200, 3000)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_bodies_of_unknown_length_are_refused_over_http_2_too(gateway, method) -> None:
    command = [
        "curl",
        "-sS",
        "--http2",
        "--cacert",
        str(gateway.folder / "certs/gateway.pem"),
        "--noproxy",
        "*",
        "-X",
        method,
        "-T",
        "-",
        "-H",
        "Expect:",
        "-A",
        f"h2 {method}",
        f"{gateway.url}/v1/gates",
    ]
    subprocess.run(command, input=b"x" * 3 * MIB, capture_output=True, check=False)
    # Not what curl says: HAProxy 2.6 resets the stream after its response, and curl 7.88 then shows none.
    [line] = wait_for(lambda: [one for one in gateway.log if one.get("user_agent") == f"h2 {method}"])
    assert line["status"] == 411


@pytest.mark.parametrize(
    "headers", [["X: " + "x" * 20_000], [f"X-{n}: y" for n in range(200)], ["Host: second"]]
)
def test_oversized_and_ambiguous_headers_are_refused(gateway, headers) -> None:
    assert gateway.get_raw("/v1/gates", *headers)[0] == 400


@pytest.mark.parametrize("value", ["Bearer  two-spaces", "Bearer \ttab", "Bearer", "Token x", "Bearer a b"])
def test_a_key_has_one_form(gateway, value) -> None:
    assert gateway.get_raw("/v1/gates", f"Authorization: {value}")[0] == 400
    assert (
        gateway.get_raw("/v1/gates", f"Authorization: Bearer {KEY}", "Authorization: Bearer other")[0] == 400
    )
    assert gateway.get_raw("/v1/gates", f"Authorization: bearer {KEY}")[0] == 200


def test_slow_clients_are_closed_in_bounded_time_while_others_are_served(gateway) -> None:
    slow = [
        ("http/1.1", b"GET /v1/gates HTTP/1.1\r\nHost: localhost\r\nX-Slow: "),
        ("http/1.1", b"POST /v1/expected-dps HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"),
        # Settings, then the beginning of a frame of headers that is 4096 bytes long.
        ("h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0" + b"\0\x10\0\1\0\0\0\0\1"),
    ] * 10
    with ExitStack() as stack:
        connections = [stack.enter_context(gateway.connect(protocol=protocol)) for protocol, _ in slow]
        for connection, (protocol, start) in zip(connections, slow, strict=True):
            assert connection.selected_alpn_protocol() == protocol
            connection.sendall(start)
            connection.settimeout(0.02)
        began, open_ = time.monotonic(), list(connections)
        answers: list[bytes] = []
        while open_:
            assert time.monotonic() - began < 20
            took = time.monotonic()
            assert gateway.get("/v1/gates").status_code == 200
            assert time.monotonic() - took < 2
            for connection in list(open_):
                try:
                    connection.sendall(b"a")
                    received = connection.recv(4096)
                    # The gateway's own settings are no end of the connection.
                    if received and connection.selected_alpn_protocol() == "h2":
                        continue
                except TimeoutError:
                    continue
                except OSError:
                    received = b""
                answers.append(received)
                open_.remove(connection)
    assert time.monotonic() - began > 8
    assert sum(answer.startswith(b"HTTP/1.1 408 ") for answer in answers) >= 10
    assert sum(PROBLEM_TYPE.encode() in answer for answer in answers) >= 10


def test_a_client_has_a_rate_and_others_are_not_affected(tmp_path) -> None:
    with open_gateway(tmp_path, GATEWAY_CLIENT_REQUESTS_PER_10S="40") as gateway:
        with gateway.client() as client:
            statuses = [client.get("/v1/gates").status_code for _ in range(60)]
            refused = client.get("/v1/gates")
        assert set(statuses) == {200, 429}
        assert statuses.index(429) <= 40
        assert set(statuses[statuses.index(429) :]) == {429}
        assert_problem(refused, 429)
        assert refused.headers["retry-after"] == "10"
        # An operator has no rate: the pages load many files at once.
        assert gateway.get("/dagster", auth=LOGIN).status_code == 200
        assert gateway.get("/dagster").status_code == 429
        with gateway.connect("::1") as other:
            other.sendall(b"GET /v1/gates HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert other.recv(4096).startswith(b"HTTP/1.1 200 ")
        # IPv6 is counted by /64: the table has the network, not the address.
        assert "key=:: " in gateway.command("show table clients")
        time.sleep(int(refused.headers["retry-after"]))
        assert gateway.get("/v1/gates").status_code == 200


def test_a_key_has_a_rate_and_is_stored_as_a_hash(tmp_path) -> None:
    with open_gateway(tmp_path, GATEWAY_KEY_REQUESTS_PER_10S="5", GATEWAY_UPLOADS_PER_MINUTE="3") as gateway:
        headers = {"Authorization": f"Bearer {KEY}"}
        statuses = [gateway.get("/v1/battle-logs", headers=headers).status_code for _ in range(7)]
        assert statuses == [200] * 5 + [429] * 2
        refused = gateway.get("/v1/battle-logs", headers=headers)
        assert_problem(refused, 429)
        assert "API key" in refused.json()["detail"]
        assert refused.headers["retry-after"] == "10"
        assert gateway.get("/v1/battle-logs", headers={"Authorization": "Bearer other"}).status_code == 200
        assert gateway.get("/v1/battle-logs").status_code == 200
        table = gateway.command("show table keys")
        assert "used:2" in table
        assert KEY not in table
        assert KEY.encode().hex() not in table.lower()

        statuses = [gateway.request("POST", "/v1/battle-logs", content=b"x").status_code for _ in range(4)]
        assert statuses == [200] * 3 + [429]
        refused = gateway.request("POST", "/v1/battle-logs", content=b"x")
        assert_problem(refused, 429)
        assert refused.headers["retry-after"] == "60"
        assert gateway.get("/v1/battle-logs").status_code == 200


def test_failed_logins_are_limited_and_a_missing_one_is_none(tmp_path) -> None:
    with open_gateway(tmp_path) as gateway:
        assert [gateway.get("/dagster").status_code for _ in range(15)] == [401] * 15
        statuses = [gateway.get("/dagster", auth=("ada", f"{n}")).status_code for n in range(12)]
        assert statuses == [401] * 10 + [429] * 2
        # The right password is no way to find out that it is right.
        refused = gateway.get("/dagster", auth=LOGIN)
        assert_problem(refused, 429)
        assert refused.headers["retry-after"] == "60"
        assert gateway.get("/v1/gates").status_code == 200


def test_a_client_has_so_many_connections(tmp_path) -> None:
    with open_gateway(tmp_path, GATEWAY_CLIENT_CONNECTIONS="10") as gateway, ExitStack() as stack:
        opened = [stack.enter_context(gateway.connect()) for _ in range(10)]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            gateway.connect()
        opened.pop().close()
        wait_for(lambda: is_open(gateway), 5)


def is_open(gateway: Gateway) -> bool:
    with contextlib.suppress(OSError), gateway.connect():
        return True
    return False


# Several API servers ---------------------------------------------------------------------------------


def test_reads_are_tried_on_another_server_and_writes_are_not(tmp_path) -> None:
    with open_gateway(tmp_path) as gateway:
        path = "/fails-with/503"
        assert gateway.get(path).status_code == 503
        [line] = wait_for(lambda: [one for one in gateway.log if one.get("path") == path])
        assert line["retries"] == "+3"
        assert gateway.request("POST", path, content=b"x").status_code == 503
        counts = [
            httpx.get(f"http://{address}:{gateway.api_port}/counts", trust_env=False).json()
            for address in ("127.0.0.1", "127.0.0.2")
        ]
        assert sorted(one.get(f"GET {path}", 0) for one in counts) == [2, 2]
        assert sum(one.get(f"POST {path}", 0) for one in counts) == 1


def test_stopping_an_api_server_under_load_fails_no_read(tmp_path) -> None:
    with open_gateway(tmp_path) as gateway:
        with Load(gateway, "/v1/gates") as load:
            time.sleep(1)
            gateway.apis["api2"].terminate()
            gateway.wait_for_api_servers("127.0.0.1")
            time.sleep(1)
        assert load.failures == []
        assert load.done > 100


def test_killing_an_api_server_under_load_fails_only_what_it_had_begun_to_send(tmp_path) -> None:
    with open_gateway(tmp_path) as gateway:
        with Load(gateway, "/v1/gates") as load:
            time.sleep(1)
            gateway.apis["api2"].kill()
            gateway.wait_for_api_servers("127.0.0.1")
            time.sleep(1)
        # A client that has a part of a response can't be given another one.
        assert all("without sending complete message body" in one for one in load.failures), load.failures
        assert len(load.failures) <= load.readers
        assert load.done > 100
        # It comes back under its address, and is used again.
        with start_backend(gateway, "api3", "127.0.0.2", gateway.api_port):
            gateway.wait_for_api_servers("127.0.0.1", "127.0.0.2")
            wait_for(lambda: gateway.get("/v1/gates").json()["name"] == "api3")
        # None is left.
        gateway.apis["api1"].kill()
        gateway.wait_for_api_servers()
        response = gateway.get("/v1/gates")
        assert_problem(response, 503)
        assert response.headers["retry-after"] == "5"
        assert gateway.get("/dagster", auth=LOGIN).status_code == 200


def test_a_server_that_does_not_answer_its_check_is_left_out(tmp_path) -> None:
    with open_gateway(tmp_path) as gateway:
        gateway.apis["api2"].send_signal(signal.SIGSTOP)
        try:
            gateway.wait_for_api_servers("127.0.0.1")
            assert {gateway.get("/v1/gates").json()["name"] for _ in range(6)} == {"api1"}
        finally:
            gateway.apis["api2"].send_signal(signal.SIGCONT)
        gateway.wait_for_api_servers("127.0.0.1", "127.0.0.2")


def test_replicas_appear_and_disappear_under_load_as_the_name_server_says(tmp_path) -> None:
    with open_gateway(tmp_path) as gateway, start_backend(gateway, "api3", "127.0.0.3", gateway.api_port):
        with Load(gateway, "/v1/gates") as load:
            gateway.names.addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
            gateway.wait_for_api_servers("127.0.0.1", "127.0.0.2", "127.0.0.3")
            wait_for(lambda: gateway.get("/v1/gates").json()["name"] == "api3")
            gateway.names.addresses = ["127.0.0.2", "127.0.0.3"]
            gateway.wait_for_api_servers("127.0.0.2", "127.0.0.3")
            assert {gateway.get("/v1/gates").json()["name"] for _ in range(6)} <= {"api2", "api3"}
            # A name server that is away takes no server away.
            gateway.names.is_away = True
            time.sleep(8)
            assert gateway.api_servers() == {"127.0.0.2", "127.0.0.3"}
        assert load.failures == []
        assert load.done > 50


# Reload and stop -------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep_alive", [True, False])
def test_a_reload_drops_no_request(tmp_path, keep_alive) -> None:
    with open_gateway(tmp_path) as gateway:
        assert gateway.process is not None
        with Load(gateway, "/v1/gates", keep_alive=keep_alive) as load, gateway.client() as client:
            slow: list[httpx.Response] = []
            thread = threading.Thread(target=lambda: slow.append(client.get("/sleeps/4")))
            thread.start()
            time.sleep(0.5)
            for _ in range(3):
                reload(gateway)
                time.sleep(0.5)
            thread.join()
        assert load.failures == []
        assert load.done > 50
        assert [response.status_code for response in slow] == [200]


def reload(gateway: Gateway) -> None:
    def read_pid() -> str:
        with contextlib.suppress(OSError):
            return gateway.command("show info").split("\nPid: ")[1].split()[0]
        return old

    old = ""
    old = read_pid()
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGUSR2)
    wait_for(lambda: read_pid() != old)


def test_a_reload_changes_logins_and_a_broken_one_changes_nothing(tmp_path) -> None:
    with open_gateway(tmp_path) as gateway:
        assert gateway.process is not None
        users = tmp_path / "users.cfg"
        text = users.read_text()
        users.write_text(text + "nonsense\n")
        gateway.process.send_signal(signal.SIGUSR2)
        wait_for(lambda: "nonsense" in (tmp_path / "gateway.err").read_text())
        assert gateway.get("/dagster", auth=LOGIN).status_code == 200
        users.write_text(text.replace("user ada", "user grace"))
        reload(gateway)
        assert gateway.get("/dagster", auth=("grace", LOGIN[1])).status_code == 200
        assert gateway.get("/dagster", auth=LOGIN).status_code == 401


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_stop_ends_requests_in_progress_first(tmp_path, number) -> None:
    with open_gateway(tmp_path) as gateway, gateway.client() as client:
        assert gateway.process is not None
        responses: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: responses.append(client.get("/sleeps/3")))
        thread.start()
        time.sleep(0.5)
        began = time.monotonic()
        gateway.process.send_signal(number)
        assert gateway.process.wait(10) == 0
        thread.join()
        assert [response.status_code for response in responses] == [200]
        assert 2 < time.monotonic() - began < 10


def test_a_stop_does_not_wait_longer_than_eight_seconds(tmp_path) -> None:
    with open_gateway(tmp_path) as gateway, gateway.client() as client:
        assert gateway.process is not None
        caught: list[BaseException] = []

        def read() -> None:
            try:
                client.get("/sleeps/60")
            except httpx.HTTPError as error:
                caught.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.5)
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(10)
        thread.join()
        assert len(caught) == 1


# Certificates ----------------------------------------------------------------------------------------


def get_served_certificate(gateway: Gateway) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", gateway.https), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wrapped,
    ):
        found = wrapped.getpeercert(binary_form=True)
        assert found is not None
        return found


@pytest.mark.skipif(
    not all(map(shutil.which, ("pebble", "certbot"))), reason="needs the programs pebble and certbot"
)
def test_a_certificate_comes_by_acme_and_is_used_without_a_reload(tmp_path) -> None:
    acme_port, pebble_port, pebble_admin = free_port(), free_port(), free_port()
    with open_gateway(tmp_path, GATEWAY_ACME=f"127.0.0.1:{acme_port}") as gateway:
        # The test server asks port 8080 of the gateway, as a certificate authority asks port 80.
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost",
                "-keyout",
                tmp_path / "ca.key",
                "-out",
                tmp_path / "ca.pem",
            ],
            capture_output=True,
            check=True,
        )
        config = {
            "listenAddress": f"127.0.0.1:{pebble_port}",
            "managementListenAddress": f"127.0.0.1:{pebble_admin}",
            "certificate": str(tmp_path / "ca.pem"),
            "privateKey": str(tmp_path / "ca.key"),
            "httpPort": gateway.http,
            "tlsPort": gateway.https,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
        }
        (tmp_path / "pebble.json").write_text(json.dumps({"pebble": config}))
        env = {
            **gateway.env,
            "GATEWAY_DOMAIN": "localhost",
            "ACME_FOLDER": str(tmp_path / "acme"),
            "ACME_PORT": str(acme_port),
            "ACME_SERVER": f"https://localhost:{pebble_port}/dir",
            "REQUESTS_CA_BUNDLE": str(tmp_path / "ca.pem"),
            "NO_PROXY": "*",
        }
        self_signed = get_served_certificate(gateway)
        pebble = ["pebble", "-config", str(tmp_path / "pebble.json")]
        with (
            running(pebble, tmp_path / "pebble.log", PEBBLE_VA_NOSLEEP="1"),
            Load(gateway, "/healthz", 1) as load,
        ):
            wait_for(lambda: b"ACME directory available" in (tmp_path / "pebble.log").read_bytes())
            served = []
            for expected in ("Successfully received certificate", "not yet due for renewal"):
                done = subprocess.run(
                    [GATEWAY / "acme"], env={**os.environ, **env}, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, done.stdout + done.stderr
                assert expected in done.stdout + done.stderr
                assert "installed, in use" in done.stdout
                served.append(get_served_certificate(gateway))
        assert load.failures == []
        assert served[0] == served[1] != self_signed
        path = tmp_path / "certs/gateway.pem"
        file = path.read_text()
        assert ssl.PEM_cert_to_DER_cert(file[: file.index("-----END CERTIFICATE-----") + 26]) == served[0]
        assert path.stat().st_mode & 0o077 == 0
        # The next process reads the file.
        reload(gateway)
        assert get_served_certificate(gateway) == served[0]


def test_a_certificate_that_the_gateway_refuses_is_an_error(gateway, tmp_path) -> None:
    (tmp_path / "fullchain.pem").write_text("nonsense\n")
    (tmp_path / "privkey.pem").write_text("nonsense\n")
    target = tmp_path / "gateway.pem"
    env = {**os.environ, **gateway.env, "GATEWAY_CERTIFICATE": str(target)}
    done = subprocess.run(
        [GATEWAY / "install_certificate.py", tmp_path], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "SIGUSR2" in done.stderr
