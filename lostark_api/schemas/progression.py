"""Raid progression: by gate, and the characters at one gate."""

from __future__ import annotations

from pydantic import Field

from lostark_api.queries import characters
from lostark_api.schemas.base import Body, with_columns


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


@with_columns("player_name", "region", *characters.PROGRESS_COLUMNS)
class GateCharacter(Body):
    """A character at the gate."""


class ProgressionPage(Body):
    """Characters at one gate, the last seen first."""

    characters: list[GateCharacter]
    next_cursor: str | None = Field(description="`after` of the next page; null: this is the last page")
