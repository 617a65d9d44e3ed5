"""Collecting cleaned rows into Arrow tables, skills and hits as arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from lostark_assets.contracts.core import (
    CORE_ENCOUNTERS,
    CORE_HITS,
    CORE_PLAYERS,
    CORE_QUARANTINE,
    CORE_SKILLS,
)
from lostark_assets.contracts.table import Contract

NULL = -(2**63)
"""Marks an unknown number in 64-bit arrays."""
SKILL_NUMBERS = tuple(
    c.name for c in CORE_SKILLS.columns if pa.types.is_integer(c.dtype) or pa.types.is_boolean(c.dtype)
)
SKILL_RATES = ("crit_rate", "adjusted_crit_rate")
_TEXT, _DAY = pa.string(), pa.date32()
HIT_DTYPES = {
    "hit_at_ms": np.int32,
    "damage": np.int64,
    "is_crit": np.bool_,
    "is_back_attack": np.bool_,
    "is_front_attack": np.bool_,
}


Columns = Mapping[str, Sequence[Any]]
"""Rows as one sequence of values per column, all of one length; a missing column is null."""


def transpose_rows(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """The values of each of ``names`` over ``rows``, None where a row lacks it."""
    present = [name for name in names if rows and name in rows[0]]
    columns: dict[str, Sequence[Any]] = {}
    if len(present) > 1:
        with suppress(KeyError):
            columns = dict(zip(present, zip(*map(itemgetter(*present), rows), strict=True), strict=True))
    return columns | {name: [row.get(name) for row in rows] for name in names if name not in columns}


class Rows:
    """Rows of one contract; a column that a row lacks is null."""

    def __init__(self, contract: Contract) -> None:
        """An empty collection."""
        self._contract = contract
        self._rows: list[Mapping[str, Any]] = []

    def add(self, *rows: Mapping[str, Any]) -> None:
        """Some rows."""
        self._rows.extend(rows)

    def table(self) -> pa.Table:
        """The rows as a table of the contract's schema.

        Raises:
            pa.ArrowInvalid: a value does not fit its column's type.
        """
        schema = self._contract.schema
        columns = transpose_rows(self._rows, schema.names)
        return pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


@dataclass
class LogSkills:
    """The skills of one log by player and id, as arrays.

    ``players`` holds (player name, number of skills) in order. ``numbers`` has a row for each of
    SKILL_NUMBERS, NULL if unknown, ``rates`` one for each of SKILL_RATES, NaN if unknown. ``cast_at_ms``
    concatenates the casts of all skills, ``cast_counts`` of each; ``has_casts`` is false if they are unknown.
    """

    players: list[tuple[str, int]] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    numbers: np.ndarray = field(default_factory=lambda: np.empty((len(SKILL_NUMBERS), 0), np.int64))
    rates: np.ndarray = field(default_factory=lambda: np.empty((len(SKILL_RATES), 0)))
    has_casts: np.ndarray = field(default_factory=lambda: np.empty(0, np.bool_))
    cast_counts: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    cast_at_ms: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        """Number of skills."""
        return len(self.names)

    def columns(self) -> dict[str, list[Any]]:
        """The columns of ``core_skills`` that come from the log, as Python values."""
        at = iter(self.cast_at_ms.tolist())
        casts = [list(islice(at, count)) for count in self.cast_counts.tolist()]
        fields: dict[str, list[Any]] = {
            "player_name": [name for name, count in self.players for _ in range(count)],
            "skill_name": self.names,
            "cast_at_ms": [
                at if known else None for at, known in zip(casts, self.has_casts.tolist(), strict=True)
            ],
        }
        for name, values in zip(SKILL_NUMBERS, self.numbers.tolist(), strict=True):
            fields[name] = [None if value == NULL else value for value in values]
        for name, rates in zip(SKILL_RATES, self.rates.tolist(), strict=True):
            fields[name] = [None if math.isnan(rate) else rate for rate in rates]
        return fields


class SkillRows:
    """Skills of many logs."""

    def __init__(self) -> None:
        """An empty collection."""
        self._parts: list[LogSkills] = []
        self._keys: list[tuple[str, str, date]] = []

    def add(self, log_id: str, encounter_id: str, day: date, skills: LogSkills) -> None:
        """The skills of one log."""
        if len(skills):
            self._parts.append(skills)
            self._keys.append((log_id, encounter_id, day))

    def table(self) -> pa.Table:
        """All skills in the order of their logs."""
        if not self._parts:
            return CORE_SKILLS.empty()
        lengths = [len(part) for part in self._parts]
        log_ids, encounters, days = (list(values) for values in zip(*self._keys, strict=True))
        runs = [run for part in self._parts for run in part.players]
        casts = np.concatenate([part.cast_counts for part in self._parts])
        columns: dict[str, Any] = {
            "log_id": _repeated(log_ids, lengths).cast(_TEXT),
            "encounter_id": _repeated(encounters, lengths).cast(_TEXT),
            "fight_date": _repeated(days, lengths, _DAY).cast(_DAY),
            "player_name": _repeated([name for name, _ in runs], [count for _, count in runs]).cast(
                pa.string()
            ),
            "skill_name": pa.array([name for part in self._parts for name in part.names], pa.string()),
            "cast_at_ms": pa.ListArray.from_arrays(
                pa.array(np.concatenate([[0], np.cumsum(casts)]).astype(np.int32)),
                pa.array(np.concatenate([part.cast_at_ms for part in self._parts]).astype(np.int32)),
                mask=pa.array(~np.concatenate([part.has_casts for part in self._parts])),
            ),
        }
        numbers = np.concatenate([part.numbers for part in self._parts], axis=1)
        for name, values in zip(SKILL_NUMBERS, numbers, strict=True):
            dtype = CORE_SKILLS.schema.field(name).type
            columns[name] = pa.array(values, mask=values == NULL).cast(dtype)
        rates = np.concatenate([part.rates for part in self._parts], axis=1)
        for name, values in zip(SKILL_RATES, rates, strict=True):
            columns[name] = pa.array(values, mask=np.isnan(values))
        return pa.table([columns[name] for name in CORE_SKILLS.names], schema=CORE_SKILLS.schema)


@dataclass
class LogHits:
    """The hits of one log in contract order: arrays by column, and where each (player, skill) run begins.

    ``runs`` holds (player name, skill id, number of hits) in order.
    """

    arrays: dict[str, np.ndarray] = field(
        default_factory=lambda: {name: np.empty(0, dtype) for name, dtype in HIT_DTYPES.items()}
    )
    runs: list[tuple[str, int, int]] = field(default_factory=list)


class HitRows:
    """Hits of many logs; ids are dictionary-encoded, since they repeat thousands of times."""

    def __init__(self) -> None:
        """An empty collection."""
        self._parts: list[LogHits] = []
        self._encounters: list[str] = []
        self._days: list[date] = []

    def add(self, encounter_id: str, day: date, hits: LogHits) -> None:
        """The hits of one log."""
        if not hits.runs:
            return
        self._parts.append(hits)
        self._encounters.append(encounter_id)
        self._days.append(day)

    def table(self) -> pa.Table:
        """All hits, sorted as the contract says."""
        if not self._parts:
            return CORE_HITS.empty()
        lengths = [len(part.arrays["damage"]) for part in self._parts]
        runs = [run for part in self._parts for run in part.runs]
        run_lengths = np.array([n for _, _, n in runs])
        columns = {
            "encounter_id": _repeated(self._encounters, lengths),
            "fight_date": _repeated(self._days, lengths, _DAY),
            "player_name": _repeated([name for name, _, _ in runs], run_lengths),
            "skill_id": pa.array(np.repeat(np.array([s for _, s, _ in runs], dtype=np.int64), run_lengths)),
        }
        for name in HIT_DTYPES:
            columns[name] = pa.array(np.concatenate([part.arrays[name] for part in self._parts]))
        # No column may be null, and files with that schema are read and written a sixth faster.
        schema = pa.schema([pa.field(name, columns[name].type, nullable=False) for name in CORE_HITS.names])
        return pa.table([columns[name] for name in CORE_HITS.names], schema=schema)


def _repeated(values: Sequence[Any], lengths: Any, dtype: pa.DataType = _TEXT) -> pa.DictionaryArray:
    dictionary = {value: code for code, value in enumerate(dict.fromkeys(values))}
    code = np.int16 if len(dictionary) <= np.iinfo(np.int16).max else np.int32
    codes = np.repeat(np.array([dictionary[v] for v in values], code), lengths)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(list(dictionary), dtype))


@dataclass
class Cleaned:
    """The rows that cleaning made of one batch of raw logs."""

    encounters: Rows = field(default_factory=lambda: Rows(CORE_ENCOUNTERS))
    players: Rows = field(default_factory=lambda: Rows(CORE_PLAYERS))
    skills: SkillRows = field(default_factory=SkillRows)
    hits: HitRows = field(default_factory=HitRows)
    quarantine: Rows = field(default_factory=lambda: Rows(CORE_QUARANTINE))
