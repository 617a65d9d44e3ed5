"""Collecting from an Open API with all its oddities: stored rows, requested characters, outcomes."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime, timedelta

import httpx
import pyarrow.compute as pc
import pytest
from pydantic import SecretStr

from lostark_assets.contracts.expectations import examine
from lostark_assets.contracts.raw import RAW_ARMORY_PROFILES, RAW_GAME_NOTICES
from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.game_events import game_events
from lostark_assets.core.pipeline import clean_days
from lostark_assets.errors import SettingsError
from lostark_assets.lake.tables import Lake
from lostark_assets.ledger import Ledger
from lostark_assets.sources import open_api
from lostark_assets.sources.collect import collect
from lostark_assets.sources.detect import find_sources
from lostark_assets.sources.open_api import OpenApi, collect_news, collect_profiles
from lostark_assets.sources.open_api_choice import CharacterChoice, Freshness, choose_characters
from lostark_assets.sources.open_api_parse import parse_profile
from lostark_assets.sources.profiles import ProfileRules
from lostark_simulator.mock_server.config import (
    DEMO_OPEN_API_KEY,
    FAULT_KINDS,
    OPEN_API_PREFIX,
    FaultConfig,
    MockServerConfig,
)
from lostark_simulator.mock_server.running import running_mock_server
from lostark_simulator.season import build_population

CALM = {"history": 2, "tiny_logs": True, "new_fight_every_s": 0}
NAMES = [one.name for one in build_population(1, 800).characters[:12]]
EVERYWHERE = frozenset({"KR", "NAE", "NAW", "EUC"})
NOBODY = "아무도아닌이름"


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "state/operations.db")


def build_api(url, folder, *keys, per_minute=1000, timeout_s=20.0):
    secrets = tuple(SecretStr(key) for key in keys or (DEMO_OPEN_API_KEY,))
    return OpenApi(url + OPEN_API_PREFIX, secrets, per_minute, folder / "state", timeout_s)


def query(api, lake, ledger, names=NAMES):
    return collect_profiles(
        api, lake, ledger, lambda _: CharacterChoice(list(names), len(names), 0), run_id="r"
    )


def stored(lake):
    return sorted(lake.read(RAW_ARMORY_PROFILES.name).to_pylist(), key=lambda row: row["character_name"])


def counts(url):
    return httpx.get(f"{url}/mock-server/counts").json()


@pytest.fixture(scope="module")
def url():
    with running_mock_server(MockServerConfig(open_api_limit=100_000, **CALM)) as url:
        yield url


def test_each_character_is_requested_once_with_all_parts_and_stored_whole(url, tmp_path, lake, ledger):
    before, started = counts(url)["requests"].get("open_api.armories", 0), datetime.now(UTC)
    run = query(build_api(url, tmp_path), lake, ledger, [*NAMES, NOBODY])
    rows = stored(lake)

    assert (run.outcome, run.new, run.unknown, run.left, run.requests) == ("ok", 13, 1, 0, 13)
    assert counts(url)["requests"]["open_api.armories"] - before == 13
    assert run.drift == {}
    assert [row["character_name"] for row in rows] == sorted([*NAMES, NOBODY])
    assert [row["character_name"] for row in rows if row["status"] == "unknown"] == [NOBODY]
    assert next(row["body"] for row in rows if row["status"] == "unknown") == b"null"
    for row in rows:
        assert started <= row["fetched_at"] <= datetime.now(UTC)
        if row["status"] == "found":
            profile = parse_profile(row["body"])
            assert profile.character_name == row["character_name"]
            assert profile.item_level > 1600
            assert profile.combat_power > 1000
            assert profile.gem_levels
            assert profile.engravings
            assert profile.ark_grid is not None
            assert profile.card_sets is not None
    assert [
        str(f) for f in examine(RAW_ARMORY_PROFILES, lake.read(RAW_ARMORY_PROFILES.name)) if not f.passed
    ] == []
    [record] = ledger.collections(started - timedelta(seconds=1))
    assert (record.source, record.kind, record.outcome) == ("open_api", "profiles", "ok")
    assert (record.requests, record.failed_requests, record.new) == (13, 0, 13)


def test_a_run_takes_no_more_than_its_budget_allows_and_leaves_the_rest(
    url, tmp_path, lake, ledger, monkeypatch
):
    monkeypatch.setattr(open_api, "MINUTES_PER_RUN", 1)
    run = query(build_api(url, tmp_path, per_minute=5), lake, ledger)

    assert (run.new, run.left, run.requests) == (5, 7, 5)
    assert [row["character_name"] for row in stored(lake)] == sorted(NAMES[:5])


def test_a_key_that_is_refused_rests_and_the_other_one_goes_on(url, tmp_path, lake, ledger):
    run = query(build_api(url, tmp_path, "wrong-key-7351", DEMO_OPEN_API_KEY), lake, ledger)

    assert (run.outcome, run.new, run.left) == ("ok", 12, 0)
    assert run.failures["unauthorised"] >= 1
    assert [one.startswith("key 1: ") for one in run.problems] == [True]
    assert "7351" not in str(run)


def test_when_every_key_is_refused_the_run_says_so_and_stops(url, tmp_path, lake, ledger):
    run = query(build_api(url, tmp_path, "wrong-key-7351"), lake, ledger)

    assert (run.outcome, run.new, run.left, run.is_maintenance) == ("refused", 0, 12, False)
    assert run.requests <= 4
    assert "status 401" in run.error
    assert "7351" not in repr(run)
    assert ledger.last_collection("open_api").outcome == "refused"


def test_two_keys_are_two_budgets_and_a_used_up_key_rests(tmp_path, lake, ledger):
    keys = ("key-one", "key-two")
    with running_mock_server(MockServerConfig(open_api_keys=keys, open_api_limit=5, **CALM)) as url:
        run = query(build_api(url, tmp_path, *keys, timeout_s=3.0), lake, ledger)

    assert (run.outcome, run.new, run.left) == ("unavailable", 10, 2)
    assert set(run.failures) == {"rate_limited"}
    assert len(run.problems) == 2
    assert not run.is_maintenance


def test_the_local_budget_keeps_below_the_services_limit(tmp_path, lake, ledger):
    config = MockServerConfig(open_api_limit=6, limit_window_s=1.0, **CALM)
    with running_mock_server(config) as url:
        api = build_api(url, tmp_path)
        limited = open_api.Budget("b", 5, window_s=1.0)
        open_gateway = OpenApi.gateway

        def with_short_window(self, key):
            gateway = open_gateway(self, key)
            gateway.config = open_api.GatewayConfig(**{**gateway.config.__dict__, "budget": limited})
            return gateway

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(OpenApi, "gateway", with_short_window)
            run = query(api, lake, ledger)
        statuses = counts(url)["statuses"]

    assert (run.outcome, run.new, run.requests) == ("ok", 12, 12)
    assert set(statuses) == {"200"}
    assert run.waited_s > 0


def test_maintenance_ends_the_run_gently_and_the_next_one_goes_on(tmp_path, lake, ledger):
    with running_mock_server(MockServerConfig(open_api_limit=100_000, **CALM)) as url:
        httpx.post(f"{url}/mock-server/maintenance", json={"on": True}).raise_for_status()
        api = build_api(url, tmp_path, timeout_s=2.0)
        run = query(api, lake, ledger)
        news = collect_news(api, lake, ledger, run_id="r")

        assert (run.outcome, run.is_maintenance, run.new, run.left) == ("unavailable", True, 0, 12)
        assert run.requests <= 20
        assert set(run.failures) == {"maintenance"}
        assert news.outcome == "unavailable"
        assert lake.count(RAW_GAME_NOTICES.name) == 0
        again = query(api, lake, ledger)
        assert again.requests <= 4
        assert (again.outcome, again.needs_attention) == ("unavailable", False)
        assert (run.needs_attention, news.needs_attention) == (False, False)

        httpx.post(f"{url}/mock-server/maintenance", json={"on": False}).raise_for_status()
        (tmp_path / "state/circuits.db").unlink()
        assert query(api, lake, ledger).new == 12
    assert [one.outcome for one in ledger.collections(datetime(2000, 1, 1, tzinfo=UTC))] == [
        "unavailable", "unavailable", "unavailable", "ok",
    ]  # fmt: skip


def test_under_faults_of_every_kind_the_same_characters_are_known(url, tmp_path, lake, ledger):
    kinds = tuple(kind for kind in FAULT_KINDS if "page" not in kind)
    faults = FaultConfig(share=0.2, kinds=kinds, seed=5, slow_body_s=0.05, retry_after_s=0)
    with running_mock_server(MockServerConfig(open_api_limit=100_000, faults=faults, **CALM)) as broken:
        run = query(build_api(broken, tmp_path), lake, ledger)

    assert (run.outcome, run.new, run.unknown) == ("ok", 12, 0)
    assert run.failures.total() > 0
    assert [row["character_name"] for row in stored(lake)] == sorted(NAMES)
    assert all(parse_profile(row["body"]) is not None for row in stored(lake))


def test_a_404_is_an_unknown_character_too(url, tmp_path, lake, ledger, monkeypatch):
    monkeypatch.setattr(open_api, "REQUEST_PATH", "/armories/nowhere/{name}")
    run = query(build_api(url, tmp_path), lake, ledger, NAMES[:3])

    assert (run.outcome, run.new, run.unknown) == ("ok", 3, 3)
    assert [(row["status"], row["body"]) for row in stored(lake)] == [("unknown", b"")] * 3


def test_without_a_key_no_request_is_made(url, tmp_path, lake, ledger):
    api = OpenApi(url, (), 95, tmp_path)

    for attempt in (lambda: query(api, lake, ledger), lambda: collect_news(api, lake, ledger, run_id="r")):
        with pytest.raises(SettingsError, match="LOSTARK_OPEN_API_KEYS"):
            attempt()


def test_keys_are_never_shown():
    api = OpenApi("http://x", (SecretStr("jwt-very-secret"),), 95, None)

    assert "very-secret" not in repr(api)
    assert "very-secret" not in repr(api.gateway(api.keys[0]).config)


def test_news_become_windows_and_are_stored_once(url, tmp_path, lake, ledger):
    api = build_api(url, tmp_path)
    first = collect_news(api, lake, ledger, run_id="r")
    version = lake.version(RAW_GAME_NOTICES.name)
    second = collect_news(api, lake, ledger, run_id="s")
    events = game_events(lake.read(RAW_GAME_NOTICES.name)).to_pylist()

    assert first.outcome == second.outcome == "ok"
    assert (first.found, first.known, second.new, second.known) == (first.new, 0, 0, first.found)
    assert lake.version(RAW_GAME_NOTICES.name) == version
    windows = [row for row in events if row["kind"] == "maintenance" and row["is_regular"]]
    assert len(windows) >= 4
    assert all(row["starts_at"].weekday() == 1 and row["starts_at"].hour == 21 for row in windows)
    assert {"maintenance", "patch", "event"} <= {row["kind"] for row in events}


def take(url, lake, folder, known):
    """Fetch the mock server's battle logs as files, and clean them."""
    with httpx.Client(base_url=url) as client:
        logs = client.get("/v1/battle-logs?limit=1000").json()["logs"]
        new = [log for log in logs if log["id"] not in known]
        for log in new:
            path = folder / f"{log['id']}.json.gz"
            path.write_bytes(gzip.compress(client.get(f"/v1/battle-logs/{log['id']}").content))
            [found] = find_sources(path)
            collect(found.source, lake, run_id="r", earliest=date(2022, 1, 1))
            known.add(log["id"])
    clean_days(lake, None, Rules(profiles=ProfileRules(regions=EVERYWHERE)), run_id="r")
    return {log["id"] for log in new}


def test_from_fights_to_profiles_to_the_next_fights(tmp_path, lake, ledger):
    folder, known = tmp_path / "logs", set()
    folder.mkdir()
    with running_mock_server(
        MockServerConfig(open_api_limit=100_000, **{**CALM, "history": 8, "dirt": False})
    ) as url:
        take(url, lake, folder, known)
        assert lake.read("core_players", columns=["profile_id"])["profile_id"].null_count == lake.count(
            "core_players"
        )

        def choose(now):
            return choose_characters(lake, now, Freshness(seen=timedelta(days=60), regions=EVERYWHERE))

        # New fights turn up when they are over, having begun some minutes ago.
        asked_at = datetime.now(UTC) - timedelta(hours=2)
        run = collect_profiles(
            build_api(url, tmp_path), lake, ledger, choose, run_id="r", now=lambda: asked_at
        )
        assert run.new == run.found == len({r["player_name"] for r in lake.read("core_players").to_pylist()})
        assert choose(datetime.now(UTC)).due == []
        httpx.post(f"{url}/mock-server/grow", json={"fights": 12}).raise_for_status()
        take(url, lake, folder, known)

    profiles = {row["profile_id"]: row for row in lake.read(RAW_ARMORY_PROFILES.name).to_pylist()}
    starts = lake.read("core_encounters", columns=["encounter_id", "fight_started_at"]).to_pylist()
    started = {row["encounter_id"]: row["fight_started_at"] for row in starts}
    joined = lake.read("core_players", where=pc.is_valid(pc.field("profile_id"))).to_pylist()
    assert joined
    for row in joined:
        origin = profiles[row["profile_id"]]
        parsed = parse_profile(origin["body"])
        assert origin["character_name"] == row["player_name"]
        assert origin["fetched_at"] == row["profile_at"] <= started[row["encounter_id"]]
        assert row["profile_combat_power"] == parsed.combat_power
        assert row["gem_levels"] == list(parsed.gem_levels)
        assert parsed.class_name == row["class_name"]
