"""LOA Logs upload JSON: one encounter per document; one document, an array, or one per line; plain or gzip.

The bytes of each document are stored unchanged. A broken file is stored whole, and cleaning quarantines it.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import msgspec

from lostark_assets.errors import LogRejected, UnknownFormat
from lostark_assets.gunzip import GZIP_MAGIC, gunzip, gunzip_start
from lostark_assets.sources.protocol import FetchedLog, Listed, Unreadable, content_sha256

FORMAT = "upload_json"
_FIGHT_START = re.compile(rb'"fightStart"\s*:\s*(\d{12,14})')
_MARKS = (b'"entities"', b'"fightStart"', b'"encounterDamageStats"', b'"currentBossName"')
_split_array = msgspec.json.Decoder(list[msgspec.Raw])


class UploadJson:
    """One ``.json`` or ``.json.gz`` file."""

    log_format = FORMAT

    def __init__(
        self, path: Path, name: str = "upload_json", *, max_file_bytes: int, max_part_bytes: int
    ) -> None:
        """``max_file_bytes`` of the file, ``max_part_bytes`` of what it unpacks to."""
        self.path = str(path)
        self.name = name
        self.problems: list[Unreadable] = []
        self._max_file_bytes = max_file_bytes
        self._max_part_bytes = max_part_bytes

    def list_logs(self) -> Iterator[Listed]:
        """The documents of the file; a document's id is the hash of its bytes.

        Raises:
            UnknownFormat: larger than the limit, or JSON of something else.
        """
        size = Path(self.path).stat().st_size
        if size > self._max_file_bytes:
            raise UnknownFormat(
                self.path,
                f"{size:,} bytes",
                f"at most {self._max_file_bytes:,} bytes",
                "Split it, or raise the limit.",
            )
        for document in self._documents(Path(self.path).read_bytes()):
            sha256 = content_sha256(document)
            yield Listed(sha256[:16], sha256, document)

    def fetch(self, wanted: Iterable[Listed]) -> Generator[FetchedLog, None, None]:
        """The wanted documents."""
        for listed in wanted:
            yield FetchedLog(
                listed.source_log_id,
                listed.fingerprint,
                listed.locator,
                fight_start_ms(self._plain(listed.locator) or b""),
            )

    def _documents(self, data: bytes) -> list[bytes]:
        """The file's documents; ``[data]`` if it holds one, or can't be split."""
        plain = self._plain(data)
        if plain is None:
            return [data]
        text = plain.lstrip(b"\xef\xbb\xbf \t\r\n")
        if text[:1] == b"[":
            try:
                return [bytes(raw) for raw in _split_array.decode(text)] or [data]
            except (msgspec.DecodeError, RecursionError):
                return [data]
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) > 1 and all(line.lstrip()[:1] == b"{" and line.rstrip()[-1:] == b"}" for line in lines):
            return lines
        return [data]

    def _plain(self, data: bytes) -> bytes | None:
        if not data.startswith(GZIP_MAGIC):
            return data
        try:
            return gunzip(data, self._max_part_bytes)
        except LogRejected:
            return None


def fight_start_ms(document: bytes) -> int | None:
    """Start of the fight in epoch ms, searched in the JSON text without parsing it."""
    start = _FIGHT_START.search(document)
    return int(start.group(1)) if start else None


def looks_like_upload_json(head: bytes, suffixes: list[str]) -> bool:
    """Whether a file that begins with ``head`` is (meant as) upload JSON.

    By content if possible; a damaged file counts by its name, so that it is quarantined.
    """
    plain = gunzip_start(head) if head.startswith(GZIP_MAGIC) else head
    named = ".json" in [s.lower() for s in suffixes]
    if plain.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return True
    return named


def is_battle_log_json(data: bytes) -> bool:
    """Whether JSON text has any field that only a battle log has."""
    return any(mark in data for mark in _MARKS)
