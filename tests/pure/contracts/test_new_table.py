"""A contract alone carries a new table into every list, check and mart derived from contracts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import json
from lostark_assets.contracts import stats
from lostark_assets.contracts.table import DAY, FLOAT, STRING, Column, Contract, Published, Storage
stats.THROW_AWAY = Contract(
    name="stats_throw_away", row="one test", key=("name",), grain="day", is_compacted=True,
    storage=Storage(dictionary=("name",)), published=Published("throw_away"),
    columns=(
        Column("name", STRING, "a name", nullable=False, personal="name"),
        Column("fight_date", DAY, "day", nullable=False),
        Column("rate", FLOAT, "a rate", minimum=0, maximum=1),
    ),
)
from lostark_assets.contracts.registry import CONTRACTS, list_tables
from lostark_assets.contracts.rules import get_rules
from lostark_assets.dagster.specs import check_specs
from lostark_assets.dagster.validation import validation_check_specs
from lostark_assets.lake.files import _options
from lostark_assets.marts.publish import _COMPLETE
from lostark_assets.marts.tables import COPIED_MARTS, DAY_TABLES
from lostark_assets.markdown import dictionary_table
name = "stats_throw_away"
contract = CONTRACTS[name]
print(json.dumps({
    "day": name in list_tables("stats", grain="day"),
    "dictionary": _options(contract, contract.empty())["use_dictionary"],
    "rules": [rule.name for rule in get_rules(contract)],
    "checks": [one.name for one in (*check_specs([name]), *validation_check_specs([name]))],
    "published": [name in DAY_TABLES, COPIED_MARTS[name].names, _COMPLETE[name]],
    "documented": "a rate" in dictionary_table(contract),
}))
"""


def test_a_new_table_needs_its_contract_only():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "day": True,
        "dictionary": ["name"],
        "rules": [
            "name has type string", "name is never null", "fight_date has type date32[day]",
            "fight_date is never null", "rate has type double", "rate is 0…1", "(name) is unique",
        ],
        "checks": ["contract_holds", "stored_rows_fit_contract"],
        "published": [True, ["name", "fight_date", "rate"], "throw_away"],
        "documented": True,
    }  # fmt: skip


def test_a_simple_table_is_named_in_at_most_three_files():
    files = [
        path
        for package in ("lostark_assets", "lostark_ml")
        for path in (ROOT / package).rglob("*.py")
        if '"stats_raid_progression"' in path.read_text()
    ]

    assert len(files) <= 3, files
