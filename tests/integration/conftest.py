"""A small fitted model and an empty registry, each made once: migrations and training take seconds."""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest


@pytest.fixture(scope="session")
def fitted():
    """A model of a small synthetic season, and the season's frame."""
    from lostark_ml.features.training_set import build_features
    from lostark_ml.model.regressor import ModelConfig
    from lostark_ml.model.training import TrainingConfig, fit
    from tests.pure.ml.season_factory import RESET, make_players

    frame = build_features(make_players(weeks=5, fights=40))
    config = TrainingConfig(model=ModelConfig(iterations=15, leaves=6), fewest_rows=200, calibration_weeks=2)
    return fit(frame, RESET + timedelta(weeks=4), config), frame


@pytest.fixture
def mlflow_folder(tmp_path, registry_template):
    """A folder with an empty ``mlflow.db``, as if it had been moved from elsewhere."""
    return shutil.copytree(registry_template, tmp_path / "mlflow")


@pytest.fixture
def registry(mlflow_folder):
    """A registry of its own."""
    from lostark_ml.registry.model_registry import ModelRegistry

    return ModelRegistry(f"sqlite:///{mlflow_folder / 'mlflow.db'}", mlflow_folder / "artifacts")
