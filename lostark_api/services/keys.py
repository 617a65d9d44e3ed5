"""API keys: made, listed, revoked. Only their hash is stored.

A key is 256 random bits, so its plain SHA-256 gives nothing away and needs no salt; it is looked up by the
hash. What does not belong here: whether a request may do something (``access``).
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
SCOPES = {UPLOAD: "send battle logs", READ_LOGS: "read raw battle logs, names and all"}
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
    """What is known of a key; the key itself is known to its owner alone."""

    name: str
    scopes: list[str]
    requests_per_minute: int
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


def hash_key(key: str) -> bytes:
    """What is stored of ``key``."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def create_key(
    url: str, name: str, scopes: Sequence[str], requests_per_minute: int = REQUESTS_PER_MINUTE
) -> str:
    """Make a key and give it back, for the only time.

    Raises:
        SettingsError: a name that is taken or makes no sense, an unknown scope, or none.
        DatabaseUnavailable: PostgreSQL can't be reached.
    """
    unknown = sorted(set(scopes) - SCOPES.keys())
    if unknown or not scopes:
        found = ", ".join(unknown) or "none"
        raise SettingsError(f"--scope: expected {' or '.join(SCOPES)}, found {found}. No key was made.")
    if not _NAME.fullmatch(name):
        raise SettingsError(
            "The name: expected up to 64 letters, digits, . @ _ - or spaces. No key was made."
        )
    key = KEY_PREFIX + secrets.token_urlsafe(_BYTES)
    with _database(url) as connection:
        made = connection.execute(
            "INSERT INTO access.keys (name, key_sha256, scopes, requests_per_minute) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (name) DO NOTHING",
            [name, hash_key(key), sorted(set(scopes)), requests_per_minute],
        )
        if not made.rowcount:
            raise SettingsError(f"{name}: a key of that name is there, used or revoked. No key was made.")
    return key


def list_keys(url: str) -> list[Key]:
    """All keys, the newest first, revoked ones too.

    Raises:
        DatabaseUnavailable: PostgreSQL can't be reached.
    """
    with _database(url) as connection, connection.cursor(row_factory=class_row(Key)) as cursor:
        return cursor.execute(_LIST).fetchall()


def revoke_key(url: str, name: str) -> None:
    """Let the key of ``name`` open nothing any more; the API notices within ten seconds.

    Raises:
        NotFound: no key in use has that name.
        DatabaseUnavailable: PostgreSQL can't be reached.
    """
    with _database(url) as connection:
        done = connection.execute(
            "UPDATE access.keys SET revoked_at = now() WHERE name = %s AND revoked_at IS NULL", [name]
        )
        if not done.rowcount:
            raise NotFound(f"{name}: expected a key in use, found none. See `lostark key list`.")


@contextmanager
def _database(url: str) -> Iterator[psycopg.Connection]:
    try:
        migrate(url)
        with psycopg.connect(libpq_url(url)) as connection:
            yield connection
    except psycopg.Error as error:
        raise DatabaseUnavailable(
            f"The keys can't be reached: {str(error).strip() or type(error).__name__}. Nothing was changed."
        ) from error
