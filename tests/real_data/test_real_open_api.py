"""Real bodies of the Open API: what the parsers read of them.

The folder is found beside the project or by ``LOSTARK_REAL_DATA``; without it these tests skip, saying so.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, datetime, time
from pathlib import Path

import pyarrow as pa
import pytest

from lostark_assets.contracts.core import CORE_GAME_EVENTS
from lostark_assets.contracts.expectations import examine
from lostark_assets.contracts.raw import RAW_GAME_NOTICES
from lostark_assets.core.game_events import KST, game_events
from lostark_assets.game.classes import resolve_class
from lostark_assets.sources.open_api_news import news_rows
from lostark_assets.sources.open_api_parse import PARTS, ArmoryProfile, Engraving, find_drift, parse_profile

DATA = Path(os.environ.get("LOSTARK_REAL_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
BODIES = DATA / "open_api"
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not BODIES.is_dir(), reason=f"no Open API bodies at {BODIES}; set LOSTARK_REAL_DATA"),
]


def test_a_whole_combined_body_is_read():
    name = json.loads((BODIES / "armory_profiles.json").read_bytes())["CharacterName"]

    assert parse_profile((BODIES / "armory_combined.json").read_bytes()) == ArmoryProfile(
        character_name=name,
        server_name="루페온",
        class_name="Breaker",
        spec_name="Asura's Path",
        item_level=1760.0,
        combat_power=4351.68,
        engravings=tuple(
            Engraving(one, 4, "유물")
            for one in ("결투의 대가", "돌격대장", "아드레날린", "예리한 둔기", "원한")
        ),
        gem_levels=(10,) * 11,
        evolution=120,
        enlightenment=101,
        leap=70,
        ark_grid=(("질서의 해 코어 : 수라안", 0),),
        card_sets=("굳센 대지의 숨결 6세트 (30각성합계)",),
    )


def test_a_body_with_the_asked_parts_alone_reads_the_same():
    whole = json.loads((BODIES / "armory_combined.json").read_bytes())
    requested = json.dumps({part: whole[part] for part in PARTS}).encode()

    assert parse_profile(requested) == parse_profile((BODIES / "armory_combined.json").read_bytes())
    assert len(requested) < 200_000
    assert find_drift(requested) == find_drift((BODIES / "armory_combined.json").read_bytes()) == set()


def test_an_unknown_character_is_none():
    assert parse_profile((BODIES / "unknown_character.json").read_bytes()) is None


def test_every_class_of_real_accounts_is_known():
    accounts = json.loads((BODIES / "siblings.json").read_bytes())

    classes = {one["CharacterClassName"] for account in accounts.values() for one in account}
    assert [name for name in classes if resolve_class(name) is None] == []


def test_three_months_of_notices_become_windows_and_patches():
    body = (BODIES / "news_notices.json").read_bytes()
    rows = list(news_rows("notices", body, fetched_at=datetime(2025, 8, 21, tzinfo=UTC), run_id="t"))
    events = game_events(pa.Table.from_pylist(rows, schema=RAW_GAME_NOTICES.schema))
    assert [str(f) for f in examine(CORE_GAME_EVENTS, events) if not f.passed] == []
    found = events.to_pylist()
    windows = [row for row in found if row["kind"] == "maintenance"]

    assert len(rows) == 67
    completions = sum("점검 완료" in row["title"] for row in rows)
    assert len(found) == len(rows) - completions
    assert sum(row["completion_notice_id"] is not None for row in windows) == completions == 7
    assert Counter(row["kind"] for row in found) == {"maintenance": 19, "patch": 16, "notice": 25}
    regular = [row["starts_at"].astimezone(KST) for row in windows if row["is_regular"]]
    assert all((at.weekday(), at.time()) == (2, time(6)) for at in regular)
    assert len({at.date() for at in regular}) == len(regular) == 13
    extra = [row for row in windows if not row["is_regular"]]
    assert all(row["end_known_by"] == "completion notice" for row in extra)
    minutes = [(row["ends_at"] - row["starts_at"]).total_seconds() // 60 for row in extra]
    assert max(minutes) == 61
    assert min(minutes) == 35
