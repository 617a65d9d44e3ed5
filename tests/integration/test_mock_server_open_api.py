"""The mock server of the Open API has the real one's responses, headers, limits and oddities."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, date, datetime
from urllib.parse import quote

import httpx
import pytest

from lostark_assets.game.classes import CLASSES
from lostark_simulator.mock_server.config import DEMO_OPEN_API_KEY, OPEN_API_PREFIX, MockServerConfig
from lostark_simulator.mock_server.running import running_mock_server, running_season
from lostark_simulator.season import build_population

KEY = {"authorization": f"bearer {DEMO_OPEN_API_KEY}"}
THURSDAY = datetime(2026, 11, 19, 3, 0, tzinfo=UTC).timestamp()
CALM = {"history": 2, "tiny_logs": True, "new_fight_every_s": 0}


class Clock:
    """Epoch seconds, set by a test."""

    def __init__(self, at_s=THURSDAY):
        self.at_s = at_s

    def __call__(self):
        return self.at_s


@pytest.fixture(scope="module")
def clock():
    return Clock()


@pytest.fixture(scope="module")
def api(clock):
    config = MockServerConfig(clock=clock, open_api_limit=100_000, **CALM)
    with (
        running_mock_server(config) as url,
        httpx.Client(base_url=url + OPEN_API_PREFIX, headers=KEY) as client,
    ):
        yield client


def fighter(number):
    return build_population(1, 800).characters[number]


def korean_fighter():
    return next(one for one in build_population(1, 800).characters if one.name[0] >= "가")


def combined(api, name, filters):
    """The combined call with a literal plus, as a path that httpx leaves alone."""
    response = api.get(f"/armories/characters/{quote(name)}?filters={filters}")
    assert response.status_code == 200, response.text
    return response.json()


def parse_number(text):
    return float(text.replace(",", ""))


def test_a_profile_is_of_a_character_in_the_seasons_fights(api):
    one = korean_fighter()
    body = combined(api, one.name, "profiles+arkpassive")
    profile = body["ArmoryProfile"]

    assert profile["CharacterName"] == one.name
    assert parse_number(profile["ItemAvgLevel"]) == one.item_level(4.0)
    assert profile["CharacterClassName"] in {korean.korean for korean in CLASSES}
    assert body["ArkPassive"]["IsArkPassive"] is True
    assert [key for key, value in body.items() if value is not None] == ["ArmoryProfile", "ArkPassive"]


def test_numbers_are_text_with_commas_and_two_decimals(api):
    profile = combined(api, fighter(3).name, "profiles")["ArmoryProfile"]

    assert profile["ItemAvgLevel"][1] == ","
    assert profile["ItemAvgLevel"][-3] == "."
    assert profile["CombatPower"][1] == ","
    assert all("," not in stat["Value"] for stat in profile["Stats"])


def test_a_character_that_never_raids_has_a_base_class_and_no_power(api):
    low = []
    for number in range(0, 60, 6):
        account = api.get(f"/characters/{quote(fighter(number).name)}/siblings").json()
        low += [one for one in account if one["ItemAvgLevel"] == "0.00"]
    base = {one.korean for one in CLASSES if one.is_base}
    body = combined(api, low[0]["CharacterName"], "profiles+engravings+gems+arkpassive+arkgrid+cards")

    assert {one["CharacterClassName"] for one in low} <= base
    assert body["ArmoryProfile"]["CombatPower"] == "0.00"
    assert body["ArmoryEngraving"] is body["ArkPassive"] is body["ArkGrid"] is None
    assert body["ArmoryGem"]["Gems"] is None


@pytest.mark.parametrize("path", ["/armories/characters/{}", "/armories/characters/{}/profiles"])
def test_an_unknown_name_is_200_with_null(api, path):
    response = api.get(path.format(quote("없는이름")))

    assert (response.status_code, response.text) == (200, "null")


def test_siblings_are_all_characters_of_the_account_on_one_server(api):
    account = api.get(f"/characters/{quote(fighter(7).name)}/siblings").json()
    names = [one["CharacterName"] for one in account]

    assert names[:6] == [fighter(number).name for number in range(6, 12)]
    assert len({one["ServerName"] for one in account}) == 1
    assert api.get(f"/characters/{quote('없는이름')}/siblings").json() is None


def test_an_encoded_plus_does_not_separate_filters(api):
    name = fighter(3).name
    literal = combined(api, name, "profiles+gems")
    encoded = combined(api, name, "profiles%2Bgems")
    by_httpx = api.get(f"/armories/characters/{quote(name)}", params={"filters": "profiles+gems"}).json()

    assert literal["ArmoryProfile"]
    assert literal["ArmoryGem"]
    assert set(encoded.values()) == set(by_httpx.values()) == {None}


def test_without_filters_every_part_is_there_and_tooltips_make_it_large(api):
    response = api.get(f"/armories/characters/{quote(fighter(3).name)}")
    body = response.json()

    assert all(value is not None for key, value in body.items() if key != "ArmoryAvatars")
    assert len(response.content) > 5 * len(json.dumps(body["ArmoryProfile"]).encode())
    assert body["ArmoryEquipment"][0]["EquipOptions"] is None
    part = api.get(f"/armories/characters/{quote(fighter(3).name)}/equipment").json()
    assert "EquipOptions" not in part[0]


def test_tooltips_are_documents_in_text_with_html_line_ends_and_nulls(api):
    gems = combined(api, fighter(3).name, "gems")["ArmoryGem"]
    text = gems["Gems"][0]["Tooltip"]
    document = json.loads(text)

    assert "\r\n" in text
    assert None in document.values()
    assert "<FONT" in document["Element_000"]["value"]
    assert gems["Gems"][0]["Name"].startswith("<P ALIGN")
    assert 1 <= gems["Gems"][0]["Level"] <= 10
    assert None in [skill["Tooltip"] for skill in gems["Effects"]["Skills"]]


def test_the_engravings_field_depends_on_ark_passive(api):
    bodies = [combined(api, fighter(n).name, "engravings+arkpassive") for n in range(300)]
    with_it = [one for one in bodies if one["ArkPassive"]["IsArkPassive"]]
    without = [one for one in bodies if not one["ArkPassive"]["IsArkPassive"]]

    assert with_it
    assert without
    assert all(one["ArmoryEngraving"]["Engravings"] is None for one in with_it)
    assert all(one["ArmoryEngraving"]["Effects"] is None for one in with_it)
    assert all(len(one["ArmoryEngraving"]["ArkPassiveEffects"]) == 5 for one in with_it)
    assert all(one["ArmoryEngraving"]["ArkPassiveEffects"] is None for one in without)
    assert all("Title" not in one["ArkPassive"] for one in without)


def test_ark_grids_have_cores_in_any_order_and_some_are_empty(api):
    grids = [combined(api, fighter(n).name, "arkgrid")["ArkGrid"] for n in range(80)]
    cores = [core for grid in grids if grid for core in grid["Slots"]]

    assert any(core["Gems"] is None and core["Point"] == 0 for core in cores)
    assert all(0 <= core["Point"] <= 20 for core in cores)
    orders = [[core["Index"] for core in grid["Slots"]] for grid in grids if grid]
    assert any(order != sorted(order) for order in orders)
    assert any(grid and grid["Effects"] is None for grid in grids)


def test_the_spec_is_the_ark_passive_title_but_for_another_preset_now_and_then(api):
    from lostark_assets.game.specs import resolve_spec

    same = 0
    for number in range(200):
        ark = combined(api, fighter(number).name, "arkpassive")["ArkPassive"]
        spec = resolve_spec(ark.get("Title"), fighter(number).spec.class_name)
        same += spec is not None and spec.name == fighter(number).spec.name

    assert 170 <= same < 200


def test_item_level_and_combat_power_grow_with_the_season():
    clock = Clock()
    one = max(build_population(1, 800).characters[:100], key=lambda c: c.item_level_per_week)
    with running_season(MockServerConfig(clock=clock, speed=24.0, **CALM)) as (url, season):
        client = httpx.Client(base_url=url + OPEN_API_PREFIX, headers=KEY)
        before = combined(client, one.name, "profiles")["ArmoryProfile"]
        clock.at_s += 7 * 3600  # a week at 24 seconds per second
        after = combined(client, one.name, "profiles")["ArmoryProfile"]
        client.close()
        weeks = season.weeks_at(clock.at_s * 1000)

    assert weeks == pytest.approx(5.0, abs=0.01)
    grown = parse_number(after["ItemAvgLevel"]) - parse_number(before["ItemAvgLevel"])
    assert grown == pytest.approx(one.item_level_per_week, abs=0.9)


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "bearer"}, {"authorization": "bearer wrong"}, {"authorization": DEMO_OPEN_API_KEY},
     {"authorization": f"bearer <{DEMO_OPEN_API_KEY}>"}, {"authorization": f"bearer  {DEMO_OPEN_API_KEY}"}],
)  # fmt: skip
def test_a_missing_or_wrong_key_is_401(api, headers):
    response = httpx.get(f"{api.base_url}news/notices", headers=headers)

    assert response.status_code == 401
    assert "X-RateLimit-Limit" not in response.headers


def test_both_spellings_of_bearer_work(api):
    spelled = [
        httpx.get(
            f"{api.base_url}news/alarms", headers={"Authorization": f"{word} {DEMO_OPEN_API_KEY}"}
        ).status_code
        for word in ("bearer", "Bearer")
    ]

    assert spelled == [200, 200]


def test_each_key_has_a_fixed_window_and_remaining_is_not_monotonic():
    clock = Clock()
    config = MockServerConfig(clock=clock, open_api_keys=("one", "two"), open_api_limit=100, **CALM)
    with running_mock_server(config) as url, httpx.Client(base_url=url + OPEN_API_PREFIX) as client:

        def get(key):
            return client.get("/news/alarms", headers={"authorization": f"bearer {key}"})

        responses = [get("one") for _ in range(101)]
        other = get("two")
        clock.at_s += 60
        renewed = get("one")

    remaining = [int(response.headers["X-RateLimit-Remaining"]) for response in responses[:100]]
    assert [response.status_code for response in responses] == [200] * 100 + [429]
    assert {response.headers["X-RateLimit-Limit"] for response in responses} == {"100"}
    assert {int(response.headers["X-RateLimit-Reset"]) for response in responses} == {int(THURSDAY) + 60}
    assert "Retry-After" not in responses[-1].headers
    assert any(later > earlier for earlier, later in itertools.pairwise(remaining))
    assert all(abs(left - (99 - place)) <= 3 for place, left in enumerate(remaining))
    assert (other.status_code, renewed.status_code) == (200, 200)


def test_unknown_paths_are_404_and_a_post_without_json_is_415(api):
    assert api.get("/guilds/rankings").status_code == 404
    assert api.get(f"/armories/characters/{quote('이다')}/nothing").status_code == 404
    assert api.post("/markets/items", content=b"x").status_code == 415


def test_maintenance_is_503_with_html_on_every_path_before_any_other_check():
    clock = Clock()
    with running_mock_server(MockServerConfig(clock=clock, weekly_maintenance=True, **CALM)) as url:
        client = httpx.Client(base_url=url + OPEN_API_PREFIX)
        statuses = []
        for hour in (-1, 0, 3.99, 4):
            # Wednesday 06:00 KST is Tuesday 21:00 UTC.
            clock.at_s = datetime(2026, 11, 24, 21, tzinfo=UTC).timestamp() + hour * 3600
            statuses.append(client.get("/news/notices", headers=KEY).status_code)
        clock.at_s -= 3600
        down = client.get(f"/armories/characters/{quote('이다')}")
        logs = httpx.get(f"{url}/v1/battle-logs")
        client.close()

    assert statuses == [200, 503, 503, 200]
    assert (down.status_code, down.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "점검" in down.text
    assert logs.status_code == 200


def test_maintenance_can_be_switched_while_it_runs(api):
    root = str(api.base_url).removesuffix(f"{OPEN_API_PREFIX}/")
    httpx.post(f"{root}/mock-server/maintenance", json={"on": True})
    down = api.get("/news/notices").status_code
    httpx.post(f"{root}/mock-server/maintenance", json={"on": False})

    assert (down, api.get("/news/notices").status_code) == (503, 200)


def test_notices_announce_each_wednesday_and_patches_newest_first_in_korean_time(api):
    found = api.get("/news/notices").json()
    dates = [one["Date"] for one in found]
    maintenance = [one for one in found if "정기 점검" in one["Title"]]

    assert dates == sorted(dates, reverse=True)
    assert all(set(one) == {"Title", "Date", "Link", "Type"} for one in found)
    assert {one["Type"] for one in found} == {"공지", "점검", "상점", "이벤트"}
    assert len(maintenance) == 5
    assert maintenance[0]["Title"] == "11월 18일(수) 정기 점검 안내"
    assert maintenance[0]["Date"].startswith("2026-11-17T16:00:09")
    assert "+" not in maintenance[0]["Date"]
    assert any("클래스 밸런스" in one["Title"] for one in found)
    assert {one["Title"] for one in found if "임시 점검 안내" in one["Title"]}
    # Milliseconds lose trailing zeros, or are missing.
    assert len({len(date_text) for date_text in dates}) > 1


def test_notices_are_searched_by_type_and_text(api):
    by_type = api.get("/news/notices", params={"type": "점검"}).json()
    by_text = api.get("/news/notices", params={"searchText": "임시", "type": "점검"}).json()

    assert {one["Type"] for one in by_type} == {"점검"}
    assert 0 < len(by_text) < len(by_type)


def test_events_are_current_and_some_have_no_reward_date(api):
    found = api.get("/news/events").json()
    today = date(2026, 11, 19).isoformat()

    assert found
    assert all(one["StartDate"][:10] <= today <= one["EndDate"][:10] for one in found)
    assert None in [one["RewardDate"] for one in found]


def test_a_term_of_the_api_is_treated_as_a_name(api):
    assert combined(api, "치명", "profiles") is None


def test_a_profile_is_the_same_for_some_minutes_and_then_may_change():
    clock = Clock(THURSDAY + 1)
    with running_mock_server(MockServerConfig(clock=clock, speed=2000.0, **CALM)) as url:
        client = httpx.Client(base_url=url + OPEN_API_PREFIX, headers=KEY)
        levels = []
        for seconds in (0, 590, 20):
            clock.at_s += seconds
            levels.append(combined(client, fighter(3).name, "profiles")["ArmoryProfile"]["ItemAvgLevel"])
        client.close()

    assert levels[0] == levels[1] != levels[2]
