"""A player before a fight: the input of a single prediction.

Importing this loads no model library, so that the API can build inputs before a model is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from lostark_assets.contracts.core import UPTIMES
from lostark_assets.game.specs import SUPPORT_CLASSES
from lostark_ml.features.columns import NO_SUPPORT, SUPPORT_CODES

NAN = math.nan


class Role(msgspec.Struct, frozen=True, gc=False):
    """Class and spec of a player, by English names; made by :func:`get_role`.

    ``flags`` are numbers for the party's features.
    """

    class_name: str
    spec_name: str
    is_support: bool
    flags: tuple[float, float, float]


def get_role(class_name: str, spec_name: str, *, is_support: bool | None) -> Role:
    """``is_support`` None: it is not known."""
    supports = is_support is True
    code = SUPPORT_CODES.get(spec_name, NO_SUPPORT)
    flags = (float(supports), float(class_name in SUPPORT_CLASSES), float(code))
    return Role(class_name, spec_name, supports, flags)


class PlayerBuild(msgspec.Struct, frozen=True, gc=False):
    """A player before a fight. Names are English; numbers are NaN where they are not known.

    ``uptimes`` stand in the order of the contract; ``others`` are the ``kernels.SEAT_NUMBERS`` of all
    other players: item level, whether ark passive is active, and the role's flags. ``started_us``:
    microseconds since 1970.
    """

    place: tuple[str, str, str]
    region: str
    measurement_rules: str
    started_us: int
    role: Role
    item_level: float
    combat_power: float = NAN
    is_uploader: float = 0.0
    is_ark_passive_active: float = NAN
    uptimes: Sequence[float] = (NAN,) * len(UPTIMES)
    others: Sequence[float] = ()
