"""The last look at the rows of one log: every value fits its column's contract. Pure.

A contract is checked over whole batches and blocks them; one log with an odd value must not keep the others
of its day out. What does not belong here: rules that know what a value means (``clean_meter``,
``clean_table``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import pyarrow as pa

from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.table import Column, Contract
from lostark_assets.core.rows import columns_of
from lostark_assets.errors import LogRejected

GIVEN = frozenset(
    "log_id encounter_id fight_date fight_id is_counted is_superseded source source_log_id log_format "
    "fetched_at clean_version cleaned_at clean_run_id".split()
)
"""Columns that come with the raw row or from the pass of cleaning, not from the log."""

_Check = tuple[str, Callable[[Any], bool], str, bool]


def check_limits(contract: Contract, rows: Iterable[Mapping[str, Any]], *, given: Iterable[str] = ()) -> None:
    """Refuse a log of which a row breaks ``contract``; columns that are ``given`` later may be missing.

    Raises:
        LogRejected: ``missing_field`` for a null that may not be, else ``impossible_value``.
    """
    rows = list(rows)
    if not rows:
        return
    checks, needed = _checks(contract.name, frozenset(given))
    columns = columns_of(rows, [name for name, *_ in checks])
    for (name, fits, expected, is_number), column in zip(checks, columns, strict=True):
        values = [value for value in column if value is not None] if None in column else column
        if not (_numbers_fit(values, fits) if is_number else all(map(fits, values))):
            row = next(row for row in rows if (value := row.get(name)) is not None and not fits(value))
            raise _refused("impossible_value", contract, row, name, expected)
    for name in needed:
        for row in rows:
            if row.get(name) is None:
                raise _refused("missing_field", contract, row, name, "a value")


def _numbers_fit(values: Sequence[Any], fits: Callable[[Any], bool]) -> bool:
    """Of numbers of one kind it is enough to look at the smallest and the largest."""
    if not values:
        return True
    if len(set(map(type, values))) > 1 or not math.isfinite(sum(values)):
        return all(map(fits, values))
    return fits(min(values)) and fits(max(values))


def _refused(
    reason: str, contract: Contract, row: Mapping[str, Any], name: str, expected: str
) -> LogRejected:
    place = [str(row[key])[:80] for key in ("player_name", "skill_id") if row.get(key) is not None]
    found = repr(row.get(name))
    found = found if len(found) <= 80 else f"{found[:77]}..."
    return LogRejected(
        reason, f"expected {name} {expected}, found {found}", ", ".join([contract.name, *place])
    )


@cache
def _checks(name: str, given: frozenset[str]) -> tuple[tuple[_Check, ...], tuple[str, ...]]:
    columns = [c for c in CONTRACTS[name].columns if c.name not in given]
    checks = [
        (c.name, *check, _is_number(c.dtype)) for c in columns if (check := _check(c, c.dtype)) is not None
    ]
    return tuple(checks), tuple(c.name for c in columns if not c.nullable)


def _is_number(dtype: pa.DataType) -> bool:
    return pa.types.is_integer(dtype) or pa.types.is_floating(dtype)


def _check(column: Column, dtype: pa.DataType) -> tuple[Callable[[Any], bool], str] | None:
    if pa.types.is_list(dtype):
        item = _check(column, dtype.value_type)
        return None if item is None else (_every(item[0]), f"of {item[1]} each")
    if pa.types.is_integer(dtype):
        return _integer(column, dtype.bit_width)
    if pa.types.is_floating(dtype):
        return _real(column)
    if pa.types.is_string(dtype):
        return _words(column)
    return None


def _every(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Of numbers it is enough to look at the smallest and the largest."""
    return lambda values: not values or (fits(min(values)) and fits(max(values)))


def _integer(column: Column, bits: int) -> tuple[Callable[[Any], bool], str]:
    low, high = _span(column, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return (lambda value: type(value) is int and low <= value <= high), f"in {low:,} to {high:,}"


def _real(column: Column) -> tuple[Callable[[Any], bool], str]:
    low, high = _span(column, -math.inf, math.inf)
    return (lambda value: math.isfinite(value) and low <= value <= high), f"in {low:g} to {high:g}"


def _span(column: Column, low: float, high: float) -> tuple[float, float]:
    return (
        low if column.minimum is None else column.minimum,
        high if column.maximum is None else column.maximum,
    )


def _words(column: Column) -> tuple[Callable[[Any], bool], str]:
    if column.allowed:
        words = frozenset(column.allowed)
        return words.__contains__, f"among {sorted(words)}"
    return _is_text, "to be UTF-8 text"


def _is_text(value: Any) -> bool:
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False
