"""The meter's own series: a model of how the meter writes them, read back; and the real file."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lostark_assets.contracts.stats import STATS_DPS_TIMELINE
from lostark_assets.stats.meter import meter_bursts, meter_timeline

DATA = Path(os.environ.get("LOSTARK_REAL_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")
REAL = DATA / "loa_logs" / "encounters.db"


def stored(
    hits: list[tuple[int, int]], length_ms: int, divisor: int = 10, start_ms: int = 1_700_000_000_400
) -> dict:
    """What the meter stores for hits (at, damage): its own formulas."""
    at, damage = np.array(hits).T
    rolling = [
        int(damage[(at >= t - 5_000) & (at <= t + 5_000)].sum()) // divisor for t in range(0, length_ms, 1000)
    ]
    second = (start_ms + at) // 1000 - start_ms // 1000
    steps = range(0, (start_ms + length_ms) // 1000 - start_ms // 1000 + 1, 5)
    average = [int(damage[second <= s].sum()) // (s + 1) for s in steps]
    return {"length_ms": length_ms, "meter_rolling_dps": rolling, "meter_average_dps": average}


def players(*rows: dict) -> pa.Table:
    named = [{"encounter_id": f"e{place}", "player_name": "p", **row} for place, row in enumerate(rows)]
    return pa.Table.from_pylist(named)


def constant(length_ms: int, divisor: int = 10) -> dict:
    return stored([(at, 10_000) for at in range(5, length_ms, 100)], length_ms, divisor)


@pytest.mark.parametrize("divisor", [5, 10], ids=["old meter", "current meter"])
def test_a_constant_rate_reads_the_same_everywhere_whatever_the_meter_divided_by(divisor):
    timeline = meter_timeline(players(constant(60_000, divisor)))

    assert np.array(timeline["rolling_10s_dps"]) == pytest.approx(np.full(60, 100_000), abs=2)


def test_cumulative_damage_is_known_every_five_seconds():
    timeline = meter_timeline(players(constant(22_000)))

    known = {
        row["second"]: row["cumulative_damage"] for row in timeline.to_pylist() if row["cumulative_damage"]
    }
    # The fight starts at .4 s of the meter's clock: its second 5 ends 5.6 s into the fight.
    assert known == pytest.approx(
        {0: 60_000, 5: 560_000, 10: 1_060_000, 15: 1_560_000, 20: 2_060_000}, abs=21
    )
    assert timeline["damage"].null_count == 22


def test_players_of_one_log_share_its_divisor():
    busy = stored([(at, 1_000) for at in range(0, 40_000, 100)], 40_000, 5)
    idle = stored([(39_500, 1_000)], 40_000, 5)
    table = players(busy, idle).set_column(0, "encounter_id", pa.array(["e", "e"]))

    timeline = meter_timeline(table).to_pandas()

    assert timeline["rolling_10s_dps"].iloc[-1] == 1_000 // 5 * 5 * 1000 // 6000


def test_bursts_are_the_best_full_window_and_the_first_thirty_seconds():
    hits = [(2_000, 3_000_000), (21_500, 600_000), (55_000, 1_000_000)]

    bursts = meter_bursts(players(stored(hits, 60_000), stored(hits, 60_000, 5))).to_pylist()

    assert [(row["peak_10s_dps"], row["opener_dps"]) for row in bursts] == [(300_000, 120_000)] * 2


def test_a_window_that_the_fight_cuts_is_no_peak():
    row = stored([(59_900, 900_000), (20_500, 100)], 60_000)

    assert meter_bursts(players(row))["peak_10s_dps"].to_pylist() == [90_000]
    assert meter_bursts(players({**row, "length_ms": 59_950}))["peak_10s_dps"].to_pylist() == [10]


def test_short_fights_have_neither():
    bursts = meter_bursts(players(constant(9_000), constant(29_000)))

    assert bursts["peak_10s_dps"].to_pylist() == [None, 100_000]
    assert bursts["opener_dps"].to_pylist() == [None, None]


def test_a_player_without_series_has_no_rows():
    nothing = {"length_ms": 60_000, "meter_rolling_dps": None, "meter_average_dps": None}
    table = players(nothing, constant(3_000))

    assert meter_timeline(table)["encounter_id"].to_pylist() == ["e1"] * 3
    assert meter_bursts(table)["peak_10s_dps"].to_pylist() == [None, None]


def test_a_series_that_is_too_short_leaves_nulls():
    row = {**constant(3_000), "length_ms": 5_000}

    assert meter_timeline(players(row))["rolling_10s_dps"].is_null().to_pylist() == [False] * 3 + [True] * 2


def test_no_players_give_an_empty_table_that_fits_the_contract():
    empty = players(constant(3_000)).slice(0, 0)

    assert STATS_DPS_TIMELINE.conform(meter_timeline(empty)).num_rows == 0
    assert STATS_DPS_TIMELINE.conform(meter_timeline(players(constant(3_000)))).num_rows == 3
    assert meter_bursts(empty).num_rows == 0


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.exists(), reason="the shared real logs are not on this machine")
def test_real_series_add_up_to_the_damage_dealt():
    """Meter 1.13.5 stored twice the truth; corrected, mean DPS times length is the damage dealt."""
    rows, dealt = real_players()

    timeline = meter_timeline(pa.Table.from_pylist(rows)).to_pandas()

    means = timeline.groupby(["encounter_id", "player_name"], sort=False)["rolling_10s_dps"].mean()
    length_s = np.array([row["length_ms"] for row in rows]) / 1000
    assert len(rows) == 32
    assert means.to_numpy() * length_s / dealt == pytest.approx(1, abs=0.025)
    last = timeline.groupby(["encounter_id", "player_name"], sort=False)["cumulative_damage"].max()
    assert last.to_numpy() / dealt == pytest.approx(1, abs=0.025)


def real_players() -> tuple[list[dict], np.ndarray]:
    rows, dealt = [], []
    base = sqlite3.connect(f"file:{REAL}?mode=ro&immutable=1", uri=True)
    for number, start, end, name, blob in base.execute(
        "SELECT e.id, fight_start, last_combat_packet, name, damage_stats FROM encounter e"
        " JOIN encounter_preview p ON p.id = e.id JOIN entity n ON n.encounter_id = e.id"
        " WHERE entity_type = 'PLAYER'"
    ):
        stats = json.loads(gzip.decompress(blob))
        rows.append(
            {
                "encounter_id": str(number),
                "player_name": name,
                "length_ms": end - start,
                "meter_rolling_dps": stats["dpsRolling10sAvg"],
                "meter_average_dps": stats["dpsAverage"],
            }
        )
        dealt.append(stats["damageDealt"])
    base.close()
    return rows, np.array(dealt)
