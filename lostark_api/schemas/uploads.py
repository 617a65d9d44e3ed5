"""Upload tickets."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from lostark_api.schemas.backlog import Backlog
from lostark_api.schemas.base import Body


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
    """An upload and its current state."""

    ticket: str
    state: Literal["received", "collected", "cleaned", "published", "refused"]
    is_final: bool = Field(description="whether the state is final")
    received_at: AwareDatetime
    uploads_before: int | None = Field(
        description="uploads that were received earlier and still wait to be collected; null once this one is"
    )
    estimate_s: float | None = Field(
        description="until its fights are on their pages [s]; null without an honest estimate, and once final"
    )
    estimate: str | None = Field(
        description="the estimate in words, in the reader's language; null once final"
    )
    backlog: Backlog
    name: str = Field(description="the file's name, as stored")
    format: str
    size_bytes: int
    logs: UploadedLogs
    fights: list[UploadedFight] = Field(description="the newest, at most 200")
    fight_count: int
    reasons: list[RefusedReason]
    problems: list[str] = Field(description="parts of the file that could not be read")
    error: str | None = Field(description="why the whole file could not be read")
