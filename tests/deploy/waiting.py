"""Ports, and waiting for what other processes do."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as opened:
        opened.bind((address, 0))
        return opened.getsockname()[1]


def wait_for(condition: Callable[[], Any], seconds: float = 120.0, every_s: float = 0.5) -> Any:
    """The first true result of ``condition``."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(every_s)
    return found
