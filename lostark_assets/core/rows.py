"""Collecting cleaned rows column by column, and hits array by array, into Arrow tables.

What does not belong here: what the values are (``clean_meter``, ``clean_table``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from itertools import repeat
from operator import itemgetter
from types import MappingProxyType
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

HIT_DTYPES = {
    "hit_at_ms": np.int32,
    "damage": np.int64,
    "is_crit": np.bool_,
    "is_back_attack": np.bool_,
    "is_front_attack": np.bool_,
}


Columns = Mapping[str, Sequence[Any]]
"""Rows as one sequence of values a column, all of one length; a column that is missing is null."""


def columns_of(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """The values of each of ``names`` over ``rows``, None where a row lacks it."""
    told = [name for name in names if rows and name in rows[0]]
    columns: dict[str, Sequence[Any]] = {}
    if len(told) > 1:
        with suppress(KeyError):
            columns = dict(zip(told, zip(*map(itemgetter(*told), rows), strict=True), strict=True))
    return columns | {name: [row.get(name) for row in rows] for name in names if name not in columns}


class Rows:
    """Rows of one contract, kept as one list a column."""

    def __init__(self, contract: Contract) -> None:
        """An empty collection."""
        self._contract = contract
        self._columns: dict[str, list[Any]] = {name: [] for name in contract.names}
        self.count = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """One row; a column that it lacks is null."""
        for name, values in self._columns.items():
            values.append(row.get(name))
        self.count += 1

    def add_all(
        self, rows: Sequence[Mapping[str, Any]], same: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """Rows, and what is the same in all of them; columns that they lack are null."""
        self.add_columns(columns_of(rows, self._contract.names), same)

    def add_columns(self, columns: Columns, same: Mapping[str, Any] = MappingProxyType({})) -> None:
        """The same of rows that are columns already."""
        count = max(map(len, columns.values()), default=0)
        for name, values in self._columns.items():
            if name in same:
                values.extend(repeat(same[name], count))
            else:
                values.extend(columns[name] if name in columns else repeat(None, count))
        self.count += count

    def table(self) -> pa.Table:
        """The rows as a table of the contract's schema.

        Raises:
            pa.ArrowInvalid: a value does not fit its column's type.
        """
        schema = self._contract.schema
        return pa.table([pa.array(self._columns[f.name], f.type) for f in schema], schema=schema)


@dataclass
class LogHits:
    """The hits of one log in contract order: arrays by column, and where each (player, skill) run begins.

    ``runs`` holds (player name, skill id, number of hits) in order.
    """

    arrays: dict[str, np.ndarray]
    runs: list[tuple[str, int, int]]


class HitRows:
    """Hits of many logs; ids are dictionary-encoded, since they repeat thousands of times."""

    def __init__(self) -> None:
        """An empty collection."""
        self._parts: list[LogHits] = []
        self._encounters: list[str] = []
        self._days: list[date] = []
        self.count = 0

    def add(self, encounter_id: str, day: date, hits: LogHits) -> None:
        """The hits of one log."""
        if not hits.runs:
            return
        self._parts.append(hits)
        self._encounters.append(encounter_id)
        self._days.append(day)
        self.count += len(hits.arrays["damage"])

    def table(self) -> pa.Table:
        """All hits, sorted as the contract says."""
        if not self._parts:
            return CORE_HITS.empty()
        lengths = [len(part.arrays["damage"]) for part in self._parts]
        runs = [run for part in self._parts for run in part.runs]
        run_lengths = np.array([n for _, _, n in runs])
        columns = {
            "encounter_id": _repeated(self._encounters, lengths),
            "fight_date": _repeated_days(self._days, lengths),
            "player_name": _repeated([name for name, _, _ in runs], run_lengths),
            "skill_id": pa.array(np.repeat(np.array([s for _, s, _ in runs], dtype=np.int64), run_lengths)),
        }
        for name in HIT_DTYPES:
            columns[name] = pa.array(np.concatenate([part.arrays[name] for part in self._parts]))
        return pa.table({name: columns[name] for name in CORE_HITS.names})


def _repeated(values: list[str], lengths: Any) -> pa.DictionaryArray:
    dictionary = {value: code for code, value in enumerate(dict.fromkeys(values))}
    codes = np.repeat(np.array([dictionary[v] for v in values], dtype=np.int32), lengths)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(list(dictionary), pa.string()))


def _repeated_days(days: list[date], lengths: list[int]) -> pa.Array:
    since_epoch = np.array([(day - date(1970, 1, 1)).days for day in days], dtype=np.int32)
    return pa.array(np.repeat(since_epoch, lengths)).view(pa.date32())


@dataclass
class Cleaned:
    """Everything that one pass of cleaning made of some raw logs."""

    encounters: Rows = field(default_factory=lambda: Rows(CORE_ENCOUNTERS))
    players: Rows = field(default_factory=lambda: Rows(CORE_PLAYERS))
    skills: Rows = field(default_factory=lambda: Rows(CORE_SKILLS))
    hits: HitRows = field(default_factory=HitRows)
    quarantine: Rows = field(default_factory=lambda: Rows(CORE_QUARANTINE))
