"""The supervisor against real processes: it starts, monitors and stops them all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lostark_platform.services import supervisor
from lostark_platform.services.supervisor import stop_orphaned_services

PATIENCE_S = 20
SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"
PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); {SLEEPER}"
DISPOSITIONS = (
    "import signal; print([signal.getsignal(s) == signal.SIG_IGN for s in (signal.SIGINT, signal.SIGTERM)], "
    f"flush=True); {SLEEPER}"
)
SUPERVISOR = """
import json, sys
from pathlib import Path
from lostark_platform.services import supervisor
supervisor.TERM_TIMEOUT_S = 1.0
home, services = Path(sys.argv[1]), json.loads(sys.argv[2])
def ready(name):
    log = home / "logs" / f"{name}.log"
    return lambda: "up" in log.read_text()
children = [
    supervisor.Service(name, [sys.executable, "-c", code], ready=ready(name), restarts=max(restarts, 0),
                       is_expendable=restarts < 0, ready_timeout_s=3.0 if restarts < 0 else 180.0)
    for name, code, restarts in services
]
say = lambda text: print(text, flush=True)
sys.exit(supervisor.run_services(
    children, state_dir=home, logs_dir=home / "logs", on_ready=lambda: say("all ready"), say=say))
"""


class Running:
    """A supervisor in a separate process; services are (name, code, restarts), -1 for an expendable one."""

    def __init__(self, home: Path, *services: tuple[str, str, int], ignore_sigint: bool = False) -> None:
        self.home = home
        self.output = home / "output.txt"
        home.mkdir(parents=True, exist_ok=True)
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"] if ignore_sigint else []
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, sys.executable, "-c", SUPERVISOR, str(home), json.dumps(services)],
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def read_output(self) -> str:
        return self.output.read_text()

    def await_text(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.read_output():
            assert time.monotonic() < deadline, self.read_output()
            time.sleep(0.05)

    def pids(self) -> dict[str, int]:
        recorded = json.loads((self.home / "services.json").read_text())
        return {entry["name"]: entry["pid"] for entry in recorded}

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    _, left = psutil.wait_procs(processes, timeout=2)
    return [process for process in left if process.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture
def start(tmp_path):
    running: list[Running] = []

    def begin(*services: tuple[str, str, int], **options: bool) -> Running:
        running.append(Running(tmp_path / str(len(running)), *services, **options))
        return running[-1]

    yield begin
    for one in running:
        if one.process.poll() is None:
            family = one.family()
            one.process.kill()
            one.process.wait()
            for process in alive(family):
                process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_ends_every_service_and_counts_as_success(start, number):
    running = start(("a", SLEEPER, 0), ("b", SLEEPER, 0))
    running.await_text("all ready")
    family = running.family()

    assert len(family) == 2
    assert running.stop(number) == 0
    assert alive(family) == []
    assert not (running.home / "services.json").exists()


def test_sigint_works_from_a_shell_that_ignores_it(start):
    running = start(("a", DISPOSITIONS, 0), ignore_sigint=True)
    running.await_text("all ready")

    assert "[False, False]" in (running.home / "logs/a.log").read_text()
    assert running.stop(signal.SIGINT) == 0


def test_services_that_ignore_sigterm_and_their_children_are_killed(start):
    running = start(("stubborn", STUBBORN, 0), ("parent", PARENT, 0))
    running.await_text("all ready")
    family = running.family()

    assert len(family) == 3
    assert running.stop() == 0
    assert alive(family) == []


def test_the_death_of_a_service_stops_everything_and_shows_its_last_lines(start):
    running = start(("a", SLEEPER, 0), ("b", SLEEPER.replace("600", "1") + "; sys.exit('no fuel')", 0))
    running.await_text("all ready")
    family = running.family()

    assert running.process.wait(PATIENCE_S) == 1
    assert "b died (status 1)" in running.read_output()
    assert "NameError" in running.read_output()
    assert alive(family) == []


def test_a_service_is_restarted_up_to_its_limit(start):
    running = start(("a", SLEEPER, 0), ("b", SLEEPER.replace("600", "0.5"), 1))

    assert running.process.wait(PATIENCE_S) == 1
    assert running.read_output().count("b died (status 0); restarting it") == 1
    assert running.read_output().count("b died (status 0); everything was stopped") == 1


def test_an_expendable_service_is_restarted_without_affecting_others(start):
    running = start(("a", SLEEPER, 0), ("extra", SLEEPER, -1))
    running.await_text("all ready")
    first = running.pids()
    for pause in (1, 2):
        before = running.pids()["extra"]
        os.kill(before, signal.SIGKILL)
        running.await_text(f"restarting it in {pause} s")
        deadline = time.monotonic() + PATIENCE_S
        while running.pids()["extra"] == before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert running.pids()["extra"] != before

    assert running.pids()["a"] == first["a"]
    assert running.stop() == 0


def test_an_expendable_service_that_is_never_ready_blocks_nothing(start):
    running = start(("a", SLEEPER, 0), ("extra", "import sys; sys.exit(3)", -1))

    running.await_text("all ready")

    assert "extra is not ready after" in running.read_output()
    assert running.stop() == 0


def test_a_second_signal_does_not_wait_for_unresponsive_services(start):
    running = start(("stubborn", STUBBORN, 0))
    running.await_text("all ready")
    family = running.family()
    running.process.send_signal(signal.SIGINT)
    running.await_text("stopping")

    assert running.stop(signal.SIGINT) == 0
    assert alive(family) == []


def test_the_next_start_ends_services_left_by_a_killed_supervisor(start, monkeypatch):
    monkeypatch.setattr(supervisor, "TERM_TIMEOUT_S", 1.0)
    running = start(("a", SLEEPER, 0), ("parent", PARENT, 0))
    running.await_text("all ready")
    family = running.family()
    running.process.kill()
    running.process.wait()

    assert len(alive(family)) == 3
    assert stop_orphaned_services(running.home) == ["a", "parent"]
    assert alive(family) == []
    assert stop_orphaned_services(running.home) == []


def test_a_recorded_pid_of_another_process_is_not_killed(tmp_path):
    record = [{"name": "a", "pid": os.getpid(), "created_at": 1.0}]
    (tmp_path / "services.json").write_text(json.dumps(record))

    assert stop_orphaned_services(tmp_path) == []
