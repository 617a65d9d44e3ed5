"""What a model expects of single players before a fight, without frames: a request has no time for pandas.

Features come from the functions of ``features`` and numbers from ``trees``, so an answer here is what
``training`` and ``context`` say of the same player in a frame. What does not belong here: names in other
languages, and HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from lostark_assets.contracts.core import UPTIMES
from lostark_assets.contracts.ml import CONTEXT_PARTS, HISTORY
from lostark_assets.game.specs import SUPPORT_CLASSES
from lostark_assets.stats.weeks import KOREA, WEEK_US, week_start_us
from lostark_ml.context import ALL_GROUPS, GROUP_COLUMNS, PART_SHARES
from lostark_ml.contracts import MODEL_FEATURES, TIME_FEATURE
from lostark_ml.features import (
    NO_SUPPORT,
    PARTY_FEATURES,
    SUPPORT_CODES,
    gate_difficulty_of,
    moment_features,
    party_features,
)
from lostark_ml.parts import whole_parts
from lostark_ml.training import BEFORE_TRAINING, OUTSIDE, REFUSALS, FittedModel
from lostark_ml.trees import group_of_features

FIGURES = ("expected_dps", "expected_dps_low", "expected_dps_high")
PARTS = ("typical_dps", *(c.name for c in CONTEXT_PARTS))
Answer = dict[str, int | str | None]
_ANSWER = ("refusal_reason", *FIGURES, *PARTS)
NAN = math.nan
_MOST_KEPT = 4096
_CELL = ("gate_difficulty", "class_name", "spec_name")
_OWN = ("item_level", "combat_power", "uploader_flag")
_MOMENT = ("hours_since_reset", "hour_of_day")
_UNKNOWN_HISTORY = [NAN] * len(HISTORY)
_ORDER = [
    *_CELL, "region", "measurement_rules", *_OWN, PARTY_FEATURES[0], *(c.name for c in UPTIMES),
    *PARTY_FEATURES[1:], *_MOMENT, *(c.name for c in HISTORY), TIME_FEATURE,
]  # fmt: skip
assert _ORDER == MODEL_FEATURES, "the contract has other features: BuildModel._row must have them too"
_HAS_SEAT = MODEL_FEATURES.index("support_seat_flag")
_GROUPS, _NO_GROUPS = group_of_features(GROUP_COLUMNS), group_of_features([])
_SEAT_GROUP = next(n for n, names in enumerate(ALL_GROUPS.values()) if "support_seat_flag" in names)
_HAS_OWN_SEAT = np.arange(2 ** len(ALL_GROUPS)) >> _SEAT_GROUP & 1 == 1
"""Mixtures with the player's own support seat: the one feature of a group that not only the trees read."""


class Role(NamedTuple):
    """What somebody plays, by English names; made by :func:`role_of`.

    ``flags`` are numbers for the party's features.
    """

    class_name: str
    spec_name: str
    is_support: bool
    flags: tuple[float, float, float]


def role_of(class_name: str, spec_name: str, *, is_support: bool | None) -> Role:
    """``is_support`` None: it is not known."""
    supports = is_support is True
    flags = (supports, class_name in SUPPORT_CLASSES, SUPPORT_CODES.get(spec_name, NO_SUPPORT))
    return Role(class_name, spec_name, supports, tuple(map(float, flags)))


class Planned(NamedTuple):
    """A player before a fight. Names are English; numbers are NaN where they are not known.

    ``uptimes`` stand in the order of the contract; ``others`` are role and item level of everybody else.
    ``started_us`` counts microseconds from 1970.
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
    others: Sequence[tuple[Role, float]] = ()


class _Cell(NamedTuple):
    """What a model has to say of everybody of one spec at one gate.

    ``codes`` are of the categories that name it, ``low`` and ``high`` departures of log DPS. ``start`` are
    the leaves that the typical player leaves over; None where the model knows of none.
    """

    refusal_reason: str | None
    codes: tuple[float, ...] = ()
    low: float = NAN
    high: float = NAN
    start: np.ndarray | None = None
    has_usual_seat: bool = False


class BuildModel:
    """A model to ask of one player at a time; an answer takes some ten microseconds."""

    def __init__(self, model: FittedModel) -> None:
        """Compile ``model`` and ask it something, so that the first request need not wait.

        Raises:
            NotCompiled: it can't be compiled.
        """
        self._model, self._compiled = model, model.compiled
        self._cutoff_week = self._compiled.regressor.cutoff_week
        self._categories = self._compiled.category_codes()
        self._known = {reason: frozenset(names) for reason, names in model.domain.known.items()}
        self._cell = lru_cache(_MOST_KEPT)(self._cell_of)
        self._additive = lru_cache(_MOST_KEPT)(self._additive_of)
        names = {column: category for column, known in self._categories.items() for category in known}
        role = role_of(names["class_name"], names["spec_name"], is_support=False)
        at_cutoff = int(self._cutoff_week * WEEK_US) + 1
        self._answer(self._known_cell(names), Planned(("", "", ""), "", "", at_cutoff, role, NAN))

    def expect(self, player: Planned) -> Answer:
        """``refusal_reason``, ``FIGURES`` and ``PARTS`` in whole damage/s; None where there is none."""
        role = player.role
        if role.is_support:
            return refusal("support")
        cell = self._cell(*player.place, role.class_name, role.spec_name)
        if cell.refusal_reason is not None:
            return refusal(cell.refusal_reason)
        return self._answer(cell, player)

    def _answer(self, cell: _Cell, player: Planned) -> Answer:
        row = self._row(cell, player)
        week = row[-1]
        reason = self._outside(player, week)
        if reason is not None:
            return refusal(reason)
        of_cutoff = math.floor(week - self._cutoff_week)
        gate, _, spec = cell.codes
        has_seat = row[_HAS_SEAT] > 0
        additive = self._additive(gate, spec, has_seat, of_cutoff)
        codes = self._compiled.codes(np.array([row]))
        if cell.start is None:
            alone = self._compiled.left_over(codes, _NO_GROUPS, 0)
            log_dps = self._compiled.sums(alone, codes, _NO_GROUPS).item() + additive
            whole = np.rint(np.exp([log_dps, log_dps + cell.low, log_dps + cell.high]))
            return _NOTHING | dict(zip(FIGURES, map(int, whole.tolist()), strict=True))
        mixtures = self._compiled.sums(cell.start, codes, _GROUPS)
        if has_seat == cell.has_usual_seat:
            mixtures += additive
        else:
            usual = self._additive(gate, spec, cell.has_usual_seat, of_cutoff)
            mixtures += np.where(_HAS_OWN_SEAT, additive, usual)
        log_dps = mixtures.item(-1)
        whole = np.rint(np.exp([log_dps, log_dps + cell.low, log_dps + cell.high, mixtures.item(0)]))
        parts = whole_parts(mixtures, PART_SHARES, whole[3:], whole[:1])[0]
        found = map(int, (*whole.tolist(), *parts.tolist()))
        return dict(zip(_ANSWER, (None, *found), strict=True))

    def _row(self, cell: _Cell, player: Planned) -> list[float]:
        """The features of the player, encoded, in the order of ``MODEL_FEATURES``."""
        seats = [player.item_level, player.is_ark_passive_active, *player.role.flags]
        for role, item_level in player.others:
            seats += (item_level, NAN, *role.flags)
        count = len(player.others) + 1
        one_fight = np.zeros(count, np.int64)
        ark_passive, *party = party_features(np.array(seats).reshape(count, -1), one_fight)[0].tolist()
        week_us = week_start_us(player.started_us, int(player.region == KOREA))
        moment = moment_features(player.started_us, week_us)
        return [
            *cell.codes,
            self._categories["region"].get(player.region, NAN),
            self._categories["measurement_rules"].get(player.measurement_rules, NAN),
            player.item_level,
            player.combat_power,
            player.is_uploader,
            ark_passive,
            *player.uptimes,
            *party,
            *(moment[name] for name in _MOMENT),
            *_UNKNOWN_HISTORY,
            moment[TIME_FEATURE],
        ]

    def _outside(self, player: Planned, week: float) -> str | None:
        """Why the numbers are outside of what training saw, as ``training.Domain`` says it."""
        domain = self._model.domain
        for name, (low, high) in domain.ranges.items():
            value = getattr(player, name)
            if value < low or value > high:
                return OUTSIDE[name]
        return BEFORE_TRAINING if week < domain.first_week else None

    def _cell_of(self, raid: str, gate: str, difficulty: str, class_name: str, spec_name: str) -> _Cell:
        names = {
            "raid_name": raid,
            "gate_name": gate,
            "gate_difficulty": gate_difficulty_of(raid, gate, difficulty),
            "class_name": class_name,
            "spec_name": spec_name,
        }
        for reason, columns in REFUSALS.items():
            if " ".join(names[column] for column in columns) not in self._known[reason]:
                return _Cell(reason)
        return self._known_cell(names)

    def _known_cell(self, names: Mapping[str, str]) -> _Cell:
        gate, spec = names["gate_difficulty"], names["spec_name"]
        codes = tuple(self._categories[name].get(names[name], NAN) for name in _CELL)
        low, high = self._model.intervals.ends(spec)
        typical = self._model.typical
        if not typical.of_gate:
            return _Cell(None, codes, low, high)
        usual = dict(zip(_CELL, codes, strict=True))
        for name, number in zip(typical.features, typical.numbers(gate, spec), strict=True):
            usual[name] = NAN if number is None else number
        for name, category in typical.categories[gate].items():
            usual[name] = self._categories[name].get(category, NAN)
        row = np.array([[usual.get(name, NAN) for name in MODEL_FEATURES]])
        start = self._compiled.left_over(self._compiled.codes(row), _GROUPS, len(ALL_GROUPS))
        return _Cell(None, codes, low, high, start, usual["support_seat_flag"] > 0)

    def _additive_of(self, gate: float, spec: float, has_seat: bool, week: int) -> float:  # noqa: FBT001 - lru_cache
        """The season's level and the effects; of a moment they read only the whole weeks from the cutoff."""
        values = {
            "gate_difficulty": gate,
            "spec_name": spec,
            "support_seat_flag": float(has_seat),
            TIME_FEATURE: self._cutoff_week + week + 0.5,
        }
        row = np.array([[values.get(name, NAN) for name in MODEL_FEATURES]])
        return self._compiled.regressor.additive(row).item()


def refusal(reason: str) -> Answer:
    """The answer where there is no expectation."""
    return {**_NOTHING, "refusal_reason": reason}


_NOTHING = dict.fromkeys(_ANSWER)
