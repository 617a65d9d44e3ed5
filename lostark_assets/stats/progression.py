"""Progress of a character: pulls, clears and the best pull at each raid gate and difficulty.

One log per fight counts, and only characters whose name is known.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw
import pyarrow as pa

from lostark_assets.arrow import plain
from lostark_assets.contracts.stats import STATS_RAID_PROGRESSION
from lostark_assets.stats.engine import Engine, combine_key, is_true, ratio, to_arrow, to_engine, where
from lostark_assets.stats.weeks import instant

KEY = STATS_RAID_PROGRESSION.key
NEEDED = (
    *KEY, "encounter_id", "is_counted", "is_name_known", "is_cleared", "fight_started_at", "duration_s",
    "class_name", "spec_name", "deaths", "dps",
)  # fmt: skip


def raid_progression(player_dps: Any, encounters: Any, engine: Engine = "pandas") -> pa.Table:
    """Rows of ``stats_raid_progression``, in any order.

    A pull without a known outcome counts as a pull, and neither as clear nor as wipe. Boss HP left is 0 once
    cleared, else the minimum of all pulls. Class and spec are those of the newest pull.

    Args:
        player_dps: rows of ``stats_player_dps``, the whole history.
        encounters: rows of ``core_encounters`` (encounter_id and boss_hp_left); missing fights have no
            boss HP.
        engine: the engine that computes it.
    """
    rows = to_engine(player_dps, engine).select(*NEEDED)
    known = ~nw.col("raid_name").is_null() & ~nw.col("gate_name").is_null()
    rows = rows.filter(is_true(nw.col("is_counted")) & is_true(nw.col("is_name_known")) & known)
    hp = to_engine(encounters, engine).select("encounter_id", "boss_hp_left")
    rows = _with_outcomes(rows.join(hp, on="encounter_id", how="left"))
    newest = rows.unique(subset=["character"], keep="last", order_by=["at", "encounter_id"])
    newest = newest.select("character", *KEY, "class_name", "spec_name")
    return plain(
        to_arrow(_finish(newest.join(_sums(rows), on="character")).select(*STATS_RAID_PROGRESSION.names))
    )


def _with_outcomes(rows: nw.DataFrame) -> nw.DataFrame:
    """The columns that are then only summed: no condition may stand inside a group-by."""
    cleared = is_true(nw.col("is_cleared"))
    rows = rows.with_columns(
        combine_key(*KEY).alias("character"),
        nw.col("fight_started_at").dt.timestamp("us").alias("at"),
        cleared.cast(nw.Int64()).alias("clears"),
        is_true(~nw.col("is_cleared")).cast(nw.Int64()).alias("wipes"),
        nw.when(cleared).then(nw.lit(0.0)).otherwise(nw.col("boss_hp_left")).alias("best_boss_hp_left"),
        where(cleared, nw.col("dps")).alias("best_dps"),
        (~nw.col("deaths").is_null()).cast(nw.Int64()).alias("has_deaths"),
    )
    rows = rows.with_columns(where(nw.col("clears") > 0, nw.col("at")).alias("cleared_at"))
    rows = rows.with_columns(nw.col("cleared_at").min().over("character").alias("first_clear"))
    return rows.with_columns(
        is_true(nw.col("at") <= nw.col("first_clear")).cast(nw.Int64()).alias("pulls_to_first_clear")
    )


def _sums(rows: nw.DataFrame) -> nw.DataFrame:
    return rows.group_by("character").agg(
        nw.len().alias("pulls"),
        *(nw.col(name).sum() for name in ("clears", "wipes", "deaths", "has_deaths", "pulls_to_first_clear")),
        nw.col("best_boss_hp_left").min(),
        nw.col("best_dps").max(),
        nw.col("duration_s").sum().alias("time_spent_s"),
        nw.col("at").min().alias("first_fought"),
        nw.col("at").max().alias("last_fought"),
        nw.col("first_clear").min(),
    )


def _finish(cells: nw.DataFrame) -> nw.DataFrame:
    return cells.with_columns(
        ratio(nw.col("clears"), nw.col("clears") + nw.col("wipes")).alias("clear_rate"),
        where(nw.col("has_deaths") > 0, nw.col("deaths")).alias("deaths"),
        where(nw.col("clears") > 0, nw.col("pulls_to_first_clear")).alias("pulls_to_first_clear"),
        instant(nw.col("first_fought")).alias("first_fought_at"),
        instant(nw.col("first_clear")).alias("first_cleared_at"),
        instant(nw.col("last_fought")).alias("last_fought_at"),
    )
