"""Receiving an upload: streamed to a file in the landing folder, or refused without leaving a trace."""

from __future__ import annotations

import asyncio
import hashlib
import math
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from lostark_assets.errors import MACHINE_ERRORS, PermanentError, SourceError, TransientError
from lostark_assets.observability.logs import report_unexpected
from lostark_assets.settings import Settings
from lostark_assets.sources.configured import open_landing
from lostark_assets.sources.detect import build_limits
from lostark_assets.sources.examine import examine
from lostark_assets.sources.landing import Landed, Ticket

MAX_CONCURRENT = 4
MAX_WAITING = 8
"""Uploads of the largest size that may wait for the collector."""
MAX_SILENCE_S = 30.0
_BLOCK = 1 << 20
_SPARE_BYTES = 1 << 30
_CLEAN_UP_EVERY_S = 600.0


class UploadRefused(PermanentError):
    """The file is not an accepted battle log. Nothing was kept."""


class UploadTooLarge(UploadRefused):
    """The file exceeds the size limit."""


class UploadTooSlow(UploadRefused):
    """The client stopped sending."""


class NoRoom(TransientError):
    """Too many concurrent uploads, or too many waiting files. Nothing was kept."""


@dataclass
class Uploads:
    """Receives uploads into the landing folder."""

    settings: Settings

    def __post_init__(self) -> None:
        self.landing = open_landing(self.settings)
        self.limit = int(self.settings.upload_max_bytes)
        self._receiving = 0
        self._cleaned_up_at = -math.inf

    async def receive(
        self,
        body: AsyncIterator[bytes],
        name: str,
        arguments: Mapping[str, str],
        request_id: str | None = None,
    ) -> Landed:
        """Stream ``body`` to the disk, examine it, and hand it to the collector.

        Raises:
            UploadRefused: too large, too slow, empty, or not a battle log.
            NoRoom: try again later.
        """
        if self._receiving >= MAX_CONCURRENT:
            raise NoRoom(f"{MAX_CONCURRENT} uploads are being received already. Nothing was kept.")
        self._receiving += 1
        try:
            await asyncio.to_thread(self._make_room)
            ticket, path = self.landing.begin(name)
            try:
                size, sha256 = await self._write(body, path)
                accept = partial(self._accept, ticket, path, size, sha256, dict(arguments), request_id)
                return await asyncio.to_thread(accept)
            except BaseException:
                # Also when the client disconnects or the server stops: nothing may be left behind.
                self.landing.drop(ticket)
                raise
        finally:
            self._receiving -= 1

    def _make_room(self) -> None:
        folder = self.landing.folder
        folder.mkdir(parents=True, exist_ok=True)
        if time.monotonic() - self._cleaned_up_at > _CLEAN_UP_EVERY_S:
            # It looks at every ticket of a month.
            self.landing.clean_up(datetime.now(UTC))
            self._cleaned_up_at = time.monotonic()
        is_full = self.landing.waiting_bytes() > MAX_WAITING * self.limit
        if is_full or shutil.disk_usage(folder).free < self.limit + _SPARE_BYTES:
            raise NoRoom("Too many uploads are waiting, or the disk is full. Nothing was kept.")

    async def _write(self, body: AsyncIterator[bytes], path: Path) -> tuple[int, str]:
        digest, size, block = hashlib.sha256(), 0, bytearray()
        with path.open("xb") as file:
            while True:
                try:
                    async with asyncio.timeout(MAX_SILENCE_S):
                        part = await anext(body, None)
                except TimeoutError:
                    raise UploadTooSlow(f"No data within {MAX_SILENCE_S:.0f} s. Nothing was kept.") from None
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
            raise UploadTooLarge(
                f"The file exceeds the size limit of {self.limit:,} bytes. Nothing was kept."
            )

    def _accept(
        self,
        ticket: str,
        path: Path,
        size: int,
        sha256: str,
        arguments: dict[str, str],
        request_id: str | None,
    ) -> Landed:
        if not size:
            raise UploadRefused("Expected a battle log as the body, found an empty one. Nothing was kept.")
        try:
            found = examine(path, build_limits(self.settings))
        except SourceError as error:
            text = str(error).replace(str(path), path.name).replace("The file was left as it is.", "")
            raise UploadRefused(f"{' '.join(text.split())} Nothing was kept.") from error
        except MACHINE_ERRORS:
            raise
        except Exception as error:
            # A file may hold anything: whatever it makes a library raise, it alone is refused.
            unexpected = report_unexpected(f"examining upload {ticket}", error)
            raise UploadRefused(
                f"Expected a battle log, found one that can't be read (error {unexpected.error_id}, reported "
                "to the operator). Nothing was kept."
            ) from error
        return self.landing.accept(
            Ticket(
                ticket,
                path.name,
                found.source,
                found.log_format,
                size,
                sha256,
                datetime.now(UTC),
                arguments,
                request_id,
            )
        )
