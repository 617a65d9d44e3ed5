"""The log lines of libraries as JSON lines with the platform's own fields, for ``LOSTARK_LOGS=stdout``.

One handler of the root logger writes them. Uvicorn, Dagster and MLflow configure handlers of their own that
write text: the first two with ``logging.config.dictConfig``, which is given a class that leaves those out,
MLflow unless a variable says not to. What code prints becomes lines as well. What a library in C (gRPC)
writes stays text, and so does what a process prints before its logs are configured.
"""

from __future__ import annotations

import contextlib
import io
import logging
import logging.config
import os
import sys
import threading
from types import TracebackType
from typing import Any

_CONSOLE = "logging.StreamHandler"
_INFORMATIVE = ("mlflow", "uvicorn")
"""Loggers that nothing else gives a level. Of other libraries only warnings and errors are kept."""


class LibraryHandler(logging.Handler):
    """Writes each record as the event ``library_message``, with ``logger`` and ``message``."""

    log: Any
    """The platform's own logger."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record``. What fails in here is reported as of any other handler, and never raised."""
        try:
            # Levels of structlog are the five of the standard library.
            level = min(record.levelno // 10 * 10, logging.CRITICAL) or logging.DEBUG
            facts = {"logger": record.name, "message": record.getMessage()}
            self.log.log(level, "library_message", **facts, exc_info=record.exc_info)
        except Exception:  # noqa: BLE001 - a log line never stops the work
            self.handleError(record)


HANDLER = LibraryHandler()


class _PrintedLines(io.TextIOBase):
    """A text stream in the place of stdout or stderr: each line is the event ``output``."""

    def __init__(self, descriptor: int, level: int) -> None:
        self._descriptor, self._level, self._begun = descriptor, level, ""

    def fileno(self) -> int:
        """The stream's own: Dagster redirects it during a run, and child processes write to it."""
        return self._descriptor

    def write(self, text: str) -> int:
        """Log the lines that ``text`` ends; the rest waits for its end."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(str.strip, lines):
            HANDLER.log.log(self._level, "output", message=line)
        return len(text)


class _WithoutConsole(logging.config.DictConfigurator):
    """Applies a library's configuration without its handlers that write text to stdout or stderr."""

    def __init__(self, config: dict[str, Any]) -> None:
        handlers = config.get("handlers", {})
        console = {name for name, one in handlers.items() if one.get("class") == _CONSOLE}
        kept: dict[str, Any] = {
            "handlers": {name: one for name, one in handlers.items() if name not in console},
            "loggers": {name: _drop(one, console) for name, one in config.get("loggers", {}).items()},
        }
        if "root" in config:
            kept["root"] = _drop(config["root"], console)
        super().__init__(config | kept)

    def configure(self) -> None:
        """Apply it; a configuration of the root logger removes the handlers that it had."""
        super().configure()
        logging.getLogger().addHandler(HANDLER)


def _drop(logger: dict[str, Any], console: set[str]) -> dict[str, Any]:
    handlers = list(logger.get("handlers", ()))
    if console.isdisjoint(handlers):
        return logger
    return logger | {"handlers": [one for one in handlers if one not in console], "propagate": True}


def take_over_loggers(log: Any, *, prints: bool) -> None:
    """Write every line of the standard library's loggers, warnings and uncaught exceptions to ``log``.

    ``prints``: also what is printed to stdout and stderr.
    """
    HANDLER.log = log
    if prints:
        sys.stdout, sys.stderr = _PrintedLines(1, logging.INFO), _PrintedLines(2, logging.WARNING)
    # MLflow would add its handlers when it is imported, also in the process that its server starts.
    os.environ["MLFLOW_CONFIGURE_LOGGING"] = "false"
    # Dagster's logger of runs writes each event as coloured text, also those that its own log handler writes.
    # The API's image has no Dagster.
    with contextlib.suppress(ModuleNotFoundError):
        import coloredlogs  # noqa: PLC0415 - slow to import

        coloredlogs.install = _write_nothing
    logging.config.dictConfigClass = _WithoutConsole  # type: ignore[assignment]
    logging.getLogger().addHandler(HANDLER)
    for name in _INFORMATIVE:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    sys.excepthook = _report_uncaught
    threading.excepthook = _report_uncaught_in_thread


def _write_nothing(*_: Any, logger: logging.Logger, **__: Any) -> None:
    logger.addHandler(logging.NullHandler())


def _report_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        HANDLER.log.warning("interrupted")
        return
    HANDLER.log.critical("uncaught_exception", error=kind.__name__, exc_info=(kind, error, trace))


def _report_uncaught_in_thread(failure: threading.ExceptHookArgs) -> None:
    error = failure.exc_value
    if error is not None and not isinstance(error, SystemExit):
        name = None if failure.thread is None else failure.thread.name
        trace = (failure.exc_type, error, failure.exc_traceback)
        HANDLER.log.critical(
            "uncaught_exception", error=failure.exc_type.__name__, thread=name, exc_info=trace
        )
