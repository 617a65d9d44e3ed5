"""Numbers and times as players read them, in their language."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

from lostark_api.http.language import KOREAN

NOTHING = "–"
_TEN_THOUSAND, _HUNDRED_MILLION = 10_000, 100_000_000


def damage(value: float | None, language: str) -> str:
    """Damage or DPS, to three digits: 62.4M in English, 6,240만 or 1.24억 in Korean."""
    if value is None or not math.isfinite(value):
        return NOTHING
    units: tuple[tuple[int, str], ...]
    if language == KOREAN:
        units = ((_HUNDRED_MILLION * _TEN_THOUSAND, "조"), (_HUNDRED_MILLION, "억"), (_TEN_THOUSAND, "만"))
    else:
        units = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))
    size = abs(value)
    for unit, sign in units:
        if size >= unit:
            return f"{_digits(value / unit)}{sign}"
    return f"{value:,.0f}"


def signed_damage(value: float | None, language: str) -> str:
    """A difference of damage, with its sign."""
    if value is None:
        return NOTHING
    text = damage(abs(value), language)
    return f"{'+' if value > 0 else '−' if value < 0 else '±'}{text}"


def percent(fraction: float | None, digits: int = 0) -> str:
    """A fraction as percent."""
    if fraction is None or not math.isfinite(fraction):
        return NOTHING
    return f"{fraction * 100:.{digits}f}%"


def rank_number(percentile: float, language: str) -> str:
    """A percentile as readers count it: from below in English, from the top (상위 N%) in Korean."""
    return f"{max(100 - percentile, 1):.0f}" if language == KOREAN else f"{percentile:.0f}"


def number(value: float | None, digits: int = 0) -> str:
    """A plain number with thousands separators."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:,.{digits}f}"


def clock(seconds: float | None) -> str:
    """A duration as minutes and seconds."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def moment(value: datetime | None) -> str:
    """A timestamp to the minute, UTC; a script replaces it with how long ago that was."""
    return NOTHING if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def day(value: date | datetime | None) -> str:
    """A day."""
    return NOTHING if value is None else f"{value:%Y-%m-%d}"


def _digits(value: float) -> str:
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
