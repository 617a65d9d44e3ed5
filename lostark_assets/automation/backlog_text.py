"""The backlog's figure in words, for terminals and logs; pages have texts of their own. Pure."""

from __future__ import annotations

from typing import Literal

from lostark_assets.automation.backlog import Backlog, State

Unit = Literal["s", "min", "h"]
_WORDS: dict[State, str] = {
    "up_to_date": "up to date",
    "catching_up": "catching up",
    "falling_behind": "falling behind: the backlog does not shrink",
    "unknown": "unknown: not observed lately",
}


def round_estimate(seconds: float) -> tuple[int, Unit]:
    """An estimate as people say it: to 5 s below a minute, to minutes below 90, else to hours; never zero."""
    if seconds < 57.5:
        return max(round(seconds / 5) * 5, 5), "s"
    if seconds < 89.5 * 60:
        return max(round(seconds / 60), 1), "min"
    return round(seconds / 3600), "h"


def word_state(backlog: Backlog) -> str:
    """State and estimate in words."""
    if backlog.state != "catching_up" or backlog.estimate_s is None:
        return _WORDS[backlog.state]
    count, unit = round_estimate(backlog.estimate_s)
    return f"catching up, about {count} {unit}"


def describe_backlog(backlog: Backlog) -> str:
    """The figure in one line, for terminals and logs."""
    if backlog.observed_at is None:
        return word_state(backlog)
    uploads, logs, runs = backlog.uploads_waiting, backlog.logs_waiting, backlog.runs_queued
    parts = [f"waiting: {_count(uploads, 'upload')} and {_count(logs, 'log')}"]
    if backlog.oldest_waits_s is not None:
        parts.append(f"the oldest for {_in_units(backlog.oldest_waits_s)}")
    if backlog.logs_in_per_minute is not None:
        parts.append(f"{backlog.logs_in_per_minute:,.1f} logs a minute in")
        parts.append(f"{backlog.logs_out_per_minute:,.1f} out")
    parts.append(f"{_count(runs, 'run')} queued")
    return f"{word_state(backlog)} ({', '.join(parts)}; {backlog.observed_at:%Y-%m-%d %H:%M:%S} UTC)"


def _count(number: int | None, noun: str) -> str:
    return f"{number or 0:,} {noun}{'' if number == 1 else 's'}"


def _in_units(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
