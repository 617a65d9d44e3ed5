"""Contract of the training frame: what the model may know, what it learns, and nothing that the fight made.

Model columns are listed by kind; ``features`` fills them and ``model`` reads them, so that a column that
exists on one side only can't be. What does not belong here: how a feature is computed.
"""

from __future__ import annotations

from lostark_assets.contracts.core import FIGHT_DATE, PLAYER_NAME, UPTIMES
from lostark_assets.contracts.table import BOOL, FLOAT, INSTANT, INT, STRING, Column, Contract, concat
from lostark_assets.game.specs import SUPPORT_SPECS

UNKNOWN = "unknown"
"""The category of a value that the log does not tell."""

EXCLUSIONS = {
    "not_counted": "another log of the same fight counts",
    "not_cleared": "the fight was not won, or its log does not say",
    "gate_unknown": "raid or gate is unknown",
    "difficulty_unknown": "difficulty is unknown",
    "spec_unknown": "class or spec is unknown",
    "support": "supports are a population of their own",
    "dead": "dead at the end: a population of its own",
    "no_dps": "no DPS, or 0",
}
"""Why a row is not in the training population, the first reason that holds."""


def _support_column(spec: str) -> str:
    return "supports_" + spec.lower().replace(" ", "_")


SUPPORT_COUNTS = {spec: _support_column(spec) for spec in sorted(SUPPORT_SPECS)}
"""Count column of each support spec."""

_CATEGORIES = tuple(
    Column(name, STRING, what, nullable=False)
    for name, what in (
        ("gate_difficulty", "raid, gate and difficulty in one"),
        ("class_name", "class, in English"),
        ("spec_name", "class engraving (build), in English"),
        ("region", "server region"),
        ("measurement_rules", "era of measuring rules"),
    )
)
_OWN = (
    Column("item_level", FLOAT, "item level", unit="item level", minimum=1, maximum=3000),
    Column("combat_power", FLOAT, "combat power", unit="combat power", minimum=0),
    Column("uploader_flag", FLOAT, "1 if the player's meter wrote the log", minimum=0, maximum=1),
    Column(
        "ark_passive_flag",
        FLOAT,
        "1 with ark passive on; null where nobody of the log has it: not measured",
        minimum=0,
        maximum=1,
    ),
)
_PARTY = (
    Column("player_count", FLOAT, "players in the log", unit="players", minimum=1),
    Column("support_count", FLOAT, "supports in the log", unit="players", minimum=0),
    *(
        Column(name, FLOAT, f"{spec} in the log", unit="players", minimum=0)
        for spec, name in SUPPORT_COUNTS.items()
    ),
    Column(
        "support_seat_flag",
        FLOAT,
        "1 for a dealer spec of a support class while there are fewer supports than parties",
        minimum=0,
        maximum=1,
    ),
    Column("others_item_level", FLOAT, "mean item level of the others", unit="item level"),
    Column("lowest_item_level", FLOAT, "lowest item level in the log", unit="item level"),
    Column("highest_item_level", FLOAT, "highest item level in the log", unit="item level"),
    Column("support_item_level", FLOAT, "mean item level of the supports", unit="item level"),
    Column(
        "others_ark_passive_share", FLOAT, "share of the others with ark passive on", minimum=0, maximum=1
    ),
)
_WHEN = (
    Column("hours_since_reset", FLOAT, "since the weekly reset", unit="h", minimum=0, maximum=168),
    Column("hour_of_day", FLOAT, "UTC hour of the start", unit="h", minimum=0, maximum=24),
)
_HISTORY = (
    Column(
        "history_fights",
        FLOAT,
        "fights of the character that ended before this one began; null for a stand-in name",
        unit="fights",
        minimum=0,
    ),
    Column(
        "history_residual",
        FLOAT,
        "their mean log DPS above the median of gate, difficulty, spec and week",
        unit="log",
    ),
    Column("history_age_days", FLOAT, "since the newest of them", unit="d", minimum=0),
)
_TIME = (
    Column(
        "fought_at_week", FLOAT, "weeks from 1970 to the start; read by the season's level only", unit="week"
    ),
)

CATEGORY_FEATURES = [c.name for c in _CATEGORIES]
NUMBER_FEATURES = [c.name for c in concat(_OWN, UPTIMES, _PARTY, _WHEN, _HISTORY)]
TIME_FEATURE = "fought_at_week"
MODEL_FEATURES = [*CATEGORY_FEATURES, *NUMBER_FEATURES, TIME_FEATURE]
INCREASING = ("item_level", "combat_power", *(c.name for c in UPTIMES))
"""More of it never lowers the expected DPS, everything else equal."""

ML_TRAINING_SET = Contract(
    name="ml_training_set",
    row="one player in one encounter: what is known before and around the fight, and the DPS reached",
    key=("encounter_id", "player_name"),
    partition_by=("fight_date",),
    notes="Rows with an exclusion_reason are not trained on; they stay so that they can be counted.",
    columns=concat(
        (
            Column("encounter_id", STRING, "the encounter", nullable=False),
            Column("fight_id", STRING, "the real fight", nullable=False),
        ),
        FIGHT_DATE,
        PLAYER_NAME,
        (
            Column("fight_started_at", INSTANT, "start of the fight", nullable=False),
            Column("week_started_at", INSTANT, "weekly reset before it", nullable=False),
            Column("raid_name", STRING, "raid"),
            Column("gate_name", STRING, "gate"),
            Column("difficulty", STRING, "difficulty"),
            Column("item_level_bracket", STRING, "item level in steps of 10"),
            Column("is_uploader", BOOL, "the player whose meter wrote the log"),
            Column("is_support", BOOL, "support by spec; by class only where the spec is unknown"),
            Column("is_dead", BOOL, "dead at the end of the fight"),
            Column("exclusion_reason", STRING, "why it is not in the population", allowed=tuple(EXCLUSIONS)),
        ),
        _CATEGORIES,
        _OWN,
        UPTIMES,
        _PARTY,
        _WHEN,
        _HISTORY,
        _TIME,
        (
            Column("dps", INT, "what the fight made: never a feature", unit="damage/s", minimum=0),
            Column("log_dps", FLOAT, "natural logarithm of it: the target; null where it is 0", unit="log"),
        ),
    ),
)
