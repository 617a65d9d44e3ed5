"""A player uploads the meter's own file on the page, and the fight report shows the meter's numbers.

Sensors are evaluated and the runs that they request are executed, as in production.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lostark_api.http.language import get_label
from lostark_api.pages.translations import translate
from lostark_assets.dagster.sensors import automation_sensors
from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.definitions import build_defs
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.ledger import BacklogSample, open_ledger
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.configured import open_landing
from tests.browser.conftest import served

DATA = Path(os.environ.get("LOSTARK_REAL_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
DATABASE = DATA / "loa_logs" / "encounters.db"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
FIGURES = ("words", "uploads_waiting", "oldest_waits_s", "runs_queued")
pytestmark = pytest.mark.browser


@dataclass
class Platform:
    """Sensors and jobs on a real instance, beside a web server that knows nothing of them."""

    settings: Settings
    site: str
    lake: Lake
    instance: dg.DagsterInstance
    cursors: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.defs = build_defs(settings=self.settings)
        self.sensors = {s.name: s for s in automation_sensors()}
        self.thread = ThreadPoolExecutor(1)

    def work(self, sensor: str) -> list[str]:
        """Tick ``sensor`` and run what it requests; the names of those jobs.

        In a thread of its own: Playwright's event loop counts as running in the test's.
        """
        return self.thread.submit(self._work, sensor).result(280)

    def _work(self, name: str) -> list[str]:
        sensor = self.sensors[name]
        resources = {"lake": self.lake, "settings": self.settings}
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(name), resources=resources
        ) as context:
            tick = sensor.evaluate_tick(context)
        self.cursors[name] = tick.cursor
        done = []
        for request in tick.run_requests or []:
            job = request.job_name or sensor.job_name
            tags = {**request.tags, "dagster/run_key": request.run_key}
            run = self.defs.resolve_job_def(job).execute_in_process(
                instance=self.instance, tags=tags, run_config={**request.run_config, **QUIET}
            )
            assert run.success
            done.append(job)
        return done


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    # Not in pytest's folder, which another pytest closes to PostgreSQL's user while the server runs.
    with (
        tempfile.TemporaryDirectory(prefix="lostark-upload-") as home,
        dg.DagsterInstance.local_temp() as instance,
    ):
        settings = get_settings(home=Path(home))
        with embedded_postgres(settings) as databases, served(settings, databases.lostark) as site:
            yield Platform(settings, site, open_lake(settings), instance)


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    contexts = []

    def open_page(language: str, width: int = 1280) -> Any:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, locale=language))
        return contexts[-1].new_page()

    yield open_page
    for context in contexts:
        context.close()


def send(page: Any, site: str, file: Path) -> None:
    page.goto(f"{site}/upload")
    page.locator("input[type=file]").set_input_files(file)
    page.locator("form[data-upload] button").click()


def waits_for(page: Any, sentence: str) -> None:
    whole = re.compile(f"^{re.escape(sentence)}$")
    page.locator("[data-upload-text]", has_text=whole).wait_for(timeout=60_000)


def results(page: Any) -> list[str]:
    return page.locator("[data-upload-list] li").all_inner_texts()


def is_too_wide(page: Any) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > innerWidth")


def stored_by_the_meter() -> list[tuple[int, dict[str, int]]]:
    """Start (ms) and DPS by player of every encounter, newest first, with the standard library alone."""
    with closing(sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True)) as connection:
        starts = connection.execute(
            "SELECT id, fight_start FROM encounter_preview ORDER BY 2 DESC"
        ).fetchall()
        question = "SELECT name, dps FROM entity WHERE encounter_id = ? AND entity_type = 'PLAYER'"
        return [(at, dict(connection.execute(question, [number]))) for number, at in starts]


def read_by_a_person(text: str) -> float:
    """22.1M is 22,100,000."""
    size = {"k": 1e3, "M": 1e6, "B": 1e9}.get(text[-1], 1)
    return float(text.rstrip("kMB").replace(",", "")) * size


@pytest.mark.real_data
@pytest.mark.skipif(not DATABASE.exists(), reason=f"no {DATABASE}; set LOSTARK_REAL_DATA")
def test_a_real_database_becomes_fight_reports_with_the_numbers_that_the_meter_stored(platform, opened):
    page = opened("en")
    send(page, platform.site, DATABASE)
    waits_for(page, translate("en", "upload.received"))
    assert platform.work("new_battle_logs") == ["ingest"]
    waits_for(page, translate("en", "upload.published"))
    assert platform.work("due_across_days") == ["across_days"]

    address_of_ticket = page.url
    summary = page.locator("[data-upload-logs]").inner_text()
    assert summary == "5 logs: 5 new, 0 already known. 5 became fights, 0 were refused."
    assert [line.split(" · ")[0] for line in results(page)] == [
        "Guardian Raids Sonavel", "Akkan G3", "Valtan G1", "Valtan G1", "Clown G1",
    ]  # fmt: skip
    stored = stored_by_the_meter()
    reports = page.locator("[data-upload-list] a").evaluate_all("links => links.map(link => link.href)")
    assert len(reports) == len(stored) == 5
    for address, (started_at_ms, dps) in zip(reports, stored, strict=True):
        page.goto(address)
        instant = page.locator("main time").first.get_attribute("datetime")
        assert round(datetime.fromisoformat(instant).timestamp() * 1000) == started_at_ms
        shown = page.locator("table.meter tbody tr").evaluate_all(
            "rows => rows.map(({cells: [who, dps]}) => "
            "[who.querySelector('a').textContent, Number(dps.dataset.value), dps.textContent.trim()])"
        )
        assert {name: value for name, value, _ in shown} == dps
        for _, value, text in shown:
            assert abs(read_by_a_person(text) - value) <= 0.005 * value, (text, value)

    phone = opened("ko", 390)
    phone.goto(address_of_ticket)
    waits_for(phone, translate("ko", "upload.published"))
    assert results(phone)[2].startswith(f"{get_label('raid', 'Valtan', 'ko')} 1관문 · ")
    assert phone.locator("[data-upload-logs]").inner_text().startswith("로그 5개: 신규 5개")
    assert not is_too_wide(phone)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_an_unknown_format_is_refused_in_the_readers_language(platform, opened, tmp_path, language):
    file = tmp_path / "holiday.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    page = opened(language, 390)
    send(page, platform.site, file)
    waits_for(page, translate(language, "upload.not_ours"))
    assert "none of their signatures" in results(page)[0]
    assert "#ticket" not in page.url
    assert not is_too_wide(page)


def test_a_log_that_cleaning_refuses_is_shown_with_its_reason_in_the_readers_language(
    platform, opened, tmp_path
):
    file = tmp_path / "broken.json"
    file.write_text(json.dumps({"entities": {}, "fightStart": 1760000000000}))
    platform.work("due_marts")
    page = opened("ko", 390)
    send(page, platform.site, file)
    waits_for(page, translate("ko", "upload.received"))
    page.locator("[data-upload-wait]", has_text="게시 예상: 약 5초.").wait_for(timeout=10_000)
    assert platform.work("new_battle_logs") == ["ingest"]
    waits_for(page, translate("ko", "upload.refused"))
    [reason] = platform.lake.read("core_quarantine", columns=["reason_code"])["reason_code"].to_pylist()
    assert results(page) == [f"{translate('ko', f'quarantine.{reason}')} ({reason}: 1)"]
    assert not is_too_wide(page)


def test_the_status_page_follows_the_backlog(platform, opened):
    page = opened("en")
    page.clock.install()
    page.goto(f"{platform.site}/status")
    now = datetime.now(UTC)
    oldest = now - timedelta(seconds=125)
    open_ledger(platform.settings).record_backlog(BacklogSample(now, now, 3, 1234, oldest, 2, 9))
    page.clock.fast_forward(11_000)

    page.locator("[data-figure=logs_waiting]", has_text="1,234").wait_for(timeout=10_000)
    shown = {name: page.locator(f"[data-figure={name}]").inner_text() for name in FIGURES}
    assert shown == dict(zip(FIGURES, ("catching up", "3", "2:05", "2"), strict=True))


def test_an_unknown_ticket_is_reported(platform, opened):
    page = opened("ko")
    page.goto(f"{platform.site}/upload#ticket={'0' * 32}")
    waits_for(page, translate("ko", "upload.unknown"))


def test_a_table_is_uploaded_with_the_raid_and_gate_of_the_form(platform, opened, tmp_path):
    file = tmp_path / "players.csv"
    lines = ["id,dps,duration,timestamp,class,spec,name"]
    lines += [f"{n},1000,300000,1760000000000,Bard,Desperate Salvation,P{n}" for n in range(2)]
    file.write_text("\n".join(lines))
    page = opened("en")
    page.goto(f"{platform.site}/upload")
    page.locator("form summary").click()
    for name, value in {"raid": "Aegir", "gate": "G1", "difficulty": "Hard"}.items():
        page.locator(f"input[name={name}]").fill(value)
    page.locator("input[type=file]").set_input_files(file)
    page.locator("form[data-upload] button").click()
    waits_for(page, translate("en", "upload.received"))
    [waiting] = open_landing(platform.settings).waiting()
    assert waiting.ticket.arguments == {"raid": "Aegir", "gate": "G1", "difficulty": "Hard"}
