"""DPS by cell: one raid gate, difficulty, class, spec, item-level bracket, set of measuring rules and week.

The members are those of the percentile pools. Everything is a sum over weighted rows: no engine needs its own
quantile function, so all of them (and Spark later) give the same numbers.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from lostark_assets.arrow import plain
from lostark_assets.contracts.stats import DISTRIBUTION_KEY, QUANTILES, STATS_DPS_DISTRIBUTION
from lostark_assets.stats.dps import pool_members
from lostark_assets.stats.engine import Engine, combine_key, to_arrow, to_engine
from lostark_assets.stats.weeks import WEEK_US

TREND_WEEKS = 4
SERIES_KEY = tuple(name for name in DISTRIBUTION_KEY if name != "week_started_at")
NEEDED = (
    *DISTRIBUTION_KEY, "fight_id", "is_counted", "is_cleared", "is_dead", "dps",
)  # fmt: skip


def dps_distribution(player_dps: Any, engine: Engine = "pandas") -> pa.Table:
    """Rows of ``stats_dps_distribution`` of all cells that ``player_dps`` has members in, in any order.

    Quantiles interpolate linearly. The interval of the median runs between two order statistics and covers it
    with at least 95 %, whatever the distribution; below 6 players there is none. The trend is the median
    against the same cell of the newest earlier week, at most four weeks back.

    Args:
        player_dps: rows of ``stats_player_dps``; trends need the four weeks before the first week of
            interest.
        engine: the engine that computes it.
    """
    rows = to_engine(player_dps, engine).select(*NEEDED)
    rows = rows.filter(pool_members() & ~nw.col("dps").is_null()).with_columns(
        combine_key(*SERIES_KEY).alias("series"),
        nw.col("week_started_at").dt.timestamp("us").alias("week"),
        nw.col("dps").cast(nw.Float64()),
    )
    rows = rows.with_columns(combine_key("series", "week").alias("cell"))
    cells = _with_trend(_cells(rows, engine))
    keys = rows.select("cell", *DISTRIBUTION_KEY).unique()
    return plain(to_arrow(keys.join(cells, on="cell").select(*STATS_DPS_DISTRIBUTION.names)))


@cache
def median_rank(n: int) -> int:
    """The k for which the k-th smallest and the k-th largest of n hold the median with 95 %; 0 below 6.

    The greatest k with P(Binomial(n, 1/2) < k) <= 2.5 %.
    """
    if n < 1:
        return 0
    tosses = np.arange(1, n // 2 + 1)
    log_ways = np.concatenate([[0.0], np.cumsum(np.log((n - tosses + 1) / tosses))])
    return int(np.searchsorted(np.cumsum(np.exp(log_ways - n * np.log(2))), 0.025, side="right"))


def _cells(rows: nw.DataFrame, engine: Engine) -> nw.DataFrame:
    """Counts, mean, quantiles and interval by ``cell``."""
    rows = rows.with_columns(
        nw.col("dps").rank("ordinal").over("cell").cast(nw.Int64()).alias("rank"),
        nw.len().over("cell").cast(nw.Int64()).alias("n"),
    )
    counts = rows["n"].unique().to_list()
    ranks = pa.table({"n": pa.array(counts, pa.int64()), "k": pa.array(map(median_rank, counts), pa.int64())})
    rows = rows.join(to_engine(ranks, engine), on="n").with_columns(
        *(_share_of_quantile(q).alias(f"p{q}") for q in QUANTILES),
        (nw.col("dps") * (nw.col("rank") == nw.col("k")).cast(nw.Int64())).alias("median_low"),
        (nw.col("dps") * (nw.col("rank") == nw.col("n") + 1 - nw.col("k")).cast(nw.Int64())).alias(
            "median_high"
        ),
    )
    cells = rows.group_by("cell").agg(
        nw.col("series").max(),
        nw.col("week").max(),
        nw.col("k").max(),
        nw.col("n").max().alias("player_count"),
        nw.col("fight_id").n_unique().alias("encounter_count"),
        nw.col("dps").mean().alias("mean_dps"),
        *(nw.col(f"p{q}").sum() for q in QUANTILES),
        nw.col("median_low").sum(),
        nw.col("median_high").sum(),
    )
    has_interval = nw.col("k") > 0
    return cells.with_columns(
        nw.when(has_interval).then(nw.col("median_low")), nw.when(has_interval).then(nw.col("median_high"))
    )


def _share_of_quantile(percent: int) -> nw.Expr:
    """What a row adds to a quantile: DPS times weight, which only the two rows around the place have."""
    place = (nw.col("n") - 1) * (percent / 100) + 1
    distance = (nw.col("rank") - place).abs()
    return nw.col("dps") * (1 - distance).clip(lower_bound=0)


def _with_trend(cells: nw.DataFrame) -> nw.DataFrame:
    """``trend`` from the newest of the four weeks before."""
    for weeks in range(1, TREND_WEEKS + 1):
        earlier = cells.select(
            "series", (nw.col("week") + weeks * WEEK_US).alias("week"), nw.col("p50").alias(f"median_{weeks}")
        )
        cells = cells.join(earlier, on=["series", "week"], how="left")
    before = nw.coalesce(*(nw.col(f"median_{weeks}") for weeks in range(1, TREND_WEEKS + 1)))
    return cells.with_columns((nw.col("p50") / nw.when(before > 0).then(before) - 1).alias("trend"))
