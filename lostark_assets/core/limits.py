"""The final check of one log's rows: every value fits its column's contract. Pure.

Contracts are checked over whole batches and block them; one log with an odd value must not block the other
logs of its day.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import cache, partial
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pyarrow as pa

from lostark_assets.contracts.core import CORE_SKILLS
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.table import Column, Contract, describe_range
from lostark_assets.core.rows import NULL, SKILL_NUMBERS, Columns, LogSkills, transpose_rows
from lostark_assets.errors import LogRejected

GIVEN = frozenset(
    "log_id encounter_id fight_date fight_id is_counted is_superseded source source_log_id log_format "
    "fetched_at clean_version cleaned_at clean_run_id".split()
)
"""Columns that come from the raw row or the cleaning run, not from the log."""

CONTROL = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")
"""Characters that neither PostgreSQL nor SVG can hold, and no name of the game has."""
_INT32 = np.iinfo(np.int32)
_Fits = Callable[[Any], bool]
_Check = tuple[_Fits, Callable[[Sequence[Any]], bool], str]
"""Whether one value fits, whether all of a column do (at once, which is cheaper), and what was expected."""


def check_limits(contract: Contract, columns: Columns, *, given: Iterable[str] = ()) -> None:
    """Refuse a log if one of its rows breaks ``contract``; columns that are ``given`` later may be missing.

    Raises:
        LogRejected: ``missing_field`` for a null that may not be, else ``impossible_value``.
    """
    if not any(map(len, columns.values())):
        return
    checks, needed = _checks(contract.name, frozenset(given))
    for name, fits, all_fit, expected in checks:
        column = columns.get(name, ())
        values = [value for value in column if value is not None] if None in column else column
        if not all_fit(values):
            place = next(i for i, value in enumerate(column) if value is not None and not fits(value))
            raise _refused("impossible_value", contract, columns, place, name, expected)
    for name in needed:
        column = columns.get(name, (None,))
        if None in column:
            raise _refused("missing_field", contract, columns, column.index(None), name, "a value")


def check_rows(
    contract: Contract, rows: Sequence[Mapping[str, Any]], *, given: frozenset[str] = frozenset()
) -> None:
    """The same for rows. msgspec accepts nearly all of them in one call; only the others are checked singly.

    Raises:
        LogRejected: as of :func:`check_limits`.
    """
    if not _are_valid(rows, _row_type(contract.name, given)):
        check_limits(contract, transpose_rows(rows, contract.names), given=given)


def _are_valid(rows: Sequence[Mapping[str, Any]], row_type: Any) -> bool:
    """Whether all rows certainly fit; stricter than ``check_limits``."""
    try:
        msgspec.convert(rows, row_type)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return False
    return _is_text("".join([value for row in rows for value in row.values() if type(value) is str]))


@cache
def _row_type(name: str, given: frozenset[str]) -> Any:
    """Rows of a contract as msgspec checks them."""
    columns = [c for c in CONTRACTS[name].columns if c.name not in given]
    fields = [
        (c.name, _value_type(c, c.dtype) | None, None) if c.nullable else (c.name, _value_type(c, c.dtype))
        for c in columns
    ]
    return list[msgspec.defstruct("Row", fields, kw_only=True, gc=False)]  # type: ignore[misc]  # the item type is made at run time


def _value_type(column: Column, dtype: pa.DataType) -> Any:
    if pa.types.is_list(dtype):
        return list[_value_type(column, dtype.value_type)]  # type: ignore[misc]  # the same
    if pa.types.is_integer(dtype):
        low, high = column.bounds
        return Annotated[int, msgspec.Meta(ge=math.ceil(low), le=math.floor(high))]
    if pa.types.is_floating(dtype):
        low, high = column.bounds
        return Annotated[float, msgspec.Meta(ge=low, le=high)]
    if pa.types.is_string(dtype):
        return Literal[column.allowed] if column.allowed else str
    return bool if pa.types.is_boolean(dtype) else date if pa.types.is_date(dtype) else datetime


def check_skills(skills: LogSkills) -> None:
    """The same for the skills of a log, which are arrays; they are only checked singly if one does not fit.

    Raises:
        LogRejected: as of :func:`check_limits`.
    """
    low, high = _spans_of_skills()
    numbers, casts = skills.numbers, skills.cast_at_ms
    fit = ((numbers >= low) & (numbers <= high) | (numbers == NULL)).all()
    fit = fit and (not casts.size or (casts.min() >= _INT32.min and casts.max() <= _INT32.max))
    if not (fit and _is_text("".join(filter(None, skills.names)))):
        check_limits(CORE_SKILLS, skills.columns(), given=GIVEN)


@cache
def _spans_of_skills() -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest of each of SKILL_NUMBERS."""
    columns = [CORE_SKILLS.by_name[name] for name in SKILL_NUMBERS]
    spans = [(0, 1) if pa.types.is_boolean(column.dtype) else column.bounds for column in columns]
    low, high = np.array(spans, np.int64).T
    return low[:, None], high[:, None]


def _refused(
    reason: str, contract: Contract, columns: Columns, place: int, name: str, expected: str
) -> LogRejected:
    keys = [columns[key][place] for key in ("player_name", "skill_id") if key in columns]
    shown = [str(key)[:80] for key in keys if key is not None]
    found = repr(columns[name][place] if name in columns else None)
    found = found if len(found) <= 80 else f"{found[:77]}..."
    return LogRejected(
        reason, f"expected {name} {expected}, found {found}", ", ".join([contract.name, *shown])
    )


@cache
def _checks(name: str, given: frozenset[str]) -> tuple[tuple[tuple[str, *_Check], ...], tuple[str, ...]]:
    columns = [c for c in CONTRACTS[name].columns if c.name not in given]
    checks = [(c.name, *check) for c in columns if (check := _check(c, c.dtype)) is not None]
    return tuple(checks), tuple(c.name for c in columns if not c.nullable)


def _check(column: Column, dtype: pa.DataType) -> _Check | None:
    if pa.types.is_list(dtype):
        item = _check(column, dtype.value_type)
        return None if item is None else _lists(item)
    if pa.types.is_integer(dtype):
        return _integers(column)
    if pa.types.is_floating(dtype):
        return _reals(column)
    if pa.types.is_string(dtype):
        return _texts(column)
    return None


def _lists(item: _Check) -> _Check:
    fits, _, expected = item

    def every_fits(values: Sequence[Any]) -> bool:
        """For numbers, checking the smallest and the largest suffices."""
        return not values or (fits(min(values)) and fits(max(values)))

    return every_fits, lambda lists: all(map(every_fits, lists)), f"of {expected} each"


def _integers(column: Column) -> _Check:
    low, high = column.bounds

    def fits(value: Any) -> bool:
        return type(value) is int and low <= value <= high

    return fits, partial(_numbers_fit, fits), f"in {low:,} to {high:,}"


def _reals(column: Column) -> _Check:
    low, high = column.bounds

    def fits(value: Any) -> bool:
        return math.isfinite(value) and low <= value <= high

    return fits, partial(_numbers_fit, fits), describe_range(column.minimum, column.maximum)


def _numbers_fit(fits: _Fits, values: Sequence[Any]) -> bool:
    """For numbers of one type, checking the smallest and the largest suffices."""
    if not values:
        return True
    if len(set(map(type, values))) > 1 or not math.isfinite(sum(values)):
        return all(map(fits, values))
    return fits(min(values)) and fits(max(values))


def _texts(column: Column) -> _Check:
    if column.allowed:
        allowed = frozenset(column.allowed)
        return allowed.__contains__, allowed.issuperset, f"among {sorted(allowed)}"
    return _is_text, lambda texts: _is_text("".join(texts)), "to be UTF-8 text without control characters"


def _is_text(value: Any) -> bool:
    try:
        return not CONTROL.search(value) and (value.isascii() or bool(value.encode()))
    except UnicodeEncodeError:
        return False
