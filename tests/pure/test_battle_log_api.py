"""The battle-log contract: what clients may rely on, and that its document is the one that is published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from lostark_assets.contracts.battle_log_api import (
    AFTER,
    DEFAULT_LIMIT,
    LIMIT,
    LIST_PATH,
    LOG_PATH,
    MAX_LIMIT,
    BattleLogEntry,
    BattleLogPage,
)
from lostark_simulator.mock_server.contract import contract_document, contract_text

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "battle-log-api.json"
ENTRY = {
    "id": "a-000001-0",
    "content_sha256": "0" * 64,
    "fight_started_at": "2026-11-19T03:00:00.000Z",
    "updated_at": "2026-11-19T03:10:00.000Z",
    "size_bytes": 12,
}


def test_the_published_document_is_that_of_the_routes():
    assert DOCUMENT.read_text(encoding="utf-8") == contract_text(), "run `make contract`"


def test_the_document_has_exactly_the_two_paths_with_their_parameters_and_answers():
    document = contract_document()
    listing = document["paths"][LIST_PATH]["get"]
    fetching = document["paths"][LOG_PATH]["get"]
    limit = next(one for one in listing["parameters"] if one["name"] == LIMIT)

    assert set(document["paths"]) == {LIST_PATH, LOG_PATH}
    assert {one["name"] for one in listing["parameters"]} == {AFTER, LIMIT}
    assert (limit["schema"]["default"], limit["schema"]["maximum"]) == (DEFAULT_LIMIT, MAX_LIMIT)
    assert (DEFAULT_LIMIT, MAX_LIMIT) == (100, 1000)
    assert set(listing["responses"]) == {"200", "401", "410", "422", "429", "503"}
    assert set(fetching["responses"]) == {"200", "401", "404", "422", "429", "503"}
    assert set(document["components"]["schemas"]) == {"BattleLogEntry", "BattleLogPage", "Problem"}


def test_every_reference_of_the_document_leads_somewhere():
    text = json.dumps(contract_document())
    schemas = contract_document()["components"]["schemas"]
    references = {part.split('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]}

    assert references == set(schemas)


def test_a_page_of_a_later_server_with_more_fields_is_still_read():
    page = BattleLogPage.model_validate({"logs": [ENTRY | {"raid": "x"}], "next_cursor": "c", "total": 1})

    assert page.logs[0].size_bytes == 12
    assert page.logs[0].updated_at.utcoffset().total_seconds() == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "a/b"},
        {"id": ""},
        {"id": "이다"},
        {"content_sha256": "0" * 63},
        {"content_sha256": "G" * 64},
        {"updated_at": "2026-11-19T03:10:00"},
        {"size_bytes": -1},
    ],
)
def test_an_entry_that_breaks_the_contract_is_refused(wrong):
    with pytest.raises(ValidationError):
        BattleLogEntry.model_validate(ENTRY | wrong)


@pytest.mark.parametrize("cursor", [None, "", "a b", "a+b"])
def test_a_page_always_has_a_cursor_that_needs_no_escaping(cursor):
    with pytest.raises(ValidationError):
        BattleLogPage.model_validate({"logs": [], "next_cursor": cursor})
