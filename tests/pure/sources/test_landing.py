"""The landing folder: pending uploads, tickets of collected ones, and what expires."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from lostark_assets.errors import NotFound
from lostark_assets.sources.collector import Collected
from lostark_assets.sources.landing import COLLECTED, KEPT, Landed, Landing, Result, Ticket, record_result

NOW = datetime.now(UTC)


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    return Landing(tmp_path / "landing")


def accept(landing: Landing, name: str = "a.json", received_at: datetime = NOW) -> Landed:
    ticket, path = landing.begin(name)
    path.write_text("{}")
    return landing.accept(Ticket(ticket, path.name, "upload:json", "upload_json", 2, "", received_at))


def collect(landed: Landed) -> None:
    record_result(str(landed.file), Collected("upload:json", "upload_json", str(landed.file), found=1, new=1))


def test_a_collected_upload_is_pending_no_more_and_its_ticket_stays(landing: Landing) -> None:
    first, second = accept(landing), accept(landing)
    collect(first)

    assert [landed.ticket.ticket for landed in landing.waiting()] == [second.ticket.ticket]
    found = landing.find(first.ticket.ticket)
    assert found.result is not None
    assert found.result.new == 1
    assert not found.file.exists()
    assert landing.find(second.ticket.ticket).result is None


def test_pending_uploads_are_found_without_reading_collected_ones(landing: Landing, monkeypatch) -> None:
    for _ in range(3):
        collect(accept(landing))
    pending = accept(landing)
    read = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or read_bytes(path))

    assert [landed.ticket for landed in landing.waiting()] == [pending.ticket]
    assert {path.parent for path in read} == {pending.folder}


def test_an_upload_that_older_code_collected_keeps_its_ticket(landing: Landing) -> None:
    landed = accept(landing)
    (landed.folder / ".collected.json").write_bytes(msgspec.json.encode(Result(NOW, found=1, new=1)))

    assert landing.waiting() == []
    assert not landed.folder.exists()
    found = landing.find(landed.ticket.ticket)
    assert found.result == Result(NOW, found=1, new=1)
    # The collector may be between its result and the deletion.
    assert not found.file.exists()


def test_tickets_expire_and_pending_uploads_do_not(landing: Landing) -> None:
    old, young, pending = accept(landing), accept(landing), accept(landing)
    collect(old), collect(young)
    past = (NOW - KEPT - timedelta(minutes=1)).timestamp()
    for folder in (landing.folder / COLLECTED / old.ticket.ticket, pending.folder):
        os.utime(folder, (past, past))

    landing.clean_up(NOW)

    with pytest.raises(NotFound, match="expected the ticket of an upload"):
        landing.find(old.ticket.ticket)
    assert landing.find(young.ticket.ticket).result is not None
    assert [landed.ticket.ticket for landed in landing.waiting()] == [pending.ticket.ticket]


def test_an_interrupted_upload_is_removed_after_hours(landing: Landing) -> None:
    _, path = landing.begin("a.json")
    landing.clean_up(NOW)
    assert path.parent.exists()

    landing.clean_up(NOW + timedelta(hours=7))
    assert not path.parent.exists()


def test_an_upload_counts_those_that_wait_before_it(landing: Landing) -> None:
    second = accept(landing, received_at=NOW + timedelta(microseconds=1))
    first = accept(landing)

    assert (landing.count_before(first), landing.count_before(second)) == (0, 1)
    assert [one.received_at for one in landing.pending()] == [NOW, NOW + timedelta(microseconds=1)]
    assert [one.ticket for one in landing.waiting()] == [first.ticket, second.ticket]
    collect(first)
    assert landing.count_before(landing.find(first.ticket.ticket)) is None
    assert landing.count_before(second) == 0


def test_position_and_size_of_what_waits_are_known_without_reading_a_file(landing, monkeypatch) -> None:
    uploads = [accept(landing, received_at=NOW + timedelta(seconds=n)) for n in range(20)]
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))

    assert landing.count_before(uploads[-1]) == 19
    assert landing.waiting_bytes() == 40
    assert [one.bytes for one in landing.pending()] == [2] * 20


def test_an_upload_that_older_code_accepted_keeps_its_place(landing: Landing) -> None:
    older, newer = accept(landing), accept(landing, received_at=NOW + timedelta(seconds=1))
    older.folder.rename(landing.folder / f"upload_json.{older.ticket.ticket}")

    assert [one.ticket for one in landing.waiting()] == [older.ticket, newer.ticket]
    assert landing.count_before(newer) == 1
    assert landing.find(older.ticket.ticket).ticket == older.ticket
