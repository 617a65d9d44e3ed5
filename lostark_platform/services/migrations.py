"""``lostark migrate``: databases and tables of a deployment, created or updated at its start."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING

from lostark_assets.database.creation import create_database
from lostark_assets.errors import PermanentError, SettingsError
from lostark_assets.marts.migrate import migrate as migrate_marts
from lostark_assets.settings import PREFIX, Settings
from lostark_ml.registry.mlflow_database import (
    configured_databases,
    prepare_database,
    strip_password,
)
from lostark_platform.services.dagster_home import dagster_instance

if TYPE_CHECKING:
    from dagster import DagsterInstance

Say = Callable[[str], None]


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
    databases = configured_databases(settings)
    for setting, url in databases.items():
        if create_database(url, setting):
            say(f"created the database {strip_password(url)}")
    with dagster_instance(settings) as instance:
        _upgrade_dagster(instance)
    say("Dagster's tables are up to date")
    migrate_marts(databases[f"{PREFIX}POSTGRES_URL"])
    say("the marts are up to date")
    registry = databases.get(f"{PREFIX}MLFLOW_TRACKING_URI")
    if registry is not None:
        prepare_database(registry, settings.mlflow_artifacts_dir, upgrade=True)
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
