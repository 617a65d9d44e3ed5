"""Gunzip with a limit on what comes out: a small file can unpack to gigabytes.

What does not belong here: what is inside.
"""

from __future__ import annotations

from isal import isal_zlib

from lostark_assets.errors import LogRejected

GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 31


def gunzip(data: bytes, limit: int, locator: str = "") -> bytes:
    """The unpacked bytes, at most ``limit`` of them.

    Raises:
        LogRejected: ``truncated_gzip`` if the stream ends early or is damaged, ``payload_too_large`` over the
        limit.
    """
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


def gunzip_start(head: bytes) -> bytes:
    """What the first bytes of a gzip stream unpack to; empty where it is damaged."""
    try:
        return isal_zlib.decompressobj(_GZIP_WINDOW).decompress(head, 4096)
    except isal_zlib.error:
        return b""
