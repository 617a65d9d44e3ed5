"""What a contract is: the columns, key and rules of one table of the lake.

A contract drives the writer (Arrow schema), the Great Expectations checks, the column schema in the Dagster
UI and the data dictionary. What does not belong here: the tables themselves (``raw``, ``core``, ``stats``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

STRING = pa.string()
INT = pa.int64()
SMALL = pa.int32()
FLOAT = pa.float64()
BOOL = pa.bool_()
INSTANT = pa.timestamp("us", tz="UTC")
DAY = pa.date32()


@dataclass(frozen=True)
class Column:
    """One column.

    ``minimum``/``maximum``/``allowed`` are what can be (breaking them blocks); ``odd_below``/``odd_above``
    mark what is odd but real (breaking them warns). ``unit`` is empty for names, ids and flags.
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


@dataclass(frozen=True, eq=False)
class Contract:
    """One table: ``row`` completes "one row is …"; ``key`` is unique; other rules are per column."""

    name: str
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition_by: tuple[str, ...] = ()
    notes: str = ""

    @property
    def layer(self) -> str:
        """The layer: raw, core, stats or ml."""
        return self.name.split("_", 1)[0]

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
