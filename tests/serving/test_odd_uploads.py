"""Whatever is uploaded, the route answers as documented, keeps nothing that it refuses, and goes on.

``LOSTARK_MUTATIONS=2000`` tries that many mutated uploads of each format instead of a few.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import psycopg
import pytest
from pydantic import SecretStr

from lostark_api.app import create_app
from lostark_api.routes.upload import ACCEPTED_TYPES
from lostark_assets.automation.requests import INGEST_JOB, run_config
from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.definitions import build_defs
from lostark_assets.errors import UnknownFormat
from lostark_assets.lake.tables import open_lake
from lostark_assets.marts.migrate import libpq_url, migrate
from lostark_assets.observability.logs import configure_logs
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.configured import open_landing
from lostark_assets.sources.landing import INCOMING
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fight, generate_fights
from lostark_simulator.upload_json import write_upload_json
from tests.integration.test_odd_inputs import read_events
from tests.mutations import mutate_database, mutate_table, mutate_upload
from tests.serving.conftest import Client

ROUTE = "/v1/battle-logs"
SEASON = SeasonConfig(encounters=2, hits_per_player=3, start=date(2026, 9, 2), days=2, dirt=False, seed=4)
MUTATIONS = int(os.environ.get("LOSTARK_MUTATIONS", "60"))
UPLOADS_PER_RUN = 100
"""More would not fit into the room for uploads that wait."""
NAMES = [
    "upload", "encounters.db", "", "..", "../../etc/passwd", "a\x00b", "로" * 120, "🐉" * 99 + ".json.gz",
    "CON", "x" * 300, ".ticket.json", "a/b\\c", "\u202egpj.exe", "a.b.c.d", "%00", "\ufffe",
    ".collected.json",
]  # fmt: skip
ODD_ARGUMENTS = ["", "Echidna", "x" * 100, "로스트아크", "\x00", "'; drop table", "\u202e", "x" * 101]
ODD_HEADERS = [
    {"Content-Type": "text/html"}, {"Content-Type": ""}, {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": "é".encode()}, {"Content-Encoding": "gzip"}, {"Content-Encoding": "x" * 500},
    {"Content-Length": "-1"}, {"Content-Length": "99999999999999999999"}, {"Content-Length": b"\xb2"},
    {"Content-Length": "9" * 5000},
    {"Origin": "null"}, {"Authorization": "Bearer " + "x" * 500}, {"Accept-Language": b"\x80"},
    {"Transfer-Encoding": "x"}, {"Accept": "image/png"},
]  # fmt: skip


@pytest.fixture(scope="module")
def own_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of its own: others expect what is published in theirs."""
    with embedded_postgres(get_settings(home=tmp_path_factory.mktemp("home"))) as databases:
        migrate(databases.lostark)
        yield databases.lostark


@pytest.fixture
def settings(tmp_path: Path, own_url: str) -> Iterator[Settings]:
    settings = get_settings(home=tmp_path / "home", postgres_url=SecretStr(own_url), upload_max_bytes="4MiB")
    configure_logs(settings, "test")
    yield settings
    configure_logs(get_settings(), "test")


@pytest.fixture
def door(settings: Settings, own_url: str) -> Iterator[Client]:
    with Client(create_app(settings, url=own_url)) as client:
        client.get("/readyz")
        # Every request comes a minute after the one before: none is too many.
        client.api.fastapi.state.access.clock = count(0, 60).__next__
        yield client


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, bytes]:
    """A good file for each mutator."""
    folder = tmp_path_factory.mktemp("good")
    write_encounters_db(folder / "encounters.db", generate_fights(SEASON))
    document = write_upload_json(folder / "1.json", generate_fight(SEASON, 0)).read_bytes()
    return {
        mutate_upload: document,
        mutate_table: b"",
        mutate_database: (folder / "encounters.db").read_bytes(),
    }


def send(client: Client, body: bytes, parameters: dict[str, str], headers: dict[str, Any]) -> httpx.Response:
    return client.request("POST", ROUTE, content=body, params=parameters, headers=headers)


def send_odd(client: Client, body: bytes, suffix: str, rng: random.Random) -> httpx.Response:
    """Upload it, sometimes under an odd name, with odd arguments or headers."""
    parameters = {"name": rng.choice(NAMES) if rng.random() < 0.3 else f"file{suffix}"}
    if rng.random() < 0.3:
        parameters[rng.choice(["raid", "gate", "boss", "difficulty", "region"])] = rng.choice(ODD_ARGUMENTS)
    headers = {"Content-Type": rng.choice(ACCEPTED_TYPES)}
    if rng.random() < 0.2:
        headers = rng.choice(ODD_HEADERS)
    return send(client, body, parameters, headers)


def check_answer(answer: httpx.Response, documented: set[int], settings: Settings) -> None:
    assert answer.status_code in documented, answer.text
    assert "Traceback" not in answer.text
    assert str(settings.home) not in answer.text
    if answer.status_code != 202:
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["detail"]
    assert list((settings.landing_dir / INCOMING).glob("*")) == []


def ingest_uploads(settings: Settings) -> None:
    job = build_defs(settings=settings).resolve_job_def(INGEST_JOB)
    config = run_config(INGEST_JOB, {"uploads": True})
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance, run_config=config).success
    assert open_landing(settings).waiting() == []


def read_published(url: str) -> set[str]:
    with psycopg.connect(libpq_url(url)) as connection:
        return {e for (e,) in connection.execute("SELECT encounter_id FROM marts.encounters")}


@pytest.mark.parametrize("mutate", [mutate_upload, mutate_table, mutate_database])
def test_mutated_uploads_are_answered_as_documented_and_keep_no_good_one_out(
    door, settings, own_url, contents, tmp_path, mutate
):
    documented = set(map(int, door.get("/openapi.json").json()["paths"][ROUTE]["post"]["responses"]))
    rng = random.Random(mutate.__name__)
    answers: Counter[int] = Counter()
    for start in range(0, MUTATIONS, UPLOADS_PER_RUN):
        for _ in range(min(UPLOADS_PER_RUN, MUTATIONS - start)):
            suffix, body = mutate(contents[mutate], rng)
            answer = send_odd(door, body, suffix, rng)
            check_answer(answer, documented, settings)
            answers[answer.status_code] += 1
        fight = generate_fight(SEASON, 100 + start)
        body = write_upload_json(tmp_path / "good.json", fight, gzip=True).read_bytes()
        good = send(door, body, {"name": "good.json.gz"}, {})
        assert good.status_code == 202

        ingest_uploads(settings)

        ticket = door.get(good.headers["Location"]).json()
        assert ticket["state"] == "published", ticket
    sys.stderr.write(f"{mutate.__name__}: {dict(answers)}\n")
    assert answers[202]
    assert not answers[503]
    assert answers[422]
    lake = open_lake(settings)
    kept = set(lake.read("core_encounters", columns=["encounter_id"])["encounter_id"].to_pylist())
    assert kept <= read_published(own_url)
    assert "unexpected_error" not in lake.read("core_quarantine")["reason_code"].to_pylist()


def test_a_file_that_makes_its_reader_raise_is_refused_and_reported(door, settings, contents, monkeypatch):
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("odd")

    with monkeypatch.context() as patch:
        patch.setattr("lostark_api.services.uploads.examine", fail)
        answer = send(door, contents[mutate_upload], {"name": "odd.json"}, {})

    check_answer(answer, {422}, settings)
    [event] = read_events(settings, "unexpected_error")
    assert event["error_id"] in answer.json()["detail"]
    assert send(door, contents[mutate_upload], {}, {}).status_code == 202


@pytest.mark.parametrize("name", ["로" * 120 + ".json", "🐉" * 99 + ".json.gz", "é" * 300])
def test_a_name_of_many_bytes_is_no_reason_to_refuse(door, settings, contents, name):
    answer = send(door, contents[mutate_upload], {"name": name}, {})
    assert answer.status_code == 202
    assert len(answer.json()["name"].encode()) <= 255


def test_what_the_collector_cannot_read_after_all_is_reported_on_the_ticket(
    door, settings, contents, monkeypatch
):
    answer = send(door, contents[mutate_upload], {}, {})

    def refuse(self: Any) -> None:
        raise UnknownFormat(self.path, "damage", "a log", "Send it again.")

    monkeypatch.setattr("lostark_assets.sources.upload_json.UploadJson.list_logs", refuse)
    job = build_defs(settings=settings).resolve_job_def(INGEST_JOB)
    with dg.DagsterInstance.ephemeral() as instance:
        config = run_config(INGEST_JOB, {"uploads": True})
        assert job.execute_in_process(instance=instance, run_config=config).success
    ticket = door.get(answer.headers["Location"]).json()
    assert (ticket["state"], ticket["is_final"]) == ("refused", True)
