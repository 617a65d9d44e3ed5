"""The state of alerts survives a crash, a broken file and concurrent writers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lostark_assets.errors import NotFound, SettingsError, TransientError
from lostark_assets.ledger import BacklogSample, open_ledger
from lostark_assets.settings import get_settings
from lostark_platform.alerts.deliver import Outbox, Outgoing, Pause
from lostark_platform.alerts.detect import Detected
from lostark_platform.alerts.evaluate import conclude, wake
from lostark_platform.alerts.messages import Text
from lostark_platform.alerts.observations import FailedUnit, StepTime
from lostark_platform.alerts.problems import Problem
from lostark_platform.alerts.reconcile import Open, State
from lostark_platform.alerts.store import Memory, load, locked, memory_path, save
from lostark_platform.cli.alerts import mute, parse_duration, read_alerts, show_alerts

NOW = datetime(2026, 10, 30, 20, tzinfo=UTC)
PROBLEM = Problem("source_failing", "demo", "down", NOW, "a network failure")


def full_memory() -> Memory:
    text = Text("title", is_over=False, at=NOW, facts=(("What", "한국"),))
    return Memory(
        State({PROBLEM.key: Open(PROBLEM, NOW, None)}, {"slow_step": NOW}, {"a": (NOW,)}),
        Outbox((Outgoing(text, ("slack",)),), {"slack": Pause(2, NOW, "down")}),
        (FailedUnit("fight_days", "2026-10-01", "2026-10-02", NOW, NOW, NOW, "r1", None, "boom", 2),),
        (StepTime("core_tables", 1.5, 3.0, NOW, "r1"),),
        NOW,
        ("r1",),
        NOW,
        NOW,
    )


def test_the_whole_state_is_persisted(tmp_path):
    path = tmp_path / "state/alerts.json"
    assert load(path) == Memory()

    save(path, full_memory())
    assert load(path) == full_memory()
    assert [p.name for p in path.parent.iterdir()] == ["alerts.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"state": 3}'])
def test_a_broken_state_file_is_renamed(tmp_path, content):
    path = tmp_path / "alerts.json"
    path.write_bytes(content)

    assert load(path) == Memory()
    assert (tmp_path / "alerts.broken").read_bytes() == content


def test_a_second_writer_waits_for_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr("lostark_platform.alerts.store._LOCK_TIMEOUT_S", 0.05)
    with (
        locked(tmp_path / "alerts.json"),
        pytest.raises(TransientError, match="Nothing was"),
        locked(tmp_path / "alerts.json"),
    ):
        pass


def test_messages_are_saved_before_they_are_sent(tmp_path):
    path = tmp_path / "alerts.json"

    class Killed(BaseException):
        pass

    class Fatal:
        name = "slack"

        def send(self, text):
            raise Killed

    with pytest.raises(Killed):
        conclude(path, Memory(), Detected([PROBLEM]), [Fatal()], NOW)
    memory = load(path)
    assert [message.missing for message in memory.outbox.messages] == [("slack",)]
    assert PROBLEM.key in memory.state.open


def test_online_time_restarts_after_a_gap():
    memory = wake(Memory(), NOW)
    assert memory.online_since == NOW
    memory = wake(memory, NOW + timedelta(minutes=1))
    assert memory.online_since == NOW
    assert wake(memory, NOW + timedelta(hours=1)).online_since == NOW + timedelta(hours=1)


def test_a_mute_from_the_command_line_is_in_the_state(tmp_path):
    settings = get_settings(home=tmp_path)
    save(memory_path(settings), full_memory())

    until = mute(settings, PROBLEM.key, "2h")
    assert load(memory_path(settings)).state.muted[PROBLEM.key] == until
    (listed,) = read_alerts(settings).problems
    assert listed["key"] == PROBLEM.key
    assert listed["muted_until"] == until
    assert listed["runbook"] == "docs/runbook.md#a-source-does-not-respond"
    assert read_alerts(settings).unsent == {"slack": 1}
    with pytest.raises(NotFound, match="Nothing was muted"):
        mute(settings, "nonsense", "2h")


def test_the_backlog_is_listed_with_the_alerts(tmp_path, capsys):
    settings, now = get_settings(home=tmp_path), datetime.now(UTC)
    open_ledger(settings).record_backlog(BacklogSample(now, now, 2, 0, now, 0, 0))

    show_alerts(read_alerts(settings))
    assert "backlog: catching up (waiting: 2 uploads and 0 logs" in capsys.readouterr().err
    assert read_alerts(settings).document()["backlog"]["uploads_waiting"] == 2


def test_durations():
    assert parse_duration("90min") == parse_duration("1.5h") == timedelta(minutes=90)
    assert parse_duration("1d") == timedelta(days=1)
    for text in ("", "2", "h", "0h", "-1h", "1000d", "2 weeks"):
        with pytest.raises(SettingsError, match="Nothing was muted"):
            parse_duration(text)
