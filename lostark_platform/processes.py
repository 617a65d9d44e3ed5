"""Recognising a process again: its id alone may belong to another one by then."""

from __future__ import annotations

import psutil


def find_process(pid: int, created_at: float) -> psutil.Process | None:
    """The process with that id if it was created then, epoch seconds; None if it is gone."""
    try:
        process = psutil.Process(pid)
        return process if abs(process.create_time() - created_at) < 1 else None
    except psutil.NoSuchProcess:
        return None
