"""MLflow's tracking address, and its database: created and migrated by one process at a time.

The first use of MLflow takes seconds, and concurrent first uses break each other.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from filelock import FileLock

from lostark_assets.database.postgres import Databases
from lostark_assets.errors import SettingsError
from lostark_assets.settings import PREFIX, Settings

MLFLOW_VARIABLES = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    # MLflow would load models with the list of trusted types that the model itself brings.
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # A dead server is said in seconds, not after minutes of tries.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""For every process that uses MLflow, the server too."""
_STATE_FILE = "prepared.json"
_LOCATIONS = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}


def is_database(tracking_uri: str) -> bool:
    """Whether the address is MLflow's database itself, not an MLflow server."""
    return not tracking_uri.startswith(("http://", "https://"))


def strip_password(tracking_uri: str) -> str:
    """The address as it may be shown."""
    parts = urlsplit(tracking_uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def set_mlflow_variables() -> None:
    """Set what every process that uses MLflow needs, before the first import of it."""
    for name, value in MLFLOW_VARIABLES.items():
        os.environ.setdefault(name, value)


def starts_own_server(settings: Settings) -> bool:
    """Whether the platform itself starts an MLflow server: there is a database, and no server configured."""
    if settings.mlflow_tracking_uri is not None:
        return is_database(settings.mlflow_tracking_uri.get_secret_value())
    return settings.dagster_postgres_url is None or settings.postgres_url is None


def tracking_uri(settings: Settings, databases: Databases) -> str | None:
    """Where MLflow's clients on this machine go; None if that is nowhere.

    They go to the database directly, so that training needs no server.
    """
    if settings.mlflow_tracking_uri is not None:
        return settings.mlflow_tracking_uri.get_secret_value()
    return databases.mlflow


def configured_databases(settings: Settings) -> dict[str, str]:
    """Address of each database that the settings name, by variable."""
    urls = {
        "DAGSTER_POSTGRES_URL": settings.dagster_postgres_url,
        "POSTGRES_URL": settings.postgres_url,
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
    }
    found = {f"{PREFIX}{name}": url.get_secret_value() for name, url in urls.items() if url is not None}
    return {name: url for name, url in found.items() if is_database(url)}


def build_missing_address_error() -> SettingsError:
    """What to do where there is nowhere to keep models."""
    return SettingsError(
        f"{PREFIX}MLFLOW_TRACKING_URI: expected an address, found nothing, while both PostgreSQL addresses "
        "are configured and so none is embedded. No model is trained; collection and statistics work. "
        "Set it to an MLflow server (http://host:5000), or to a database of its own "
        "(postgresql://host/mlflow), and start again."
    )


def prepare_database(url: str, artifact_root: Path, *, upgrade: bool = False) -> None:
    """Make MLflow's tables where there are none, so that others find them finished.

    Args:
        url: database, in SQLAlchemy's spelling.
        artifact_root: folder of the files of runs and models. Where the whole data folder was moved since the
            last time, the addresses in the database follow.
        upgrade: bring tables of an older MLflow up to date; for a database that is ours alone.
    """
    set_mlflow_variables()
    artifact_root.mkdir(parents=True, exist_ok=True)
    note = artifact_root.parent / _STATE_FILE
    with FileLock(artifact_root.parent / "prepare.lock"), _quiet_alembic():
        before = _read_state(note)
        if before and before == _build_state(artifact_root, _read_revision(url)):
            return
        from mlflow.store.db import utils  # noqa: PLC0415 - seconds
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415

        if upgrade:
            _upgrade(url, utils)
        SqlAlchemyStore(url, artifact_root.as_uri())
        if before and before["artifact_root"] != artifact_root.as_uri():
            _update_locations(url, before["artifact_root"], artifact_root.as_uri())
        draft = note.with_suffix(".draft")
        draft.write_text(json.dumps(_build_state(artifact_root, _read_revision(url))), encoding="utf-8")
        draft.replace(note)


def _build_state(artifact_root: Path, revision: str | None) -> dict[str, str | None]:
    return {
        "artifact_root": artifact_root.as_uri(),
        "mlflow": importlib.metadata.version("mlflow"),
        "revision": revision,
    }


def _read_state(note: Path) -> dict[str, str] | None:
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _read_revision(url: str) -> str | None:
    """What the database itself says of its tables; None where there are none."""
    from sqlalchemy import create_engine, inspect, text  # noqa: PLC0415

    engine = create_engine(url)
    try:
        if not inspect(engine).has_table("alembic_version"):
            return None
        with engine.connect() as connection:
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    finally:
        engine.dispose()


def _upgrade(url: str, utils: ModuleType) -> None:
    engine = utils.create_sqlalchemy_engine(url)
    try:
        found = utils._get_schema_version(engine)  # noqa: SLF001 - only the command line has it in public
        if found is not None and found != utils._get_latest_schema_revision():  # noqa: SLF001
            utils._upgrade_db(engine)  # noqa: SLF001
    finally:
        engine.dispose()


def _update_locations(url: str, before: str, now: str) -> None:
    """MLflow keeps absolute addresses: after a move of the data folder they would point to the old place."""
    from sqlalchemy import create_engine, text  # noqa: PLC0415

    engine = create_engine(url)
    with engine.begin() as connection:
        for table, columns in _LOCATIONS.items():
            for column in columns:
                change = (
                    f"UPDATE {table} SET {column} = :now || substr({column}, :rest) "  # noqa: S608 - our names
                    f"WHERE substr({column}, 1, :length) = :before"
                )
                values = {"now": now, "before": before, "length": len(before), "rest": len(before) + 1}
                connection.execute(text(change), values)
    engine.dispose()


@contextlib.contextmanager
def _quiet_alembic() -> Iterator[None]:
    """Without the hundred lines that a migration writes to stderr."""
    loggers = [logging.getLogger(name) for name in ("alembic.runtime.migration", "mlflow.store.db.utils")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
