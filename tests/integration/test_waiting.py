"""Counting what waits on a real lake and a real PostgreSQL, from uploads to published and refused logs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from pydantic import SecretStr

from lostark_assets.automation.backlog import read_backlog
from lostark_assets.automation.waiting import WaitingLogs, record_backlog
from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.pipeline import clean_days
from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.errors import DatabaseUnavailable
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.ledger import open_ledger
from lostark_assets.marts.migrate import libpq_url
from lostark_assets.marts.publish import find_pending, publish, published_among
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.collect import collect
from lostark_assets.sources.configured import open_landing
from lostark_assets.sources.landing import Ticket
from lostark_assets.sources.loa_logs_db import LoaLogsDb
from lostark_assets.stats.pipeline import compute_days
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights

TICK = timedelta(seconds=15)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with embedded_postgres(get_settings(home=tmp_path_factory.mktemp("home"))) as databases:
        yield databases.lostark


class Platform:
    """A lake whose logs are collected, cleaned and published step by step; ticks are 15 s apart."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.settings, self.url = settings, url
        self.lake = open_lake(settings)
        self.logs = WaitingLogs(self.lake, settings)
        self.now = datetime.now(UTC)

    def tick(self) -> tuple[int, int]:
        self.now += TICK
        figure = record_backlog(self.logs, self.settings, 0, self.now)
        assert figure == read_backlog(open_ledger(self.settings), self.now)
        return figure.uploads_waiting, figure.logs_waiting

    def collect(self, seed: int, *, dirt: bool = False) -> int:
        path = self.settings.home / f"{seed}.db"
        path.parent.mkdir(exist_ok=True)
        start = date(2026, 10, 5) + timedelta(days=seed)
        season = SeasonConfig(encounters=8, seed=seed, days=1, start=start, hits_per_player=10, dirt=dirt)
        write_encounters_db(path, generate_fights(season))
        return collect(LoaLogsDb(path, path.stem), self.lake, run_id="test", earliest=date(2022, 1, 1)).new

    def clean(self) -> int:
        """The number of logs that were refused as a whole."""
        clean_days(self.lake, None, Rules(), run_id="test")
        return self.lake.read("core_quarantine", columns=["scope"])["scope"].to_pylist().count("log")

    def publish(self) -> None:
        compute_days(self.lake, set(self.lake.days("core_encounters")), "polars", run_id="test")
        publish(self.lake, self.url, find_pending(self.lake, self.url).days)


@pytest.fixture
def platform(tmp_path, server) -> Platform:
    with psycopg.connect(libpq_url(server), autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS marts CASCADE")
    return Platform(get_settings(home=tmp_path / "home", postgres_url=SecretStr(server)), server)


def test_logs_wait_from_collection_until_they_are_published_or_refused(platform: Platform) -> None:
    assert platform.tick() == (0, 0)
    collected = platform.collect(1, dirt=True)
    assert platform.tick() == (0, collected)
    refused = platform.clean()
    assert 0 < refused < collected
    assert platform.tick() == (0, collected - refused)
    platform.publish()
    assert platform.tick() == (0, 0)

    figure = read_backlog(open_ledger(platform.settings), platform.now)
    assert figure.state == "up_to_date"
    assert figure.logs_in_per_minute == figure.logs_out_per_minute == pytest.approx(collected / 0.75)


def test_only_what_was_written_since_all_was_published_is_compared(platform: Platform, monkeypatch) -> None:
    platform.collect(1)
    platform.clean(), platform.publish()
    platform.tick()
    published_until = platform.now
    platform.collect(2)
    read = []
    rows_written = Lake.rows_written
    monkeypatch.setattr(Lake, "rows_written", lambda *given: read.append(given[-1]) or rows_written(*given))

    assert platform.tick() == (0, 8)
    assert read == [published_until - timedelta(minutes=15)]


def test_the_oldest_of_uploads_and_logs_is_the_oldest(platform: Platform) -> None:
    received = datetime(2026, 11, 30, tzinfo=UTC)
    landing = open_landing(platform.settings)
    ticket, path = landing.begin("a.json")
    path.write_text("{}")
    landing.accept(Ticket(ticket, "a.json", "upload:json", "upload_json", 2, "", received))
    platform.collect(1)

    assert platform.tick() == (1, 8)
    figure = read_backlog(open_ledger(platform.settings), platform.now)
    assert figure.oldest_waits_since == received
    assert figure.oldest_waits_s == (platform.now - received).total_seconds()


def test_a_fight_dated_tomorrow_does_not_wait_before_its_day(platform: Platform) -> None:
    platform.collect(1)
    platform.now = datetime(2026, 10, 5, 12, tzinfo=UTC)
    assert platform.tick() == (0, 0)

    platform.logs = WaitingLogs(platform.lake, platform.settings)
    platform.now = datetime(2026, 10, 7, 12, tzinfo=UTC)
    assert platform.tick() == (0, 8)


def test_a_process_that_starts_finds_what_waited_before(platform: Platform) -> None:
    platform.collect(1)
    platform.tick()
    platform.logs = WaitingLogs(platform.lake, platform.settings)

    assert platform.tick() == (0, 8)


def test_an_idle_platform_reads_neither_lake_nor_database(platform: Platform, monkeypatch) -> None:
    platform.collect(1)
    platform.clean(), platform.publish()
    assert platform.tick() == (0, 0)
    monkeypatch.setattr(Lake, "read", lambda *_, **__: pytest.fail("the lake was read"))
    monkeypatch.setattr(Lake, "rows_written", lambda *_, **__: pytest.fail("the lake was read"))
    monkeypatch.setattr(
        "lostark_assets.automation.waiting.published_among", lambda *_: pytest.fail("the database was read")
    )

    assert platform.tick() == (0, 0)


def test_without_a_database_there_is_no_sample_rather_than_a_wrong_one(platform: Platform) -> None:
    platform.collect(1)
    platform.settings = platform.settings.model_copy(
        update={"postgres_url": SecretStr("postgresql+psycopg2://nobody@127.0.0.1:9/nothing")}
    )
    platform.logs = WaitingLogs(platform.lake, platform.settings)

    with pytest.raises(DatabaseUnavailable):
        platform.tick()
    assert open_ledger(platform.settings).backlog_samples() == []


def test_many_and_few_ids_are_found_alike(platform: Platform, monkeypatch) -> None:
    platform.collect(1)
    platform.clean(), platform.publish()
    ids = platform.lake.read("core_encounters", columns=["encounter_id"])["encounter_id"].to_pylist()
    few = published_among(platform.url, [*ids, "unknown"])
    monkeypatch.setattr("lostark_assets.marts.publish._MAX_IDS", 1)

    assert few == published_among(platform.url, [*ids, "unknown"]) == set(ids)
    assert published_among(platform.url, ids[:2]) == set(ids[:2])
