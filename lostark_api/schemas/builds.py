"""The request of ``POST /v1/expected-dps``: hypothetical builds.

The one definition: the fast path and the route decode with it, and OpenAPI shows its JSON schema.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

MAX_BUILDS, MAX_COMPANIONS = 200, 15
_FIRST, _LAST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

_ESCAPED_NUL = b"\\u0000"

# `pattern=` would take four times as long as all the rest, so `decode_builds` looks for NUL itself.
Name = Annotated[str, Meta(min_length=1, max_length=100, extra_json_schema={"pattern": r"^[^\x00]*$"})]
ItemLevel = Annotated[float, Meta(ge=1, le=3000)]
CombatPower = Annotated[float, Meta(ge=0, le=1e9)]
Share = Annotated[float, Meta(ge=0, le=1)]
Timestamp = Annotated[
    datetime, Meta(tz=True, description="With a time zone, between 2020 and 2100. Default: now.")
]


class Companion(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Another player of the raid."""

    class_name: Name
    spec_name: Name
    item_level: ItemLevel | None = None


class Build(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A player before a fight. Names may be English or Korean."""

    raid_name: Name
    gate_name: Name
    difficulty: Name
    class_name: Name
    spec_name: Name
    item_level: ItemLevel
    combat_power: CombatPower | None = None
    region: Name = "unknown"
    is_uploader: bool = False
    is_ark_passive_active: bool | None = None
    party: Annotated[list[Companion], Meta(max_length=MAX_COMPANIONS)] = []
    support_ap: Share | None = None
    support_brand: Share | None = None
    support_identity: Share | None = None
    support_hyper: Share | None = None
    fight_started_at: Timestamp | None = None

    def __post_init__(self) -> None:
        """Check what the types can't express; msgspec reports it with its place in the request."""
        at = self.fight_started_at
        if at is not None and not _FIRST <= at <= _LAST:
            raise ValueError(f"Expected `fight_started_at` between {_FIRST:%Y-%m-%d} and {_LAST:%Y-%m-%d}")


EXAMPLE = {
    "builds": [
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
}


class Builds(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One build or many."""

    builds: Annotated[list[Build], Meta(min_length=1, max_length=MAX_BUILDS)]


_decode = msgspec.json.Decoder(Builds).decode


def decode_builds(body: bytes) -> list[Build]:
    """The builds of a request's body.

    Raises:
        msgspec.MsgspecError: the body is no JSON, or does not fit the schema.
        UnicodeDecodeError: it is not UTF-8.
    """
    builds = _decode(body).builds
    if _ESCAPED_NUL in body and any(map(_has_nul, builds)):
        raise msgspec.ValidationError("Expected names without NUL characters")
    return builds


def _has_nul(build: Build) -> bool:
    values = [value for struct in (build, *build.party) for value in msgspec.structs.astuple(struct)]
    return any("\0" in value for value in values if isinstance(value, str))


def make_openapi_schemas() -> dict[str, Any]:
    """The components of the OpenAPI document that describe the request, by name."""
    _, components = msgspec.json.schema_components([Builds], ref_template="#/components/schemas/{name}")
    return components
