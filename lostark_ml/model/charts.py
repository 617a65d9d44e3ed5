"""Charts of an evaluation for the MLflow UI and Dagster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lostark_assets.charts import finish
from lostark_assets.game.specs import resolve_spec
from lostark_ml.model.evaluation import Evaluation

if TYPE_CHECKING:
    import altair as alt
    import pyarrow as pa

BINS = 10
MAX_VALUES = 40
ROW_HEIGHT = 18
LABEL_PIXELS = 300
PIXELS = 1.5
MIN_ROWS = 10
_MILLION = 1e6
_BLUE, _RED, _GREY = "#457b9d", "#e63946", "#adb5bd"
_TITLES = {
    "spec_name": ("spec · 직업 각인", "Residuals by spec · 직업 각인별 잔차"),
    "gate_difficulty": ("gate · 관문", "Residuals by gate · 관문별 잔차"),
    "item_level_bracket": ("item level · 아이템 레벨", "Residuals by item level · 아이템 레벨별 잔차"),
}


def draw_all(evaluation: Evaluation, importance: pd.DataFrame) -> dict[str, bytes]:
    """Every chart as PNG by file name."""
    rows = evaluation.predictions
    charts = {
        "calibration.png": calibration(rows),
        "residuals_by_spec.png": residuals_by(rows, "spec_name"),
        "residuals_by_gate.png": residuals_by(rows, "gate_difficulty"),
        "residuals_by_item_level.png": residuals_by(rows, "item_level_bracket"),
        "interval_width.png": interval_width(rows),
        "importance.png": importance_by_group(importance),
    }
    return {name: as_png(chart) for name, chart in charts.items()}


def as_png(chart: alt.Chart) -> bytes:
    """The chart as PNG; Korean needs one of the fonts that ``charts`` names, or any with Hangul."""
    import vl_convert  # noqa: PLC0415 - a JavaScript engine, loaded only where a chart is drawn

    return vl_convert.vegalite_to_png(chart.to_json(), scale=PIXELS)


def calibration(rows: pd.DataFrame) -> alt.Chart:
    """True DPS by tenths of expected DPS: median and interquartile range, with the line of equality.

    Needs expected_dps and dps.
    """
    import altair as alt  # noqa: PLC0415 - see above

    known = rows[["expected_dps", "dps"]].astype(float) / _MILLION
    tenth = np.ceil(known["expected_dps"].rank(method="first", pct=True) * BINS)
    by_tenth = known.groupby(tenth)
    table = by_tenth["dps"].quantile(np.array([0.25, 0.5, 0.75])).unstack()  # noqa: PD010
    table = table.reindex(columns=[0.25, 0.5, 0.75]).set_axis(["low", "median", "high"], axis=1)
    table["expected"] = by_tenth["expected_dps"].median()
    table = table.reset_index(drop=True)
    ends = [float(table.min().min()), float(table.max().max())] if len(table) else [0.0, 1.0]
    scale = alt.Scale(zero=False)
    base = alt.Chart(table).encode(x=alt.X("expected:Q", title="expected DPS (million/s)", scale=scale))
    y = alt.Y("low:Q", title="true DPS (million/s): median, middle half", scale=scale)
    halves = base.mark_rule(color=_BLUE, strokeWidth=2).encode(y=y, y2="high:Q")
    medians = base.mark_point(filled=True, size=70, color=_RED).encode(y=alt.Y("median:Q"))
    equal = pd.DataFrame({"expected": ends, "low": ends})
    line = alt.Chart(equal).mark_line(color=_GREY, strokeDash=[4, 4]).encode(x="expected:Q", y="low:Q")
    return finish(line + halves + medians, "Calibration · 보정")


def residuals_by(rows: pd.DataFrame, column: str) -> alt.Chart:
    """Boxes of true against expected DPS by value of a slice: middle half, 5 % to 95 %, and median.

    Needs expected_dps, dps and the column; values of fewer than 10 rows are left out.
    """
    import altair as alt  # noqa: PLC0415 - see above

    axis, title = _TITLES.get(column, (column, f"Residuals by {column}"))
    percent = 100 * (rows["dps"].astype(float) / rows["expected_dps"].astype(float) - 1)
    boxes = _boxes(percent, rows[column])
    base = alt.Chart(boxes).encode(
        y=alt.Y(
            "label:N",
            sort=boxes["label"].tolist(),
            title=f"{axis} (players)",
            axis=alt.Axis(labelLimit=LABEL_PIXELS),
        )
    )
    lines = base.mark_rule().encode(x=alt.X("p5:Q", title="true above expected DPS (%)"), x2="p95:Q")
    halves = base.mark_bar(size=10, color=_BLUE).encode(x="p25:Q", x2="p75:Q")
    medians = base.mark_tick(color=_RED, size=12, thickness=2).encode(x="p50:Q")
    zero = alt.Chart(pd.DataFrame({"p5": [0.0]})).mark_rule(color=_GREY, strokeDash=[4, 4]).encode(x="p5:Q")
    return _tall(finish(zero + lines + halves + medians, title), len(boxes))


def interval_width(rows: pd.DataFrame) -> alt.Chart:
    """Width of the interval by spec, coloured by the share of fights inside.

    Needs spec_name, dps and expected_dps with its ends.
    """
    import altair as alt  # noqa: PLC0415 - see above

    width = (rows["expected_dps_high"] - rows["expected_dps_low"]) / rows["expected_dps"]
    inside = rows["dps"].between(rows["expected_dps_low"], rows["expected_dps_high"])
    by_spec = pd.DataFrame({"width": 100 * width, "inside": 100.0 * inside}).groupby(rows["spec_name"])
    table = by_spec.mean()[by_spec.size() >= MIN_ROWS].sort_values("width", ascending=False)
    table = table.head(MAX_VALUES)
    counts = by_spec.size()[table.index].tolist()
    table["label"] = [_label(spec, n) for spec, n in zip(table.index, counts, strict=True)]
    bars = (
        alt.Chart(table.reset_index(drop=True))
        .mark_bar(size=10)
        .encode(
            y=alt.Y(
                "label:N",
                sort=table["label"].tolist(),
                title="spec · 직업 각인 (players)",
                axis=alt.Axis(labelLimit=LABEL_PIXELS),
            ),
            x=alt.X("width:Q", title="width of the interval (% of expected DPS)"),
            color=alt.Color(
                "inside:Q",
                title="inside (%)",
                scale=alt.Scale(
                    domain=[80, 90, 100], range=[_RED, _GREY, _BLUE], clamp=True, interpolate="rgb"
                ),
            ),
        )
    )
    return _tall(finish(bars, "Interval width by spec · 직업 각인별 예측 구간"), len(table))


def importance_by_group(importance: pd.DataFrame) -> alt.Chart:
    """What shuffling each group of features costs, with its spread; a table of ``group_importance``."""
    import altair as alt  # noqa: PLC0415 - see above

    table = pd.DataFrame(
        {
            "group": importance["group"],
            "points": 100 * importance["mape_lost"],
            "low": 100 * (importance["mape_lost"] - importance["sd"]),
            "high": 100 * (importance["mape_lost"] + importance["sd"]),
        }
    )
    base = alt.Chart(table).encode(y=alt.Y("group:N", sort=table["group"].tolist(), title=None))
    bars = base.mark_bar(color=_BLUE, size=12).encode(
        x=alt.X("points:Q", title="MAPE lost when it is shuffled (points)")
    )
    spread = base.mark_rule().encode(x="low:Q", x2="high:Q")
    return _tall(finish(bars + spread, "Importance of features · 특성 중요도"), len(table))


def by_week(monitoring: pa.Table) -> alt.Chart:
    """Error and interval coverage of all players by week; needs rows of ``ml_dps_monitoring``."""
    import altair as alt  # noqa: PLC0415 - see above

    table = monitoring.select(["week_started_at", "slice", "mape", "coverage"]).to_pandas()
    table = table[table["slice"] == "overall"].assign(
        week=lambda rows: rows["week_started_at"].dt.strftime("%Y-%m-%d"),
        error=lambda rows: 100 * rows["mape"],
        inside=lambda rows: 100 * rows["coverage"],
    )
    long = table.melt("week", ["error", "inside"], "figure", "percent").dropna()
    long["figure"] = long["figure"].map(
        {"error": "mean error (MAPE) · 평균 오차", "inside": "inside the interval · 구간 적중"}
    )
    lines = (
        alt.Chart(long)
        .mark_line(point=True)
        .encode(
            x=alt.X("week:O", title="week from · 주"),
            y=alt.Y("percent:Q", title="%"),
            color=alt.Color("figure:N", title=None),
        )
    )
    return finish(lines, "Quality of predictions · 예측 품질")


def _boxes(percent: pd.Series, value: pd.Series) -> pd.DataFrame:
    """Quantiles by value, worst medians first, of the values with most rows."""
    names = {0.05: "p5", 0.25: "p25", 0.5: "p50", 0.75: "p75", 0.95: "p95"}
    cells = percent.groupby(value.astype("str").fillna("unknown"))
    counts = cells.size()
    shown = counts[counts >= MIN_ROWS].nlargest(MAX_VALUES).index
    boxes = cells.quantile(np.array(list(names))).unstack().reindex(columns=list(names)).rename(columns=names)  # noqa: PD010
    boxes = boxes.loc[shown]
    boxes = boxes.iloc[boxes["p50"].abs().argsort(kind="stable")[::-1]]
    boxes["label"] = [_label(name, counts[name]) for name in boxes.index]
    return boxes.reset_index(drop=True)


def _label(value: str, count: int) -> str:
    """A spec in both languages, or the value; with its number of players."""
    spec = resolve_spec(value)
    korean = f" · {spec.korean}" if spec and spec.korean and spec.korean != value else ""
    return f"{value}{korean} ({count:,})"


def _tall(chart: alt.Chart, rows: int) -> alt.Chart:
    return chart.properties(height=ROW_HEIGHT * max(rows, 4))
