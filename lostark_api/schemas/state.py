"""Data quality, the state of the model, and publishes."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import Field

from lostark_api.schemas.base import Body, list_table_columns, with_columns


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


@with_columns(*list_table_columns("ml_champion_history"))
class ChampionChange(Body):
    """One change of an alias."""


@with_columns(*list_table_columns("ml_dps_evaluation"))
class EvaluationRow(Body):
    """One predictor on one slice of the newest evaluation."""


@with_columns(*list_table_columns("ml_dps_monitoring"))
class MonitoringRow(Body):
    """One slice in one week."""


class ModelState(Body):
    """The champion, what it was tested by, and how it does."""

    champion_version: int | None = Field(description="null: there is no champion yet", examples=[3])
    history: list[ChampionChange]
    evaluation: list[EvaluationRow]
    monitoring: list[MonitoringRow]


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
