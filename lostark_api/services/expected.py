"""Expected DPS of hypothetical builds, by the same features as in training."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from lostark_api.schemas.builds import Build
from lostark_api.services.champion import Predictor
from lostark_assets.contracts.ml import CONTEXT_PARTS
from lostark_assets.game.classes import resolve_class
from lostark_assets.game.difficulties import resolve_difficulty
from lostark_assets.game.gates import resolve_named_gate
from lostark_assets.game.specs import is_support, resolve_spec
from lostark_assets.game.versions import measurement_rules
from lostark_assets.settings import Settings
from lostark_ml.features.player_build import NAN, PlayerBuild, Role, get_role

if TYPE_CHECKING:
    from lostark_ml.registry.model_registry import ModelRegistry
    from lostark_ml.serving.build_predictor import BuildPredictor

MAX_INLINE_BUILDS = 16
"""Up to this many builds are predicted on the event loop, without a noticeable delay; more in a thread."""
_MAX_CACHED = 4096
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_NEWEST_RULES = measurement_rules("999.0.0", figure="dps")
_FIGURES = (
    "expected_dps",
    "expected_dps_low",
    "expected_dps_high",
    "typical_dps",
    *(c.name for c in CONTEXT_PARTS),
)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class LoadedChampion:
    """A loaded champion."""

    version: int
    model: BuildPredictor

    def expect(self, builds: Sequence[Build]) -> list[Any]:
        """Expectation with its 90 % interval and parts by build, or the reason why there is none."""
        now_us = time.time_ns() // 1000
        return [self.model.expect(make_player_build(build, now_us)) for build in builds]


@dataclass(frozen=True)
class RegistryChampions:
    """Champions from the MLflow model registry."""

    registry: ModelRegistry

    def champion_version(self) -> int | None:
        """The version that the alias points to."""
        found = self.registry.champion()
        return None if found is None else found.version

    def load(self, version: int) -> LoadedChampion:
        """Load and compile that version."""
        from lostark_ml.serving.build_predictor import BuildPredictor  # noqa: PLC0415 - a second to import

        return LoadedChampion(version, BuildPredictor(self.registry.load(version)))


def open_champion_source(settings: Settings) -> RegistryChampions | None:
    """The configured registry; None without one, and then no build gets an expectation."""
    if settings.mlflow_tracking_uri is None:
        return None
    from lostark_ml.registry.model_registry import ModelRegistry  # noqa: PLC0415 - seconds

    uri = settings.mlflow_tracking_uri.get_secret_value()
    return RegistryChampions(ModelRegistry(uri, settings.mlflow_artifacts_dir))


async def predict(predictor: Predictor | None, builds: Sequence[Build]) -> bytes:
    """The response's body: the expected DPS of each build. Many are computed in a thread."""
    if predictor is None or len(builds) <= MAX_INLINE_BUILDS:
        return predict_inline(predictor, builds)
    found = await asyncio.to_thread(predictor.expect, builds)
    return _encode({"model_version": predictor.version, "expectations": found})


def predict_inline(predictor: Predictor | None, builds: Sequence[Build]) -> bytes:
    """The response's body for a few builds, computed at once."""
    if predictor is None:
        return _encode({"model_version": None, "expectations": refuse_builds(builds, "no_champion")})
    return _encode({"model_version": predictor.version, "expectations": predictor.expect(builds)})


def make_player_build(build: Build, now_us: int) -> PlayerBuild:
    """``build`` as models read it: names in English, its time in microseconds since 1970."""
    at = build.fight_started_at
    others: list[float] = []
    for one in build.party:
        item_level = NAN if one.item_level is None else one.item_level
        others += (item_level, NAN, *_role(one.class_name, one.spec_name).flags)
    optional = (
        build.combat_power,
        build.is_ark_passive_active,
        build.support_ap,
        build.support_brand,
        build.support_identity,
        build.support_hyper,
    )
    combat_power, is_ark_passive_active, *uptimes = [NAN if number is None else number for number in optional]
    return PlayerBuild(
        _place(build.raid_name, build.gate_name, build.difficulty),
        build.region,
        _NEWEST_RULES,
        now_us if at is None else (at - _EPOCH) // _MICROSECOND,
        _role(build.class_name, build.spec_name),
        build.item_level,
        combat_power,
        build.is_uploader,
        is_ark_passive_active,
        uptimes,
        others,
    )


def refuse_builds(builds: Sequence[Build], reason: str) -> list[dict[str, Any]]:
    """Expectations without a model."""
    return [{"refusal_reason": reason, **dict.fromkeys(_FIGURES)} for _ in builds]


@lru_cache(_MAX_CACHED)
def _place(raid: str, gate: str, difficulty: str) -> tuple[str, str, str]:
    found = resolve_named_gate(raid, gate)
    word = resolve_difficulty(difficulty, raid_name=found.raid_name)
    return found.raid_name or raid, found.gate_name or gate, word or difficulty


@lru_cache(_MAX_CACHED)
def _role(class_text: str, spec_text: str) -> Role:
    class_name = resolve_class(class_text) or class_text
    spec = resolve_spec(spec_text, class_name)
    name = spec.name if spec else spec_text
    return get_role(class_name, name, is_support=is_support(name, class_name))
