"""The final check of a log's rows: the fast path refuses what the explaining one refuses."""

from __future__ import annotations

import math

import pytest

from lostark_assets.contracts.core import CORE_ENCOUNTERS, CORE_PLAYERS
from lostark_assets.core.clean import clean_log
from lostark_assets.core.clean_meter import Rules
from lostark_assets.core.limits import GIVEN, check_limits, check_rows
from lostark_assets.core.rows import transpose_rows
from lostark_assets.errors import LogRejected
from lostark_assets.sources.loa_logs_db import LoaLogsDb
from lostark_simulator.loa_logs_db import write_encounters_db
from lostark_simulator.season import SeasonConfig, generate_fights

ODD = [
    None, math.nan, math.inf, -math.inf, -1, 0, 0.5, 1.5, 1e300, 2**31, -(2**31) - 1, 2**63, 2**70,
    -(2**63) - 1, True, "x", "", "\ud800", [], [2**40], [math.nan], [None], ["x"], {},
]  # fmt: skip


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("logs") / "encounters.db"
    write_encounters_db(path, generate_fights(SeasonConfig(encounters=1, seed=3, dirt=False)))
    source = LoaLogsDb(path)
    [fetched] = source.fetch(list(source.list_logs())[:1])
    return clean_log(source.log_format, fetched.payload, Rules())[0]


def outcome(check):
    try:
        check()
    except LogRejected as refused:
        return refused.reason_code, refused.detail, refused.locator
    except (TypeError, AttributeError) as error:
        # A value of another kind is a bug of the cleaning, whichever way meets it.
        return type(error)
    return "well"


@pytest.mark.parametrize("contract", [CORE_ENCOUNTERS, CORE_PLAYERS], ids=lambda contract: contract.name)
def test_every_odd_value_comes_out_the_same_both_ways(log, contract):
    rows = [log.encounter] if contract is CORE_ENCOUNTERS else log.players
    outcomes = set()
    for name in contract.names:
        if name in GIVEN:
            continue
        for odd in ODD:
            changed = [*rows[:-1], rows[-1] | {name: odd}]
            columns = transpose_rows(changed, contract.names)

            fast = outcome(lambda changed=changed: check_rows(contract, changed, given=GIVEN))

            assert fast == outcome(lambda columns=columns: check_limits(contract, columns, given=GIVEN))
            outcomes.add(fast if fast == "well" else fast[0] if isinstance(fast, tuple) else "another kind")
    assert outcomes >= {"well", "impossible_value", "missing_field"}


def test_valid_rows_are_not_checked_singly(log, monkeypatch):
    monkeypatch.setattr("lostark_assets.core.limits.check_limits", None)

    check_rows(CORE_ENCOUNTERS, [log.encounter], given=GIVEN)
    check_rows(CORE_PLAYERS, log.players, given=GIVEN)

    with pytest.raises(TypeError):
        check_rows(CORE_PLAYERS, [log.players[0] | {"damage": -1}], given=GIVEN)
