"""Bringing the database's marts to the newest migration, whoever starts first.

What does not belong here: the tables (``migrations``).
"""

from __future__ import annotations

from importlib.resources import files
from typing import LiteralString

import psycopg
from sqlalchemy import create_engine, text

from lostark_assets.publish.marts import SCHEMA

HEAD = "m0001"
"""The newest migration. Known without loading Alembic, which takes as long as a publish."""
_LOCK = 0x105_7A4C
_IS_THERE: LiteralString = f"SELECT to_regclass('{SCHEMA}.alembic_version') IS NOT NULL"
_REVISION: LiteralString = f"SELECT version_num FROM {SCHEMA}.alembic_version"  # noqa: S608


def libpq_url(url: str) -> str:
    """The address without the driver that SQLAlchemy wants to be told."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"


def revision_of(connection: psycopg.Connection) -> str | None:
    """The migration that the database is at; None before the first."""
    if not connection.execute(_IS_THERE).fetchone()[0]:  # type: ignore[index]
        return None
    row = connection.execute(_REVISION).fetchone()
    return row[0] if row else None


def migrate(url: str) -> None:
    """Apply the migrations that the database lacks, in one transaction; others who want to wait for it."""
    with psycopg.connect(libpq_url(url)) as connection:
        if revision_of(connection) == HEAD:
            return
    from alembic import command  # noqa: PLC0415 - a third of a second, and seldom needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(files("lostark_assets.publish") / "migrations"))
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
            config.attributes["connection"] = connection
            command.upgrade(config, HEAD)
    finally:
        engine.dispose()
