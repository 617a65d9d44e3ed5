"""Due fight days: found from what was written, completely and in bounded parts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec
import pyarrow as pa
import pytest

from lostark_assets.automation import due
from lostark_assets.automation.due import FULL_CHECK_INTERVAL_S, check_lake
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.lake.tables import Lake

NOW = datetime.now(UTC).timestamp()
FIRST = date(2026, 9, 2)


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def add_raw(lake: Lake, *days: date) -> None:
    contract = CONTRACTS["raw_battle_logs"]
    number = lake.count("raw_battle_logs")
    facts = {
        "fight_started_at": datetime(2026, 9, 2, tzinfo=UTC),
        "fetched_at": datetime.now(UTC),
        "payload": b"x",
    }
    rows = [
        {c.name: facts.get(c.name, "x" if pa.types.is_string(c.dtype) else 1) for c in contract.columns}
        | {"log_id": f"{number + n:032}", "fight_date": day}
        for n, day in enumerate(days)
    ]
    columns = [pa.array([row[c.name] for row in rows], c.dtype) for c in contract.columns]
    lake.append(contract, pa.table(columns, schema=contract.schema))


def test_an_empty_lake_has_nothing_due(lake):
    assert check_lake(lake, None, NOW).due == {}


def test_new_logs_make_their_days_due_and_keep_the_others(lake):
    add_raw(lake, FIRST)
    first = check_lake(lake, None, NOW)
    add_raw(lake, FIRST + timedelta(days=9))

    second = check_lake(lake, first, NOW + 30)

    assert list(first.due) == ["2026-09-02"]
    assert list(second.due) == ["2026-09-02", "2026-09-11"]
    assert second.due["2026-09-02"] == first.due["2026-09-02"]


def test_another_log_on_a_day_is_another_input(lake):
    add_raw(lake, FIRST)
    first = check_lake(lake, None, NOW)
    add_raw(lake, FIRST)

    assert check_lake(lake, first, NOW + 30).due["2026-09-02"] != first.due["2026-09-02"]


def test_another_version_of_the_code_is_another_input(lake, monkeypatch):
    add_raw(lake, FIRST)
    first = check_lake(lake, None, NOW)
    monkeypatch.setattr(due, "CODE", "clean 99, statistics 1")

    assert check_lake(lake, first, NOW + 30).due["2026-09-02"] != first.due["2026-09-02"]


def test_nothing_is_opened_while_nothing_changes(lake, monkeypatch):
    add_raw(lake, FIRST)
    seen = check_lake(lake, None, NOW)
    monkeypatch.setattr(Lake, "open", lambda *_: pytest.fail("a table was opened"))

    assert check_lake(lake, seen, NOW + 30) is seen


def test_a_full_check_visits_a_bounded_part_at_a_time_newest_days_first(lake, monkeypatch):
    days = [FIRST + timedelta(days=n) for n in range(5)]
    add_raw(lake, *days)
    monkeypatch.setattr(due, "_ROWS_PER_CHECK", 10)
    monkeypatch.setattr(Lake, "rows_by_day", lambda *_: dict.fromkeys(days, 9))

    looks = [check_lake(lake, None, NOW)]
    while looks[-1].unchecked:
        looks.append(check_lake(lake, looks[-1], NOW + 30))

    assert [len(seen.due) for seen in looks] == [2, 4, 5]
    assert sorted(looks[0].due) == ["2026-09-05", "2026-09-06"]


def test_a_full_check_finds_within_a_day_what_a_cheap_one_missed(lake, monkeypatch):
    add_raw(lake, FIRST)
    seen = check_lake(lake, None, NOW)
    monkeypatch.setattr(Lake, "days_written", lambda *_: set())
    add_raw(lake, FIRST + timedelta(days=1))

    missed = check_lake(lake, seen, NOW + 30)

    assert len(missed.due) == 1
    assert len(check_lake(lake, missed, NOW + FULL_CHECK_INTERVAL_S).due) == 2


def test_a_table_that_was_reset_is_checked_completely(lake):
    import shutil

    add_raw(lake, FIRST)
    add_raw(lake, FIRST + timedelta(days=1))
    seen = check_lake(lake, None, NOW)
    shutil.rmtree(lake.table_url("raw_battle_logs"))
    add_raw(lake, FIRST + timedelta(days=2))

    assert list(check_lake(lake, seen, NOW + 30).due) == ["2026-09-04"]


def test_a_stored_cursor_keeps_its_field_names():
    stored = (
        b'{"code":"clean 3","versions":{"core_encounters":4},"looked_at":1.0,"fully_looked_at":2.0,'
        b'"due":{"2026-09-02":"a"},"unlooked":["2026-09-01"]}'
    )

    state = msgspec.json.decode(stored, type=due.LakeState)

    assert (state.checked_at, state.fully_checked_at, state.unchecked) == (1.0, 2.0, ["2026-09-01"])
    assert msgspec.json.encode(state) == stored
