"""Which databases belong to a backup."""

from __future__ import annotations

from lostark_assets.database.postgres import Databases
from lostark_assets.settings import Settings
from lostark_ml.registry.mlflow_database import is_database, tracking_uri


def list_databases(settings: Settings, databases: Databases) -> dict[str, str]:
    """Address by name; MLflow's is left out where an MLflow server has it."""
    urls = databases.by_name()
    registry = tracking_uri(settings, databases)
    urls.pop("mlflow", None)
    return urls | {"mlflow": registry} if registry is not None and is_database(registry) else urls
