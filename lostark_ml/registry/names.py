"""Names of registered models, aliases and tags in MLflow. They are persisted: never change one.

Kept apart from ``model_registry`` because importing that takes seconds.
"""

from __future__ import annotations

DPS_MODEL, STYLE_MODEL = "lostark_dps", "lostark_play_styles"
"""Registered models, in MLflow and in ``ml_champion_history``."""
CHAMPION, CHALLENGER = "champion", "challenger"
ALIASES = (CHAMPION, CHALLENGER)
TRAINING_SET_TAG = "ml_training_set_version"
SNAPSHOT_TAG = "data_snapshot"
DIGEST_TAG = "model_sha256"
