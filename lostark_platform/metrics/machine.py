"""Metrics of open problems, of the supervised processes, and of disks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import psutil
from prometheus_client.core import Metric

from lostark_assets.settings import Settings
from lostark_platform.alerts.observations import Disk
from lostark_platform.alerts.observe import read_disks
from lostark_platform.alerts.problems import KINDS
from lostark_platform.alerts.store import memory_path, peek
from lostark_platform.config import SERVICES_FILE
from lostark_platform.metrics.families import counter, gauge, gauges, single
from lostark_platform.processes import find_process


class _Usage(NamedTuple):
    cpu_s: float
    resident_bytes: float
    processes: float
    started_at: float


def read_problems(settings: Settings) -> Iterator[Metric]:
    """Open problems by kind, and whether they are still looked for."""
    memory = peek(memory_path(settings))
    counts = Counter(one.problem.kind for one in memory.state.open.values())
    yield gauge(
        "lostark_problems_open",
        "Problems that `lostark alerts` shows, by kind.",
        ["kind"],
        {(kind,): float(counts[kind]) for kind in sorted({*KINDS, *counts})},
    )
    yield single(
        "lostark_alerts_evaluated_timestamp_seconds",
        "When problems were last looked for.",
        memory.last_evaluated_at,
    )


def read_disk_space(settings: Settings) -> Iterator[Metric]:
    """Free and total bytes of the disks of data folder and lake."""
    described: dict[str, tuple[str, Callable[[Disk], float]]] = {
        "free_bytes": ("Free bytes of a disk.", lambda disk: disk.free_bytes),
        "total_bytes": ("Size of a disk.", lambda disk: disk.total_bytes),
    }
    disks = {(disk.name,): disk for disk in read_disks(settings)}
    yield from gauges("lostark_disk_", ["disk"], described, disks)


def read_services(settings: Settings) -> Iterator[Metric]:
    """CPU time and memory of what the supervisor runs, each with its child processes."""
    try:
        recorded = json.loads((settings.home / SERVICES_FILE).read_text())
    except FileNotFoundError:
        recorded = []
    found = {entry["name"]: _measure(entry["pid"], entry["created_at"]) for entry in recorded}
    running = {name: usage for name, usage in found.items() if usage is not None}
    yield gauge(
        "lostark_service_up",
        "1 while the service's process runs.",
        ["service"],
        {(name,): float(name in running) for name in found},
    )
    yield counter(
        "lostark_service_cpu_seconds",
        "CPU seconds of the service and its processes, ended ones included.",
        ["service"],
        {(name,): usage.cpu_s for name, usage in running.items()},
    )
    described: dict[str, tuple[str, Callable[[_Usage], float]]] = {
        "resident_bytes": (
            "Memory of the service and its processes; shared pages count in each.",
            lambda usage: usage.resident_bytes,
        ),
        "processes": ("Number of its processes.", lambda usage: usage.processes),
        "started_timestamp_seconds": ("When its process was started.", lambda usage: usage.started_at),
    }
    usages = {(name,): usage for name, usage in running.items()}
    yield from gauges("lostark_service_", ["service"], described, usages)


def _measure(pid: int, created_at: float) -> _Usage | None:
    leader = find_process(pid, created_at)
    if leader is None:
        return None
    try:
        if leader.status() == psutil.STATUS_ZOMBIE:
            return None
        cpu_s = resident = count = 0.0
        for process in [leader, *leader.children(recursive=True)]:
            try:
                times, memory = process.cpu_times(), process.memory_info()
            except psutil.NoSuchProcess:
                continue
            cpu_s += times.user + times.system + times.children_user + times.children_system
            resident, count = resident + memory.rss, count + 1
    except psutil.NoSuchProcess:
        return None
    return _Usage(cpu_s, resident, count, created_at)
