"""Supervisor that starts, monitors and stops the platform's services from one foreground process.

Each service leads its own session, so that its descendants can be found and stopped with it, and the
terminal's Ctrl-C reaches only the supervisor.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil

from lostark_platform.config import SERVICES_FILE
from lostark_platform.healthcheck import responds
from lostark_platform.processes import find_process

Say = Callable[[str], None]
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TERM_TIMEOUT_S = 10.0
_KILL_TIMEOUT_S = 3.0
_POLL_S = 0.2
_LOG_LIMIT_BYTES = 5_000_000
_TAIL_LINES = 15
_MAX_PAUSE_S = 60.0
_STABLE_AFTER_S = 300.0
"""Uptime after which the earlier deaths of an expendable service no longer count."""
LOSTARK = (sys.executable, "-c", "from lostark_platform.cli.app import app; app()")
"""The command line as a child process; ``lostark`` is not on the path where no environment is active."""


@dataclass(frozen=True)
class Service:
    """One child process.

    ``ready`` is the readiness probe: a URL that must return success, a function, or None for immediately.
    ``restarts`` limits how often it may die before the whole platform stops. An ``is_expendable`` service is
    restarted without limit, with exponential backoff. A service that is not ``is_awaited`` does not delay
    the start; its readiness is only reported.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    ready: str | Callable[[], bool] | None = None
    ready_timeout_s: float = 180.0
    restarts: int = 0
    is_expendable: bool = False
    is_awaited: bool = True


class _Stop(BaseException):
    """Raised in the main thread by a stop signal or the death of a service; not for ``except Exception``."""


def _is_ready(service: Service) -> bool:
    if callable(service.ready):
        return service.ready()
    return service.ready is None or responds(service.ready)


def run_services(
    services: Sequence[Service], *, state_dir: Path, logs_dir: Path, on_ready: Callable[[], None], say: Say
) -> int:
    """Start ``services``, call ``on_ready`` once all are ready, and block until stopped.

    Must run in the main thread. Returns 0 when the user stopped it (SIGINT, SIGTERM, SIGHUP), 1 when a
    service died or did not become ready. All processes of the services have ended when it returns.
    ``state_dir`` records the running processes, so that the next start can stop orphaned ones.
    """
    return _Supervisor(services, state_dir, logs_dir, say).run(on_ready)


def stop_orphaned_services(state_dir: Path) -> list[str]:
    """Stop services whose supervisor was killed; returns their names."""
    state_file = state_dir / SERVICES_FILE
    try:
        recorded = json.loads(state_file.read_text())
    except (FileNotFoundError, ValueError):
        return []
    alive = {
        entry["name"]: entry["pid"] for entry in recorded if find_process(entry["pid"], entry["created_at"])
    }
    members = {member for pid in alive.values() for member in _session(pid)}
    _signal(members, signal.SIGTERM)
    deadline = time.monotonic() + TERM_TIMEOUT_S
    while (members := {member for member in members if _is_running(member)}) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    _signal(members, signal.SIGKILL)
    state_file.unlink(missing_ok=True)
    return sorted(alive)


class _Supervisor:
    """The state of one ``run_services``."""

    def __init__(self, services: Sequence[Service], state_dir: Path, logs_dir: Path, say: Say) -> None:
        self._services = services
        self._state_file = state_dir / SERVICES_FILE
        self._logs_dir = logs_dir
        self._say = say
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._deaths: dict[str, int] = {}
        self._started_at: dict[str, float] = {}
        self._restart_at: dict[str, float] = {}
        self._failure: str | None = None
        self._signals_seen = 0
        self._raising = False
        self._finished = threading.Event()

    def run(self, on_ready: Callable[[], None]) -> int:
        """Start, monitor and stop all services."""
        self._logs_dir.mkdir(parents=True, exist_ok=True)
        self._state_file.parent.mkdir(parents=True, exist_ok=True)
        watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        with self._signals_handled():
            try:
                for service in self._services:
                    self._start(service)
                watcher.start()
                with self._interruptible():
                    self._await_ready()
                    on_ready()
                    while True:
                        time.sleep(3600)
            except _Stop:
                pass
            finally:
                self._raising = False
                self._finished.set()
                if watcher.ident is not None:
                    watcher.join()
                self._stop_all()
        if self._failure:
            self._say(self._failure)
        return 1 if self._failure else 0

    @contextmanager
    def _signals_handled(self) -> Iterator[None]:
        # A background shell starts us with SIGINT ignored, which children would inherit: Dagster copies an
        # ignored SIGINT to SIGTERM and never stops. Children reset handled signals to their default.
        before = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals_seen += 1
        if self._raising:
            self._raising = False
            raise _Stop

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        self._raising = True
        if self._signals_seen:
            raise _Stop
        try:
            yield
        finally:
            self._raising = False

    def _start(self, service: Service) -> None:
        log = self._log(service)
        if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            output.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(service.argv)}\n".encode())
            output.flush()
            self._processes[service.name] = subprocess.Popen(
                list(service.argv),
                env={**os.environ, **service.env},
                cwd=service.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started_at[service.name] = time.monotonic()
        self._write_state()

    def _write_state(self) -> None:
        recorded = []
        for name, process in self._processes.items():
            with suppress(psutil.NoSuchProcess):
                created_at = psutil.Process(process.pid).create_time()
                recorded.append({"name": name, "pid": process.pid, "created_at": created_at})
        draft = self._state_file.with_suffix(".draft")
        draft.write_text(json.dumps(recorded))
        draft.replace(self._state_file)

    def _log(self, service: Service) -> Path:
        return self._logs_dir / f"{service.name}.log"

    def _await_ready(self) -> None:
        begun = time.monotonic()
        waiting = [service for service in self._services if service.ready is not None and service.is_awaited]
        while waiting:
            for service in list(waiting):
                elapsed = time.monotonic() - begun
                if _is_ready(service):
                    waiting.remove(service)
                    self._say(f"{service.name} is ready ({elapsed:.0f} s)")
                elif elapsed > service.ready_timeout_s and service.is_expendable:
                    waiting.remove(service)
                    self._say(f"{service.name} is not ready after {elapsed:.0f} s; continuing without it")
                elif elapsed > service.ready_timeout_s:
                    self._fail(service, f"was not ready after {service.ready_timeout_s:.0f} s")
                    raise _Stop
            time.sleep(_POLL_S)

    def _watch(self) -> None:
        begun = time.monotonic()
        unreported = [service for service in self._services if service.ready and not service.is_awaited]
        while not self._finished.wait(_POLL_S):
            for service in [service for service in unreported if _is_ready(service)]:
                unreported.remove(service)
                self._say(f"{service.name} is ready ({time.monotonic() - begun:.0f} s)")
            for service in self._services:
                status = self._processes[service.name].poll()
                if status is None:
                    continue
                if service.is_expendable:
                    self._restart_with_backoff(service, status)
                elif not self._restart(service, status):
                    return

    def _restart_with_backoff(self, service: Service, status: int) -> None:
        now = time.monotonic()
        if service.name not in self._restart_at:
            self._end_session(self._processes[service.name].pid)
            lived_s = now - self._started_at[service.name]
            deaths = 1 if lived_s > _STABLE_AFTER_S else self._deaths.get(service.name, 0) + 1
            self._deaths[service.name] = deaths
            pause_s = min(2.0 ** min(deaths - 1, 9), _MAX_PAUSE_S)
            self._restart_at[service.name] = now + pause_s
            self._say(f"{service.name} died ({_describe_status(status)}); restarting it in {pause_s:.0f} s")
        elif now >= self._restart_at[service.name]:
            del self._restart_at[service.name]
            self._start(service)

    def _restart(self, service: Service, status: int) -> bool:
        self._end_session(self._processes[service.name].pid)
        self._deaths[service.name] = self._deaths.get(service.name, 0) + 1
        if self._deaths[service.name] <= service.restarts:
            self._say(f"{service.name} died ({_describe_status(status)}); restarting it")
            self._start(service)
            return True
        self._fail(service, f"died ({_describe_status(status)})")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        return False

    def _fail(self, service: Service, what: str) -> None:
        log = self._log(service)
        lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        tail = "\n".join(f"  {line}" for line in lines)
        self._failure = f"{service.name} {what}; everything was stopped. The end of {log}:\n{tail}"

    def _stop_all(self) -> None:
        seen = self._signals_seen
        members = {member for process in self._processes.values() for member in _session(process.pid)}
        if members:
            self._say("stopping")
        _signal(members, signal.SIGTERM)
        deadline = time.monotonic() + TERM_TIMEOUT_S
        while members and time.monotonic() < deadline and self._signals_seen == seen:
            members = {member for member in members if _is_running(member)} | self._unreaped()
            time.sleep(_POLL_S / 4)
        for process in self._processes.values():
            self._end_session(process.pid, members)
        self._state_file.unlink(missing_ok=True)

    def _end_session(self, leader: int, known: Set[psutil.Process] = frozenset()) -> None:
        members = known | _session(leader)
        _signal(members, signal.SIGKILL)
        deadline = time.monotonic() + _KILL_TIMEOUT_S
        while members and time.monotonic() < deadline:
            members = {member for member in members if _is_running(member)} | self._unreaped(leader)
            time.sleep(_POLL_S / 4)

    def _unreaped(self, leader: int | None = None) -> set[psutil.Process]:
        # A session leader can look like a zombie while its threads still run: only poll() is reliable.
        pids = [process.pid for process in self._processes.values() if process.poll() is None]
        unreaped = set()
        for pid in pids if leader is None else {leader} & set(pids):
            with suppress(psutil.NoSuchProcess):
                unreaped.add(psutil.Process(pid))
        return unreaped


def _session(leader: int) -> set[psutil.Process]:
    """The processes of the session that ``leader`` leads, and their descendants in any session."""
    members = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == leader and _is_running(process):
                members.add(process)
    for process in list(members):
        with suppress(psutil.Error):
            members.update(process.children(recursive=True))
    return members


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _describe_status(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
