"""Gunzip with a limit on what comes out: a small file can unpack to gigabytes."""

from __future__ import annotations

from isal import isal_zlib

from lostark_assets.errors import LogRejected

GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 31
_MAX_UNPACKED_PER_BYTE = 1032
"""Deflate packs no more than that into a byte: what a short stream unpacks to is bounded by its length."""
_SIZE_BYTES = 4
_SPARE = 64


def gunzip(data: bytes, limit: int, locator: str = "") -> bytes:
    """The unpacked bytes, at most ``limit`` of them.

    Raises:
        LogRejected: ``truncated_gzip`` if the stream ends early or is damaged, ``payload_too_large`` over the
        limit.
    """
    if len(data) * _MAX_UNPACKED_PER_BYTE <= limit:
        try:
            return _at_once(data)
        except (isal_zlib.error, EOFError, ValueError):
            pass  # the way below tells what is wrong with it
    stream = isal_zlib.decompressobj(_GZIP_WINDOW)
    try:
        plain = stream.decompress(data, limit + 1)
    except (isal_zlib.error, EOFError, ValueError) as error:
        raise LogRejected(
            "truncated_gzip", f"expected a whole gzip stream, found damage: {error}", locator
        ) from error
    if len(plain) > limit:
        raise LogRejected(
            "payload_too_large", f"expected at most {limit:,} bytes unpacked, found more", locator
        )
    if not stream.eof:
        raise LogRejected(
            "truncated_gzip",
            f"expected a whole gzip stream, found its end missing after {len(plain):,} bytes",
            locator,
        )
    return plain


def _at_once(data: bytes) -> bytes:
    """All of a stream in one allocation, of the size that its last bytes tell."""
    told = int.from_bytes(data[-_SIZE_BYTES:], "little")
    return isal_zlib.decompress(data, _GZIP_WINDOW, min(told, len(data) * _MAX_UNPACKED_PER_BYTE) + _SPARE)


def gunzip_start(head: bytes) -> bytes:
    """What the first bytes of a gzip stream unpack to; empty where it is damaged."""
    try:
        return isal_zlib.decompressobj(_GZIP_WINDOW).decompress(head, 4096)
    except isal_zlib.error:
        return b""
