"""Charts as SVG in the page's colours: the definitions of Dagster's metadata, drawn on the server.

A picture shows by itself, without a script and in the reader's light or dark, since it brings its colours as
variables; inside a page it takes the page's. What does not belong here: what a chart shows
(``lostark_assets.charts``), and asking for data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from lostark_api.http.language import KOREAN
from lostark_api.pages.translations import words
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
_drawing = ThreadPoolExecutor(1, thread_name_prefix="pictures")
"""One picture at a time: drawing is work of the processor, and the engine behind it has one thread."""


def _variables(colors: dict[str, str]) -> str:
    return "".join(f"--chart-{name}:{color};" for name, color in colors.items())


_STYLE = (
    f"<style>:root{{{_variables(_LIGHT)}}}"
    f"@media(prefers-color-scheme:dark){{:root{{{_variables(_DARK)}}}}}</style>"
)


def get_style(width: int, language: str) -> ChartStyle:
    """The style of a page's chart: Korean counts damage in 억, English in millions."""
    return ChartStyle(
        width=width,
        per=1e8 if language == KOREAN else 1e6,
        dps=words(language, "chart.dps"),
        second=words(language, "chart.second"),
        is_page=True,
    )


async def picture(draw: Callable[[], alt.Chart]) -> bytes:
    """What ``draw`` makes, as SVG; the server goes on meanwhile."""
    return await asyncio.get_running_loop().run_in_executor(_drawing, _drawn, draw)


def _drawn(draw: Callable[[], Any]) -> bytes:
    import vl_convert  # noqa: PLC0415 - a JavaScript engine, loaded by the first picture

    return themed(vl_convert.vegalite_to_svg(draw().to_dict(validate=False))).encode()


def themed(svg: str) -> str:
    """``svg`` with its colours as variables, light by default and dark where the reader prefers that."""
    for name, color in _LIGHT.items():
        svg = svg.replace(f'"{color}"', f'"var(--chart-{name},{color})"')
    opening = svg.index(">", svg.index("<svg")) + 1
    return svg[:opening] + _STYLE + svg[opening:]
