"""News of the game: maintenance, patches and events, in Korean and in Korean local time.

All of it follows from the season's calendar, so that two mock servers of one season have the same news.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from lostark_simulator.mock_server.calendar import KST, WEDNESDAY, korean_time

Notice = dict[str, Any]
MAINTENANCE, NOTICE, SHOP, EVENT = "점검", "공지", "상점", "이벤트"
_LINK = "https://lostark.example.invalid/News/Notice/Views/"
_WEEKDAYS = "월화수목금토일"
_PATCH_EVERY_WEEKS = 2
_PATCHES = ("클래스 밸런스", "신규 레이드", "아크 그리드 개편")


def day_text(day: datetime) -> str:
    """A day as in titles: 8월 20일(수)."""
    return f"{day.month}월 {day.day}일({_WEEKDAYS[day.weekday()]})"


def local_text(at: datetime) -> str:
    """A Korean time without an offset; trailing zeros of the milliseconds are dropped."""
    text = at.strftime("%Y-%m-%dT%H:%M:%S")
    millis = at.microsecond // 1000
    return f"{text}.{millis:03d}".rstrip("0").rstrip(".") if millis else text


def notices(started_s: float, now_s: float) -> list[Notice]:
    """Notices from a week before the season until now, newest first."""
    now = korean_time(now_s)
    first = _next_wednesday(korean_time(started_s) - timedelta(days=7))
    found: list[tuple[datetime, str, str]] = []
    week = 0
    while first + timedelta(weeks=week) - timedelta(days=1) <= now:
        found += _week(first + timedelta(weeks=week), week)
        week += 1
    notices_of_week = sorted((one for one in found if one[0] <= now), key=lambda one: one[0])
    listed = [
        {"Title": title, "Date": local_text(at), "Link": f"{_LINK}{13_000 + number}", "Type": kind}
        for number, (at, title, kind) in enumerate(notices_of_week)
    ]
    return listed[::-1]


def search(found: list[Notice], text: str | None, kind: str | None) -> list[Notice]:
    """Filter notices by type and by text in the title."""
    return [one for one in found if kind in (None, "", one["Type"]) and (text or "") in one["Title"]]


def events(started_s: float, now_s: float) -> list[Notice]:
    """Current events; some have no reward date."""
    start, now = korean_time(started_s), korean_time(now_s)
    found = []
    for number in range(2 + (now - start).days // 14):
        begins = _next_wednesday(start) + timedelta(days=14 * (number - 1), hours=10)
        ends = begins + timedelta(days=27, hours=20)
        if begins <= now <= ends:
            found.append(
                {
                    "Title": f"{begins.month}월의 모험 이벤트",
                    "Thumbnail": "https://cdn.example.invalid/event.jpg",
                    "Link": f"{_LINK}events/{number}",
                    "StartDate": local_text(begins),
                    "EndDate": local_text(ends),
                    "RewardDate": None if number % 2 else local_text(ends + timedelta(days=7)),
                }
            )
    return found


def alarms(now_s: float, *, is_down_soon: bool) -> Notice:
    """The alarm list of V6: empty except before a maintenance."""
    if not is_down_soon:
        return {"RequirePolling": False, "Alarms": []}
    now = korean_time(now_s)
    alarm = {
        "AlarmType": MAINTENANCE,
        "Contents": "정기 점검이 시작됩니다.",
        "StartDate": local_text(now),
        "EndDate": None,
    }
    return {"RequirePolling": True, "Alarms": [alarm]}


def _next_wednesday(at: datetime) -> datetime:
    midnight = at.astimezone(KST).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=(WEDNESDAY - midnight.weekday()) % 7)


def _week(wednesday: datetime, week: int) -> list[tuple[datetime, str, str]]:
    """Notices about one Wednesday: time, title and type."""
    day = day_text(wednesday)
    odd = timedelta(milliseconds=(week * 137) % 1000)
    eve = wednesday - timedelta(days=1) + timedelta(hours=16, seconds=9) + odd
    morning = wednesday + timedelta(hours=9, minutes=59, seconds=52)
    notices_of_week = [
        (eve, f"{day} 정기 점검 안내", MAINTENANCE),
        (morning + odd, f"{day} 신규 상품 및 확률 안내", SHOP),
        (morning + odd + timedelta(seconds=2), f"{day} 업데이트 내역 안내", NOTICE),
    ]
    if week % _PATCH_EVERY_WEEKS == 0:
        patch = _PATCHES[week // _PATCH_EVERY_WEEKS % len(_PATCHES)]
        notices_of_week.append((morning + odd + timedelta(seconds=3), f"{day} {patch} 업데이트 안내", NOTICE))
    if week % 4 == 1:
        thursday = wednesday + timedelta(days=1)
        notices_of_week.append(
            (
                wednesday + timedelta(hours=21, seconds=3),
                f"{day_text(thursday)} 로스트아크 임시 점검 안내",
                MAINTENANCE,
            )
        )
        notices_of_week.append(
            (
                thursday + timedelta(hours=6, minutes=45, seconds=29),
                f"{day_text(thursday)} 로스트아크 임시 점검 완료 안내",
                NOTICE,
            )
        )
    if week % 3 == 2:
        notices_of_week.append((wednesday + timedelta(hours=18, seconds=1), "주말 핫타임 이벤트 안내", EVENT))
    return notices_of_week
