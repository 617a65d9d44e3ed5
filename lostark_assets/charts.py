"""The platform's charts, each a function from a table to an Altair chart.

Altair is loaded by who draws: it is a sixth of the imports that each run waits for. What does not belong
here: drawing charts into a page or a report (``presentation``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import altair as alt

WIDTH, HEIGHT = 640, 260
_FONT = "Noto Sans, Noto Sans KR, Malgun Gothic, Apple SD Gothic Neo, NanumGothic, sans-serif"


def finish(chart: alt.Chart | alt.LayerChart, title: str) -> alt.Chart:
    """The chart with its title, and the size and fonts that all charts have."""
    return (
        chart.properties(title=title, width=WIDTH, height=HEIGHT)
        .configure(font=_FONT)
        .configure_view(stroke=None)
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
    import altair as alt  # noqa: PLC0415 - see above

    frame = player_dps.select(
        ["class_name", "spec_name", "dps", "is_support", "is_dead", "is_cleared"]
    ).to_pandas()
    shown = frame["is_cleared"].eq(True) & ~frame["is_support"].eq(True) & ~frame["is_dead"].eq(True)  # noqa: FBT003
    frame = frame[shown & frame["dps"].notna()]
    spec = frame["spec_name"].fillna(frame["class_name"]).fillna("unknown")
    million = frame["dps"].astype("float64") / 1e6
    boxes = million.groupby(spec).quantile([0.05, 0.25, 0.5, 0.75, 0.95]).unstack()  # noqa: PD010
    boxes.columns = ["p5", "p25", "p50", "p75", "p95"]
    boxes["spec"] = boxes.index.astype(str) + " (" + million.groupby(spec).size().astype(str) + ")"
    boxes = boxes.sort_values("p50", ascending=False).head(30)
    base = alt.Chart(boxes.reset_index(drop=True)).encode(
        y=alt.Y("spec:N", sort=boxes["spec"].tolist(), title="spec (players)")
    )
    lines = base.mark_rule().encode(x=alt.X("p5:Q", title="DPS (million/s)"), x2="p95:Q")
    halves = base.mark_bar(size=10, color="#457b9d").encode(x="p25:Q", x2="p75:Q")
    medians = base.mark_tick(color="#e63946", size=12, thickness=2).encode(x="p50:Q")
    chart = finish(lines + halves + medians, "DPS by spec (clears, living dealers)")
    return chart.properties(height=18 * max(len(boxes), 4))


def rolling_dps(timeline: pa.Table, title: str) -> alt.Chart:
    """10 s DPS of every player of one encounter, a point every two seconds.

    Needs player_name, second, rolling_10s_dps.
    """
    import altair as alt  # noqa: PLC0415 - see above

    frame = timeline.select(["player_name", "second", "rolling_10s_dps"]).to_pandas()
    frame = frame[frame["second"] % max(2, len(frame) // 4000) == 0].copy()
    frame["million"] = frame["rolling_10s_dps"].astype("float64") / 1e6
    lines = (
        alt.Chart(frame[["player_name", "second", "million"]])
        .mark_line(strokeWidth=1.3)
        .encode(
            x=alt.X("second:Q", title="second of the fight"),
            y=alt.Y("million:Q", title="10 s DPS (million/s)"),
            color=alt.Color("player_name:N", title=None),
        )
    )
    return finish(lines, title)


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
