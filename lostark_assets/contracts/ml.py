"""Contracts of the ml layer: the training set, predictions, evaluations, and the history of the champion.

Feature columns are grouped, so that the lists of ``lostark_ml.features.columns`` and the training set can't
differ.
"""

from __future__ import annotations

from lostark_assets.contracts.core import FIGHT_DATE, MEASUREMENT_RULES, PLAYER_NAME, UPTIMES
from lostark_assets.contracts.table import (
    BOOL,
    FLOAT,
    INSTANT,
    INT,
    STRING,
    Column,
    Contract,
    Published,
    concat,
    ordered,
    sums_to,
)
from lostark_assets.game.classes import CLASS_NAMES
from lostark_assets.game.difficulties import DIFFICULTY_NAMES
from lostark_assets.game.raid_names import GATE_NAMES, RAID_NAMES
from lostark_assets.game.specs import SPEC_NAMES, SUPPORT_SPECS

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

CATEGORIES = tuple(
    Column(name, STRING, what, nullable=False, allowed=allowed)
    for name, what, allowed in (
        ("gate_difficulty", "raid, gate and difficulty in one", None),
        ("class_name", "class, in English", (*CLASS_NAMES, UNKNOWN)),
        ("spec_name", "class engraving (build), in English", (*SPEC_NAMES, UNKNOWN)),
        ("region", "server region", None),
        ("measurement_rules", "era of measuring rules", MEASUREMENT_RULES),
    )
)
OWN = (
    Column("item_level", FLOAT, "item level", unit="item level", minimum=1, maximum=3000),
    Column("combat_power", FLOAT, "combat power", unit="combat power", minimum=0),
    Column("uploader_flag", FLOAT, "1 if the player's meter wrote the log", minimum=0, maximum=1),
    Column(
        "ark_passive_flag",
        FLOAT,
        "1 with ark passive on; null where no player of the log has it: not measured",
        minimum=0,
        maximum=1,
    ),
)
PARTY = (
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
WHEN = (
    Column("hours_since_reset", FLOAT, "since the weekly reset", unit="h", minimum=0, maximum=168),
    Column("hour_of_day", FLOAT, "UTC hour of the start", unit="h", minimum=0, maximum=24),
)
HISTORY = (
    Column(
        "history_fights",
        FLOAT,
        "fights of the character that ended before this one began; null for an anonymous name",
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
TIME = (
    Column(
        "fought_at_week", FLOAT, "weeks from 1970 to the start; read by the season's level only", unit="week"
    ),
)

ML_TRAINING_SET = Contract(
    name="ml_training_set",
    row="one player in one encounter: what is known before and around the fight, and the DPS reached",
    key=("encounter_id", "player_name"),
    grain="day",
    keeps_every_version=True,
    preview=(
        "fight_started_at",
        "gate_difficulty",
        "player_name",
        "spec_name",
        "item_level",
        "history_fights",
        "history_residual",
        "dps",
        "exclusion_reason",
    ),
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
            Column("raid_name", STRING, "raid", allowed=RAID_NAMES),
            Column("gate_name", STRING, "gate", allowed=GATE_NAMES),
            Column("difficulty", STRING, "difficulty", allowed=DIFFICULTY_NAMES),
            Column("item_level_bracket", STRING, "item level in steps of 10"),
            Column("is_uploader", BOOL, "the player whose meter wrote the log"),
            Column("is_support", BOOL, "support by spec; by class only where the spec is unknown"),
            Column("is_dead", BOOL, "dead at the end of the fight"),
            Column("exclusion_reason", STRING, "why it is not in the population", allowed=tuple(EXCLUSIONS)),
        ),
        CATEGORIES,
        OWN,
        UPTIMES,
        PARTY,
        WHEN,
        HISTORY,
        TIME,
        (
            Column("dps", INT, "what the fight made: never a feature", unit="damage/s", minimum=0),
            Column("log_dps", FLOAT, "natural logarithm of it: the target; null where it is 0", unit="log"),
        ),
    ),
)

_MEASURES = (
    Column("rows", INT, "players tested", unit="players", minimum=0),
    Column("fights", INT, "fights they are of", unit="fights", minimum=0),
    Column("mape", FLOAT, "mean of |expected - true| / true", unit="fraction", minimum=0),
    Column("median_ape", FLOAT, "median of the same", unit="fraction", minimum=0),
    Column("mae", FLOAT, "mean of |expected - true|", unit="damage/s", minimum=0),
    Column("r2_log", FLOAT, "R² of log DPS", maximum=1),
    Column("bias_log", FLOAT, "mean of expected minus true log DPS", unit="log"),
    Column("coverage", FLOAT, "share of true DPS inside the interval", minimum=0, maximum=1),
    Column("width", FLOAT, "mean of interval width / expected", unit="fraction", minimum=0),
)
_SLICE = (
    Column("slice", STRING, "what rows are cut by: overall, or a column", nullable=False),
    Column("value", STRING, "the value of it", nullable=False),
)

ML_DPS_EVALUATION = Contract(
    name="ml_dps_evaluation",
    row="one predictor on one slice of one test of a challenger",
    key=("run_id", "predictor", "slice", "value"),
    published=Published("model_evaluation"),
    preview=("model_version", "predictor", "slice", "value", "rows", "mape", "bias_log", "coverage"),
    notes="Everybody is tested on the same fights, after every model's cutoff.",
    columns=concat(
        (
            Column("run_id", STRING, "MLflow run of the challenger", nullable=False),
            Column("model_version", INT, "version of the challenger", nullable=False, minimum=1),
            Column("evaluated_at", INSTANT, "when", nullable=False),
            Column("cutoff_at", INSTANT, "what the challenger knows ends, the test starts", nullable=False),
            Column("until_at", INSTANT, "end of the test", nullable=False),
            Column("predictor", STRING, "challenger, champion, or a baseline", nullable=False),
            Column("predictor_version", INT, "version of the predictor; null for baselines", minimum=1),
        ),
        _SLICE,
        _MEASURES,
    ),
)

ML_CHAMPION_HISTORY = Contract(
    name="ml_champion_history",
    row="one change of an alias of the registered model",
    key=("changed_at", "alias"),
    published=Published("champion_history"),
    notes="Append-only. Which model was in force when, who made it so, why, and from which data.",
    columns=(
        Column("changed_at", INSTANT, "when; of a change seen later, when it was seen", nullable=False),
        Column("model_name", STRING, "the registered model", nullable=False),
        Column("alias", STRING, "the alias", nullable=False, allowed=("champion", "challenger")),
        Column("from_version", INT, "where it pointed; null: nowhere", minimum=1),
        Column("to_version", INT, "where it points; null: nowhere", minimum=1),
        Column(
            "action",
            STRING,
            "what happened; outside: the alias was moved in the MLflow UI or by other software",
            nullable=False,
            allowed=("submit", "promote", "rollback", "outside"),
        ),
        Column("changed_by", STRING, "who: the gate, a person, or unknown", nullable=False),
        Column("reason", STRING, "why", nullable=False),
        Column("training_set_version", INT, "Delta version of ml_training_set behind to_version", minimum=0),
    ),
)

REFUSALS = (
    "gate_unknown",
    "difficulty_unknown",
    "class_unknown",
    "spec_unknown",
    "support",
    "no_dps",
    "item_level_outside_training",
    "combat_power_outside_training",
    "before_training",
    "no_champion",
)
"""Why a row gets no expectation."""


def _part(name: str, what: str) -> Column:
    return Column(name, INT, what, unit="damage/s")


CONTEXT_PARTS = (
    _part("context_item_level_dps", "by item level and combat power"),
    _part("context_support_dps", "by supports and their uptimes"),
    _part("context_party_dps", "by the other players"),
    _part("context_history_dps", "by the character's earlier fights"),
    _part("context_other_dps", "by everything else that the model knows"),
)
"""Parts of expected minus typical DPS."""

GAP_PARTS = (
    _part("gap_crit_dps", "by a crit rate unlike that of the spec"),
    _part("gap_positional_dps", "by back and front attack rates unlike those of the spec"),
    _part("gap_activity_dps", "by casting more or less than the spec does"),
    _part("gap_dead_dps", "by time spent dead"),
    _part("gap_unexplained_dps", "the rest"),
)
"""Parts of true minus expected DPS."""

ML_EXPECTED_DPS = Contract(
    name="ml_expected_dps",
    row="one player in one encounter: the DPS expected by the champion in force then, and the gap to it",
    key=("encounter_id", "player_name"),
    grain="day",
    relations=(
        ordered("expected_dps_low", "expected_dps_high"),
        sums_to("dps", "expected_dps", "gap_dps"),
        sums_to("gap_dps", optional=tuple(c.name for c in GAP_PARTS)),
        sums_to("expected_dps", "typical_dps", optional=tuple(c.name for c in CONTEXT_PARTS)),
    ),
    published=Published("expected"),
    preview=(
        "fight_started_at",
        "gate_difficulty",
        "player_name",
        "spec_name",
        "dps",
        "expected_dps",
        "expected_dps_low",
        "expected_dps_high",
        "expected_percentile",
        "refusal_reason",
        "model_version",
    ),
    notes="Parts sum exactly to their gap; one is null where the log lacks its figure, and counts as 0. Days "
    "that the champion learnt from are scored, and marked.",
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
            Column("gate_difficulty", STRING, "raid, gate and difficulty in one", nullable=False),
            Column(
                "class_name", STRING, "class, in English", nullable=False, allowed=(*CLASS_NAMES, UNKNOWN)
            ),
            Column(
                "spec_name",
                STRING,
                "class engraving (build), in English",
                nullable=False,
                allowed=(*SPEC_NAMES, UNKNOWN),
            ),
            Column("item_level_bracket", STRING, "item level in steps of 10"),
            Column("is_uploader", BOOL, "the player whose meter wrote the log"),
            Column("is_dead", BOOL, "dead at the end of the fight"),
            Column("is_population", BOOL, "a dealer who lived through a counted clear", nullable=False),
            Column("model_version", INT, "version of the champion in force then", minimum=1),
            Column("is_seen_in_training", BOOL, "learnt from: the error says nothing"),
            Column("refusal_reason", STRING, "why there is no expectation", allowed=REFUSALS),
            Column("dps", INT, "reached", unit="damage/s", minimum=0),
            Column(
                "typical_dps",
                INT,
                "expected of the spec in usual company",
                unit="damage/s",
            ),
            Column("expected_dps", INT, "expected", unit="damage/s", minimum=0),
            Column("expected_dps_low", INT, "lower end of the 90 % interval", unit="damage/s", minimum=0),
            Column("expected_dps_high", INT, "upper end of the 90 % interval", unit="damage/s", minimum=0),
            Column(
                "expected_percentile",
                FLOAT,
                "share of such fights that reach less",
                unit="percent",
                minimum=0,
                maximum=100,
            ),
        ),
        CONTEXT_PARTS,
        (_part("gap_dps", "reached minus expected"),),
        GAP_PARTS,
        (Column("scored_at", INSTANT, "when", nullable=False),),
    ),
)

ML_DPS_MONITORING = Contract(
    name="ml_dps_monitoring",
    row="one slice of one week: how well the champion in force foretold it, and whether it drifts",
    key=("week_started_at", "slice", "value"),
    published=Published("model_monitoring"),
    preview=(
        "week_started_at",
        "slice",
        "value",
        "rows",
        "mape",
        "bias_log",
        "coverage",
        "refused",
        "is_drifting",
    ),
    notes="Of fights that no model had seen. Drift: means of fights against the four weeks before.",
    columns=concat(
        (Column("week_started_at", INSTANT, "weekly reset", nullable=False),),
        _SLICE,
        _MEASURES,
        (
            Column("mape_se", FLOAT, "standard error of mape, by fight", unit="fraction", minimum=0),
            Column("bias_log_se", FLOAT, "standard error of bias_log, by fight", unit="log", minimum=0),
            Column("coverage_se", FLOAT, "standard error of coverage, by fight", minimum=0),
            Column("refused", INT, "players without an expectation", unit="players", minimum=0),
            Column("drift_log", FLOAT, "change of the mean residual of fights", unit="log"),
            Column(
                "drift_p_value",
                FLOAT,
                "of that change by chance, for all cells",
                minimum=0,
                maximum=1,
            ),
            Column("drift_fights", INT, "fights before that it is compared with", unit="fights", minimum=0),
            Column("is_drifting", BOOL, "large and not by chance; null where too few fights were there"),
        ),
    ),
)

ML_PLAYER_CLUSTERS = Contract(
    name="ml_player_clusters",
    row="one character in one spec: its play style",
    key=("player_name", "region", "spec_name"),
    published=Published("play_styles"),
    preview=("class_name", "spec_name", "fights", "style", "style_probability", "axis_1", "axis_2"),
    notes="Features are standardised within spec. Styles no better than chance: a continuum.",
    columns=concat(
        (
            PLAYER_NAME[0],
            Column("region", STRING, "server region", nullable=False),
            Column(
                "class_name", STRING, "class, in English", nullable=False, allowed=(*CLASS_NAMES, UNKNOWN)
            ),
            Column(
                "spec_name",
                STRING,
                "class engraving (build), in English",
                nullable=False,
                allowed=(*SPEC_NAMES, UNKNOWN),
            ),
            Column("fights", INT, "clears that it is judged by", unit="fights", minimum=1),
            Column("style", STRING, "the likeliest style; null: a continuum, or too rare a spec"),
            Column("style_probability", FLOAT, "how likely it is", minimum=0, maximum=1),
            Column("axis_1", FLOAT, "place on the first axis of the styles' map"),
            Column("axis_2", FLOAT, "place on the second"),
            Column("model_version", INT, "version of the play-style model", minimum=1),
            Column("computed_at", INSTANT, "when", nullable=False),
        ),
    ),
)
