"""What waits to be on the pages."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from lostark_api.schemas.base import Body


class Backlog(Body):
    """What waited at `observed_at`; null: never observed. State `unknown`: all of it is old."""

    state: Literal["up_to_date", "catching_up", "falling_behind", "unknown"]
    words: str = Field(description="state and estimate in the reader's language")
    uploads_waiting: int | None = Field(description="uploads that are not collected yet")
    logs_waiting: int | None = Field(description="collected logs that are not published yet")
    oldest_waits_since: AwareDatetime | None
    oldest_waits_s: float | None = Field(description="how long the oldest upload or log waits [s]")
    runs_queued: int | None
    logs_in_per_minute: float | None = Field(description="over the last ten minutes")
    logs_out_per_minute: float | None = Field(description="over the last ten minutes")
    throughput_per_minute: float | None = Field(description="logs published per minute of work")
    estimate_s: float | None = Field(
        description="until nothing waits [s]; null where the backlog does not shrink, or is too young to tell"
    )
    observed_at: AwareDatetime | None
    behind_since: AwareDatetime | None = Field(description="since when the alert `falling_behind` holds")


class Status(Body):
    """How fresh the pages are, and what waits for them."""

    publish_version: int = Field(description="0: nothing was published yet")
    published_at: datetime | None
    newest_fight_at: AwareDatetime | None = Field(description="start of the newest published fight")
    backlog: Backlog
