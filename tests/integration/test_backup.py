"""A backup of a living platform restores to the same tables, pages, keys and champion, or to nothing."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pandas as pd
import psycopg
import pytest
from pydantic import SecretStr

from lostark_assets.automation.requests import ACROSS_DAYS_JOB, INGEST_JOB, run_config
from lostark_assets.database import dumps
from lostark_assets.database.postgres import embedded_postgres
from lostark_assets.definitions import build_defs
from lostark_assets.errors import PermanentError
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.ledger import LEDGER_FILE, open_ledger
from lostark_assets.marts.migrate import libpq_url
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.configured import list_uploads, open_landing
from lostark_assets.sources.landing import Ticket
from lostark_ml.features.training_set import model_input
from lostark_ml.registry.model_registry import Submission, open_registry
from lostark_ml.registry.names import CHAMPION
from lostark_platform.backup import files as backup_files
from lostark_platform.backup.files import copy_table
from lostark_platform.backup.make import make_backup
from lostark_platform.backup.manifest import MANIFEST, read_manifest
from lostark_platform.backup.restore import _upload_table, restore_backup
from lostark_platform.cli.ingest import ingest_paths
from lostark_platform.config import RESTORING_FILE
from lostark_platform.services.fight_days import hold_home
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights


def quiet(_: str) -> None:
    """Say nothing."""


def write_season(path: Path, seed: int, fights: int = 6) -> Path:
    config = SeasonConfig(encounters=fights, seed=seed, days=2, hits_per_player=20)
    write_encounters_db(path, generate_fights(config))
    return path


def run(settings: Settings, job_name: str, config: dict[str, object] | None = None) -> None:
    """One job, as the platform runs it."""
    with dg.DagsterInstance.ephemeral() as instance:
        job = build_defs(settings=settings).resolve_job_def(job_name)
        assert job.execute_in_process(instance=instance, run_config=config).success


def ingest(settings: Settings) -> None:
    """Ingest the configured source."""
    run(settings, INGEST_JOB, run_config(INGEST_JOB, {"sources": ["loa_logs"]}))


def read_tables(lake: Lake, versions: dict[str, int]) -> dict[str, list[str]]:
    """The rows of every table at the given versions, in a fixed order."""
    return {
        name: sorted(map(repr, lake.read(name, version=version).to_pylist()))
        for name, version in versions.items()
    }


def read_marts(url: str) -> dict[str, list[tuple[object, ...]]]:
    with psycopg.connect(libpq_url(url)) as connection:
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'marts' ORDER BY tablename"
        ).fetchall()
        return {
            name: sorted(connection.execute(f"SELECT t::text FROM marts.{name} t").fetchall())
            for (name,) in names
        }


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A data folder with fights, marts, a waiting upload, and a ledger."""
    folder = tmp_path_factory.mktemp("platform")
    source = write_season(folder / "encounters.db", 3)
    settings = get_settings(home=folder / "home", sources=(source,))
    ingest(settings)
    run(settings, ACROSS_DAYS_JOB)
    landing = open_landing(settings)
    ticket, path = landing.begin("late.db")
    path.write_bytes(write_season(folder / "late.db", 4).read_bytes())
    landing.accept(Ticket(ticket, path.name, "upload:db", "loa_logs_db", 1, "", datetime.now(UTC)))
    open_ledger(settings).set_cursor("demo", "41")
    return settings


@pytest.fixture(scope="module")
def backup(platform: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("backups") / "first"
    make_backup(platform, target, quiet)
    return target


def test_a_restored_platform_has_equal_tables_marts_uploads_and_ledger(platform, backup, tmp_path) -> None:
    restored = get_settings(home=tmp_path / "home", sources=())
    manifest = restore_backup(restored, backup, quiet)

    assert set(manifest.tables) >= {
        "raw_battle_logs",
        "core_players",
        "stats_player_dps",
        "stats_raid_progression",
    }
    assert manifest.databases == ["dagster", "lostark", "mlflow"]
    assert read_tables(open_lake(restored), manifest.tables) == read_tables(
        open_lake(platform), manifest.tables
    )
    with embedded_postgres(platform) as before, embedded_postgres(restored) as after:
        marts = read_marts(before.lostark)
        assert read_marts(after.lostark) == marts
    assert marts["encounters"]
    [upload] = list_uploads(restored)
    assert upload.path.read_bytes() == list_uploads(platform)[0].path.read_bytes()
    assert open_ledger(restored).cursor("demo") == "41"
    assert not (restored.home / RESTORING_FILE).exists()
    # It goes on where the first one was: nothing is collected twice.
    ingested = ingest_paths(restored, [*platform.sources], quiet, run_id="again")
    assert [one.new for one in ingested] == [0]


def test_a_backup_during_collections_lacks_no_raw_log_of_a_derived_row(tmp_path) -> None:
    seeds = iter(range(100, 200))
    finished = threading.Event()
    settings = get_settings(home=tmp_path / "home", sources=(tmp_path / "encounters.db",))
    write_season(tmp_path / "encounters.db", 1)
    ingest(settings)

    def collect() -> None:
        while not finished.is_set():
            write_season(tmp_path / "encounters.db", next(seeds), fights=2)
            ingest(settings)

    writer = threading.Thread(target=collect)
    writer.start()
    try:
        manifest = make_backup(settings, tmp_path / "backup", quiet)
    finally:
        finished.set()
        writer.join()
    restored = get_settings(home=tmp_path / "restored", sources=())
    restore_backup(restored, tmp_path / "backup", quiet)

    lake = open_lake(restored)
    raw = set(lake.read("raw_battle_logs", columns=["log_id"])["log_id"].to_pylist())
    derived = set(lake.read("core_encounters", columns=["log_id"])["log_id"].to_pylist())
    assert derived
    assert derived <= raw
    assert lake.version("raw_battle_logs") == manifest.tables["raw_battle_logs"]


def test_the_champion_is_the_same_and_its_files_are_found_in_the_new_place(fitted, tmp_path) -> None:
    settings = get_settings(home=tmp_path / "home", sources=())
    model, frame = fitted
    with open_registry(settings) as registry:
        submission = Submission()
        version = registry.submit(model, submission, model_input(frame).head(5)).version
        registry.move_alias(CHAMPION, version)
    make_backup(settings, tmp_path / "backup", quiet)
    shutil.rmtree(settings.home)
    restored = get_settings(home=tmp_path / "restored", sources=())
    restore_backup(restored, tmp_path / "backup", quiet)

    with open_registry(restored) as registry:
        assert registry.aliases() == {CHAMPION: version}
        loaded = registry.load(version)
    pd.testing.assert_frame_equal(loaded.predict(frame), model.predict(frame), check_exact=True)


DAMAGES = {
    "a flipped byte": lambda path: path.write_bytes(
        bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]
    ),
    "a cut file": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "a missing file": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("kind", ["lake", "databases", "state", "landing"])
def test_a_damaged_backup_is_refused_before_anything_is_written(backup, tmp_path, damage, kind) -> None:
    copy = Path(shutil.copytree(backup, tmp_path / "copy"))
    victim = next(copy / one.path for one in read_manifest(copy).files if one.path.startswith(f"{kind}/"))
    damage(victim)
    settings = get_settings(home=tmp_path / "home", sources=())

    with pytest.raises(PermanentError, match=victim.name):
        restore_backup(settings, copy, quiet)
    assert not settings.home.exists()


def test_what_is_no_backup_or_a_newer_one_is_refused(backup, tmp_path) -> None:
    settings = get_settings(home=tmp_path / "home", sources=())
    with pytest.raises(PermanentError, match=f"expected a backup with {MANIFEST}"):
        restore_backup(settings, tmp_path, quiet)
    copy = tmp_path / "newer"
    copy.mkdir()
    (copy / MANIFEST).write_text((backup / MANIFEST).read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(PermanentError, match="Update the platform"):
        restore_backup(settings, copy, quiet)
    assert not settings.home.exists()


def test_a_used_data_folder_or_database_is_left_alone(platform, backup, tmp_path) -> None:
    with pytest.raises(PermanentError, match="expected a new data folder"):
        restore_backup(platform, backup, quiet)
    with embedded_postgres(platform) as databases:
        used = get_settings(home=tmp_path / "home", sources=(), postgres_url=SecretStr(databases.lostark))
        before = read_marts(databases.lostark)
        with pytest.raises(PermanentError, match="expected empty databases"):
            restore_backup(used, backup, quiet)
        assert read_marts(databases.lostark) == before
    assert not open_lake(used).days("core_encounters")


def test_an_existing_target_is_left_alone_and_an_interrupted_backup_is_none(
    platform, tmp_path, monkeypatch
) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(PermanentError, match="expected a new folder"):
        make_backup(platform, tmp_path / "there", quiet)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lostark_platform.backup.make.copy_table", stop)
        with pytest.raises(KeyboardInterrupt):
            make_backup(platform, tmp_path / "new", quiet)
    assert not (tmp_path / "new").exists()
    with pytest.raises(PermanentError, match="not finished"):
        restore_backup(get_settings(home=tmp_path / "home", sources=()), tmp_path / "new.partial", quiet)
    make_backup(platform, tmp_path / "new", quiet)
    assert read_manifest(tmp_path / "new").tables


def test_no_platform_starts_on_a_folder_whose_restoring_was_interrupted(
    backup, tmp_path, monkeypatch
) -> None:
    settings = get_settings(home=tmp_path / "home", sources=())

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lostark_platform.backup.restore._upload_table", stop)
        with pytest.raises(KeyboardInterrupt):
            restore_backup(settings, backup, quiet)
    with pytest.raises(PermanentError, match="being restored"), hold_home(settings):
        pass
    with pytest.raises(PermanentError, match="expected a new data folder"):
        restore_backup(settings, backup, quiet)


def test_a_table_whose_files_are_deleted_while_it_is_copied_is_copied_again(
    platform, tmp_path, monkeypatch
) -> None:
    files, calls = open_lake(platform).open_files("core_players"), []
    copy = backup_files._copy_version

    def lose_a_file(*arguments: object) -> object:
        version, copied = copy(*arguments)
        calls.append(version)
        if len(calls) == 1:
            victim = next(one for one in copied if one.path.endswith(".parquet"))
            (tmp_path / victim.path).unlink()
            copied.remove(victim)
        return version, copied

    monkeypatch.setattr(backup_files, "_copy_version", lose_a_file)
    version, copied = copy_table(files, tmp_path / "core_players", tmp_path)

    assert calls == [version, version]
    assert {one.path for one in copied} == {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    }


def test_a_password_is_neither_an_argument_nor_in_an_error(monkeypatch, tmp_path) -> None:
    seen = {}
    monkeypatch.setattr(
        dumps.subprocess, "run", lambda command, **more: seen.update(command=command, **more) or Failed()
    )
    with pytest.raises(PermanentError) as error:
        dumps.dump_database("postgresql+psycopg2://me:hidden@db:5433/lostark?sslmode=require", tmp_path / "x")

    assert "hidden" not in " ".join(seen["command"])
    assert "hidden" not in str(error.value)
    assert seen["env"]["PGPASSWORD"] == "hidden"
    assert (seen["env"]["PGHOST"], seen["env"]["PGPORT"], seen["env"]["PGSSLMODE"]) == (
        "db",
        "5433",
        "require",
    )
    assert "no such host" in str(error.value)


class Failed:
    """What a program that failed leaves."""

    returncode, stderr = 1, "pg_dump: error: no such host"


def test_the_ledger_is_copied_while_it_is_written(platform, tmp_path) -> None:
    with closing(sqlite3.connect(platform.state_dir / LEDGER_FILE)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT OR REPLACE INTO cursors VALUES ('unfinished', '1')")
        copied = backup_files.copy_sqlite(platform.state_dir / LEDGER_FILE, tmp_path / "copy.db", tmp_path)
        writer.rollback()
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT source FROM cursors ORDER BY source").fetchall() == [("demo",)]
    assert copied.bytes == (tmp_path / "copy.db").stat().st_size


def test_a_lake_behind_a_url_is_copied_and_restored_through_its_object_store(platform, tmp_path) -> None:
    elsewhere = Lake(f"file://{tmp_path / 'elsewhere'}")
    name = "core_players"
    version, _ = copy_table(open_lake(platform).open_files(name), tmp_path / "first" / name, tmp_path)
    _upload_table(tmp_path / "first" / name, elsewhere, name)
    again, copied = copy_table(elsewhere.open_files(name), tmp_path / "second" / name, tmp_path)

    assert elsewhere.version(name) == again == version
    expected = read_tables(open_lake(platform), {name: version})
    assert read_tables(elsewhere, {name: version}) == expected
    assert {one.path.split("/", 1)[1] for one in copied} == {
        path.relative_to(tmp_path / "first").as_posix()
        for path in (tmp_path / "first").rglob("*")
        if path.is_file()
    }
