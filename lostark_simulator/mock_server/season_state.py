"""The season's state on disk: an append-only file with a header and one line per log or event.

A half-written line of a killed process is dropped. ``growing_season`` interprets the lines.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from lostark_assets.errors import SourceBusy
from lostark_simulator.mock_server.log_record import LogRecord

_FILE = "season.jsonl"


@dataclass
class SeasonState:
    """The state of one season; in memory only without a folder.

    Raises:
        SourceBusy: another mock server uses the season in this folder.
    """

    folder: Path | None
    header: dict[str, Any] = field(default_factory=dict)
    records: list[LogRecord] = field(default_factory=list)
    generation: int = 0
    _file: BinaryIO | None = None
    _lock: FileLock | None = None

    def open(self) -> None:
        """Lock the folder and read the state."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.folder / ".lock", timeout=0)
        try:
            self._lock.acquire()
        except Timeout:
            raise SourceBusy(
                f"{self.folder}: another mock server uses this season. Nothing was changed. Stop it, or "
                "choose another folder."
            ) from None
        self._read(self.folder / _FILE)

    def _read(self, path: Path) -> None:
        if not path.exists():
            return
        lines = path.read_bytes().split(b"\n")
        whole = lines[:-1]
        for line in whole:
            try:
                found = json.loads(line)
            except ValueError:
                break
            if "header" in found:
                self.header = found["header"]
            elif "generation" in found:
                self.generation = found["generation"]
            else:
                self.records.append(LogRecord(**found))
        if lines[-1] and self.header:
            path.write_bytes(b"".join(line + b"\n" for line in whole))

    def begin(self, header: dict[str, Any], records: list[LogRecord]) -> None:
        """Replace the state with a new season and the logs of its history."""
        self.header, self.records, self.generation = header, records, 0
        self._close_file()
        if self.folder is None:
            return
        # Written next to it, then renamed: a process killed in between starts the same season again.
        beside = self.folder / (_FILE + ".new")
        with beside.open("wb") as file:
            file.write(json.dumps({"header": header}).encode() + b"\n")
            file.writelines(record.line() for record in records)
        beside.replace(self.folder / _FILE)

    def add(self, records: list[LogRecord]) -> None:
        """Append logs."""
        self.records.extend(records)
        self._append(b"".join(record.line() for record in records))

    def next_generation(self) -> None:
        """Expire every cursor issued so far."""
        self.generation += 1
        self._append(json.dumps({"generation": self.generation}).encode() + b"\n")

    def close(self) -> None:
        """Release the folder."""
        self._close_file()
        if self._lock is not None:
            self._lock.release()

    def _append(self, lines: bytes) -> None:
        if self.folder is None:
            return
        if self._file is None:
            self._file = (self.folder / _FILE).open("ab")
        self._file.write(lines)
        self._file.flush()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
