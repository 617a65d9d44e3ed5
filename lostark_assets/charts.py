"""The platform's charts, each a function from a table to an Altair chart.

The same definitions serve Dagster's metadata and the web pages; a ``ChartStyle`` tells them apart. Altair is
imported inside the functions: it is a sixth of the imports that each run waits for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import altair as alt

WIDTH, HEIGHT = 640, 260
_FONT = "Noto Sans, Noto Sans KR, Malgun Gothic, Apple SD Gothic Neo, NanumGothic, sans-serif"


SERIES = ("#2f6fb0", "#c4622d", "#2a8f73", "#8a55a8", "#b38a12", "#c04477", "#4b8f29", "#5b6570")
INK, DIM, GRID, GOOD, BAD = "#33393f", "#6b727a", "#e6e2dc", "#2a8f74", "#c2473f"
"""Colours; each has one role, so that a page can replace it with its theme's colour."""


@dataclass(frozen=True)
class ChartStyle:
    """Size and labels of a chart. ``per``: damage per unit of a DPS axis, ``dps``: that axis' title.

    On a page, a chart is exactly ``width`` pixels wide, has no title, and uses the page's colours.
    """

    width: int = WIDTH
    per: float = 1e6
    dps: str = "DPS (million/s)"
    second: str = "second of the fight"
    is_page: bool = False

    @property
    def is_narrow(self) -> bool:
        """On a phone."""
        return self.width < 500


REPORT = ChartStyle()
"""For Dagster's metadata and reports."""


def finish(
    chart: alt.Chart | alt.LayerChart, title: str, style: ChartStyle = REPORT, height: int = HEIGHT
) -> alt.Chart:
    """The chart with its title and the size and fonts common to all charts."""
    if not style.is_page:
        sized = chart.properties(title=title, width=style.width, height=height)
        return sized.configure(font=_FONT).configure_view(stroke=None)
    sized = chart.properties(
        width=style.width,
        height=height,
        autosize={"type": "fit", "contains": "padding"},
        padding=4,
        background="transparent",
    )
    return (
        sized.configure(font=_FONT)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=INK,
            titleColor=DIM,
            gridColor=GRID,
            domainColor=GRID,
            tickColor=GRID,
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            labelLimit=130 if style.is_narrow else 240,
        )
        .configure_legend(labelColor=INK, titleColor=DIM, labelFontSize=12, labelLimit=150)
    )


def fights_per_day(encounters: pa.Table) -> alt.Chart:
    """Encounters by fight day and outcome; needs fight_date, is_cleared."""
    import altair as alt  # noqa: PLC0415 - see above

    counts = encounters.group_by(["fight_date", "is_cleared"]).aggregate([([], "count_all")]).to_pandas()
    counts["outcome"] = counts["is_cleared"].map({True: "clear", False: "wipe"}).fillna("unknown")
    counts["day"] = pd.to_datetime(counts["fight_date"])
    bars = (
        alt.Chart(counts[["day", "outcome", "count_all"]])
        .mark_bar()
        .encode(
            x=alt.X("day:T", title="fight day"),
            y=alt.Y("sum(count_all):Q", title="encounters"),
            color=alt.Color(
                "outcome:N",
                scale=alt.Scale(domain=["clear", "wipe", "unknown"], range=["#2a9d8f", "#e76f51", "#adb5bd"]),
            ),
        )
    )
    return finish(bars, "Encounters by fight day")


def dps_by_spec(player_dps: pa.Table) -> alt.Chart:
    """Box plots of DPS by spec for living dealers in clears; needs the columns named here.

    class_name, spec_name, dps, is_support, is_dead, is_cleared. Boxes hold the middle half,
    lines 5 % to 95 %.
    """
    frame = player_dps.select(
        ["class_name", "spec_name", "dps", "is_support", "is_dead", "is_cleared"]
    ).to_pandas()
    shown = frame["is_cleared"].eq(True) & ~frame["is_support"].eq(True) & ~frame["is_dead"].eq(True)  # noqa: FBT003
    frame = frame[shown & frame["dps"].notna()]
    spec = frame["spec_name"].fillna(frame["class_name"]).fillna("unknown")
    million = frame["dps"].astype("float64") / REPORT.per
    groups = million.groupby(spec)
    boxes = pd.DataFrame({f"p{q}": groups.quantile(q / 100) for q in (5, 25, 50, 75, 95)})
    boxes["spec"] = boxes.index.astype(str) + " (" + million.groupby(spec).size().astype(str) + ")"
    boxes = boxes.sort_values("p50", ascending=False).head(30).reset_index(drop=True)
    return spec_boxes(
        boxes,
        "DPS by spec (clears, living dealers)",
        x_title=REPORT.dps,
        y_title="spec (players)",
        height=18 * max(len(boxes), 4),
    )


def spec_boxes(
    boxes: pd.DataFrame,
    title: str,
    style: ChartStyle = REPORT,
    *,
    x_title: str,
    y_title: str | None,
    height: int,
) -> alt.Chart:
    """Box plots from quantiles, one row each, best first: needs spec, p5, p25, p50, p75, p95.

    The optional column ``label`` is the accessible description of a row.
    """
    import altair as alt  # noqa: PLC0415 - see above

    base = alt.Chart(boxes).encode(y=alt.Y("spec:N", sort=boxes["spec"].tolist(), title=y_title))
    if "label" in boxes:
        base = base.encode(description="label:N")
    lines = base.mark_rule(color=DIM).encode(
        x=alt.X("p5:Q", title=x_title, axis=alt.Axis(tickCount=6)), x2="p95:Q"
    )
    halves = base.mark_bar(size=10, color=SERIES[0]).encode(x="p25:Q", x2="p75:Q")
    medians = base.mark_tick(color=SERIES[1], size=14, thickness=3).encode(x="p50:Q")
    return finish(lines + halves + medians, title, style, height)


def rolling_dps(timeline: pa.Table, title: str, style: ChartStyle = REPORT) -> alt.Chart:
    """10 s DPS of every player of one encounter, one point every two seconds.

    Needs player_name, second, rolling_10s_dps.
    """
    import altair as alt  # noqa: PLC0415 - see above

    frame = timeline.select(["player_name", "second", "rolling_10s_dps"]).to_pandas()
    frame = frame[frame["second"] % max(2, len(frame) // 4000) == 0].copy()
    frame["million"] = frame["rolling_10s_dps"].astype("float64") / style.per
    names = list(dict.fromkeys(frame["player_name"]))
    legend = alt.Legend(orient="bottom", columns=2 if style.is_narrow else 4, symbolType="stroke")
    lines = (
        alt.Chart(frame[["player_name", "second", "million"]])
        .mark_line(strokeWidth=1.7)
        .encode(
            x=alt.X("second:Q", title=style.second),
            y=alt.Y("million:Q", title=style.dps),
            color=alt.Color(
                "player_name:N",
                title=None,
                scale=alt.Scale(domain=names, range=[SERIES[i % len(SERIES)] for i in range(len(names))]),
                legend=legend if style.is_page else alt.Legend(),
            ),
            description="player_name:N",
        )
    )
    # Sixteen players have eight colours: the second eight are dashed.
    if len(names) > len(SERIES):
        styles = [[1, 0] if i < len(SERIES) else [5, 3] for i in range(len(names))]
        lines = lines.encode(
            strokeDash=alt.StrokeDash(
                "player_name:N", scale=alt.Scale(domain=names, range=styles), title=None
            )
        )
    return finish(lines, title, style)


def boss_hp(
    hp: Sequence[tuple[float, float]], deaths: Sequence[tuple[float, str]], style: ChartStyle, *, title: str
) -> alt.Chart:
    """Boss HP over time, from (second, fraction), and marks where players died, from (second, name)."""
    import altair as alt  # noqa: PLC0415 - see above

    line = pd.DataFrame(hp, columns=["second", "left"]).astype("float64")
    line["left"] *= 100
    x = alt.X("second:Q", title=style.second)
    y = alt.Y("left:Q", title=title, scale=alt.Scale(domain=[0, 100]))
    area = alt.Chart(line).mark_area(color=SERIES[0], opacity=0.18, line={"color": SERIES[0]})
    chart = area.encode(x=x, y=y, description=alt.value(title))
    if not deaths:
        return finish(chart, title, style, 180)
    marks = pd.DataFrame(deaths, columns=["second", "who"])
    rules = alt.Chart(marks).mark_rule(color=BAD, strokeWidth=2, strokeDash=[4, 3])
    return finish(chart + rules.encode(x=x, description="who:N"), title, style, 180)


def gap_steps(
    start: tuple[str, float], parts: Sequence[tuple[str, float | None]], end: str
) -> list[dict[str, Any]]:
    """Bars of a waterfall from ``start`` through ``parts`` to ``end``; unknown parts (None) are left out.

    A bar has part, low, high, change and kind (whole, more, less).
    """
    name, level = start
    bars = [{"part": name, "low": 0.0, "high": level, "change": level, "kind": "whole"}]
    for part, change in parts:
        if change is None:
            continue
        low, high = sorted((level, level + change))
        bars.append(
            {
                "part": part,
                "low": low,
                "high": high,
                "change": change,
                "kind": "more" if change > 0 else "less",
            }
        )
        level += change
    return [*bars, {"part": end, "low": 0.0, "high": level, "change": level, "kind": "whole"}]


def waterfall(
    bars: Sequence[Mapping[str, Any]], texts: Sequence[str], style: ChartStyle, *, title: str
) -> alt.Chart:
    """``gap_steps`` as a waterfall chart, each bar with its text from ``texts``."""
    import altair as alt  # noqa: PLC0415 - see above

    frame = pd.DataFrame(list(bars)).assign(text=list(texts))
    frame["label"] = frame["part"] + ": " + frame["text"]
    frame[["low", "high"]] = frame[["low", "high"]].astype("float64") / style.per
    # Whole bars begin at zero; the axis does not if the steps would then be too small to see.
    steps = frame[frame["kind"] != "whole"]
    ends = frame.loc[frame["kind"] == "whole", "high"]
    least = min([*steps["low"], *ends])
    most = max([*steps["high"], *ends])
    start = max(0.0, least - max(0.25 * most, 1.2 * (most - least)))
    frame["low"] = frame["low"].clip(lower=start)
    base = alt.Chart(frame).encode(
        y=alt.Y("part:N", sort=frame["part"].tolist(), title=None), description="label:N"
    )
    scale = alt.Scale(domain=[start, most + (most - start) * (0.22 if style.is_narrow else 0.12)], nice=False)
    drawn = base.mark_bar(size=16, cornerRadius=2).encode(
        x=alt.X("low:Q", title=style.dps, scale=scale, axis=alt.Axis(tickCount=5)),
        x2="high:Q",
        color=alt.Color(
            "kind:N",
            scale=alt.Scale(domain=["whole", "more", "less"], range=[SERIES[0], GOOD, BAD]),
            legend=None,
        ),
    )
    labels = base.mark_text(align="left", dx=5, color=INK, fontSize=12).encode(x="high:Q", text="text:N")
    return finish(drawn + labels, title, style, 34 * len(frame) + 12)


def against_expectation(fights: pd.DataFrame, style: ChartStyle, *, title: str) -> alt.Chart:
    """Actual over expected DPS of one character's fights, with the interval.

    Needs at (time), ratio, low, high (interval over expected) and label (accessible description).
    """
    import altair as alt  # noqa: PLC0415 - see above

    frame = fights.assign(number=range(1, len(fights) + 1), kind=fights["ratio"].ge(1.0))
    x = alt.X("number:Q", axis=None, scale=alt.Scale(domain=[0, len(frame) + 1]))
    base = alt.Chart(frame).encode(x=x, description="label:N")
    y = alt.Y("low:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(format=".0%"))
    ranges = base.mark_rule(color=GRID, strokeWidth=6).encode(y=y, y2="high:Q")
    expected = alt.Chart(pd.DataFrame({"one": [1.0]})).mark_rule(color=DIM).encode(y="one:Q")
    marks = base.mark_point(filled=True, size=70, opacity=1).encode(
        y="ratio:Q",
        color=alt.Color("kind:N", scale=alt.Scale(domain=[True, False], range=[GOOD, BAD]), legend=None),
    )
    return finish(ranges + expected + marks, title, style, 270)


def weekly_model(weeks: pd.DataFrame, style: ChartStyle, *, promised: float) -> alt.Chart:
    """Mean error and coverage by week, in percent; needs week (time), what, value, label."""
    import altair as alt  # noqa: PLC0415 - see above

    names = list(dict.fromkeys(weeks["what"]))
    color = alt.Color(
        "what:N",
        title=None,
        scale=alt.Scale(domain=names, range=[SERIES[1], SERIES[0]]),
        legend=alt.Legend(orient="top"),
    )
    base = alt.Chart(weeks).encode(
        x=alt.X("week:T", title=None, axis=alt.Axis(format="%m-%d", tickCount=4 if style.is_narrow else 8)),
        y=alt.Y("value:Q", title="%", scale=alt.Scale(domain=[0, 100])),
        color=color,
    )
    lines = base.mark_line(strokeWidth=2)
    marks = base.mark_point(filled=True, size=55, opacity=1).encode(description="label:N")
    goal = alt.Chart(pd.DataFrame({"goal": [promised * 100]})).mark_rule(color=DIM, strokeDash=[5, 4])
    return finish(goal.encode(y="goal:Q") + lines + marks, "", style, 300)


def median_by_spec(distribution: pa.Table) -> alt.Chart:
    """Newest week's median DPS by spec with its interval; needs a distribution table."""
    import altair as alt  # noqa: PLC0415 - see above

    frame = distribution.filter(
        pc.invert(pc.fill_null(distribution["is_support"], fill_value=False))
    ).to_pandas()
    columns = ["label", "p50", "median_low", "median_high", "player_count"]
    if frame.empty:
        frame = pd.DataFrame(columns=columns)
    else:
        frame = frame[frame["week_started_at"] == frame["week_started_at"].max()].copy()
        frame["label"] = frame["spec_name"] + " · " + frame["raid_name"] + " " + frame["gate_name"]
        frame = frame.nlargest(25, "player_count")
        for name in ("p50", "median_low", "median_high"):
            frame[name] = frame[name] / 1e6
    base = alt.Chart(frame[columns]).encode(y=alt.Y("label:N", sort="-x", title=None))
    points = base.mark_point(filled=True).encode(
        x=alt.X("p50:Q", title="median DPS (million/s), 95 % interval")
    )
    rules = base.mark_rule().encode(x="median_low:Q", x2="median_high:Q")
    return finish(rules + points, "Median DPS by spec and gate, newest week")


def clears_by_gate(progression: pa.Table) -> alt.Chart:
    """Clears and wipes of all characters by gate; needs raid_name, gate_name, difficulty, clears, wipes."""
    import altair as alt  # noqa: PLC0415 - see above

    frame = progression.select(["raid_name", "gate_name", "difficulty", "clears", "wipes"]).to_pandas()
    frame["gate"] = frame["raid_name"] + " " + frame["gate_name"] + " " + frame["difficulty"].fillna("")
    long = frame.groupby("gate")[["clears", "wipes"]].sum().reset_index().melt("gate", var_name="outcome")
    bars = (
        alt.Chart(long)
        .mark_bar()
        .encode(
            y=alt.Y("gate:N", sort="-x", title=None),
            x=alt.X("value:Q", title="pulls of characters"),
            color="outcome:N",
        )
    )
    return finish(bars, "Clears and wipes by gate")


def quarantine_reasons(quarantine: pa.Table) -> alt.Chart:
    """Entries by reason; needs reason_code."""
    import altair as alt  # noqa: PLC0415 - see above

    counts = quarantine.group_by("reason_code").aggregate([([], "count_all")]).to_pandas()
    bars = (
        alt.Chart(counts)
        .mark_bar(color="#e76f51")
        .encode(y=alt.Y("reason_code:N", sort="-x", title=None), x=alt.X("count_all:Q", title="entries"))
    )
    return finish(bars, "Quarantine by reason")
