"""The engines for statistics across fights, and conversions between their frames.

Statistics across fights are written once, as Narwhals expressions; every engine gives the same numbers. Arrow
tables are the common interface: every public function of ``stats`` returns one, for ``contract.conform``.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import narwhals as nw
import pandas as pd
import pyarrow as pa

from lostark_assets.arrow import plain

Engine = Literal["pandas", "polars"]
ENGINES: tuple[str, ...] = get_args(Engine)


def to_engine(frame: Any, engine: Engine) -> nw.DataFrame:
    """Convert ``frame`` (Arrow, pandas, polars or Narwhals) to a Narwhals frame of ``engine``.

    Dictionary columns become plain strings, so that joins and comparisons mean the same on every engine.

    Raises:
        ValueError: no such engine.
    """
    if engine == "pandas":
        return nw.from_native(to_pandas(plain(to_arrow(frame))), eager_only=True)
    if engine == "polars":
        import polars as pl  # noqa: PLC0415  half a second that the pandas engine does not need

        is_its_own = isinstance(frame, pl.DataFrame)
        return nw.from_native(frame if is_its_own else pl.from_arrow(plain(to_arrow(frame))), eager_only=True)
    message = f"there is no engine {engine!r}; choose one of {', '.join(ENGINES)}"
    raise ValueError(message)


def to_arrow(frame: Any) -> pa.Table:
    """Any of the frames as an Arrow table, without an index."""
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pd.DataFrame):
        return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    return nw.from_native(frame, eager_only=True, pass_through=False).to_arrow().replace_schema_metadata(None)


def to_pandas(frame: Any) -> pd.DataFrame:
    """Any of the frames as pandas with Arrow dtypes."""
    if isinstance(frame, pd.DataFrame):
        return frame
    return to_arrow(frame).to_pandas(types_mapper=pd.ArrowDtype)


def combine_key(*columns: str) -> nw.Expr:
    """One text that is equal if all ``columns`` are equal, null being a value of its own.

    Engines disagree on nulls in keys of groups, windows and joins; texts without nulls behave alike.
    """
    parts = [nw.col(column).cast(nw.String()).fill_null("\x00") for column in columns]
    return nw.concat_str(parts, separator="\x1f")


def is_true(expression: nw.Expr) -> nw.Expr:
    """``expression`` with null as false."""
    return expression.fill_null(value=False)


def where(condition: nw.Expr, value: nw.Expr) -> nw.Expr:
    """``value`` where ``condition`` holds, null elsewhere and where the condition is unknown."""
    return nw.when(is_true(condition)).then(value)


def ratio(value: nw.Expr, base: nw.Expr) -> nw.Expr:
    """``value / base`` as a float; null where ``base`` is not above zero."""
    return value.cast(nw.Float64()) / where(base > 0, base).cast(nw.Float64())
