"""Migrating the platform's database: the schemas ``marts`` and ``access``, in one Alembic tree.

Every process that needs the tables calls ``migrate``; whichever starts first applies what is missing.
"""

from __future__ import annotations

from importlib.resources import files

import psycopg
from psycopg import sql
from sqlalchemy import create_engine, text

from lostark_assets.errors import PermanentError
from lostark_assets.marts.tables import SCHEMA
from lostark_assets.settings import package_version

REVISIONS = ("m0001", "m0002")
"""The migrations in order. Known without loading Alembic, which takes as long as a publish."""
HEAD = REVISIONS[-1]
_LOCK = 0x105_7A4C


def libpq_url(url: str) -> str:
    """The URL without SQLAlchemy's driver suffix."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"


def read_revision(connection: psycopg.Connection) -> str | None:
    """The migration that the database is at; None before the first."""
    found = connection.execute("SELECT to_regclass(%s)", [f"{SCHEMA}.alembic_version"]).fetchone()
    if found is None or found[0] is None:
        return None
    query = sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(SCHEMA, "alembic_version"))
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def require_known_revision(url: str) -> str | None:
    """The migration that the database is at; None before the first.

    Raises:
        PermanentError: a newer version of the platform migrated it.
        psycopg.OperationalError: it can't be reached.
    """
    with psycopg.connect(libpq_url(url)) as connection:
        found = read_revision(connection)
    if found is None or found in REVISIONS:
        return found
    raise PermanentError(
        f"The marts' database: expected a migration up to {HEAD}, found {found}, which a newer version of "
        f"the platform applied. Version {package_version()} changed nothing and does not start on it. Start "
        "the newer version, or restore a backup that was made before it."
    )


def migrate(url: str) -> None:
    """Apply the missing migrations in one transaction; concurrent callers wait for it.

    Raises:
        PermanentError: a newer version of the platform migrated the database.
    """
    if require_known_revision(url) == HEAD:
        return
    from alembic import command  # noqa: PLC0415 - a third of a second, and seldom needed
    from alembic.config import Config  # noqa: PLC0415

    migrations = files("lostark_assets.marts") / "migrations"
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(migrations / "versions"))
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
            config.attributes |= {"connection": connection, "schema": SCHEMA}
            command.upgrade(config, HEAD)
    finally:
        engine.dispose()
