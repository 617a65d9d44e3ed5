"""When a week begins: the weekly reset of the log's region.

Korea resets on Wednesday 06:00 KST, which is Tuesday 21:00 UTC all year; the western regions, and logs whose
region is unknown, on Wednesday 10:00 UTC.
"""

from __future__ import annotations

from typing import TypeVar

import narwhals as nw

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
WEEK_US = 7 * DAY_US
# The epoch was a Thursday: the first resets after it, 6 January 21:00 and 7 January 10:00.
KOREAN_RESET_US = 5 * DAY_US + 21 * HOUR_US
WESTERN_RESET_US = 6 * DAY_US + 10 * HOUR_US
KOREA = "KR"
Micros = TypeVar("Micros", nw.Expr, int)


def week_started_at(fight_started_at: nw.Expr, region: nw.Expr) -> nw.Expr:
    """The newest reset at or before ``fight_started_at`` (UTC instants), as a UTC instant of microseconds."""
    at = fight_started_at.dt.timestamp("us")
    korean = (region == KOREA).fill_null(value=False).cast(nw.Int64())
    return instant(week_start_us(at, korean))


def week_start_us(at_us: Micros, is_korean: Micros) -> Micros:
    """The newest reset at or before ``at_us``, both in microseconds since 1970; ``is_korean`` is 1 or 0."""
    reset = is_korean * (KOREAN_RESET_US - WESTERN_RESET_US) + WESTERN_RESET_US
    return (at_us - reset) // WEEK_US * WEEK_US + reset


def instant(micros: nw.Expr) -> nw.Expr:
    """Microseconds since the epoch as a UTC instant."""
    return micros.cast(nw.Datetime("us", "UTC"))
