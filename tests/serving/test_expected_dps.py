"""Expected DPS over HTTP: the model's own numbers, reasons of refusals, and champions that change."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from dataclasses import replace

import msgspec
import numpy as np
import pandas as pd
import pytest

from lostark_api.http.metrics import Metrics
from lostark_api.schemas.builds import Build
from lostark_api.schemas.expected import Expectations
from lostark_api.services.champion import ActiveChampion
from lostark_api.services.expected import LoadedChampion, RegistryChampions
from lostark_assets.game.gates import resolve_named_gate
from lostark_ml.features.training_set import build_features, model_input
from lostark_ml.model.training import fit
from lostark_ml.serving.build_predictor import BuildPredictor
from tests.pure.ml import reference_implementation
from tests.pure.ml.season_factory import CUTOFF, SMALL, make_players

BUILD = {
    "raid_name": "Serca", "gate_name": "G2", "difficulty": "Nightmare", "class_name": "Sorceress",
    "spec_name": "Reflux", "item_level": 1745.0, "combat_power": 4200.0,
    "party": [{"class_name": "Bard", "spec_name": "Desperate Salvation", "item_level": 1740.0}],
}  # fmt: skip
TOLD = (
    "raid_name gate_name difficulty class_name spec_name item_level combat_power support_ap support_brand "
    "support_identity support_hyper"
).split()
NOT_IN_A_REQUEST = ["history_fights", "history_residual", "history_age_days"]


@pytest.fixture(scope="module")
def players() -> pd.DataFrame:
    gate = resolve_named_gate("Aegir", "G1")
    return make_players().assign(raid_name=gate.raid_name, gate_name=gate.gate_name)


@pytest.fixture(scope="module")
def model(players):
    return fit(build_features(players), CUTOFF, SMALL)


@pytest.fixture(scope="module")
def champion(model):
    return LoadedChampion(3, BuildPredictor(model))


def as_builds(fight: pd.DataFrame) -> list[dict]:
    """What a client that knows a fight's players would ask."""
    fight = fight.astype(object).where(fight.notna(), None)
    rows = fight.to_dict("records")
    return [
        {
            **{
                k: row[k]
                for k in ("raid_name", "gate_name", "difficulty", "class_name", "spec_name", "item_level")
            },
            **{
                k: row[k]
                for k in ("combat_power", "support_ap", "support_brand", "support_identity", "support_hyper")
            },
            "region": row["region"] or "unknown",
            "is_uploader": bool(row["is_uploader"]),
            "fight_started_at": row["fight_started_at"].isoformat(),
            "party": [
                {k: other[k] for k in ("class_name", "spec_name", "item_level")}
                for other in rows
                if other is not row
            ],
        }
        for row in rows
    ]


def test_a_request_becomes_the_features_of_training(players, champion):
    known = players[players["spec_name"].notna() & players["item_level"].notna()]
    fight = known[known["encounter_id"] == known["encounter_id"].iloc[0]].assign(is_ark_passive_active=None)
    wanted = model_input(build_features(fight)).drop(columns=NOT_IN_A_REQUEST)
    found = model_input(reference_implementation.features_of_builds(as_builds(features_order(fight))))

    rules = ["measurement_rules"]
    pd.testing.assert_frame_equal(
        found.drop(columns=[*rules, *NOT_IN_A_REQUEST]).reset_index(drop=True),
        wanted.drop(columns=rules).reset_index(drop=True),
        check_dtype=False,
    )


def features_order(fight: pd.DataFrame) -> pd.DataFrame:
    return fight.sort_values("player_name", kind="stable")


def test_without_a_champion_every_build_is_refused_with_that_reason(client):
    answer = client.request("POST", "/v1/expected-dps", json={"builds": [BUILD, BUILD]})

    Expectations.model_validate_json(answer.content)
    assert answer.json()["model_version"] is None
    assert [e["refusal_reason"] for e in answer.json()["expectations"]] == ["no_champion"] * 2


def test_the_champion_predicts_known_builds_and_refuses_the_rest(client, players, champion, monkeypatch):
    monkeypatch.setattr(client.api.fastapi.state.champion, "predictor", champion)
    dealers = players[
        players["is_support"].eq(False) & players["spec_name"].notna() & players["item_level"].notna()
    ]
    known = as_builds(dealers.tail(5))
    never = {**known[0], "class_name": "Sailor"}
    answer = client.request("POST", "/v1/expected-dps", json={"builds": [*known, never]})

    Expectations.model_validate_json(answer.content)
    body = answer.json()
    assert body["model_version"] == 3
    for found in body["expectations"][:-1]:
        assert found["refusal_reason"] is None
        assert found["expected_dps_low"] < found["expected_dps"] < found["expected_dps_high"]
    assert body["expectations"][-1]["refusal_reason"] == "class_unknown"
    assert body["expectations"][-1]["expected_dps"] is None


def post_builds(client, body, **headers):
    """The answer to a body, on the short way and on the long one, that a type with a parameter takes."""
    # One id for both, which the responses hold.
    said = {"Content-Type": "application/json", "X-Request-ID": "the-same", **headers}
    short = client.request("POST", "/v1/expected-dps", content=body, headers=said)
    long = client.request(
        "POST", "/v1/expected-dps", content=body, headers={**said, "Content-Type": "application/json; v=1"}
    )
    assert (short.status_code, short.json(), dict(short.headers)) == (
        long.status_code, long.json(), dict(long.headers)
    )  # fmt: skip
    return short


def test_predictions_equal_those_of_frames_and_scikit_learn(client, players, champion, model, monkeypatch):
    monkeypatch.setattr(client.api.fastapi.state.champion, "predictor", champion)
    known = players[players["spec_name"].notna() & players["item_level"].notna()].tail(60)
    builds = [build for _, fight in known.groupby("encounter_id") for build in as_builds(fight)]
    builds += [{**build, "combat_power": 1e9} for build in builds[:2]]
    body = json.dumps({"builds": builds}).encode()

    answer = post_builds(client, body)

    assert answer.json() == {
        "model_version": 3,
        "expectations": reference_implementation.predict_builds(model, builds),
    }
    assert {one["refusal_reason"] for one in answer.json()["expectations"]} == {None, "support"}


def test_a_body_in_chunks_is_read_as_one(client, champion, monkeypatch):
    monkeypatch.setattr(client.api.fastapi.state.champion, "predictor", champion)
    body = json.dumps({"builds": [BUILD]}).encode()
    sent, pieces = [], [body[:40], body[40:90], body[90:]]

    async def receive():
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    scope = {"type": "http", "method": "POST", "path": "/v1/expected-dps", "headers": headers}
    client.loop.run(client.api(scope, receive, send))

    assert sent[1]["body"] == post_builds(client, body).content


def test_a_client_that_disconnects_gets_no_response(client):
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"100")]
    scope = {"type": "http", "method": "POST", "path": "/v1/expected-dps", "headers": headers}
    client.loop.run(client.api(scope, receive, send))

    assert sent == []


class Broken:
    """A champion that fails at every question."""

    version = 1

    def expect(self, builds):
        raise ZeroDivisionError("secret")


def test_a_failing_champion_is_a_problem_document_without_a_stack_trace(client, monkeypatch):
    monkeypatch.setattr(client.api.fastapi.state.champion, "predictor", Broken())

    answer = post_builds(client, json.dumps({"builds": [BUILD]}).encode())

    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text


def test_responses_are_counted_and_timed_by_route(client):
    def counted() -> float:
        page = client.get("/metrics").text
        wanted = 'lostark_api_requests_total{cache="none",method="POST",route="/v1/expected-dps"'
        lines = [line for line in page.splitlines() if line.startswith(wanted) and "2xx" in line]
        return float(lines[0].split()[-1]) if lines else 0.0

    before = counted()
    post_builds(client, json.dumps({"builds": [BUILD]}).encode())

    assert counted() == before + 2


def test_buffered_responses_are_counted_once():
    metrics = Metrics()
    tally = metrics.get_tally("/x", "POST", 200, "none")
    for _ in range(1300):
        tally.record(0.002)

    for _ in range(2):
        page = metrics.render().decode()
        assert 'requests_total{cache="none",method="POST",route="/x",status_class="2xx"} 1300.0' in page
        assert 'seconds_bucket{le="0.001",route="/x"} 0.0' in page
        assert 'seconds_bucket{le="0.0025",route="/x"} 1300.0' in page


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b'{"builds": []}', 422),
        (b'{"builds": [{"item_level": "high"}]}', 422),
        (b"[" * 100_000, 422),
        (b"x" * 2_000_000, 413),
        (b'{"builds": [{"item_level": NaN}]}', 422),
    ],
)
def test_invalid_bodies_are_refused(client, body, status):
    answer = client.request(
        "POST", "/v1/expected-dps", content=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code in (status, 400)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_champion_is_compiled_while_it_is_loaded(model, players):
    fresh = replace(model)
    champion = RegistryChampions(type("Registry", (), {"load": lambda _, version: fresh})()).load(7)

    assert champion.version == 7
    assert "compiled" in fresh.__dict__
    (build, *_) = as_builds(players[players["encounter_id"] == "e07059"])
    began = time.perf_counter()
    champion.expect([msgspec.convert(build, Build)])
    assert time.perf_counter() - began < 0.5


def test_a_champion_that_cant_be_compiled_leaves_the_old_one(model):
    pipeline = copy.deepcopy(model.pipeline)
    for (predictor,) in pipeline[-1].trees_._predictors:
        del predictor.raw_left_cat_bitsets
    versions = {1: model, 2: replace(model, pipeline=pipeline)}
    failures = []

    class Registry(Models):
        def load(self, version):
            return RegistryChampions(type("R", (), {"load": lambda _, number: versions[number]})()).load(
                version
            )

    models = Registry()
    champion = ActiveChampion(models, on_failure=lambda: failures.append(1))
    for version in (1, 2):
        models.version = version
        asyncio.run(champion.refresh())

    assert (champion.version, failures) == (1, [1])


class Models:
    """A registry in memory."""

    def __init__(self) -> None:
        self.version: int | None = None
        self.broken: set[int] = set()

    def champion_version(self) -> int | None:
        return self.version

    def load(self, version: int) -> object:
        if version in self.broken:
            raise OSError("its files are gone")
        return type("Loaded", (), {"version": version})()


def test_a_new_champion_serves_and_one_that_fails_leaves_the_old():
    models, heard, failures = Models(), [], []
    champion = ActiveChampion(models, heard.append, lambda: failures.append(1))

    def look_at(version: int | None) -> int | None:
        models.version = version
        asyncio.run(champion.refresh())
        return champion.version

    assert [look_at(None), look_at(1), look_at(1), look_at(2)] == [None, 1, 1, 2]
    models.broken = {3}
    assert look_at(3) == 2
    assert (heard, failures) == ([1, 2], [1])
    assert look_at(4) == 4
    assert np.array(heard).tolist() == [1, 2, 4]
