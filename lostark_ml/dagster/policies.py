"""Policies built from the settings."""

from __future__ import annotations

from datetime import timedelta

from lostark_assets.settings import Settings
from lostark_ml.monitoring.retraining import RetrainingPolicy
from lostark_ml.registry.lifecycle import LifecyclePolicy
from lostark_ml.registry.promotion import PromotionPolicy


def build_lifecycle_policy(settings: Settings) -> LifecyclePolicy:
    """How models are made and chosen."""
    return LifecyclePolicy(
        promotion=PromotionPolicy(confidence=settings.promotion_confidence, margin=settings.promotion_margin),
        holdout_fights=settings.holdout_fights,
    )


def build_retraining_policy(settings: Settings) -> RetrainingPolicy:
    """When a new model is trained; no reason is worth less than a tenth of the usual new fights."""
    return RetrainingPolicy(
        first_fights=settings.retrain_first_fights,
        new_fights=settings.retrain_new_fights,
        min_new_fights=max(settings.retrain_new_fights // 10, 1),
        pause=timedelta(hours=settings.retrain_pause_h),
    )
