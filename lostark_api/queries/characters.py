"""Characters: search, progress and history, and a comparison of two."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lostark_api.database import MartsSnapshot, Row, Where, compose_columns
from lostark_api.queries.cursors import decode_cursor
from lostark_api.queries.fights import EXPECTATION_COLUMNS, paginate
from lostark_assets.errors import NotFound

_SEARCH_KEY = (datetime, str, str)
_HISTORY_KEY = (datetime, str)
PERCENTILES = [
    f"{name}{part}"
    for name in ("spec_percentile", "item_level_percentile", "contribution_percentile", "uptime_percentile")
    for part in ("", "_low", "_high", "_n")
]
HISTORY_COLUMNS = (
    "fight_id encounter_id fight_started_at gate_id raid_name gate_name boss_name difficulty is_cleared "
    "duration_s class_name spec_name is_support item_level combat_power is_dead deaths damage dps "
    "damage_share crit_rate back_attack_rate front_attack_rate casts_per_minute rdps ndps "
    "support_contribution measurement_rules"
).split() + PERCENTILES
_SHOWN = (
    "model_version",
    "refusal_reason",
    "expected_dps",
    "expected_dps_low",
    "expected_dps_high",
    "gap_dps",
)
EXPECTED_COLUMNS = [name for name in EXPECTATION_COLUMNS if name in (*_SHOWN, "expected_percentile")]
PROGRESS_COLUMNS = (
    "gate_id raid_name gate_name difficulty class_name spec_name pulls clears wipes clear_rate "
    "best_boss_hp_left deaths best_dps pulls_to_first_clear time_spent_s first_fought_at first_cleared_at "
    "last_fought_at"
).split()


async def search_characters(
    snapshot: MartsSnapshot,
    *,
    prefix: str | None = None,
    region: str | None = None,
    class_name: str | None = None,
    spec_name: str | None = None,
    limit: int,
    after: str | None = None,
) -> tuple[list[Row], str | None]:
    """Characters whose name begins with ``prefix`` (case-insensitive), the most recently seen first."""
    where = (
        Where()
        .add(
            "lower(player_name) LIKE %(prefix)s",
            prefix=None if prefix is None else _as_pattern(prefix.lower()),
        )
        .add("region = %(region)s", region=region)
        .add("class_name = %(class_name)s", class_name=class_name)
        .add("spec_name = %(spec_name)s", spec_name=spec_name)
    )
    if key := decode_cursor(after, _SEARCH_KEY):
        where.add(
            "(last_fought_at, player_name, region) < (%(after_at)s, %(after_name)s, %(after_region)s)",
            after_at=key[0],
            after_name=key[1],
            after_region=key[2],
        )
    query = where.into(
        """
        SELECT * FROM marts.characters WHERE {where}
        ORDER BY last_fought_at DESC, player_name DESC, region DESC LIMIT %(limit)s
        """
    )
    rows = await snapshot.fetch_all(query, where.values | {"limit": limit + 1})
    return paginate(rows, limit, ("last_fought_at", "player_name", "region"))


def _as_pattern(prefix: str) -> str:
    for sign in "\\%_":
        prefix = prefix.replace(sign, f"\\{sign}")
    return f"{prefix}%"


async def read_character(snapshot: MartsSnapshot, region: str, player_name: str) -> dict[str, Any]:
    """One character with its progress and its play styles.

    Raises:
        NotFound: it has no published fights.
    """
    who = {"region": region, "player_name": player_name}
    row = await snapshot.fetch_one(
        "SELECT * FROM marts.characters WHERE region = %(region)s AND player_name = %(player_name)s", who
    )
    if row is None:
        raise NotFound("There are no fights of this character in this region; /v1/characters searches them.")
    styles = await snapshot.fetch_all(
        """
        SELECT spec_name, fights, style, style_probability, axis_1, axis_2, model_version, computed_at
        FROM marts.play_styles WHERE region = %(region)s AND player_name = %(player_name)s ORDER BY spec_name
        """,
        who,
    )
    return {
        "character": row,
        "progress": await read_progress(snapshot, region, player_name),
        "play_styles": styles,
    }


async def read_progress(snapshot: MartsSnapshot, region: str, player_name: str) -> list[Row]:
    """Pulls, clears and best pulls of a character by gate, the most recently fought first."""
    which = (
        Where()
        .add("player_name = %(player_name)s", player_name=player_name)
        .add("coalesce(region, 'unknown') = %(region)s", region=region)
    )
    query = which.into(
        "SELECT {columns} FROM marts.progression WHERE {where} ORDER BY last_fought_at DESC, gate_id",
        columns=compose_columns(PROGRESS_COLUMNS),
    )
    return await snapshot.fetch_all(query, which.values)


async def read_history(
    snapshot: MartsSnapshot,
    region: str,
    player_name: str,
    *,
    gate_id: str | None = None,
    is_cleared: bool | None = None,
    limit: int,
    after: str | None = None,
) -> tuple[list[Row], str | None]:
    """A character's counted fights with percentiles and expected DPS, newest first."""
    where = (
        Where()
        .add("p.is_counted")
        .add("p.player_name = %(player_name)s", player_name=player_name)
        .add("coalesce(p.region, 'unknown') = %(region)s", region=region)
        .add("p.gate_id = %(gate_id)s", gate_id=gate_id)
        .add("p.is_cleared = %(is_cleared)s", is_cleared=is_cleared)
    )
    if key := decode_cursor(after, _HISTORY_KEY):
        where.add(
            "(p.fight_started_at, p.encounter_id) < (%(after_at)s, %(after_id)s)",
            after_at=key[0],
            after_id=key[1],
        )
    query = where.into(
        """
        SELECT {columns}, {expected}
        FROM marts.players p LEFT JOIN marts.expected x USING (encounter_id, player_name)
        WHERE {where} ORDER BY p.fight_started_at DESC, p.encounter_id DESC LIMIT %(limit)s
        """,
        columns=compose_columns(HISTORY_COLUMNS, "p"),
        expected=compose_columns(EXPECTED_COLUMNS, "x"),
    )
    rows = await snapshot.fetch_all(query, where.values | {"limit": limit + 1})
    return paginate(rows, limit, ("fight_started_at", "encounter_id"))


async def compare_characters(
    snapshot: MartsSnapshot, a: tuple[str, str], b: tuple[str, str]
) -> dict[str, Any]:
    """Two characters, and their results at the gates that both cleared alive.

    Raises:
        NotFound: one of them has no published fights.
    """
    both = {"a": await read_character(snapshot, *a), "b": await read_character(snapshot, *b)}
    shared = await snapshot.fetch_all(
        """
        SELECT gate_id, raid_name, gate_name, difficulty, a.clears AS a_clears, b.clears AS b_clears,
               a.median_dps AS a_median_dps, b.median_dps AS b_median_dps,
               a.median_percentile AS a_median_percentile, b.median_percentile AS b_median_percentile,
               b.median_dps / nullif(a.median_dps, 0) AS dps_ratio
        FROM (SELECT {figures} FROM marts.players p WHERE player_name = %(a_name)s
              AND coalesce(region, 'unknown') = %(a_region)s AND {alive} GROUP BY {gate}) AS a
        JOIN (SELECT {figures} FROM marts.players p WHERE player_name = %(b_name)s
              AND coalesce(region, 'unknown') = %(b_region)s AND {alive} GROUP BY {gate}) AS b
        USING (gate_id, raid_name, gate_name, difficulty) ORDER BY gate_id
        """.replace(
            "{figures}",
            "gate_id, raid_name, gate_name, difficulty, count(*) AS clears, "
            "percentile_cont(0.5) WITHIN GROUP (ORDER BY dps) AS median_dps, "
            "percentile_cont(0.5) WITHIN GROUP (ORDER BY spec_percentile) AS median_percentile",
        )
        .replace("{alive}", "is_counted AND is_cleared AND is_dead IS NOT TRUE AND gate_id IS NOT NULL")
        .replace("{gate}", "gate_id, raid_name, gate_name, difficulty"),
        {"a_region": a[0], "a_name": a[1], "b_region": b[0], "b_name": b[1]},
    )
    return both | {"gates": shared}
