"""The rules of a contract, and how Arrow judges them.

The commit path judges with this module alone. ``suites`` makes a Great Expectations suite from the same
rules; a test breaks every rule of every contract and holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.arrow import decode
from lostark_assets.contracts.table import Column, Contract, describe_range

Severity = Literal["error", "warn"]
Kind = Literal["type", "not_null", "between", "in_set", "unique", "ordered", "sum"]
Mask: TypeAlias = pa.Array | pa.ChunkedArray


@dataclass(frozen=True)
class Rule:
    """One rule of a contract. ``optional``: columns of a sum of which a null counts as 0."""

    name: str
    severity: Severity
    kind: Kind
    columns: tuple[str, ...]
    dtype: pa.DataType | None = None
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Every column that the rule reads."""
        return (*self.columns, *self.optional)

    def holds(self, table: pa.Table) -> bool:
        """Whether no row breaks the rule; faster than looking for those rows."""
        column = table[self.columns[0]]
        match self.kind:
            case "type":
                return self.dtype is not None and get_family(column.type) == get_family(self.dtype)
            case "not_null":
                return column.null_count == 0
            case "between":
                return self._is_between(column)
            case "unique":
                return _has_unique_rows(table, self.columns)
            case _:
                return not _any(self.broken_by(table))

    def broken_by(self, table: pa.Table) -> Mask:
        """A mask of the rows that break the rule, without nulls."""
        column = table[self.columns[0]]
        mask: Mask
        match self.kind:
            case "type":
                mask = pa.repeat(pa.scalar(value=not self.holds(table)), table.num_rows)
            case "not_null":
                mask = pc.is_null(column)
            case "between":
                mask = self._outside(column)
            case "in_set":
                known = pc.is_in(decode(column), pa.array(self.allowed, pa.string()))
                mask = pc.and_(pc.is_valid(column), pc.invert(known))
            case "unique":
                mask = _repeated(table, self.columns)
            case "ordered":
                low, high = (_without_nan(table[name]) for name in self.columns)
                mask = pc.greater(low, high)
            case "sum":
                total, *parts = (table[name] for name in self.columns)
                optional = [pc.fill_null(table[name], 0) for name in self.optional]
                mask = pc.not_equal(reduce(pc.add, [*parts, *optional]), total)
        return pc.fill_null(mask, fill_value=False)

    def _is_between(self, column: pa.ChunkedArray) -> bool:
        if pa.types.is_list(column.type):
            return not _any(self._outside(column))
        extremes = pc.min_max(column)
        low, high = extremes["min"].as_py(), extremes["max"].as_py()
        if low is None:
            return True
        # The extremes of floats leave NaN out; their sum does not.
        is_number = not pa.types.is_floating(column.type) or np.isfinite(pc.sum(column).as_py())
        if is_number and low >= self.minimum and high <= self.maximum:
            return True
        return not _any(self._outside(column))

    def _outside(self, column: pa.ChunkedArray) -> Mask:
        """Rows with a number, or an item of a list, outside the bounds; NaN is outside any."""
        if pa.types.is_list(column.type):
            lists = column.combine_chunks()
            lists = pa.concat_arrays(lists.chunks) if isinstance(lists, pa.ChunkedArray) else lists
            outside = self._outside(pa.chunked_array([pc.list_flatten(lists)]))
            broken = np.zeros(len(lists), dtype=bool)
            broken[pc.list_parent_indices(lists).filter(outside).to_numpy(zero_copy_only=False)] = True
            return pa.array(broken)
        inside = pc.and_(
            pc.greater_equal(column, pa.scalar(self.minimum)), pc.less_equal(column, pa.scalar(self.maximum))
        )
        return pc.fill_null(pc.invert(inside), fill_value=False)


@cache
def get_rules(contract: Contract) -> tuple[Rule, ...]:
    """Every rule of a contract."""
    rules = [rule for column in contract.columns for rule in _column_rules(column)]
    if contract.key:
        rules.append(Rule(f"({', '.join(contract.key)}) is unique", "error", "unique", contract.key))
    for relation in contract.relations:
        if relation.kind == "ordered":
            name = " is at most ".join(relation.columns)
        else:
            total, *parts = (*relation.columns, *relation.optional)
            name = f"{total} is the sum of {', '.join(parts)}"
        rules.append(Rule(name, "error", relation.kind, relation.columns, optional=relation.optional))
    return tuple(rules)


def _column_rules(column: Column) -> Iterator[Rule]:
    name = column.name
    yield Rule(f"{name} has type {column.dtype}", "error", "type", (name,), dtype=column.dtype)
    if not column.nullable:
        yield Rule(f"{name} is never null", "error", "not_null", (name,))
    if column.allowed:
        yield Rule(f"{name} is one of its words", "error", "in_set", (name,), allowed=column.allowed)
    if column.is_bounded or pa.types.is_floating(column.value_type):
        low, high = column.bounds
        text = describe_range(column.minimum, column.maximum)
        yield Rule(f"{name} is {text}", "error", "between", (name,), minimum=low, maximum=high)
    if column.odd_below is not None or column.odd_above is not None:
        low, high = column.bounds
        yield Rule(
            f"{name} is {describe_range(column.odd_below, column.odd_above)}",
            "warn",
            "between",
            (name,),
            minimum=low if column.odd_below is None else column.odd_below,
            maximum=high if column.odd_above is None else column.odd_above,
        )


def get_family(dtype: pa.DataType) -> str:
    """What the values of a type are, whatever their width and encoding; types of a family pass."""
    types = pa.types
    if types.is_dictionary(dtype) or types.is_list(dtype):
        inner = get_family(dtype.value_type)
        return f"list of {inner}" if types.is_list(dtype) else inner
    families: tuple[tuple[str, tuple[Any, ...]], ...] = (
        ("text", (types.is_string, types.is_large_string)),
        ("integer", (types.is_integer,)),
        ("float", (types.is_floating,)),
        ("flag", (types.is_boolean,)),
        ("date", (types.is_date,)),
        ("instant", (types.is_timestamp,)),
        ("bytes", (types.is_binary, types.is_large_binary)),
    )
    return next((name for name, tests in families if any(test(dtype) for test in tests)), str(dtype))


def _without_nan(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers in which NaN is infinite, as in ``suites.build_frame``."""
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.is_nan(column), pa.scalar(float("inf")), column)


def _any(mask: Mask) -> bool:
    return bool(pc.any(mask).as_py())


def _has_unique_rows(table: pa.Table, key: tuple[str, ...]) -> bool:
    """Whether no two rows share the key.

    Rows come in runs of the leading key columns with the last one ascending wherever a loop numbers them (a
    player's seconds): then it is enough that no run comes twice, which spares hashing millions of keys.
    """
    columns = [table[name].combine_chunks() for name in key]
    if len(key) > 1 and table.num_rows > 1 and pa.types.is_integer(columns[-1].type):
        *leading, last = columns
        changes = [pc.not_equal(column.slice(1), column.slice(0, len(column) - 1)) for column in leading]
        begins = pc.fill_null(reduce(pc.or_, changes), fill_value=True)
        rises = pc.greater(last.slice(1), last.slice(0, len(last) - 1))
        if pc.all(pc.or_(begins, pc.fill_null(rises, fill_value=False))).as_py():
            starts = np.flatnonzero(np.append(True, begins.to_numpy(zero_copy_only=False)))
            runs = table.select(key[:-1]).take(pa.array(starts))
            if _count_distinct(runs) == runs.num_rows:
                return True
    return _count_distinct(table.select(key)) == table.num_rows


def _count_distinct(table: pa.Table) -> int:
    return table.group_by(table.column_names).aggregate([]).num_rows


def _repeated(table: pa.Table, key: tuple[str, ...]) -> Mask:
    keys = table.select(key).append_column("at", pa.array(np.arange(table.num_rows)))
    groups = keys.group_by(list(key), use_threads=False).aggregate([("at", "list")])["at_list"]
    broken = np.zeros(table.num_rows, dtype=bool)
    several = groups.filter(pc.greater(pc.list_value_length(groups), 1))
    broken[pc.list_flatten(several).to_numpy()] = True
    return pa.array(broken)
