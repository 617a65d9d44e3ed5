"""Local webhook and mail servers that record what they receive, with configurable responses."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Webhooks(ThreadingHTTPServer):
    """Receives posted JSON; ``status``, ``response_headers`` and ``response_body`` define the responses."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[str, dict]] = []
        self.status = 204
        self.response_headers: dict[str, str] = {}
        self.response_body = b""

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Webhooks

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert self.headers["content-type"] == "application/json"
        self.server.received.append((self.path, json.loads(body)))
        self.send_response(self.server.status)
        for name, value in self.server.response_headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(self.server.response_body)))
        self.end_headers()
        self.wfile.write(self.server.response_body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def webhooks() -> Iterator[Webhooks]:
    server = Webhooks()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(timeout=5)
        server.server_close()


class Mails(socketserver.ThreadingTCPServer):
    """A mail server that accepts everything and offers no TLS."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *, offers_login: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Smtp)
        self.offers_login = offers_login
        self.commands: list[str] = []
        self.received: list[str] = []

    @property
    def port(self) -> int:
        return self.server_address[1]


class _Smtp(socketserver.StreamRequestHandler):
    server: Mails

    def handle(self) -> None:
        self._send("220 local")
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            self.server.commands.append(line)
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                self._send("250-local", "250 AUTH PLAIN" if self.server.offers_login else "250 8BITMIME")
            elif verb == "AUTH":
                self._send("235 ok")
            elif verb == "DATA":
                self._send("354 go on")
                lines = []
                while (part := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    lines.append(part)
                self.server.received.append("\n".join(lines))
                self._send("250 accepted")
            elif verb == "QUIT":
                self._send("221 bye")
                return
            else:
                self._send("250 ok")

    def _send(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


@contextmanager
def mails(**options: bool) -> Iterator[Mails]:
    server = Mails(**options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(timeout=5)
        server.server_close()
