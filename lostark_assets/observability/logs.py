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
_LONG_WAIT_S = 1.0
_MAX_TEXT = 8_000
_FALLBACK_LOGGER = "lostark"
# Libraries that log each URL they request, including secrets.
_NOISY_LOGGERS = ("httpx", "httpcore", "urllib3", "asyncio")


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


def _open_for_group(path: str, flags: int) -> int:
    return os.open(path, flags, 0o640)


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


def report_long_wait(lock: str, seconds: float) -> None:
    """Log that this process waited for a lock, unless it was short: what delays an upload is found by it."""
    if seconds > _LONG_WAIT_S:
        get_logger().info("waited_for_lock", lock=lock, seconds=round(seconds, 1))


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
