"""Whatever a file or a log raises, it alone is refused: with a reason, an error id and its traceback kept.

``LOSTARK_MUTATIONS=2000`` tries that many mutated files of each format instead of a few.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lostark_assets.core import clean, pipeline
from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.pipeline import clean_days
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.observability.logs import configure_logs
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.upload_json import UploadJson
from lostark_platform.cli.ingest import ingest
from lostark_simulator.entities import encounter_json
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fight, generate_fights
from lostark_simulator.views import view_fight
from tests.mutations import mutate_database, mutate_table, mutate_upload

RULES = Rules(now=datetime(2027, 1, 1, tzinfo=UTC))
FIGHTS = SeasonConfig(encounters=6, hits_per_player=3, dirt=False, duplicate_share=0.0, seed=2)
MUTATIONS = int(os.environ.get("LOSTARK_MUTATIONS", "40"))
FILES_AT_ONCE = 40


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    settings = get_settings(home=tmp_path / "home")
    configure_logs(settings, "test")
    yield settings
    configure_logs(get_settings(), "test")


def get_document(number: int) -> bytes:
    fight = generate_fight(FIGHTS, number)
    return msgspec.json.encode(encounter_json(view_fight(fight, fight.uploads[0])))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six good uploads."""
    (tmp_path / "logs").mkdir()
    for number in range(6):
        (tmp_path / f"logs/{number}.json").write_bytes(get_document(number))
    return tmp_path / "logs"


def bring_in(settings: Settings, path: Path) -> Any:
    return ingest(settings, [str(path)], lambda *_: None, check=False)


def read_quarantine(lake: Lake) -> list[tuple[str, str]]:
    rows = lake.read("core_quarantine", columns=["reason_code", "detail"])
    return list(zip(rows["reason_code"].to_pylist(), rows["detail"].to_pylist(), strict=True))


def read_events(settings: Settings, event: str) -> list[dict[str, Any]]:
    lines = (settings.logs_dir / "events.jsonl").read_text().splitlines()
    return [one for one in map(json.loads, lines) if one["event"] == event]


def test_a_log_that_makes_cleaning_raise_is_refused_alone(settings, folder, monkeypatch):
    culprit, clean_log = get_document(3), clean.clean_log

    def fail_for_one(log_format, payload, rules):
        return 1 / 0 if bytes(payload) == culprit else clean_log(log_format, payload, rules)

    monkeypatch.setattr(clean, "clean_log", fail_for_one)
    bring_in(settings, folder)
    lake = open_lake(settings)
    clean_days(lake, None, RULES, run_id="t")

    [(reason, detail)] = read_quarantine(lake)
    [event] = read_events(settings, "unexpected_error")
    assert lake.count("core_encounters") == 5
    assert reason == "unexpected_error"
    assert detail == f"{event['error_id']}: ZeroDivisionError: division by zero"
    assert "fail_for_one" in event["exception"]


def fail_for_log(log_ids: set[str], examine: Callable[..., Any]) -> Callable[..., Any]:
    def examine_core(tables, raw_logs):
        if pc.any(pc.is_in(tables["core_encounters"]["log_id"], pa.array(sorted(log_ids)))).as_py():
            raise pa.ArrowInvalid("Integer value 9007199254740993 not in range")
        return examine(tables, raw_logs)

    return examine_core


@pytest.mark.parametrize("culprits", [1, 3])
def test_logs_that_break_their_batch_are_found_and_the_others_go_in(settings, folder, monkeypatch, culprits):
    bring_in(settings, folder)
    lake = open_lake(settings)
    log_ids = sorted(lake.read("raw_battle_logs", columns=["log_id"])["log_id"].to_pylist())
    monkeypatch.setattr(
        pipeline, "examine_core", fail_for_log(set(log_ids[:culprits]), pipeline.examine_core)
    )

    run = clean_days(lake, None, RULES, run_id="t")

    refused = lake.read("core_quarantine", columns=["log_id"])["log_id"].to_pylist()
    kept = lake.read("core_encounters", columns=["log_id"])["log_id"].to_pylist()
    assert sorted(refused) == log_ids[:culprits]
    assert sorted(kept) == log_ids[culprits:]
    assert dict(run.quarantined) == {"unexpected_error": culprits}


def test_a_rule_that_fails_for_every_log_stops_before_anything_is_written(settings, folder, monkeypatch):
    bring_in(settings, folder)
    lake = open_lake(settings)
    log_ids = set(lake.read("raw_battle_logs", columns=["log_id"])["log_id"].to_pylist())
    monkeypatch.setattr(pipeline, "examine_core", fail_for_log(log_ids, pipeline.examine_core))

    with pytest.raises(pa.ArrowInvalid):
        clean_days(lake, None, RULES, run_id="t")

    assert lake.count("core_encounters") == lake.count("core_quarantine") == 0


def test_a_file_that_makes_its_reader_raise_stops_no_other(settings, folder, monkeypatch):
    list_logs = UploadJson.list_logs

    def fail_for_one(self):
        return [] if self.path.endswith("2.json") and 1 / 0 else list_logs(self)

    monkeypatch.setattr(UploadJson, "list_logs", fail_for_one)
    done = bring_in(settings, folder)

    [event] = read_events(settings, "unexpected_error")
    errors = [file.error for file in done.files if file.error]
    assert (sum(file.new for file in done.files), len(errors), done.is_complete) == (5, 1, False)
    assert f"2.json: unexpected ZeroDivisionError: division by zero (error {event['error_id']})" in errors[0]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("db") / "encounters.db"
    write_encounters_db(
        path, generate_fights(SeasonConfig(encounters=1, hits_per_player=3, dirt=False, seed=4))
    )
    return path.read_bytes()


@pytest.mark.parametrize("mutate", [mutate_upload, mutate_table, mutate_database])
def test_mutated_files_never_keep_a_good_one_out(settings, tmp_path, database, mutate):
    content = database if mutate is mutate_database else get_document(0)
    rng = random.Random(mutate.__name__)
    for start in range(0, MUTATIONS, FILES_AT_ONCE):
        folder = tmp_path / f"mutated-{start}"
        folder.mkdir()
        for number in range(start, min(start + FILES_AT_ONCE, MUTATIONS)):
            suffix, mutated = mutate(content, rng)
            (folder / f"{number:05}{suffix}").write_bytes(mutated)
        (folder / "99999-good.json").write_bytes(get_document(5))
        lake = Lake(str(tmp_path / f"lake-{start}"))
        mine = settings.model_copy(update={"lake_url": lake.url})

        done = bring_in(mine, folder)
        run = clean_days(lake, None, RULES, run_id="t")

        [good] = [file for file in done.files if file.path.endswith("99999-good.json")]
        assert good.error is None
        kept = lake.read("core_encounters", columns=["log_id"])["log_id"].to_pylist()
        assert set(good.log_ids) <= set(kept)
        assert run.encounters + sum(run.quarantined.values()) == lake.count("raw_battle_logs")
        # What was foreseen has a reason of its own; an unexpected one is a rule to add.
        assert run.quarantined["unexpected_error"] == 0, read_quarantine(lake)
