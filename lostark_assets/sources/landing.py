"""The landing folder: uploaded files until they are collected, and their results.

``landing/RECEIVED.BYTES.SOURCE.TICKET/NAME`` is one upload, with ``.ticket.json`` (what was accepted) beside
it. ``RECEIVED`` is when it was received, in microseconds since 1970: order, age and size of everything that
waits are known from one listing. Once it was collected, the folder has ``.collected.json`` and is
``landing/.collected/TICKET``: pending uploads are found without reading old ones. The file itself is deleted,
since its logs are in the raw table. A file that is still being received is in ``landing/.incoming``, where
the collector ignores it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from lostark_assets.errors import NotFound
from lostark_assets.observability.logs import bind_run, get_logger
from lostark_assets.sources.collector import Collected

INCOMING = ".incoming"
COLLECTED = ".collected"
TICKET_PATTERN = r"^[0-9a-f]{32}$"
KEPT = timedelta(days=30)
"""How long tickets are kept."""
MAX_NAME, MAX_NAME_BYTES = 100, 200
"""Characters, and bytes of UTF-8: file systems take 255."""
_TICKET, _RESULT = ".ticket.json", ".collected.json"
_ABANDONED = timedelta(hours=6)
_PENDING = re.compile(r"^(\d{16})\.(\d+)\..+\.[0-9a-f]{32}$")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNSAFE = re.compile(r"[^\w.()+ -]+")


class Ticket(msgspec.Struct, frozen=True):
    """One accepted upload. ``arguments``: import arguments of a player table."""

    ticket: str
    name: str
    source: str
    log_format: str
    bytes: int
    sha256: str
    received_at: datetime
    arguments: dict[str, str] = msgspec.field(default_factory=dict)
    request_id: str | None = None


class Result(msgspec.Struct, frozen=True):
    """The result of collecting an upload. ``error``: it could not be read, and nothing was stored."""

    at: datetime
    found: int = 0
    new: int = 0
    known: int = 0
    log_ids: list[str] = msgspec.field(default_factory=list)
    days: list[date] = msgspec.field(default_factory=list)
    problems: list[str] = msgspec.field(default_factory=list)
    error: str | None = None


@dataclass(frozen=True)
class Landed:
    """An accepted upload in its folder; ``result`` is None until it was collected."""

    folder: Path
    ticket: Ticket
    result: Result | None = None

    @property
    def file(self) -> Path:
        """The uploaded file; gone once it was collected."""
        return self.folder / self.ticket.name


class Pending(NamedTuple):
    """What the name of a pending upload's folder says. ``received_us``: microseconds since 1970."""

    received_us: int
    folder_name: str
    bytes: int

    @property
    def received_at(self) -> datetime:
        """When it was received."""
        return _EPOCH + self.received_us * _MICROSECOND


@dataclass(frozen=True)
class Landing:
    """The landing folder of a platform."""

    folder: Path

    def begin(self, name: str) -> tuple[str, Path]:
        """A new ticket, and the path for its file."""
        ticket = secrets.token_hex(16)
        folder = self.folder / INCOMING / ticket
        folder.mkdir(parents=True)
        return ticket, folder / safe_name(name)

    def accept(self, ticket: Ticket) -> Landed:
        """Move a completely received file to where the collector finds it, atomically."""
        incoming = self.folder / INCOMING / ticket.ticket
        _write(incoming / _TICKET, ticket)
        source = ticket.source.replace(":", "_")
        name = f"{_microseconds(ticket.received_at):016d}.{ticket.bytes}.{source}.{ticket.ticket}"
        folder = self.folder / name
        incoming.rename(folder)
        return Landed(folder, ticket)

    def drop(self, ticket: str) -> None:
        """Delete a file that was refused while it was received."""
        shutil.rmtree(self.folder / INCOMING / ticket, ignore_errors=True)

    def pending(self) -> list[Pending]:
        """Uploads that are not collected yet, in the order of their arrival; no file is read."""
        return sorted(self._list_pending())

    def waiting(self) -> list[Landed]:
        """The pending uploads with their tickets, in the order of their arrival."""
        return list(self._read_pending())

    def count_before(self, landed: Landed) -> int | None:
        """Uploads that were received before ``landed`` and still wait; None if it is collected already."""
        if landed.result is not None:
            return None
        received_us = _microseconds(landed.ticket.received_at)
        return sum(one.received_us < received_us for one in self._list_pending())

    def collected_at(self) -> float:
        """When an upload was last collected, epoch seconds; also when old tickets were removed. 0: never."""
        try:
            return (self.folder / COLLECTED).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def waiting_bytes(self) -> int:
        """Disk space of pending uploads, including those being received."""
        files = self.folder.glob(f"{INCOMING}/*/*")
        return sum(one.bytes for one in self._list_pending()) + sum(map(_size, files))

    def find(self, ticket: str) -> Landed:
        """The upload of ``ticket``.

        Raises:
            NotFound: there is none, or it has expired.
        """
        if re.match(TICKET_PATTERN, ticket):
            done = self.folder / COLLECTED / ticket
            # Again at last: it may be collected, which moves it, between the two.
            waiting = [name for name in _names_in(self.folder) if name.endswith(f".{ticket}")]
            for folder in (done, *map(self.folder.joinpath, waiting), done):
                landed = _landed(folder)
                if landed is not None:
                    return landed
        raise NotFound(
            f"{ticket[:40]}: expected the ticket of an upload, found none. Tickets are kept {KEPT.days} days."
        )

    def clean_up(self, now: datetime) -> None:
        """Remove old tickets, and the remains of interrupted uploads."""
        for kind, kept in ((COLLECTED, KEPT), (INCOMING, _ABANDONED)):
            for folder in _older_than(self.folder / kind, now - kept):
                shutil.rmtree(folder, ignore_errors=True)

    def _list_pending(self) -> Iterator[Pending]:
        for name in _names_in(self.folder):
            if found := _PENDING.match(name):
                yield Pending(int(found[1]), name, int(found[2]))
            elif landed := _landed(self.folder / name):
                # Accepted by older code, whose folders are named SOURCE.TICKET.
                yield Pending(_microseconds(landed.ticket.received_at), name, landed.ticket.bytes)

    def _read_pending(self) -> Iterator[Landed]:
        for one in self.pending():
            landed = _landed(self.folder / one.folder_name)
            if landed is not None and landed.result is None:
                yield landed
            elif landed is not None:
                # Collected by older code, or by a process that was stopped before it could move the folder.
                _move_away(landed)


def record_result(path: str, done: Collected, error: str | None = None) -> bool:
    """Store the result of collecting the upload at ``path``, and delete the file.

    Does nothing for a file that is no upload, and returns False.
    """
    landed = _landed(Path(path).parent)
    if landed is None or landed.file != Path(path):
        return False
    result = Result(
        datetime.now(UTC),
        done.found,
        done.new,
        done.known,
        sorted(set(done.log_ids)),
        sorted(done.all_days),
        [_without(landed, f"{p.where}: {p.reason}") for p in done.problems],
        None if error is None else _without(landed, error),
    )
    _write(landed.folder / _RESULT, result)
    _move_away(landed)
    with bind_run(request_id=landed.ticket.request_id):
        get_logger().info(
            "upload_collected",
            source=landed.ticket.source,
            found=result.found,
            new=result.new,
            known=result.known,
            error=result.error,
        )
    return True


def _move_away(landed: Landed) -> None:
    """Delete the file of a collected upload, and move its folder to where pending ones are not looked for.

    Whichever process finds the result first does both: another one may move the folder between the two.
    """
    landed.file.unlink(missing_ok=True)
    folder = landed.folder.parent / COLLECTED
    folder.mkdir(exist_ok=True)
    with suppress(FileNotFoundError):
        landed.folder.rename(folder / landed.ticket.ticket)


def _names_in(folder: Path) -> list[str]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return [entry.name for entry in entries if not entry.name.startswith(".")]
    return []


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _older_than(folder: Path, floor: datetime) -> Iterator[Path]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        yield from (Path(entry) for entry in entries if entry.stat().st_mtime < floor.timestamp())


def safe_name(name: str) -> str:
    """``name`` as a safe file name: no path, not hidden, no characters special to terminals or shells."""
    last = name.replace("\\", "/").rpartition("/")[2]
    clean = _UNSAFE.sub("_", last).strip(" .-")
    stem, dot, suffix = clean.rpartition(".")
    if not clean or len(suffix) > 12:
        return "upload"
    room = stem[: MAX_NAME - len(suffix) - 1].encode()[: MAX_NAME_BYTES - len(suffix.encode()) - 1]
    return f"{room.decode(errors='ignore')}{dot}{suffix}"


def clean_arguments(values: Mapping[str, str | None]) -> dict[str, str]:
    """Only the arguments that were given."""
    return {name: value for name, value in values.items() if value}


def _landed(folder: Path) -> Landed | None:
    try:
        ticket = msgspec.json.decode((folder / _TICKET).read_bytes(), type=Ticket)
    except (OSError, msgspec.MsgspecError):
        return None
    try:
        result = msgspec.json.decode((folder / _RESULT).read_bytes(), type=Result)
    except (OSError, msgspec.MsgspecError):
        result = None
    return Landed(folder, ticket, result)


def _without(landed: Landed, text: str) -> str:
    """``text`` without server paths, since the uploader reads it."""
    return text.replace(str(landed.file), landed.ticket.name).replace(str(landed.folder), "")[:500]


def _write(path: Path, content: msgspec.Struct) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.encode(content))
    temporary.replace(path)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
