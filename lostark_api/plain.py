"""Plain questions for an expected DPS, read several times faster than the model of the route reads them.

Whatever is accepted here is accepted by ``expected.Builds``, and means the same; much that it accepts is not
(a number in quotes, many builds). What does not belong here: what is wrong with a refused question, which the
route says.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from pydantic import TypeAdapter

from lostark_api.expected import MOST_AT_ONCE, MOST_COMPANIONS, CombatPower, ItemLevel, Moment, Share, Word

_NUL = b"\\u0000"
"""The only way to write a character that no word may have."""
_moment_of = TypeAdapter(Moment).validate_python


class PlainCompanion(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """As ``expected.Companion``."""

    class_name: Word
    spec_name: Word
    item_level: ItemLevel | None = None


class PlainBuild(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """As ``expected.Build``."""

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
    party: Annotated[list[PlainCompanion], msgspec.Meta(max_length=MOST_COMPANIONS)] = []
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
        return None if self.moment is None else _moment_of(self.moment)


class _Question(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    builds: Annotated[list[PlainBuild], msgspec.Meta(min_length=1, max_length=MOST_AT_ONCE)]


_decode = msgspec.json.Decoder(_Question).decode


def plain_builds(body: bytes) -> list[PlainBuild]:
    """The builds of a plain question.

    Raises:
        msgspec.MsgspecError: it is not plain, or not right.
        ValueError: it is no UTF-8.
    """
    if _NUL in body:
        raise msgspec.ValidationError("a word may not have the character 0")
    return _decode(body).builds
