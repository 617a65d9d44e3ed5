"""The ledger keeps its rows in order, and complete with concurrent writers."""

from __future__ import annotations

import multiprocessing
import sqlite3
from datetime import UTC, datetime, timedelta, timezone

import pytest

from lostark_assets.ledger import BacklogSample, CollectionRecord, Ledger, ReportedProblem

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "state" / "operations.db")


def record(source="demo", minutes=0, **values):
    started = NOW + timedelta(minutes=minutes)
    given = {"kind": "battle_logs", "outcome": "ok", **values}
    return CollectionRecord(source, started_at=started, ended_at=started + timedelta(seconds=3), **given)


def test_a_collection_comes_back_as_it_was_written(ledger):
    written = record(
        outcome="unavailable", requests=7, failed_requests=3, found=4, new=2, known=2, error="503 for 60 s"
    )

    ledger.record_collection(written)

    assert ledger.collections(NOW) == [written]


def test_collections_are_in_order_of_time_since_a_time_and_of_one_source(ledger):
    for minutes, source in ((5, "b"), (-1, "a"), (1, "a"), (0, "a")):
        ledger.record_collection(record(source, minutes))

    assert [(r.source, r.started_at) for r in ledger.collections(NOW)] == [
        ("a", NOW), ("a", NOW + timedelta(minutes=1)), ("b", NOW + timedelta(minutes=5)),
    ]  # fmt: skip
    assert [r.started_at for r in ledger.collections(NOW, "b")] == [NOW + timedelta(minutes=5)]
    assert ledger.collections(NOW, "c") == []


def test_times_of_other_zones_and_without_fractions_are_compared_as_instants(ledger):
    korea = timezone(timedelta(hours=9))
    ledger.record_collection(record())

    assert len(ledger.collections(NOW.astimezone(korea))) == 1
    assert ledger.collections((NOW + timedelta(microseconds=1)).astimezone(korea)) == []


def test_the_last_collection_can_be_queried_by_kind_and_outcome(ledger):
    for minutes, kind, outcome in ((0, "peek", "ok"), (1, "battle_logs", "ok"), (2, "peek", "refused")):
        ledger.record_collection(record(minutes=minutes, kind=kind, outcome=outcome))

    assert ledger.last_collection("demo").outcome == "refused"
    assert ledger.last_collection("demo", kind="battle_logs").started_at == NOW + timedelta(minutes=1)
    assert ledger.last_collection("demo", kind="peek", outcome="ok").started_at == NOW
    assert ledger.last_collection("other") is None


def test_what_is_older_than_half_a_year_is_forgotten(ledger):
    ledger.record_collection(record(minutes=-60 * 24 * 200))
    ledger.record_collection(record())

    assert [r.started_at for r in ledger.collections(NOW - timedelta(days=900))] == [NOW]


@pytest.mark.parametrize("values", [{"outcome": "fine"}, {"started_at": datetime(2026, 1, 1)}])  # noqa: DTZ001
def test_a_record_that_makes_no_sense_is_not_written(ledger, values):
    from dataclasses import replace

    with pytest.raises(ValueError, match=r"expected an outcome|expected a time"):
        ledger.record_collection(replace(record(), **values))

    assert ledger.collections(NOW - timedelta(days=900)) == []


def test_cursors_are_kept_by_source(ledger):
    ledger.set_cursor("a", "1")
    ledger.set_cursor("b", "2")
    ledger.set_cursor("a", "3")
    ledger.forget_cursor("b")
    ledger.forget_cursor("never")

    assert (ledger.cursor("a"), ledger.cursor("b")) == ("3", None)


def test_notes_are_kept_replaced_and_forgotten(ledger):
    ledger.set_value("k", "v")
    ledger.set_value("k", "w")
    ledger.set_value("gone", "x")
    ledger.set_value("gone", None)

    assert (ledger.get_value("k"), ledger.get_value("gone"), ledger.get_value("never")) == ("w", None, None)


def test_another_process_sees_it_and_the_file_outlives_its_writer(ledger):
    ledger.set_cursor("a", "1")

    assert Ledger(ledger.path).cursor("a") == "1"


def write_many(path, source):
    ledger = Ledger(path)
    for minutes in range(50):
        ledger.record_collection(record(source, minutes))
        ledger.set_cursor(source, str(minutes))


def test_processes_that_write_at_once_lose_nothing(ledger):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(ledger.path, name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)

    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert [len(ledger.collections(NOW, name)) for name in "abc"] == [50, 50, 50]
    assert [ledger.cursor(name) for name in "abc"] == ["49"] * 3


def test_a_transaction_that_fails_leaves_nothing(ledger):
    with pytest.raises(sqlite3.IntegrityError):
        ledger.set_cursor("a", None)

    assert ledger.cursor("a") is None


def wrong(subject="Igniter", minutes=0, what="deals 13 % less", kind="model_drift"):
    return ReportedProblem(kind, subject, what, "a patch", NOW + timedelta(minutes=minutes))


def test_a_report_replaces_what_was_wrong_of_its_kind_and_of_no_other(ledger):
    ledger.report("model_drift", [wrong(), wrong("Reflux")])
    ledger.report("model_degraded", [wrong("error", kind="model_degraded")])
    ledger.report("model_drift", [wrong("Punisher")])

    assert [(p.kind, p.subject) for p in ledger.reported_problems()] == [
        ("model_degraded", "error"), ("model_drift", "Punisher"),
    ]  # fmt: skip

    ledger.report("model_drift", [])

    assert [p.kind for p in ledger.reported_problems()] == ["model_degraded"]


def test_a_persisting_problem_keeps_its_start_and_a_recurring_one_restarts(ledger):
    ledger.report("model_drift", [wrong()])
    ledger.report("model_drift", [wrong(minutes=60, what="deals 14 % less")])

    assert ledger.reported_problems() == [wrong(minutes=0, what="deals 14 % less")]

    ledger.report("model_drift", [])
    ledger.report("model_drift", [wrong(minutes=90)])

    assert ledger.reported_problems() == [wrong(minutes=90)]


@pytest.mark.parametrize(
    "problems",
    [
        [wrong(kind="model_degraded")],
        [wrong(), wrong()],
        [ReportedProblem("model_drift", "Igniter", "", "", NOW.replace(tzinfo=None))],
    ],
    ids=["another kind", "twice", "no zone"],
)
def test_a_report_that_makes_no_sense_changes_nothing(ledger, problems):
    ledger.report("model_drift", [wrong("Reflux")])

    with pytest.raises(ValueError, match="expected"):
        ledger.report("model_drift", problems)

    assert ledger.reported_problems() == [wrong("Reflux")]


def test_a_ledger_of_an_earlier_version_learns_to_hold_reports(ledger):
    ledger.record_collection(record())
    with sqlite3.connect(ledger.path) as connection:
        connection.execute("DROP TABLE problems")
        connection.execute("PRAGMA user_version = 1")
    connection.close()

    ledger.report("model_drift", [wrong()])

    assert ledger.reported_problems() == [wrong()]
    assert ledger.collections(NOW) == [record()]


def test_samples_of_the_backlog_come_back_in_order_and_few_are_kept(ledger):
    samples = [
        BacklogSample(NOW + timedelta(seconds=15 * n), NOW, n, 2, NOW if n else None, 3, 4, None)
        for n in range(200)
    ]
    for sample in samples:
        ledger.record_backlog(sample)

    kept = ledger.backlog_samples()
    assert kept == samples[-61:]
    assert kept[-1].at - kept[0].at == timedelta(minutes=15)


def test_the_last_samples_outlive_a_pause(ledger):
    before, after = (BacklogSample(at, NOW, 1, 1, NOW, 0, 9) for at in (NOW, NOW + timedelta(days=3)))
    ledger.record_backlog(before)
    assert ledger.backlog_samples() == [before]
    ledger.record_backlog(after)
    assert ledger.backlog_samples() == [after]
