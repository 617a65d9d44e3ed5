"""What a contract makes of a table, and what every contract of the platform keeps."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lostark_assets.contracts.core import CORE_HITS, CORE_PLAYERS
from lostark_assets.contracts.registry import CONTRACTS


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_a_contract_describes_itself(contract):
    assert contract.layer in {"raw", "core", "stats", "ml"}
    assert set(contract.key) | set(contract.partition_by) <= set(contract.names)
    assert len(set(contract.names)) == len(contract.names)
    assert all(column.description for column in contract.columns)
    assert contract.empty().schema == contract.schema


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_ranges_make_sense(contract):
    for column in contract.columns:
        for low, high in ((column.minimum, column.maximum), (column.odd_below, column.odd_above)):
            assert low is None or high is None or low <= high, column.name
        if column.odd_above is not None and column.maximum is not None:
            assert column.odd_above <= column.maximum, column.name
        assert not (column.allowed and pa.types.is_integer(column.dtype)), column.name


def test_conform_orders_casts_and_fills_up():
    table = pa.table(
        {"damage": pa.array([1], pa.int32()), "player_name": pa.array(["a"]).dictionary_encode()}
    )

    made = CORE_PLAYERS.conform(table)

    assert made.column_names == CORE_PLAYERS.names
    assert [made.schema.field(c).type for c in made.column_names] == CORE_PLAYERS.schema.types
    assert (made["damage"].to_pylist(), made["player_name"].to_pylist(), made["dps"].to_pylist()) == (
        [1],
        ["a"],
        [None],
    )


def test_conform_refuses_what_is_not_in_the_contract():
    with pytest.raises(KeyError, match=r"core_hits: columns \['x'\] are not in the contract"):
        CORE_HITS.conform(pa.table({"x": [1]}))


def test_conform_refuses_a_value_that_does_not_fit():
    with pytest.raises(pa.ArrowInvalid):
        CORE_HITS.conform(pa.table({"hit_at_ms": pa.array([2**40], pa.int64())}))
