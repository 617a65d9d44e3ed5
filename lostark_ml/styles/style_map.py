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
_MAX_TITLE, _MAX_VERTICAL_TITLE = 70, 40
"""Maximum lengths of axis titles, in characters."""


def draw_style_map(rows: pa.Table, model: StyleModel) -> alt.Chart:
    """Characters of ``ml_player_clusters`` by place, coloured by style; a sample where there are many."""
    import altair as alt  # noqa: PLC0415 - a second, only where a chart is drawn

    table = rows.select(["axis_1", "axis_2", "style"]).to_pandas().dropna(subset=["axis_1", "axis_2"])
    table = table.sample(MAX_POINTS, random_state=_SEED) if len(table) > MAX_POINTS else table
    table = table.assign(style=table["style"].astype(object).where(table["style"].notna(), NO_STYLE))
    order = sorted(table["style"].unique(), key=lambda name: (name == NO_STYLE, name))
    descriptions = [*describe_axes(model), "", ""]
    points = (
        alt.Chart(pd.DataFrame(table))
        .mark_circle(size=30, opacity=0.6)
        .encode(
            x=alt.X("axis_1:Q", title=_title("axis 1 · 축 1", descriptions[0], _MAX_TITLE)),
            y=alt.Y("axis_2:Q", title=_title("axis 2 · 축 2", descriptions[1], _MAX_VERTICAL_TITLE)),
            color=alt.Color("style:N", title=None, sort=order, legend=alt.Legend(labelLimit=300)),
        )
    )
    return finish(points, "How characters play · 플레이 스타일")


def _title(name: str, description: str, max_length: int) -> str:
    text = f"{name}: {description}" if description else name
    return text if len(text) <= max_length else text[: max_length - 1] + "…"
