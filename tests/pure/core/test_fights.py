"""Which logs are one fight, and which of them counts: in any order, with odd clocks and missing players."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lostark_assets.contracts.core import CORE_ENCOUNTERS, CORE_PLAYERS
from lostark_assets.core.fights import FIGHT_COLUMNS, PLAYER_COLUMNS, assign_fights

START = datetime(2026, 9, 2, 20, 0, tzinfo=UTC)
FOUR = ("Ann", "Bob", "Cid", "Dee")


def log(key, at=0.0, players=FOUR, **more):
    """One log: its facts and its players."""
    facts = {
        "encounter_id": key, "raid_name": "Aegir", "gate_name": "G1", "boss_name": "Akkan",
        "fight_started_at": START + timedelta(seconds=at), "fight_started_ntp_at": None, "source": "s",
        "source_log_id": key, "difficulty": "Hard", "duration_ms": 300_000, "completeness": 204.0,
        "damage": 10**9, "fetched_at": START,
    } | more  # fmt: skip
    return facts, players


def frame(contract, columns, rows):
    schema = pa.schema([contract.schema.field(c) for c in columns])
    return pa.Table.from_pylist(rows, schema=schema).to_pandas(types_mapper=pd.ArrowDtype)


def assigned(*logs):
    """Fight by log, with those alone in their own."""
    encounters = frame(CORE_ENCOUNTERS, FIGHT_COLUMNS, [facts for facts, _ in logs])
    players = [
        {
            "encounter_id": facts["encounter_id"], "player_name": name,
            "is_name_known": not name.startswith("Unknown"), "class_name": "Berserker", "spec_name": "Mayhem",
            "item_level": 1_700.0,
        }
        for facts, names in logs
        for name in names
    ]  # fmt: skip
    found = assign_fights(encounters, frame(CORE_PLAYERS, PLAYER_COLUMNS, players))
    return {facts["encounter_id"]: found.get(facts["encounter_id"]) for facts, _ in logs}


def are_one(*logs):
    found = assigned(*logs)
    return None not in found.values() and len({one.fight_id for one in found.values()}) == 1


SAME = [
    [log("a"), log("b", 14.9)],
    [log("a"), log("b", 14.9), log("c", 29.0)],
    [log("a"), log("b", players=FOUR[:3])],
    [log("a", players=FOUR[:3]), log("b", players=FOUR[:2])],
    [log("a", players=FOUR[:2]), log("b", players=FOUR[:1])],
    [log("a"), log("b", difficulty=None)],
    [log("a"), log("b", players=("Ann", "Unknown #1", "Cid", "Dee"))],
    [
        log("a", players=[f"Unknown #{n}" for n in range(4)]),
        log("b", players=[f"Unknown #{n}" for n in range(4)]),
    ],
    [log("a", 0.0, fight_started_ntp_at=START), log("b", 40.0, fight_started_ntp_at=START)],
    [log("a", raid_name=None, gate_name=None), log("b", raid_name=None, gate_name=None)],
    [log("a", duration_ms=0), log("b", 2.0, duration_ms=0)],
]
DIFFERENT = [
    [log("a"), log("b", 15.1)],
    [log("a"), log("b", gate_name="G2")],
    [log("a"), log("b", difficulty="Normal")],
    [log("a"), log("b", players=FOUR[:2])],
    [log("a"), log("b", players=("Eve", "Fay", "Gil", "Hal"))],
    [log("a", duration_ms=8_000), log("b", 12.0, duration_ms=300_000)],
    [log("a", players=FOUR[:1]), log("b", players=("Eve",))],
    [log("a", raid_name=None, gate_name=None), log("b", raid_name=None, gate_name=None, boss_name="Other")],
]


@pytest.mark.parametrize("logs", SAME)
def test_logs_of_one_fight_are_recognised(logs):
    assert are_one(*logs)
    assert are_one(*reversed(logs))


@pytest.mark.parametrize("logs", DIFFERENT)
def test_similar_fights_stay_apart(logs):
    """Among them: a pull that began within 15 s because the one before ended at once."""
    assert not are_one(*logs)


def test_the_most_complete_log_counts_and_the_fight_is_named_by_its_first():
    found = assigned(
        log("b", 3.0, completeness=204.04), log("a", 5.0, completeness=104.04), log("c", 4.0, damage=1)
    )

    assert {key: (one.fight_id, one.is_counted) for key, one in found.items()} == {
        "a": ("b", False), "b": ("b", True), "c": ("b", False)
    }  # fmt: skip


@pytest.mark.parametrize(
    "corrected",
    [
        {},
        {"difficulty": "Normal"},
        {"gate_name": "Gate 2"},
        {"raid_name": None, "gate_name": None},
        {"players": ["Zed"]},
    ],
)
def test_a_later_version_of_a_log_takes_its_place_whatever_it_corrects(corrected):
    old = log("a", source_log_id="7", fetched_at=START, completeness=208.0)
    later = START + timedelta(days=1)
    new = log("b", source_log_id="7", fetched_at=later, completeness=101.0, **corrected)

    found = assigned(old, new)

    assert found["a"].fight_id == found["b"].fight_id
    assert (found["a"].is_superseded, found["a"].is_counted) == (True, False)
    assert (found["b"].is_superseded, found["b"].is_counted) == (False, True)


@given(st.permutations(range(6)))
@settings(deadline=None, max_examples=25)
def test_the_order_in_which_logs_came_makes_no_difference(order):
    version = {"source_log_id": "a", "fight_started_at": START, "fetched_at": START + timedelta(hours=1)}
    logs = [
        log("a"), log("b", 9.0), log("c", 18.0, players=FOUR[:3]), log("d", 100.0),
        log("e", 0.0, difficulty="Normal"), log("f", 1.0, **version),
    ]  # fmt: skip

    assert assigned(*(logs[n] for n in order)) == assigned(*logs)
