"""The pages on a published season: in both languages, safe with any name, with errors as pages."""

from __future__ import annotations

import copy
import html
import re
from datetime import date
from urllib.parse import quote

import psycopg
import pytest

from lostark_api.app import create_app
from lostark_api.http.language import get_label
from lostark_api.pages import formats, routes
from lostark_api.pages.translations import translate
from lostark_api.queries import characters as people
from lostark_api.queries import fights as questions
from lostark_api.queries import state
from lostark_api.queries.pools import read_gate_distribution
from lostark_api.queries.state import DPS_MODEL
from lostark_assets.contracts.ml import CONTEXT_PARTS, GAP_PARTS
from lostark_assets.marts.migrate import libpq_url
from lostark_assets.settings import get_settings
from lostark_ml.registry import names
from tests.serving.conftest import Client

READER = {"Accept": "text/html"}
MAX_BYTES = 300_000
EXPECTED = {
    "model_version": 3, "is_seen_in_training": False, "refusal_reason": None, "typical_dps": 90_000_000,
    "expected_dps": 100_000_000, "expected_dps_low": 80_000_000, "expected_dps_high": 130_000_000,
    "expected_percentile": 62.0, "gap_dps": 0, **{c.name: None for c in (*CONTEXT_PARTS, *GAP_PARTS)},
    "gap_crit_dps": 5_000_000, "gap_unexplained_dps": -2_000_000,
}  # fmt: skip


@pytest.fixture(scope="module")
def fight(client) -> dict:
    listed = client.get("/v1/fights?cleared=true&limit=200").json()["fights"]
    return next(row for row in listed if row["gate_id"])


@pytest.fixture(scope="module")
def character(client) -> dict:
    listed = client.get("/v1/characters?limit=200").json()["characters"]
    return max((c for c in listed if not c["is_support"]), key=lambda c: c["fights"])


def who(character: dict) -> str:
    return f"{quote(character['region'])}/{quote(character['player_name'], safe='')}"


@pytest.fixture(scope="module")
def addresses(fight, character) -> list[str]:
    id_, gate = fight["fight_id"], fight["gate_id"]
    side = quote(f"{character['region']}/{character['player_name']}", safe="")
    return [
        "/", "/?role=support&weeks=8", "/gates", f"/gates/{gate}", f"/gates/{gate}?role=support",
        f"/gates/{gate}?item_level_min=1700&item_level_max=&weeks=2", "/fights", "/fights?outcome=lost",
        "/fights?player_name=nobody", f"/fights/{id_}", "/characters", "/characters?q=zzzzz",
        f"/characters/{who(character)}", "/compare", f"/compare?a={id_}&b={id_}",
        f"/compare?a={side}&b={side}", "/model", "/status", "/upload",
    ]  # fmt: skip


def test_every_page_exists_in_both_languages_and_stays_small(client, addresses):
    for address in addresses:
        seen = set()
        for language in ("en", "ko"):
            answer = client.get(address, headers={"Accept-Language": language})
            assert answer.status_code == 200, address
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert answer.headers["content-language"] == language
            assert f'<html lang="{language}">' in answer.text
            assert len(answer.content) < MAX_BYTES
            seen.add(re.search(r"<title>(.*?)</title>", answer.text)[1])
        assert len(seen) == 2, address


def test_no_page_uses_another_host_or_inline_scripts_or_styles(client, addresses):
    for address in addresses:
        text = client.get(address).text
        for link in re.findall(r'(?:src|href|action|srcset)="([^"]*)"', text):
            assert link.startswith(("/", "#")), (address, link)
            assert not link.startswith("//")
        assert not re.search(r"<style|style=|<script(?![^>]* src=)|\son\w+=", text), address
    policy = client.get("/").headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy


def test_lang_in_the_url_wins_and_is_kept_in_links(client):
    text = client.get("/fights?outcome=won&lang=ko", headers={"Accept-Language": "en"}).text
    assert '<html lang="ko">' in text
    assert 'href="/gates?lang=ko"' in text
    assert 'href="/fights?outcome=won&amp;lang=en"' in text
    assert '<input type="hidden" name="lang" value="ko">' in text


def test_a_fight_shows_the_numbers_of_the_api(client, fight):
    report = client.get(f"/v1/fights/{fight['fight_id']}").json()
    text = client.get(f"/fights/{fight['fight_id']}?lang=en").text
    assert formats.clock(report["fight"]["duration_s"]) in text
    assert formats.damage(report["fight"]["dps"], "en") in text
    for player in report["players"]:
        assert player["player_name"] in text
        assert f"<b>{formats.damage(player['dps'], 'en')}</b>" in text


def test_only_players_of_the_fight_can_be_chosen(client, fight):
    players = client.get(f"/v1/fights/{fight['fight_id']}").json()["players"]
    last = players[-1]["player_name"]
    text = client.get(f"/fights/{fight['fight_id']}?player={quote(last)}&lang=en").text
    assert f"Details: {last}" in text
    assert client.get(f"/fights/{fight['fight_id']}?player=nobody").status_code == 404


@pytest.fixture
def edit_report(monkeypatch):
    """Changes what is known of every fight."""
    query = questions.read_report

    def change(edit) -> None:
        async def edited(now, fight_id):
            report = copy.deepcopy(await query(now, fight_id))
            edit(report)
            return report

        monkeypatch.setattr(questions, "read_report", edited)

    return change


def test_names_are_escaped(client, fight, edit_report):
    hostile = '<script>alert(1)</script>"onload="x'

    def rename(report):
        report["players"][0]["player_name"] = hostile
        report["players"][1]["player_name"] = "가" * 50_000

    edit_report(rename)
    text = client.get(f"/fights/{fight['fight_id']}?x=hostile").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "가" * 60 not in re.sub(r'="[^"]*"', "", text)


def test_expected_and_actual_dps_are_shown_side_by_side(client, fight, edit_report):
    def expect(report):
        report["players"][0]["expected"] = dict(EXPECTED)
        report["players"][1]["expected"] = EXPECTED | {"expected_dps": None, "refusal_reason": "support"}

    edit_report(expect)
    text = client.get(f"/fights/{fight['fight_id']}?x=expected&lang=en").text
    assert "80.0M–130M" in text
    assert "better than 62% of such fights" in text
    assert "+5.00M" in text
    assert "−2.00M" in text
    refused = client.get(f"/v1/fights/{fight['fight_id']}").json()["players"][1]["player_name"]
    text = client.get(f"/fights/{fight['fight_id']}?x=refused&lang=ko&player={quote(refused)}").text
    assert "서포터는 DPS로 평가하지 않습니다" in text


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/fights/nope", 404),
        ("/gates/nope", 404),
        ("/characters/EUC/nobody", 404),
        ("/no/such/page", 404),
        ("/compare?a=nope&b=nope", 404),
        ("/fights?after=%%%", 422),
        ("/gates/x?weeks=-1", 422),
        ("/fights?player_name=%00", 422),
        (f"/characters?q={'x' * 50_000}", 422),
    ],
)
def test_browsers_get_errors_as_pages(client, address, status):
    for language in ("en", "ko"):
        answer = client.get(address, headers=READER | {"Accept-Language": language})
        assert answer.status_code == status
        assert f'<html lang="{language}">' in answer.text
        assert answer.headers["cache-control"] == "no-store"


def test_other_clients_get_problem_documents_and_the_api_never_returns_pages(client):
    assert client.get("/no/such/page").headers["content-type"] == "application/problem+json"
    answer = client.get("/v1/no-such-route", headers=READER)
    assert answer.headers["content-type"] == "application/problem+json"


def test_without_a_database_a_page_says_so(tmp_path):
    settings = get_settings(home=tmp_path)
    with Client(create_app(settings, url="postgresql://x:x@127.0.0.1:1/x")) as client:
        answer = client.get("/", headers=READER | {"Accept-Language": "en"})
    assert answer.status_code == 503
    assert "can't be reached" in answer.text.replace("&#39;", "'")
    assert answer.headers["retry-after"] == "5"


def test_assets_are_immutable_and_versioned_by_their_bytes(client):
    for address in set(re.findall(r'"(/static/[^"]+)"', client.get("/").text)):
        assert re.search(r"\?v=[0-9a-f]{12}$", address)
        assert "immutable" in client.get(address).headers["cache-control"]
    assert client.get("/static/..%2Froutes.py").status_code == 404
    assert client.get("/static/routes.py").status_code == 404


def test_charts_of_a_page_exist_in_both_widths(client, fight):
    for page in (f"/fights/{fight['fight_id']}", f"/gates/{fight['gate_id']}"):
        text = client.get(f"{page}?lang=ko").text
        charts = re.findall(r'(?:srcset|src)="(/charts/[^"]+)"', text)
        for address in charts:
            answer = client.get(address.replace("&amp;", "&"))
            assert answer.status_code == 200, address
            assert answer.headers["content-type"] == "image/svg+xml"
            assert "var(--chart-" in answer.text
            assert "etag" in answer.headers
            width = int(re.search(r"width=(\d+)", address)[1])
            assert f'width="{width}"' in answer.text[:300]
    assert len(client.get(f"/fights/{fight['fight_id']}?lang=ko").text) > 0


def test_the_chart_of_a_gap_shows_its_parts(client, fight, edit_report):
    name = client.get(f"/v1/fights/{fight['fight_id']}").json()["players"][0]["player_name"]
    edit_report(lambda report: report["players"][0].update(expected=dict(EXPECTED)))
    answer = client.get(f"/charts/fights/{fight['fight_id']}/gap?player={quote(name)}&lang=en")
    assert answer.status_code == 200
    for text in ("Crit rate", "+5.00M", "−2.00M", "100M", "103M"):
        assert text in answer.text


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/charts/fights/nope/timeline", 404),
        ("/charts/gates/nope", 404),
        ("/charts/model?width=5000", 422),
        ("/charts/fights/nope/gap?player=x", 404),
    ],
)
def test_an_unknown_chart_is_a_problem_document(client, address, status):
    answer = client.get(address)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_pages_are_cached_until_the_next_publish(client, fight):
    address = f"/fights/{fight['fight_id']}?lang=en&x=kept"
    first = client.get(address)
    again = client.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert first.headers["publish-version"] == client.get("/v1/fights").headers["publish-version"]


def test_the_model_page_shows_only_its_own_history_in_the_readers_language(tmp_path, url):
    gain = (
        "MAPE 11.62 % against the champion's 13.01 %: better by 1.39 points, by at least 1.01 points where "
        "more than 0.15 points is expected (512 fights)"
    )
    changes = [
        ("2026-10-01", DPS_MODEL, 3, f"better than the champion, and no slice pays for it: {gain}"),
        ("2026-10-02", DPS_MODEL, 2, "season 3 <b>begins</b>"),
        ("2026-10-03", "lostark_play_styles", 77, "styles of the week"),
    ]
    row = (
        "INSERT INTO marts.champion_history "
        "VALUES (%s, %s, 'champion', NULL, %s, 'promote', 'promotion gate', %s, 5)"
    )
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        try:
            for change in changes:
                connection.execute(row, change)
            with Client(create_app(get_settings(home=tmp_path), url=url)) as client:
                known = client.get("/v1/model").json()
                korean, english = (client.get(f"/model?lang={lang}").text for lang in ("ko", "en"))
        finally:
            connection.execute("DELETE FROM marts.champion_history")

    assert known["champion_version"] == 2
    assert {change["model_name"] for change in known["history"]} == {DPS_MODEL} == {names.DPS_MODEL}
    assert "더 나은 모델. 평균 오차 11.62%" in korean
    assert "better by" not in korean
    assert "주체: 승격 심사" in korean
    assert '<p lang="en">season 3 &lt;b&gt;begins&lt;/b&gt;</p>' in korean
    assert gain in html.unescape(english)


def test_a_gate_with_too_few_players_per_spec_differs_from_one_without_players(client, fight, monkeypatch):
    address = f"/gates/{fight['gate_id']}?lang=en"

    async def nobody(now, pool):
        return []

    async def few(now, pool):
        specs = await read_gate_distribution(now, pool)
        return [spec | {"p50": None} for spec in specs]

    monkeypatch.setattr(routes, "read_gate_distribution", few)
    text = client.get(f"{address}&x=few").text
    assert translate("en", "empty.few") in html.unescape(text)
    monkeypatch.setattr(routes, "read_gate_distribution", nobody)
    assert translate("en", "empty.specs") in html.unescape(client.get(f"{address}&x=nobody").text)


def test_a_character_without_progress_gets_a_text_instead_of_an_empty_table(client, character, monkeypatch):
    query = people.read_character

    async def unprogressed(now, region, player_name):
        return await query(now, region, player_name) | {"progress": []}

    assert translate("en", "empty.progress") not in client.get(f"/characters/{who(character)}?lang=en").text
    monkeypatch.setattr(people, "read_character", unprogressed)
    text = client.get(f"/characters/{who(character)}?lang=en&x=none").text
    assert translate("en", "empty.progress") in text


def test_codes_of_a_log_are_translated_on_its_report(client, fight):
    korean = client.get(f"/fights/{fight['fight_id']}?lang=ko").text
    assert re.search("LOA Logs (데이터베이스|업로드), 타격 단위, 미터기", korean)
    assert "loa_logs_db" not in korean


def test_slices_of_the_evaluation_are_labelled_with_game_terms(client, fight, monkeypatch):
    query = state.read_model
    gate = " ".join(fight[name] for name in ("raid_name", "gate_name", "difficulty"))
    parts = [("gate_difficulty", gate), ("spec_name", "Reflux"), ("character", "new"), ("overall", "overall")]
    figures = {"predictor": "challenger", "predictor_version": 4, "rows": 9, "mape": 0.1, "coverage": 0.9}
    when = {"cutoff_at": date(2026, 10, 1), "until_at": date(2026, 10, 8), "bias_log": 0.0}

    async def tested(now):
        rows = [{"slice": name, "value": value, **figures, **when} for name, value in parts]
        return await query(now) | {"evaluation": rows}

    monkeypatch.setattr(state, "read_model", tested)
    korean = client.get("/model?lang=ko&x=parts").text
    for words_of_the_game in (get_label("raid", fight["raid_name"], "ko"), "환류", "새 캐릭터", "도전 모델"):
        assert words_of_the_game in korean
    assert gate not in korean


def test_a_fight_has_a_one_line_description_for_link_previews(client, fight):
    text = client.get(f"/fights/{fight['fight_id']}?lang=ko").text
    [line] = re.findall('<meta property="og:description" content="(.*?)">', text)
    assert line.startswith(f"클리어 · {formats.clock(fight['duration_s'])} · 공대 DPS ")
    assert '<meta name="description"' in client.get("/").text


def test_a_skill_without_a_name_is_shown_by_its_id(client, fight, monkeypatch):
    query = questions.read_skills

    async def unnamed(*arguments):
        return [skill | {"skill_name": None, "skill_id": 4711} for skill in await query(*arguments)]

    monkeypatch.setattr(questions, "read_skills", unnamed)
    assert "스킬 4711" in client.get(f"/fights/{fight['fight_id']}?lang=ko&x=unnamed").text
