"""MLflow's schema in its database: made or brought up to date by exactly one process.

MLflow's own first use takes seconds and two of them at once break each other. What does not belong here: the
server (``mlflow_service``), models (``lostark_ml.registry``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

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
_ROOT_FILE = "artifact_root"
_LOCATIONS = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}


def is_database(tracking_uri: str) -> bool:
    """Whether the address is MLflow's database itself, not an MLflow server."""
    return not tracking_uri.startswith(("http://", "https://"))


def use_mlflow_variables() -> None:
    """Set what every process that uses MLflow needs, before the first import of it."""
    for name, value in MLFLOW_VARIABLES.items():
        os.environ.setdefault(name, value)


def prepare_database(url: str, artifact_root: Path, *, upgrade: bool = False) -> None:
    """Make MLflow's tables where there are none, so that others find them finished.

    Args:
        url: database, in SQLAlchemy's spelling.
        artifact_root: folder of the files of runs and models. Where the whole data folder was moved since the
            last time, the addresses in the database follow.
        upgrade: bring tables of an older MLflow up to date; for a database that is ours alone.
    """
    use_mlflow_variables()
    artifact_root.mkdir(parents=True, exist_ok=True)
    with FileLock(artifact_root.parent / "schema.lock"), _quiet_alembic():
        from mlflow.store.db import utils  # noqa: PLC0415 - seconds
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415

        if upgrade:
            _upgrade(url, utils)
        SqlAlchemyStore(url, artifact_root.as_uri())
        _follow_move(url, artifact_root, utils)


def _upgrade(url: str, utils: object) -> None:
    engine = utils.create_sqlalchemy_engine(url)
    try:
        found = utils._get_schema_version(engine)  # noqa: SLF001 - only the command line has it in public
        if found is not None and found != utils._get_latest_schema_revision():  # noqa: SLF001
            utils._upgrade_db(engine)  # noqa: SLF001
    finally:
        engine.dispose()


def _follow_move(url: str, artifact_root: Path, utils: object) -> None:
    """MLflow keeps absolute addresses: after a move of the data folder they would point to the old place."""
    from sqlalchemy import text  # noqa: PLC0415

    note, now = artifact_root.parent / _ROOT_FILE, artifact_root.as_uri()
    before = note.read_text(encoding="utf-8").strip() if note.exists() else now
    if before != now:
        engine = utils.create_sqlalchemy_engine(url)
        with engine.begin() as connection:
            for table, columns in _LOCATIONS.items():
                for column in columns:
                    connection.execute(
                        text(
                            f"UPDATE {table} SET {column} = :now || substr({column}, :rest) "  # noqa: S608
                            f"WHERE substr({column}, 1, :length) = :before"
                        ),
                        {"now": now, "before": before, "length": len(before), "rest": len(before) + 1},
                    )
        engine.dispose()
    note.write_text(now + "\n", encoding="utf-8")


@contextlib.contextmanager
def _quiet_alembic() -> Iterator[None]:
    """Without the hundred lines that a migration writes to stderr."""
    import logging  # noqa: PLC0415

    loggers = [logging.getLogger(name) for name in ("alembic.runtime.migration", "mlflow.store.db.utils")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
