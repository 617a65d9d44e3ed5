"""Characters: search, report, history and comparison."""

from __future__ import annotations

from typing import Any

from pydantic import AwareDatetime, Field

from lostark_api.http.language import add_labels
from lostark_api.queries import characters
from lostark_api.schemas.base import Body, with_columns


@with_columns("region", "player_name", "class_name", "spec_name", "is_support", "item_level", "combat_power")
class Character(Body):
    """A character, as of its newest fight."""

    fights: int = Field(description="counted fights", examples=[31])
    clears: int = Field(description="clears among them", examples=[22])
    first_fought_at: AwareDatetime = Field(description="oldest fight")
    last_fought_at: AwareDatetime = Field(description="newest fight")


class CharacterPage(Body):
    """Characters, the most recently seen first."""

    characters: list[Character]
    next_cursor: str | None = Field(description="`after` of the next page; null: this is the last page")


@with_columns(*characters.PROGRESS_COLUMNS)
class Progress(Body):
    """A character at one gate."""


@with_columns(
    "spec_name", "fights", "style", "style_probability", "axis_1", "axis_2", "model_version", "computed_at"
)
class PlayStyle(Body):
    """Play style of a character in one spec; a null style means a continuum without clusters."""


class CharacterReport(Body):
    """A character, its progress and its play styles."""

    character: Character
    progress: list[Progress]
    play_styles: list[PlayStyle]


@with_columns(*characters.HISTORY_COLUMNS, *characters.EXPECTED_COLUMNS)
class CharacterFight(Body):
    """One fight of a character."""


class CharacterHistory(Body):
    """A character's fights, newest first."""

    fights: list[CharacterFight]
    next_cursor: str | None = Field(description="`after` of the next page; null: this is the last page")


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


def label_character_report(report: dict[str, Any], language: str) -> dict[str, Any]:
    """``report`` with labels in ``language`` beside its game terms."""
    return {
        "character": add_labels([report["character"]], language)[0],
        "progress": add_labels(report["progress"], language),
        "play_styles": add_labels(report["play_styles"], language),
    }
