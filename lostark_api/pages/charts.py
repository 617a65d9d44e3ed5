"""The charts of the pages, by URL: cached like every response.

They let go of their database connection before they render: rendering waits its turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import pyarrow as pa
from fastapi import APIRouter, Depends, Query
from pydantic import AfterValidator
from starlette.responses import Response

from lostark_api.database import Row
from lostark_api.dependencies import LanguageDep, MartsDep
from lostark_api.http.language import add_labels, get_label
from lostark_api.http.parameters import (
    FightId,
    GateFilter,
    GateId,
    ItemLevel,
    PlayerName,
    Region,
    RoleFilter,
    Weeks,
)
from lostark_api.http.responses import cacheable_response
from lostark_api.pages import formats
from lostark_api.pages.chart_images import SVG_TYPE, WIDTHS, get_style, render_chart
from lostark_api.pages.translations import translate
from lostark_api.queries import characters, fights, gates, state
from lostark_api.queries.pools import Pool, read_gate_distribution
from lostark_assets import charts
from lostark_assets.charts import ChartStyle
from lostark_assets.contracts.ml import GAP_PARTS
from lostark_assets.errors import NotFound

if TYPE_CHECKING:
    import altair as alt

PROMISED_COVERAGE = 0.9
CHARACTER_FIGHTS = 60
_MAX_NAME = 24
_QUANTILES = ["p5", "p25", "p50", "p75", "p95"]

router = APIRouter(prefix="/charts", include_in_schema=False)


def _check_width(width: int) -> int:
    if width not in WIDTHS:
        raise ValueError(f"should be one of {WIDTHS}")
    return width


Width = Annotated[int, Query(description="Pixels."), AfterValidator(_check_width)]


async def _get_chart_style(language: LanguageDep, width: Width = 960) -> ChartStyle:
    return get_style(width, language)


StyleDep = Annotated[ChartStyle, Depends(_get_chart_style)]


async def _respond(draw: Callable[[], alt.Chart], version: int, language: str) -> Response:
    return cacheable_response(await render_chart(draw), SVG_TYPE, version=version, language=language)


@router.get("/gates/{gate_id}")
async def draw_gate(
    marts: MartsDep,
    language: LanguageDep,
    style: StyleDep,
    gate_id: GateId,
    role: RoleFilter = "dealer",
    weeks: Weeks = 4,
    item_level_min: ItemLevel = None,
    item_level_max: ItemLevel = None,
) -> Response:
    """Box plots of the specs at one gate."""
    pool = Pool(role, weeks, gate_id, None, item_level_min, item_level_max)
    async with marts.snapshot() as snapshot:
        await gates.read_gate(snapshot, gate_id)
        rows = await read_gate_distribution(snapshot, pool)
    shown = add_labels([row for row in rows if row["p50"] is not None], language)
    return await _respond(
        lambda: _draw_boxes(shown, style, language, is_dealer=role == "dealer"), snapshot.version, language
    )


def _draw_boxes(rows: list[Row], style: ChartStyle, language: str, *, is_dealer: bool) -> alt.Chart:
    frame = pd.DataFrame(rows, columns=["spec_label", "player_count", *_QUANTILES])
    frame["spec"] = frame["spec_label"] + " (" + frame["player_count"].astype(str) + ")"

    def describe(value: float) -> str:
        return formats.damage(value, language) if is_dealer else formats.percent(value, 1)

    if len(frame):
        frame["label"] = [
            "; ".join([row["spec"], *(f"{q[1:]}%: {describe(row[q])}" for q in _QUANTILES)])
            for row in frame.to_dict("records")
        ]
    frame[_QUANTILES] = frame[_QUANTILES].astype("float64") * (1 / style.per if is_dealer else 100.0)
    title = style.dps if is_dealer else translate(language, "chart.contribution")
    height = 26 * len(frame) + 70
    return charts.spec_boxes(frame, "", style, x_title=title, y_title=None, height=height)


@router.get("/fights/{fight_id}/timeline")
async def draw_timeline(
    marts: MartsDep, language: LanguageDep, style: StyleDep, fight_id: FightId
) -> Response:
    """10 s DPS of every player."""
    async with marts.snapshot() as snapshot:
        timeline = await fights.read_timeline(snapshot, fight_id)
    points = [
        (_cut(player["player_name"]), i * timeline["step_s"], dps)
        for player in timeline["players"]
        for i, dps in enumerate(player["dps"])
        if dps is not None
    ]
    names, seconds, dps = zip(*points, strict=True) if points else ((), (), ())
    table = pa.table(
        {
            "player_name": pa.array(names, pa.string()),
            "second": pa.array(seconds, pa.int64()),
            "rolling_10s_dps": pa.array(dps, pa.int64()),
        }
    )
    return await _respond(lambda: charts.rolling_dps(table, "", style), snapshot.version, language)


@router.get("/fights/{fight_id}/boss")
async def draw_boss(marts: MartsDep, language: LanguageDep, style: StyleDep, fight_id: FightId) -> Response:
    """Boss HP and deaths over time."""
    async with marts.snapshot() as snapshot:
        report = await fights.read_report(snapshot, fight_id)
    hp = list(zip(report["boss_hp"]["at_s"], report["boss_hp"]["hp_left"], strict=False))
    deaths = [
        (death["died_at_s"], f"{_cut(death['player_name'])}; {formats.clock(death['died_at_s'])}")
        for death in report["deaths"]
        if death["died_at_s"] is not None
    ]
    title = translate(language, "chart.hp")
    return await _respond(lambda: charts.boss_hp(hp, deaths, style, title=title), snapshot.version, language)


@router.get("/fights/{fight_id}/gap")
async def draw_gap(
    marts: MartsDep, language: LanguageDep, style: StyleDep, fight_id: FightId, player: GateFilter
) -> Response:
    """From expected to actual DPS of one player, part by part."""
    async with marts.snapshot() as snapshot:
        report = await fights.read_report(snapshot, fight_id)
    found = next((p for p in report["players"] if p["player_name"] == player), None)
    expected = (found or {}).get("expected") or {}
    if expected.get("expected_dps") is None:
        raise NotFound("There is no expected DPS of this player.")
    parts = [(translate(language, part.name), expected[part.name]) for part in GAP_PARTS]
    bars = charts.gap_steps(
        (translate(language, "gap.start"), expected["expected_dps"]), parts, translate(language, "gap.end")
    )
    texts = [
        formats.damage(bar["change"], language)
        if bar["kind"] == "whole"
        else formats.signed_damage(bar["change"], language)
        for bar in bars
    ]
    title = translate(language, "fight.gap")
    return await _respond(
        lambda: charts.waterfall(bars, texts, style, title=title), snapshot.version, language
    )


@router.get("/characters/{region}/{player_name}")
async def draw_history(
    marts: MartsDep,
    language: LanguageDep,
    style: StyleDep,
    region: Region,
    player_name: PlayerName,
    gate_id: GateFilter = None,
) -> Response:
    """A character's fights against their expected DPS, oldest first."""
    async with marts.snapshot() as snapshot:
        rows, _ = await characters.read_history(
            snapshot, region, player_name, gate_id=gate_id, limit=CHARACTER_FIGHTS
        )
    frame = pd.DataFrame(
        [
            _compare_to_expected(row, language)
            for row in reversed(rows)
            if row["expected_dps"] and row["dps"] is not None
        ],
        columns=["ratio", "low", "high", "label"],
    )
    title = translate(language, "chart.ratio")
    return await _respond(
        lambda: charts.against_expectation(frame, style, title=title), snapshot.version, language
    )


def _compare_to_expected(row: Row, language: str) -> dict[str, Any]:
    expected = row["expected_dps"]
    low, high = row["expected_dps_low"] or expected, row["expected_dps_high"] or expected
    raid = get_label("raid", row["raid_name"] or "?", language)
    gate = f"{raid} {get_label('gate', row['gate_name'] or '?', language)}"
    texts = [
        f"{formats.day(row['fight_started_at'])} {gate}",
        f"{formats.damage(row['dps'], language)} ({formats.percent(row['dps'] / expected)})",
    ]
    return {
        "ratio": row["dps"] / expected,
        "low": low / expected,
        "high": high / expected,
        "label": "; ".join(texts),
    }


@router.get("/model")
async def draw_model(marts: MartsDep, language: LanguageDep, style: StyleDep) -> Response:
    """The model's error and coverage by week."""
    async with marts.snapshot() as snapshot:
        found = await state.read_model(snapshot)
    rows = [
        {
            "week": row["week_started_at"].replace(tzinfo=None),
            "what": translate(language, key),
            "value": row[name] * 100,
            "label": f"{formats.day(row['week_started_at'])}; {formats.percent(row[name], 1)}",
        }
        for name, key in (("mape", "model.error"), ("coverage", "model.coverage"))
        for row in reversed(found["monitoring"])
        if row["slice"] == "overall" and row[name] is not None
    ]
    frame = pd.DataFrame(rows, columns=["week", "what", "value", "label"])
    return await _respond(
        lambda: charts.weekly_model(frame, style, promised=PROMISED_COVERAGE), snapshot.version, language
    )


def _cut(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}…"
