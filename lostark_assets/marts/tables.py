"""The published tables: their columns and keys, derived from what the lake's contracts publish.

The DDL stands in the migrations, written out, since a migration must not change with the code; a test holds
the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.table import (
    BOOL,
    DAY,
    FLOAT,
    INSTANT,
    INT,
    SMALL,
    STRING,
    Contract,
    Published,
)

SCHEMA = "marts"
STEP_S = 10
"""Seconds per point of a published timeline."""

GATE_ID = ("gate_id", STRING)
_INTS, _LONGS, _FLOATS, _TEXTS = (pa.list_(dtype) for dtype in (SMALL, INT, FLOAT, STRING))
_POSTGRES_TYPES = {
    STRING: "text",
    INT: "bigint",
    SMALL: "integer",
    FLOAT: "double precision",
    BOOL: "boolean",
    INSTANT: "timestamptz",
    DAY: "date",
    _INTS: "integer[]",
    _LONGS: "bigint[]",
    _FLOATS: "double precision[]",
    _TEXTS: "text[]",
}


@dataclass(frozen=True, eq=False)
class Mart:
    """One published table."""

    name: str
    columns: tuple[tuple[str, pa.DataType], ...]
    key: tuple[str, ...]

    @property
    def table(self) -> str:
        """Its name with the schema."""
        return f"{SCHEMA}.{self.name}"

    @property
    def names(self) -> list[str]:
        """The column names in order."""
        return [name for name, _ in self.columns]

    @property
    def postgres_types(self) -> dict[str, str]:
        """Column name to PostgreSQL type."""
        return {name: _POSTGRES_TYPES[dtype] for name, dtype in self.columns}


def _published(table: str) -> tuple[tuple[str, pa.DataType], ...]:
    """Name and type of the table's published columns."""
    contract = CONTRACTS[table]
    assert contract.published is not None, table
    return tuple((c.name, c.dtype) for c in contract.published.select(contract.columns))


def _as_in_lake(contract: Contract, published: Published) -> Mart:
    """The mart of a table whose rows are published as they are."""
    more = (GATE_ID,) if published.has_gate_id else ()
    columns = (*_published(contract.name), *more)
    return Mart(published.mart, columns, contract.key)


ENCOUNTERS = Mart(
    "encounters",
    (
        *_published("core_encounters"),
        GATE_ID,
        ("week_started_at", INSTANT),
        ("deaths", INT),
    ),
    key=("encounter_id",),
)
FROM_CORE_PLAYERS = tuple(name for name, _ in _published("core_players"))
"""Columns of ``core_players`` that are published with a player's statistics."""

PLAYERS = Mart(
    "players",
    (
        *_published("stats_player_dps"),
        *_published("core_players"),
        GATE_ID,
    ),
    key=("encounter_id", "player_name"),
)
TIMELINES = Mart(
    "timelines",
    (
        *_published("stats_dps_timeline"),
        ("measured_by", STRING),
        ("dps", _LONGS),
        ("cumulative_damage", _LONGS),
    ),
    key=("encounter_id", "player_name"),
)
DAY_QUALITY = Mart(
    "day_quality",
    (
        ("fight_date", DAY),
        ("logs_passed", INT),
        ("logs_refused", INT),
        ("player_rows_passed", INT),
        ("player_rows_refused", INT),
        ("newest_fight_at", INSTANT),
        ("newest_fetch_at", INSTANT),
    ),
    key=("fight_date",),
)
DAY_QUARANTINE = Mart(
    "day_quarantine",
    (*_published("core_quarantine"), ("row_count", INT)),
    key=("fight_date", "scope", "reason_code"),
)
_COMPUTED = {mart.name: mart for mart in (ENCOUNTERS, PLAYERS, TIMELINES, DAY_QUALITY, DAY_QUARANTINE)}
"""Marts by fight day that join or aggregate tables of the lake (``frames``)."""

PUBLISHED: dict[str, Published] = {
    name: contract.published for name, contract in CONTRACTS.items() if contract.published is not None
}
"""What each published table of the lake gives to the marts."""

DAY_TABLES = tuple(name for name in PUBLISHED if CONTRACTS[name].grain == "day")
"""Tables of the lake behind the marts by fight day."""
COPIED_MARTS = {
    name: _as_in_lake(CONTRACTS[name], PUBLISHED[name])
    for name in DAY_TABLES
    if PUBLISHED[name].mart not in _COMPUTED
}
"""Marts by fight day that copy rows of one table, by the lake's table behind each."""
SKILLS = COPIED_MARTS["core_skills"]
DAY_MARTS = (*_COMPUTED.values(), *COPIED_MARTS.values())

WHOLE_MARTS = {
    name: _as_in_lake(CONTRACTS[name], published)
    for name, published in PUBLISHED.items()
    if CONTRACTS[name].grain == "whole"
}
"""Marts that are replaced completely, by lake table."""
DISTRIBUTIONS = WHOLE_MARTS["stats_dps_distribution"]
PROGRESSION = WHOLE_MARTS["stats_raid_progression"]
