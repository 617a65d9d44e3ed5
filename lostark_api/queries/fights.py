"""Fights: the list, and details of one. One log of a fight counts; the others are listed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from lostark_api.database import MartsSnapshot, Row, Where, compose_columns
from lostark_api.queries.cursors import decode_cursor, encode_cursor
from lostark_assets.contracts.ml import CONTEXT_PARTS, GAP_PARTS
from lostark_assets.errors import NotFound
from lostark_assets.marts.tables import ENCOUNTERS, PLAYERS, SKILLS, STEP_S

SUMMARY_COLUMNS = (
    "fight_id encounter_id fight_started_at fight_date gate_id raid_name gate_name boss_name difficulty "
    "is_cleared duration_s boss_hp_left region player_count raid_size damage dps deaths measurement_rules "
    "detail_level"
).split()
_LIST_ONLY = ("boss_hp_at_s", "boss_hp")
FIGHT_COLUMNS = [name for name in ENCOUNTERS.names if name not in (*_LIST_ONLY, "is_counted")]
_OF_THE_FIGHT = (
    "encounter_id fight_date fight_id is_counted fight_started_at raid_name gate_name boss_name difficulty "
    "is_cleared duration_s meter_version measurement_rules region week_started_at gate_id"
)
PLAYER_COLUMNS = [name for name in PLAYERS.names if name not in _OF_THE_FIGHT.split()]
EXPECTATION_COLUMNS = [
    "model_version", "is_seen_in_training", "refusal_reason", "typical_dps", "expected_dps",
    "expected_dps_low", "expected_dps_high", "expected_percentile", *(c.name for c in CONTEXT_PARTS),
    "gap_dps", *(c.name for c in GAP_PARTS),
]  # fmt: skip
SKILL_COLUMNS = [name for name in SKILLS.names if name not in ("encounter_id", "fight_date")]
_KEY = (datetime, str)


@dataclass(frozen=True)
class FightFilter:
    """Filters of the list of fights; None matches all."""

    gate_id: str | None = None
    is_cleared: bool | None = None
    region: str | None = None
    spec_name: str | None = None
    player_name: str | None = None
    since: date | None = None
    until: date | None = None

    def where(self) -> Where:
        """The conditions on ``marts.encounters e``."""
        where = (
            Where()
            .add("e.is_counted")
            .add("e.gate_id = %(gate_id)s", gate_id=self.gate_id)
            .add("e.is_cleared = %(is_cleared)s", is_cleared=self.is_cleared)
            .add("e.region = %(region)s", region=self.region)
            .add("e.fight_date >= %(since)s", since=self.since)
            .add("e.fight_date <= %(until)s", until=self.until)
        )
        of_player = Where().add("p.encounter_id = e.encounter_id")
        of_player.add("p.spec_name = %(spec_name)s", spec_name=self.spec_name)
        of_player.add("p.player_name = %(player_name)s", player_name=self.player_name)
        if of_player.values:
            where.conditions.append(
                of_player.into("EXISTS (SELECT FROM marts.players p WHERE p.is_counted AND {where})")
            )
            where.values |= of_player.values
        return where


async def list_fights(
    snapshot: MartsSnapshot, which: FightFilter, *, limit: int, after: str | None = None
) -> tuple[list[Row], str | None]:
    """Fights, newest first, and the cursor of the next page.

    Raises:
        BadCursor: ``after`` is no cursor of this list.
    """
    where = which.where()
    if key := decode_cursor(after, _KEY):
        where.add(
            "(e.fight_started_at, e.encounter_id) < (%(after_at)s, %(after_id)s)",
            after_at=key[0],
            after_id=key[1],
        )
    query = where.into(
        """
        SELECT {columns}, (
            SELECT array_agg(p.spec_name ORDER BY p.damage DESC NULLS LAST)
            FROM marts.players p WHERE p.encounter_id = e.encounter_id
        ) AS spec_names
        FROM marts.encounters e WHERE {where}
        ORDER BY e.fight_started_at DESC, e.encounter_id DESC LIMIT %(limit)s
        """,
        columns=compose_columns(SUMMARY_COLUMNS, "e"),
    )
    rows = await snapshot.fetch_all(query, where.values | {"limit": limit + 1})
    return paginate(rows, limit, ("fight_started_at", "encounter_id"))


def paginate(rows: list[Row], limit: int, key: tuple[str, ...]) -> tuple[list[Row], str | None]:
    """At most ``limit`` rows, and a cursor if there are more."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], encode_cursor([rows[limit - 1][name] for name in key])


async def read_report(snapshot: MartsSnapshot, fight_id: str) -> Row:
    """Facts of a fight, its players with their expected DPS, deaths, boss HP, and its logs.

    Raises:
        NotFound: no such fight is published.
    """
    logs = await snapshot.fetch_all(
        """
        SELECT encounter_id, is_counted, is_superseded, log_format, detail_level, meter_version, completeness
        FROM marts.encounters WHERE fight_id = %(fight_id)s ORDER BY is_counted DESC, encounter_id
        """,
        {"fight_id": fight_id},
    )
    if not logs:
        raise NotFound("There is no such fight.")
    # Without a counted log, such as while its source replaces it, the best of the others is used.
    encounter_id = logs[0]["encounter_id"]
    which = Where().add("e.encounter_id = %(encounter_id)s", encounter_id=encounter_id)
    fact = await snapshot.fetch_one(
        which.into(
            "SELECT {columns} FROM marts.encounters e WHERE {where}",
            columns=compose_columns([*FIGHT_COLUMNS, *_LIST_ONLY]),
        ),
        which.values,
    )
    players = await read_players(snapshot, encounter_id)
    assert fact is not None
    hp = {name: fact.pop(name) for name in _LIST_ONLY}
    return {
        "fight": fact,
        "players": players,
        "deaths": sorted(
            (
                {"player_name": p["player_name"], "deaths": p["deaths"], "died_at_s": p["died_at_s"]}
                for p in players
                if p["deaths"]
            ),
            key=lambda death: (death["died_at_s"] is None, death["died_at_s"] or 0.0),
        ),
        "boss_hp": {"at_s": hp["boss_hp_at_s"] or [], "hp_left": hp["boss_hp"] or []},
        "logs": logs,
    }


async def read_players(snapshot: MartsSnapshot, encounter_id: str) -> list[Row]:
    """Players of one log with their expected DPS (null without one), most damage first."""
    which = Where().add("p.encounter_id = %(encounter_id)s", encounter_id=encounter_id)
    rows = await snapshot.fetch_all(
        which.into(
            """
            SELECT {columns}, {expected}, x.encounter_id IS NOT NULL AS has_expectation
            FROM marts.players p LEFT JOIN marts.expected x USING (encounter_id, player_name)
            WHERE {where} ORDER BY p.damage DESC NULLS LAST, p.player_name
            """,
            columns=compose_columns(PLAYER_COLUMNS, "p"),
            expected=compose_columns(EXPECTATION_COLUMNS, "x"),
        ),
        which.values,
    )
    for row in rows:
        expected = {name: row.pop(name) for name in EXPECTATION_COLUMNS}
        row["expected"] = expected if row.pop("has_expectation") else None
    return rows


async def read_counted_log(snapshot: MartsSnapshot, fight_id: str) -> Row:
    """Encounter id and duration of the log that is used for a fight.

    Raises:
        NotFound: no such fight is published.
    """
    row = await snapshot.fetch_one(
        """
        SELECT encounter_id, duration_s FROM marts.encounters WHERE fight_id = %(fight_id)s
        ORDER BY is_counted DESC, encounter_id LIMIT 1
        """,
        {"fight_id": fight_id},
    )
    if row is None:
        raise NotFound("There is no such fight.")
    return row


async def read_skills(snapshot: MartsSnapshot, fight_id: str, player_name: str | None = None) -> list[Row]:
    """Skills of the fight's players, of each player the strongest first."""
    log = await read_counted_log(snapshot, fight_id)
    which = (
        Where()
        .add("encounter_id = %(encounter_id)s", encounter_id=log["encounter_id"])
        .add("player_name = %(player_name)s", player_name=player_name)
    )
    query = which.into(
        "SELECT {columns} FROM marts.skills WHERE {where} "
        "ORDER BY player_name, damage DESC NULLS LAST, skill_id",
        columns=compose_columns(SKILL_COLUMNS),
    )
    return await snapshot.fetch_all(query, which.values)


async def read_timeline(snapshot: MartsSnapshot, fight_id: str) -> dict[str, Any]:
    """10 s DPS and cumulative damage of every player, one point every ``step_s`` seconds."""
    log = await read_counted_log(snapshot, fight_id)
    players = await snapshot.fetch_all(
        """
        SELECT player_name, measured_by, dps, cumulative_damage FROM marts.timelines
        WHERE encounter_id = %(encounter_id)s
        ORDER BY cumulative_damage[cardinality(cumulative_damage)] DESC NULLS LAST, player_name
        """,
        {"encounter_id": log["encounter_id"]},
    )
    return {"step_s": STEP_S, "duration_s": log["duration_s"], "players": players}
