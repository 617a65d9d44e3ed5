"""Distributions over pools of players: the tier list, and one gate by spec.

A pool is that of the percentiles: living players of counted clears whose gate and spec are known, dealers
apart from supports. Weeks are counted back from the newest fight that is published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from psycopg import sql

from lostark_api.database import MartsSnapshot, Row, Where
from lostark_assets.stats.distribution import median_rank

Role = Literal["dealer", "support"]
QUANTILES = (5, 10, 25, 50, 75, 90, 95)
MIN_PLAYERS = 5
"""Specs with fewer are counted but not described: their figures would be those of single players."""
_MEASURE = {"dealer": sql.SQL("p.dps::float8"), "support": sql.SQL("p.support_contribution")}
_POOL = (
    "p.is_counted AND p.is_cleared AND p.is_dead IS NOT TRUE AND p.spec_name IS NOT NULL "
    "AND p.dps IS NOT NULL AND p.gate_id IS NOT NULL"
)


@dataclass(frozen=True)
class Pool:
    """A pool: a role, the last ``weeks`` weeks, and optional filters."""

    role: Role = "dealer"
    weeks: int = 4
    gate_id: str | None = None
    class_name: str | None = None
    item_level_min: float | None = None
    item_level_max: float | None = None
    region: str | None = None

    def where(self) -> Where:
        """The conditions on ``marts.players p``."""
        where = Where().add(_POOL).add("p.is_support = %(is_support)s", is_support=self.role == "support")
        if self.role == "support":
            where.add("p.support_contribution IS NOT NULL")
        since = (
            "p.week_started_at > (SELECT week_started_at FROM marts.encounters WHERE is_counted "
            "ORDER BY fight_started_at DESC, encounter_id DESC LIMIT 1) - make_interval(weeks => %(weeks)s)"
        )
        return (
            where.add(since, weeks=self.weeks)
            .add("p.gate_id = %(gate_id)s", gate_id=self.gate_id)
            .add("p.class_name = %(class_name)s", class_name=self.class_name)
            .add("p.item_level >= %(item_level_min)s", item_level_min=self.item_level_min)
            .add("p.item_level <= %(item_level_max)s", item_level_max=self.item_level_max)
            .add("p.region = %(region)s", region=self.region)
        )


async def read_gate_distribution(snapshot: MartsSnapshot, pool: Pool) -> list[Row]:
    """Quantiles of one gate by spec, best median first."""
    where = pool.where()
    query = where.into(
        """
        SELECT p.class_name, p.spec_name, array_agg({measure} ORDER BY {measure}) AS figures,
               count(DISTINCT p.fight_id) AS fight_count,
               array_agg(DISTINCT p.measurement_rules) AS measurement_rules
        FROM marts.players p WHERE {where} GROUP BY p.class_name, p.spec_name
        """,
        measure=_MEASURE[pool.role],
    )
    return _describe_specs(await snapshot.fetch_all(query, where.values))


async def read_tier_list(snapshot: MartsSnapshot, pool: Pool) -> list[Row]:
    """Specs by their players' figures relative to the median of gate and week (1.0), over all gates."""
    where = pool.where()
    query = where.into(
        """
        WITH pool AS MATERIALIZED (
            SELECT p.gate_id, p.week_started_at, p.class_name, p.spec_name, p.fight_id, p.measurement_rules,
                   {measure} AS figure
            FROM marts.players p WHERE {where}
        ), medians AS (
            SELECT gate_id, week_started_at, percentile_cont(0.5) WITHIN GROUP (ORDER BY figure) AS median
            FROM pool GROUP BY gate_id, week_started_at
        )
        SELECT class_name, spec_name, array_agg(figure / median ORDER BY figure / median) AS figures,
               count(DISTINCT fight_id) AS fight_count,
               array_agg(DISTINCT measurement_rules) AS measurement_rules
        FROM pool JOIN medians USING (gate_id, week_started_at) WHERE median > 0
        GROUP BY class_name, spec_name
        """,
        measure=_MEASURE[pool.role],
    )
    return _describe_specs(await snapshot.fetch_all(query, where.values))


def describe(figures: Sequence[float]) -> Row:
    """Count, mean, quantiles and the median's 95 % interval of ascending ``figures``."""
    n = len(figures)
    row: dict[str, Any] = {"player_count": n, "mean": None, "median_low": None, "median_high": None}
    row |= {f"p{q}": None for q in QUANTILES}
    if n < MIN_PLAYERS:
        return row
    values = np.asarray(figures, dtype=np.float64)
    row["mean"] = float(values.mean())
    row |= {f"p{q}": float(v) for q, v in zip(QUANTILES, np.percentile(values, QUANTILES), strict=True)}
    if k := median_rank(n):
        row |= {"median_low": float(values[k - 1]), "median_high": float(values[n - k])}
    return row


def _describe_specs(rows: list[Row]) -> list[Row]:
    found = []
    for row in rows:
        rules = sorted(row.pop("measurement_rules"))
        found.append(
            row | describe(row.pop("figures")) | {"measurement_rules": rules, "is_mixed": len(rules) > 1}
        )
    return sorted(found, key=lambda row: (row["p50"] is None, -(row["p50"] or 0), row["spec_name"]))
