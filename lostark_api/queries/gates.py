"""Raid gates with published fights, and their weekly distributions."""

from __future__ import annotations

from lostark_api.database import MartsSnapshot, Row, Where
from lostark_assets.errors import NotFound

_GATES = """
SELECT gate_id, raid_name, gate_name, difficulty, count(*) AS fight_count,
       count(*) FILTER (WHERE is_cleared) AS clear_count,
       (count(*) FILTER (WHERE is_cleared))::float8 / nullif(count(is_cleared), 0) AS clear_rate,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_s) FILTER (WHERE is_cleared)
           AS median_clear_duration_s,
       max(fight_started_at) AS last_fought_at
FROM marts.encounters WHERE is_counted AND gate_id IS NOT NULL AND {where}
GROUP BY gate_id, raid_name, gate_name, difficulty
ORDER BY last_fought_at DESC, gate_id
"""


async def list_gates(snapshot: MartsSnapshot) -> list[Row]:
    """All gates at each difficulty, the most recently fought first."""
    return await snapshot.fetch_all(Where().into(_GATES))


async def read_gate(snapshot: MartsSnapshot, gate_id: str) -> Row:
    """One gate.

    Raises:
        NotFound: it has no published fights.
    """
    where = Where().add("gate_id = %(gate_id)s", gate_id=gate_id)
    row = await snapshot.fetch_one(where.into(_GATES), where.values)
    if row is None:
        raise NotFound("This gate has no published fights; /v1/gates lists all gates.")
    return row


async def read_weeks(
    snapshot: MartsSnapshot, gate_id: str, spec_name: str | None, bracket: str | None
) -> list[Row]:
    """The gate's distributions week by week, newest first."""
    where = (
        Where()
        .add("gate_id = %(gate_id)s", gate_id=gate_id)
        .add("spec_name = %(spec_name)s", spec_name=spec_name)
        .add("item_level_bracket = %(bracket)s", bracket=bracket)
    )
    query = where.into(
        """
        SELECT week_started_at, class_name, spec_name, is_support, item_level_bracket, measurement_rules,
               player_count, encounter_count, mean_dps, p5, p10, p25, p50, p75, p90, p95, median_low,
               median_high, trend
        FROM marts.distributions WHERE {where}
        ORDER BY week_started_at DESC, spec_name, item_level_bracket, measurement_rules LIMIT 5000
        """
    )
    return await snapshot.fetch_all(query, where.values)
