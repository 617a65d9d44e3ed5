"""Output of commands: results on stdout, progress and messages on stderr, JSON as one document.

Battle logs contain names in any script, and invalid text: printing must never fail on it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

Say = Callable[[str], None]
Step = Callable[[int, int], None]
"""Called with the completed and the total count."""
_FILE_WIDTH = 240


def prepare_streams() -> None:
    """Escape characters that the terminal's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def console(*, stderr: bool = False) -> Console:
    """A console on the current stdout or stderr; a file or pipe gets wide lines instead of wrapped ones."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _FILE_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False)


def say(text: str) -> None:
    """Print a message on stderr."""
    console(stderr=True).print(_printable(text), markup=False, soft_wrap=True)


def print_json(document: Any) -> None:
    """Print ``document`` as JSON on stdout."""
    sys.stdout.write(
        json.dumps(to_json_value(document), ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    )


def print_table(columns: Iterable[str], rows: Iterable[Iterable[Any]], *, title: str | None = None) -> None:
    """Print rows on stdout; numbers are right-aligned, integers grouped by thousands."""
    table = Table(title=title, title_justify="left")
    cells = [list(row) for row in rows]
    for place, name in enumerate(columns):
        numbers = any(_is_number(row[place]) for row in cells)
        table.add_column(escape(name), justify="right" if numbers else "left", overflow="fold")
    for row in cells:
        table.add_row(*(escape(_cell(value)) for value in row))
    console().print(table)


def print_rows(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Print rows on stdout: a table if it fits the terminal, else one block per row without empty values."""
    listed = [list(row) for row in rows]
    widths = [max(len(name), *(len(_cell(row[at])) for row in listed), 0) for at, name in enumerate(columns)]
    if sum(widths) + 3 * len(widths) < console().width:
        print_table(columns, listed)
        return
    longest = max(map(len, columns), default=0)
    for number, row in enumerate(listed, start=1):
        lines = [
            f"{name:{longest}}  {_cell(value)}"
            for name, value in zip(columns, row, strict=True)
            if value is not None
        ]
        console().print(f"row {number}", *lines, "", sep="\n", markup=False, soft_wrap=True)


@contextlib.contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Step]:
    """A progress bar on stderr while the block runs, only on a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    on_terminal = sys.stderr.isatty()
    with Progress(
        *columns, TimeElapsedColumn(), console=console(stderr=True), transient=True, disable=not on_terminal
    ) as bar:
        task = bar.add_task(escape(what), total=total)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def to_json_value(value: Any) -> Any:
    """Convert to JSON types: dates and times as ISO text, NaN and infinity as null, bytes as base64."""
    if isinstance(value, dict):
        return {str(to_json_value(k)): to_json_value(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json_value(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, Decimal)):
        return _number(value)
    return _text(value)


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        # DuckDB returns sums of integers as decimals without a fraction.
        return int(value) if value.as_tuple().exponent == 0 else float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: Any) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value.tzinfo else value.isoformat()
    if isinstance(value, (date, time)):
        return value.isoformat()
    # A lone surrogate can't be encoded in UTF-8: it is escaped.
    return str(value).encode("utf-8", "backslashreplace").decode()


def _cell(value: Any) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value):,} bytes>"
    value = to_json_value(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.1f}"
    return _printable(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _printable(text: str) -> str:
    """``text`` with terminal control characters escaped."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def shown_path(path: Path | str) -> str:
    """A path as text, with undecodable bytes escaped."""
    return _text(path)
