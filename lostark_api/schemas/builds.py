"""The request of ``POST /v1/expected-dps``: builds that were never played.

``Builds`` is the documented model; ``decode_plain_builds`` reads its plain form several times faster.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

MAX_BUILDS, MAX_COMPANIONS = 200, 15
MAX_INLINE_BUILDS = 16
"""So many builds are answered at once, in less time than other requests notice; more of them in a thread."""
_FIRST, _LAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_NUL = b"\\u0000"
"""The only way to write a character that no word may have."""


def _number(lowest: float, highest: float) -> Any:
    """A number between them, for pydantic and for msgspec."""
    bounds = Field(ge=lowest, le=highest, allow_inf_nan=False)
    return Annotated[float, bounds, msgspec.Meta(ge=lowest, le=highest)]


Word = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$"),
    msgspec.Meta(min_length=1, max_length=100),
]
ItemLevel, CombatPower, Share = _number(1, 3000), _number(0, 1e9), _number(0, 1)
Moment = Annotated[AwareDatetime, Field(ge=_FIRST, le=_LAST)]


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
    combat_power: CombatPower | None = None
    region: Word = "unknown"
    is_uploader: bool = False
    is_ark_passive_active: bool | None = None
    party: list[Companion] = Field(default_factory=list, max_length=MAX_COMPANIONS)
    support_ap: Share | None = None
    support_brand: Share | None = None
    support_identity: Share | None = None
    support_hyper: Share | None = None
    fight_started_at: Moment | None = Field(None, description="default: now")


class Builds(BaseModel):
    """One build or many."""

    model_config = ConfigDict(extra="forbid")
    builds: list[Build] = Field(min_length=1, max_length=MAX_BUILDS)


_validate_moment = TypeAdapter(Moment).validate_python


class PlainCompanion(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """As ``Companion``."""

    class_name: Word
    spec_name: Word
    item_level: ItemLevel | None = None


class PlainBuild(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """As ``Build``."""

    raid_name: Word
    gate_name: Word
    difficulty: Word
    class_name: Word
    spec_name: Word
    item_level: ItemLevel
    combat_power: CombatPower | None = None
    region: Word = "unknown"
    is_uploader: bool = False
    is_ark_passive_active: bool | None = None
    party: Annotated[list[PlainCompanion], msgspec.Meta(max_length=MAX_COMPANIONS)] = []
    support_ap: Share | None = None
    support_brand: Share | None = None
    support_identity: Share | None = None
    support_hyper: Share | None = None
    moment: str | None = msgspec.field(default=None, name="fight_started_at")

    @property
    def fight_started_at(self) -> datetime | None:
        """When; None: now.

        Raises:
            ValueError: it is no moment that the route accepts.
        """
        # Pydantic's own reading: of a seventh digit of a second msgspec makes another microsecond.
        return None if self.moment is None else _validate_moment(self.moment)


class _Question(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    builds: Annotated[list[PlainBuild], msgspec.Meta(min_length=1, max_length=MAX_INLINE_BUILDS)]


_decode = msgspec.json.Decoder(_Question).decode


def decode_plain_builds(body: bytes) -> list[PlainBuild]:
    """The builds of a plain question.

    Raises:
        msgspec.MsgspecError: it is not plain, or not right.
        ValueError: it is no UTF-8.
    """
    if _NUL in body:
        raise msgspec.ValidationError("a word may not have the character 0")
    return _decode(body).builds
