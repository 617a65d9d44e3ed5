"""The season's state on disk: a header and one line for each thing that came, appended and never changed.

A line that a killed process left half written is dropped. What the lines mean is in ``growing_season``.
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
    """The state of one season; without a folder it is in memory only.

    Raises:
        SourceBusy: another mock server serves the season of this folder.
    """

    folder: Path | None
    header: dict[str, Any] = field(default_factory=dict)
    records: list[LogRecord] = field(default_factory=list)
    generation: int = 0
    _file: BinaryIO | None = None
    _lock: FileLock | None = None

    def open(self) -> None:
        """Take the folder and read what is there."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.folder / ".lock", timeout=0)
        try:
            self._lock.acquire()
        except Timeout:
            raise SourceBusy(
                f"{self.folder}: another mock server serves this season. Nothing was changed. Stop it, or "
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
        """Forget what was there and begin a season with the logs of its history."""
        self.header, self.records, self.generation = header, records, 0
        self._close_file()
        if self.folder is None:
            return
        # Beside, then in its place: a process that is killed here begins the same season again.
        beside = self.folder / (_FILE + ".new")
        with beside.open("wb") as file:
            file.write(json.dumps({"header": header}).encode() + b"\n")
            file.writelines(record.line() for record in records)
        beside.replace(self.folder / _FILE)

    def add(self, records: list[LogRecord]) -> None:
        """Keep logs that came."""
        self.records.extend(records)
        self._append(b"".join(record.line() for record in records))

    def next_generation(self) -> None:
        """Make every cursor given so far one that is forgotten."""
        self.generation += 1
        self._append(json.dumps({"generation": self.generation}).encode() + b"\n")

    def close(self) -> None:
        """Let the folder go."""
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
