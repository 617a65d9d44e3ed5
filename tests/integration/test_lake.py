"""The lake's tables on disk: what is read back, what a replacement touches, and who has to wait."""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import stamina
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lostark_assets.arrow import plain
from lostark_assets.contracts.core import CORE_HITS, CORE_QUARANTINE
from lostark_assets.contracts.ml import ML_CHAMPION_HISTORY, ML_TRAINING_SET
from lostark_assets.contracts.raw import RAW_BATTLE_LOGS, RAW_GAME_NOTICES
from lostark_assets.contracts.table import Column
from lostark_assets.errors import LakeBusy, NotFound
from lostark_assets.lake import files as files_of_tables
from lostark_assets.lake import reading, tables
from lostark_assets.lake.tables import Lake
from lostark_assets.stats.engine import ENGINES, to_arrow

DAYS = [date(2026, 9, day) for day in (1, 2, 3)]
NOW = datetime(2026, 9, 9, tzinfo=UTC)


def rows(*entries):
    """(log, day number) rows of the quarantine; the detail tells versions of a row apart."""
    listed = []
    for place, (log, day, *detail) in enumerate(entries):
        listed.append(
            {
                "quarantine_id": f"{log}-{day}-{place}", "log_id": log, "fight_date": DAYS[day],
                "scope": "log", "reason_code": "no_players",
                "detail": detail[0] if detail else "", "source": "s",
                "source_log_id": log, "clean_version": "1", "quarantined_at": NOW, "clean_run_id": "r",
            }
        )  # fmt: skip
    return pa.Table.from_pylist(listed, schema=CORE_QUARANTINE.schema)


@pytest.fixture
def retries_without_waits():
    with stamina.set_testing(True, attempts=8):
        yield


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


def stored(lake, **options):
    table = lake.read(CORE_QUARANTINE.name, **options)
    facts = zip(*(table[c].to_pylist() for c in ("log_id", "fight_date", "detail")), strict=True)
    return sorted((log, DAYS.index(day), detail) for log, day, detail in facts)


def test_a_table_that_was_never_written_is_empty(lake):
    name = CORE_QUARANTINE.name

    assert lake.read(name).schema == CORE_QUARANTINE.schema
    assert (lake.count(name), lake.days(name), lake.version(name)) == (0, [], None)
    assert list(lake.groups_with(name, "log_id", ["a"], ["log_id"])) == []


def test_days_and_columns_narrow_what_is_read(lake):
    lake.append(CORE_QUARANTINE, rows(("a", 0), ("b", 1), ("c", 1)))
    name = CORE_QUARANTINE.name

    assert stored(lake, days=[DAYS[1]]) == [("b", 1, ""), ("c", 1, "")]
    assert (lake.days(name), lake.count(name), lake.count(name, [DAYS[0]])) == (DAYS[:2], 3, 1)
    assert lake.read(name, columns=["log_id"], days=[]).schema == pa.schema([("log_id", pa.string())])
    assert stored(lake, where=pc.field("log_id") == "a") == [("a", 0, "")]


def test_an_append_of_nothing_is_no_commit(lake):
    lake.append(CORE_QUARANTINE, rows(("a", 0)))
    before = lake.version(CORE_QUARANTINE.name)

    lake.append(CORE_QUARANTINE, rows())

    assert lake.version(CORE_QUARANTINE.name) == before


def test_an_older_version_stays_readable(lake):
    lake.append(CORE_QUARANTINE, rows(("a", 0)))
    first = lake.version(CORE_QUARANTINE.name)
    lake.replace_all(CORE_QUARANTINE, rows(("b", 1)))

    assert stored(lake) == [("b", 1, "")]
    assert stored(lake, version=first) == [("a", 0, "")]


def test_what_a_replacement_leaves_of_a_file_has_the_columns_of_a_file(lake):
    lake.append(CORE_QUARANTINE, rows(("a", 0), ("b", 0)))
    [before] = files(lake)

    lake.replace_rows(CORE_QUARANTINE, rows(), {"log_id": ["a"]})

    [after] = set(files(lake)) - {before}
    assert pq.read_schema(after) == pq.read_schema(before)
    assert "fight_date" not in pq.read_schema(after).names


def test_replacing_days_leaves_the_others(lake):
    lake.append(CORE_QUARANTINE, rows(("a", 0), ("b", 1), ("c", 2)))

    lake.replace_days(CORE_QUARANTINE, rows(("d", 1)), [DAYS[1], DAYS[2]])

    assert stored(lake) == [("a", 0, ""), ("d", 1, "")]


entries = st.lists(st.tuples(st.sampled_from("abcd'"), st.integers(0, 2)), max_size=8)


@given(
    entries, st.sets(st.sampled_from("abcd'"), min_size=1), st.sets(st.integers(0, 2), min_size=1), entries
)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_replacing_rows_gives_what_its_sentence_says(tmp_path_factory, before, ids, days, new):
    """Files that hold nothing else go out whole, files without any of the rows stay: no difference."""
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    lake.append(CORE_QUARANTINE, rows(*before))
    new = [(log, day, "new") for log, day in new if log in ids and day in days]

    where = {"log_id": ids, "fight_date": [DAYS[d] for d in days]}
    lake.replace_rows(CORE_QUARANTINE, rows(*new), where)

    kept = [(log, day, "") for log, day in before if not (log in ids and day in days)]
    assert stored(lake) == sorted(kept + new)


def test_groups_hold_the_wanted_rows_in_stored_order(lake):
    for log in "abc":
        lake.append(CORE_QUARANTINE, rows((log, 0), ("x", 1)))

    found = list(lake.groups_with(CORE_QUARANTINE.name, "log_id", {"a", "c"}, ["log_id", "fight_date"]))

    assert sorted(log for table in found for log in table["log_id"].to_pylist()) == ["a", "c"]
    assert all(table.column_names == ["log_id", "fight_date"] for table in found)


@pytest.mark.parametrize("url", ["{}", "file://{}"], ids=["folder", "store"])
@pytest.mark.parametrize("encoded", [["encounter_id", "player_name"], []])
@pytest.mark.parametrize("wanted", ["abcdef", "ad", "c", "z"])
@pytest.mark.parametrize("columns", [CORE_HITS.names, ["is_crit"], ["damage", "is_front_attack", "damage_2"]])
def test_groups_are_what_the_files_hold(tmp_path, monkeypatch, url, encoded, wanted, columns):
    """Of a folder the flags of a file are read at once, by another reader, and cut to the row groups."""
    monkeypatch.setitem(vars(CORE_HITS), "storage", replace(CORE_HITS.storage, row_group_rows=7))
    lake, random = Lake(url.format(tmp_path / "lake")), Random(1)
    ids = sorted(random.choices("abcdef", k=60))
    for first, last in ((0, 40), (40, 60)):
        part = range(first, last)
        flags = ("is_crit", "is_back_attack", "is_front_attack")
        hits = {
            "encounter_id": ids[first:last], "fight_date": [DAYS[0]] * len(part),
            "player_name": ["p"] * len(part), "skill_id": list(part), "hit_at_ms": list(part),
            "damage": [random.randrange(10**9) for _ in part],
            **{flag: [random.random() < 0.5 for _ in part] for flag in flags},
        }  # fmt: skip
        lake.append(CORE_HITS, CORE_HITS.conform(pa.table(hits)))
    more = replace(CORE_HITS, columns=(*CORE_HITS.columns, Column("damage_2", pa.int64(), "new")))
    monkeypatch.setitem(reading.CONTRACTS, more.name, more)

    found = lake.groups_with(more.name, "encounter_id", list(wanted), columns, dictionary=encoded)

    rows = [row for group in found for row in group.to_pylist()]
    kept = lake.dataset(more.name).to_table().filter(pc.field("encounter_id").isin(list(wanted)))
    order = lambda row: sorted(map(str, row.items()))  # noqa: E731
    assert sorted(rows, key=order) == sorted(kept.select(columns).to_pylist(), key=order)
    assert len(rows) == sum(key in wanted for key in ids)


@pytest.mark.parametrize(("all_there", "expected"), [(False, []), (True, ["a"])])
def test_rows_of_older_files_are_found_only_if_all_must_be_there(lake, all_there, expected):
    lake.append(CORE_QUARANTINE, rows(("a", 0)))
    later = datetime.now(UTC) + timedelta(hours=1)

    found = lake.groups_with(
        CORE_QUARANTINE.name, "log_id", ["a"], ["log_id"], since=later, all_there=all_there
    )

    assert [log for table in found for log in table["log_id"].to_pylist()] == expected


@pytest.mark.usefixtures("retries_without_waits")
def test_a_lost_commit_is_tried_again(lake, monkeypatch):
    lake.append(CORE_QUARANTINE, rows(("a", 0)))
    write, losses = DeltaTable.create_write_transaction, [2]

    def unlucky(*arguments, **options):
        if losses[0]:
            losses[0] -= 1
            raise CommitFailedError("another writer was first")
        write(*arguments, **options)

    monkeypatch.setattr(DeltaTable, "create_write_transaction", unlucky)
    lake.append(CORE_QUARANTINE, rows(("b", 0)))

    assert stored(lake) == [("a", 0, ""), ("b", 0, "")]
    assert len(files(lake)) == 2


def files(lake):
    return [*Path(lake.table_url(CORE_QUARANTINE.name)).glob("fight_date=*/*.parquet")]


@pytest.mark.usefixtures("retries_without_waits")
def test_the_second_of_two_that_replace_the_same_rows_works_on_what_the_first_left(lake, monkeypatch):
    lake.append(CORE_QUARANTINE, rows(("a", 0), ("b", 0)))
    commit, others = DeltaTable.create_write_transaction, [rows(("a", 0, "first"))]

    def overtaken(*arguments, **options):
        if others:
            Lake.replace_rows(lake, CORE_QUARANTINE, others.pop(), {"log_id": ["a"]})
        commit(*arguments, **options)

    monkeypatch.setattr(DeltaTable, "create_write_transaction", overtaken)
    lake.replace_rows(CORE_QUARANTINE, rows(("a", 0, "second")), {"log_id": ["a"]})

    assert stored(lake) == [("a", 0, "second"), ("b", 0, "")]


@pytest.mark.usefixtures("retries_without_waits")
@pytest.mark.parametrize("is_one_process", [True, False])
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"log_id": ["new"], "fight_date": DAYS[:1]}, ["new", "old"]),
        ({"fight_date": DAYS[1:2]}, ["new", "old"]),
        ({}, ["new"]),
    ],
)
def test_two_that_bring_the_same_rows_at_once_leave_them_once(
    lake, monkeypatch, where, expected, is_one_process
):
    lake.append(CORE_QUARANTINE, rows(("old", 0)))
    others, commit = [lake if is_one_process else Lake(lake.url)], Lake._commit
    new = rows(("new", 1 if where.keys() == {"fight_date"} else 0))

    def overtaken(*arguments):
        if others:
            others.pop()._write(CORE_QUARANTINE, new, where)
        commit(*arguments)

    monkeypatch.setattr(Lake, "_commit", overtaken)
    lake._write(CORE_QUARANTINE, new, where)

    assert [log for log, *_ in stored(lake)] == expected
    assert stored(Lake(lake.url)) == stored(lake)


def test_a_reader_during_a_commit_of_another_thread_sees_the_former_rows(lake, monkeypatch):
    lake.append(CORE_QUARANTINE, rows(("a", 0), ("b", 0)))
    lake.read(CORE_QUARANTINE.name)
    look, others = reading._files_since, [rows(("a", 0, "new"))]

    def overtaken(*arguments):
        if others:
            lake.replace_rows(CORE_QUARANTINE, others.pop(), {"log_id": ["a"]})
        return look(*arguments)

    monkeypatch.setattr(reading, "_files_since", overtaken)
    since = datetime.now(UTC) - timedelta(hours=1)
    found = lake.groups_with(CORE_QUARANTINE.name, "log_id", ["a", "b"], ["log_id"], since=since)

    assert [table["log_id"].to_pylist() for table in found] == [["a", "b"]]


@pytest.mark.usefixtures("retries_without_waits")
def test_the_second_of_two_that_make_a_table_adds_to_it(lake, monkeypatch):
    make, others = tables.create_table_with_add_actions, [Lake(lake.url)]

    def overtaken(*arguments, **options):
        if others:
            others.pop().append(CORE_QUARANTINE, rows(("first", 0)))
        make(*arguments, **options)

    monkeypatch.setattr(tables, "create_table_with_add_actions", overtaken)
    lake.append(CORE_QUARANTINE, rows(("second", 0)))

    assert stored(lake) == [("first", 0, ""), ("second", 0, "")]
    assert len(files(lake)) == 2


def test_an_interrupt_right_after_a_commit_takes_no_committed_file(lake, monkeypatch):
    lake.append(CORE_QUARANTINE, rows(("a", 0)))

    def interrupted(table):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DeltaTable, "update_incremental", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lake.append(CORE_QUARANTINE, rows(("b", 0)))

    assert stored(lake) == [("a", 0, ""), ("b", 0, "")]


@pytest.mark.parametrize("part", [1, 2])
def test_a_write_that_fails_in_the_middle_leaves_no_file(lake, monkeypatch, part):
    write, written = pq.ParquetWriter.write_table, []

    def until_full(writer, *arguments):
        written.append(arguments)
        if len(written) == part:
            raise OSError("No space left on device")
        write(writer, *arguments)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", until_full)
    with pytest.raises(OSError, match="No space left"):
        lake.append(CORE_QUARANTINE, rows(("a", 0), ("b", 1)))

    assert (files(lake), lake.version(CORE_QUARANTINE.name)) == ([], None)


@pytest.mark.usefixtures("retries_without_waits")
def test_a_commit_that_is_always_lost_gives_up_and_says_what_is_left(lake, monkeypatch, capsys):
    lake.append(CORE_QUARANTINE, rows(("a", 0)))
    lost = []

    def lose(*arguments, **options):
        lost.append(arguments)
        raise CommitFailedError("another writer was first")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", lose)

    with pytest.raises(
        LakeBusy, match=r"core_quarantine: eight attempts.*Nothing of this commit was written"
    ):
        lake.append(CORE_QUARANTINE, rows(("b", 0)))

    assert len(lost) == 8
    assert capsys.readouterr().out == ""
    assert stored(lake) == [("a", 0, "")]
    assert len(files(lake)) == 1


def test_a_column_that_a_contract_gains_is_null_in_older_rows(lake, monkeypatch):
    lake.append(CORE_QUARANTINE, rows(("a", 0), ("b", 0)))
    more = replace(CORE_QUARANTINE, columns=(*CORE_QUARANTINE.columns, Column("more", pa.string(), "new")))
    monkeypatch.setitem(reading.CONTRACTS, more.name, more)

    lake.append(more, more.conform(rows(("c", 0))).set_column(len(more.names) - 1, "more", pa.array(["x"])))
    lake.replace_rows(more, more.conform(rows(("a", 0))), {"log_id": ["a"]})

    found = lake.read(more.name)
    assert dict(zip(found["log_id"].to_pylist(), found["more"].to_pylist(), strict=True)) == {
        "a": None, "b": None, "c": "x",
    }  # fmt: skip


def test_a_column_that_a_contract_gained_is_null_before_anybody_wrote_it(lake, monkeypatch):
    lake.append(CORE_QUARANTINE, rows(("a", 0), ("b", 1)))
    column = Column("more", pa.int32(), "new", nullable=False)
    more = replace(CORE_QUARANTINE, columns=(*CORE_QUARANTINE.columns, column))
    monkeypatch.setitem(reading.CONTRACTS, more.name, more)

    assert lake.read(more.name, columns=["more", "log_id"]).to_pylist() == [
        {"more": None, "log_id": "a"}, {"more": None, "log_id": "b"},
    ]  # fmt: skip
    assert lake.read(more.name, where=pc.is_null(pc.field("more"))).num_rows == 2
    assert lake.head(more.name, ["more"], rows=1)["more"].to_pylist() == [None]
    [group] = lake.groups_with(more.name, "log_id", ["b"], ["more"])
    assert group["more"].to_pylist() == [None]

    newer = more.conform(rows(("c", 0))).drop_columns("more")
    lake.append(more, newer.append_column(more.schema.field("more"), pa.array([7], pa.int32())))
    assert lake.join_files(more.name, at_least=2) == 2
    found = lake.read(more.name, columns=["log_id", "more"]).to_pylist()
    assert {row["log_id"]: row["more"] for row in found} == {"a": None, "b": None, "c": 7}


@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize(
    "columns",
    [None, [], ["detail", "log_id"], ["fight_date"], ["more", "fight_date", "log_id"], ["more"]],
)
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (None, 6),
        (pc.field("fight_date") == DAYS[1], 3),
        (pc.field("log_id").isin(["a", "e"]), 2),
        (pc.field("more") == 7, 1),
        ((pc.field("fight_date") == DAYS[0]) & (pc.field("detail") != ""), 1),
        (pc.field("scope") == "row", 0),
    ],
)
@pytest.mark.parametrize("days", [None, DAYS[:2]])
def test_reading_gives_what_the_dataset_gives(lake, monkeypatch, columns, where, expected, days, nullable):
    monkeypatch.setattr(files_of_tables, "_GROUPS_AT_ONCE", 1)
    monkeypatch.setitem(vars(CORE_QUARANTINE), "storage", replace(CORE_QUARANTINE.storage, row_group_rows=1))
    lake.append(CORE_QUARANTINE, rows(("a", 0), ("b", 1), ("c", 1, "한국어"), ("d", 0, "x")))
    column = Column("more", pa.int32(), "new", nullable=nullable)
    more = replace(CORE_QUARANTINE, columns=(*CORE_QUARANTINE.columns, column))
    monkeypatch.setitem(reading.CONTRACTS, more.name, more)
    for row, value in ((("e", 1), 7), (("f", 0), None if nullable else 8)):
        newer = more.conform(rows(row)).drop_columns("more")
        lake.append(more, newer.append_column(more.schema.field("more"), pa.array([value], pa.int32())))

    found = lake.read(more.name, columns=columns, where=where, days=days)

    dataset = lake.dataset(more.name, days=days)
    assert found.equals(dataset.to_table(columns=columns, filter=where))
    assert found.num_rows == expected


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_reads_the_same_frame(lake, monkeypatch, engine):
    columns = ["log_id", "quarantined_at", "detail"]
    empty = to_arrow(lake.frame(CORE_QUARANTINE.name, columns, engine))
    lake.append(CORE_QUARANTINE, rows(("a", 0), ("b", 1, "한국어")))
    more = replace(CORE_QUARANTINE, columns=(*CORE_QUARANTINE.columns, Column("more", pa.int32(), "new")))
    monkeypatch.setitem(reading.CONTRACTS, more.name, more)
    lake.append(more, more.conform(rows(("c", 0))))
    lake.replace_rows(more, more.empty(), {"log_id": ["a"]})

    found = plain(to_arrow(lake.frame(more.name, [*columns, "more"], engine)))

    assert (empty.num_rows, empty.column_names) == (0, columns)
    read = lake.read(more.name, columns=[*columns, "more"])
    assert found.sort_by("log_id").to_pylist() == read.sort_by("log_id").to_pylist()
    assert found.schema.types == read.schema.types
    # The partition's column is in no file.
    days = to_arrow(lake.frame(more.name, ["log_id", "fight_date"], engine))
    assert dict(zip(*(days[c].to_pylist() for c in days.column_names), strict=True)) == {
        "b": DAYS[1], "c": DAYS[0],
    }  # fmt: skip


def test_a_table_stays_open_until_the_next_commit(lake, tmp_path):
    lake.append(CORE_QUARANTINE, rows(("a", 0)))
    first, other = lake.open(CORE_QUARANTINE.name), Lake(lake.url)
    assert lake.open(CORE_QUARANTINE.name) is first

    other.append(CORE_QUARANTINE, rows(("b", 0)))
    assert stored(lake) == [("a", 0, ""), ("b", 0, "")]

    # A table that was deleted and created again has the same version, and another commit.
    shutil.rmtree(lake.table_url(CORE_QUARANTINE.name))
    assert lake.open(CORE_QUARANTINE.name) is None
    for log in "cd":
        other.append(CORE_QUARANTINE, rows((log, 0)))
    assert stored(lake) == [("c", 0, ""), ("d", 0, "")]


def test_a_reader_takes_over_what_the_writer_left(lake, monkeypatch):
    for log in "ab":
        lake.append(CORE_QUARANTINE, rows((log, 0)))
    opened = []
    open_table = Lake._opened
    monkeypatch.setattr(
        Lake, "_opened", lambda *requested: opened.append(requested) or open_table(*requested)
    )

    assert stored(lake) == [("a", 0, ""), ("b", 0, "")]
    assert opened == []
    before = lake.open(CORE_QUARANTINE.name)
    lake.append(CORE_QUARANTINE, rows(("c", 0)))

    assert len(opened) == 1
    assert before.version() == 1
    assert stored(lake)[2:] == [("c", 0, "")]
    assert len(opened) == 1


def test_a_lake_behind_a_url_holds_the_same(tmp_path):
    lake = Lake(f"file://{tmp_path}/lake")
    lake.append(CORE_QUARANTINE, rows(("a", 0), ("b", 0), ("c", 1)))
    lake.replace_rows(CORE_QUARANTINE, rows(("a", 0, "new")), {"log_id": ["a"]})
    lake.replace_days(CORE_QUARANTINE, rows(), [DAYS[1]])

    assert stored(lake) == [("a", 0, "new"), ("b", 0, "")]


@pytest.mark.parametrize("source", ["a b/../c", "..", "수집기 100%", "a=b&c?#'\""])
def test_a_source_of_any_name_is_a_partition(lake, source):
    table = raw_rows("log").set_column(1, "source", pa.array([source]))
    lake.append(RAW_BATTLE_LOGS, table.select(RAW_BATTLE_LOGS.names))

    found = lake.read(RAW_BATTLE_LOGS.name, where=pc.field("source") == source)

    assert found["payload"].to_pylist() == [b"log"]
    # Joined files lie in folders whose names are percent-encoded.
    lake.append(RAW_BATTLE_LOGS, raw_rows("other").set_column(1, "source", pa.array([source])))
    assert lake.join_files(RAW_BATTLE_LOGS.name, at_least=2) == 2
    lake.replace_rows(RAW_BATTLE_LOGS, RAW_BATTLE_LOGS.empty(), {"source": [source], "log_id": ["log"]})
    assert lake.read(RAW_BATTLE_LOGS.name)["log_id"].to_pylist() == ["other"]
    lake.replace_rows(RAW_BATTLE_LOGS, RAW_BATTLE_LOGS.empty(), {"source": [source]})
    assert lake.count(RAW_BATTLE_LOGS.name) == 0


def test_rows_of_a_table_without_partitions_are_replaced(lake):
    notices = [
        {
            "notice_id": at, "news_list": "notices", "content_sha256": at, "body": b"{}",
            "fetched_at": NOW, "fetch_run_id": "r",
        }
        for at in "ab"
    ]  # fmt: skip
    lake.append(RAW_GAME_NOTICES, RAW_GAME_NOTICES.conform(pa.Table.from_pylist(notices)))

    lake.replace_rows(RAW_GAME_NOTICES, RAW_GAME_NOTICES.empty(), {"notice_id": ["a"]})

    assert lake.read(RAW_GAME_NOTICES.name)["notice_id"].to_pylist() == ["b"]


def test_hits_keep_their_order_within_a_day_whatever_the_order_of_the_days(lake):
    hits = pa.table(
        {
            "encounter_id": pa.array(["e", "e", "f", "f", "g"]).dictionary_encode(),
            "fight_date": [DAYS[1], DAYS[1], DAYS[0], DAYS[0], DAYS[1]],
            "player_name": pa.array(["p"] * 5).dictionary_encode(),
            "skill_id": pa.array(range(5)),
            "hit_at_ms": pa.array([9, 1, 7, 3, 5], pa.int32()),
            "damage": pa.array(range(5)),
            **dict.fromkeys(("is_crit", "is_back_attack", "is_front_attack"), pa.array([True] * 5)),
        }
    ).select(CORE_HITS.names)
    lake.append(CORE_HITS, hits)

    by_day = [lake.read(CORE_HITS.name, days=[day])["hit_at_ms"].to_pylist() for day in DAYS]
    assert by_day == [[7, 3], [9, 1, 5], []]
    assert lake.read(CORE_HITS.name).schema.field("encounter_id").type == pa.string()


def test_a_second_writer_waits_for_the_lock(lake):
    order = []
    inside = threading.Event()

    def second():
        inside.wait(5)
        with lake.lock("core"):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with lake.lock("core"):
        inside.set()
        thread.join(0.3)
        order.append("first")
    thread.join(5)

    assert order == ["first", "second"]


def test_joining_files_keeps_rows_older_snapshots_and_what_was_written_since(lake):
    name = RAW_BATTLE_LOGS.name
    for n in range(6):
        lake.append(RAW_BATTLE_LOGS, raw_rows(f"log{n}"))
    before = lake.read(name).sort_by("log_id")
    version, since = lake.version(name), datetime.now(UTC)

    assert lake.join_files(name) == 0
    assert lake.version(name) == version
    assert lake.join_files(name, at_least=6) == 6

    assert len(lake.open(name).file_uris()) == 1
    assert lake.read(name).sort_by("log_id").equals(before)
    assert lake.read(name, version=version).num_rows == 6
    lake.append(RAW_BATTLE_LOGS, raw_rows("late"))
    found = lake.groups_with(name, "log_id", ["late", "log3"], ["log_id", "payload"], since=since)
    assert sorted(row for rows in found for row in rows["log_id"].to_pylist()) == ["late", "log3"]
    assert lake.join_files("raw_armory_profiles", at_least=0) == 0


@pytest.mark.parametrize(("payload_bytes", "expected"), [(100, [64, 16]), (1 << 20, [7] * 11 + [3])])
def test_row_groups_of_raw_logs_have_few_rows_and_few_bytes(lake, payload_bytes, expected):
    lake.append(RAW_BATTLE_LOGS, raw_rows(*map(str, range(80)), payload=b"x" * payload_bytes))

    [path] = (Path(lake.table_url(RAW_BATTLE_LOGS.name), p) for p in lake.dataset(RAW_BATTLE_LOGS.name).files)
    written = pq.ParquetFile(path).metadata
    assert [written.row_group(n).num_rows for n in range(written.num_row_groups)] == expected


@pytest.mark.parametrize(
    ("payload", "expected"), [(b"{}" * 9_000, "LZ4"), (os.urandom(9_000), "UNCOMPRESSED"), (b"{}", "LZ4")]
)
def test_payloads_that_are_packed_already_are_not_packed_again(lake, payload, expected):
    lake.append(RAW_BATTLE_LOGS, raw_rows("a", payload=payload))

    [path] = (Path(lake.table_url(RAW_BATTLE_LOGS.name), p) for p in lake.dataset(RAW_BATTLE_LOGS.name).files)
    group = pq.ParquetFile(path).metadata.row_group(0)
    packed = {group.column(n).path_in_schema: group.column(n).compression for n in range(group.num_columns)}
    assert packed["payload"] == expected
    assert packed["log_id"] == "LZ4"
    assert lake.read(RAW_BATTLE_LOGS.name)["payload"].to_pylist() == [payload]


def test_one_packed_payload_leaves_the_others_packed_by_the_file(lake):
    first, *others = (raw_rows(log, payload=b"{}" * 9_000) for log in "abcd")
    lake.append(RAW_BATTLE_LOGS, pa.concat_tables([raw_rows("x", payload=os.urandom(5_000)), first, *others]))

    [path] = (Path(lake.table_url(RAW_BATTLE_LOGS.name), p) for p in lake.dataset(RAW_BATTLE_LOGS.name).files)
    assert path.stat().st_size < 20_000


@pytest.mark.parametrize("content", [os.urandom(1 << 16), bytes(1 << 16)], ids=["packed", "empty"])
def test_joined_files_have_small_row_groups_too(lake, content):
    for log in "abc":
        lake.append(RAW_BATTLE_LOGS, raw_rows(log, payload=content * 80))
    lake.join_files(RAW_BATTLE_LOGS.name, at_least=3)

    [path] = (Path(lake.table_url(RAW_BATTLE_LOGS.name), p) for p in lake.dataset(RAW_BATTLE_LOGS.name).files)
    assert pq.ParquetFile(path).metadata.num_row_groups == 3


def raw_rows(*logs, payload=None):
    entries = [
        {
            "log_id": log, "source": "s", "source_log_id": log, "content_sha256": log,
            "log_format": "upload_json", "fight_date": DAYS[0],
            "payload_bytes": len(payload or log), "payload": payload or log.encode(),
            "fetched_at": NOW, "fetch_run_id": "r",
        }
        for log in logs
    ]  # fmt: skip
    return RAW_BATTLE_LOGS.conform(pa.Table.from_pylist(entries))


def test_no_file_of_a_forgotten_version_is_left_but_what_is_being_written(lake, monkeypatch):
    lake.append(CORE_QUARANTINE, rows(("a", 0), ("b", 0)))
    with monkeypatch.context() as patch:
        patch.setattr(tables.time, "time", lambda now=time.time: now() - 8 * 86_400)
        lake.replace_rows(CORE_QUARANTINE, rows(), {"log_id": ["a"]})
    # A checkpoint lists no file that was removed more than a week ago.
    lake.open(CORE_QUARANTINE.name).create_checkpoint()
    [kept] = [path for path in files(lake) if path.name in lake.open(CORE_QUARANTINE.name).file_uris()[0]]
    killed, written = kept.with_name("killed.parquet"), kept.with_name("written.parquet")
    killed.write_bytes(b"")
    for path in files(lake):
        os.utime(path, (0, 0))
    written.write_bytes(b"")

    assert Lake(lake.url).forget_versions(CORE_QUARANTINE.name) == 2

    assert sorted(files(lake)) == sorted([kept, written])
    assert stored(lake) == [("b", 0, "")]


def committed_weekly(lake, contract, rows, weeks):
    """A commit a week, the newest of this week."""
    log = Path(lake.table_url(contract.name)) / "_delta_log"
    for week in range(weeks):
        for file in log.iterdir() if log.exists() else ():
            written = file.stat().st_mtime - 7 * 86_400
            os.utime(file, (written, written))
        lake.replace_all(contract, rows, metadata={"week": str(week)})


@pytest.mark.parametrize("made_by_older_code", [False, True])
def test_no_version_of_a_training_set_is_ever_lost(lake, monkeypatch, made_by_older_code):
    if made_by_older_code:
        with monkeypatch.context() as patch:
            patch.setitem(vars(ML_TRAINING_SET), "keeps_every_version", False)
            lake.replace_all(ML_TRAINING_SET, ML_TRAINING_SET.empty())
    committed_weekly(lake, ML_TRAINING_SET, ML_TRAINING_SET.empty(), 25)

    fresh, newest = Lake(lake.url), lake.version(ML_TRAINING_SET.name)
    assert newest >= 24
    assert fresh.read(ML_TRAINING_SET.name, version=1).column_names == ML_TRAINING_SET.names
    assert fresh.commit_metadata(ML_TRAINING_SET.name, newest - 20) == {"week": "4"}


def test_a_version_that_the_log_has_no_longer_is_no_empty_table(lake):
    committed_weekly(lake, CORE_QUARANTINE, rows(("a", 0)), 25)

    assert stored(Lake(lake.url), version=23) == [("a", 0, "")]
    for version in (2, 99):
        with pytest.raises(NotFound, match=f"core_quarantine: expected version {version}"):
            Lake(lake.url).read(CORE_QUARANTINE.name, version=version)
    with pytest.raises(NotFound, match="core_hits: expected version 0"):
        lake.read(CORE_HITS.name, version=0)


def test_a_store_that_does_not_answer_is_no_missing_version(lake, monkeypatch):
    lake.append(CORE_QUARANTINE, rows(("a", 0)))

    def no_answer(*arguments, **options):
        raise DeltaError("no answer")

    monkeypatch.setattr(reading, "DeltaTable", no_answer)
    with pytest.raises(DeltaError, match="no answer"):
        Lake(lake.url).read(CORE_QUARANTINE.name, version=0)


def test_metadata_stays_with_the_version_that_it_was_committed_with(lake):
    for version in (1, 2):
        lake.replace_all(ML_CHAMPION_HISTORY, ML_CHAMPION_HISTORY.empty(), metadata={"source": str(version)})
    lake.replace_all(ML_CHAMPION_HISTORY, ML_CHAMPION_HISTORY.empty())

    assert [lake.commit_metadata("ml_champion_history", at) for at in range(4)] == [
        {"source": "1"},
        {"source": "2"},
        {},
        {},
    ]
