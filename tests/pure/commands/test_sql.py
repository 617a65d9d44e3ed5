"""``lostark sql`` reads the lake only, and returns stable types."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from lostark_assets.contracts.core import CORE_HITS
from lostark_assets.contracts.raw import RAW_BATTLE_LOGS
from lostark_assets.lake.tables import Lake
from lostark_platform.cli.sql import WrongQuery, column_names, run_query, write_csv, write_json

BIG = 9_000_000_000_000_000_000


@pytest.fixture
def lake(tmp_path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    hit = {
        "encounter_id": "e", "fight_date": date(2026, 9, 2), "player_name": "가나", "skill_id": 1,
        "hit_at_ms": 5, "damage": BIG, "is_crit": True, "is_back_attack": False, "is_front_attack": False,
    }  # fmt: skip
    lake.append(CORE_HITS, pa.Table.from_pylist([hit, hit | {"hit_at_ms": 7}], schema=CORE_HITS.schema))
    return lake


def as_json(lake: Lake, query: str) -> list[dict]:
    out = io.StringIO()
    write_json(run_query(lake, query), out)
    return json.loads(out.getvalue())


def test_a_sum_above_64_bits_is_an_integer(lake):
    assert as_json(lake, "select sum(damage) as s from core_hits") == [{"s": 2 * BIG}]


def test_json_types_of_times_dates_nulls_and_bytes(lake):
    [row] = as_json(
        lake,
        "select timestamptz '2026-09-02 03:04:05+02' t, date '2026-09-02' d, 'nan'::double n, null x, 1.5 f, "
        "[1, null] l, 'a'::blob b",
    )

    assert row == {
        "t": "2026-09-02T01:04:05Z", "d": "2026-09-02", "n": None, "x": None, "f": 1.5, "l": [1, None],
        "b": "YQ==",
    }  # fmt: skip
    assert datetime.fromisoformat(row["t"]).tzinfo == UTC


def test_a_table_without_rows_has_its_columns(lake):
    assert run_query(lake, "select * from raw_battle_logs").column_names == RAW_BATTLE_LOGS.names
    assert as_json(lake, "select * from raw_battle_logs") == []


def test_csv_has_a_header_empty_cells_and_unique_names(lake):
    out = io.StringIO()
    rows = run_query(
        lake,
        "select a.player_name, b.player_name, null as x, true as y from core_hits a, core_hits b limit 1",
    )
    write_csv(rows, out)

    assert column_names(rows) == ["player_name", "player_name_1", "x", "y"]
    assert out.getvalue() == "player_name,player_name_1,x,y\n가나,가나,,true\n"


@pytest.mark.parametrize(
    "query",
    ["show tables", "describe core_hits", "summarize core_hits", "from core_hits", "values (1)",
     "explain select 1", "with h as (select * from core_hits) select * from h",
     "pivot core_hits on is_crit using sum(damage)"],
)  # fmt: skip
def test_every_read_only_statement_is_allowed(lake, query):
    assert run_query(lake, query, limit=5).num_rows > 0


def test_show_tables_lists_the_whole_lake(lake):
    assert "stats_player_dps" in {row["name"] for row in as_json(lake, "show tables")}


@pytest.mark.parametrize(
    "query",
    ["copy core_hits to 'out.csv'", "create table x as select 1", "select 1; select 2", "",
     "set threads = 1", "attach 'x.db'", "install httpfs", "select * from read_csv('/etc/hostname')",
     "select * from '/etc/hostname'", "select * from lake",
     "select * frm core_hits", "select nothing from core_hits", "delete from core_hits"],
)  # fmt: skip
def test_writes_and_access_outside_the_lake_are_refused(lake, query):
    with pytest.raises(WrongQuery):
        run_query(lake, query)


def test_a_query_opens_only_the_tables_that_it_names(lake, monkeypatch):
    opened = []
    dataset = Lake.dataset
    monkeypatch.setattr(Lake, "dataset", lambda self, name: opened.append(name) or dataset(self, name))

    run_query(lake, "select count(*) from core_hits")

    assert opened == ["core_hits"]


def test_the_command_does_not_load_pandas(lake, tmp_path):
    script = tmp_path / "lostark"
    script.write_text(
        "import sys\nfrom lostark_platform.cli.app import app\napp(standalone_mode=False)\n"
        "sys.exit('pandas' in sys.modules)\n"
    )
    query = "select count(*) as n from core_hits where fight_date = '2026-09-02'"
    done = subprocess.run(
        [sys.executable, str(script), "sql", "--csv", query],
        env={**os.environ, "LOSTARK_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "n\n2\n", "")
