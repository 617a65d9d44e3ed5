"""The loopback socket of a mock server; separate from the server, which is slow to import."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"
_BACKLOG = 2048


def listen(port: int = 0) -> socket.socket:
    """A socket on 127.0.0.1; port 0 takes a free one.

    Raises:
        OSError: the port is in use.
    """
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((HOST, port))
    except OSError:
        opened.close()
        raise
    opened.listen(_BACKLOG)
    return opened


def get_url(opened: socket.socket) -> str:
    """The URL of a mock server on this socket."""
    return f"http://{HOST}:{opened.getsockname()[1]}"
