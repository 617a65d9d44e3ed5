"""``lostark migrate``: databases and tables of a deployment, created or updated at its start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError

from lostark_assets.errors import LostarkError, PermanentError, SettingsError, TransientError
from lostark_assets.marts.migrate import migrate as migrate_marts
from lostark_assets.settings import PREFIX, Settings
from lostark_ml.registry.mlflow_database import is_database, prepare_database, strip_password
from lostark_platform.services.dagster_home import dagster_instance

if TYPE_CHECKING:
    from dagster import DagsterInstance

Say = Callable[[str], None]
_MAINTENANCE_DATABASE = "postgres"
_TIMEOUT_S = 10


@dataclass(frozen=True)
class _Database:
    setting: str
    url: URL


def require_databases(settings: Settings) -> None:
    """Refuse settings that would start an embedded PostgreSQL.

    Raises:
        SettingsError: names the variables that are missing.
    """
    wanted = {"DAGSTER_POSTGRES_URL": settings.dagster_postgres_url, "POSTGRES_URL": settings.postgres_url}
    missing = [f"{PREFIX}{name}" for name, url in wanted.items() if url is None]
    if missing:
        raise SettingsError(
            f"{' and '.join(missing)}: expected the address of a PostgreSQL server, found nothing. Nothing "
            "was started. Set it, or mount it as a secret file of that name in lower case."
        )


def migrate(settings: Settings, say: Say) -> None:
    """Create missing databases and bring the tables of Dagster, marts and MLflow up to date.

    Raises:
        SettingsError: an address is missing.
        TransientError: PostgreSQL can't be reached.
        PermanentError: it refuses, or a database was migrated by a newer version of the platform.
    """
    require_databases(settings)
    for database in _list_databases(settings):
        if _create_database(database):
            say(f"created the database {strip_password(str(database.url))}")
    with dagster_instance(settings) as instance:
        _upgrade_dagster(instance)
    say("Dagster's tables are up to date")
    marts = settings.postgres_url
    assert marts is not None
    migrate_marts(marts.get_secret_value())
    say("the marts are up to date")
    registry = settings.mlflow_tracking_uri
    if registry is not None and is_database(registry.get_secret_value()):
        prepare_database(registry.get_secret_value(), settings.mlflow_artifacts_dir, upgrade=True)
        say("MLflow's tables are up to date")


def _upgrade_dagster(instance: DagsterInstance) -> None:
    from alembic.util import CommandError  # noqa: PLC0415 - a third of a second

    try:
        instance.upgrade()
    except CommandError as error:
        raise PermanentError(
            f"Dagster's database: expected a schema that Dagster {version('dagster')} knows, found a newer "
            f"one: {error}. Nothing was changed. Start the version of the platform that migrated it."
        ) from error


def _list_databases(settings: Settings) -> list[_Database]:
    urls = {
        "DAGSTER_POSTGRES_URL": settings.dagster_postgres_url,
        "POSTGRES_URL": settings.postgres_url,
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
    }
    return [
        _Database(f"{PREFIX}{name}", make_url(url.get_secret_value()))
        for name, url in urls.items()
        if url is not None and is_database(url.get_secret_value())
    ]


def _create_database(database: _Database) -> bool:
    """Create the database unless it exists; whether it was created."""
    try:
        with _connect(database.url):
            return False
    except OperationalError as error:
        refused = error
    try:
        if not _is_absent(database):
            raise _explain(database, refused) from refused
        with _connect(database.url.set(database=_MAINTENANCE_DATABASE)) as connection:
            name = connection.dialect.identifier_preparer.quote(database.url.database or "")
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"))
    except DBAPIError as error:
        raise _explain(database, error) from error
    return True


def _is_absent(database: _Database) -> bool:
    """Whether the server has no database of that name; asks the one that every server has."""
    with _connect(database.url.set(database=_MAINTENANCE_DATABASE)) as connection:
        query = text("SELECT 1 FROM pg_database WHERE datname = :name")
        return connection.execute(query, {"name": database.url.database}).first() is None


@contextmanager
def _connect(url: URL) -> Iterator[Connection]:
    engine = create_engine(
        url, isolation_level="AUTOCOMMIT", poolclass=NullPool, connect_args={"connect_timeout": _TIMEOUT_S}
    )
    with engine.connect() as connection:
        yield connection


def _explain(database: _Database, error: DBAPIError) -> LostarkError:
    kind = TransientError if isinstance(error, OperationalError) else PermanentError
    return kind(
        f"{database.setting}: expected a database at {strip_password(str(database.url))} that can be used or "
        f"created, found: {' '.join(str(error.orig).split())}. Nothing was changed there. Is PostgreSQL "
        "running, and are user, password and rights correct?"
    )
