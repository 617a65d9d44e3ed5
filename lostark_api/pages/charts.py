"""The pictures of the pages, by address: kept like every answer, and named by what they show.

What does not belong here: how a chart looks (``lostark_assets.charts``), and drawing (``pictures``).
"""

# ruff: noqa: ARG001 - `lang` is read where the picture is made; here it is said that it can be given

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import pyarrow as pa
from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator
from starlette.responses import Response

from lostark_api.database import Marts, Row, Snapshot
from lostark_api.http.language import label, labelled
from lostark_api.http.parameters import (
    FightId,
    GateFilter,
    GateId,
    ItemLevel,
    Lang,
    PlayerName,
    Region,
    RoleOf,
    Weeks,
)
from lostark_api.http.responses import get_language, reply
from lostark_api.pages import formats
from lostark_api.pages.chart_images import SVG_TYPE, WIDTHS, get_style, picture
from lostark_api.pages.translations import words
from lostark_api.queries import characters, fights, gates, state
from lostark_api.queries.pools import Pool, gate_distribution
from lostark_assets import charts
from lostark_assets.charts import ChartStyle
from lostark_assets.contracts.ml import GAP_PARTS
from lostark_assets.errors import NotFound

if TYPE_CHECKING:
    import altair as alt

PROMISED_COVERAGE = 0.9
HISTORY = 60
_MAX = 24
_QUANTILES = ["p5", "p25", "p50", "p75", "p95"]
Draw = Callable[[], "alt.Chart"]

router = APIRouter(prefix="/charts", include_in_schema=False)


def _known(width: int) -> int:
    if width not in WIDTHS:
        raise ValueError(f"should be one of {WIDTHS}")
    return width


Width = Annotated[int, Query(description="Pixels."), AfterValidator(_known)]


async def _answer(
    request: Request, width: int, question: Callable[[Snapshot, str, ChartStyle], Awaitable[Draw]]
) -> Response:
    marts: Marts = request.app.state.marts
    language = get_language(request)
    async with marts.snapshot() as now:
        version = now.version
        draw = await question(now, language, get_style(width, language))
    return reply(await picture(draw), SVG_TYPE, version=version, language=language)


@router.get("/gates/{gate_id}")
async def gate_boxes(
    request: Request,
    gate_id: GateId,
    role: RoleOf = "dealer",
    weeks: Weeks = 4,
    item_level_min: ItemLevel = None,
    item_level_max: ItemLevel = None,
    width: Width = 960,
    lang: Lang = None,
) -> Response:
    """Box plots of the specs at one gate."""
    pool = Pool(role, weeks, gate_id, None, item_level_min, item_level_max)

    async def ask(now: Snapshot, language: str, style: ChartStyle) -> Draw:
        await gates.gate(now, gate_id)
        rows = [row for row in await gate_distribution(now, pool) if row["p50"] is not None]
        return lambda: _boxes(labelled(rows, language), role == "dealer", style, language)

    return await _answer(request, width, ask)


def _boxes(rows: list[Row], is_dealer: bool, style: ChartStyle, language: str) -> alt.Chart:  # noqa: FBT001
    frame = pd.DataFrame(rows, columns=["spec_label", "player_count", *_QUANTILES])
    frame["spec"] = frame["spec_label"] + " (" + frame["player_count"].astype(str) + ")"

    def told(value: float) -> str:
        return formats.damage(value, language) if is_dealer else formats.percent(value, 1)

    if len(frame):
        frame["label"] = [
            "; ".join([row.spec, f"5%: {told(row.p5)}", f"25%: {told(row.p25)}", f"50%: {told(row.p50)}",
                       f"75%: {told(row.p75)}", f"95%: {told(row.p95)}"])
            for row in frame.itertuples()
        ]  # fmt: skip
    frame[_QUANTILES] = frame[_QUANTILES].astype("float64") * (1 / style.per if is_dealer else 100.0)
    title = style.dps if is_dealer else words(language, "chart.contribution")
    height = 26 * len(frame) + 70
    return charts.spec_boxes(frame, "", style, x_title=title, y_title=None, height=height)


@router.get("/fights/{fight_id}/timeline")
async def timeline(request: Request, fight_id: FightId, width: Width = 960, lang: Lang = None) -> Response:
    """10 s DPS of every player."""

    async def ask(now: Snapshot, language: str, style: ChartStyle) -> Draw:
        found = await fights.fight_timeline(now, fight_id)
        step = found["step_s"]
        points = [
            (_cut(player["player_name"]), i * step, dps)
            for player in found["players"]
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
        return lambda: charts.rolling_dps(table, "", style)

    return await _answer(request, width, ask)


@router.get("/fights/{fight_id}/boss")
async def boss(request: Request, fight_id: FightId, width: Width = 960, lang: Lang = None) -> Response:
    """Boss HP, and who died when."""

    async def ask(now: Snapshot, language: str, style: ChartStyle) -> Draw:
        report = await fights.fight_report(now, fight_id)
        hp = list(zip(report["boss_hp"]["at_s"], report["boss_hp"]["hp_left"], strict=False))
        deaths = [
            (death["died_at_s"], f"{_cut(death['player_name'])}; {formats.clock(death['died_at_s'])}")
            for death in report["deaths"]
            if death["died_at_s"] is not None
        ]
        title = words(language, "chart.hp")
        return lambda: charts.boss_hp(hp, deaths, style, title=title)

    return await _answer(request, width, ask)


@router.get("/fights/{fight_id}/gap")
async def gap(
    request: Request, fight_id: FightId, player: GateFilter, width: Width = 960, lang: Lang = None
) -> Response:
    """From expected to reached DPS of one player, part by part."""

    async def ask(now: Snapshot, language: str, style: ChartStyle) -> Draw:
        report = await fights.fight_report(now, fight_id)
        found = next((p for p in report["players"] if p["player_name"] == player), None)
        expected = (found or {}).get("expected") or {}
        if expected.get("expected_dps") is None:
            raise NotFound("Nothing was expected of this player.")
        parts = [(words(language, part.name), expected[part.name]) for part in GAP_PARTS]
        bars = charts.gap_steps(
            (words(language, "gap.start"), expected["expected_dps"]), parts, words(language, "gap.end")
        )
        texts = [
            formats.damage(bar["change"], language)
            if bar["kind"] == "whole"
            else formats.signed_damage(bar["change"], language)
            for bar in bars
        ]
        return lambda: charts.waterfall(bars, texts, style, title=words(language, "fight.gap"))

    return await _answer(request, width, ask)


@router.get("/characters/{region}/{player_name}")
async def history(
    request: Request,
    region: Region,
    player_name: PlayerName,
    gate_id: GateFilter = None,
    width: Width = 960,
    lang: Lang = None,
) -> Response:
    """A character's fights against what was expected, oldest first."""

    async def ask(now: Snapshot, language: str, style: ChartStyle) -> Draw:
        rows, _ = await characters.history(now, region, player_name, gate_id=gate_id, limit=HISTORY)
        frame = pd.DataFrame(
            [
                _against(row, language)
                for row in reversed(rows)
                if row["expected_dps"] and row["dps"] is not None
            ],
            columns=["ratio", "low", "high", "label"],
        )
        return lambda: charts.against_expectation(frame, style, title=words(language, "chart.ratio"))

    return await _answer(request, width, ask)


def _against(row: Row, language: str) -> dict[str, Any]:
    expected = row["expected_dps"]
    low, high = row["expected_dps_low"] or expected, row["expected_dps_high"] or expected
    raid = label("raid", row["raid_name"] or "?", language)
    gate = f"{raid} {label('gate', row['gate_name'] or '?', language)}"
    told = [
        f"{formats.day(row['fight_started_at'])} {gate}",
        f"{formats.damage(row['dps'], language)} ({formats.percent(row['dps'] / expected)})",
    ]
    return {
        "ratio": row["dps"] / expected,
        "low": low / expected,
        "high": high / expected,
        "label": "; ".join(told),
    }


@router.get("/model")
async def weekly(request: Request, width: Width = 960, lang: Lang = None) -> Response:
    """The model's error and coverage by week."""

    async def ask(now: Snapshot, language: str, style: ChartStyle) -> Draw:
        found = await state.model(now)
        rows = [
            {
                "week": row["week_started_at"].replace(tzinfo=None),
                "what": words(language, key),
                "value": row[name] * 100,
                "label": f"{formats.day(row['week_started_at'])}; {formats.percent(row[name], 1)}",
            }
            for name, key in (("mape", "model.error"), ("coverage", "model.coverage"))
            for row in reversed(found["monitoring"])
            if row["slice"] == "overall" and row[name] is not None
        ]
        frame = pd.DataFrame(rows, columns=["week", "what", "value", "label"])
        return lambda: charts.weekly_model(frame, style, promised=PROMISED_COVERAGE)

    return await _answer(request, width, ask)


def _cut(name: str) -> str:
    return name if len(name) <= _MAX else f"{name[:_MAX]}…"
