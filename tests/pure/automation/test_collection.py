"""Looking for news: unreadable is never empty, and nobody waits for another."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lostark_assets.automation.collection import PEEK, look_for_news, partition_ranges
from lostark_assets.errors import SourceBusy, SourceUnavailable
from lostark_assets.ledger import open_ledger
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.probe import Peek

NOW = datetime(2026, 11, 1, tzinfo=UTC).timestamp()


@pytest.fixture
def settings(tmp_path) -> Settings:
    return get_settings(home=tmp_path, sources=(), battle_log_urls=("a=http://a", "b=http://b"))


def peeker(**answers):
    """Looks that answer what was said, and count."""
    asked = []

    def look(origin, _settings):
        asked.append(origin.name)
        answer = answers[origin.name]
        if isinstance(answer, Exception):
            raise answer
        return Peek(origin.where, bool(answer), answer, (origin.name,) if answer else ())

    look.asked = asked
    return look


def test_exactly_the_sources_with_news_are_due(settings):
    assert look_for_news(settings, {}, NOW, peeker(a="log 7", b="")).due == {"a": "log 7"}


def test_a_source_that_can_not_be_read_is_noted_and_stops_no_other(settings):
    news = look_for_news(settings, {}, NOW, peeker(a=SourceUnavailable("a is down"), b="log 1"))

    assert news.due == {"b": "log 1"}
    assert news.troubles["http://a"].failures == 1
    [record] = open_ledger(settings).collections(datetime.fromtimestamp(NOW - 1, UTC))
    assert (record.source, record.kind, record.outcome, record.error) == (
        "a",
        PEEK,
        "unavailable",
        "a is down",
    )


def test_it_is_asked_again_after_growing_pauses_and_the_others_every_time(settings):
    look, troubles = peeker(a=SourceUnavailable("down"), b=""), {}
    for tick in range(31):
        troubles = look_for_news(settings, troubles, NOW + tick * 60, look).troubles

    assert look.asked.count("b") == 31
    assert look.asked.count("a") == 16


def test_the_first_good_look_after_bad_ones_is_noted_once(settings):
    look = peeker(a=SourceUnavailable("down"), b="")
    troubles = look_for_news(settings, {}, NOW, look).troubles
    for tick in (3, 4, 5):
        troubles = look_for_news(settings, troubles, NOW + tick * 60, peeker(a="", b="")).troubles

    outcomes = [r.outcome for r in open_ledger(settings).collections(datetime.fromtimestamp(NOW - 1, UTC))]
    assert (troubles, outcomes) == ({}, ["unavailable", "ok"])


def test_a_source_that_is_no_longer_configured_is_forgotten(settings, tmp_path):
    troubles = look_for_news(settings, {}, NOW, peeker(a=SourceUnavailable("down"), b="")).troubles
    fewer = get_settings(home=tmp_path, sources=(), battle_log_urls=("b=http://b",))

    assert look_for_news(fewer, troubles, NOW, peeker(b="")).troubles == {}


def test_a_watched_folder_is_due_when_a_file_is_new_or_grows_and_not_before(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    settings = get_settings(home=tmp_path / "home", sources=(folder,))

    assert look_for_news(settings, {}, NOW).due == {}
    (folder / "shopping.txt").write_text("milk")
    assert look_for_news(settings, {}, NOW).due == {}
    (folder / "season.json").write_text('{"encounter": {"fightStart": 1, "entities": {}}, "entities": {}}')
    news = look_for_news(settings, {}, NOW)
    assert list(news.due) == ["upload_json"]
    with (folder / "season.json").open("a") as file:
        file.write(" ")
    assert look_for_news(settings, {}, NOW).due["upload_json"] != news.due["upload_json"]


def test_a_watched_folder_that_has_gone_is_in_trouble(tmp_path):
    settings = get_settings(home=tmp_path / "home", sources=(tmp_path / "gone",))

    news = look_for_news(settings, {}, NOW)

    assert news.due == {}
    assert "nothing there" in news.troubles[str(tmp_path / "gone")].error


def test_a_folder_that_can_not_be_looked_at_is_in_trouble(settings):
    def look(origin, _settings):
        raise SourceBusy(f"{origin.where} is locked")

    assert set(look_for_news(settings, {}, NOW, look).troubles) == {"http://a", "http://b"}


@pytest.mark.parametrize(
    ("wanted", "ranges"),
    [
        ("", []),
        ("a", [("a", "a")]),
        ("ab", [("a", "b")]),
        ("ac", [("a", "a"), ("c", "c")]),
        ("abde", [("a", "b"), ("d", "e")]),
        ("abcde", [("a", "e")]),
    ],
)
def test_sources_side_by_side_are_one_run_and_no_other_source_is_touched(wanted, ranges):
    assert partition_ranges(set(wanted), list("abcde")) == ranges
