"""Receiving an upload: from a stream of bytes to a file in the landing folder, or to nothing.

What does not belong here: HTTP (``routes.upload``), what is accepted (``sources.examine``), and what becomes
of it (``queries.tickets``).
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lostark_assets.errors import PermanentError, SourceError, TransientError
from lostark_assets.settings import Settings
from lostark_assets.sources.configured import open_landing
from lostark_assets.sources.detect import build_limits
from lostark_assets.sources.examine import examine
from lostark_assets.sources.landing import Landed, Ticket

AT_ONCE = 4
MAX_WAITING = 8
"""Uploads of the largest size that may wait for the collector."""
MAX_SILENCE_S = 30.0
_BLOCK = 1 << 20
_SPARE_BYTES = 1 << 30


class UploadRefused(PermanentError):
    """What was sent is no battle log that we take. Nothing of it was kept."""


class UploadTooLarge(UploadRefused):
    """More bytes than an upload may have."""


class UploadTooSlow(UploadRefused):
    """The sender fell silent."""


class NoRoom(TransientError):
    """Too many uploads at once, or too much waits already. Nothing was kept."""


@dataclass
class Uploads:
    """The landing folder's door."""

    settings: Settings

    def __post_init__(self) -> None:
        self.landing = open_landing(self.settings)
        self.limit = int(self.settings.upload_max_bytes)
        self._now = 0

    async def receive(self, body: AsyncIterator[bytes], name: str, arguments: Mapping[str, str]) -> Landed:
        """Write ``body`` to the disk as it comes, examine it, and let the collector see it.

        Raises:
            UploadRefused: too large, too slow, empty, or not ours.
            NoRoom: not now.
        """
        if self._now >= AT_ONCE:
            raise NoRoom(f"{AT_ONCE} uploads are being received already. Nothing was kept.")
        self._now += 1
        try:
            await asyncio.to_thread(self._make_room)
            ticket, path = self.landing.begin(name)
            try:
                size, sha256 = await self._write(body, path)
                return await asyncio.to_thread(self._accept, ticket, path, size, sha256, dict(arguments))
            except BaseException:
                # Also when the client leaves or the server stops: nothing of it may stay.
                self.landing.drop(ticket)
                raise
        finally:
            self._now -= 1

    def _make_room(self) -> None:
        folder = self.landing.folder
        folder.mkdir(parents=True, exist_ok=True)
        self.landing.clean_up(datetime.now(UTC))
        is_full = self.landing.waiting_bytes() > MAX_WAITING * self.limit
        if is_full or shutil.disk_usage(folder).free < self.limit + _SPARE_BYTES:
            raise NoRoom("Too many uploads wait to be collected, or the disk is full. Nothing was kept.")

    async def _write(self, body: AsyncIterator[bytes], path: Path) -> tuple[int, str]:
        digest, size, block = hashlib.sha256(), 0, bytearray()
        with path.open("xb") as file:
            while True:
                try:
                    async with asyncio.timeout(MAX_SILENCE_S):
                        part = await anext(body, None)
                except TimeoutError:
                    raise UploadTooSlow(
                        f"Expected more within {MAX_SILENCE_S:.0f} s, found silence. Nothing was kept."
                    ) from None
                if part is not None:
                    size += len(part)
                    self.check_size(size)
                    block += part
                if block and (part is None or len(block) >= _BLOCK):
                    digest.update(block)
                    await asyncio.to_thread(file.write, bytes(block))
                    block.clear()
                if part is None:
                    return size, digest.hexdigest()

    def check_size(self, size: int) -> None:
        """Raises :class:`UploadTooLarge` above the limit."""
        if size > self.limit:
            raise UploadTooLarge(f"Expected at most {self.limit:,} bytes, found more. Nothing was kept.")

    def _accept(self, ticket: str, path: Path, size: int, sha256: str, arguments: dict[str, str]) -> Landed:
        if not size:
            raise UploadRefused("Expected a battle log as the body, found an empty one. Nothing was kept.")
        try:
            found = examine(path, build_limits(self.settings))
        except SourceError as error:
            text = str(error).replace(str(path), path.name).replace("The file was left as it is.", "")
            raise UploadRefused(f"{' '.join(text.split())} Nothing was kept.") from error
        return self.landing.accept(
            Ticket(
                ticket, path.name, found.source, found.log_format, size, sha256, datetime.now(UTC), arguments
            )
        )
