"""What all tests share: no test writes into the data folder that a person works with."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.a_model_lake import World

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
    """Six weeks of a simulated season, and no model yet. Not to be changed: ``World.copy`` is."""
    from tests.a_model_lake import new_world

    return new_world(tmp_path_factory.mktemp("season") / "home", registry_template)


@pytest.fixture(scope="session")
def crowned(season: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same after the first challenger came through the gate. Not to be changed either."""
    from tests.a_model_lake import crown

    return crown(season.copy(tmp_path_factory.mktemp("crowned") / "home"))


@pytest.fixture
def world(crowned: World, tmp_path: Path) -> World:
    """A season with a champion, of the test's own."""
    return crowned.copy(tmp_path / "world")
