"""Charts as SVG, rendered on the server from the chart definitions that Dagster's metadata uses too.

Their colours are CSS variables: as an image a chart follows the reader's light or dark mode, and inside a
page it takes the page's colours. No script is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from lostark_api.http.language import KOREAN
from lostark_api.pages.translations import translate
from lostark_assets.charts import BAD, DIM, GOOD, GRID, INK, SERIES, ChartStyle

if TYPE_CHECKING:
    import altair as alt

WIDTHS = (360, 520, 960)
SVG_TYPE = "image/svg+xml"
_LIGHT = {"ink": INK, "dim": DIM, "grid": GRID, "good": GOOD, "bad": BAD} | {
    str(i + 1): color for i, color in enumerate(SERIES)
}
_DARK = {
    "ink": "#dfe3e7", "dim": "#9aa3ad", "grid": "#2c323a", "good": "#4fc39c", "bad": "#f07f77",
    "1": "#6fa8e5", "2": "#f08b52", "3": "#4fc39b", "4": "#bf92dc", "5": "#dcb43e", "6": "#ee84ac",
    "7": "#8bcb66", "8": "#aab3bd",
}  # fmt: skip
_executor = ThreadPoolExecutor(1, thread_name_prefix="charts")
"""One chart at a time: rendering is CPU-bound, and its JavaScript engine has one thread."""


def _variables(colors: dict[str, str]) -> str:
    return "".join(f"--chart-{name}:{color};" for name, color in colors.items())


_STYLE = (
    f"<style>:root{{{_variables(_LIGHT)}}}"
    f"@media(prefers-color-scheme:dark){{:root{{{_variables(_DARK)}}}}}</style>"
)


def get_style(width: int, language: str) -> ChartStyle:
    """The style of a chart on a page: Korean counts damage in 억, English in millions."""
    return ChartStyle(
        width=width,
        per=1e8 if language == KOREAN else 1e6,
        dps=translate(language, "chart.dps"),
        second=translate(language, "chart.second"),
        is_page=True,
    )


async def render_chart(draw: Callable[[], alt.Chart]) -> bytes:
    """The chart that ``draw`` makes, as SVG, without blocking the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_executor, _render, draw)


def _render(draw: Callable[[], Any]) -> bytes:
    import vl_convert  # noqa: PLC0415 - a JavaScript engine, loaded with the first chart

    return add_theme(vl_convert.vegalite_to_svg(draw().to_dict(validate=False))).encode()


def add_theme(svg: str) -> str:
    """``svg`` with its colours as variables, light by default and dark where the reader prefers it."""
    for name, color in _LIGHT.items():
        svg = svg.replace(f'"{color}"', f'"var(--chart-{name},{color})"')
    opening = svg.index(">", svg.index("<svg")) + 1
    return svg[:opening] + _STYLE + svg[opening:]
