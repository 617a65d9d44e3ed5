"""Korean local time, and the time of the weekly maintenance."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

KST = timezone(timedelta(hours=9), "KST")
WEDNESDAY = 2
MAINTENANCE_FROM_HOUR, MAINTENANCE_TO_HOUR = 6, 10


def korean_time(epoch_s: float) -> datetime:
    """Epoch seconds as Korean local time, with its offset."""
    return datetime.fromtimestamp(epoch_s, UTC).astimezone(KST)


def is_weekly_maintenance(epoch_s: float) -> bool:
    """Whether the weekly maintenance is on: Wednesdays from 06:00 to 10:00 KST."""
    local = korean_time(epoch_s)
    return local.weekday() == WEDNESDAY and MAINTENANCE_FROM_HOUR <= local.hour < MAINTENANCE_TO_HOUR
