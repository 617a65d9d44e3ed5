"""Checking an origin for new logs, cheaply enough for every minute.

A service is queried for one log after the cursor. A folder is compared by name, size and time of its files
with its state at the last collection. Failures raise: an unreadable origin never counts as "nothing new".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lostark_assets.errors import SourceBusy, SourceMissing
from lostark_assets.ledger import open_ledger
from lostark_assets.settings import Settings, package_version
from lostark_assets.sources.configured import FolderOrigin, Origin, ServiceOrigin, service_source, sources_at
from lostark_assets.sources.detect import walk_files

_PROBE_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Probe:
    """Result of probing one origin. ``sources`` are the names to collect, empty if nothing is new."""

    where: str
    has_new: bool
    reason: str = ""
    sources: tuple[str, ...] = ()


def probe_origin(origin: Origin, settings: Settings) -> Probe:
    """Whether there is something to collect at ``origin``.

    Raises:
        LostarkError: the origin can't be read; nothing was changed.
    """
    if isinstance(origin, ServiceOrigin):
        return _probe_service(origin, settings)
    return _probe_folder(origin, settings)


def record_collected(origin: Origin, settings: Settings, fingerprint: str | None) -> None:
    """Store a folder's fingerprint from before its collection; a collected upload no longer exists."""
    if isinstance(origin, FolderOrigin) and fingerprint is not None and origin.path.exists():
        open_ledger(settings).set_value(_fingerprint_key(origin.path), fingerprint)


def fingerprint_folder(origin: Origin) -> str | None:
    """A digest of names, sizes and times of a folder's files, SQLite's own beside a database too.

    It differs between versions of the platform, which may read more formats, and None for a service.

    Raises:
        SourceMissing: no such path.
        SourceBusy: a file's size and time can't be read.
    """
    if not isinstance(origin, FolderOrigin):
        return None
    digest = hashlib.blake2b(package_version().encode(), digest_size=16)
    try:
        for file in sorted(_files(origin.path)):
            try:
                status = file.stat()
            except FileNotFoundError:
                continue
            facts = (str(file), status.st_size, status.st_mtime_ns, status.st_ino)
            digest.update(repr(facts).encode("utf-8", "backslashreplace"))
    except FileNotFoundError as error:
        raise SourceMissing(origin.path) from error
    except OSError as error:
        raise SourceBusy(
            f"{origin.path}: expected readable files, found {error}. Nothing was changed. "
            "Check the permissions."
        ) from error
    return digest.hexdigest()


def _probe_service(origin: ServiceOrigin, settings: Settings) -> Probe:
    timeout_s = min(_PROBE_TIMEOUT_S, settings.http_total_timeout_s)
    source = service_source(origin, settings, total_timeout_s=timeout_s)
    try:
        reason = source.probe()
    finally:
        source.close()
    return Probe(origin.where, reason is not None, reason or "", (origin.name,) if reason else ())


def _probe_folder(origin: FolderOrigin, settings: Settings) -> Probe:
    if fingerprint_folder(origin) == open_ledger(settings).get_value(_fingerprint_key(origin.path)):
        return Probe(origin.where, has_new=False)
    found = list(sources_at(origin, settings))
    names = {one.source.name for one in found if one.source is not None}
    if not names:
        for one in found:
            if one.error is not None:
                raise one.error
    return Probe(origin.where, bool(names), "files have changed", tuple(sorted(names)))


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        path.stat()
        yield from (Path(f"{path}{suffix}") for suffix in ("", "-wal", "-journal"))
        return

    # An unreadable folder is reported by what looks for the sources in it.
    # Shared memory changes with every reader.
    yield from (file for file in walk_files(path) if not file.name.endswith("-shm"))


def _fingerprint_key(path: Path) -> str:
    return f"fingerprint:{path}"
