"""What the champion expects of builds that were never played, by the same features as in training.

What does not belong here: which champion serves (``champion``), and HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import narwhals as nw
import numpy as np
import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from lostark_assets.contracts.core import UPTIMES
from lostark_assets.contracts.ml import CONTEXT_PARTS
from lostark_assets.game.classes import resolve_class
from lostark_assets.game.difficulties import resolve_difficulty
from lostark_assets.game.gates import resolve_named_gate
from lostark_assets.game.specs import is_support, resolve_spec
from lostark_assets.game.versions import measurement_rules
from lostark_assets.settings import Settings
from lostark_assets.stats.weeks import week_started_at

if TYPE_CHECKING:
    from lostark_ml.registry import Registry as ModelRegistry
    from lostark_ml.training import FittedModel

MOST_BUILDS, MOST_COMPANIONS = 200, 15
_FIRST, _LAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
Word = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
ItemLevel = Annotated[float, Field(ge=1, le=3000, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Companion(BaseModel):
    """Another player of the raid."""

    model_config = ConfigDict(extra="forbid")
    class_name: Word
    spec_name: Word
    item_level: ItemLevel | None = None


class Build(BaseModel):
    """A player before a fight. Names may be English or Korean."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "raid_name": "Serca",
                    "gate_name": "G2",
                    "difficulty": "Nightmare",
                    "class_name": "Sorceress",
                    "spec_name": "Reflux",
                    "item_level": 1745,
                    "combat_power": 4200,
                    "party": [{"class_name": "Bard", "spec_name": "Desperate Salvation", "item_level": 1740}],
                }
            ]
        },
    )
    raid_name: Word
    gate_name: Word
    difficulty: Word
    class_name: Word
    spec_name: Word
    item_level: ItemLevel
    combat_power: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None
    region: Word = "unknown"
    is_uploader: bool = False
    is_ark_passive_active: bool | None = None
    party: list[Companion] = Field(default_factory=list, max_length=MOST_COMPANIONS)
    support_ap: Share | None = None
    support_brand: Share | None = None
    support_identity: Share | None = None
    support_hyper: Share | None = None
    fight_started_at: AwareDatetime | None = Field(None, ge=_FIRST, le=_LAST, description="default: now")


class Builds(BaseModel):
    """One build or many."""

    model_config = ConfigDict(extra="forbid")
    builds: list[Build] = Field(min_length=1, max_length=MOST_BUILDS)


@dataclass(frozen=True)
class Champion:
    """A loaded champion that answers builds."""

    version: int
    model: FittedModel

    def expect(self, builds: Sequence[Build]) -> list[dict[str, Any]]:
        """Expectation with its 90 % interval and parts by build, or the reason why there is none."""
        # scikit-learn takes a second to load; the API starts without it.
        from lostark_ml.context import explain_context  # noqa: PLC0415
        from lostark_ml.features import features_of  # noqa: PLC0415

        rows = features_of(players_of(builds))
        rows = rows[rows["player_name"] == _BUILD].set_index("encounter_id")
        rows = rows.loc[[_id(n) for n in range(len(builds))]].reset_index()
        supports = rows["is_support"].eq(True).to_numpy(bool, na_value=False)  # noqa: FBT003 - null is not
        found = self.model.predict(rows)
        reason = found["refusal_reason"].where(~supports, "support")
        answered = reason.isna().to_numpy()
        parts = pd.DataFrame(index=rows.index)
        if answered.any() and self.model.typical.of_gate:
            parts = explain_context(self.model.pipeline, self.model.typical, rows[answered]).reindex(
                rows.index
            )
        answers = []
        for n in range(len(builds)):
            figures = {name: _whole(found[name].iloc[n]) if answered[n] else None for name in _FIGURES}
            told = {c: _whole(parts[c].iloc[n]) if c in parts else None for c in ["typical_dps", *_PARTS]}
            answers.append({"refusal_reason": None if answered[n] else reason.iloc[n], **figures, **told})
        return answers


@dataclass(frozen=True)
class Champions:
    """The registry of the model, as the API asks it."""

    registry: ModelRegistry

    def champion_version(self) -> int | None:
        """The version behind the alias."""
        found = self.registry.champion()
        return None if found is None else found.version

    def load(self, version: int) -> Champion:
        """That version, loaded."""
        return Champion(version, self.registry.load(version))


def champions_of(settings: Settings) -> Champions | None:
    """The registry that the settings name; None: no one, and no build gets an expectation."""
    if settings.mlflow_tracking_uri is None:
        return None
    from lostark_ml.registry import Registry as ModelRegistry  # noqa: PLC0415 - as above

    uri = settings.mlflow_tracking_uri.get_secret_value()
    return Champions(ModelRegistry(uri, settings.mlflow_artifacts_dir))


def refused(builds: Sequence[Build], reason: str) -> list[dict[str, Any]]:
    """Answers of no model."""
    names = [*_FIGURES, "typical_dps", *_PARTS]
    return [{"refusal_reason": reason, **dict.fromkeys(names)} for _ in builds]


_BUILD = "build"
_PARTS = [c.name for c in CONTEXT_PARTS]
_FIGURES = ("expected_dps", "expected_dps_low", "expected_dps_high")
_NEWEST_RULES = measurement_rules("999.0.0", figure="dps")


def players_of(builds: Sequence[Build]) -> pd.DataFrame:
    """Rows as ``features_of`` reads them: each build with its party is a fight of its own."""
    rows = []
    now = datetime.now(UTC)
    for n, build in enumerate(builds):
        at = build.fight_started_at or now
        gate = resolve_named_gate(build.raid_name, build.gate_name)
        fight = {
            "encounter_id": _id(n), "fight_id": _id(n), "is_counted": True, "is_cleared": True,
            "fight_date": at.date(), "fight_started_at": at, "duration_s": 1, "intermission_ms": 0,
            "raid_name": gate.raid_name or build.raid_name,
            "gate_name": gate.gate_name or build.gate_name,
            "difficulty": resolve_difficulty(build.difficulty, raid_name=gate.raid_name) or build.difficulty,
            "measurement_rules": _NEWEST_RULES, "region": build.region, "is_name_known": False,
            "is_dead": False, "dps": np.nan, "item_level_bracket": None,
        }  # fmt: skip
        own = build.model_dump(include={"item_level", "combat_power", "is_uploader", "is_ark_passive_active"})
        own |= {c.name: getattr(build, c.name) for c in UPTIMES}
        rows.append({**fight, "player_name": _BUILD, **_spec(build.class_name, build.spec_name), **own})
        for k, other in enumerate(build.party):
            level = {"item_level": other.item_level}
            rows.append(
                {
                    **fight,
                    "player_name": f"companion {k}",
                    **_spec(other.class_name, other.spec_name),
                    **level,
                }
            )
    frame = pd.DataFrame(rows)
    needed = [
        "item_level",
        "combat_power",
        "is_uploader",
        "is_ark_passive_active",
        *(c.name for c in UPTIMES),
    ]
    frame = frame.reindex(columns=[*frame.columns, *(n for n in needed if n not in frame.columns)])
    frame["fight_started_at"] = pd.to_datetime(frame["fight_started_at"], utc=True).astype(
        "datetime64[us, UTC]"
    )
    week = nw.from_native(frame).select(week=week_started_at(nw.col("fight_started_at"), nw.col("region")))
    return frame.assign(week_started_at=week.to_native()["week"])


def _spec(class_text: str, spec_text: str) -> dict[str, Any]:
    class_name = resolve_class(class_text) or class_text
    spec = resolve_spec(spec_text, class_name)
    name = spec.name if spec else spec_text
    return {"class_name": class_name, "spec_name": name, "is_support": is_support(name, class_name)}


def _id(n: int) -> str:
    return f"build {n:04}"


def _whole(value: Any) -> int | None:
    return None if pd.isna(value) else round(float(value))
