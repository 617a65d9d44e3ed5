"""Columns, key, rules, storage and publication of one table of the lake: a contract.

Everything that differs from table to table and is no computation stands in its contract. Writer, checks,
jobs, marts, the column schema in the Dagster UI and the data dictionary derive from it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import pyarrow as pa

STRING = pa.string()
INT = pa.int64()
SMALL = pa.int32()
FLOAT = pa.float64()
BOOL = pa.bool_()
INSTANT = pa.timestamp("us", tz="UTC")
DAY = pa.date32()

Grain = Literal["day", "source", "whole"]
"""What one write replaces or adds to: a fight day, a source of logs, or the whole table."""
_PARTITION_BY: dict[Grain, tuple[str, ...]] = {"day": ("fight_date",), "source": ("source",), "whole": ()}


@dataclass(frozen=True)
class Column:
    """One column.

    ``minimum``/``maximum``/``allowed`` are hard limits (breaking them blocks); ``odd_below``/``odd_above``
    mark implausible but real values (breaking them warns). ``allowed`` closes a vocabulary: cleaning gives
    null for a word outside it. ``unit`` is empty for names, ids and flags. ``personal`` columns are erased
    with a player: a name is replaced, an identifier becomes null.
    """

    name: str
    dtype: pa.DataType
    description: str
    unit: str = ""
    nullable: bool = True
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] | None = None
    odd_below: float | None = None
    odd_above: float | None = None
    personal: Literal["name", "identifier"] | None = None

    @property
    def value_type(self) -> pa.DataType:
        """The type of a value; of a list column, of an item."""
        return self.dtype.value_type if pa.types.is_list(self.dtype) else self.dtype

    @property
    def is_bounded(self) -> bool:
        """Whether the contract itself limits the numbers of this column."""
        return self.minimum is not None or self.maximum is not None

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest number of the column: the contract's, else the type's.

        The largest finite number bounds a float column, so NaN and infinity always break a bound.

        Raises:
            TypeError: the column holds no numbers.
        """
        dtype = self.value_type
        low: float
        high: float
        if pa.types.is_integer(dtype):
            low, high = -(2 ** (dtype.bit_width - 1)), 2 ** (dtype.bit_width - 1) - 1
        elif pa.types.is_floating(dtype):
            low, high = -sys.float_info.max, sys.float_info.max
        else:
            raise TypeError(f"{self.name}: {dtype} has no bounds")
        return (
            low if self.minimum is None else self.minimum,
            high if self.maximum is None else self.maximum,
        )

    def describe_limits(self) -> Iterator[str]:
        """The hard limits as text, for the column schema in the Dagster UI."""
        if self.is_bounded:
            yield describe_range(self.minimum, self.maximum)
        if self.allowed:
            yield f"one of {', '.join(self.allowed)}"


def describe_range(low: float | None, high: float | None) -> str:
    """A range of numbers as text, such as ``at least 0`` or ``0…1``."""
    if high is None:
        return "finite" if low is None else f"at least {low:g}"
    return f"at most {high:g}" if low is None else f"{low:g}…{high:g}"


@dataclass(frozen=True)
class Storage:
    """How the Parquet files of a table are written.

    ``sorted_by`` is the order that writers keep and readers rely on. ``row_group_bytes`` limits row groups of
    a table with large rows, whose sizes are in ``size_column``. A ``compressed_column`` that is compressed
    already is stored as it is.
    """

    sorted_by: tuple[str, ...] = ()
    dictionary: tuple[str, ...] = ()
    byte_stream_split: tuple[str, ...] = ()
    compression: str = "lz4"
    compression_level: int | None = None
    statistics: bool = False
    row_group_rows: int | None = None
    row_group_bytes: int | None = None
    size_column: str | None = None
    compressed_column: str | None = None


@dataclass(frozen=True)
class Published:
    """Which columns of a table are published, and to which mart: ``only`` these, or all ``without`` those.

    With ``is_complete`` every row is published; otherwise only rows of logs that have statistics.
    """

    mart: str
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    has_gate_id: bool = False
    is_complete: bool = True

    def select(self, columns: tuple[Column, ...]) -> tuple[Column, ...]:
        """The published ones of a table's columns, in their order."""
        return tuple(
            c for c in columns if c.name not in self.without and (not self.only or c.name in self.only)
        )


@dataclass(frozen=True)
class Relation:
    """A rule between columns of one row; rows in which one of ``columns`` is null are exempt.

    ``ordered``: the first column is at most the second. ``sum``: the first column is the sum of the others
    and of the ``optional`` ones, of which a null counts as 0.
    """

    kind: Literal["ordered", "sum"]
    columns: tuple[str, ...]
    optional: tuple[str, ...] = ()


def ordered(low: str, high: str) -> Relation:
    """One column is at most the other."""
    return Relation("ordered", (low, high))


def sums_to(total: str, *parts: str, optional: tuple[str, ...] = ()) -> Relation:
    """The parts sum exactly to the total."""
    return Relation("sum", (total, *parts), optional)


@dataclass(frozen=True, eq=False)
class Contract:
    """One table: ``row`` completes "one row is …"; ``key`` is unique; other rules are per column or relation.

    ``is_compacted``: the table gains a small file with every collection, and upkeep joins them.
    ``keeps_every_version``: a model may have been trained on any version, so the log is never cleaned up.
    ``preview``: columns shown with a materialisation (none: all).
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    grain: Grain = "whole"
    notes: str = ""
    relations: tuple[Relation, ...] = ()
    storage: Storage = field(default_factory=Storage)
    published: Published | None = None
    is_compacted: bool = False
    keeps_every_version: bool = False
    preview: tuple[str, ...] = ()

    @property
    def layer(self) -> str:
        """The layer: raw, core, stats or ml."""
        return self.name.split("_", 1)[0]

    @property
    def partition_by(self) -> tuple[str, ...]:
        """The columns that the table is partitioned by in the lake."""
        return _PARTITION_BY[self.grain]

    @property
    def preview_columns(self) -> list[str]:
        """The columns shown with a materialisation."""
        return list(self.preview or self.names)

    @property
    def binary_columns(self) -> list[str]:
        """Columns of raw bytes, which are large and never needed to judge a table."""
        return [c.name for c in self.columns if pa.types.is_large_binary(c.dtype)]

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema that every committed frame has, columns in this order."""
        return pa.schema([pa.field(c.name, c.dtype, nullable=c.nullable) for c in self.columns])

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """The columns by name."""
        return {c.name: c for c in self.columns}

    @property
    def names(self) -> list[str]:
        """The column names in order."""
        return [c.name for c in self.columns]

    def empty(self) -> pa.Table:
        """A table of no rows."""
        return self.schema.empty_table()

    def conform(self, table: pa.Table) -> pa.Table:
        """``table`` with exactly the contract's columns and types.

        A column that the table lacks becomes null; one that the contract lacks is an error.

        Raises:
            KeyError: the table has a column that is not in the contract.
            pa.ArrowInvalid: a value does not fit its column's type.
        """
        extra = set(table.column_names) - set(self.by_name)
        if extra:
            raise KeyError(f"{self.name}: columns {sorted(extra)} are not in the contract")
        arrays = []
        for name, dtype in zip(self.schema.names, self.schema.types, strict=True):
            if name in table.column_names:
                column = table[name]
                arrays.append(column if column.type == dtype else column.cast(dtype))
            else:
                arrays.append(pa.nulls(table.num_rows, dtype))
        return pa.table(arrays, names=self.schema.names)


def concat(*groups: tuple[Column, ...]) -> tuple[Column, ...]:
    """Column groups in one tuple; groups are shared by tables that carry the same quantity."""
    return tuple(c for group in groups for c in group)
