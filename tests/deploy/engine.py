"""A Docker engine for tests, and the images that the platform's own are built on.

Where images can be pulled, they are. Elsewhere they are made from Debian's packages, under other names: see
``images/``. What has no package, Grafana, is left out.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

IMAGES = Path(__file__).with_name("images")
_DEBIAN = "debian:bookworm-slim"
_LOCAL_DEBIAN = "lostark-test-debian"
_ENV = {"DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0"}
"""The classic builder: a machine without images to pull rarely has the other one."""


def run(*command: str | Path, cwd: Path | None = None, timeout_s: float = 1200, **env: str) -> str:
    """Output of ``command``, which has to succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout[-6000:]}"
    return done.stdout


@dataclass
class Engine:
    """A running engine. ``variables`` name base images and networks to compose."""

    env: dict[str, str]
    pulls: bool = True
    variables: dict[str, str] = field(default_factory=dict)

    def docker(self, *arguments: str | Path, timeout_s: float = 1200) -> str:
        """Output of ``docker`` with ``arguments``."""
        return run("docker", *arguments, timeout_s=timeout_s, **self.env)

    def try_docker(self, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """The same, whatever its exit code."""
        return subprocess.run(
            ["docker", *arguments],
            env={**os.environ, **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )


def is_available() -> bool:
    """Whether containers can run here: an engine responds, or could be started."""
    if shutil.which("docker") is None or (
        not any(map(shutil.which, ("docker-compose",))) and not _has_plugin()
    ):
        return False
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        return True
    return os.geteuid() == 0 and all(map(shutil.which, ("dockerd", "iptables", "debootstrap")))


def _has_plugin() -> bool:
    return subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0


def compose_command() -> list[str]:
    """The plugin, or the older command of its own."""
    return ["docker", "compose"] if _has_plugin() else ["docker-compose"]


@contextmanager
def running_engine() -> Iterator[Engine]:
    """The engine of this machine, or one of our own that ends with the block."""
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        engine = Engine(dict(_ENV))
        _prepare_images(engine)
        yield engine
        return
    # Outside the build context, and short: it holds sockets.
    folder = Path(tempfile.mkdtemp(prefix="lostark-docker-", dir="/var/tmp"))
    socket = f"unix://{folder}/docker.sock"
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(
            ["dockerd", "--data-root", folder / "data", "--exec-root", folder / "exec", "-H", socket, "-p",
             folder / "docker.pid"],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    engine = Engine({**_ENV, "DOCKER_HOST": socket})
    try:
        deadline = time.monotonic() + 60
        while engine.try_docker("info").returncode:
            assert time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
            assert daemon.poll() is None, (folder / "log").read_text()[-3000:]
            time.sleep(0.5)
        _prepare_images(engine)
        yield engine
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _prepare_images(engine: Engine) -> None:
    """Find out whether images can be pulled; where they can't, make others."""
    if engine.try_docker("image", "inspect", _LOCAL_DEBIAN).returncode:
        if engine.try_docker("pull", "--quiet", _DEBIAN, timeout_s=120).returncode == 0:
            return
        _make_debian(engine)
    engine.pulls = False
    engine.variables |= {"DEBIAN_IMAGE": _LOCAL_DEBIAN, "BUILD_NETWORK": "host"}
    for folder in sorted(path for path in IMAGES.iterdir() if path.is_dir()):
        name = f"lostark-test-{folder.name}"
        engine.docker(
            "build",
            "--quiet",
            "--network",
            "host",
            "--build-arg",
            f"BASE={_LOCAL_DEBIAN}",
            "--tag",
            name,
            folder,
        )
        engine.variables[f"{folder.name.upper().replace('-', '_')}_IMAGE"] = name


def _make_debian(engine: Engine) -> None:
    """Debian from its packages, as this machine gets them."""
    sources = [*Path("/etc/apt").glob("sources.list"), *Path("/etc/apt/sources.list.d").glob("*.sources")]
    text = "\n".join(path.read_text() for path in sources)
    mirror = re.search(r"(?:^URIs:\s*|^deb\s+(?:\[[^]]*]\s+)?)(\S+debian\S*)", text, re.MULTILINE)
    assert mirror, "no Debian mirror is configured"
    with tempfile.TemporaryDirectory(prefix="lostark-debian-", dir="/var/tmp") as folder:
        root = Path(folder) / "root"
        run("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", root, mirror[1])
        # What this machine trusts, and so its package indexes.
        shutil.copyfile("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs/ca-certificates.crt")
        archive = Path(folder) / "root.tar"
        run("tar", "-C", root, "-c", "-f", archive, ".")
        engine.docker("import", archive, _LOCAL_DEBIAN)
