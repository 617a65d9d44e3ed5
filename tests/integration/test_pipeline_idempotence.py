"""The lake's content does not depend on repetition, order or interruption of collecting and cleaning."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.compute as pc
import pytest

from lostark_assets.core import clean, pipeline
from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.pipeline import clean_days
from lostark_assets.lake import files as files_of_tables
from lostark_assets.lake.tables import Lake
from lostark_assets.sources import loa_logs_db
from lostark_assets.sources.collect import collect
from lostark_assets.sources.loa_logs_db import LoaLogsDb
from lostark_assets.sources.upload_json import UploadJson
from lostark_assets.stats import pipeline as stats_pipeline
from lostark_assets.stats.pipeline import compute_days, due_stats_days
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights
from lostark_simulator.truth import read_truth

SEASON = SeasonConfig(encounters=14, seed=21, hits_per_player=6, duplicate_share=0.5, days=3)
CORE = ("core_encounters", "core_players", "core_skills", "core_hits", "core_quarantine")
PASSING = {"fetched_at", "cleaned_at", "quarantined_at", "computed_at"}
EARLIEST = date(2022, 1, 1)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    path = tmp_path_factory.mktemp("template") / "encounters.db"
    write_encounters_db(path, generate_fights(SEASON))
    return path


@pytest.fixture(scope="module")
def plain(template):
    """Ids of logs that are kept, each the only one of its fight."""
    logs = read_truth(template).encounters
    alone = logs[~logs["fight_number"].duplicated(keep=False) & (logs["expected_outcome"] == "kept")]
    return alone["encounter_id"].tolist()


@pytest.fixture
def db(template, tmp_path):
    return shutil.copy(template, tmp_path / "encounters.db")


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


class Slice(LoaLogsDb):
    """A database of which only some encounters are there yet."""

    def __init__(self, path, keep):
        super().__init__(path)
        self._keep = keep

    def list_logs(self):
        return (one for one in super().list_logs() if self._keep(int(one.source_log_id)))


def take(lake, source, **options):
    return collect(source, lake, run_id="r", earliest=EARLIEST, **options)


def tidy(lake, days=None, **options):
    return clean_days(lake, days, options.pop("rules", Rules()), run_id="r", **options)


def contents(lake, tables=CORE):
    """A hash of the rows of each table, without what tells one run from another."""
    found = {}
    for name in tables:
        table = lake.read(name)
        keep = [c for c in table.column_names if c not in PASSING and not c.endswith("run_id")]
        rows = sorted(map(repr, table.select(keep).to_pylist()))
        found[name] = (len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest())
    return found


@pytest.fixture(scope="module")
def expected(template, tmp_path_factory):
    lake = Lake(str(tmp_path_factory.mktemp("expected") / "lake"))
    take(lake, LoaLogsDb(template))
    tidy(lake)
    return contents(lake)


def list_files(lake, name):
    """The data files of a table's newest version, by day."""
    files = {}
    for path in lake.open(name).file_uris():
        day = next(
            part.removeprefix("fight_date=") for part in Path(path).parts if part.startswith("fight_date=")
        )
        files.setdefault(date.fromisoformat(day), set()).add(path)
    return files


def versions(lake):
    return {name: lake.version(name) for name in (*CORE, "raw_battle_logs")}


def test_taking_in_twice_changes_nothing(db, lake, expected):
    first = take(lake, LoaLogsDb(db))
    tidy(lake)
    before = versions(lake)

    second = take(lake, LoaLogsDb(db))
    again = tidy(lake)

    assert (first.new, second.found, second.new, second.known) == (first.found, first.found, 0, first.found)
    assert (again.due, versions(lake)) == (0, before)
    assert contents(lake) == expected


@pytest.mark.parametrize("first", ["odd", "even", "late"])
def test_halves_in_either_order_end_up_as_the_whole(db, lake, expected, first):
    keep = {"odd": lambda key: key % 2, "even": lambda key: not key % 2, "late": lambda key: key > 9}[first]
    take(lake, Slice(db, keep), batch_bytes=150_000)
    tidy(lake, batch_bytes=200_000)

    take(lake, LoaLogsDb(db))
    tidy(lake)

    assert contents(lake) == expected


class Killed(Exception):
    """Stands in for a process that dies."""


def die_after(monkeypatch, commits):
    """Let the process die after N commits, whatever they are."""
    left = [commits]
    write = Lake._write

    def counted(self, contract, *arguments):
        if left[0] == 0:
            raise Killed(contract.name)
        left[0] -= 1
        write(self, contract, *arguments)

    monkeypatch.setattr(Lake, "_write", counted)
    return lambda: monkeypatch.setattr(Lake, "_write", write)


@pytest.mark.parametrize("commits", [0, 1, 2, 3, 4, 5, 6, 7, 10, 12])
def test_a_crash_after_any_commit_is_healed_by_the_next_run(db, lake, expected, monkeypatch, commits):
    revive = die_after(monkeypatch, commits)

    def run():
        take(lake, LoaLogsDb(db), batch_bytes=450_000)
        tidy(lake, batch_bytes=450_000)

    with pytest.raises(Killed):
        run()
    revive()
    run()

    assert contents(lake) == expected
    assert tidy(lake).due == 0


@pytest.mark.parametrize("commits", [1, 3, 4, 5])
def test_a_crash_while_cleaning_again_is_healed_too(db, lake, expected, monkeypatch, commits):
    take(lake, LoaLogsDb(db))
    tidy(lake)
    monkeypatch.setattr(pipeline, "CLEAN_VERSION", "next")
    monkeypatch.setattr(clean, "CLEAN_VERSION", "next")
    revive = die_after(monkeypatch, commits)
    with pytest.raises(Killed):
        tidy(lake, batch_bytes=450_000)
    revive()

    tidy(lake, batch_bytes=450_000)

    assert {name: count for name, (count, _) in contents(lake).items()} == {
        name: count for name, (count, _) in expected.items()
    }
    assert set(lake.read("core_encounters", columns=["clean_version"])["clean_version"].to_pylist()) == {
        "next"
    }


@pytest.mark.parametrize("commits", [1, 2, 3, 4])
def test_a_crash_while_logs_are_refused_again_leaves_none_in_two_places(
    db, lake, expected, monkeypatch, commits
):
    take(lake, LoaLogsDb(db))
    tidy(lake)
    strict = Rules(max_fight_s=200)
    monkeypatch.setattr(pipeline, "CLEAN_VERSION", "next")
    monkeypatch.setattr(clean, "CLEAN_VERSION", "next")
    revive = die_after(monkeypatch, commits)
    with pytest.raises(Killed):
        tidy(lake, rules=strict)
    revive()

    tidy(lake, rules=strict)

    rows = {name: lake.read(name).to_pylist() for name in CORE}
    kept = {row["log_id"] for row in rows["core_encounters"]}
    refused = {row["log_id"] for row in rows["core_quarantine"] if row["scope"] == "log"}
    assert len(kept) + len(refused) == lake.count("raw_battle_logs")
    assert not kept & refused
    assert 0 < len(kept) < expected["core_encounters"][0]
    for name in ("core_players", "core_skills", "core_hits"):
        assert {row["encounter_id"] for row in rows[name]} <= {
            row["encounter_id"] for row in rows["core_encounters"]
        }
    assert tidy(lake, rules=strict).due == 0


@pytest.mark.parametrize("commits", range(1, 7))
@pytest.mark.parametrize("first_s", [7200, 200], ids=["refused now", "released now"])
def test_a_crash_while_logs_are_cleaned_again_by_hand_is_healed(db, lake, monkeypatch, first_s, commits):
    """With other limits and the same version of the cleaning, as after a fix of the settings."""
    first, then = Rules(max_fight_s=first_s), Rules(max_fight_s=7400 - first_s)
    take(lake, LoaLogsDb(db))
    tidy(lake)
    whole = rows_by_encounter(lake)
    tidy(lake, rules=first, force=True)
    revive = die_after(monkeypatch, commits)
    with pytest.raises(Killed):
        tidy(lake, rules=then, force=True)
    revive()

    tidy(lake, rules=then)

    found, refused = rows_by_encounter(lake), refused_logs(lake)
    kept = [row["log_id"] for row in lake.read("core_encounters").to_pylist()]
    assert sorted([*kept, *refused]) == sorted(lake.read("raw_battle_logs")["log_id"].to_pylist())
    assert found == {key: counts for key, counts in whole.items() if key in found}
    assert len(found) == len(kept)
    assert tidy(lake, rules=then).due == 0


def rows_by_encounter(lake):
    """How many rows of each core table an encounter has."""
    counts = Counter(
        (row["encounter_id"], name)
        for name in CORE[:-1]
        for row in lake.read(name, columns=["encounter_id"]).to_pylist()
    )
    found = {}
    for (encounter_id, name), count in counts.items():
        found.setdefault(encounter_id, {})[name] = count
    return found


def refused_logs(lake):
    return [row["log_id"] for row in lake.read("core_quarantine").to_pylist() if row["scope"] == "log"]


def test_a_crash_is_healed_where_the_clock_was_put_back(db, lake, expected, monkeypatch):
    take(lake, LoaLogsDb(db))
    now = time.time
    monkeypatch.setattr(files_of_tables.time, "time", lambda: now() - 3600)
    revive = die_after(monkeypatch, 3)
    with pytest.raises(Killed):
        tidy(lake)
    revive()

    tidy(lake)

    assert contents(lake) == expected


def test_hits_of_files_that_a_wrong_clock_made_older_have_their_statistics(db, lake, monkeypatch):
    take(lake, LoaLogsDb(db))
    now = time.time
    with monkeypatch.context() as patch:
        patch.setattr(files_of_tables.time, "time", lambda: now() - 3600)
        tidy(lake)

    compute_days(lake, lake.days("core_encounters"), "polars", run_id="r")

    rows = lake.read("stats_player_dps", where=pc.field("detail_level") == "hits")
    assert rows.num_rows > 0
    assert rows["peak_10s_dps"].null_count < rows.num_rows / 2


def test_statistics_of_a_log_that_was_cleaned_meanwhile_are_due_again(db, lake, monkeypatch):
    take(lake, LoaLogsDb(db))
    tidy(lake)
    days = set(lake.days("core_encounters"))
    compute_days(lake, days, "polars", run_id="r")
    monkeypatch.setattr(pipeline, "CLEAN_VERSION", "next")
    monkeypatch.setattr(clean, "CLEAN_VERSION", "next")
    commit = pipeline._commit
    due = stats_pipeline._due

    def commit_while_computing(*batch):
        """The batch is committed after the statistics read the encounters, and before they are written."""

        def due_then_commit(encounters, before):
            found = due(encounters, before)
            stats_pipeline._due = due
            commit(*batch)
            return found

        stats_pipeline._due = due_then_commit
        compute_days(Lake(lake.url), days, "polars", run_id="meanwhile")

    monkeypatch.setattr(pipeline, "_commit", commit_while_computing)
    tidy(lake)

    assert stats_pipeline._due is due
    assert set(due_stats_days(lake)) == set(lake.days("core_encounters"))
    compute_days(lake, days, "polars", run_id="r")
    assert due_stats_days(lake) == []


@pytest.mark.parametrize("batch_bytes", [300_000, 64 << 20])
def test_another_version_of_the_cleaning_replaces_every_row(db, lake, expected, monkeypatch, batch_bytes):
    take(lake, LoaLogsDb(db))
    tidy(lake)
    monkeypatch.setattr(pipeline, "CLEAN_VERSION", "next")
    monkeypatch.setattr(clean, "CLEAN_VERSION", "next")

    run = tidy(lake, batch_bytes=batch_bytes)

    assert run.due == expected["core_encounters"][0] + expected["core_quarantine"][0]
    assert {name: count for name, (count, _) in contents(lake).items()} == {
        name: count for name, (count, _) in expected.items()
    }
    assert tidy(lake).due == 0


def test_one_day_alone_touches_its_own_files_only(db, lake):
    take(lake, LoaLogsDb(db))
    tidy(lake)
    day = lake.days("core_encounters")[1]
    before = {name: list_files(lake, name) for name in CORE}

    run = tidy(lake, {day}, force=True)

    assert run.days == {day}
    for name in CORE:
        after = list_files(lake, name)
        changed = {d for d in after.keys() | before[name].keys() if after.get(d) != before[name].get(d)}
        assert changed <= {day}, name
    assert list_files(lake, "core_encounters")[day] != before["core_encounters"][day]


def test_a_late_log_touches_its_own_day_only(db, lake, expected, plain):
    take(lake, Slice(db, lambda key: key != plain[1]))
    tidy(lake)
    compute_days(lake, lake.days("core_encounters"), "polars", run_id="r")
    before = {name: list_files(lake, name) for name in (*CORE, "stats_player_dps", "stats_dps_timeline")}

    late = take(lake, LoaLogsDb(db))
    tidy(lake, late.days)
    due = due_stats_days(lake)
    statistics = compute_days(lake, due, "polars", run_id="r")

    assert (late.new, len(late.days), due, statistics.due) == (1, 1, sorted(late.days), 1)
    for name, files in before.items():
        after = list_files(lake, name)
        assert {d: after[d] for d in files if d not in late.days} == {
            d: files[d] for d in files if d not in late.days
        }, name
    assert contents(lake) == expected


def test_statistics_in_batches_equal_those_of_one_batch(db, lake, tmp_path, monkeypatch):
    names = ("stats_player_dps", "stats_dps_timeline")
    take(lake, LoaLogsDb(db))
    tidy(lake)
    shutil.copytree(lake.url, tmp_path / "other")
    other = Lake(str(tmp_path / "other"))
    days = lake.days("core_encounters")
    whole = compute_days(lake, days, "polars", run_id="r")

    monkeypatch.setattr(stats_pipeline, "PLAYERS_PER_BATCH", 1)
    parts = compute_days(other, days, "polars", run_id="r")

    assert len(days) > 1
    assert other.version("stats_player_dps") == len(days) - 1
    assert (parts.rows, parts.seconds, parts.due) == (whole.rows, whole.seconds, whole.due)
    assert contents(other, names) == contents(lake, names)


def test_fights_resolved_day_by_day_equal_those_of_one_batch(db, lake, expected, monkeypatch):
    monkeypatch.setattr(pipeline, "ENCOUNTERS_PER_BATCH", 1)
    take(lake, LoaLogsDb(db))
    run = tidy(lake, batch_bytes=1)

    assert len(lake.days("core_encounters")) > 1
    assert run.changed_fights > 1
    assert contents(lake) == expected


def test_fights_whose_logs_arrive_together_are_resolved_by_their_own_commit(db, lake, expected):
    take(lake, LoaLogsDb(db))
    run = tidy(lake)

    assert (run.changed_fights, lake.version("core_encounters")) == (0, 0)
    assert contents(lake) == expected
    shared = lake.read("core_encounters", columns=["is_counted"])["is_counted"].to_pylist()
    assert False in shared


def test_logs_go_in_by_the_time_of_their_fights(db, lake):
    listed = list(LoaLogsDb(db).list_logs())
    take(lake, LoaLogsDb(db))

    starts = dict(zip((one.source_log_id for one in listed), (one.started_ms for one in listed), strict=True))
    stored = lake.read("raw_battle_logs", columns=["source_log_id"])["source_log_id"].to_pylist()
    assert [starts[one] for one in stored] == sorted(starts.values())
    assert [one.started_ms for one in listed] != sorted(starts.values())


def test_logs_come_out_of_quarantine_once_when_a_limit_is_raised(db, lake, expected):
    take(lake, LoaLogsDb(db))
    strict = Rules(max_fight_s=200)
    refused = tidy(lake, rules=strict).quarantined["impossible_duration"]
    table = lake.read("core_quarantine").to_pylist()
    held = {row["log_id"] for row in table if row["reason_code"] == "impossible_duration"}
    assert len(held) == refused > 5

    run = tidy(lake, only=held, force=True)
    once_more = tidy(lake, only=held, force=True)

    assert (run.due, run.encounters, once_more.encounters) == (refused, refused - 1, refused - 1)
    assert contents(lake) == expected


def test_a_limit_of_more_than_two_hours_can_be_set(db, lake):
    """The simulated one is of 72,654 s: a contract tighter than the setting would block its day."""
    take(lake, LoaLogsDb(db))

    run = tidy(lake, rules=Rules(max_fight_s=80_000))

    assert "impossible_duration" not in run.quarantined


def undated(db, start_ms):
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("UPDATE encounter_preview SET fight_start = ? WHERE id = 1", (start_ms,))
        connection.execute(
            "UPDATE encounter SET last_combat_packet = ? + (SELECT duration FROM encounter_preview p "
            "WHERE p.id = 1) WHERE id = 1",
            (start_ms,),
        )


def test_a_log_from_before_the_limit_goes_to_its_true_day_once_the_limit_is_lowered(db, lake):
    """It is kept under the day of fetching; its encounter then stands on another day than its raw row."""
    start = datetime(2021, 5, 1, 12, tzinfo=UTC)
    undated(db, int(start.timestamp() * 1000))
    take(lake, Slice(db, lambda key: key == 1))
    [day] = lake.read("raw_battle_logs", columns=["fight_date"])["fight_date"].to_pylist()
    assert tidy(lake, {day}).quarantined == {"impossible_time": 1}
    older = Rules(earliest_fight_date=date(2020, 1, 1))

    for _ in range(2):
        assert tidy(lake, {day}, rules=older, force=True).encounters == 1
    assert tidy(lake, {day}, rules=older).due == 0
    encounters = lake.read("core_encounters").to_pylist()
    assert [row["fight_date"] for row in encounters] == [start.date()]
    assert lake.count("core_quarantine") == 0
    players = lake.count("core_players")

    assert tidy(lake, {day}, force=True).quarantined == {"impossible_time": 1}

    assert players > 0
    assert [lake.count(name) for name in CORE] == [0, 0, 0, 0, 1]


def test_logs_with_an_older_fingerprint_are_known(db, lake, monkeypatch):
    lengths = {"misc", "players"}
    with monkeypatch.context() as older:
        older.setattr(loa_logs_db, "_BLOBS", loa_logs_db._BLOBS | lengths)
        older.setattr(loa_logs_db, "_ONCE_BY_LENGTH", ())
        first = take(lake, LoaLogsDb(db))
    fetched, fetch = [], LoaLogsDb.fetch
    monkeypatch.setattr(
        LoaLogsDb, "fetch", lambda self, wanted: fetched.extend(wanted) or fetch(self, fetched)
    )

    second = take(lake, LoaLogsDb(db))

    assert fetched == []
    assert (first.new, second.known, second.new) == (first.found, first.found, 0)
    assert sorted(second.log_ids) == sorted(first.log_ids)


def test_an_edited_row_is_a_new_version_and_the_newest_counts(db, lake, plain):
    take(lake, Slice(db, lambda key: key == plain[0]))
    tidy(lake)
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("UPDATE encounter_preview SET cleared = 1 - cleared WHERE id = ?", plain[:1])

    again = take(lake, Slice(db, lambda key: key == plain[0]))
    tidy(lake)

    assert again.new == 1
    rows = sorted(lake.read("core_encounters").to_pylist(), key=lambda row: row["fetched_at"])
    assert [row["is_superseded"] for row in rows] == [True, False]
    assert [row["is_counted"] for row in rows] == [False, True]
    assert len({row["fight_id"] for row in rows}) == 1


def test_a_reused_id_is_another_log_and_a_deleted_one_stays_in_raw(db, lake, plain):
    deleted, reused, other = plain[:3]
    wanted = Slice(db, lambda key: key in (deleted, reused))
    take(lake, wanted)
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.executescript("DROP TRIGGER IF EXISTS encounter_preview_ad")
        connection.executescript("DROP TRIGGER IF EXISTS encounter_preview_au")
        for table, key in (("encounter", "id"), ("encounter_preview", "id"), ("entity", "encounter_id")):
            connection.execute(f"DELETE FROM {table} WHERE {key} IN (?, ?)", (deleted, reused))
            connection.execute(f"UPDATE {table} SET {key} = ? WHERE {key} = ?", (reused, other))

    again = take(lake, wanted)
    tidy(lake)

    assert (again.found, again.new) == (1, 1)
    rows = lake.read("core_encounters").to_pylist()
    assert sorted(int(row["source_log_id"]) for row in rows) == sorted([deleted, reused, reused])
    assert {row["is_counted"] for row in rows} == {True}
    assert len({row["fight_id"] for row in rows}) == 3


def test_a_fight_across_midnight_stays_one_when_a_neighbouring_day_is_resolved(db, lake, plain):
    midnight = int(datetime(2026, 9, 3, tzinfo=UTC).timestamp() * 1000)
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER IF EXISTS encounter_preview_ad")
        connection.execute("DROP TRIGGER IF EXISTS encounter_preview_au")
        for table, key in (("encounter", "id"), ("encounter_preview", "id"), ("entity", "encounter_id")):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            chosen = ", ".join("900" if c == key else c for c in columns)
            connection.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {chosen} FROM {table} WHERE {key} = ?",
                plain[:1],
            )
        for log, start in ((plain[0], midnight - 4_000), (900, midnight + 3_000)):
            connection.execute(
                "UPDATE encounter SET misc = json_remove(misc, '$.ntpFightStart') WHERE id = ?", (log,)
            )
            connection.execute("UPDATE encounter_preview SET fight_start = ? WHERE id = ?", (start, log))
            connection.execute(
                "UPDATE encounter SET last_combat_packet = ? + (SELECT duration FROM encounter_preview p "
                "WHERE p.id = encounter.id) WHERE id = ?",
                (start, log),
            )
    take(lake, Slice(db, lambda key: key in (plain[0], 900)))
    tidy(lake)
    before = {
        row["source_log_id"]: (row["fight_id"], row["is_counted"])
        for row in lake.read("core_encounters").to_pylist()
    }

    tidy(lake, {date(2026, 9, 4)})
    tidy(lake, {date(2026, 9, 1)})

    rows = lake.read("core_encounters").to_pylist()
    assert {row["source_log_id"]: (row["fight_id"], row["is_counted"]) for row in rows} == before
    assert len({fight for fight, _ in before.values()}) == 1


def test_logs_are_cleaned_though_the_clock_was_put_back(db, lake, monkeypatch):
    """Files are chosen by the time they were written; a clock that jumps must not hide a log for ever."""
    take(lake, LoaLogsDb(db))
    monkeypatch.setattr("lostark_assets.lake.reading._files_since", lambda table, since: since and set())

    run = tidy(lake)

    assert run.encounters + sum(run.quarantined.values()) == run.due == lake.count("raw_battle_logs")


def test_statistics_of_a_log_that_left_core_leave_too(db, lake):
    take(lake, LoaLogsDb(db))
    tidy(lake)
    compute_days(lake, lake.days("core_encounters"), "polars", run_id="r")
    assert due_stats_days(lake) == []
    kept = lake.read("core_encounters", columns=["log_id", "encounter_id", "fight_date"]).to_pylist()[0]

    tidy(lake, only={kept["log_id"]}, force=True, rules=Rules(max_fight_s=1))

    assert kept["fight_date"] in due_stats_days(lake)
    compute_days(lake, due_stats_days(lake), "polars", run_id="r")
    for name in ("stats_player_dps", "stats_dps_timeline"):
        assert (
            kept["encounter_id"] not in lake.read(name, columns=["encounter_id"])["encounter_id"].to_pylist()
        )
    assert due_stats_days(lake) == []


def test_one_bad_log_never_blocks_its_batch(db, lake, expected, plain):
    """A value that breaks a contract refuses its own log: the rest of the day goes in."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("UPDATE entity SET class_id = 1 << 40 WHERE encounter_id = ?", plain[:1])
    take(lake, LoaLogsDb(db))

    run = tidy(lake)

    assert run.encounters == expected["core_encounters"][0] - 1
    rows = [r for r in lake.read("core_quarantine").to_pylist() if r["source_log_id"] == str(plain[0])]
    assert [(r["reason_code"], "class_id" in r["detail"]) for r in rows] == [("impossible_value", True)]


def test_a_crash_while_collecting_loses_at_most_the_batch_in_hand(db, lake, monkeypatch):
    revive = die_after(monkeypatch, 2)
    with pytest.raises(Killed):
        take(lake, LoaLogsDb(db), batch_bytes=300_000)
    revive()
    stored = lake.count("raw_battle_logs")

    rest = take(lake, LoaLogsDb(db), batch_bytes=300_000)

    assert 0 < stored < rest.found
    assert rest.new == rest.found - stored
    ids = lake.read("raw_battle_logs", columns=["log_id"])["log_id"].to_pylist()
    assert len(ids) == len(set(ids)) == rest.found


def test_the_payload_in_the_lake_is_the_one_that_was_fetched(db, lake):
    take(lake, LoaLogsDb(db))
    source = LoaLogsDb(db)
    fetched = {log.source_log_id: log.payload for log in source.fetch(source.list_logs())}

    rows = lake.read("raw_battle_logs").to_pylist()

    assert {row["source_log_id"]: row["payload"] for row in rows} == fetched
    assert all(hashlib.sha256(row["payload"]).hexdigest() == row["content_sha256"] for row in rows)


def test_a_broken_upload_goes_to_quarantine_and_the_rest_goes_in(tmp_path, lake):
    (tmp_path / "a.json").write_bytes(b'{"entities": {}, "fightStart": 17')
    source = UploadJson(tmp_path / "a.json", max_file_bytes=1 << 20, max_part_bytes=1 << 20)

    taken = take(lake, source)
    run = tidy(lake)

    assert (taken.new, run.quarantined) == (1, {"invalid_json": 1})
    assert take(lake, source).new == 0


def test_a_long_cleaning_lets_others_clean_in_between(db, lake, expected, monkeypatch):
    """Part by part, with the lock released: the others' logs are in, and no row is there twice."""
    monkeypatch.setattr(pipeline, "FEW_LOGS", 0)
    cleaned = []

    def clean_meanwhile(_seconds: float) -> None:
        if not cleaned:
            cleaned.append(0)  # the other run sleeps too
            take(lake, Slice(db, lambda number: number > 7))
            cleaned[0] = tidy(lake, batch_bytes=1).encounters

    take(lake, Slice(db, lambda number: number <= 7))
    monkeypatch.setattr(pipeline.time, "sleep", clean_meanwhile)
    first = tidy(lake, batch_bytes=1)

    assert cleaned[0] > 0
    assert first.due > first.encounters > 0
    assert contents(lake) == expected
