"""Dagster jobs of the ml layer beside ``score_days``: training, monitoring, play styles."""

from typing import Any

import dagster as dg

from lostark_assets.dagster.jobs import select_assets

TRAIN_JOB = "train_model"
SCORE_JOB = "score_days"
MONITOR_JOB = "monitor_model"
STYLES_JOB = "play_styles"
VALIDATE_JOB = "validate_model_tables"


def build_model_jobs() -> list[Any]:
    """All jobs of the ml layer; each runs one at a time, concurrently with those of ``lostark_assets``."""
    return [
        dg.define_asset_job(
            TRAIN_JOB,
            select_assets("ml_training_set", "ml_dps_challenger", "ml_dps_evaluation", "ml_dps_champion"),
            description="Train a challenger, test it, and promote it if it is significantly better.",
        ),
        dg.define_asset_job(
            MONITOR_JOB,
            select_assets("ml_dps_monitoring"),
            description="Compare the predictions with what players reached.",
        ),
        dg.define_asset_job(
            STYLES_JOB,
            select_assets("ml_player_clusters"),
            description="Find play styles among the characters.",
        ),
    ]
