"""Local receivers of webhooks and mail, that keep what they get and answer as they are told."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Webhooks(ThreadingHTTPServer):
    """Takes posted JSON; ``status`` and ``headers`` are the next answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[str, dict]] = []
        self.status = 204
        self.answer_headers: dict[str, str] = {}
        self.answer = b""

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Webhooks

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert self.headers["content-type"] == "application/json"
        self.server.got.append((self.path, json.loads(body)))
        self.send_response(self.server.status)
        for name, value in self.server.answer_headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

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
    """A mail server that takes everything and offers no TLS."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *, offers_login: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Smtp)
        self.offers_login = offers_login
        self.said: list[str] = []
        self.got: list[str] = []

    @property
    def port(self) -> int:
        return self.server_address[1]


class _Smtp(socketserver.StreamRequestHandler):
    server: Mails

    def handle(self) -> None:
        self._say("220 local")
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            self.server.said.append(line)
            verb = line.split(" ")[0].upper()
            if verb == "EHLO":
                self._say("250-local", "250 AUTH PLAIN" if self.server.offers_login else "250 8BITMIME")
            elif verb == "AUTH":
                self._say("235 ok")
            elif verb == "DATA":
                self._say("354 go on")
                lines = []
                while (part := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    lines.append(part)
                self.server.got.append("\n".join(lines))
                self._say("250 taken")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _say(self, *lines: str) -> None:
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
