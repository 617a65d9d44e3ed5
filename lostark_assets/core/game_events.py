"""Maintenance windows, patches and events of the Korean game, derived from its news lists. Pure.

A notice has a title, a type and a date, no hours: the usual hours replace those that the title does not
state, and the row records it. A title without such information remains a plain notice.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import msgspec
import pyarrow as pa

from lostark_assets.contracts.core import CORE_GAME_EVENTS
from lostark_assets.sources.open_api_parse import plain_text

EVENTS_VERSION = "1"
"""Increase it when the same notices give different rows."""
KST = timezone(timedelta(hours=9), "KST")
USUAL_START, USUAL_REGULAR_END, USUAL_PATCH = time(6), time(10), time(10)
"""Weekly maintenance is Wednesday 06:00 to 10:00 KST; patches are there when it ends."""
USUAL_EXTRA_LENGTH = timedelta(hours=2)
"""Extra maintenance took 35 to 60 minutes in the summer of 2025; twice that without a completion notice."""
MAX_MAINTENANCE = timedelta(hours=24)

_DAY = re.compile(r"(?:(\d{4})년\s*)?(\d{1,2})월\s*(\d{1,2})일")
_TIME = re.compile(r"(오전|오후)?\s*(\d{1,2})(?:시(?:\s*(\d{1,2})분)?|:(\d{2}))\s*(까지)?")
_MAINTENANCE = re.compile(r"(정기|임시|긴급|연장|서버)\s*점검|점검\s*(연장|안내|완료)")
_NO_MAINTENANCE = re.compile(r"취소|보상|이벤트")
_PATCH = re.compile(r"업데이트\s*(내역|안내)|패치\s*노트|클라이언트\s*패치|게임\s*패치|긴급\s*패치")
_NO_PATCH = re.compile(r"사전|예정|취소")
_NAMED_PATCH = re.compile(r"^\s*(?:\([월화수목금토일]\))?\s*([^\s(].*?)\s*업데이트\s*(?:내역|안내)")
_NO_TITLE = "(no title)"


@dataclass(frozen=True)
class _Notice:
    """One entry in its newest version; times are UTC."""

    notice_id: str
    news_list: str
    title: str
    kind: str
    published_at: datetime | None
    fetched_at: datetime
    link: str | None
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    @property
    def seen_at(self) -> datetime:
        return self.published_at or self.fetched_at


@dataclass
class _Maintenance:
    """One window and its notices, first announcement first."""

    day: date
    is_regular: bool
    stated_start: time | None
    notices: list[_Notice] = field(default_factory=list)
    stated_end: time | None = None
    completion: _Notice | None = None

    @property
    def starts_at(self) -> datetime:
        return _at(self.day, self.stated_start or USUAL_START)


def game_events(notices: pa.Table) -> pa.Table:
    """Compute ``core_game_events`` from all rows of ``raw_game_notices``, whatever their order."""
    current = _current(notices.to_pylist())
    windows: list[_Maintenance] = []
    completions: list[_Notice] = []
    rows: list[dict[str, Any]] = []
    for notice in sorted(current, key=lambda one: (one.seen_at, one.notice_id)):
        day = _titled_day(notice)
        if notice.kind == "maintenance" and day is not None:
            if "완료" in notice.title:
                completions.append(notice)
            else:
                _announce(windows, notice, day)
        else:
            rows.append(_single(notice, day))
    for notice in completions:
        _complete(windows, notice)
    rows += [_window_row(window) for window in windows]
    rows.sort(key=lambda row: (row["starts_at"] or row["fetched_at"], row["event_id"]))
    return pa.Table.from_pylist(rows, schema=CORE_GAME_EVENTS.schema)


def parse_instant(text: Any) -> datetime | None:
    """A time of the Open API (KST without an offset, maybe with a fraction) as UTC; None if it is none."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text.strip())
        return (at if at.tzinfo else at.replace(tzinfo=KST)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _current(rows: Iterable[Mapping[str, Any]]) -> list[_Notice]:
    """The newest version of each entry, with the date of its first."""
    newest: dict[tuple[str, str], _Notice] = {}
    for row in sorted(rows, key=lambda one: (one["fetched_at"], one["notice_id"])):
        notice = _read(row)
        key = (notice.news_list, notice.link or notice.title)
        before = newest.get(key)
        if before is not None and before.published_at is not None:
            first = min(before.published_at, notice.published_at or before.published_at)
            notice = replace(notice, published_at=first)
        newest[key] = notice
    return list(newest.values())


def _read(row: Mapping[str, Any]) -> _Notice:
    try:
        entry = msgspec.json.decode(row["body"])
    except msgspec.DecodeError:
        entry = None
    entry = entry if isinstance(entry, dict) else {}
    title = plain_text(str(entry.get("Title") or "")) or _NO_TITLE
    is_event = row["news_list"] == "events"
    return _Notice(
        notice_id=row["notice_id"],
        news_list=row["news_list"],
        title=title,
        kind="event" if is_event else _kind(title, entry.get("Type")),
        published_at=parse_instant(entry.get("Date")),
        fetched_at=row["fetched_at"],
        link=row["link"],
        starts_at=parse_instant(entry.get("StartDate")),
        ends_at=parse_instant(entry.get("EndDate")),
    )


def _kind(title: str, listed_type: Any) -> str:
    if _MAINTENANCE.search(title) or (listed_type == "점검" and "점검" in title):
        return "notice" if _NO_MAINTENANCE.search(title) else "maintenance"
    return "patch" if _PATCH.search(title) and not _NO_PATCH.search(title) else "notice"


def _titled_day(notice: _Notice) -> date | None:
    """The Korean day that a title names; without a year the one nearest to the publication."""
    found = _DAY.search(notice.title)
    if found is None:
        return None
    seen = notice.seen_at.astimezone(KST).date()
    years = [int(found[1])] if found[1] else [seen.year - 1, seen.year, seen.year + 1]
    days = [day for year in years if (day := _date(year, int(found[2]), int(found[3]))) is not None]
    return min(days, key=lambda day: abs(day - seen), default=None)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _times(title: str) -> tuple[time | None, time | None]:
    """Start and end as the title states them; "까지" marks an end."""
    found: list[tuple[time, bool]] = []
    for half, hour, minute, minute_after_colon, until in _TIME.findall(_DAY.sub(" ", title)):
        at = _time(half, int(hour), int(minute or minute_after_colon or 0))
        if at is not None:
            found.append((at, bool(until)))
    starts = [at for at, is_end in found if not is_end]
    ends = [at for at, is_end in found if is_end]
    start = starts[0] if starts else None
    return start, ends[0] if ends else starts[1] if len(starts) > 1 else None


def _time(half: str, hour: int, minute: int) -> time | None:
    if half == "오후" and hour < 12:
        hour += 12
    elif half == "오전" and hour == 12:
        hour = 0
    return time(hour, minute) if hour < 24 and minute < 60 else None


def _at(day: date, at: time) -> datetime:
    return datetime.combine(day, at, KST).astimezone(UTC)


def _announce(windows: list[_Maintenance], notice: _Notice, day: date) -> None:
    """Add a notice to the window that it announces; an extension moves that window's end."""
    is_regular, (start, end) = "정기" in notice.title, _times(notice.title)
    same_kind = [w for w in windows if w.day == day and w.is_regular == is_regular]
    if "연장" in notice.title:
        start, end = None, end or start
    window = next((w for w in reversed(same_kind) if start in (None, w.stated_start)), None)
    if window is None:
        window = _Maintenance(day, is_regular, start)
        windows.append(window)
    window.notices.append(notice)
    window.stated_end = end or window.stated_end


def _complete(windows: list[_Maintenance], notice: _Notice) -> None:
    """Close the window that a completion notice reports as over; one never announced becomes a window too."""
    day = _titled_day(notice)
    assert day is not None
    start, _ = _times(notice.title)
    for window in reversed(windows):
        if window.day != day or window.completion is not None or start not in (None, window.stated_start):
            continue
        if ("정기" in notice.title) == window.is_regular and window.notices[0].seen_at <= notice.seen_at:
            window.completion = notice
            return
    windows.append(_Maintenance(day, "정기" in notice.title, start, [notice], completion=notice))


def _window_row(window: _Maintenance) -> dict[str, Any]:
    notice = window.notices[0]
    starts_at: datetime | None = window.starts_at
    ends_at, known_by = _end(window)
    start_known_by: str | None = "title" if window.stated_start else "usual hours"
    if ends_at <= window.starts_at:
        # It was over before the usual hour, so it did not begin then.
        is_announced_before = notice.seen_at < ends_at
        starts_at, start_known_by = (notice.seen_at, "publication") if is_announced_before else (None, None)
    date_text = window.day.isoformat()
    return _row(notice, f"maintenance {date_text}", [notice, *window.notices, window.completion]) | {
        "kind": "maintenance",
        "is_regular": window.is_regular,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "start_known_by": start_known_by,
        "end_known_by": known_by,
        "completion_notice_id": window.completion.notice_id if window.completion else None,
    }


def _end(window: _Maintenance) -> tuple[datetime, str]:
    """When a window ends: as reported, else as stated, else after the usual time."""
    start = window.starts_at
    reported = window.completion.published_at if window.completion else None
    if reported is not None and reported - start < MAX_MAINTENANCE:
        return reported, "completion notice"
    if window.stated_end is not None:
        end = _at(window.day, window.stated_end)
        return end if end > start else end + timedelta(days=1), "title"
    usual = _at(window.day, USUAL_REGULAR_END)
    if window.is_regular and usual > start:
        return usual, "usual hours"
    return start + USUAL_EXTRA_LENGTH, "usual hours"


def _single(notice: _Notice, day: date | None) -> dict[str, Any]:
    """The row of a notice that is no maintenance window."""
    kind = "notice" if notice.kind == "maintenance" else notice.kind
    row = _row(notice, None, [notice]) | {"kind": kind, "starts_at": notice.published_at}
    row["start_known_by"] = "publication" if notice.published_at else None
    if kind == "event":
        is_listed = {name: "listing" if at else None for name, at in _listed(notice).items()}
        return (
            row
            | _listed(notice)
            | {"start_known_by": is_listed["starts_at"], "end_known_by": is_listed["ends_at"]}
        )
    if kind == "patch":
        published = notice.seen_at.astimezone(KST).date()
        if day is not None and day != published:
            row |= {"starts_at": _at(day, USUAL_PATCH), "start_known_by": "usual hours"}
        row["event_name"] = f"{_patch_name(notice.title)} {(day or published).isoformat()}"
    return row


def _patch_name(title: str) -> str:
    """Name of a patch: what its title names after the day, else ``update``."""
    named = _NAMED_PATCH.search(_DAY.sub("", title))
    return "client patch" if "클라이언트" in title else named[1] if named else "update"


def _listed(notice: _Notice) -> dict[str, datetime | None]:
    return {"starts_at": notice.starts_at, "ends_at": notice.ends_at}


def _row(notice: _Notice, event_name: str | None, notices: Iterable[_Notice | None]) -> dict[str, Any]:
    identity = "\x00".join((notice.news_list, notice.link or notice.title))
    return {
        "event_id": hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()[:16],
        "title": notice.title,
        "event_name": event_name,
        "published_at": notice.published_at,
        "link": notice.link,
        "source": notice.news_list,
        "notice_id": notice.notice_id,
        "fetched_at": max(one.fetched_at for one in notices if one is not None),
    }
