"""CPU priority of runs: when cores are short, background work gives way to uploads and pages."""

from __future__ import annotations

import multiprocessing
import os

BULK = 5
"""Niceness of an import or a catch-up, and of the tables across days."""
BACKGROUND = 10
"""Niceness of training, play styles, monitoring and validation."""


def give_way(niceness: int) -> None:
    """Lower the priority of this run to ``niceness``, as far as it has a process of its own.

    A process can't raise it again: a command or a test that materialises in its own process keeps it.
    """
    if multiprocessing.parent_process() is not None:
        os.nice(max(niceness - os.nice(0), 0))
