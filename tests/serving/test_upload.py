"""Uploads: detected by content, kept whole or not at all, followed from ticket to fight report."""

from __future__ import annotations

import asyncio
import gzip
import json
import sqlite3
from datetime import date
from pathlib import Path

import pytest

from lostark_api.app import create_app
from lostark_api.schemas.uploads import UploadTicket
from lostark_api.services.keys import create_key, revoke_key
from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.pipeline import clean_days
from lostark_assets.lake.tables import Lake
from lostark_assets.marts.publish import find_pending, publish
from lostark_assets.settings import get_settings
from lostark_assets.sources.collect import collect
from lostark_assets.sources.configured import configured_origins, open_landing, sources_at
from lostark_assets.sources.landing import record_result, safe_name
from lostark_assets.stats.pipeline import compute_days
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights
from lostark_simulator.upload_json import write_upload_json
from tests.serving.conftest import Client

ROUTE = "/v1/battle-logs"


@pytest.fixture(scope="module")
def fights():
    return list(
        generate_fights(
            SeasonConfig(encounters=20, seed=5, days=2, start=date(2026, 10, 5), hits_per_player=30)
        )
    )


@pytest.fixture(scope="module")
def database(tmp_path_factory, fights) -> bytes:
    path = tmp_path_factory.mktemp("db") / "encounters.db"
    write_encounters_db(path, fights)
    return path.read_bytes()


@pytest.fixture
def settings(tmp_path):
    return get_settings(home=tmp_path / "home", upload_max_bytes="8MiB", max_part_bytes="4MiB")


@pytest.fixture
def door(settings, url):
    with Client(create_app(settings, url=url)) as client:
        client.get("/readyz")
        yield client


def send(client: Client, body: bytes, name: str = "encounters.db", **more):
    return client.request("POST", f"{ROUTE}?name={name}", content=body, **more)


def kept(settings) -> list[Path]:
    return [path for path in open_landing(settings).folder.rglob("*") if path.is_file()]


def collected(settings, lake: Lake) -> None:
    """What the collector does with uploads, without Dagster around it."""
    for origin in configured_origins(settings):
        for found in sources_at(origin, settings):
            done = collect(found.source, lake, run_id="test", earliest=date(2022, 1, 1))
            record_result(found.source.path, done)


def cleaned(lake: Lake) -> None:
    clean_days(lake, None, Rules(), run_id="test")
    compute_days(lake, set(lake.days("core_encounters")), "polars", run_id="test")


def test_a_database_becomes_published_fights_and_its_ticket_shows_each_step(
    door, settings, url, database, fights
):
    lake = Lake(settings.lake_url)
    answer = send(door, database)
    assert answer.status_code == 202
    ticket, where = answer.json(), answer.headers["Location"]
    assert (ticket["state"], ticket["format"], ticket["size_bytes"]) == (
        "received",
        "loa_logs_db",
        len(database),
    )
    follow = lambda: UploadTicket.model_validate_json(door.get(where).content)  # noqa: E731

    collected(settings, lake)
    now = follow()
    assert now.state == "collected"
    assert now.logs.found == now.logs.new == lake.count("raw_battle_logs") > 0
    assert not [path for path in kept(settings) if path.name == "encounters.db"]
    cleaned(lake)
    assert follow().state == "cleaned"
    due = find_pending(lake, url)
    publish(lake, url, lake.days("core_encounters"), [])
    now = follow()

    assert (now.state, now.is_final) == ("published", True)
    assert now.logs.cleaned + now.logs.refused == now.logs.found
    assert sum(reason.count for reason in now.reasons) >= now.logs.refused
    report = door.get(now.fights[0].href).json()
    assert report["fight"]["fight_id"] == now.fights[0].fight_id
    publish(lake, url, due.days, [])


def test_the_same_file_sent_again_is_known_and_adds_nothing(door, settings, database):
    lake = Lake(settings.lake_url)
    send(door, database)
    collected(settings, lake)
    rows = lake.count("raw_battle_logs")
    where = send(door, database, "another name.db").headers["Location"]
    collected(settings, lake)

    logs = door.get(where).json()["logs"]
    assert (logs["new"], logs["known"]) == (0, rows)
    assert lake.count("raw_battle_logs") == rows


def test_databases_of_two_players_are_two_sources_though_both_count_from_one(door, tmp_path, database):
    other = tmp_path / "other.db"
    season = SeasonConfig(encounters=20, seed=6, days=2, start=date(2026, 10, 5), hits_per_player=30)
    write_encounters_db(other, generate_fights(season))

    for body in (database, other.read_bytes(), database):
        assert send(door, body).status_code == 202
    sources = [landed.ticket.source for landed in open_landing(door.api.fastapi.state.settings).waiting()]
    assert len(set(sources)) == 2


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_upload_json_is_accepted_plain_and_compressed(door, settings, tmp_path, fights, pack):
    document = write_upload_json(tmp_path / "fight.json", fights[0]).read_bytes()
    answer = send(door, pack(document), "fight.json.gz", headers={"Content-Type": "application/json"})

    assert answer.json()["format"] == "upload_json"
    collected(settings, Lake(settings.lake_url))
    assert door.get(answer.headers["Location"]).json()["logs"]["new"] == 1


def table(rows: int = 2) -> bytes:
    lines = ["id,dps,duration,timestamp,class,spec,name"]
    lines += [f"{n},1000,300000,1760000000000,Bard,Desperate Salvation,P{n}" for n in range(rows)]
    return "\n".join(lines).encode()


def test_a_table_gets_its_raid_from_the_upload(door, settings):
    answer = send(door, table(), "aegir.csv&raid=Aegir&gate=G1&difficulty=Hard")
    assert answer.json()["format"] == "player_table"

    [origin] = configured_origins(settings)
    assert (origin.arguments.raid, origin.arguments.gate) == ("Aegir", "G1")
    assert origin.arguments.source.startswith("upload:table-")


def _view(path: Path) -> bytes:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE entity (name, encounter_id)")
    connection.execute(
        "CREATE VIEW encounter AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) "
        "SELECT id, id AS last_combat_packet FROM n"
    )
    connection.commit()
    return path.read_bytes()


def _computed(path: Path) -> bytes:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE entity (name, encounter_id)")
    connection.execute("CREATE TABLE encounter (id, last_combat_packet AS (zeroblob(1000000000)))")
    connection.commit()
    return path.read_bytes()


def bad_bodies(path: Path, database: bytes) -> dict[str, tuple[bytes, str]]:
    mark = b'{"entities": "' + b"a" * (6 << 20) + b'"}'
    return {
        "nothing": (b"", "empty"),
        "something else": (b"\x89PNG\r\n\x1a\n" + bytes(100), "none of their signatures"),
        "JSON of something else": (b'{"a": 1}', "JSON of something else"),
        "cut JSON": (b'{"entities": {"a": 1', "ends in the middle"),
        "cut gzip": (gzip.compress(b'{"entities": {}}' * 999)[:-9], "end missing"),
        "bomb": (gzip.compress(mark), "unpacked"),
        "cut database": (database[:20_000], "as its header says"),
        "a database that computes": (_view(path / "view.db"), "no plain table"),
        "computed columns": (_computed(path / "computed.db"), "computed columns"),
        "cut Parquet": (b"PAR1" + bytes(50), "damage"),
        "too large": (b"{" * (9 << 20), "size limit of 8,388,608 bytes"),
    }


def test_other_files_are_refused_with_a_reason_and_nothing_is_kept(door, settings, tmp_path, database):
    for what, (body, words) in bad_bodies(tmp_path, database).items():
        answer = send(door, body)
        assert answer.status_code == (413 if what == "too large" else 422), what
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert words in answer.json()["detail"], (what, answer.json()["detail"])
        assert str(settings.home) not in answer.text, what
        assert not kept(settings), what
    assert send(door, database).status_code == 202


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/html"}, 415),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://evil.example", "Host": "evil.example"}, 403),
        ({"Authorization": "Bearer lak_wrong"}, 401),
        ({"Authorization": "Basic x"}, 401),
    ],
)
def test_invalid_headers_are_refused_before_the_body_is_read(door, settings, database, headers, status):
    answer = send(door, database, headers=headers)
    assert (answer.status_code, kept(settings)) == (status, [])
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_chunked_body_is_held_to_the_size_limit(door, settings):
    async def pieces():
        for _ in range(9):
            yield b"[" * (1 << 20)

    answer = door.request("POST", ROUTE, content=pieces())
    assert (answer.status_code, kept(settings)) == (413, [])


def test_an_aborted_upload_leaves_nothing(door, settings):
    parts = [
        {"type": "http.request", "body": b'{"entities', "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent = []

    async def query():
        async def receive():
            return parts.pop(0)

        async def send_on(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": ROUTE, "query_string": b"", "headers": []}
        await door.api({**scope, "client": ("127.0.0.1", 1), "server": ("test", 80)}, receive, send_on)

    door.loop.run(query())
    assert sent[0]["status"] == 400
    assert kept(settings) == []


@pytest.mark.parametrize(
    ("name", "kept_as"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\logs\\encounters.db", "encounters.db"),
        (".ticket.json", "ticket.json"),
        ("..", "upload"),
        ("a\x00b\x1b[2J.db", "a_b_2J.db"),
        ("x" * 400 + ".json", "x" * 95 + ".json"),
        ("로스트아크 1관문.db", "로스트아크 1관문.db"),
    ],
)
def test_a_name_never_leads_out_of_its_folder(name, kept_as):
    assert safe_name(name) == kept_as


def test_an_unknown_ticket_is_not_found(door):
    assert door.get(f"{ROUTE}/tickets/{'0' * 32}").status_code == 404
    assert door.get(f"{ROUTE}/tickets/..%2F..%2Fetc").status_code in (404, 422)


def test_keys_grant_their_scopes_until_they_are_revoked(tmp_path, url, database):
    settings = get_settings(home=tmp_path, open_uploads=False)
    with Client(create_app(settings, url=url)) as client:
        client.get("/readyz")
        assert send(client, database).status_code == 401
        good, other = create_key(url, "guild", ["upload"]), create_key(url, "reader", ["logs:read"])
        bearer = lambda key: {"Authorization": f"Bearer {key}"}  # noqa: E731

        assert send(client, database, headers=bearer(good)).status_code == 202
        assert send(client, database, headers=bearer(other)).status_code == 403
        revoke_key(url, "guild")
        access = client.api.fastapi.state.access
        access.clock = lambda: __import__("time").monotonic() + 11
        answer = send(client, database, headers=bearer(good))
        assert answer.status_code == 401
        assert good not in answer.text


def test_a_key_above_its_rate_limit_gets_429_with_retry_after(tmp_path, url):
    key = create_key(url, "slow", ["upload"], 2)
    with Client(create_app(get_settings(home=tmp_path), url=url)) as client:
        client.get("/readyz")
        now = [100.0]
        client.api.fastapi.state.access.clock = lambda: now[0]
        query = lambda: send(client, b"", headers={"Authorization": f"Bearer {key}"})  # noqa: E731

        assert [query().status_code for _ in range(3)] == [422, 422, 429]
        assert query().headers["Retry-After"] == "31"
        now[0] += 30
        assert [query().status_code for _ in range(2)] == [422, 429]


def test_uploads_need_no_key_only_on_loopback(tmp_path, url):
    for host, wanted, is_open in [
        ("127.0.0.1", None, True),
        ("localhost", None, True),
        ("0.0.0.0", None, False),
        ("0.0.0.0", True, True),
        ("127.0.0.1", False, False),
    ]:
        api = create_app(get_settings(home=tmp_path, api_host=host, open_uploads=wanted), url=url)
        assert api.fastapi.state.access.is_open is is_open, (host, wanted)


def test_too_many_concurrent_uploads_get_503(door, settings, database):
    uploads = door.api.fastapi.state.uploads
    uploads._receiving = 4
    answer = send(door, database)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    uploads._receiving = 0
    assert send(door, database).status_code == 202


def test_a_client_that_stops_sending_times_out(door, settings, monkeypatch):
    monkeypatch.setattr("lostark_api.services.uploads.MAX_SILENCE_S", 0.05)

    async def slow():
        yield b"{"
        await asyncio.sleep(5)

    async def query():
        return await door.api.fastapi.state.uploads.receive(slow(), "x", {})

    with pytest.raises(Exception, match="No data within"):
        door.loop.run(query())
    assert kept(settings) == []


def test_a_file_that_the_collector_cannot_read_is_reported_and_not_kept(door, settings):
    where = send(door, table(), "t.csv").headers["Location"]
    [landed] = open_landing(settings).waiting()
    from lostark_assets.sources.collector import Collected

    record_result(str(landed.file), Collected("", "", ""), f"{landed.file}: expected a table, found damage")
    ticket = door.get(where).json()
    assert (ticket["state"], ticket["error"]) == ("refused", "t.csv: expected a table, found damage")
    assert not landed.file.exists()


def test_a_log_that_cleaning_refuses_is_reported_with_its_reason(door, settings):
    lake = Lake(settings.lake_url)
    broken = json.dumps({"entities": {}, "fightStart": 1760000000000}).encode()
    where = send(door, broken, "broken.json").headers["Location"]
    collected(settings, lake)
    clean_days(lake, None, Rules(), run_id="test")

    ticket = door.get(where).json()
    assert (ticket["state"], ticket["logs"]["refused"]) == ("refused", 1)
    assert ticket["reasons"][0]["count"] == 1
    assert ticket["reasons"][0]["what_to_do"]
