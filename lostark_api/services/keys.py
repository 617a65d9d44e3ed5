"""API keys: create, list, revoke. Only their hash is stored.

A key is 256 random bits, so its plain SHA-256 can't be reversed and needs no salt; keys are found by it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from lostark_assets.errors import DatabaseUnavailable, NotFound, SettingsError
from lostark_assets.marts.migrate import libpq_url, migrate

UPLOAD, READ_LOGS = "upload", "logs:read"
SCOPES = {UPLOAD: "upload battle logs", READ_LOGS: "read raw battle logs, including player names"}
REQUESTS_PER_MINUTE = 120
KEY_PREFIX = "lak_"
_BYTES = 32
_NAME = re.compile(r"[\w.@ -]{1,64}")
_LIST = """
    SELECT name, scopes, requests_per_minute, created_at, last_used_at, revoked_at
    FROM access.keys ORDER BY created_at DESC, name
"""


@dataclass(frozen=True)
class Key:
    """A stored key, without its secret."""

    name: str
    scopes: list[str]
    requests_per_minute: int
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


def hash_key(key: str) -> bytes:
    """The stored hash of ``key``."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def create_key(
    url: str, name: str, scopes: Sequence[str], requests_per_minute: int = REQUESTS_PER_MINUTE
) -> str:
    """Create a key and return it; it can't be read again.

    Raises:
        SettingsError: the name is taken or invalid, or a scope is unknown or missing.
        DatabaseUnavailable: PostgreSQL can't be reached.
    """
    unknown = sorted(set(scopes) - SCOPES.keys())
    if unknown or not scopes:
        found = ", ".join(unknown) or "none"
        raise SettingsError(f"--scope: expected {' or '.join(SCOPES)}, found {found}. No key was created.")
    if not _NAME.fullmatch(name):
        raise SettingsError(
            "The name: expected up to 64 letters, digits, . @ _ - or spaces. No key was created."
        )
    key = KEY_PREFIX + secrets.token_urlsafe(_BYTES)
    with _connect(url) as connection:
        made = connection.execute(
            "INSERT INTO access.keys (name, key_sha256, scopes, requests_per_minute) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (name) DO NOTHING",
            [name, hash_key(key), sorted(set(scopes)), requests_per_minute],
        )
        if not made.rowcount:
            raise SettingsError(
                f"{name}: this name is taken, by an active or revoked key. No key was created."
            )
    return key


def list_keys(url: str) -> list[Key]:
    """All keys including revoked ones, newest first.

    Raises:
        DatabaseUnavailable: PostgreSQL can't be reached.
    """
    with _connect(url) as connection, connection.cursor(row_factory=class_row(Key)) as cursor:
        return cursor.execute(_LIST).fetchall()


def revoke_key(url: str, name: str) -> None:
    """Revoke an API key; it is refused within ten seconds.

    Raises:
        NotFound: no active key has that name.
        DatabaseUnavailable: PostgreSQL can't be reached.
    """
    with _connect(url) as connection:
        done = connection.execute(
            "UPDATE access.keys SET revoked_at = now() WHERE name = %s AND revoked_at IS NULL", [name]
        )
        if not done.rowcount:
            raise NotFound(f"{name}: expected an active key, found none. See `lostark key list`.")


@contextmanager
def _connect(url: str) -> Iterator[psycopg.Connection]:
    try:
        migrate(url)
        with psycopg.connect(libpq_url(url)) as connection:
            yield connection
    except psycopg.Error as error:
        raise DatabaseUnavailable(
            f"The keys can't be reached: {str(error).strip() or type(error).__name__}. Nothing was changed."
        ) from error
