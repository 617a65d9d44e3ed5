"""Raid progression: pulls and clears by gate over all characters, and the characters at one gate."""

from __future__ import annotations

from datetime import datetime

from lostark_api.database import MartsSnapshot, Row, Where, compose_columns
from lostark_api.queries.characters import PROGRESS_COLUMNS
from lostark_api.queries.cursors import decode_cursor
from lostark_api.queries.fights import paginate

_KEY = (datetime, str, str, str)


async def summarize_gates(snapshot: MartsSnapshot) -> list[Row]:
    """Characters, clears and pulls to the first clear, by gate."""
    return await snapshot.fetch_all(
        """
        SELECT gate_id, raid_name, gate_name, difficulty, count(*) AS character_count,
               count(*) FILTER (WHERE clears > 0) AS cleared_count,
               (count(*) FILTER (WHERE clears > 0))::float8 / count(*) AS cleared_share,
               sum(pulls)::bigint AS pulls, sum(clears)::bigint AS clears,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY pulls_to_first_clear)
                   AS median_pulls_to_first_clear,
               percentile_cont(0.9) WITHIN GROUP (ORDER BY pulls_to_first_clear) AS p90_pulls_to_first_clear,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY best_boss_hp_left) FILTER (WHERE clears = 0)
                   AS median_boss_hp_left_uncleared,
               sum(deaths)::float8 / nullif(sum(pulls) FILTER (WHERE deaths IS NOT NULL), 0)::float8
                   AS deaths_per_pull
        FROM marts.progression WHERE gate_id IS NOT NULL
        GROUP BY gate_id, raid_name, gate_name, difficulty ORDER BY gate_id
        """
    )


async def list_gate_characters(
    snapshot: MartsSnapshot,
    gate_id: str,
    *,
    is_cleared: bool | None = None,
    limit: int,
    after: str | None = None,
) -> tuple[list[Row], str | None]:
    """Characters at one gate, the most recently seen first."""
    where = Where().add("gate_id = %(gate_id)s", gate_id=gate_id)
    if is_cleared is not None:
        where.add("clears > 0" if is_cleared else "clears = 0")
    if key := decode_cursor(after, _KEY):
        where.add(
            "(last_fought_at, player_name, coalesce(region, 'unknown'), coalesce(spec_name, '')) < "
            "(%(after_at)s, %(after_name)s, %(after_region)s, %(after_spec)s)",
            **dict(zip(("after_at", "after_name", "after_region", "after_spec"), key, strict=True)),
        )
    query = where.into(
        """
        SELECT player_name, coalesce(region, 'unknown') AS region, {columns},
               coalesce(spec_name, '') AS last_key
        FROM marts.progression WHERE {where}
        ORDER BY last_fought_at DESC, player_name DESC, coalesce(region, 'unknown') DESC,
                 coalesce(spec_name, '') DESC
        LIMIT %(limit)s
        """,
        columns=compose_columns(PROGRESS_COLUMNS),
    )
    rows = await snapshot.fetch_all(query, where.values | {"limit": limit + 1})
    page, cursor = paginate(rows, limit, ("last_fought_at", "player_name", "region", "last_key"))
    for row in page:
        del row["last_key"]
    return page, cursor
