"""``python -m lostark_platform.healthcheck URL|HOST:PORT|daemon``: the health check of a container.

Exit code 0: the URL answers with success, the port takes connections, or Dagster's daemon has worked within
two minutes. It runs every few seconds, so it imports little; the images have no curl.
"""

from __future__ import annotations

import socket
import sys
import urllib.request

TIMEOUT_S = 4.0
# A proxy of the environment does not apply to services on this machine.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
DAEMON = "daemon"
_OLDEST_HEARTBEAT = """SELECT count(*), min(timestamp) > now() AT TIME ZONE 'utc' - interval '2 minutes'
FROM daemon_heartbeats WHERE daemon_type IN ('SENSOR', 'QUEUED_RUN_COORDINATOR')"""


def responds(url: str, timeout_s: float = 5.0) -> bool:
    """Whether a GET request to ``url`` currently succeeds."""
    try:
        with DIRECT.open(url, timeout=timeout_s) as response:
            return 200 <= response.status < 300
    except (OSError, ValueError):
        return False


def is_healthy(target: str) -> bool:
    """Whether ``target`` responds."""
    if target == DAEMON:
        return _daemon_works()
    return responds(target, TIMEOUT_S) if "://" in target else _listens(target)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), TIMEOUT_S).close()
    except (OSError, ValueError):
        return False
    return True


def _daemon_works() -> bool:
    import psycopg  # noqa: PLC0415 - only for this target

    from lostark_assets.settings import get_settings  # noqa: PLC0415

    url = get_settings().dagster_postgres_url
    if url is None:
        return False
    address = url.get_secret_value().replace("+psycopg2", "", 1)
    try:
        with psycopg.connect(address, connect_timeout=int(TIMEOUT_S)) as connection:
            row = connection.execute(_OLDEST_HEARTBEAT).fetchone()
    except psycopg.Error:
        return False
    return row is not None and row[0] == 2 and bool(row[1])


if __name__ == "__main__":
    sys.exit(0 if is_healthy(sys.argv[1]) else 1)
