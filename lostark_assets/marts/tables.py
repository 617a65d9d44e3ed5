"""The published tables: their columns from the lake, and their keys.

The columns follow the lake's contracts, without local paths and run ids. The DDL is written out in the
migrations, since a migration must not change with the code; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.table import BOOL, DAY, FLOAT, INSTANT, INT, SMALL, STRING

SCHEMA = "marts"
MARTS_VERSION = "1"
"""Increase it when the same lake gives different rows: every day is then published again."""

STEP_S = 10
"""Seconds per point of a published timeline."""

GATE_ID = ("gate_id", STRING)
_INTS, _LONGS, _FLOATS, _TEXTS = (pa.list_(dtype) for dtype in (SMALL, INT, FLOAT, STRING))
_POSTGRES_TYPES = {
    STRING: "text",
    INT: "bigint",
    SMALL: "integer",
    FLOAT: "double precision",
    BOOL: "boolean",
    INSTANT: "timestamptz",
    DAY: "date",
    _INTS: "integer[]",
    _LONGS: "bigint[]",
    _FLOATS: "double precision[]",
    _TEXTS: "text[]",
}


@dataclass(frozen=True, eq=False)
class Mart:
    """One published table."""

    name: str
    columns: tuple[tuple[str, pa.DataType], ...]
    key: tuple[str, ...]

    @property
    def table(self) -> str:
        """Its name with the schema."""
        return f"{SCHEMA}.{self.name}"

    @property
    def names(self) -> list[str]:
        """The column names in order."""
        return [name for name, _ in self.columns]

    @property
    def postgres_types(self) -> dict[str, str]:
        """Column name to PostgreSQL type."""
        return {name: _POSTGRES_TYPES[dtype] for name, dtype in self.columns}


def _of(table: str, *, without: str = "", only: str = "") -> tuple[tuple[str, pa.DataType], ...]:
    left_out, wanted = set(without.split()), set(only.split())
    columns = [c for c in CONTRACTS[table].columns if c.name not in left_out]
    return tuple((c.name, c.dtype) for c in columns if not wanted or c.name in wanted)


ENCOUNTERS = Mart(
    "encounters",
    (
        *_of(
            "core_encounters",
            only="encounter_id fight_id fight_date is_counted fight_started_at raid_name gate_name boss_name "
            "difficulty is_cleared duration_s meter_version measurement_rules region log_format detail_level "
            "is_superseded gate_resolution intermission_ms player_count raid_size damage dps boss_max_hp "
            "boss_hp_left boss_hp_at_s boss_hp is_boss_only_damage is_rdps_valid completeness fetched_at",
        ),
        GATE_ID,
        ("week_started_at", INSTANT),
        ("deaths", INT),
    ),
    key=("encounter_id",),
)
FROM_CORE_PLAYERS = (
    "died_at_s casts hits crits back_attacks front_attacks combat_power_source shields_given "
    "damage_absorbed_on_others rdps_damage_received rdps_damage_given is_ark_passive_active engravings "
    "engraving_levels gem_levels ark_passive_evolution ark_passive_enlightenment ark_passive_leap card_sets"
)
"""Columns of ``core_players`` that are published with a player's statistics."""

PLAYERS = Mart(
    "players",
    (
        *_of(
            "stats_player_dps",
            without="log_id stats_version clean_version cleaned_at computed_at stats_run_id",
        ),
        *_of("core_players", only=FROM_CORE_PLAYERS),
        GATE_ID,
    ),
    key=("encounter_id", "player_name"),
)
SKILLS = Mart(
    "skills",
    _of("core_skills", without="log_id cast_at_ms"),
    key=("encounter_id", "player_name", "skill_id"),
)
TIMELINES = Mart(
    "timelines",
    (
        *_of("stats_dps_timeline", only="encounter_id fight_date player_name"),
        ("measured_by", STRING),
        ("dps", _LONGS),
        ("cumulative_damage", _LONGS),
    ),
    key=("encounter_id", "player_name"),
)
EXPECTED = Mart("expected", _of("ml_expected_dps"), key=("encounter_id", "player_name"))
DAY_QUALITY = Mart(
    "day_quality",
    (
        ("fight_date", DAY),
        ("logs_passed", INT),
        ("logs_refused", INT),
        ("player_rows_passed", INT),
        ("player_rows_refused", INT),
        ("newest_fight_at", INSTANT),
        ("newest_fetch_at", INSTANT),
    ),
    key=("fight_date",),
)
DAY_QUARANTINE = Mart(
    "day_quarantine",
    (("fight_date", DAY), ("scope", STRING), ("reason_code", STRING), ("row_count", INT)),
    key=("fight_date", "scope", "reason_code"),
)
DAY_MARTS = (ENCOUNTERS, PLAYERS, SKILLS, TIMELINES, EXPECTED, DAY_QUALITY, DAY_QUARANTINE)

DISTRIBUTIONS = Mart(
    "distributions",
    (*_of("stats_dps_distribution"), GATE_ID),
    key=CONTRACTS["stats_dps_distribution"].key,
)
PROGRESSION = Mart(
    "progression",
    (*_of("stats_raid_progression"), GATE_ID),
    key=CONTRACTS["stats_raid_progression"].key,
)
MODEL_EVALUATION = Mart("model_evaluation", _of("ml_dps_evaluation"), key=CONTRACTS["ml_dps_evaluation"].key)
CHAMPION_HISTORY = Mart(
    "champion_history", _of("ml_champion_history"), key=CONTRACTS["ml_champion_history"].key
)
MODEL_MONITORING = Mart("model_monitoring", _of("ml_dps_monitoring"), key=CONTRACTS["ml_dps_monitoring"].key)
PLAY_STYLES = Mart("play_styles", _of("ml_player_clusters"), key=CONTRACTS["ml_player_clusters"].key)
WHOLE_MARTS = {
    "stats_dps_distribution": DISTRIBUTIONS,
    "stats_raid_progression": PROGRESSION,
    "ml_dps_evaluation": MODEL_EVALUATION,
    "ml_champion_history": CHAMPION_HISTORY,
    "ml_dps_monitoring": MODEL_MONITORING,
    "ml_player_clusters": PLAY_STYLES,
}
"""Marts that are replaced completely, by lake table."""

DAY_TABLES = (
    "core_encounters", "core_players", "core_skills", "core_quarantine", "stats_player_dps",
    "stats_dps_timeline", "ml_expected_dps",
)  # fmt: skip
"""Lake tables behind the marts by fight day."""
