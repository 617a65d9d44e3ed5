"""Computing the marts' rows from the lake at given versions; writes nothing.

Only logs with statistics are published, so that a day that is being computed never shows fights without
players.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import cast

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from lostark_assets.game.names import name_key
from lostark_assets.lake.tables import Lake
from lostark_assets.marts.names import Names
from lostark_assets.marts.tables import (
    COPIED_MARTS,
    DAY_QUALITY,
    DAY_QUARANTINE,
    ENCOUNTERS,
    FROM_CORE_PLAYERS,
    GATE_ID,
    PLAYERS,
    PUBLISHED,
    STEP_S,
    TIMELINES,
    Mart,
)

Versions = Mapping[str, int | None]
_MAX_TEXT = 500
"""Characters. No name in the game is longer; a longer text comes from a broken log."""
_MAX_SLUG = 40
_NAME_COLUMNS = ("player_name",)
_ROW = ["encounter_id", "player_name"]


def day_frames(
    lake: Lake, days: Iterable[date], versions: Versions, names: Names, only: set[str] | None = None
) -> dict[Mart, pl.DataFrame]:
    """Rows of every mart by fight day, of ``days``, columns in the mart's order.

    ``only``: of these encounters.
    """
    days = sorted(set(days))

    def read(table: str, columns: list[str] | None = None) -> pl.DataFrame:
        rows = rows_at(lake, table, versions[table], days=days, columns=columns)
        if only is not None and "encounter_id" in rows.column_names:
            rows = rows.filter(pc.is_in(rows["encounter_id"], pa.array(sorted(only), pa.string())))
        return cast("pl.DataFrame", pl.from_arrow(rows))

    statistics = read("stats_player_dps")
    ready = statistics.select("encounter_id").unique()
    core = read("core_encounters")
    players = read("core_players")
    frames = {
        ENCOUNTERS: _encounters(core.join(ready, on="encounter_id", how="semi"), statistics),
        PLAYERS: _players(statistics, players),
        TIMELINES: _timelines(read("stats_dps_timeline")),
    }
    for table, mart in COPIED_MARTS.items():
        rows = read(table, [name for name in mart.names if name != GATE_ID[0]])
        if not PUBLISHED[table].is_complete:
            rows = rows.join(ready, on="encounter_id", how="semi")
        frames[mart] = with_gate_id(rows) if PUBLISHED[table].has_gate_id else rows
    quarantine = read("core_quarantine", ["fight_date", "scope", "reason_code"])
    frames[DAY_QUARANTINE] = quarantine.group_by("fight_date", "scope", "reason_code").agg(
        pl.len().alias("row_count")
    )
    frames[DAY_QUALITY] = _quality(core, players, quarantine)
    return {mart: public(mart, frame, names) for mart, frame in frames.items()}


def whole_frame(lake: Lake, table: str, mart: Mart, version: int | None, names: Names) -> pl.DataFrame:
    """Rows of a mart that is replaced completely."""
    rows = cast("pl.DataFrame", pl.from_arrow(rows_at(lake, table, version)))
    return public(mart, with_gate_id(rows) if PUBLISHED[table].has_gate_id else rows, names)


def rows_at(
    lake: Lake,
    table: str,
    version: int | None,
    *,
    days: Sequence[date] | None = None,
    columns: list[str] | None = None,
) -> pa.Table:
    """Rows of a version that was read before; no rows if the table did not exist then (None)."""
    return lake.read(table, days=[] if version is None else days, version=version, columns=columns)


def public(mart: Mart, rows: pl.DataFrame, names: Names) -> pl.DataFrame:
    """``rows`` with the mart's columns, published player names, and texts that PostgreSQL can store."""
    rows = rows.select(mart.names)
    texts = [name for name, dtype in rows.schema.items() if dtype == pl.String]
    for name in (n for n in texts if n in _NAME_COLUMNS):
        known = rows[name].unique().drop_nulls().to_list()
        rows = rows.with_columns(
            pl.col(name).replace_strict(known, [names.public(n) for n in known], return_dtype=pl.String)
        )
    others = [n for n in texts if n not in _NAME_COLUMNS]
    return rows.with_columns(pl.col(others).str.slice(0, _MAX_TEXT).str.replace_all("\x00", "", literal=True))


def build_gate_id(raid: str | None, gate: str | None, difficulty: str | None) -> str | None:
    """The id of a raid gate at one difficulty, as used in URLs: ``act-4-armoche-g2-hard``.

    None if raid or gate is unknown.
    """
    if not raid or not gate:
        return None
    return "-".join(_slug(part) for part in (raid, gate, difficulty or "unknown"))


def with_gate_id(rows: pl.DataFrame) -> pl.DataFrame:
    """``rows`` with the column ``gate_id``."""
    key = ["raid_name", "gate_name", "difficulty"]
    gates = rows.select(key).unique()
    ids = pl.Series("gate_id", [build_gate_id(*row) for row in gates.iter_rows()], pl.String)
    return rows.join(gates.with_columns(ids), on=key, how="left", nulls_equal=True)


def _slug(text: str) -> str:
    words = re.findall(r"[^\W_]+", text.casefold().replace("'", ""))
    return "-".join(words)[:_MAX_SLUG] or name_key(text) or "unknown"


def _encounters(core: pl.DataFrame, statistics: pl.DataFrame) -> pl.DataFrame:
    of_players = statistics.group_by("encounter_id").agg(
        pl.col("week_started_at").first(),
        pl.when(pl.col("deaths").count() > 0).then(pl.col("deaths").sum()).alias("deaths"),
    )
    return with_gate_id(core.join(of_players, on="encounter_id", how="left"))


def _players(statistics: pl.DataFrame, players: pl.DataFrame) -> pl.DataFrame:
    more = players.select(*_ROW, *FROM_CORE_PLAYERS)
    return with_gate_id(statistics.join(more, on=_ROW, how="left"))


def _timelines(seconds: pl.DataFrame) -> pl.DataFrame:
    """One row per player: the 10 s DPS in the middle of every step, the damage up to its end."""
    step = (pl.col("second") // STEP_S).alias("step")
    steps = (
        seconds.sort(*_ROW, "second")
        .group_by("fight_date", *_ROW, "measured_by", step, maintain_order=True)
        .agg(
            pl.col("rolling_10s_dps").get(pl.min_horizontal(pl.len() - 1, STEP_S // 2)).alias("dps"),
            pl.col("cumulative_damage").last(),
        )
    )
    return steps.group_by("fight_date", *_ROW, maintain_order=True).agg(
        pl.col("measured_by").first(), "dps", "cumulative_damage"
    )


def _quality(core: pl.DataFrame, players: pl.DataFrame, quarantine: pl.DataFrame) -> pl.DataFrame:
    day = "fight_date"
    passed = core.group_by(day).agg(
        pl.len().alias("logs_passed"),
        pl.col("fight_started_at").max().alias("newest_fight_at"),
        pl.col("fetched_at").max().alias("newest_fetch_at"),
    )
    parts = [
        passed,
        players.group_by(day).agg(pl.len().alias("player_rows_passed")),
        *(
            quarantine.filter(pl.col("scope") == scope).group_by(day).agg(pl.len().alias(name))
            for scope, name in (("log", "logs_refused"), ("player", "player_rows_refused"))
        ),
    ]
    rows = pl.concat([part.select(day) for part in parts]).unique()
    for part in parts:
        rows = rows.join(part, on=day, how="left")
    counts = ["logs_passed", "logs_refused", "player_rows_passed", "player_rows_refused"]
    return rows.with_columns(pl.col(counts).fill_null(0))
