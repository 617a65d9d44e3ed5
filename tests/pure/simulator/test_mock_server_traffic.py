"""Fault selection, request limits and the body cache, without a server."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from lostark_assets.errors import SettingsError
from lostark_simulator.mock_server.body_cache import BodyCache
from lostark_simulator.mock_server.calendar import is_weekly_maintenance
from lostark_simulator.mock_server.config import FAULT_KINDS, FaultConfig
from lostark_simulator.mock_server.fault_kinds import PAGE_KINDS
from lostark_simulator.mock_server.limits import RenewedWindow, SlidingWindow
from lostark_simulator.mock_server.open_api import parse_filters
from lostark_simulator.mock_server.traffic import CONTROL_ROUTE, Traffic, get_route, pick_fault


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/battle-logs", "battle_logs.list"),
        ("/v1/battle-logs/abc-000001-0", "battle_logs.fetch"),
        ("/open-api/armories/characters/이다", "open_api.armories"),
        ("/open-api/characters/이다/siblings", "open_api.characters"),
        ("/open-api/news/notices", "open_api.news"),
        ("/open-api/markets/items", "open_api.other"),
        ("/mock-server/counts", "control"),
        ("/favicon.ico", "other"),
    ],
)
def test_every_path_maps_to_a_known_route(path, route):
    assert get_route(path) == route


def test_a_fault_depends_on_seed_and_number_only():
    faults = FaultConfig(share=0.2, seed=7)
    first = [pick_fault(faults, number, "battle_logs.list") for number in range(1, 500)]
    other_seed = [pick_fault(FaultConfig(share=0.2, seed=8), n, "battle_logs.list") for n in range(1, 500)]

    assert first == [pick_fault(faults, number, "battle_logs.list") for number in range(1, 500)]
    assert first != other_seed


def test_the_share_of_faults_and_of_each_kind_is_as_configured():
    faults = FaultConfig(share=0.2)
    kinds = Counter(pick_fault(faults, number, "battle_logs.list") for number in range(1, 20_001))
    wrong = 20_000 - kinds[None]

    assert wrong == pytest.approx(4_000, rel=0.05)
    assert set(kinds) - {None} == set(FAULT_KINDS)
    assert all(kinds[kind] == pytest.approx(wrong / len(FAULT_KINDS), rel=0.2) for kind in FAULT_KINDS)


def test_a_larger_share_keeps_the_faults_of_a_smaller_one():
    few = [pick_fault(FaultConfig(share=0.1), number, "battle_logs.list") for number in range(1, 2_000)]
    many = [pick_fault(FaultConfig(share=0.4), number, "battle_logs.list") for number in range(1, 2_000)]

    assert all(more == less for less, more in zip(few, many, strict=True) if less)


def test_page_faults_affect_the_listing_only():
    faults = FaultConfig(share=1.0)
    seen = {pick_fault(faults, number, "battle_logs.fetch") for number in range(1, 2_000)}

    assert seen == set(FAULT_KINDS) - PAGE_KINDS
    only_pages = FaultConfig(share=1.0, kinds=("duplicated_page", "reordered_page"))
    assert pick_fault(only_pages, 1, "battle_logs.fetch") is None


def test_no_faults_without_a_share_or_on_control_routes():
    assert {pick_fault(FaultConfig(), number, "battle_logs.list") for number in range(1, 500)} == {None}
    assert {pick_fault(FaultConfig(share=1), number, CONTROL_ROUTE) for number in range(1, 500)} == {None}


@pytest.mark.parametrize("wrong", [{"share": 1.2}, {"share": -0.1}, {"kinds": ("404",)}, {"kinds": ()}])
def test_invalid_faults_are_refused_with_the_list_of_kinds(wrong):
    with pytest.raises(SettingsError, match="reordered_page"):
        FaultConfig(**wrong)


def test_traffic_counts_and_numbers_requests_except_control_routes():
    traffic = Traffic(FaultConfig(share=1.0, kinds=("500",)))
    for path in ("/v1/battle-logs", "/mock-server/counts", "/v1/battle-logs/a"):
        traffic.arrive(path, 10.0)

    assert traffic.requests == {"battle_logs.list": 1, "control": 1, "battle_logs.fetch": 1}
    assert traffic.faults_made == {"500": 2}
    traffic.reset()
    assert traffic.requests == {}


def test_the_busiest_window_is_exact():
    traffic = Traffic(FaultConfig())
    for at_s in (0.0, 1.0, 1.5, 1.9, 2.0, 5.0):
        traffic.arrive("/v1/battle-logs", at_s)

    assert traffic.busiest("battle_logs", 1.0) == 3
    assert traffic.busiest("battle_logs", 10.0) == 6
    assert traffic.busiest("open_api", 10.0) == 0


def test_a_fixed_window_allows_a_key_again_when_it_ends():
    limit = RenewedWindow(2, 60.0)
    verdicts = [limit.count("a", at_s) for at_s in (100.0, 110.0, 159.9, 160.0)]

    assert [one.is_allowed for one in verdicts] == [True, True, False, True]
    assert [one.remaining for one in verdicts] == [1, 0, 0, 1]
    assert [one.reset_at_s for one in verdicts] == [160.0, 160.0, 160.0, 220.0]
    assert limit.count("b", 159.9).remaining == 1


def test_a_sliding_window_never_exceeds_the_limit():
    limit = SlidingWindow(2, 60.0)
    verdicts = [limit.count("a", at_s) for at_s in (100.0, 150.0, 155.0, 160.0, 165.0)]

    assert [one.is_allowed for one in verdicts] == [True, True, False, True, False]
    assert verdicts[2].reset_at_s == 160.0
    assert verdicts[4].reset_at_s == 210.0


def test_the_cache_evicts_the_least_recently_used_body():
    cache = BodyCache(max_bytes=10)
    cache.put("a", b"12345")
    cache.put("b", b"12345")
    cache.get("a")
    cache.put("c", b"1")

    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (b"12345", None, b"1")
    cache.put("d", b"x" * 20)
    assert cache.get("d") == b"x" * 20
    assert cache.get("a") is None


@pytest.mark.parametrize(
    ("at", "is_down"),
    [
        (datetime(2026, 11, 24, 20, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 24, 21, tzinfo=UTC), True),
        (datetime(2026, 11, 25, 0, 59, 59, tzinfo=UTC), True),
        (datetime(2026, 11, 25, 1, tzinfo=UTC), False),
        (datetime(2026, 11, 25, 21, tzinfo=UTC), False),
    ],
)
def test_the_weekly_maintenance_is_wednesday_six_to_ten_in_korea(at, is_down):
    assert is_weekly_maintenance(at.timestamp()) is is_down


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (b"filters=profiles+gems", ["profiles", "gems"]),
        (b"filters=profiles%2Bgems", ["profiles+gems"]),
        (b"x=1&filters=combat-skills", ["combat-skills"]),
    ],
)
def test_filters_are_separated_by_a_literal_plus(query, names):
    assert parse_filters(query) == names


def test_without_filters_all_parts_are_selected():
    assert len(parse_filters(b"")) == len(parse_filters(b"filters=")) == 11
