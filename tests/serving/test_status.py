"""The backlog at GET /v1/status, on its page and in tickets: live, and never an old zero."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from lostark_api.app import create_app
from lostark_api.queries.backlog import describe_backlog, describe_wait
from lostark_api.schemas.backlog import Status
from lostark_api.schemas.uploads import UploadTicket
from lostark_assets.automation.backlog import Backlog
from lostark_assets.automation.backlog_text import word_state
from lostark_assets.ledger import BacklogSample, open_ledger
from lostark_assets.settings import Settings, get_settings
from tests.serving.conftest import Client

STATES = ("up_to_date", "catching_up", "falling_behind", "unknown")


@pytest.fixture
def settings(tmp_path) -> Settings:
    return get_settings(home=tmp_path / "home")


@pytest.fixture
def live(settings, url) -> Iterator[Client]:
    with Client(create_app(settings, url=url)) as client:
        client.get("/readyz")
        yield client


def record(settings: Settings, *waiting: int, age_s: float = 0, uploads: int = 0) -> None:
    """Samples a minute apart, the last ``age_s`` ago; nothing arrives after the first."""
    now = datetime.now(UTC) - timedelta(seconds=age_s)
    began = now - timedelta(minutes=len(waiting) - 1)
    for n, count in enumerate(waiting):
        at = began + timedelta(minutes=n)
        oldest = began if count + uploads else None
        open_ledger(settings).record_backlog(BacklogSample(at, began, uploads, count, oldest, 2, 500))


def read(client: Client, language: str = "en") -> Status:
    response = client.get(f"/v1/status?lang={language}")
    assert response.headers["cache-control"] == "no-store"
    return Status.model_validate_json(response.content)


def test_the_figure_is_live_and_in_the_readers_language(live, settings):
    assert read(live).backlog.state == "unknown"
    assert read(live).backlog.logs_waiting is None
    record(settings, 100, 80, 60, 40)
    status = read(live)

    assert status.publish_version > 0
    assert status.newest_fight_at is not None
    assert (status.backlog.state, status.backlog.words) == ("catching_up", "catching up, about 2 min")
    assert (status.backlog.logs_waiting, status.backlog.runs_queued) == (40, 2)
    assert (status.backlog.logs_in_per_minute, status.backlog.logs_out_per_minute) == (0, 20)
    assert status.backlog.oldest_waits_s == 180
    assert read(live, "ko").backlog.words == "밀린 로그 처리 중, 약 2분 남음"


def test_an_old_figure_is_said_to_be_old_and_not_zero(live, settings):
    record(settings, 100, 40, age_s=600)
    backlog = read(live).backlog

    assert (backlog.state, backlog.logs_waiting, backlog.estimate_s) == ("unknown", 40, None)
    assert "not observed lately" in backlog.words


@pytest.mark.parametrize(("language", "words"), [("en", "falling behind"), ("ko", "지연 중")])
def test_the_page_shows_it_without_scripts_and_without_a_cache(live, settings, language, words):
    assert live.get(f"/status?lang={language}").headers["cache-control"] == "no-store"
    record(settings, *[1234] * 8, uploads=3)
    page = live.get(f"/status?lang={language}").text

    assert words in page
    assert '<dd data-figure="logs_waiting">1,234</dd>' in page
    assert '<dd data-figure="uploads_waiting">3</dd>' in page
    assert '<dd data-figure="oldest_waits_s">7:00</dd>' in page


def send(client: Client, number: int) -> str:
    body = json.dumps({"entities": {}, "fightStart": 1760000000000 + number})
    return client.request("POST", "/v1/battle-logs?name=a.json", content=body).headers["Location"]


def follow(client: Client, where: str, language: str = "en") -> UploadTicket:
    return UploadTicket.model_validate_json(client.get(f"{where}?lang={language}").content)


def test_a_ticket_has_its_place_an_estimate_and_the_figure(live, settings):
    first, second = send(live, 1), send(live, 2)
    ticket = follow(live, second)
    assert (ticket.uploads_before, ticket.estimate_s) == (1, None)
    assert ticket.estimate == "unknown: not observed lately"

    record(settings, 0)
    ticket = follow(live, first)
    assert (ticket.uploads_before, ticket.estimate_s, ticket.estimate) == (0, 5, "about 5 s")
    assert ticket.backlog.state == "up_to_date"
    assert follow(live, second, "ko").estimate == "약 10초"


def test_a_ticket_has_no_estimate_while_the_platform_falls_behind(live, settings):
    where = send(live, 1)
    record(settings, *[10] * 8, uploads=2)
    ticket = follow(live, where)

    assert (ticket.estimate_s, ticket.backlog.state) == (None, "falling_behind")
    assert ticket.estimate == ticket.backlog.words


@pytest.mark.parametrize("state", STATES)
def test_each_state_has_words_in_both_languages(state):
    backlog = Backlog(state, 1, 2, estimate_s=200.0)
    english, korean = (describe_backlog(backlog, language)["words"] for language in ("en", "ko"))

    assert english == word_state(backlog)
    assert any("가" <= letter <= "힣" for letter in korean)
    assert ("3 min" in english) == ("3분" in korean) == (state == "catching_up")


def test_an_upload_that_takes_longer_than_estimated_is_told_so():
    idle = Backlog("up_to_date", 1, 0)

    assert describe_wait(idle, 0, 1.0, "en") == {"estimate_s": 5.0, "estimate": "about 5 s"}
    assert describe_wait(idle, 0, 90.0, "en") == {"estimate_s": None, "estimate": "takes longer than usual"}
    assert describe_wait(idle, 0, 90.0, "ko")["estimate"] == "평소보다 오래 걸리고 있습니다"
