"""Predictions for single players without data frames: pandas is too slow per request.

Features come from the functions of ``features`` and numbers from ``compiled_trees``, so a prediction here
equals that of ``training`` and ``context_parts`` for the same player in a frame.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache

import msgspec
import numpy as np

from lostark_assets.contracts.core import UPTIMES
from lostark_assets.contracts.ml import CONTEXT_PARTS, HISTORY
from lostark_assets.stats.weeks import KOREA, WEEK_US, week_start_us
from lostark_ml.features.columns import CATEGORY_FEATURES, MODEL_FEATURES, NO_SUPPORT, TIME_FEATURE
from lostark_ml.features.kernels import predict_one
from lostark_ml.features.player_build import NAN, PlayerBuild, get_role
from lostark_ml.features.training_set import (
    PARTY_FEATURES,
    PLAYERS_IN_A_PARTY,
    compute_moment_features,
    join_gate_difficulty,
)
from lostark_ml.model.compiled_trees import map_features_to_groups
from lostark_ml.model.context_parts import ALL_GROUPS, GROUP_COLUMNS, PART_SHARES
from lostark_ml.model.training import BEFORE_TRAINING, OUTSIDE, REFUSALS, FittedModel

FIGURES = ("expected_dps", "expected_dps_low", "expected_dps_high")
PARTS = ("typical_dps", *(c.name for c in CONTEXT_PARTS))
_MAX_KEPT = 4096
_CELL = ("gate_difficulty", "class_name", "spec_name")
_MOMENT = tuple(compute_moment_features(0, 0))
_PLAYER_FEATURES = (
    "region", "measurement_rules", "item_level", "combat_power", "uploader_flag", *(c.name for c in UPTIMES),
    *_MOMENT,
)  # fmt: skip
assert {*_CELL, *_PLAYER_FEATURES, *PARTY_FEATURES, *(c.name for c in HISTORY)} == set(MODEL_FEATURES), (
    "the contract has other features: BuildModel._values must have them too"
)


def _find_columns(names: Iterable[str]) -> np.ndarray:
    return np.array([MODEL_FEATURES.index(name) for name in names])


_CELL_PLACES = _find_columns(_CELL)
_LAYOUT = (_find_columns(_PLAYER_FEATURES), _find_columns(PARTY_FEATURES), NO_SUPPORT, PLAYERS_IN_A_PARTY)
_GROUPS = map_features_to_groups(GROUP_COLUMNS)
_SEAT_AT = MODEL_FEATURES.index("support_seat_flag")
_SEAT = (_SEAT_AT, int(_GROUPS[_SEAT_AT]))
"""Place and group of the one feature of a group that not only the trees read."""


class BuildExpectation(msgspec.Struct, frozen=True, gc=False):
    """Whole damage/s of one player, or the reason why there is none."""

    refusal_reason: str | None = None
    expected_dps: int | None = None
    expected_dps_low: int | None = None
    expected_dps_high: int | None = None
    typical_dps: int | None = None
    context_item_level_dps: int | None = None
    context_support_dps: int | None = None
    context_party_dps: int | None = None
    context_history_dps: int | None = None
    context_other_dps: int | None = None


assert BuildExpectation.__struct_fields__ == ("refusal_reason", *FIGURES, *PARTS), (
    "the contract has other parts: BuildExpectation must have them too"
)


class _Cell(msgspec.Struct, frozen=True, gc=False):
    """Cached parts of predictions that are shared by one spec at one gate.

    ``codes`` are of the categories that name it, ``numbers`` the ``cell`` of ``kernels.predict_one``.
    """

    refusal_reason: str | None
    codes: tuple[float, ...] = ()
    numbers: tuple[np.ndarray, np.ndarray, bool, float, float] | None = None


class BuildPredictor:
    """Predicts one player at a time, in some ten microseconds."""

    def __init__(self, model: FittedModel) -> None:
        """Compile ``model`` and predict once, so that the first request is fast.

        Raises:
            NotCompiled: it can't be compiled.
        """
        self._model, self._compiled = model, model.compiled
        compiled = self._compiled
        self._cutoff_week = compiled.regressor.cutoff_week
        self._has_typical = bool(model.typical.of_gate)
        self._encoding = (len(CATEGORY_FEATURES), compiled.edges, compiled.edge_starts)
        self._trees = (_GROUPS, compiled.reach_of, compiled.reach, compiled.leaves, compiled.baseline)
        self._categories = compiled.category_codes()
        self._regions, self._rules = self._categories["region"], self._categories["measurement_rules"]
        self._ranges = [(name, *ends) for name, ends in model.domain.ranges.items()]
        self._first_week = model.domain.first_week
        self._known = {reason: frozenset(names) for reason, names in model.domain.known.items()}
        self._cell = lru_cache(_MAX_KEPT)(self._get_cell)
        self._additive = lru_cache(_MAX_KEPT)(self._get_additive)
        names = {column: category for column, known in self._categories.items() for category in known}
        role = get_role(names["class_name"], names["spec_name"], is_support=False)
        at_cutoff = int(self._cutoff_week * WEEK_US) + 1
        self._answer(self._known_cell(names), PlayerBuild(("", "", ""), "", "", at_cutoff, role, NAN))

    def expect(self, player: PlayerBuild) -> BuildExpectation:
        """``refusal_reason``, ``FIGURES`` and ``PARTS`` in whole damage/s; None where there is none."""
        role = player.role
        if role.is_support:
            return refuse("support")
        cell = self._cell(*player.place, role.class_name, role.spec_name)
        if cell.refusal_reason is not None:
            return refuse(cell.refusal_reason)
        return self._answer(cell, player)

    def _answer(self, cell: _Cell, player: PlayerBuild) -> BuildExpectation:
        week_us = week_start_us(player.started_us, int(player.region == KOREA))
        moment = compute_moment_features(player.started_us, week_us)
        week = moment[TIME_FEATURE]
        for name, low, high in self._ranges:
            value = getattr(player, name)
            if value < low or value > high:
                return refuse(OUTSIDE[name])
        if week < self._first_week:
            return refuse(BEFORE_TRAINING)
        additive = self._additive(cell.codes, math.floor(week - self._cutoff_week))
        found = predict_one(
            self._values(player, moment), cell.numbers, additive, _LAYOUT, _SEAT, self._encoding, self._trees,
            PART_SHARES,
        ).tolist()  # fmt: skip
        return BuildExpectation(None, *(found if self._has_typical else found[: len(FIGURES)]))

    def _values(self, player: PlayerBuild, moment: Mapping[str, float]) -> np.ndarray:
        """What is ``_PLAYER_FEATURES`` of a player, encoded; then all seats."""
        values = [
            self._regions.get(player.region, NAN),
            self._rules.get(player.measurement_rules, NAN),
            player.item_level,
            player.combat_power,
            player.is_uploader,
            *player.uptimes,
            *moment.values(),
            player.item_level,
            player.is_ark_passive_active,
            *player.role.flags,
            *player.others,
        ]
        # Faster than np.array, which checks each value's type first.
        found = np.empty(len(values))
        _get_packer(len(values))(found, 0, *values)
        return found

    def _get_cell(self, raid: str, gate: str, difficulty: str, class_name: str, spec_name: str) -> _Cell:
        names = {
            "raid_name": raid,
            "gate_name": gate,
            "gate_difficulty": join_gate_difficulty(raid, gate, difficulty),
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
        usual = dict(zip(_CELL, codes, strict=True))
        if self._has_typical:
            typical = self._model.typical
            for name, number in zip(typical.features, typical.numbers(gate, spec), strict=True):
                usual[name] = NAN if number is None else number
            for name, category in typical.categories[gate].items():
                usual[name] = self._categories[name].get(category, NAN)
        row = np.array([[usual.get(name, NAN) for name in MODEL_FEATURES]])
        start = self._compiled.remaining_leaves(self._compiled.codes(row), _GROUPS, len(ALL_GROUPS))
        own = np.full(len(MODEL_FEATURES), NAN)
        own[_CELL_PLACES] = codes
        has_usual_seat = usual.get("support_seat_flag", 0.0) > 0
        return _Cell(None, codes, (own, start, has_usual_seat, *self._model.intervals.ends(spec)))

    def _get_additive(self, codes: tuple[float, float, float], week: int) -> tuple[float, float]:
        """The season's level and the effects, without and with a support's seat.

        Of the moment they read only how many whole weeks it is from the cutoff.
        """
        gate, _, spec = codes
        moment = self._cutoff_week + week + 0.5
        own = {"gate_difficulty": gate, "spec_name": spec, TIME_FEATURE: moment}
        rows = [own | {"support_seat_flag": has_seat} for has_seat in (0.0, 1.0)]
        matrix = np.array([[row.get(name, NAN) for name in MODEL_FEATURES] for row in rows])
        without, with_seat = self._compiled.regressor.additive(matrix).tolist()
        return without, with_seat


@cache
def refuse(reason: str) -> BuildExpectation:
    """The answer where there is no expectation."""
    return BuildExpectation(reason)


@cache
def _get_packer(count: int) -> Callable[..., None]:
    """What writes so many numbers into a buffer: (buffer, offset, *numbers)."""
    return struct.Struct(f"{count}d").pack_into
