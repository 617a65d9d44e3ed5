"""The assets as Dagster runs them: values, checks on both sides, and which days a run touches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lostark_assets.contracts.raw import RAW_BATTLE_LOGS
from lostark_assets.contracts.registry import CONTRACTS, list_tables
from lostark_assets.core import pipeline
from lostark_assets.core.rows import Cleaned
from lostark_assets.dagster import core_assets
from lostark_assets.dagster.core_checks import examine_stored
from lostark_assets.dagster.jobs import select_assets
from lostark_assets.dagster.partitions import SOURCES
from lostark_assets.dagster.raw_assets import HASH_HOLDS, examine_raw
from lostark_assets.definitions import build_defs
from lostark_assets.lake.tables import Lake, open_lake
from lostark_assets.settings import Settings, get_settings
from lostark_assets.sources.collect import collect
from lostark_assets.sources.configured import configured_origins, open_landing
from lostark_assets.sources.landing import Ticket
from lostark_assets.sources.loa_logs_db import LoaLogsDb
from lostark_assets.sources.probe import probe_origin
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights
from lostark_simulator.truth import read_truth

CORE = ["core_encounters", "core_players", "core_skills", "core_hits", "core_quarantine"]
DAILY = [*CORE, "stats_player_dps", "stats_dps_timeline"]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("season") / "encounters.db"
    season = SeasonConfig(encounters=45, seed=11, days=4, start=date(2026, 9, 2), hits_per_player=40)
    write_encounters_db(path, generate_fights(season))
    return path


@pytest.fixture
def settings(tmp_path: Path, database: Path) -> Settings:
    return get_settings(home=tmp_path / "home", sources=(database,))


@pytest.fixture
def lake(settings: Settings, database: Path) -> Lake:
    lake = open_lake(settings)
    collect(LoaLogsDb(database), lake, run_id="test", earliest=settings.earliest_fight_date)
    return lake


FIGHT_DAYS = list_tables("core", "stats", grain="day")


def raw_days(lake: Lake) -> list[date]:
    return sorted(set(lake.read("raw_battle_logs", columns=["fight_date"])["fight_date"].to_pylist()))


@contextmanager
def run(
    settings: Settings, tables: Sequence[str], first: date | None = None, last: date | None = None
) -> Iterator[dg.ExecuteInProcessResult]:
    """Materialise the assets of ``tables``, as a person does in the Dagster UI."""
    selected = dg.define_asset_job("by_hand", select_assets(*tables))
    defs = dg.Definitions.merge(build_defs(settings=settings), dg.Definitions(jobs=[selected]))
    tags = {}
    if first is not None:
        tags = {
            "dagster/asset_partition_range_start": first.isoformat(),
            "dagster/asset_partition_range_end": (last or first).isoformat(),
        }
    with dg.DagsterInstance.ephemeral() as instance:
        yield defs.resolve_job_def("by_hand").execute_in_process(
            instance=instance, tags=tags, raise_on_error=False
        )


def get_metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, dg.MetadataValue]:
    events = result.asset_materializations_for_node("core_tables" if asset in CORE else "stats_tables")
    return next(dict(e.metadata) for e in events if e.asset_key == dg.AssetKey(asset))


def test_a_range_of_days_is_one_run_with_the_true_figures(
    settings: Settings, lake: Lake, database: Path
) -> None:
    days = raw_days(lake)
    with run(settings, FIGHT_DAYS, days[0], days[-1]) as result:
        assert result.success
        steps = {e.step_key for e in result.all_events if e.is_step_success}
        assert steps == {"core_tables", "stats_tables"}
        checks = {
            (c.asset_key.to_user_string(), c.check_name): c.passed
            for c in result.get_asset_check_evaluations()
        }
        metadata = get_metadata(result, "core_encounters")
    truth = read_truth(database)
    kept = truth.encounters[truth.encounters["expected_outcome"] == "kept"]
    stats = lake.read("stats_player_dps").to_pandas()
    by_player = stats.merge(
        lake.read("core_encounters", columns=["encounter_id", "source_log_id"]).to_pandas()
    )
    true_dps = {(str(r.encounter_id), r.player_name): r.dps for r in truth.players.itertuples()}

    assert lake.count("core_encounters") == len(kept)
    assert lake.count("core_quarantine") == len(truth.encounters) - len(kept)
    assert all(true_dps[(r.source_log_id, r.player_name)] == r.dps for r in by_player.itertuples())
    assert metadata["dagster/row_count"].value == len(kept)
    assert "data:image/svg+xml;base64," in metadata["encounters by day"].value
    assert all(passed for (_, name), passed in checks.items() if name != "values_plausible")
    assert ("core_players", "core_dps_equals_meter_dps") in checks

    with run(settings, list_tables("stats", grain="whole")) as result:
        assert result.success
    is_member = stats.is_cleared.eq(other=True) & stats.is_counted & ~stats.is_dead.eq(other=True)
    members = stats[is_member & stats.spec_name.notna() & stats.gate_name.notna()]
    assert sum(lake.read("stats_dps_distribution")["player_count"].to_pylist()) == len(members)


def test_materialising_one_day_leaves_the_files_of_other_days_alone(settings: Settings, lake: Lake) -> None:
    days = raw_days(lake)
    with run(settings, FIGHT_DAYS, days[0], days[-1]) as result:
        assert result.success
    before = {name: _files(lake, name) for name in DAILY}
    with run(settings, FIGHT_DAYS, days[1]) as result:
        assert result.success
    for name, files in before.items():
        changed = files ^ _files(lake, name)
        assert all(f"fight_date={days[1]}" in file for file in changed), name


def _files(lake: Lake, name: str) -> set[str]:
    table = lake.open(name)
    return set() if table is None else set(table.file_uris())


def test_a_broken_contract_fails_its_check_stops_downstream_and_keeps_the_old_rows(
    settings: Settings, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = raw_days(lake)
    with run(settings, FIGHT_DAYS, days[0]) as result:
        assert result.success
    good = lake.read("core_players", days=[days[0]])
    monkeypatch.setattr(pipeline, "build_tables", _with_negative_dps(pipeline.build_tables))
    monkeypatch.setattr(pipeline, "CLEAN_VERSION", "broken")

    with run(settings, FIGHT_DAYS, days[0]) as result:
        failed = [c for c in result.get_asset_check_evaluations() if not c.passed and c.blocking]
        steps = {e.step_key for e in result.all_events if e.is_step_success}

    assert not result.success
    assert [
        (c.asset_key.to_user_string(), c.check_name) for c in failed if c.check_name == "contract_holds"
    ] == [("core_players", "contract_holds")]
    assert any("dps is at least 0" in str(c.metadata["findings"].value) for c in failed)
    assert "stats_tables" not in steps
    assert lake.read("core_players", days=[days[0]]).equals(good)


def _with_negative_dps(build_tables: Callable[[Cleaned], dict]) -> Callable[[Cleaned], dict]:
    def broken(cleaned: Cleaned) -> dict:
        tables = build_tables(cleaned)
        players = tables["core_players"]
        place = players.schema.get_field_index("dps")
        tables["core_players"] = players.set_column(
            place, players.schema.field(place), pc.negate(players["dps"])
        )
        return tables

    return broken


def test_a_check_sees_a_row_that_went_missing_after_the_commit(settings: Settings, lake: Lake) -> None:
    days = raw_days(lake)
    with run(settings, FIGHT_DAYS, days[0]) as result:
        assert result.success
    rows = lake.read("core_encounters", days=[days[0]])
    lake.replace_days(
        CONTRACTS["core_encounters"], CONTRACTS["core_encounters"].conform(rows.slice(1)), [days[0]]
    )
    found = {f.rule: f for f in examine_stored(lake, [days[0]])["core_encounters"]}

    assert found["raw_logs_in_equal_encounters_plus_quarantine"].failed == 1


def test_logs_that_come_while_a_day_is_cleaned_are_not_missed_by_its_check(
    settings: Settings, lake: Lake, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = raw_days(lake)
    clean = core_assets.clean_days

    def clean_while_collecting(*arguments: object, **options: object) -> object:
        done = clean(*arguments, **options)
        late = collect(
            LoaLogsDb(database, "late"), lake, run_id="late", earliest=settings.earliest_fight_date
        )
        assert late.new
        return done

    monkeypatch.setattr(core_assets, "clean_days", clean_while_collecting)
    with run(settings, FIGHT_DAYS, days[0]) as result:
        assert result.success

    found = {f.rule: f for f in examine_stored(lake, [days[0]])["core_encounters"]}
    assert found["raw_logs_in_equal_encounters_plus_quarantine"].passed
    assert found["raw_logs_in_equal_encounters_plus_quarantine"].checked < lake.count("raw_battle_logs")


def test_every_asset_has_a_description_owner_kinds_columns_and_code_version(settings: Settings) -> None:
    graph = build_defs(settings=settings).resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        node, contract = graph.get(key), CONTRACTS.get(key.to_user_string())
        assert node.description
        assert node.owners == ["team:data"]
        assert node.code_version
        if contract is None:
            # Marts are several tables of PostgreSQL each.
            assert node.group_name == "mart"
            continue
        assert node.description.startswith("One row is ")
        assert node.group_name == contract.layer
        columns = node.metadata["dagster/column_schema"].columns
        assert [c.name for c in columns] == contract.names
        with_unit = {c.name for c in contract.columns if c.unit}
        assert all("[" in (c.description or "") for c in columns if c.name in with_unit)


@pytest.mark.parametrize(
    ("spoil", "broken"),
    [
        (lambda rows: rows, []),
        (lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]), ["(log_id) is unique"]),
        (
            lambda rows: rows.set_column(
                rows.column_names.index("payload"), "payload", pa.array([b"x"] * len(rows), pa.large_binary())
            ),
            [HASH_HOLDS],
        ),
        (lambda rows: rows.slice(1), [HASH_HOLDS]),
    ],
    ids=["well", "twice", "other bytes", "gone"],
)
def test_raw_logs_are_there_once_and_as_they_were_fetched(tmp_path, database, spoil, broken):
    lake = Lake(str(tmp_path / "lake"))
    done = collect(LoaLogsDb(database), lake, run_id="r", earliest=date(2022, 1, 1))
    lake.replace_all(RAW_BATTLE_LOGS, spoil(lake.read(RAW_BATTLE_LOGS.name)))

    findings = examine_raw(lake, {"loa_logs"}, done.new_log_ids)

    assert [one.rule for one in findings if not one.passed] == broken
    assert next(one for one in findings if one.rule == HASH_HOLDS).checked == done.new


def test_an_upload_is_collected_like_any_source_and_its_ticket_says_so(tmp_path, database):
    settings = get_settings(home=tmp_path / "home")
    landing = open_landing(settings)
    ticket, path = landing.begin("mine.db")
    path.write_bytes(database.read_bytes())
    source = "upload:db-0123456789ab"
    landing.accept(Ticket(ticket, path.name, source, "loa_logs_db", 1, "", datetime.now(UTC)))
    probes = [probe_origin(origin, settings) for origin in configured_origins(settings)]
    assert [one.sources for one in probes] == [(source,)]

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(SOURCES.name), [source])
        selected = dg.define_asset_job("by_hand", select_assets("raw_battle_logs"))
        defs = dg.Definitions.merge(build_defs(settings=settings), dg.Definitions(jobs=[selected]))
        job = defs.resolve_job_def("by_hand")
        done = job.execute_in_process(partition_key=source, instance=instance)

    assert done.success
    assert {check.check_name: check.passed for check in done.get_asset_check_evaluations()} == {
        "contract_holds": True, "newest_payloads_have_their_sha256": True,
    }  # fmt: skip
    landed = landing.find(ticket)
    assert landed.result.new == open_lake(settings).count("raw_battle_logs") > 0
    assert not landed.file.exists()
    assert configured_origins(settings) == []
