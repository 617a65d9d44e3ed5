"""The mock server's season: its history, its growth, restarts; without HTTP."""

from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from isal import igzip

from lostark_assets.core.clean import clean_log
from lostark_assets.core.clean_meter import Rules
from lostark_assets.errors import LogRejected, SourceBusy
from lostark_simulator.dirt import QUARANTINE, pick_dirt
from lostark_simulator.mock_server.config import MockServerConfig
from lostark_simulator.mock_server.growing_season import LAST_WEEK, CursorExpired, GrowingSeason
from lostark_simulator.season import DAY_MS, SeasonConfig, generate_fight

NOW_S = datetime(2026, 11, 19, 3, 0, tzinfo=UTC).timestamp()
REASON_OF_DIRT = {
    "invalid_json": "invalid_json",
    "truncated_gzip": "truncated_gzip",
    "impossible_duration": "impossible_duration",
    "too_many_players": "too_many_players",
    "broken_player_sum": "broken_sums",
    "broken_total": "broken_sums",
    "negative_damage": "impossible_value",
}


class Clock:
    """Epoch seconds, set by a test."""

    def __init__(self):
        self.at_s = NOW_S

    def __call__(self):
        return self.at_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tiny(clock):
    """A configuration of tiny logs with a fixed clock."""
    return MockServerConfig(history=30, tiny_logs=True, clock=clock, late_share=0.0, reupload_share=0.0)


@pytest.fixture(scope="module")
def demo_season():
    """A season like the demo's, with small fights."""
    season = GrowingSeason(MockServerConfig(history=40, hits_per_player=30, clock=lambda: NOW_S))
    yield season
    season.close()


def get_content(season, record):
    return igzip.decompress(season.body(record))


def list_all(season):
    return season.page(None, 100_000).records


def test_the_history_lies_in_the_days_before_the_first_start(demo_season):
    records = list_all(demo_season)

    assert all(demo_season.started_ms - 5_000 <= one.fight_started_ms < NOW_S * 1000 for one in records)
    assert all(one.fight_started_ms < one.updated_ms <= NOW_S * 1000 for one in records)
    assert len({one.number for one in records}) == 40
    assert len({one.fight_started_ms // DAY_MS for one in records}) > 15


def test_the_history_has_late_edited_and_shared_logs():
    config = MockServerConfig(history=400, tiny_logs=True, clock=lambda: NOW_S)
    records = list_all(GrowingSeason(config))
    waited_days = [(one.updated_ms - one.fight_started_ms) / DAY_MS for one in records]

    assert 15 <= sum(days > 0.8 for days in waited_days) <= 90
    assert 10 <= sum(one.revision for one in records) <= 45


def test_listing_entries_match_the_content(demo_season):
    for record in list_all(demo_season):
        content = get_content(demo_season, record)

        assert hashlib.sha256(content).hexdigest() == record.content_sha256
        assert len(content) == record.size_bytes


def test_cleaning_refuses_broken_logs_for_the_expected_reason(demo_season):
    rules = Rules(now=datetime.fromtimestamp(NOW_S, UTC))
    found, expected = {}, {}
    for record in list_all(demo_season):
        kind = pick_dirt(record.number, None)
        expected[record.id] = REASON_OF_DIRT[kind] if kind in QUARANTINE else "kept"
        try:
            log, _ = clean_log("upload_json", get_content(demo_season, record), rules)
        except LogRejected as error:
            found[record.id] = error.reason_code
            continue
        found[record.id] = "kept"
        assert log.encounter["region"] == "KR"

    assert found == expected
    assert Counter(found.values())["kept"] >= 33


def test_the_season_is_determined_by_seed_and_start(demo_season):
    again = GrowingSeason(demo_season.config)

    assert list_all(again) == list_all(demo_season)
    other = GrowingSeason(replace(demo_season.config, seed=2, history=3))
    assert {one.content_sha256 for one in list_all(other)}.isdisjoint(
        one.content_sha256 for one in list_all(demo_season)
    )


def test_fight_i_does_not_depend_on_the_number_of_fights(demo_season):
    small = GrowingSeason(replace(demo_season.config, history=10))
    large = {one.id: one.content_sha256 for one in list_all(demo_season)}

    assert all(large[one.id] == one.content_sha256 for one in list_all(small))


def test_an_evicted_body_is_regenerated_identically(demo_season):
    forgetful = GrowingSeason(replace(demo_season.config, history=8, cache_bytes=1))
    records = list_all(forgetful)

    assert sum(forgetful.ready_body(one) is not None for one in records) == 1
    assert [get_content(forgetful, one) for one in records] == [
        get_content(demo_season, demo_season.find(one.id)) for one in records
    ]


def test_new_fights_follow_the_clock_and_are_never_in_the_future(clock):
    season = GrowingSeason(
        MockServerConfig(history=2, hits_per_player=30, clock=clock, new_fight_every_s=30, late_share=0)
    )
    before = {one.id for one in list_all(season)}
    cursor = season.page(None, 1000).next_cursor
    for _ in range(200):
        clock.at_s += 1
        season.advance()
    came = season.page(cursor, 1000).records

    assert len({one.number for one in came if one.id not in before}) == 6
    assert all(one.fight_started_ms < one.updated_ms <= clock.at_s * 1000 for one in came)
    for one in (one for one in came if one.revision == 0):
        fight = generate_fight(SeasonConfig(hits_per_player=30), one.number, one.weeks)
        ended_ms = one.true_start_ms + fight.wall_ms
        assert 0 < one.updated_ms - ended_ms < 60_000


def test_fights_missed_during_a_pause_are_not_added(clock, tiny):
    season = GrowingSeason(tiny)
    clock.at_s += 100_000
    for _ in range(10):
        season.advance()

    assert season.logs == 31
    assert 0 < season.seconds_to_next() <= 30


def test_no_growth_while_paused_or_without_interval_or_in_maintenance(clock, tiny):
    for config in (replace(tiny, new_fight_every_s=0), replace(tiny, weekly_maintenance=True), tiny):
        clock.at_s = datetime(2026, 11, 24, 20, 59, tzinfo=UTC).timestamp()
        season = GrowingSeason(config)
        season.is_paused = config is tiny
        for _ in range(5):
            clock.at_s += 60
            season.advance()

        assert season.logs == 30
        # Else the server polls without a rest.
        assert season.seconds_to_next() > 0 or config.weekly_maintenance


def test_characters_grow_by_the_calendar_in_the_history_and_faster_after_it(clock, tiny):
    season = GrowingSeason(replace(tiny, speed=24.0))

    assert season.weeks_at(season.started_ms) == 0.0
    assert season.weeks_at(season.started_ms + 7 * DAY_MS) == 1.0
    assert season.weeks_at(season.epoch_ms) == 4.0
    assert season.weeks_at(season.epoch_ms + 7 * 3_600_000) == 5.0
    assert season.weeks_at(season.epoch_ms + 365 * DAY_MS) == LAST_WEEK


def test_an_edited_log_keeps_its_id_and_fight_and_moves_to_the_end(tiny):
    season = GrowingSeason(tiny)
    cursor = season.page(None, 1000).next_cursor
    old = list_all(season)[-1]
    new = season.add_revisions(1)[0]

    assert (new.id, new.fight_started_ms, new.revision) == (old.id, old.fight_started_ms, 1)
    assert new.content_sha256 != old.content_sha256
    assert season.page(cursor, 10).records == [new]
    assert season.logs == len(list_all(season)) == 30


def test_simultaneous_logs_are_never_inserted_before_a_cursor(tiny):
    season = GrowingSeason(tiny)
    season.grow(5)
    cursor = season.page(None, 1000).next_cursor
    came = season.grow(1) + season.add_revisions(3)
    keys = [one.key for one in list_all(season)]

    assert keys == sorted(set(keys))
    assert {one.id for one in season.page(cursor, 100).records} == {one.id for one in came}


def test_a_late_log_is_listed_now_and_was_fought_days_ago(clock, tiny):
    season = GrowingSeason(tiny)
    late = season.grow(1, late_days=9)[0]

    assert late.updated_ms == clock.at_s * 1000
    assert 9 <= (late.updated_ms - late.fight_started_ms) / DAY_MS < 9.01


def test_a_season_resumes_after_a_restart(clock, tiny, tmp_path):
    config = replace(tiny, state_dir=tmp_path)
    first = GrowingSeason(config)
    first.grow(2)
    first.add_revisions(1)
    cursor = first.page(None, 10).next_cursor
    before = list_all(first)
    first.close()
    clock.at_s += 3600
    second = GrowingSeason(config)

    assert list_all(second) == before
    assert second.token == first.token
    assert second.page(cursor, 100).records == before[10:]
    came = second.grow(1)[0]
    assert came.number == 32
    assert [get_content(second, one) for one in before[-2:]] == [
        get_content(first, one) for one in before[-2:]
    ]
    second.close()


def test_a_half_written_line_is_dropped(tiny, tmp_path):
    config = replace(tiny, state_dir=tmp_path)
    season = GrowingSeason(config)
    season.grow(2)
    season.close()
    path = tmp_path / "season.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    again = GrowingSeason(config)
    again.grow(1)
    again.close()
    last = GrowingSeason(config)

    assert last.logs == 32
    assert path.read_bytes().endswith(b"}\n")
    last.close()


@pytest.mark.parametrize("change", [{"seed": 2}, {"history": 31}, {"hits_per_player": 301}])
def test_another_configuration_starts_another_season_and_expires_cursors(clock, tiny, tmp_path, change):
    config = replace(tiny, state_dir=tmp_path)
    first = GrowingSeason(config)
    cursor = first.page(None, 10).next_cursor
    first.close()
    clock.at_s += 1
    second = GrowingSeason(replace(config, **change))

    assert second.token != first.token
    with pytest.raises(CursorExpired):
        second.page(cursor, 10)
    second.close()


def test_logs_that_this_code_cannot_reproduce_start_another_season(clock, tiny, tmp_path):
    config = replace(tiny, state_dir=tmp_path)
    first = GrowingSeason(config)
    first.close()
    path = tmp_path / "season.jsonl"
    sha256 = list_all(first)[0].content_sha256
    path.write_text(path.read_text().replace(sha256, "0" * 64))
    clock.at_s += 1
    second = GrowingSeason(config)

    assert second.token != first.token
    assert list_all(second)[0].content_sha256 != "0" * 64
    second.close()


def test_expired_cursors_stay_expired(tiny, tmp_path):
    config = replace(tiny, state_dir=tmp_path)
    first = GrowingSeason(config)
    old = first.page(None, 10).next_cursor
    first.expire_cursors()
    new = first.page(None, 10).next_cursor
    first.close()
    second = GrowingSeason(config)

    with pytest.raises(CursorExpired):
        second.page(old, 10)
    assert len(second.page(new, 100).records) == 20
    second.close()


@pytest.mark.parametrize("cursor", ["", "x", "a.b.c.d", "a.0.12", "....", "ß"])
def test_an_invalid_cursor_counts_as_expired(tiny, cursor):
    with pytest.raises(CursorExpired):
        GrowingSeason(tiny).page(cursor, 10)


def test_two_mock_servers_never_share_a_folder(tiny, tmp_path):
    config = replace(tiny, state_dir=tmp_path)
    first = GrowingSeason(config)

    with pytest.raises(SourceBusy, match="another mock server"):
        GrowingSeason(config)
    first.close()
    GrowingSeason(config).close()


def test_listing_does_not_wait_for_fight_generation(tiny):
    season = GrowingSeason(tiny)
    with season._making, ThreadPoolExecutor(1) as other:
        assert len(other.submit(season.page, None, 10).result(timeout=5).records) == 10
