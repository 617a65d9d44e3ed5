"""Dagster resources of the ml layer.

A registry is opened where it is used: nothing connects when definitions load.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

from lostark_assets.settings import Settings
from lostark_ml.registry.model_registry import ModelRegistry, open_registry
from lostark_ml.registry.names import DPS_MODEL


@dataclass(frozen=True)
class ModelRegistries:
    """Opens the registries of the platform's models."""

    settings: Settings

    def open(self, model_name: str = DPS_MODEL) -> AbstractContextManager[ModelRegistry]:
        """The registry of one model, for as long as it is held."""
        return open_registry(self.settings, model_name)
