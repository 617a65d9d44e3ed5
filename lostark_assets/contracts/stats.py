"""Contracts of the statistics layer.

Definitions stand in ``docs/metrics.md``; here are columns, units and rules. Statistics count one log a fight
(``is_counted``) where they go across fights; rows of the other logs stay visible in ``stats_player_dps``.
"""

from __future__ import annotations

from lostark_assets.contracts.core import (
    AMOUNTS,
    DETAIL_LEVELS,
    ENCOUNTER_FACTS,
    FIGHT_DATE,
    GATE,
    IDENTITY,
    LOG_KEY,
    MEASUREMENT_RULES,
    PLAYER_NAME,
    UPTIMES,
)
from lostark_assets.contracts.table import (
    BOOL,
    FLOAT,
    INSTANT,
    INT,
    SMALL,
    STRING,
    Column,
    Contract,
    Published,
    Storage,
    concat,
    ordered,
)
from lostark_assets.game.classes import CLASS_NAMES
from lostark_assets.game.specs import SPEC_NAMES

QUANTILES = (1, 5, 10, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90, 95, 99)


def _rate(name: str, what: str) -> Column:
    return Column(name, FLOAT, what, unit="0..1", minimum=0, maximum=1)


def _percentile(name: str, pool: str) -> tuple[Column, ...]:
    return (
        Column(
            name, FLOAT, f"place among {pool}; null below 20 players", unit="percent", minimum=0, maximum=100
        ),
        Column(
            f"{name}_low", FLOAT, "lower end of its 95 % interval", unit="percent", minimum=0, maximum=100
        ),
        Column(
            f"{name}_high", FLOAT, "upper end of its 95 % interval", unit="percent", minimum=0, maximum=100
        ),
        Column(
            f"{name}_n",
            INT,
            "players in the pool; null where the player has no pool",
            unit="players",
            minimum=0,
        ),
    )


STATS_PLAYER_DPS = Contract(
    name="stats_player_dps",
    row="one player in one encounter, with every rate, share, percentile and burst figure",
    key=("encounter_id", "player_name"),
    grain="day",
    published=Published(
        "players",
        without=("log_id", "stats_version", "clean_version", "cleaned_at", "computed_at", "stats_run_id"),
        has_gate_id=True,
    ),
    preview=(
        "fight_started_at",
        "raid_name",
        "gate_name",
        "difficulty",
        "player_name",
        "spec_name",
        "item_level",
        "dps",
        "damage_share",
        "crit_rate",
        "peak_10s_dps",
        "spec_percentile",
        "spec_percentile_n",
    ),
    notes="Percentile pools: cleared fights of the last 28 days up to this fight day, living players of the "
    "same role, one log a fight, same measuring rules, same gate, difficulty and spec.",
    columns=concat(
        LOG_KEY,
        FIGHT_DATE,
        PLAYER_NAME,
        ENCOUNTER_FACTS,
        (
            Column(
                "week_started_at",
                INSTANT,
                "weekly reset of the log's region before the fight",
                nullable=False,
            ),
            Column(
                "detail_level", STRING, "finest level the log carries", nullable=False, allowed=DETAIL_LEVELS
            ),
            Column("is_name_known", BOOL, "the name is a character's", nullable=False),
        ),
        IDENTITY,
        (Column("item_level_bracket", STRING, "item level in steps of 10, such as 1680-1689"),),
        AMOUNTS,
        (
            _rate("party_damage_share", "share of the damage of the own party"),
            Column(
                "active_s", FLOAT, "time from first to last hit, gaps over 5 s removed", unit="s", minimum=0
            ),
            Column(
                "active_dps",
                INT,
                "damage per active second; null below one active second",
                unit="damage/s",
                minimum=0,
            ),
            _rate("crit_rate", "crits / hits"),
            _rate("back_attack_rate", "hits from behind / hits"),
            _rate("front_attack_rate", "hits from the front / hits"),
            _rate("crit_damage_share", "damage by crits / damage"),
            _rate("back_attack_damage_share", "damage from behind / damage"),
            _rate("front_attack_damage_share", "damage from the front / damage"),
            Column("casts_per_minute", FLOAT, "casts / fight minutes", unit="casts/min", minimum=0),
            Column("hits_per_minute", FLOAT, "hits / fight minutes", unit="hits/min", minimum=0),
            Column("max_hit_damage", INT, "largest hit", unit="damage", minimum=0),
            Column("peak_10s_dps", INT, "best full 10 s window", unit="damage/s", minimum=0),
            Column(
                "opener_dps",
                INT,
                "DPS of the first 30 s (or of the fight, where shorter)",
                unit="damage/s",
                minimum=0,
            ),
            Column("deaths", INT, "deaths", unit="count", minimum=0),
            Column("dead_s", FLOAT, "time spent dead", unit="s", minimum=0),
            Column("damage_taken", INT, "damage taken", unit="damage", minimum=0),
            Column("stagger", INT, "stagger dealt", unit="stagger", minimum=0),
            Column("counters", INT, "counters", unit="count", minimum=0),
            Column("incapacitated_s", FLOAT, "time knocked down or under control", unit="s", minimum=0),
        ),
        UPTIMES,
        (
            Column("rdps", INT, "DPS with party buffs credited to their givers", unit="damage/s"),
            Column("ndps", INT, "DPS without what party buffs gave", unit="damage/s"),
            Column(
                "support_contribution",
                FLOAT,
                "damage given by own buffs / damage of the party's dealers",
                unit="fraction",
                minimum=0,
            ),
        ),
        _percentile("spec_percentile", "the same gate, difficulty and spec by DPS; dealers only"),
        _percentile("item_level_percentile", "the same pool within 5 item levels"),
        _percentile(
            "contribution_percentile", "supports of the same gate, difficulty and spec by contribution"
        ),
        _percentile(
            "uptime_percentile", "supports of the same gate, difficulty and spec by mean buff uptime"
        ),
        (
            Column("stats_version", STRING, "version of the statistics code", nullable=False),
            Column("clean_version", STRING, "version of the cleaning code behind the row", nullable=False),
            Column("cleaned_at", INSTANT, "when the log behind the row was cleaned"),
            Column("computed_at", INSTANT, "when the row was computed", nullable=False),
            Column("stats_run_id", STRING, "the run that computed it", nullable=False),
        ),
    ),
)

STATS_DPS_TIMELINE = Contract(
    name="stats_dps_timeline",
    row="one second of one player in one encounter",
    key=("encounter_id", "player_name", "second"),
    grain="day",
    storage=Storage(
        sorted_by=("encounter_id", "player_name", "second"),
        dictionary=("encounter_id", "player_name", "measured_by"),
        byte_stream_split=("second", "damage", "rolling_10s_dps", "cumulative_damage"),
    ),
    published=Published("timelines", only=("encounter_id", "fight_date", "player_name")),
    preview=("encounter_id", "player_name", "second", "damage", "rolling_10s_dps", "cumulative_damage"),
    notes="From hits where the log has them, else from the meter's series, corrected at the fight's ends.",
    columns=concat(
        (Column("encounter_id", STRING, "the encounter", nullable=False),),
        FIGHT_DATE,
        PLAYER_NAME,
        (
            Column(
                "second", SMALL, "whole second since the fight's start", unit="s", nullable=False, minimum=0
            ),
            Column("damage", INT, "damage within the second", unit="damage", minimum=0),
            Column(
                "rolling_10s_dps",
                INT,
                "DPS of the centred 10 s window, over the seconds that it covers",
                unit="damage/s",
                minimum=0,
            ),
            Column(
                "cumulative_damage",
                INT,
                "damage since the start, this second included",
                unit="damage",
                minimum=0,
            ),
            Column(
                "measured_by",
                STRING,
                "hits, or the meter's own series",
                nullable=False,
                allowed=("hits", "meter"),
            ),
        ),
    ),
)

DISTRIBUTION_KEY = (
    "raid_name", "gate_name", "difficulty", "class_name", "spec_name", "is_support", "item_level_bracket",
    "measurement_rules", "week_started_at",
)  # fmt: skip

STATS_DPS_DISTRIBUTION = Contract(
    name="stats_dps_distribution",
    row="one (raid gate, difficulty, class, spec, item-level bracket, week): living players, cleared fights",
    key=DISTRIBUTION_KEY,
    relations=(ordered("median_low", "median_high"),),
    published=Published("distributions", has_gate_id=True),
    preview=(
        "raid_name",
        "gate_name",
        "difficulty",
        "spec_name",
        "item_level_bracket",
        "week_started_at",
        "player_count",
        "p25",
        "p50",
        "p75",
        "trend",
    ),
    columns=concat(
        tuple(c for c in GATE if c.name != "boss_name"),
        (
            Column("class_name", STRING, "class, in English", allowed=CLASS_NAMES),
            Column("spec_name", STRING, "class engraving (build), in English", allowed=SPEC_NAMES),
            Column("is_support", BOOL, "supports are a population of their own"),
            Column("item_level_bracket", STRING, "item level in steps of 10; null where unknown"),
            Column(
                "measurement_rules",
                STRING,
                "era of measuring rules",
                nullable=False,
                allowed=MEASUREMENT_RULES,
            ),
            Column("week_started_at", INSTANT, "weekly reset that opens the week", nullable=False),
            Column("player_count", INT, "players", unit="players", nullable=False, minimum=1),
            Column("encounter_count", INT, "fights", unit="fights", nullable=False, minimum=1),
            Column("mean_dps", FLOAT, "mean DPS", unit="damage/s", minimum=0),
        ),
        tuple(
            Column(
                f"p{q}", FLOAT, f"{q}th percentile of DPS, linear interpolation", unit="damage/s", minimum=0
            )
            for q in QUANTILES
        ),
        (
            Column(
                "median_low",
                FLOAT,
                "lower end of the median's 95 % interval; null below 6 players",
                unit="damage/s",
                minimum=0,
            ),
            Column(
                "median_high", FLOAT, "upper end of the median's 95 % interval", unit="damage/s", minimum=0
            ),
            Column(
                "trend",
                FLOAT,
                "median against the same cell's newest of the four weeks before, as a fraction",
                unit="fraction",
            ),
        ),
    ),
)

STATS_RAID_PROGRESSION = Contract(
    name="stats_raid_progression",
    row="one character at one raid gate and difficulty",
    key=("player_name", "region", "raid_name", "gate_name", "difficulty"),
    relations=(ordered("clears", "pulls"), ordered("wipes", "pulls")),
    published=Published("progression", has_gate_id=True),
    preview=(
        "player_name",
        "region",
        "raid_name",
        "gate_name",
        "difficulty",
        "pulls",
        "clears",
        "best_boss_hp_left",
        "best_dps",
    ),
    notes="Characters with a known name only; one log a fight.",
    columns=concat(
        PLAYER_NAME,
        (Column("region", STRING, "server region"),),
        tuple(c for c in GATE if c.name != "boss_name"),
        (
            Column("class_name", STRING, "class at the newest fight", allowed=CLASS_NAMES),
            Column("spec_name", STRING, "spec at the newest fight", allowed=SPEC_NAMES),
            Column("pulls", INT, "fights", unit="fights", nullable=False, minimum=1),
            Column("clears", INT, "fights won", unit="fights", nullable=False, minimum=0),
            Column("wipes", INT, "fights lost", unit="fights", nullable=False, minimum=0),
            _rate("clear_rate", "clears / pulls whose outcome is known"),
            _rate("best_boss_hp_left", "least boss HP left over all pulls; 0 once cleared"),
            Column("deaths", INT, "deaths over all pulls that tell them", unit="count", minimum=0),
            Column("best_dps", INT, "best DPS in a clear", unit="damage/s", minimum=0),
            Column(
                "pulls_to_first_clear", INT, "pulls up to and with the first clear", unit="fights", minimum=1
            ),
            Column("time_spent_s", INT, "length of all pulls", unit="s", minimum=0),
            Column("first_fought_at", INSTANT, "first pull", nullable=False),
            Column("first_cleared_at", INSTANT, "first clear"),
            Column("last_fought_at", INSTANT, "newest pull", nullable=False),
        ),
    ),
)
