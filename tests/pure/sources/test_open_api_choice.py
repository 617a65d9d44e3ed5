"""Characters to request: players of recent fights, newest first, none while its response is fresh."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from lostark_assets.contracts.core import CORE_ENCOUNTERS, CORE_PLAYERS
from lostark_assets.contracts.raw import RAW_ARMORY_PROFILES
from lostark_assets.lake.tables import Lake
from lostark_assets.sources.open_api_choice import (
    CharacterChoice,
    Freshness,
    characters_due,
    choose_characters,
)

NOW = datetime(2026, 9, 20, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
FRESHNESS = Freshness()


def ago(hours):
    return NOW - hours * HOUR


@pytest.mark.parametrize(
    ("requested", "due"),
    [
        ({}, ["a"]),
        ({"a": (ago(5.99), "found")}, []),
        ({"a": (ago(6), "found")}, ["a"]),
        ({"a": (ago(6), "unknown")}, []),
        ({"a": (ago(23.99), "unknown")}, []),
        ({"a": (ago(24), "unknown")}, ["a"]),
        ({"a": (ago(-1), "found")}, ["a"]),
        ({"b": (ago(1), "found")}, ["a"]),
    ],
)
def test_a_character_is_not_requested_again_while_its_response_is_fresh(requested, due):
    assert characters_due([("a", ago(2))], requested, NOW, FRESHNESS) == CharacterChoice(due, 1, 1 - len(due))


def test_players_of_the_newest_fights_come_first_and_each_once():
    seen = [
        ("b", ago(9)),
        ("a", ago(5)),
        ("c", ago(5)),
        ("b", ago(1)),
        ("old", ago(14 * 24 + 1)),
        ("edge", ago(14 * 24)),
    ]

    assert characters_due(seen, {}, NOW, FRESHNESS) == CharacterChoice(["b", "a", "c", "edge"], 4, 0)
    assert characters_due(seen[::-1], {}, NOW, FRESHNESS).due == ["b", "a", "c", "edge"]
    assert characters_due([], {}, NOW, FRESHNESS) == CharacterChoice([], 0, 0)


def rows(contract, entries):
    schema = pa.schema([contract.schema.field(name).with_nullable(nullable=True) for name in contract.names])
    return contract.conform(pa.Table.from_pylist(entries, schema=schema))


def fill(lake, fights):
    """Fights by id: start, region, players."""
    for contract, entries in (
        (
            CORE_ENCOUNTERS,
            [
                {"encounter_id": e, "fight_date": at.date(), "fight_started_at": at, "region": region}
                for e, (at, region, _) in fights.items()
            ],
        ),
        (
            CORE_PLAYERS,
            [
                {
                    "encounter_id": e, "fight_date": at.date(), "player_name": name,
                    "is_name_known": not name.startswith("Unknown"),
                }
                for e, (at, _, names) in fights.items() for name in names
            ],
        ),
    ):  # fmt: skip
        lake.append(contract, rows(contract, entries))


def test_players_and_last_responses_are_read_from_the_lake(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    assert choose_characters(lake, NOW, FRESHNESS) == CharacterChoice([], 0, 0)
    fill(
        lake,
        {
            "e1": (ago(30), "KR", ["이다", "치명", "Unknown #1"]),
            "e2": (ago(3), "NAE", ["Western"]),
            "e3": (ago(2), None, ["Regionless"]),
            "e4": (ago(24 * 15), "KR", ["옛날"]),
            "e5": (ago(1), "KR", ["치명"]),
        },
    )
    assert choose_characters(lake, NOW, FRESHNESS).due == ["치명", "Regionless", "이다"]
    assert choose_characters(lake, NOW, Freshness(regions=frozenset({"EUC"}))) == CharacterChoice([], 0, 0)
    everywhere = Freshness(regions=frozenset({"KR", "NAE"}))
    assert choose_characters(lake, NOW, everywhere).due == ["치명", "Western", "이다"]

    responses = [
        ("치명", ago(8), "found"),
        ("치명", ago(1), "found"),
        ("이다", ago(7), "found"),
        ("x", ago(1), "found"),
    ]
    lake.append(
        RAW_ARMORY_PROFILES,
        rows(
            RAW_ARMORY_PROFILES,
            [{"character_name": n, "fetched_at": at, "status": s, "body": b""} for n, at, s in responses],
        ),
    )
    assert choose_characters(lake, NOW, FRESHNESS) == CharacterChoice(["Regionless", "이다"], 3, 1)
