"""Maintenance windows and patches from titles of notices; assumed values are marked."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from lostark_assets.contracts.core import CORE_GAME_EVENTS
from lostark_assets.contracts.expectations import examine
from lostark_assets.contracts.raw import RAW_GAME_NOTICES
from lostark_assets.core.game_events import KST, game_events, parse_instant
from lostark_assets.sources.open_api_news import news_rows

SEEN = datetime(2026, 9, 3, tzinfo=UTC)


def notice(title, at="2026-09-01T16:00:08.5", kind="점검", link=None, **more):
    return {"Title": title, "Date": at, "Link": link or f"https://news/{title}", "Type": kind} | more


def raw(*entries, news_list="notices", at=SEEN):
    body = json.dumps(entries, ensure_ascii=False).encode()
    return list(news_rows(news_list, body, fetched_at=at, run_id="r"))


def events(*entries, **more):
    return table(raw(*entries, **more))


def table(rows):
    found = game_events(pa.Table.from_pylist(rows, schema=RAW_GAME_NOTICES.schema))
    assert [str(f) for f in examine(CORE_GAME_EVENTS, found) if not f.passed] == []
    return found.to_pylist()


def kst(text):
    return datetime.fromisoformat(text).replace(tzinfo=KST).astimezone(UTC)


def window(*entries):
    (only,) = [row for row in events(*entries) if row["kind"] == "maintenance"]
    return tuple(only[c] for c in ("starts_at", "ends_at", "start_known_by", "end_known_by"))


def test_the_weekly_maintenance_has_the_usual_hours_in_utc():
    (row,) = events(notice("9월 2일(수) 정기 점검 안내"))

    assert (row["kind"], row["is_regular"], row["event_name"]) == (
        "maintenance",
        True,
        "maintenance 2026-09-02",
    )
    assert row["starts_at"] == datetime(2026, 9, 1, 21, 0, tzinfo=UTC)
    assert row["ends_at"] == datetime(2026, 9, 2, 1, 0, tzinfo=UTC)
    assert (row["start_known_by"], row["end_known_by"]) == ("usual hours", "usual hours")
    assert row["published_at"] == datetime(2026, 9, 1, 7, 0, 8, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("title", "start", "end", "known"),
    [
        ("9월 2일(수) 정기 점검 안내 (06:00 ~ 12:30)", "06:00", "12:30", ("title", "title")),
        ("9월 2일(수) 오전 5시 ~ 오후 1시 30분 정기 점검 안내", "05:00", "13:30", ("title", "title")),
        ("9월 2일(수) 정기 점검 안내 (11시까지)", "06:00", "11:00", ("usual hours", "title")),
        ("9월 2일(수) 12시 10분 로스트아크 임시 점검 안내", "12:10", "14:10", ("title", "usual hours")),
        ("9월 2일(수) 로스트아크 긴급 점검 안내", "06:00", "08:00", ("usual hours", "usual hours")),
        ("2026년 9월 2일(수) 정기 점검 안내(내용 추가)", "06:00", "10:00", ("usual hours", "usual hours")),
        ("9월 2일(수) 23시 ~ 2시 임시 점검 안내", "23:00", "26:00", ("title", "title")),
    ],
)
def test_hours_of_a_title_win_over_the_usual_ones(title, start, end, known):
    def at(text):
        hours, minutes = text.split(":")
        return kst("2026-09-02") + timedelta(hours=int(hours), minutes=int(minutes))

    assert window(notice(title)) == (at(start), at(end), *known)


def test_a_completion_notice_ends_its_own_window():
    entries = [
        notice("9월 2일(수) 정기 점검 안내"),
        notice("9월 2일(수) 로스트아크 정기 점검 완료 안내", "2026-09-02T09:59:58", "공지"),
        notice("9월 2일(수) 12시 10분 로스트아크 임시 점검 안내", "2026-09-02T11:36:20"),
        notice("9월 2일(수) 12시 10분 로스트아크 임시 점검 완료 안내", "2026-09-02T12:45:06", "공지"),
    ]
    rows = events(*entries)

    assert [(r["starts_at"], r["ends_at"], r["end_known_by"]) for r in rows] == [
        (kst("2026-09-02T06:00"), kst("2026-09-02T09:59:58"), "completion notice"),
        (kst("2026-09-02T12:10"), kst("2026-09-02T12:45:06"), "completion notice"),
    ]
    assert all(row["completion_notice_id"] not in (None, row["notice_id"]) for row in rows)


def test_an_extension_moves_the_end_of_the_window_that_is_there():
    entries = [
        notice("9월 2일(수) 정기 점검 안내"),
        notice("9월 2일(수) 정기 점검 연장 안내 (12시까지)", "2026-09-02T09:40:00"),
    ]

    assert window(*entries) == (kst("2026-09-02T06:00"), kst("2026-09-02T12:00"), "usual hours", "title")


def test_a_maintenance_over_before_the_usual_hour_began_when_it_was_announced():
    entries = [
        notice("9월 3일(목) 로스트아크 임시 점검 안내", "2026-09-03T01:00:00"),
        notice("9월 3일(목) 로스트아크 임시 점검 완료 안내", "2026-09-03T03:10:00", "공지"),
    ]

    assert window(*entries) == (
        kst("2026-09-03T01:00"), kst("2026-09-03T03:10"), "publication", "completion notice",
    )  # fmt: skip


def test_a_completion_without_an_announcement_is_a_window_whose_start_is_the_usual():
    entry = notice("9월 3일(목) 로스트아크 임시 점검 완료 안내", "2026-09-03T07:00:00", "공지")

    assert window(entry) == (
        kst("2026-09-03T06:00"), kst("2026-09-03T07:00"), "usual hours", "completion notice",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("title", "published", "day"),
    [
        ("1월 1일(목) 정기 점검 안내", "2025-12-30T16:00:00", "2026-01-01"),
        ("12월 31일(수) 정기 점검 안내", "2026-01-02T10:00:00", "2025-12-31"),
        ("2025년 9월 2일 정기 점검 안내", "2026-09-01T16:00:00", "2025-09-02"),
        ("2월 29일(목) 정기 점검 안내", "2024-02-27T16:00:00", "2024-02-29"),
    ],
)
def test_a_day_without_a_year_is_the_nearest_one(title, published, day):
    assert window(notice(title, published))[0] == kst(f"{day}T06:00")


@pytest.mark.parametrize(
    ("title", "kind", "expected"),
    [
        ("9월 2일(수) 업데이트 내역 안내(내용 추가)", "공지", "update 2026-09-02"),
        ("9월 2일(수) 클라이언트 패치 안내", "공지", "client patch 2026-09-02"),
        ("9월 2일(수) 클래스 밸런스 업데이트 안내", "공지", "클래스 밸런스 2026-09-02"),
        ("9월 2일 신규 레이드 업데이트 내역 안내", "공지", "신규 레이드 2026-09-02"),
        ("9월 2일(수) 업데이트 사전 안내", "공지", None),
        ("9월 2일(수) 공식 홈페이지 패치 안내", "공지", None),
        ("리샤의 편지에서 업데이트 소식을 전합니다.", "공지", None),
        ("9월 2일(수) 신규 상품 및 확률 안내", "상점", None),
        ("9월 2일(수) 정기 점검 취소 안내", "점검", None),
        ("점검 보상 안내", "점검", None),
        ("정기 점검 안내", "점검", None),
        ("13월 40일 정기 점검 안내", "점검", None),
    ],
)
def test_patches_are_named_and_everything_else_stays_a_notice(title, kind, expected):
    (row,) = events(notice(title, "2026-09-02T09:59:54.16", kind))

    assert (row["kind"], row["event_name"]) == ("patch" if expected else "notice", expected)
    assert (row["starts_at"], row["ends_at"]) == (kst("2026-09-02T09:59:54.160"), None)
    assert row["start_known_by"] == "publication"


def test_a_patch_announced_a_day_ahead_starts_when_maintenance_usually_ends():
    (row,) = events(notice("9월 2일(수) 업데이트 내역 안내", "2026-09-01T18:00:00", "공지"))

    assert (row["starts_at"], row["start_known_by"]) == (kst("2026-09-02T10:00"), "usual hours")


def test_an_edited_notice_is_one_row_with_its_first_date_and_its_newest_title():
    first = raw(notice("9월 2일(수) 정기 점검 안내", link="L"))
    edited = raw(
        notice("9월 2일(수) 정기 점검 안내 (06:00 ~ 11:00)", "2026-09-02T08:00:00", link="L"),
        at=SEEN + timedelta(days=1),
    )
    (row,) = table(edited + first)

    assert (row["ends_at"], row["published_at"]) == (kst("2026-09-02T11:00"), kst("2026-09-01T16:00:08.500"))
    assert (row["notice_id"], row["fetched_at"]) == (edited[0]["notice_id"], SEEN + timedelta(days=1))


def test_events_have_the_hours_that_the_list_gives():
    listed = {
        "Title": "여름 이벤트",
        "Link": "E",
        "StartDate": "2026-08-19T10:00:00",
        "EndDate": "2026-09-16T05:59:00",
    }
    (row,) = events(listed, news_list="events")

    assert (row["kind"], row["source"], row["published_at"]) == ("event", "events", None)
    assert (row["starts_at"], row["ends_at"]) == (kst("2026-08-19T10:00"), kst("2026-09-16T05:59"))
    assert (row["start_known_by"], row["end_known_by"]) == ("listing", "listing")


@pytest.mark.parametrize("odd", [None, 5, "text", [], {}, {"Title": None, "Date": "soon", "Link": 3}])
def test_an_entry_that_says_nothing_is_kept_as_a_notice(odd):
    rows = events(odd, notice("9월 2일(수) 정기 점검 안내"))

    assert sorted(row["kind"] for row in rows) == ["maintenance", "notice"]


def test_the_order_of_the_rows_changes_nothing():
    titles = [
        "정기 점검 안내",
        "정기 점검 연장 안내 (11시까지)",
        "임시 점검 안내",
        "임시 점검 완료 안내",
        "업데이트 내역 안내",
    ]
    rows = [
        row
        for day in range(2, 9)
        for place, title in enumerate(titles)
        for row in raw(notice(f"9월 {day}일 {title}", f"2026-09-0{day}T0{place}:00:00", link=f"{day}{title}"))
    ]
    expected = table(rows)
    shuffled = rows[:]
    random.Random(3).shuffle(shuffled)

    assert table(shuffled) == expected
    assert table([]) == []


def test_news_rows_keep_the_bytes_of_each_entry_and_know_an_unchanged_one():
    body = b'[ {"Title": "\xec\xa0\x90\xea\xb2\x80",  "Link":"L"} ,null]'
    rows = list(news_rows("notices", body, fetched_at=SEEN, run_id="r"))
    again = list(news_rows("notices", body, fetched_at=SEEN + timedelta(days=1), run_id="s"))

    assert [row["body"] for row in rows] == [b'{"Title": "\xec\xa0\x90\xea\xb2\x80",  "Link":"L"}', b"null"]
    assert [(row["title"], row["link"]) for row in rows] == [("점검", "L"), (None, None)]
    assert [row["notice_id"] for row in rows] == [row["notice_id"] for row in again]
    assert list(news_rows("notices", b"null", fetched_at=SEEN, run_id="r")) == []
    with pytest.raises(ValueError, match="JSON list of notices"):
        list(news_rows("notices", b"<html>", fetched_at=SEEN, run_id="r"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-08-20T09:59:52.59", datetime(2025, 8, 20, 0, 59, 52, 590_000, tzinfo=UTC)),
        ("2025-08-20T22:30:00", datetime(2025, 8, 20, 13, 30, tzinfo=UTC)),
        ("2025-08-20T22:30:00Z", datetime(2025, 8, 20, 22, 30, tzinfo=UTC)),
        ("0001-01-01T00:00:00", None),
        ("soon", None),
        (None, None),
    ],
)
def test_times_are_korean_unless_they_say_otherwise(text, expected):
    assert parse_instant(text) == expected
