"""Structured logs: one JSON line per event, from every process into one file of the data folder.

A line holds ``time`` (UTC), ``level``, ``event`` (a name like ``collection_done``), ``process``, and whatever
the caller and :func:`bind_run` add: ``source``, ``run_id``, ``asset``. Secrets are taken out before a line is
written. Until :func:`configure_logs` is called, lines go to the standard logger ``lostark``, as in a library.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, MutableMapping
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
MAX_FILE_BYTES = 16 << 20
FILES_KEPT = 5
_MAX_TEXT = 8_000
_FALLBACK_LOGGER = "lostark"
# Libraries that log each URL they request, including secrets.
_NOISY_LOGGERS = ("httpx", "httpcore", "urllib3", "asyncio")


class EventsFile:
    """An append-only file that several processes write, one ``write`` per line, rotated at a size.

    A line is never torn: the kernel appends each write as a whole. A file that cannot be written (full disk,
    no permission) never stops the work; it is reported once on stderr.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_FILE_BYTES, kept: int = FILES_KEPT) -> None:
        """Nothing is opened or created before the first line."""
        self.path = path
        self._max_bytes = max_bytes
        self._kept = kept
        self._descriptor: int | None = None
        self._torn = False
        self._reported = False
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        """Append ``line``, which holds no newline."""
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        with self._lock:
            try:
                descriptor = self._current(len(data))
                written = os.write(descriptor, b"\n" + data if self._torn else data)
                self._torn = written < len(data)
            except OSError as error:
                self._report(error)

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        with self._lock:
            self._release()

    def _current(self, size: int) -> int:
        """A descriptor of the current file: another process may have rotated it."""
        if self._descriptor is not None and not self._is_current(self._descriptor):
            self._release()
        if self._descriptor is None:
            self._descriptor = self._open()
        if os.fstat(self._descriptor).st_size + size > self._max_bytes:
            self._rotate(size)
        return self._descriptor

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    def _rotate(self, size: int) -> None:
        try:
            with FileLock(self.path.with_suffix(".lock"), timeout=1):
                if self.path.stat().st_size + size > self._max_bytes:
                    for number in range(self._kept - 1, 0, -1):
                        with contextlib.suppress(FileNotFoundError):
                            self._numbered(number).replace(self._numbered(number + 1))
                    self.path.replace(self._numbered(1))
        except Timeout:
            return  # another process rotates it; a slightly larger file does no harm
        self._release()
        self._descriptor = self._open()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _report(self, error: OSError) -> None:
        self._descriptor = None
        if not self._reported:
            self._reported = True
            sys.stderr.write(f"{self.path}: events can't be written and are lost until it works: {error}\n")


class _Output:
    """Destination of this process's log lines; structlog calls the method named like the level."""

    def __init__(self) -> None:
        self.file: EventsFile | None = None
        self.stderr = False
        self.process: str | None = None
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


def _add_process(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if _OUTPUT.process is not None:
        event.setdefault("process", _OUTPUT.process)
    event["pid"] = os.getpid()
    return event


def _without_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    plain = _OUTPUT.redactor.value(dict(event))
    return {
        name: item if not isinstance(item, str) or len(item) <= _MAX_TEXT else item[:_MAX_TEXT] + "…"
        for name, item in plain.items()
    }


def _as_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    first = {name: event.pop(name) for name in ("time", "level", "event") if name in event}
    return json.dumps({**first, **event}, ensure_ascii=False)


@cache
def _processors() -> list[Processor]:
    import structlog  # noqa: PLC0415 - it loads Rich and Pygments, which commands that log nothing don't need

    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _add_process,
        structlog.processors.format_exc_info,
        _without_secrets,
        _as_line,
    ]


def configure_logs(settings: Settings, process: str, *, stderr: bool = False) -> None:
    """Send this process's events to ``logs/events.jsonl`` of the data folder, without the settings' secrets.

    ``process`` names what this process is (``cli``, ``dagster``); ``stderr`` is for services,
    whose stderr is collected. The last call wins. No file is created before the first event.
    """
    if _OUTPUT.file is not None:
        _OUTPUT.file.close()
    _OUTPUT.redactor = Redactor(list_secrets(settings))
    _OUTPUT.process = process
    _OUTPUT.stderr = stderr
    _OUTPUT.file = EventsFile(settings.logs_dir / EVENTS_FILE)
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


def report_unexpected(subject: str, error: Exception) -> UnexpectedError:
    """Write the traceback of ``error`` to the event log; returns the error to show and store instead."""
    unexpected = UnexpectedError(subject, error)
    trace = "".join(traceback.format_exception(error))
    get_logger().error(
        "unexpected_error", subject=subject, error_id=unexpected.error_id, traceback=trace[-_MAX_TEXT:]
    )
    return unexpected


@contextlib.contextmanager
def bind_run(**ids: Any) -> Iterator[None]:
    """Add ``run_id``, ``asset``, ``source`` or other ids to every event of the block; None is left out."""
    import structlog  # noqa: PLC0415 - as above

    with structlog.contextvars.bound_contextvars(**{k: v for k, v in ids.items() if v is not None}):
        yield


def redacted(text: str) -> str:
    """``text`` without the secrets that this process knows, and without what looks like a secret."""
    return _OUTPUT.redactor.text(text)
