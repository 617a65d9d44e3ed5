"""Dumping a PostgreSQL database into a file and restoring it, by PostgreSQL's own tools."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import make_url

from lostark_assets.database.postgres import find_binaries
from lostark_assets.errors import PermanentError

_VARIABLES = {
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "host": "PGHOST",
    "port": "PGPORT",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}


def dump_database(url: str, file: Path) -> None:
    """Write a consistent dump of the database; others may write it meanwhile.

    Raises:
        PermanentError: ``pg_dump`` failed; its last words are in the text.
    """
    _run(url, "pg_dump", "--format=custom", "--no-owner", "--no-acl", f"--file={file}")


def restore_database(url: str, file: Path) -> None:
    """Fill an empty database from a dump, all of it or nothing.

    Raises:
        PermanentError: ``pg_restore`` failed, as it does where a table is there already.
    """
    arguments = ("--no-owner", "--no-acl", "--exit-on-error", "--single-transaction")
    _run(url, "pg_restore", *arguments, f"--dbname={make_url(url).database}", str(file))


def count_tables(url: str) -> int:
    """Tables of the database, without PostgreSQL's own."""
    connection = psycopg2.connect(**_get_connection(url), connect_timeout=10)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
            return int(cursor.fetchone()[0])
    finally:
        connection.close()


def _get_connection(url: str) -> dict[str, Any]:
    parts = make_url(url)
    given = {"dbname": parts.database, "user": parts.username, "password": parts.password, "host": parts.host}
    given |= {"port": str(parts.port) if parts.port else None}
    query = {name: value for name, value in parts.query.items() if isinstance(value, str)}
    return {name: value for name, value in {**given, **query}.items() if value}


def _run(url: str, program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs; the address goes by its environment, where no other user sees it."""
    env = {_VARIABLES[name]: value for name, value in _get_connection(url).items() if name in _VARIABLES}
    done = subprocess.run(
        [str(find_binaries() / program), "--no-password", *arguments],
        env={**os.environ, **env, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        words = done.stderr.strip().splitlines()[-3:]
        raise PermanentError(f"{program} of {_show(url)} failed: {' '.join(words) or done.returncode}.")


def _show(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)
