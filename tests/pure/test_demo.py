"""The demo is settings and one more process; with a source configured there is none."""

from __future__ import annotations

import pytest

from lostark_assets.dagster.schedules import automation_schedules
from lostark_assets.definitions import build_defs
from lostark_assets.settings import get_settings
from lostark_assets.sources.configured import configured_origins, has_demo
from lostark_ml.definitions import build_defs as build_model_defs
from lostark_platform.services.demo import demo_variables, is_demo, mock_server_service
from lostark_platform.services.initial_data import report_initial_data


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LOSTARK_HOME", str(tmp_path / "home"))
    for name in ("LOSTARK_SOURCES", "LOSTARK_BATTLE_LOG_URLS", "LOSTARK_OPEN_API_KEYS"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_source_demo_mode_is_on():
    assert is_demo(get_settings())
    assert configured_origins(get_settings()) == []


@pytest.mark.parametrize(
    ("variable", "value"), [("SOURCES", "/logs"), ("BATTLE_LOG_URLS", "https://logs.example")]
)
def test_a_configured_source_switches_the_demo_off(monkeypatch, variable, value):
    monkeypatch.setenv(f"LOSTARK_{variable}", value)

    assert not is_demo(get_settings())
    assert not has_demo(get_settings())


def test_the_demo_is_the_settings_that_would_name_a_real_service(monkeypatch):
    for name, value in demo_variables(get_settings(), 8751).items():
        monkeypatch.setenv(name, value)

    [origin] = configured_origins(get_settings())

    assert (origin.name, origin.url) == ("demo", "http://127.0.0.1:8751")
    assert get_settings().open_api_url == "http://127.0.0.1:8751/open-api"
    assert {one.name for one in automation_schedules(get_settings())} == {
        "upkeep_of_the_lake",
        "profiles_of_players",
        "news_of_the_game",
    }
    assert has_demo(get_settings())


def test_a_key_of_the_real_open_api_is_used_for_the_real_one():
    settings = get_settings(open_api_keys="real")

    assert not any("OPEN_API" in name for name in demo_variables(settings, 8751))


def test_without_a_key_the_open_api_is_never_requested():
    assert [one.name for one in automation_schedules(get_settings())] == ["upkeep_of_the_lake"]


def get_specs(settings):
    """Of both code locations, without the stubs of each other's assets."""
    both = [build_defs(settings=settings), build_model_defs(settings=settings)]
    return [spec for defs in both for spec in defs.resolve_all_asset_specs() if spec.owners]


def test_the_demo_is_named_on_every_asset():
    plain = get_specs(get_settings())
    marked = get_specs(get_settings(battle_log_urls=("demo=http://127.0.0.1:8751",)))

    assert not any("Demo" in (spec.description or "") for spec in plain)
    assert all((spec.description or "").startswith("**Demo data, synthetic.**") for spec in marked)
    assert all(spec.tags["data"] == "demo" for spec in marked)


def test_the_mock_server_is_expendable():
    service = mock_server_service(get_settings(), 8751)

    assert service.is_expendable
    assert service.argv[-8:-4] == ["simulate", "serve", "--port", "8751"]
    assert service.argv[-4:] == ["--days", "56", "--hits-per-player", "100"]


def test_a_start_reports_demo_mode_and_waits_at_most_ten_minutes():
    reports, slept = [], []
    report_initial_data(get_settings(), reports.append, sleep=slept.append)

    assert "demo data" in reports[0]
    assert sum(slept) == 600
    assert "no statistics yet" in reports[-1]


def test_a_start_reports_a_missing_source(tmp_path):
    reports = []
    report_initial_data(get_settings(sources=(tmp_path / "gone.db",)), reports.append, sleep=lambda _: None)

    assert "gone.db" in reports[0]
    assert not any("demo" in text for text in reports)
