"""``python -m lostark_platform.healthcheck URL|HOST:PORT``: the health check of a container.

Exit code 0: the URL answers with success, or the port takes connections. Only the standard library: it runs
every few seconds, and the images have no curl.
"""

from __future__ import annotations

import socket
import sys
import urllib.request

TIMEOUT_S = 4.0


def is_healthy(target: str) -> bool:
    """Whether ``target`` responds."""
    try:
        if "://" not in target:
            host, _, port = target.rpartition(":")
            socket.create_connection((host, int(port)), TIMEOUT_S).close()
            return True
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(target, timeout=TIMEOUT_S) as response:
            return 200 <= response.status < 300
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    sys.exit(0 if is_healthy(sys.argv[1]) else 1)
