"""Who reads and then writes holds a lock all the while, so that nothing is lost and no name comes back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pytest
from filelock import FileLock, Timeout

from lostark_assets.contracts.raw import RAW_ARMORY_PROFILES
from lostark_assets.contracts.registry import CONTRACTS
from lostark_assets.lake.tables import Lake
from lostark_assets.stats.pipeline import refresh_distribution, refresh_progression
from lostark_ml.registry.lifecycle import refresh_training_set
from lostark_ml.registry.names import STYLE_MODEL
from lostark_ml.serving.score_days import score_days
from lostark_ml.styles.refresh import refresh_styles
from lostark_platform.erasure import forget
from tests.model_lake import World

NOW = datetime(2026, 9, 9, tzinfo=UTC)
STATS, STATS_LOCK = "stats_player_dps", "stats"


def is_held(lake: Lake, name: str) -> bool:
    try:
        with FileLock(Path(lake.url) / ".locks" / f"{name}.lock", timeout=0):
            return False
    except Timeout:
        return True


@pytest.mark.parametrize(
    ("lock", "derive"),
    [
        ("stats", lambda w: refresh_distribution(w.lake, "polars")),
        ("stats", lambda w: refresh_progression(w.lake, "polars")),
        ("stats", lambda w: score_days(w.lake, w.registry, w.lake.days(STATS)[:1], NOW)),
        ("ml_training_set", lambda w: refresh_training_set(w.lake)),
        ("ml_player_clusters", lambda w: refresh_styles(w.lake, w.registry.for_model(STYLE_MODEL), NOW)),
    ],
    ids=["distribution", "progression", "scores", "training set", "styles"],
)
def test_tables_derived_from_statistics_are_written_under_a_lock(world: World, monkeypatch, lock, derive):
    checked = []

    def noting(what):
        do = getattr(Lake, what)

        def noted(self, subject, *args, **options):
            name = getattr(subject, "name", subject)
            if what == "_write" or name == STATS:
                checked.append((what, name, is_held(self, lock)))
            return do(self, subject, *args, **options)

        return noted

    for what in ("read", "frame", "_write"):
        monkeypatch.setattr(Lake, what, noting(what))
    derive(world)

    assert {what for what, _, _ in checked} >= {"_write"}
    assert {name for _, name, _ in checked} > {STATS}
    assert [(what, name) for what, name, held in checked if not held] == []
    assert not is_held(world.lake, lock)


def test_rows_added_during_an_erasure_are_kept(tmp_path, monkeypatch):
    lake, other = (Lake(str(tmp_path / "lake")) for _ in range(2))
    lake.append(RAW_ARMORY_PROFILES, profiles("Alice", "Bob"))

    def add():
        with other.lock(RAW_ARMORY_PROFILES.name):
            other.append(RAW_ARMORY_PROFILES, profiles("Carol"))

    adding = Thread(target=add)
    replace_all = Lake.replace_all

    def replaced(self, *args):
        adding.start()
        adding.join(0.5)
        replace_all(self, *args)

    monkeypatch.setattr(Lake, "replace_all", replaced)
    done = forget.Erasure()
    with forget._hold_locks(lake):
        names = {*CONTRACTS, "core", STATS_LOCK} - {forget.RAW}
        assert [name for name in sorted(names) if not is_held(lake, name)] == []
        forget._erase_in_table(
            lake, RAW_ARMORY_PROFILES, "Alice", None, set(), forget._AnonymousNames(), done, set()
        )
    adding.join(10)

    assert sorted(lake.read(RAW_ARMORY_PROFILES.name)["character_name"].to_pylist()) == ["Bob", "Carol"]
    assert done.changed == {RAW_ARMORY_PROFILES.name: 1}


def profiles(*names):
    rows = [
        {
            "profile_id": name, "region": "KR", "character_name": name, "fetched_at": NOW, "status": "found",
            "content_sha256": name, "body_bytes": 2, "body": b"{}", "request_path": "/", "fetch_run_id": "r",
        }
        for name in names
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=RAW_ARMORY_PROFILES.schema)
