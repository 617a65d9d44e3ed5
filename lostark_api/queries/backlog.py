"""The backlog's figure as the API returns it, with its words in the reader's language."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from lostark_api.http.language import ENGLISH, KOREAN
from lostark_assets.automation.backlog import Backlog, estimate_upload_s, read_backlog
from lostark_assets.automation.backlog_text import round_estimate, word_state
from lostark_assets.ledger import open_ledger
from lostark_assets.settings import Settings

_KOREAN_STATES = {
    "up_to_date": "최신 상태",
    "catching_up": "밀린 로그 처리 중",
    "falling_behind": "지연 중: 대기 중인 로그가 줄어들지 않고 있습니다",
    "unknown": "알 수 없음: 최근에 확인되지 않았습니다",
}
_KOREAN_UNITS = {"s": "초", "min": "분", "h": "시간"}
_OVERDUE = {ENGLISH: "takes longer than usual", KOREAN: "평소보다 오래 걸리고 있습니다"}


def load_backlog(settings: Settings) -> Backlog:
    """The figure now; reads one local file."""
    return read_backlog(open_ledger(settings), datetime.now(UTC))


def describe_backlog(backlog: Backlog, language: str) -> dict[str, Any]:
    """The figure as the API returns it."""
    figures = asdict(backlog)
    return {"state": figures.pop("state"), "words": _word_state(backlog, language), **figures}


def describe_wait(backlog: Backlog, uploads_before: int, waited_s: float, language: str) -> dict[str, Any]:
    """When an upload that waits is expected on the pages."""
    seconds = estimate_upload_s(backlog, uploads_before, waited_s)
    if seconds is not None:
        words = _about(seconds, language)
    elif backlog.state in ("falling_behind", "unknown"):
        words = _word_state(backlog, language)
    else:
        words = _OVERDUE[language]
    return {"estimate_s": seconds, "estimate": words}


def _word_state(backlog: Backlog, language: str) -> str:
    if language != KOREAN:
        return word_state(backlog)
    words = _KOREAN_STATES[backlog.state]
    if backlog.state == "catching_up" and backlog.estimate_s is not None:
        words += f", {_about(backlog.estimate_s, language)} 남음"
    return words


def _about(seconds: float, language: str) -> str:
    count, unit = round_estimate(seconds)
    return f"약 {count}{_KOREAN_UNITS[unit]}" if language == KOREAN else f"about {count} {unit}"
