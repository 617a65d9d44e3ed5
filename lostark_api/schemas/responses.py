"""What the API's answers look like: the OpenAPI document, and what the tests hold answers against.

Rows of marts become models from the lake's contracts, so that column, unit and meaning are said once. Every
``*_name`` is English and stable, every ``*_label`` beside it is in the reader's language. What does not
belong here: making answers (``queries``, ``routes``).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

import pyarrow as pa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, create_model

from lostark_api.http.language import LABELS
from lostark_api.queries import characters, fights
from lostark_assets.contracts.ml import CONTEXT_PARTS
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.contracts.table import BOOL, DAY, FLOAT, INSTANT, INT, SMALL, STRING, Column

_PYTHON = {INT: int, SMALL: int, FLOAT: float, BOOL: bool, STRING: str, INSTANT: AwareDatetime, DAY: date}
_COLUMNS: dict[str, Column] = {
    c.name: c
    for table in (
        "ml_dps_evaluation", "ml_champion_history", "ml_dps_monitoring", "ml_player_clusters",
        "stats_raid_progression", "stats_dps_distribution", "ml_expected_dps", "core_skills",
        "core_players", "core_encounters",
        "stats_player_dps",
    )
    for c in CONTRACTS[table].columns
}  # fmt: skip
_MORE = {
    "gate_id": "raid gate and difficulty, as in addresses",
    "week_started_at": "weekly reset of the log's region before the fight",
}


class Body(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(extra="forbid")


def _python_type(dtype: pa.DataType) -> Any:
    if pa.types.is_list(dtype):
        return list[_PYTHON[dtype.value_type]]  # type: ignore[misc]
    return _PYTHON[dtype]


def _model(name: str, what: str, columns: list[str], **more: Any) -> type[BaseModel]:
    """A model of ``columns``, with labels beside the terms among them, and ``more`` fields."""
    fields: dict[str, Any] = {}
    for column in columns:
        known = _COLUMNS.get(column)
        dtype = _python_type(known.dtype) if known else str
        description = known.description if known else _MORE.get(column, column)
        unit = f" [{known.unit}]" if known and known.unit else ""
        fields[column] = (dtype | None, Field(description=f"{description}{unit}"))
        if column in LABELS:
            label = Field(description=f"{column} in the reader's language")
            fields[LABELS[column]] = (str | None, label)
    return create_model(name, __base__=Body, __doc__=what, **fields, **more)


GateSummary = _model(
    "GateSummary",
    "One raid gate at one difficulty.",
    ["gate_id", "raid_name", "gate_name", "difficulty"],
    fight_count=(int, Field(description="counted fights", examples=[412])),
    clear_count=(int, Field(description="of them won", examples=[280])),
    clear_rate=(float | None, Field(description="won / fights whose outcome is known", examples=[0.68])),
    median_clear_duration_s=(float | None, Field(description="median length of a clear [s]", examples=[421])),
    last_fought_at=(AwareDatetime, Field(description="newest fight")),
)


class GateList(Body):
    """All gates that there are fights of."""

    gates: list[GateSummary]  # type: ignore[valid-type]


def _quantiles(unit: str) -> dict[str, Any]:
    names = ["mean", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "median_low", "median_high"]
    what = {
        "mean": "mean",
        "median_low": "lower end of the median's 95 % interval",
        "median_high": "upper end of it",
    }
    return {
        n: (float | None, Field(description=f"{what.get(n, f'{n[1:]}th percentile')} [{unit}]"))
        for n in names
    }


_CELL = {
    "player_count": (int, Field(description="players in it; fewer than 5 are not described", examples=[96])),
    "fight_count": (int, Field(description="fights they are of", examples=[88])),
    "measurement_rules": (list[str], Field(description="eras of measuring rules in it")),
    "is_mixed": (bool, Field(description="figures by different measuring rules are in it")),
}
SpecCell = _model(
    "SpecCell",
    "One spec at one gate: DPS of dealers, contribution of supports.",
    ["class_name", "spec_name"],
    **_quantiles("damage/s, or fraction for supports"),
    **_CELL,
)
TierRow = _model(
    "TierRow",
    "One spec over all gates: its players against the median of their gate and week (1.0).",
    ["class_name", "spec_name"],
    **_quantiles("of the gate's median"),
    **_CELL,
)


class PoolAnswer(Body):
    """Who was counted."""

    role: str = Field(examples=["dealer"])
    weeks: int = Field(description="weeks back from the newest fight", examples=[4])
    item_level_min: float | None = None
    item_level_max: float | None = None
    class_name: str | None = None
    region: str | None = None


class GateDistribution(Body):
    """Specs at one gate, best median first."""

    gate: GateSummary  # type: ignore[valid-type]
    pool: PoolAnswer
    specs: list[SpecCell]  # type: ignore[valid-type]


class TierList(Body):
    """Specs over all gates, or at one, best median first."""

    pool: PoolAnswer
    specs: list[TierRow]  # type: ignore[valid-type]


GateWeek = _model(
    "GateWeek",
    "One spec, item-level bracket and week at one gate.",
    [
        "week_started_at", "class_name", "spec_name", "is_support", "item_level_bracket", "measurement_rules",
        "player_count", "encounter_count", "mean_dps", "p5", "p10", "p25", "p50", "p75", "p90", "p95",
        "median_low", "median_high", "trend",
    ],
)  # fmt: skip


class GateWeeks(Body):
    """Distributions week by week, newest first."""

    gate_id: str
    weeks: list[GateWeek]  # type: ignore[valid-type]


FightSummary = _model(
    "FightSummary",
    "One fight, by the log that counts.",
    fights.SUMMARY,
    spec_names=(list[str | None] | None, Field(description="specs of its players, most damage first")),
)


class FightPage(Body):
    """Fights, newest first."""

    fights: list[FightSummary]  # type: ignore[valid-type]
    next_cursor: str | None = Field(description="`after` of the next page; null: this was the last")


Fight = _model("Fight", "Facts of one fight.", fights.FACTS)
Expectation = _model(
    "Expectation", "What the model expected, and the gap in parts that sum to it.", fights.EXPECTATION
)
FightPlayer = _model(
    "FightPlayer",
    "One player of a fight.",
    fights.PLAYER_FACTS,
    expected=(Expectation | None, Field(description="null: the model has not seen this fight yet")),
)


class Death(Body):
    """Deaths of one player; the instant is that of the last."""

    player_name: str
    deaths: int | None
    died_at_s: float | None


class BossHp(Body):
    """Boss HP over time, as fractions of full."""

    at_s: list[int]
    hp_left: list[float]


class FightLog(Body):
    """One uploaded log of the fight."""

    encounter_id: str
    is_counted: bool
    is_superseded: bool
    log_format: str
    detail_level: str
    meter_version: str | None
    completeness: float


class FightReport(Body):
    """Everything about one fight but skills and timeline, which have routes of their own."""

    fight: Fight  # type: ignore[valid-type]
    players: list[FightPlayer]  # type: ignore[valid-type]
    deaths: list[Death]
    boss_hp: BossHp
    logs: list[FightLog]


SkillRow = _model("SkillRow", "One skill of one player.", fights.SKILL_FACTS)


class FightSkills(Body):
    """Skills of the players, of each the strongest first."""

    skills: list[SkillRow]  # type: ignore[valid-type]


class PlayerTimeline(Body):
    """One player; point k is about second k × step_s to (k + 1) × step_s."""

    player_name: str
    measured_by: str
    dps: list[int | None]
    cumulative_damage: list[int | None]


class FightTimeline(Body):
    """10 s DPS over the fight."""

    step_s: int = Field(examples=[10])
    duration_s: int = Field(examples=[421])
    players: list[PlayerTimeline]


_WHO = ["region", "player_name", "class_name", "spec_name", "is_support", "item_level", "combat_power"]
Character = _model(
    "Character",
    "A character, as at its newest fight.",
    _WHO,
    fights=(int, Field(description="counted fights", examples=[31])),
    clears=(int, Field(description="of them won", examples=[22])),
    first_fought_at=(AwareDatetime, Field(description="oldest fight")),
    last_fought_at=(AwareDatetime, Field(description="newest fight")),
)


class CharacterPage(Body):
    """Characters, the last seen first."""

    characters: list[Character]  # type: ignore[valid-type]
    next_cursor: str | None = Field(description="`after` of the next page; null: this was the last")


Progress = _model("Progress", "A character at one gate.", characters.PROGRESS)
PlayStyle = _model(
    "PlayStyle",
    "Play style of a character in one spec; null style: a continuum.",
    ["spec_name", "fights", "style", "style_probability", "axis_1", "axis_2", "model_version", "computed_at"],
)


class CharacterReport(Body):
    """A character, its progress and its play styles."""

    character: Character  # type: ignore[valid-type]
    progress: list[Progress]  # type: ignore[valid-type]
    play_styles: list[PlayStyle]  # type: ignore[valid-type]


CharacterFight = _model(
    "CharacterFight", "One fight of a character.", [*characters.HISTORY, *characters.EXPECTED]
)


class CharacterHistory(Body):
    """A character's fights, newest first."""

    fights: list[CharacterFight]  # type: ignore[valid-type]
    next_cursor: str | None = Field(description="`after` of the next page; null: this was the last")


class SharedGate(Body):
    """A gate that both characters cleared alive: medians of each, and b's DPS as a multiple of a's."""

    gate_id: str
    raid_name: str | None
    raid_label: str | None
    gate_name: str | None
    gate_label: str | None
    difficulty: str | None
    difficulty_label: str | None
    a_clears: int
    b_clears: int
    a_median_dps: float | None
    b_median_dps: float | None
    a_median_percentile: float | None
    b_median_percentile: float | None
    dps_ratio: float | None


class CharacterComparison(Body):
    """Two characters beside each other."""

    a: CharacterReport
    b: CharacterReport
    gates: list[SharedGate]


class FightComparison(Body):
    """Two fights beside each other."""

    a: FightReport
    b: FightReport


class GateProgress(Body):
    """How a gate is learnt, over all characters."""

    gate_id: str
    raid_name: str | None
    raid_label: str | None
    gate_name: str | None
    gate_label: str | None
    difficulty: str | None
    difficulty_label: str | None
    character_count: int
    cleared_count: int
    cleared_share: float
    pulls: int
    clears: int
    median_pulls_to_first_clear: float | None
    p90_pulls_to_first_clear: float | None
    median_boss_hp_left_uncleared: float | None
    deaths_per_pull: float | None


class ProgressionSummary(Body):
    """All gates."""

    gates: list[GateProgress]


GateCharacter = _model(
    "GateCharacter", "A character at the gate.", ["player_name", "region", *characters.PROGRESS]
)


class ProgressionPage(Body):
    """Characters at one gate, the last seen first."""

    characters: list[GateCharacter]  # type: ignore[valid-type]
    next_cursor: str | None = Field(description="`after` of the next page; null: this was the last")


class QuarantineReason(Body):
    """Rows refused for one reason."""

    scope: str = Field(examples=["log"])
    reason_code: str = Field(examples=["broken_sums"])
    row_count: int
    newest_day: date


class QualityDay(Body):
    """One fight day."""

    fight_date: date
    logs_passed: int
    logs_refused: int
    player_rows_passed: int
    player_rows_refused: int
    newest_fight_at: datetime | None
    newest_fetch_at: datetime | None


class Quality(Body):
    """Freshness and what was refused."""

    publish_version: int = Field(description="0: nothing was published yet", examples=[57])
    published_at: datetime | None
    logs_passed: int
    logs_refused: int
    player_rows_passed: int
    player_rows_refused: int
    logs_passed_share: float | None = Field(examples=[0.992])
    newest_fight_at: datetime | None
    newest_fetch_at: datetime | None
    reasons: list[QuarantineReason]
    days: list[QualityDay] = Field(description="the newest 60")


def _whole(name: str, what: str, table: str) -> type[BaseModel]:
    return _model(name, what, CONTRACTS[table].names)


ChampionChange = _whole("ChampionChange", "One change of an alias.", "ml_champion_history")
EvaluationRow = _whole("EvaluationRow", "One predictor on one slice of the newest test.", "ml_dps_evaluation")
MonitoringRow = _whole("MonitoringRow", "One slice of one week.", "ml_dps_monitoring")


class ModelState(Body):
    """The champion, what it was tested by, and how it does."""

    champion_version: int | None = Field(description="null: there is no champion yet", examples=[3])
    history: list[ChampionChange]  # type: ignore[valid-type]
    evaluation: list[EvaluationRow]  # type: ignore[valid-type]
    monitoring: list[MonitoringRow]  # type: ignore[valid-type]


class PublicationRow(Body):
    """One publish."""

    version: int
    published_at: datetime
    day_count: int
    first_day: date | None
    last_day: date | None
    tables: list[str]
    row_counts: dict[str, int]


class Publications(Body):
    """The newest publishes."""

    publications: list[PublicationRow]


ExpectationOfBuild = _model(
    "ExpectationOfBuild",
    "What is expected of one build; null figures where it is refused.",
    [
        "refusal_reason", "expected_dps", "expected_dps_low", "expected_dps_high", "typical_dps",
        *(c.name for c in CONTEXT_PARTS),
    ],
)  # fmt: skip


class Expectations(Body):
    """Expectations in the order of the builds."""

    model_version: int | None = Field(description="the champion that answered; null: there is none")
    expectations: list[ExpectationOfBuild]  # type: ignore[valid-type]


class UploadedLogs(Body):
    """Logs of an upload; null until it was collected."""

    found: int | None
    new: int | None
    known: int | None
    cleaned: int = Field(description="logs that have become fights")
    refused: int = Field(description="logs that were refused as a whole")


class UploadedFight(Body):
    """A fight of an upload, once it is published."""

    encounter_id: str
    fight_id: str
    gate_id: str | None
    raid_name: str | None
    raid_label: str | None
    gate_name: str | None
    gate_label: str | None
    difficulty: str | None
    difficulty_label: str | None
    boss_name: str | None
    boss_label: str | None
    is_cleared: bool | None
    fight_started_at: AwareDatetime
    href: str = Field(description="the fight's report")


class RefusedReason(Body):
    """Why logs or players of an upload were refused."""

    reason_code: str
    count: int
    what_to_do: str


class UploadTicket(Body):
    """An upload, and what became of it so far."""

    ticket: str
    state: Literal["received", "collected", "cleaned", "published", "refused"]
    is_final: bool = Field(description="nothing more will come of it")
    received_at: AwareDatetime
    name: str = Field(description="the file's name, as it was kept")
    format: str
    size_bytes: int
    logs: UploadedLogs
    fights: list[UploadedFight] = Field(description="the newest, at most 200")
    fight_count: int
    reasons: list[RefusedReason]
    problems: list[str] = Field(description="parts of the file that could not be read")
    error: str | None = Field(description="why nothing of it could be read")


class Problem(Body):
    """RFC 9457: what went wrong."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "There is no such fight.",
                }
            ]
        },
    )
    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None
