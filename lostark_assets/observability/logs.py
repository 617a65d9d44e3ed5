"""Structured logs: one JSON line per event, into one file of the data folder or to stdout (``LOSTARK_LOGS``).

A line holds ``time`` (UTC), ``level``, ``event`` (a name like ``collection_done``), ``service``, ``pid``, and
whatever the caller, :func:`bind_run` and :func:`set_run_ids` add: ``source``, ``run_id``, ``request_id``.
Secrets are taken out before a line is written. On stdout the lines of libraries have the same fields
(:mod:`~lostark_assets.observability.library_logs`). Until :func:`configure_logs` is called, lines go to the
standard logger ``lostark``, as in a library.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, MutableMapping
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from lostark_assets.errors import UnexpectedError
from lostark_assets.observability.redact import Redactor, list_secrets
from lostark_assets.settings import Settings

if TYPE_CHECKING:
    from structlog.typing import Processor

EVENTS_FILE = "events.jsonl"
CLI = "cli"
"""The service whose results go to stdout, so that its log lines go to stderr."""
SERVICE_VARIABLE = "LOG_SERVICE"
"""Environment variable that names the service in the lines of its processes, also of those that it starts."""
MAX_FILE_BYTES = 16 << 20
FILES_KEPT = 5
_LONG_WAIT_S = 1.0
_MAX_TEXT = 8_000
_FALLBACK_LOGGER = "lostark"
# Libraries that log each URL they request, including secrets.
_NOISY_LOGGERS = ("httpx", "httpcore", "urllib3", "asyncio")


REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the API's request that is being served; every event of it has the id."""


class EventsFile:
    """An append-only file that several processes write, one ``write`` per line, rotated at a size.

    A line is never torn: the kernel appends each write as a whole. The file is opened for each line; if
    another process rotates it meanwhile, the line is in the rotated file. A file that cannot be written (full
    disk, no permission) never stops the work; it is reported once on stderr.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_FILE_BYTES, kept: int = FILES_KEPT) -> None:
        """Nothing is opened or created before the first line."""
        self.path = path
        self._max_bytes = max_bytes
        self._kept = kept
        self._torn = False
        self._reported = False

    def write(self, line: str) -> None:
        """Append ``line``, which holds no newline."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            if self._is_full(len(data)):
                self._rotate(len(data))
            with open(self.path, "ab", buffering=0, opener=_open_for_group) as file:
                written = file.write(b"\n" + data if self._torn else data)
            self._torn = written < len(data)
        except OSError as error:
            if not self._reported:
                self._reported = True
                text = f"{self.path}: events can't be written and are lost until it works: {error}"
                sys.stderr.write(text + "\n")

    def _is_full(self, more: int) -> bool:
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return False
        return size > 0 and size + more > self._max_bytes

    def _rotate(self, more: int) -> None:
        from logging.handlers import RotatingFileHandler  # noqa: PLC0415 - rarely needed, and it loads pickle

        # On a timeout another process rotates it; a slightly larger file does no harm.
        with contextlib.suppress(Timeout), FileLock(self.path.with_suffix(".lock"), timeout=1):
            if self._is_full(more):
                RotatingFileHandler(self.path, backupCount=self._kept, delay=True).doRollover()


class LineStream:
    """A duplicate of stdout (1) or stderr (2): Dagster redirects these to files during a run.

    One ``write`` per line: several processes of a service share its stdout.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = os.dup(descriptor)

    def write(self, line: str) -> None:
        """Write ``line``, which holds no newline. That nothing reads it any more stops no work."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._descriptor, data) :]


# Once per process: a later duplicate may be of a file that Dagster captures to.
open_stream = cache(LineStream)


def _open_for_group(path: str, flags: int) -> int:
    return os.open(path, flags, 0o640)


class _Output:
    """Destination of this process's log lines; structlog calls the method named like the level."""

    def __init__(self) -> None:
        self.file: EventsFile | LineStream | None = None
        self.stderr = False
        self.service: str | None = None
        self.run_ids: dict[str, str] = {}
        self.redactor = Redactor()

    def msg(self, line: str) -> None:
        """Write one line; without a file it goes to the standard logger."""
        if self.file is None:
            logging.getLogger(_FALLBACK_LOGGER).log(_parse_level(line), line)
            return
        self.file.write(line)
        if self.stderr:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(line + "\n")

    debug = info = warning = error = critical = msg


_OUTPUT = _Output()


def _parse_level(line: str) -> int:
    return getattr(logging, json.loads(line)["level"].upper(), logging.INFO)


def _add_service(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if _OUTPUT.service is not None:
        event["service"] = _OUTPUT.service
    event["pid"] = os.getpid()
    request_id = REQUEST_ID.get()
    if request_id is not None:
        event.setdefault("request_id", request_id)
    for name, value in _OUTPUT.run_ids.items():
        event.setdefault(name, value)
    return event


def _without_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    plain = _OUTPUT.redactor.value(dict(event))
    return {name: _shorten(name, item) if isinstance(item, str) else item for name, item in plain.items()}


def _shorten(name: str, text: str) -> str:
    if len(text) <= _MAX_TEXT:
        return text
    # The error itself is at the end of a traceback.
    return "…" + text[-_MAX_TEXT:] if name == "exception" else text[:_MAX_TEXT] + "…"


def _as_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    first = {name: event.pop(name) for name in ("time", "level", "event", "service") if name in event}
    return json.dumps({**first, **event}, ensure_ascii=False)


@cache
def _processors() -> list[Processor]:
    import structlog  # noqa: PLC0415 - it loads Rich and Pygments, which commands that log nothing don't need

    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        _without_secrets,
        # These hold no secret, and looking for some costs as much as all the rest.
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _add_service,
        _as_line,
    ]


def configure_logs(settings: Settings, service: str, *, stderr: bool = False) -> None:
    """Send this process's events where ``LOSTARK_LOGS`` says, without the settings' secrets.

    ``files``: to ``logs/events.jsonl`` of the data folder; no file is created before the first event.
    ``stdout``: to stdout, with the lines of every library; of the service ``cli`` to stderr.

    ``service`` names what this process is, unless the variable LOG_SERVICE does; ``stderr`` also writes to
    stderr. The last call wins.
    """
    _OUTPUT.redactor = Redactor(list_secrets(settings))
    _OUTPUT.service = os.environ.get(SERVICE_VARIABLE) or service
    is_files = settings.logs == "files"
    _OUTPUT.stderr = stderr and is_files
    if is_files:
        _OUTPUT.file = EventsFile(settings.logs_dir / EVENTS_FILE)
    else:
        from lostark_assets.observability.library_logs import take_over_loggers  # noqa: PLC0415 - rarely needed

        _OUTPUT.file = open_stream(2 if service == CLI else 1)
        take_over_loggers(get_logger(), prints=service != CLI)
    # dagster.yaml configures a log handler for runs; Dagster warns at each run that this is in beta.
    warnings.filterwarnings("ignore", message="Handling yaml-defined logging configuration")
    for name in _NOISY_LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))


def get_logger() -> Any:
    """The logger of the platform: ``get_logger().info("collection_done", source=…, new=…)``.

    It may be created at import; the destination is looked up at each call.
    """
    import structlog  # noqa: PLC0415 - as above

    return structlog.wrap_logger(
        _OUTPUT, processors=_processors(), wrapper_class=structlog.make_filtering_bound_logger(logging.INFO)
    )


def report_long_wait(lock: str, seconds: float) -> None:
    """Log that this process waited for a lock, unless it was short: what delays an upload is found by it."""
    if seconds > _LONG_WAIT_S:
        get_logger().info("waited_for_lock", lock=lock, seconds=round(seconds, 1))


def report_unexpected(subject: str, error: Exception) -> UnexpectedError:
    """Write the traceback of ``error`` to the event log; returns the error to show and store instead."""
    unexpected = UnexpectedError(subject, error)
    get_logger().error("unexpected_error", subject=subject, error_id=unexpected.error_id, exc_info=error)
    return unexpected


@contextlib.contextmanager
def bind_run(**ids: Any) -> Iterator[None]:
    """Add ``run_id``, ``asset``, ``source`` or other ids to every event of the block; None is left out."""
    import structlog  # noqa: PLC0415 - as above

    with structlog.contextvars.bound_contextvars(**{k: v for k, v in ids.items() if v is not None}):
        yield


def set_run_ids(**ids: str | None) -> None:
    """Add these ids to every event of this process, also of its other threads, until the next call.

    For a process that does one run: :func:`bind_run` does not reach the threads of a pool.
    """
    _OUTPUT.run_ids = {name: value for name, value in ids.items() if value is not None}


def redacted(text: str) -> str:
    """``text`` without the secrets that this process knows, and without what looks like a secret."""
    return _OUTPUT.redactor.text(text)
