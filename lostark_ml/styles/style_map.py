"""The chart of play styles: each character on the two axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from lostark_assets.charts import finish
from lostark_ml.styles.clusters import StyleModel
from lostark_ml.styles.pages import describe_axes

if TYPE_CHECKING:
    import altair as alt
    import pyarrow as pa

MAX_POINTS = 600
NO_STYLE = "no style · 스타일 없음"
_SEED = 0
_MAX_TITLE, _TALLEST_TITLE = 70, 40
"""Characters that fit beside an axis of the chart."""


def draw_style_map(rows: pa.Table, model: StyleModel) -> alt.Chart:
    """Characters of ``ml_player_clusters`` by place, coloured by style; a sample where there are many."""
    import altair as alt  # noqa: PLC0415 - a second, only where a chart is drawn

    table = rows.select(["axis_1", "axis_2", "style"]).to_pandas().dropna(subset=["axis_1", "axis_2"])
    table = table.sample(MAX_POINTS, random_state=_SEED) if len(table) > MAX_POINTS else table
    table = table.assign(style=table["style"].astype(object).where(table["style"].notna(), NO_STYLE))
    order = sorted(table["style"].unique(), key=lambda name: (name == NO_STYLE, name))
    words = [*describe_axes(model), "", ""]
    points = (
        alt.Chart(pd.DataFrame(table))
        .mark_circle(size=30, opacity=0.6)
        .encode(
            x=alt.X("axis_1:Q", title=_title("axis 1 · 축 1", words[0], _MAX_TITLE)),
            y=alt.Y("axis_2:Q", title=_title("axis 2 · 축 2", words[1], _TALLEST_TITLE)),
            color=alt.Color("style:N", title=None, sort=order, legend=alt.Legend(labelLimit=300)),
        )
    )
    return finish(points, "How characters play · 플레이 스타일")


def _title(name: str, words: str, longest: int) -> str:
    text = f"{name}: {words}" if words else name
    return text if len(text) <= longest else text[: longest - 1] + "…"
