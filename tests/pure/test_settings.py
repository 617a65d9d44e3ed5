"""Settings come from the environment, and a wrong one says which, what was found and what is expected."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lostark_assets.errors import SettingsError
from lostark_assets.settings import PREFIX, Settings, get_settings


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in [name for name in os.environ if name.upper().startswith(PREFIX)]:
        monkeypatch.delenv(name)


def test_without_variables_everything_lives_in_one_folder_of_the_project():
    settings = get_settings()

    assert settings.home == Path(__file__).resolve().parents[2] / ".lostark"
    assert settings.lake_url == str(settings.home / "lake")
    assert settings.dagster_home.parent == settings.home
    assert settings.sources == ()
    assert settings.postgres_url is None


def test_the_lake_follows_the_home_and_a_relative_home_becomes_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOSTARK_HOME", "data")

    assert get_settings().home == tmp_path / "data"
    assert get_settings().lake_url == str(tmp_path / "data/lake")


def test_an_object_store_address_is_left_as_it_is():
    assert get_settings(lake_url="s3://bucket/lake").lake_url == "s3://bucket/lake"


def test_sources_are_separated_like_the_search_path(monkeypatch):
    monkeypatch.setenv("LOSTARK_SOURCES", os.pathsep.join(["/logs/encounters.db", "", "/my logs"]))

    assert get_settings().sources == (Path("/logs/encounters.db"), Path("/my logs"))


def test_sizes_take_units_and_an_empty_variable_is_no_variable(monkeypatch):
    monkeypatch.setenv("LOSTARK_BATCH_BYTES", "128MiB")
    monkeypatch.setenv("LOSTARK_ENGINE", "")

    assert get_settings().batch_bytes == 128 * 1024 * 1024
    assert get_settings().engine == "polars"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_postgres_addresses_always_name_their_driver(scheme):
    settings = get_settings(postgres_url=f"{scheme}://user:word@host/db")

    assert settings.postgres_url.get_secret_value() == "postgresql+psycopg2://user:word@host/db"


@pytest.mark.parametrize(
    ("variable", "found", "expected"),
    [
        ("LOSTARK_ENGINE", "spork", "'polars' or 'pandas'"),
        ("LOSTARK_MAX_FIGHT_S", "two hours", "a whole number"),
        ("LOSTARK_MAX_FIGHT_S", "0", "greater than 0"),
        ("LOSTARK_DAGSTER_PORT", "99999", "less than or equal to 65535"),
        ("LOSTARK_BATCH_BYTES", "12 potatoes", "a size like 128MiB"),
        ("LOSTARK_EARLIEST_FIGHT_DATE", "2022-13-01", "a date like 2022-01-01"),
    ],
)
def test_a_wrong_value_names_the_variable_the_found_and_the_expected(monkeypatch, variable, found, expected):
    monkeypatch.setenv(variable, found)

    with pytest.raises(SettingsError, match=variable) as caught:
        get_settings()
    assert f"found '{found}'" in str(caught.value)
    assert f"expected {expected}" in str(caught.value)


def test_every_wrong_value_is_named_at_once(monkeypatch):
    monkeypatch.setenv("LOSTARK_ENGINE", "spork")
    monkeypatch.setenv("LOSTARK_MAX_FIGHT_S", "x")

    with pytest.raises(SettingsError, match=r"LOSTARK_ENGINE.*LOSTARK_MAX_FIGHT_S"):
        get_settings()


@pytest.mark.parametrize("variable", ["LOSTARK_POSTGRES_URL", "LOSTARK_DAGSTER_POSTGRES_URL"])
def test_a_secret_is_never_shown(monkeypatch, variable):
    monkeypatch.setenv(variable, "mysql://root:hunter2@host/db")

    with pytest.raises(SettingsError, match=variable) as caught:
        get_settings()
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_secret_is_not_in_the_representation():
    assert "hunter2" not in repr(get_settings(postgres_url="postgresql://u:hunter2@host/db"))


def test_settings_are_read_anew_and_can_not_be_changed(monkeypatch):
    first = get_settings()
    monkeypatch.setenv("LOSTARK_ENGINE", "pandas")

    assert get_settings().engine == "pandas"
    assert first.engine == "polars"
    with pytest.raises(ValueError, match="frozen"):
        first.engine = "pandas"


def test_every_setting_says_what_it_is():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    "text", ["abc.def, bearer ghi.jkl", "abc.def ghi.jkl", "Bearer abc.def,Bearer ghi.jkl,"]
)
def test_keys_of_the_open_api_are_a_list_and_never_shown(monkeypatch, text):
    monkeypatch.setenv("LOSTARK_OPEN_API_KEYS", text)
    settings = get_settings()

    assert [key.get_secret_value() for key in settings.open_api_keys] == ["abc.def", "ghi.jkl"]
    assert "ghi.jkl" not in repr(settings)


def test_a_wrong_key_or_address_of_the_open_api_is_named_and_the_key_hidden(monkeypatch):
    monkeypatch.setenv("LOSTARK_OPEN_API_KEYS", "열쇠-hunter2")
    monkeypatch.setenv("LOSTARK_OPEN_API_URL", "ftp://x")

    with pytest.raises(SettingsError, match=r"LOSTARK_OPEN_API_URL.*LOSTARK_OPEN_API_KEYS") as caught:
        get_settings()
    assert "hunter2" not in str(caught.value)


def test_regions_of_the_open_api_are_words(monkeypatch):
    assert get_settings().open_api_regions == ("KR", "unknown")
    monkeypatch.setenv("LOSTARK_OPEN_API_REGIONS", "KR, NAE")

    assert get_settings().open_api_regions == ("KR", "NAE")
