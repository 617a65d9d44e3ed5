"""The backlog in the run log: a line when it matters, each minute while it does, and one at its end."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from lostark_assets.automation.backlog import Backlog
from lostark_assets.ledger import BacklogSample, Ledger, open_ledger
from lostark_assets.settings import get_settings
from lostark_platform.services.backlog import BacklogReport, report_backlog, reporting_backlog

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
IDLE = Backlog("up_to_date", 0, 0, None, None, 0, 0.0, 0.0, estimate_s=0.0, observed_at=NOW)


def waiting(state: str, seconds: float) -> Backlog:
    return Backlog(state, 0, 9, NOW - timedelta(seconds=seconds), seconds, 0, 5.0, 5.0, observed_at=NOW)


def report(*figures: Backlog) -> list[str]:
    """The states that got a line, of figures 15 s apart."""
    reported, lines = BacklogReport(), []
    for number, figure in enumerate(figures):
        line = reported.get_line(figure, NOW + timedelta(seconds=15 * number))
        if line is not None:
            lines.append(line.removeprefix("backlog: ").split(" (")[0].split(":")[0].split(",")[0])
    return lines


def test_nothing_is_said_before_the_first_observation_and_up_to_date_once():
    assert report(Backlog("unknown"), Backlog("unknown"), IDLE, IDLE, IDLE) == ["up to date"]


def test_logs_that_wait_for_seconds_get_no_line():
    assert report(IDLE, *[waiting("catching_up", 3), IDLE] * 20) == ["up to date"]


def test_a_backlog_is_repeated_every_minute_until_its_end():
    figures = [IDLE, *[waiting("falling_behind", 90)] * 9, *[waiting("catching_up", 90)] * 2, IDLE, IDLE]

    assert report(*figures) == ["up to date", *["falling behind"] * 3, "catching up", "up to date"]


def test_an_observation_that_stops_is_reported():
    assert report(IDLE, replace(IDLE, state="unknown"), IDLE) == ["up to date", "unknown", "up to date"]


def test_it_goes_on_although_the_ledger_can_not_be_read(tmp_path, monkeypatch):
    settings, lines = get_settings(home=tmp_path), []
    now = datetime.now(UTC)
    open_ledger(settings).record_backlog(BacklogSample(now, now, 0, 0, None, 0, 0))
    read = Ledger.backlog_samples

    def fail(ledger: Ledger) -> list[BacklogSample]:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(Ledger, "backlog_samples", fail)
    pauses = iter([False, False, True])

    def is_stopped(_: float) -> bool:
        if lines:
            monkeypatch.setattr(Ledger, "backlog_samples", read)
        return next(pauses)

    report_backlog(settings, lines.append, is_stopped)
    assert "database is locked" in lines[0]
    assert lines[1].startswith("backlog: up to date")


def test_the_report_ends_with_its_context(tmp_path):
    with reporting_backlog(get_settings(home=tmp_path), print):
        assert "backlog" in {thread.name for thread in threading.enumerate()}
    assert "backlog" not in {thread.name for thread in threading.enumerate()}
