"""The API on a published season: the lake's numbers, the documented schemas, and clear errors."""

from __future__ import annotations

import asyncio
import io
import re
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl
import pytest

from lostark_api.app import _stop, create_app
from lostark_api.schemas.characters import (
    CharacterComparison,
    CharacterHistory,
    CharacterPage,
    CharacterReport,
)
from lostark_api.schemas.fights import FightComparison, FightPage, FightReport, FightSkills, FightTimeline
from lostark_api.schemas.gates import GateDistribution, GateList, GateWeeks, TierList
from lostark_api.schemas.problems import ProblemDetails
from lostark_api.schemas.progression import ProgressionPage, ProgressionSummary
from lostark_api.schemas.state import ModelState, Publications, Quality
from lostark_assets.marts.publish import publish
from lostark_assets.settings import get_settings
from tests.serving.conftest import Client

POOL = (
    pl.col("is_counted")
    & pl.col("is_cleared")
    & (pl.col("is_dead").fill_null(value=False).not_())
    & pl.col("spec_name").is_not_null()
)


@pytest.fixture(scope="module")
def players(lake) -> pl.DataFrame:
    return pl.from_arrow(lake.read("stats_player_dps"))


@pytest.fixture(scope="module")
def fights(client) -> list[dict]:
    return client.get("/v1/fights?limit=200").json()["fights"]


@pytest.fixture(scope="module")
def character(client) -> dict:
    return max(client.get("/v1/characters?limit=200").json()["characters"], key=lambda c: c["fights"])


def get_path(character: dict) -> str:
    return f"/v1/characters/{quote(character['region'])}/{quote(character['player_name'])}"


def shapes(fights: list[dict], character: dict) -> dict[str, type]:
    fight, gate = fights[0]["fight_id"], fights[0]["gate_id"]
    who = quote(f"{character['region']}/{character['player_name']}", safe="")
    return {
        "/v1/gates": GateList,
        f"/v1/gates/{gate}/distribution": GateDistribution,
        f"/v1/gates/{gate}/weeks": GateWeeks,
        "/v1/tier-list": TierList,
        "/v1/tier-list?role=support": TierList,
        "/v1/fights": FightPage,
        f"/v1/fights/{fight}": FightReport,
        f"/v1/fights/{fight}/skills": FightSkills,
        f"/v1/fights/{fight}/timeline": FightTimeline,
        f"/v1/compare/fights?a={fight}&b={fight}": FightComparison,
        "/v1/characters": CharacterPage,
        get_path(character): CharacterReport,
        f"{get_path(character)}/history": CharacterHistory,
        f"/v1/compare/characters?a={who}&b={who}": CharacterComparison,
        "/v1/progression": ProgressionSummary,
        f"/v1/progression/{gate}": ProgressionPage,
        "/v1/quality": Quality,
        "/v1/model": ModelState,
        "/v1/publications": Publications,
    }


def test_every_response_matches_its_documented_schema(client, fights, character):
    for path, model in shapes(fights, character).items():
        response = client.get(path)
        assert response.status_code == 200, path
        model.model_validate_json(response.content)


def test_pages_of_fights_are_all_counted_fights_each_once_newest_first(client, players):
    seen, path = [], "/v1/fights?limit=7"
    while path:
        page = client.get(path).json()
        seen += page["fights"]
        path = page["next_cursor"] and f"/v1/fights?limit=7&after={page['next_cursor']}"

    counted = players.filter("is_counted").select("fight_id").unique()
    assert sorted(f["fight_id"] for f in seen) == sorted(counted["fight_id"])
    starts = [datetime.fromisoformat(f["fight_started_at"]) for f in seen]
    assert starts == sorted(starts, reverse=True)


@pytest.mark.parametrize("cleared", [True, False])
def test_filters_of_fights_combine(client, players, cleared):
    chosen = players.filter("is_counted", pl.col("is_cleared") == cleared, spec_name="Reflux")
    found = client.get(f"/v1/fights?limit=200&cleared={cleared}&spec_name=Reflux").json()["fights"]

    assert chosen.height
    assert sorted(f["fight_id"] for f in found) == sorted(chosen["fight_id"].unique())
    assert all("Reflux" in f["spec_names"] for f in found)


def test_a_report_has_the_players_of_the_lake_to_the_unit(client, players, fights):
    for fight in fights[:5]:
        report = client.get(f"/v1/fights/{fight['fight_id']}").json()
        wanted = players.filter(pl.col("encounter_id") == fight["encounter_id"])

        assert {(p["player_name"], p["dps"], p["crit_rate"]) for p in report["players"]} == set(
            wanted.select("player_name", "dps", "crit_rate").rows()
        )
        damages = [p["damage"] for p in report["players"]]
        assert damages == sorted(damages, reverse=True)
        assert sum(d["deaths"] for d in report["deaths"]) == (wanted["deaths"].sum() or 0)
        assert len(report["boss_hp"]["at_s"]) == len(report["boss_hp"]["hp_left"])


def test_a_distribution_equals_that_of_its_pool_in_the_lake(client, players):
    best = players.filter(POOL, pl.col("is_support").not_(), pl.col("gate_name").is_not_null())
    cell = (
        best.group_by("raid_name", "gate_name", "difficulty", "spec_name")
        .len()
        .sort("len")
        .row(-1, named=True)
    )
    gate = next(
        g
        for g in client.get("/v1/gates").json()["gates"]
        if all(g[name] == cell[name] for name in ("raid_name", "gate_name", "difficulty"))
    )
    found = client.get(f"/v1/gates/{gate['gate_id']}/distribution?weeks=104").json()["specs"]
    row = next(r for r in found if r["spec_name"] == cell["spec_name"])
    dps = best.filter(
        *(pl.col(name) == cell[name] for name in ("raid_name", "gate_name", "difficulty", "spec_name"))
    )["dps"]

    assert row["player_count"] == dps.len()
    if dps.len() >= 5:
        assert row["p50"] == pytest.approx(np.median(dps))
    else:
        assert row["p50"] is None


def test_the_tier_list_compares_with_the_median_of_gate_and_week(client, players):
    pool = players.filter(POOL, pl.col("is_support").not_(), pl.col("gate_name").is_not_null())
    gate = ["raid_name", "gate_name", "difficulty", "week_started_at"]
    wanted = (
        pool.with_columns((pl.col("dps") / pl.col("dps").median().over(gate)).alias("index"))
        .group_by("spec_name")
        .agg(pl.col("index").median(), pl.len())
        .filter(pl.col("len") >= 5)
    )
    found = client.get("/v1/tier-list?weeks=104").json()["specs"]

    described = {r["spec_name"]: r["p50"] for r in found if r["p50"] is not None}
    assert described == pytest.approx(dict(wanted.select("spec_name", "index").rows()))
    assert all(r["median_low"] <= r["p50"] <= r["median_high"] for r in found if r["median_low"] is not None)


def test_a_character_is_found_by_the_beginning_of_its_name_in_any_case(client, character):
    start = character["player_name"][:3].upper()
    found = client.get("/v1/characters", params={"q": start, "limit": 200}).json()["characters"]

    assert character["player_name"] in {c["player_name"] for c in found}
    assert all(c["player_name"].upper().startswith(start) for c in found)
    assert client.get("/v1/characters?q=%25").json()["characters"] == []


def test_a_history_has_every_counted_fight_of_the_character(client, players, character):
    wanted = players.filter("is_counted", player_name=character["player_name"], region=character["region"])
    first = client.get(f"{get_path(character)}/history?limit=1").json()
    rest = client.get(f"{get_path(character)}/history?after={first['next_cursor']}").json()

    found = [f["fight_id"] for f in first["fights"] + rest["fights"]]
    assert sorted(found) == sorted(wanted["fight_id"])
    assert character["fights"] == len(found)


def test_labels_follow_the_language_and_names_do_not(client, fights):
    path = f"/v1/fights/{fights[0]['fight_id']}"
    korean = client.get(path, headers={"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8"})
    english = client.get(path, headers={"Accept-Language": "fr, en;q=0.5"})

    assert (korean.headers["Content-Language"], english.headers["Content-Language"]) == ("ko", "en")
    assert korean.json()["fight"]["raid_name"] == english.json()["fight"]["raid_name"]
    assert any("가" <= sign <= "힣" for sign in korean.json()["players"][0]["class_label"])
    assert english.json()["players"][0]["class_label"] == english.json()["players"][0]["class_name"]
    assert client.get(f"{path}?lang=ko").json() == korean.json()
    assert "Accept-Language" in korean.headers["Vary"]


def test_quality_counts_what_passed_and_what_was_refused(client, lake):
    found = client.get("/v1/quality").json()
    refused = pl.from_arrow(lake.read("core_quarantine")).filter(pl.col("scope") == "log").height

    assert found["logs_passed"] == lake.count("core_encounters")
    assert found["logs_refused"] == refused
    assert sum(r["row_count"] for r in found["reasons"]) == lake.count("core_quarantine")


@pytest.mark.parametrize(
    ("kind", "read"),
    [("csv", pl.read_csv), ("json", pl.read_json), ("parquet", pl.read_parquet)],
)
def test_an_export_has_the_rows_of_the_lake_in_every_format(client, players, kind, read):
    response = client.get(f"/v1/export/players?format={kind}&spec_name=Reflux")
    wanted = players.filter("is_counted", spec_name="Reflux")

    assert "attachment" in response.headers["Content-Disposition"]
    assert sorted(read(io.BytesIO(response.content))["dps"].drop_nulls()) == sorted(
        wanted["dps"].drop_nulls()
    )


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/nowhere", 404, "/docs lists"),
        ("/v1/fights/0000000000000000", 404, "no such fight"),
        ("/v1/gates/no-such-gate/distribution", 404, "/v1/gates lists"),
        ("/v1/characters/EUC/Nobodyatall", 404, "no fights of this character"),
        ("/v1/fights?limit=100000", 422, "query.limit"),
        ("/v1/fights?limit=many", 422, "query.limit"),
        ("/v1/fights?after=%F0%9F%98%80", 422, "next_cursor"),
        ("/v1/fights?after=WzEsMl0", 422, "next_cursor"),
        ("/v1/fights?since=yesterday", 422, "query.since"),
        ("/v1/fights?gate_id=%00", 422, "NUL"),
        ("/v1/fights/..%2F..%2Fetc%2Fpasswd", 404, ""),
        (f"/v1/characters?q={'x' * 50_000}", 422, "query.q"),
        ("/v1/tier-list?item_level_min=nan", 422, "item_level_min"),
        ("/v1/export/users", 422, "path.dataset"),
        ("/v1/compare/characters?a=x&b=y", 422, "REGION/NAME"),
    ],
)
def test_an_invalid_request_gets_a_problem_document(client, path, status, says):
    response = client.get(path)

    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    ProblemDetails.model_validate_json(response.content)
    assert says in response.json()["detail"]
    assert "Traceback" not in response.text


@pytest.mark.parametrize("text", ["'; DROP TABLE marts.players; --", "<script>", "%", "\\", "${jndi:x}"])
def test_text_in_filters_stays_text(client, text):
    for name in ("gate_id", "region", "spec_name", "player_name"):
        assert client.get("/v1/fights", params={name: text}).json()["fights"] == []
    assert client.get("/v1/fights?limit=1").json()["fights"]


def test_a_wrong_method_gets_a_problem_document(client):
    response = client.request("DELETE", "/v1/fights")

    assert (response.status_code, response.json()["detail"]) == (405, "DELETE is not allowed here.")


def test_a_response_is_cached_revalidated_and_has_security_headers(client):
    first = client.get("/v1/gates")
    again = client.get("/v1/gates", headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "max-age" in first.headers["Cache-Control"]
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in first.headers["Content-Security-Policy"]
    head = client.request("HEAD", "/v1/gates")
    assert (head.status_code, head.content) == (200, b"")


def test_an_unexpected_error_shows_no_stack_trace(client, monkeypatch):
    async def fails(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("lostark_api.queries.state.read_quality", fails)
    response = client.get("/v1/quality?x=1")

    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert "secret" not in response.text


def test_metrics_have_closed_labels(client):
    client.get("/v1/fights/0000000000000000")
    client.get("/wp-admin.php")
    client.get("/v1/gates")
    text = client.get("/metrics").text

    assert 'route="/v1/fights/{fight_id}",status_class="4xx"' in text
    assert 'route="unmatched"' in text
    assert 'cache="hot"' in text
    assert "wp-admin" not in text
    assert "0000000000000000" not in text


def test_a_publish_invalidates_every_response_at_once(client, lake, url):
    before = client.get("/v1/publications")
    done = publish(lake, url, lake.days("core_encounters")[:1])
    client.api.cache.set_version(done.version)  # polled every second, but the client's loop stands still

    after = client.get("/v1/publications")
    assert after.json()["publications"][0]["version"] == done.version
    assert before.json()["publications"][0]["version"] == done.version - 1
    assert after.headers["Publish-Version"] == str(done.version)


def test_without_a_database_it_is_alive_and_not_ready(tmp_path):
    settings = get_settings(home=tmp_path)
    with Client(create_app(settings, url="postgresql+psycopg2://nobody@127.0.0.1:1/none")) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        response = client.get("/v1/gates")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"


def test_the_api_page_of_the_docs_lists_exactly_its_routes(client):
    document = client.get("/openapi.json").json()
    routes = {f"{m.upper()} {p}" for p, operations in document["paths"].items() for m in operations}
    page = (Path(__file__).resolve().parents[2] / "docs/api.md").read_text()

    assert set(re.findall(r"^\| `((?:GET|POST) [^`]+)`", page, re.MULTILINE)) == routes


def test_the_api_page_of_the_docs_lists_every_metric(client):
    page = (Path(__file__).resolve().parents[2] / "docs/api.md").read_text()
    kinds = re.findall(r"^# TYPE (lostark_\w+) ", client.get("/metrics").text, re.MULTILINE)

    assert {kind for kind in kinds if not kind.endswith("_created")} <= set(
        re.findall(r"`(lostark_\w+)`", page)
    )


def test_the_api_docs_are_one_page_without_external_resources(client):
    page = client.get("/docs")

    assert page.headers["Content-Type"].startswith("text/html")
    assert "/v1/gates/{gate_id}/distribution" in page.text
    assert "<script" not in page.text
    assert "https://" not in page.text
    assert client.get("/docs.css").headers["Content-Type"].startswith("text/css")


def test_a_background_task_that_swallows_a_cancellation_ends_too() -> None:
    swallowed = []

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if len(swallowed) == 2:
                    raise
                swallowed.append(True)

    async def stop_one() -> None:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        await asyncio.wait_for(_stop([task]), 10)
        assert task.cancelled()

    asyncio.run(stop_one())
    assert len(swallowed) == 2
