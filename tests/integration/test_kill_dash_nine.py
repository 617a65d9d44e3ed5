"""A run killed at any moment loses nothing and doubles nothing: the next run completes it.

Not a mocked crash: the jobs ``ingest`` and ``score_days`` in a process of their own, forked as the platform's
run workers are, on PostgreSQL for Dagster and the marts, and SIGKILL. Half of the moments are spread over the
run's time, half over its effects: beginnings and ends of writing files, commits and statements.

``LOSTARK_KILLS=50`` tries that many moments of each job instead of a few; ``LOSTARK_KILL_SEED`` repeats them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import multiprocessing
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from lostark_assets.automation.due import check_lake
from lostark_assets.automation.requests import INGEST_JOB
from lostark_assets.database.postgres import Databases, embedded_postgres
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.marts.migrate import libpq_url, migrate
from lostark_assets.marts.publish import find_pending
from lostark_assets.settings import get_settings
from lostark_assets.sources.configured import open_landing
from lostark_assets.sources.landing import Ticket
from lostark_ml.dagster.jobs import SCORE_JOB
from lostark_ml.serving.score_days import find_days_to_score
from lostark_platform.services.dagster_home import create_dagster_tables, dagster_instance
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fight, generate_fights
from lostark_simulator.upload_json import write_upload_json
from tests.kill_worker import Work, work
from tests.model_lake import World

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("LOSTARK_KILLS", "0"))
INGEST_KILLS, SCORE_KILLS = KILLS or 10, KILLS or 2
LIMIT_S = 120
SEASON = SeasonConfig(encounters=9, seed=11, days=2, start=date(2026, 9, 2), hits_per_player=6)
KNOWN_FIGHTS = 3
STAGES = ("raw_battle_logs", "core_hits", "core_encounters", "stats_player_dps", "ml_expected_dps")
"""Tables in the order in which a run commits them."""
PASSING = {
    "fetched_at", "newest_fetch_at", "cleaned_at", "quarantined_at", "computed_at", "scored_at",
    "source_path",
}  # fmt: skip
"""Columns that differ between two runs over the same input, beside ids of runs."""
STATES = {"publications", "day_states", "table_states"}


@dataclass
class Worker:
    """A started process, and what it sends."""

    process: multiprocessing.Process
    pipe: Connection

    def wait(self, timeout_s: float = LIMIT_S) -> int | None:
        """The exit code; None if it still runs."""
        self.process.join(timeout_s)
        return self.process.exitcode

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.join(LIMIT_S)


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[[Work], Worker]]:
    """Starts a worker: forked from a server that has everything imported and no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.kill_preload"])

    def start_worker(task: Work) -> Worker:
        mine, theirs = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(task, theirs), daemon=True)
        process.start()
        theirs.close()
        return Worker(process, mine)

    sys.path.insert(0, str(ROOT))
    yield start_worker
    sys.path.remove(str(ROOT))


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    with embedded_postgres(get_settings(home=tmp_path_factory.mktemp("home"))) as databases:
        create_dagster_tables(databases)
        yield databases


def copy_database(databases: Databases, name: str) -> Databases:
    """A copy of the marts' database under another name."""
    url = make_url(databases.lostark)
    with psycopg.connect(libpq_url(databases.dagster), autocommit=True) as connection:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(str(url.database))))
    return replace(databases, lostark=url.set(database=name).render_as_string(hide_password=False))


def run_to_its_end(start: Callable[[Work], Worker], task: Work) -> tuple[list[str], int, float]:
    """Abandoned runs found before it, number of effects, and seconds."""
    worker = start(task)
    abandoned = worker.pipe.recv()
    began = time.monotonic()
    assert worker.wait() == 0
    return abandoned, worker.pipe.recv(), time.monotonic() - began


def read_contents(task: Work) -> dict[str, tuple[int, str]]:
    """Number of rows, and a digest of the rows, of every table of lake and marts."""
    lake, found = open_lake(task.settings), {}
    for name in sorted(folder.name for folder in Path(lake.url).glob("[!.]*")):
        found[name] = summarize(lake.read(name).to_pylist())
    with psycopg.connect(libpq_url(task.databases.lostark)) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'marts'").fetchall()
        for (name,) in names:
            if name not in STATES:
                cursor = connection.execute(sql.SQL("SELECT * FROM marts.{}").format(sql.Identifier(name)))
                columns = [column.name for column in cursor.description or ()]
                found[f"marts.{name}"] = summarize([dict(zip(columns, row, strict=True)) for row in cursor])
    return found


def summarize(rows: list[dict[str, Any]]) -> tuple[int, str]:
    kept = sorted(
        repr({n: v for n, v in row.items() if n not in PASSING and not n.endswith("run_id")}) for row in rows
    )
    return len(rows), hashlib.sha256("\n".join(kept).encode()).hexdigest()


def find_stage(task: Work, before: dict[str, int | None]) -> str:
    """The last table that the run committed, of those that it commits in order."""
    lake = Lake(task.settings.lake_url)
    moved = [name for name in STAGES if lake.version(name) != before.get(name)]
    with psycopg.connect(libpq_url(task.databases.lostark)) as connection:
        row = connection.execute("SELECT max(version) FROM marts.publications").fetchone()
    return "marts" if row and row[0] != before["marts"] else moved[-1] if moved else "nothing"


def read_versions(task: Work) -> dict[str, int | None]:
    lake = Lake(task.settings.lake_url)
    with psycopg.connect(libpq_url(task.databases.lostark)) as connection:
        row = connection.execute("SELECT max(version) FROM marts.publications").fetchone()
    return {name: lake.version(name) for name in STAGES} | {"marts": row[0] if row else None}


def kill_somewhere(
    start: Callable[[Work], Worker], task: Work, chance: random.Random, effects: int, took_s: float
) -> str | None:
    """Start the run and kill it; the kind of moment, or None if the run ended before."""
    if chance.random() < 0.5:
        at = chance.randrange(effects)
        worker = start(replace(task, kill_at=at, has_profiler=True))
        code = worker.wait()
        assert code in (0, -9)
        return f"effect {at} of {effects}" if code else None
    worker, wait_s = start(task), chance.uniform(0, took_s)
    assert worker.pipe.recv() == []
    if worker.wait(wait_s) is not None:
        assert worker.process.exitcode == 0
        return None
    worker.kill()
    return f"{wait_s:.2f} s of {took_s:.2f}"


def kill_and_complete(
    start: Callable[[Work], Worker],
    prepare: Callable[[str], Work],
    complete: Callable[[Work], Work],
    kills: int,
    check: Callable[[Work], None],
) -> Counter[str]:
    """Kill ``kills`` runs, complete each by another run, and compare; returns how far the killed ones came.

    ``prepare`` makes a platform of that name with its run; ``complete`` gives what is requested next there.
    """
    seed = int(os.environ.get("LOSTARK_KILL_SEED") or random.SystemRandom().randrange(10**6))
    sys.stderr.write(f"LOSTARK_KILL_SEED={seed}\n")
    chance = random.Random(seed)
    undisturbed = prepare("undisturbed")
    _, effects, _ = run_to_its_end(start, replace(undisturbed, has_profiler=True))
    run_to_its_end(start, complete(undisturbed))
    # Only now is everything that the first run compiles and connects there.
    _, _, took_s = run_to_its_end(start, prepare("measured"))
    expected = read_contents(undisturbed)
    check(undisturbed)

    stages: Counter[str] = Counter()
    found_abandoned = 0
    for number in range(3 * kills):
        task = prepare(f"round{number}")
        before = read_versions(task)
        moment = kill_somewhere(start, task, chance, effects, took_s)
        if moment is not None:
            stages[stage := find_stage(task, before)] += 1
            abandoned, _, _ = run_to_its_end(start, complete(task))
            # None if it was killed before its run was recorded, or after its end was.
            assert len(abandoned) <= 1
            with dagster_instance(task.settings) as instance:
                statuses = {instance.get_run_by_id(run_id).status for run_id in abandoned}
            assert statuses <= {dg.DagsterRunStatus.FAILURE}
            found_abandoned += len(abandoned)
            found = read_contents(task)
            different = [name for name in expected.keys() | found if found.get(name) != expected.get(name)]
            assert not different, f"seed {seed}: killed at {moment}, after {stage}: {different}"
            check(task)
        shutil.rmtree(task.home)
        if sum(stages.values()) == kills:
            break
    assert found_abandoned >= kills / 2
    sys.stderr.write(f"killed after {dict(stages)}; {effects} effects in {took_s:.2f} s\n")
    return stages


def accept_upload(settings: Any, number: int, content: bytes, source: str, log_format: str) -> None:
    landing = open_landing(settings)
    ticket, path = landing.begin(f"{number}.csv" if log_format == "player_table" else f"{number}.json")
    path.write_bytes(content)
    landing.accept(Ticket(ticket, path.name, source, log_format, len(content), "", datetime.now(UTC)))


def make_table() -> bytes:
    rows = [
        ("id", "name", "spec", "gearscore", "dps", "percent", "timestamp", "duration"),
        ("1", "Bob", "Mayhem", 1670.0, 100, 0.5, 1_788_400_000_000, 60_000),
        ("1", "Ann", "Igniter", 1660.0, 90, 0.5, 1_788_400_000_000, 60_000),
    ]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


@pytest.fixture
def ingesting(tmp_path: Path, databases: Databases, start) -> Callable[[str], Work]:
    """Makes a platform that knows some fights, has new ones in a folder, and pending uploads."""
    folder = tmp_path / "logs"
    folder.mkdir()
    known = replace(SEASON, encounters=KNOWN_FIGHTS)
    write_encounters_db(folder / "encounters.db", generate_fights(known))
    base = Work(tmp_path / "base", copy_database(databases, "base"), INGEST_JOB, sources=(folder,))
    run_to_its_end(start, replace(base, config={"sources": ["loa_logs"]}))
    (folder / "encounters.db").unlink()
    write_encounters_db(folder / "encounters.db", generate_fights(SEASON))
    # A fight that the folder has too, one of another season, a table, and a log that cleaning refuses.
    fights = [generate_fight(SEASON, 7), generate_fight(replace(SEASON, seed=5, dirt=False), 0)]
    for number, fight in enumerate(fights):
        content = write_upload_json(tmp_path / "upload.json", fight, uploader=-1).read_bytes()
        accept_upload(base.settings, number, content, "upload:json", "upload_json")
    broken = json.dumps({"entities": {}, "fightStart": 1_788_400_000_000}).encode()
    accept_upload(base.settings, 2, broken, "upload:json", "upload_json")
    accept_upload(base.settings, 3, make_table(), "upload:table-x", "player_table")

    def prepare(name: str) -> Work:
        home = shutil.copytree(base.home, tmp_path / name)
        config = {"sources": ["loa_logs"], "uploads": True}
        return replace(base, home=home, databases=copy_database(base.databases, name), config=config)

    return prepare


def complete_ingest(task: Work) -> Work:
    """What the sensors request next."""
    lake = open_lake(task.settings)
    days = {*check_lake(lake, None, time.time()).due}
    days |= {day.isoformat() for day in find_pending(lake, task.databases.lostark).days}
    return replace(task, config=task.config | {"days": sorted(days)})


def check_ingested(task: Work) -> None:
    """Everything is collected once, published, and reported to its uploader."""
    lake = open_lake(task.settings)
    assert check_lake(lake, None, time.time()).due == {}
    assert find_pending(lake, task.databases.lostark).days == {}
    log_ids = lake.read("raw_battle_logs", columns=["log_id"])["log_id"].to_pylist()
    assert len(log_ids) == len(set(log_ids))
    landing = open_landing(task.settings)
    assert landing.waiting() == []
    collected = list((task.settings.landing_dir / ".collected").iterdir())
    assert len(collected) == 4
    for folder in collected:
        result = landing.find(folder.name).result
        assert result is not None
        assert (result.error, result.problems, result.found) == (None, [], 1)
        assert set(result.log_ids) <= set(log_ids)
        assert not landing.find(folder.name).file.exists()


def test_ingest_killed_at_random_moments_ends_up_as_undisturbed(ingesting, start):
    stages = kill_and_complete(start, ingesting, complete_ingest, INGEST_KILLS, check_ingested)

    assert sum(stages.values()) == INGEST_KILLS
    assert len(stages) >= 2


@pytest.fixture
def scoring(tmp_path: Path, databases: Databases, lake_with_champion: World) -> Callable[[str], Work]:
    """Makes a platform with a champion and four days that are not scored."""
    empty = copy_database(databases, "unscored")
    migrate(empty.lostark)
    days = [day.isoformat() for day in lake_with_champion.lake.days("stats_player_dps")[-2:]]

    def prepare(name: str) -> Work:
        world = lake_with_champion.copy(tmp_path / name)
        return Work(world.home, copy_database(empty, f"scored_{name}"), SCORE_JOB, {"days": days})

    return prepare


def test_scoring_killed_at_random_moments_ends_up_as_undisturbed(scoring, start):
    def check(task: Work) -> None:
        lake = Lake(task.settings.lake_url)
        days = {date.fromisoformat(day) for day in task.config["days"]}
        assert find_days_to_score(lake, days) == {}
        assert find_pending(lake, task.databases.lostark).days.keys().isdisjoint(days)

    stages = kill_and_complete(start, scoring, lambda task: task, SCORE_KILLS, check)

    assert sum(stages.values()) == SCORE_KILLS
