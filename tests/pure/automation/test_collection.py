"""Polling sources: an unreadable source never counts as empty, and delays no other one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lostark_assets.automation.collection import (
    PROBE_KIND,
    SERVICE_INTERVAL_S,
    poll_sources,
)
from lostark_assets.errors import SourceBusy, SourceUnavailable
from lostark_assets.ledger import open_ledger
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.probe import Probe

NOW = datetime(2026, 11, 1, tzinfo=UTC).timestamp()


@pytest.fixture
def settings(tmp_path) -> Settings:
    return get_settings(home=tmp_path, sources=(), battle_log_urls=("a=http://a", "b=http://b"))


def prober(**responses):
    """Looks that answer what was said, and count."""
    requested = []

    def probe(origin, _settings):
        requested.append(origin.name)
        answer = responses[origin.name]
        if isinstance(answer, Exception):
            raise answer
        return Probe(origin.where, bool(answer), answer, (origin.name,) if answer else ())

    probe.requested = requested
    return probe


def test_exactly_the_sources_with_new_logs_are_due(settings):
    assert poll_sources(settings, {}, NOW, prober(a="log 7", b="")).due == {"a": "log 7"}


def test_an_unreadable_source_is_recorded_and_stops_no_other(settings):
    found = poll_sources(settings, {}, NOW, prober(a=SourceUnavailable("a is down"), b="log 1"))

    assert found.due == {"b": "log 1"}
    assert found.failures["http://a"].failures == 1
    [record] = open_ledger(settings).collections(datetime.fromtimestamp(NOW - 1, UTC))
    assert (record.source, record.kind, record.outcome, record.error) == (
        "a",
        PROBE_KIND,
        "unavailable",
        "a is down",
    )


def test_a_failing_source_is_polled_with_backoff_and_the_others_every_time(settings):
    probe, failures = prober(a=SourceUnavailable("down"), b=""), {}
    for tick in range(31):
        failures = poll_sources(settings, failures, NOW + tick * 60, probe).failures

    assert probe.requested.count("b") == 31
    assert probe.requested.count("a") == 16


def test_the_first_success_after_failures_is_recorded_once(settings):
    probe = prober(a=SourceUnavailable("down"), b="")
    failures = poll_sources(settings, {}, NOW, probe).failures
    for tick in (3, 4, 5):
        failures = poll_sources(settings, failures, NOW + tick * 60, prober(a="", b="")).failures

    outcomes = [r.outcome for r in open_ledger(settings).collections(datetime.fromtimestamp(NOW - 1, UTC))]
    assert (failures, outcomes) == ({}, ["unavailable", "ok"])


def test_a_source_that_is_no_longer_configured_is_forgotten(settings, tmp_path):
    failures = poll_sources(settings, {}, NOW, prober(a=SourceUnavailable("down"), b="")).failures
    fewer = get_settings(home=tmp_path, sources=(), battle_log_urls=("b=http://b",))

    assert poll_sources(fewer, failures, NOW, prober(b="")).failures == {}


def test_a_watched_folder_is_due_when_a_file_is_new_or_grows_and_not_before(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    settings = get_settings(home=tmp_path / "home", sources=(folder,))

    assert poll_sources(settings, {}, NOW).due == {}
    (folder / "shopping.txt").write_text("milk")
    assert poll_sources(settings, {}, NOW).due == {}
    (folder / "season.json").write_text('{"encounter": {"fightStart": 1, "entities": {}}, "entities": {}}')
    found = poll_sources(settings, {}, NOW)
    assert list(found.due) == ["upload_json"]
    with (folder / "season.json").open("a") as file:
        file.write(" ")
    assert poll_sources(settings, {}, NOW).due["upload_json"] != found.due["upload_json"]


def test_a_watched_folder_that_has_gone_is_in_trouble(tmp_path):
    settings = get_settings(home=tmp_path / "home", sources=(tmp_path / "gone",))

    found = poll_sources(settings, {}, NOW)

    assert found.due == {}
    assert "nothing there" in found.failures[str(tmp_path / "gone")].error


def test_an_unreadable_folder_is_a_failure(settings):
    def probe(origin, _settings):
        raise SourceBusy(f"{origin.where} is locked")

    assert set(poll_sources(settings, {}, NOW, probe).failures) == {"http://a", "http://b"}


def test_a_service_without_new_logs_is_probed_less_often_than_folders(tmp_path):
    settings = get_settings(home=tmp_path, battle_log_urls=("far=http://127.0.0.1:1",), sources=(tmp_path,))
    probed = []

    def prober(origin, _settings):
        probed.append(origin.where)
        return Probe(origin.where, has_new=False)

    first = poll_sources(settings, {}, NOW, prober)
    poll_sources(settings, {}, NOW + 5, prober, first.quiet)
    poll_sources(settings, {}, NOW + SERVICE_INTERVAL_S, prober, first.quiet)

    assert len(first.quiet) == 1
    assert [probed.count(where) for where in first.quiet] == [2]
    assert probed.count(str(tmp_path)) == 3


def test_a_service_with_new_logs_is_probed_at_every_poll(tmp_path):
    settings = get_settings(home=tmp_path, battle_log_urls=("far=http://127.0.0.1:1",))

    found = poll_sources(
        settings, {}, NOW, lambda origin, _: Probe(origin.where, has_new=True, reason="new", sources=("far",))
    )

    assert (found.due, found.quiet) == ({"far": "new"}, {})
