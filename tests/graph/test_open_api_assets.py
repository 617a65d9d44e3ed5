"""Profiles, notices and game events as Dagster runs them: values, checks on both sides, how a run ends."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime

import dagster as dg
import httpx
import pyarrow as pa
import pytest

from lostark_assets.contracts.core import CORE_ENCOUNTERS, CORE_PLAYERS
from lostark_assets.dagster import game_event_assets
from lostark_assets.dagster.jobs import GAME_NEWS_JOB, PROFILES_JOB
from lostark_assets.definitions import build_defs
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.ledger import open_ledger
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources import open_api, open_api_parse
from lostark_simulator.mock_server.config import DEMO_OPEN_API_KEY, OPEN_API_PREFIX, MockServerConfig
from lostark_simulator.mock_server.running import running_mock_server
from lostark_simulator.season import build_population

NAMES = [one.name for one in build_population(1, 800).characters[:3]]


@pytest.fixture(scope="module")
def url():
    with running_mock_server(
        MockServerConfig(history=2, tiny_logs=True, new_fight_every_s=0, open_api_limit=100_000)
    ) as url:
        yield url


@pytest.fixture
def settings(tmp_path, url) -> Settings:
    return get_settings(
        home=tmp_path / "home", open_api_url=url + OPEN_API_PREFIX, open_api_keys=DEMO_OPEN_API_KEY
    )


@pytest.fixture
def lake(settings) -> Lake:
    """A lake in which three characters were just seen in Korea."""
    lake, now = open_lake(settings), datetime.now(UTC)
    fight = {"encounter_id": "e", "fight_date": now.date(), "fight_started_at": now, "region": "KR"}
    players = [
        {"encounter_id": "e", "fight_date": now.date(), "player_name": n, "is_name_known": True}
        for n in NAMES
    ]
    lake.append(CORE_ENCOUNTERS, CORE_ENCOUNTERS.conform(pa.Table.from_pylist([fight])))
    lake.append(CORE_PLAYERS, CORE_PLAYERS.conform(pa.Table.from_pylist(players)))
    return lake


@contextmanager
def run(settings, job):
    defs = build_defs(settings=settings)
    with dg.DagsterInstance.ephemeral() as instance:
        yield defs.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False)


def get_checks(result):
    return {c.check_name: (c.passed, c.severity) for c in result.get_asset_check_evaluations()}


def get_metadata(result, name):
    [event] = result.asset_materializations_for_node(name)
    return event.metadata


def test_a_run_asks_for_the_seen_characters_and_shows_them(settings, lake):
    with run(settings, PROFILES_JOB) as result:
        assert result.success
        checks, metadata = get_checks(result), get_metadata(result, "raw_armory_profiles")

    assert sorted(lake.read("raw_armory_profiles")["character_name"].to_pylist()) == sorted(NAMES)
    assert {name: passed for name, (passed, _) in checks.items()} == {
        "contract_holds": True, "open_api_answered": True, "open_api_bodies_have_known_fields": True,
    }  # fmt: skip
    assert (metadata["dagster/row_count"].value, metadata["new"].value, metadata["outcome"].value) == (
        3,
        3,
        "ok",
    )
    assert all(name in metadata["preview"].value for name in NAMES)
    assert DEMO_OPEN_API_KEY not in str(metadata)

    with run(settings, PROFILES_JOB) as result:
        again = get_metadata(result, "raw_armory_profiles")
    assert (again["new"].value, again["still fresh"].value, again["dagster/row_count"].value) == (0, 3, 3)


def test_fields_that_came_or_went_are_a_warning(settings, lake, monkeypatch):
    expected = open_api_parse.PARTS | {"ArmoryGem": ("gems", frozenset({"Gems", "Brilliance"}))}
    monkeypatch.setattr(open_api_parse, "PARTS", expected)
    with run(settings, PROFILES_JOB) as result:
        assert result.success
        [check] = [c for c in result.get_asset_check_evaluations() if c.check_name.endswith("known_fields")]

    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "-ArmoryGem.Brilliance" in str(check.metadata["findings"].value)


def test_maintenance_is_a_warning_and_no_failure(settings, lake, url, monkeypatch):
    monkeypatch.setattr(open_api, "_FAILURES_TO_OPEN", 3)
    httpx.post(f"{url}/mock-server/maintenance", json={"on": True}).raise_for_status()
    try:
        with run(settings, PROFILES_JOB) as result:
            assert result.success
            checks, metadata = get_checks(result), get_metadata(result, "raw_armory_profiles")
    finally:
        httpx.post(f"{url}/mock-server/maintenance", json={"on": False}).raise_for_status()

    assert checks["open_api_answered"] == (False, dg.AssetCheckSeverity.WARN)
    assert metadata["outcome"].value == "maintenance"
    assert open_ledger(settings).last_collection("open_api").outcome == "unavailable"


@pytest.mark.parametrize("job", [PROFILES_JOB, GAME_NEWS_JOB])
@pytest.mark.parametrize(("keys", "said"), [("wrong-key-7351", "status 401"), ("", "LOSTARK_OPEN_API_KEYS")])
def test_a_wrong_or_missing_key_fails_the_run_and_is_never_shown(tmp_path, url, lake, job, keys, said):
    refused = get_settings(home=tmp_path / "home", open_api_url=url + OPEN_API_PREFIX, open_api_keys=keys)
    with run(refused, job) as result:
        events = str(list(result.all_events))

    assert not result.success
    assert said in events
    assert "7351" not in events


def test_news_become_events_and_a_second_run_writes_nothing(settings):
    lake = open_lake(settings)
    with run(settings, GAME_NEWS_JOB) as result:
        assert result.success
        metadata = get_metadata(result, "core_game_events")
    versions = [lake.version(name) for name in ("raw_game_notices", "core_game_events")]
    kinds = set(lake.read("core_game_events")["kind"].to_pylist())

    assert {"maintenance", "patch", "event"} <= kinds
    assert metadata["dagster/row_count"].value == lake.count("core_game_events") > 0
    assert "maintenance 20" in metadata["preview"].value
    with run(settings, GAME_NEWS_JOB) as result:
        assert result.success
    assert [lake.version(name) for name in ("raw_game_notices", "core_game_events")] == versions


def test_events_that_break_their_contract_are_not_written(settings, monkeypatch):
    lake, good = open_lake(settings), game_event_assets.game_events
    with run(settings, GAME_NEWS_JOB) as result:
        assert result.success
    before = lake.version("core_game_events")

    def broken(notices):
        events = good(notices)
        place = events.schema.get_field_index("kind")
        return events.set_column(place, "kind", pa.array(["holiday"] * events.num_rows))

    monkeypatch.setattr(game_event_assets, "game_events", broken)
    with run(settings, GAME_NEWS_JOB) as result:
        failed = {
            (c.asset_key.to_user_string(), c.check_name)
            for c in result.get_asset_check_evaluations()
            if not c.passed
        }

    assert not result.success
    assert failed == {("core_game_events", "contract_holds")}
    assert lake.version("core_game_events") == before
