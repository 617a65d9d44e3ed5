"""Imported by the fork server: what it has loaded, every run inherits.

Numba loads a compiled function, and with the first one its own type system, when it is first called: half a
second of a run that takes one. Nothing here may start a thread: a fork would not have it.
"""

from __future__ import annotations

import importlib
import os

import alembic.command  # noqa: F401 - publishing imports it when it migrates
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import psycopg  # noqa: F401
import pyarrow as pa
import pyarrow.acero
import pyarrow.dataset
from dagster import DagsterInstance

from lostark_assets.core.skill_scan import scan_skills
from lostark_assets.observability.logs import get_logger
from lostark_assets.stats.hits import hit_figures
from lostark_assets.stats.percentiles import pool_percentiles
from lostark_platform.services.code_server import MODULE_VARIABLE

_MODEL_LIBRARIES = (
    "mlflow.artifacts",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "skops.io",
)
_HIT = b'{"timestamp": 1, "damage": 2, "unbuffedDamage": 1, "crit": true, "buffedBy": [1], "debuffedBy": []}'
_SKILLS = (
    b'{"1": {"id": 1, "name": "a", "totalDamage": 2, "adjustedCrit": 0.5, "castLog": [1], "skillCastLog": '
    b'[{"timestamp": 1, "last": 2, "hits": [' + _HIT + b"]}]}}"
)


def warm_up() -> None:
    """Call the compiled functions that every run needs, on one log's worth of nothing."""
    if scan_skills(_SKILLS) is None:
        raise ValueError("the scanner refused the skills that it is warmed up with")
    ids = pa.array(["a"]).dictionary_encode()
    hits = {"encounter_id": ids, "player_name": ids, "skill_id": pa.array([1], pa.int64())}
    hits |= {"hit_at_ms": pa.array([1], pa.int32()), "damage": pa.array([2], pa.int64())}
    flags = ("is_crit", "is_back_attack", "is_front_attack")
    hit_figures(pa.table(hits | {name: pa.array([True]) for name in flags}), {"a": 1000})
    pool_percentiles(np.array([0]), np.array([0]), np.array([1.0]), np.array([True]), np.array([1.0]))
    nw.from_native(pl.DataFrame({"a": [1]})).collect_schema()
    pd.DataFrame({"at": pd.to_datetime(["2026-01-01"], utc=True)}).groupby("at").size()


def load_model_libraries() -> None:
    """Import what reads a model from the registry: more than half of the CPU time of scoring a day."""
    for name in _MODEL_LIBRARIES:
        importlib.import_module(name)


def open_instance() -> None:
    """Open and close the Dagster instance of the environment: its storages are imported when it is opened."""
    with DagsterInstance.get() as instance:
        instance.get_runs_count()


def load_code_location(module: str) -> None:
    """Import the module and resolve its definitions, as a run does."""
    importlib.import_module(module).defs.get_repository_def()


if MODULE_VARIABLE in os.environ:
    try:
        load_code_location(os.environ[MODULE_VARIABLE])
        if os.environ[MODULE_VARIABLE].startswith("lostark_ml"):
            load_model_libraries()
        warm_up()
        open_instance()
    except Exception:  # noqa: BLE001 - the fork server must start: runs do what is missing, or fail with the reason
        get_logger().exception("fork_server_not_warm")
