"""Arrow types: the same values in their plain encoding."""

from __future__ import annotations

import pyarrow as pa


def decode(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """``column`` with one type for strings: no dictionary, no large or view strings."""
    dtype = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype):
        dtype = pa.string()
    return column if dtype == column.type else column.cast(dtype)


def plain(table: pa.Table) -> pa.Table:
    """``table`` with each column decoded."""
    for place, name in enumerate(table.column_names):
        column = table.column(place)
        if (decoded := decode(column)) is not column:
            table = table.set_column(place, name, decoded)
    return table
