"""Fixtures of all tests; no test writes to the data folder of the user."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.model_lake import World

# A shell's background job ignores SIGINT, and so would all processes that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Before any module of the platform is imported: definitions read the environment when they are loaded.
os.environ["LOSTARK_HOME"] = tempfile.mkdtemp(prefix="lostark-tests-")


@pytest.fixture(scope="session")
def registry_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty ``mlflow.db``: its migrations take seconds."""
    from lostark_ml.registry.mlflow_database import prepare_database

    folder = tmp_path_factory.mktemp("mlflow-template")
    prepare_database(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
    return folder


@pytest.fixture(scope="session")
def season(registry_template: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Six weeks of a simulated season without a model. Read-only; tests change a ``World.copy``."""
    from tests.model_lake import new_world

    return new_world(tmp_path_factory.mktemp("season") / "home", registry_template)


@pytest.fixture(scope="session")
def lake_with_champion(season: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The season after its first challenger was promoted. Read-only."""
    from tests.model_lake import train_first_champion

    return train_first_champion(season.copy(tmp_path_factory.mktemp("lake_with_champion") / "home"))


@pytest.fixture
def world(lake_with_champion: World, tmp_path: Path) -> World:
    """A season with a champion that the test may change."""
    return lake_with_champion.copy(tmp_path / "world")
