"""Fights: the list, the report, skills and timeline."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from lostark_api.http.language import add_labels
from lostark_api.queries import fights
from lostark_api.schemas.base import Body, with_columns


@with_columns(*fights.SUMMARY_COLUMNS)
class FightSummary(Body):
    """One fight, by the log that counts."""

    spec_names: list[str | None] | None = Field(description="specs of its players, most damage first")


class FightPage(Body):
    """Fights, newest first."""

    fights: list[FightSummary]
    next_cursor: str | None = Field(description="`after` of the next page; null: this is the last page")


@with_columns(*fights.FIGHT_COLUMNS)
class Fight(Body):
    """Facts of one fight."""


@with_columns(*fights.EXPECTATION_COLUMNS)
class PlayerExpectation(Body):
    """Expected DPS of one player, and the gap in parts that sum to it."""


@with_columns(*fights.PLAYER_COLUMNS)
class FightPlayer(Body):
    """One player of a fight."""

    expected: PlayerExpectation | None = Field(description="null: the model has not scored this fight yet")


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

    fight: Fight
    players: list[FightPlayer]
    deaths: list[Death]
    boss_hp: BossHp
    logs: list[FightLog]


@with_columns(*fights.SKILL_COLUMNS)
class SkillRow(Body):
    """One skill of one player."""


class FightSkills(Body):
    """Skills of the players, of each the strongest first."""

    skills: list[SkillRow]


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


class FightComparison(Body):
    """Two fights beside each other."""

    a: FightReport
    b: FightReport


def label_fight_report(report: dict[str, Any], language: str) -> dict[str, Any]:
    """``report`` with labels in ``language`` beside its game terms."""
    return report | {
        "fight": add_labels([report["fight"]], language)[0],
        "players": add_labels(report["players"], language),
    }
