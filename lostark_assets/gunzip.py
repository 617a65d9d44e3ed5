"""Gunzip with a limit on the output: a small file can unpack to gigabytes."""

from __future__ import annotations

from typing import cast

from isal import isal_zlib

from lostark_assets.errors import LogRejected

GZIP_MAGIC = b"\x1f\x8b"
# isal declares its exception class as an instance.
_ISAL_ERROR = cast("type[Exception]", isal_zlib.error)
DAMAGED = (_ISAL_ERROR, EOFError, ValueError)
"""What decoding a damaged gzip stream raises."""
_GZIP_WINDOW = 31
_MAX_UNPACKED_PER_BYTE = 1032
"""Maximum ratio of deflate: the unpacked size of a short stream is bounded by its length."""
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
        except DAMAGED:
            pass  # the streaming decoder below reports what is wrong
    stream = isal_zlib.decompressobj(_GZIP_WINDOW)
    try:
        unpacked = stream.decompress(data, limit + 1)
    except DAMAGED as error:
        raise LogRejected(
            "truncated_gzip", f"expected a whole gzip stream, found damage: {error}", locator
        ) from error
    if len(unpacked) > limit:
        raise LogRejected(
            "payload_too_large", f"expected at most {limit:,} bytes unpacked, found more", locator
        )
    if not stream.eof:
        raise LogRejected(
            "truncated_gzip",
            f"expected a whole gzip stream, found its end missing after {len(unpacked):,} bytes",
            locator,
        )
    return unpacked


def _at_once(data: bytes) -> bytes:
    """All of a stream in one allocation, of the size in its trailer."""
    size = int.from_bytes(data[-_SIZE_BYTES:], "little")
    return isal_zlib.decompress(data, _GZIP_WINDOW, min(size, len(data) * _MAX_UNPACKED_PER_BYTE) + _SPARE)


def gunzip_start(head: bytes) -> bytes:
    """The unpacked first bytes of a gzip stream; empty if it is damaged."""
    try:
        return isal_zlib.decompressobj(_GZIP_WINDOW).decompress(head, 4096)
    except _ISAL_ERROR:
        return b""
