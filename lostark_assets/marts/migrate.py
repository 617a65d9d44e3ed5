"""Bringing a schema of the database to its newest migration, whoever starts first.

What does not belong here: the tables (``migrations``).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import psycopg
from psycopg import sql
from sqlalchemy import create_engine, text

from lostark_assets.marts.tables import SCHEMA

HEAD = "m0001"
"""The newest migration. Known without loading Alembic, which takes as long as a publish."""
_LOCK = 0x105_7A4C


@dataclass(frozen=True)
class Migrations:
    """The migrations of one schema: the modules of ``package``; the newest is ``head``."""

    schema: str
    head: str
    package: str


MARTS = Migrations(SCHEMA, HEAD, "lostark_assets.marts.migrations.versions")


def libpq_url(url: str) -> str:
    """The address without the driver that SQLAlchemy wants to be told."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"


def read_revision(connection: psycopg.Connection, of: Migrations = MARTS) -> str | None:
    """The migration that the schema is at; None before the first."""
    there = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{of.schema}.alembic_version"])
    if not there.fetchone()[0]:  # type: ignore[index]
        return None
    question = sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(of.schema, "alembic_version"))
    row = connection.execute(question).fetchone()
    return row[0] if row else None


def migrate(url: str, of: Migrations = MARTS) -> None:
    """Apply the migrations that the schema lacks, in one transaction; others who want to wait for it."""
    with psycopg.connect(libpq_url(url)) as connection:
        if read_revision(connection, of) == of.head:
            return
    from alembic import command  # noqa: PLC0415 - a third of a second, and seldom needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(files("lostark_assets.marts") / "migrations"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(files(of.package)))
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {of.schema}"))
            config.attributes |= {"connection": connection, "schema": of.schema}
            command.upgrade(config, of.head)
    finally:
        engine.dispose()
