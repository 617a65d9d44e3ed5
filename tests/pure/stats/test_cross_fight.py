"""Statistics across fights: exact small cases, the same numbers on every engine, conforming results."""

from __future__ import annotations

import datetime as dt
import math

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lostark_assets.contracts.core import CORE_ENCOUNTERS, CORE_PLAYERS
from lostark_assets.contracts.stats import (
    QUANTILES,
    STATS_DPS_DISTRIBUTION,
    STATS_PLAYER_DPS,
    STATS_RAID_PROGRESSION,
)
from lostark_assets.contracts.table import Contract
from lostark_assets.stats.distribution import dps_distribution, median_rank
from lostark_assets.stats.dps import BURSTS, item_level_bracket, player_statistics, with_percentiles
from lostark_assets.stats.engine import ENGINES, to_arrow, to_engine, to_pandas
from lostark_assets.stats.progression import raid_progression
from lostark_assets.stats.weeks import week_started_at

START = dt.datetime(2024, 6, 5, 12, tzinfo=dt.UTC)
engines = pytest.mark.parametrize("engine", ENGINES)


def encounter(name: str = "e", **facts) -> dict:
    row = {
        "log_id": name,
        "encounter_id": name,
        "fight_id": name,
        "is_counted": True,
        "fight_started_at": START,
        "raid_name": "Aegir",
        "gate_name": "Gate 1",
        "difficulty": "Hard",
        "is_cleared": True,
        "duration_s": 100,
        "measurement_rules": "1.36",
        "region": "NAE",
        "detail_level": "skills",
        "clean_version": "1",
        **facts,
    }
    return {**row, "fight_date": row["fight_started_at"].date()}


def player(name: str = "p", encounter_id: str = "e", **facts) -> dict:
    return {
        "log_id": encounter_id,
        "encounter_id": encounter_id,
        "fight_date": START.date(),
        "player_name": name,
        "is_name_known": True,
        "class_name": "Berserker",
        "spec_name": "Mayhem",
        "item_level": 1680.0,
        "is_support": False,
        "is_dead": False,
        "damage": 1000,
        "dps": 10,
        **facts,
    }


def core(encounters: list[dict], players: list[dict]) -> tuple[pd.DataFrame, pd.DataFrame]:
    return tuple(
        to_pandas(contract.conform(pa.Table.from_pylist(rows, schema=_schema(contract, rows))))
        for contract, rows in ((CORE_ENCOUNTERS, encounters), (CORE_PLAYERS, players))
    )


def _schema(contract: Contract, rows: list[dict]) -> pa.Schema:
    names = {name for row in rows for name in row}
    return pa.schema([pa.field(c.name, c.dtype) for c in contract.columns if c.name in names])


def figures(
    encounters: list[dict], players: list[dict], engine: str, bursts: list[dict] | None = None
) -> dict:
    """Rows of player_statistics by player name."""
    table = pa.Table.from_pylist(bursts, schema=BURSTS) if bursts else None
    result = player_statistics(*core(encounters, players), table, engine)
    return {row["player_name"]: row for row in STATS_PLAYER_DPS.conform(result).to_pylist()}


@engines
def test_rates_are_shares_of_hits_and_null_without_hits(engine):
    full = {"hits": 8, "crits": 6, "back_attacks": 4, "front_attacks": 0, "crit_damage": 900, "casts": 5}
    rows = figures(
        [encounter()], [player("a", **full), player("b", **{**full, "hits": 0}), player("c")], engine
    )

    a = rows["a"]
    assert (a["crit_rate"], a["back_attack_rate"], a["front_attack_rate"]) == (0.75, 0.5, 0)
    assert (a["crit_damage_share"], a["back_attack_damage_share"]) == (0.9, None)
    assert (a["casts_per_minute"], a["hits_per_minute"]) == (3.0, pytest.approx(4.8))
    assert (rows["b"]["crit_rate"], rows["b"]["crit_damage_share"]) == (None, None)
    assert (rows["c"]["crit_rate"], rows["c"]["casts_per_minute"], rows["c"]["max_hit_damage"]) == (
        None,
        None,
        None,
    )


@engines
def test_bursts_of_hits_and_of_the_meter_land_in_the_same_columns(engine):
    bursts = [
        {"encounter_id": "e", "player_name": "a", "active_s": 7.5, "opener_damage": 100, "peak_10s_dps": 9},
        {"encounter_id": "e", "player_name": "b", "active_s": 0.999, "opener_dps": 4},
        {"encounter_id": "short", "player_name": "a short", "opener_damage": 900, "opener_dps": 1},
    ]
    encounters = [encounter(), encounter("short", duration_s=30)]
    players = [player("a"), player("b"), player("a short", "short", damage=900, dps=30)]

    rows = figures(encounters, players, engine, bursts)

    assert (rows["a"]["active_dps"], rows["a"]["opener_dps"], rows["a"]["peak_10s_dps"]) == (133, 3, 9)
    assert (rows["b"]["active_dps"], rows["b"]["opener_dps"], rows["b"]["peak_10s_dps"]) == (None, 4, None)
    assert rows["a short"]["opener_dps"] == 30


@engines
def test_party_share_and_contribution_know_the_party(engine):
    support = {"is_support": True, "damage": 100, "rdps_damage_given": 300}
    rows = figures(
        [encounter(), encounter("mixed"), encounter("invalid", is_rdps_valid=False), encounter("silent")],
        [
            player("dealer 1", party_number=1, damage=900, rdps_damage_given=18),
            player("dealer 2", party_number=1, damage=600),
            player("support 1", party_number=1, **support),
            player("dealer 3", party_number=2, damage=5000),
            player("raid dealer", "mixed", damage=6000),
            player("raid support", "mixed", **support),
            player("invalid", "invalid", **support),
            player("invalid dealer", "invalid"),
            player("silent", "silent", **{**support, "rdps_damage_given": 0}),
            player("silent dealer", "silent", rdps_damage_given=0),
        ],
        engine,
    )

    assert rows["dealer 1"]["party_damage_share"] == 900 / 1600
    assert rows["support 1"]["support_contribution"] == 300 / 1500
    assert rows["dealer 1"]["support_contribution"] == 18 / 600
    assert rows["dealer 2"]["support_contribution"] is None
    assert rows["raid support"]["party_damage_share"] is None
    assert rows["raid support"]["support_contribution"] == 300 / 6000
    assert rows["invalid"]["support_contribution"] is None
    assert rows["silent"]["support_contribution"] is None


@engines
def test_brackets_and_weeks_stand_beside_the_player(engine):
    rows = figures(
        [encounter(region=None)], [player(item_level=1689.99), player("new", item_level=None)], engine
    )

    assert (rows["p"]["item_level_bracket"], rows["new"]["item_level_bracket"]) == ("1680-1689", None)
    assert rows["p"]["week_started_at"] == dt.datetime(2024, 6, 5, 10, tzinfo=dt.UTC)


@engines
@pytest.mark.parametrize(
    ("region", "at", "week"),
    [
        ("NAE", (2024, 6, 5, 9, 59), (2024, 5, 29, 10)),
        ("EUC", (2024, 6, 5, 10, 0), (2024, 6, 5, 10)),
        (None, (2024, 6, 12, 9, 59), (2024, 6, 5, 10)),
        ("KR", (2024, 6, 4, 20, 59), (2024, 5, 28, 21)),
        ("KR", (2024, 6, 4, 21, 0), (2024, 6, 4, 21)),
        ("NAW", (1969, 12, 31, 0, 0), (1969, 12, 24, 10)),
    ],
)
def test_a_week_begins_at_the_reset_of_its_region(engine, region, at, week):
    table = pa.table(
        {
            "at": pa.array([dt.datetime(*at, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
            "region": pa.array([region], pa.string()),
        }
    )

    frame = to_engine(table, engine).select(week=week_started_at(nw.col("at"), nw.col("region")))

    assert to_arrow(frame)["week"].to_pylist() == [dt.datetime(*week, tzinfo=dt.UTC)]


def cleared(count: int, engine: str, **facts) -> pa.Table:
    """Statistics of ``count`` fights of one dealer each, DPS 1 to count."""
    encounters = [encounter(f"e{i}", **facts.get("encounter", {})) for i in range(count)]
    players = [player("p", f"e{i}", dps=i + 1, **facts.get("player", {})) for i in range(count)]
    return player_statistics(*core(encounters, players), None, engine)


@engines
def test_dealers_are_placed_by_dps_in_their_pool(engine):
    rows = cleared(21, engine)

    placed = with_percentiles(rows, rows, engine).to_pylist()

    by_dps = {row["dps"]: row for row in placed}
    assert [by_dps[dps]["spec_percentile"] for dps in (1, 11, 21)] == [0, 50, 100]
    assert by_dps[11]["spec_percentile_low"] < 50 < by_dps[11]["spec_percentile_high"]
    assert by_dps[11]["item_level_percentile"] == 50
    assert (by_dps[11]["uptime_percentile_n"], by_dps[11]["contribution_percentile_n"]) == (None, None)


@engines
def test_supports_whose_meters_measured_otherwise_share_no_pool(engine):
    """DPS is measured by the same rules since 1.36.6, uptimes since 1.31.5 and contribution since 1.45.0."""
    versions = ["1.44.0", "1.45.0", "1.46.0"]
    encounters = [encounter(f"e{i}", meter_version=versions[i % 3]) for i in range(63)]
    support = {"is_support": True, "spec_name": "Blessed Aura"}
    players = [
        player(name, f"e{i}", dps=i, support_ap=i / 100, **facts)
        for i in range(63)
        for name, facts in (("dealer", {}), ("s", support))
    ]

    rows = player_statistics(*core(encounters, players), None, engine)
    placed = with_percentiles(rows, rows, engine).to_pylist()

    sizes = {
        (row["player_name"], row["meter_version"]): (row["spec_percentile_n"], row["uptime_percentile_n"])
        for row in placed
    }
    assert sizes == {
        ("dealer", "1.44.0"): (63, None), ("dealer", "1.45.0"): (63, None), ("dealer", "1.46.0"): (63, None),
        ("s", "1.44.0"): (None, 21), ("s", "1.45.0"): (None, 42), ("s", "1.46.0"): (None, 42),
    }  # fmt: skip


@engines
def test_supports_are_placed_by_contribution_and_uptime(engine):
    encounters = [encounter(f"e{i}") for i in range(20)]
    support = {"is_support": True, "spec_name": "Blessed Aura", "dps": 999}
    players = [player("dealer", f"e{i}", damage=1000) for i in range(20)] + [
        player("s", f"e{i}", **support, rdps_damage_given=100 + i, support_ap=i / 100) for i in range(20)
    ]

    rows = player_statistics(*core(encounters, players), None, engine)
    placed = [row for row in with_percentiles(rows, rows, engine).to_pylist() if row["player_name"] == "s"]

    best = max(placed, key=lambda row: row["support_contribution"])
    assert (best["contribution_percentile"], best["uptime_percentile"]) == (100, 100)
    assert (best["spec_percentile"], best["spec_percentile_n"]) == (None, None)


@engines
def test_the_dead_and_the_uncounted_are_placed_but_are_no_members(engine):
    living = cleared(20, engine)
    dead = cleared(3, engine, player={"is_dead": True})
    uncounted = cleared(3, engine, encounter={"is_counted": False})
    wipes = cleared(3, engine, encounter={"is_cleared": False})
    strangers = cleared(3, engine, player={"spec_name": None})
    nowhere = cleared(3, engine, encounter={"raid_name": None})

    def get_n(rows: pa.Table) -> list[int | None]:
        pool = pa.concat_tables([living, dead, uncounted, wipes, strangers, nowhere])
        return with_percentiles(rows, pool, engine)["spec_percentile_n"].to_pylist()

    assert get_n(living) == [20] * 20
    assert get_n(dead) == get_n(uncounted) == [20] * 3
    assert get_n(wipes) == get_n(strangers) == get_n(nowhere) == [None] * 3


@engines
def test_an_unknown_difficulty_and_other_rules_are_pools_of_their_own(engine):
    known, unknown = cleared(20, engine), cleared(5, engine, encounter={"difficulty": None})
    other = cleared(6, engine, encounter={"measurement_rules": "1.10"})

    rows = with_percentiles(unknown, pa.concat_tables([known, unknown, other]), engine)

    assert rows["spec_percentile_n"].to_pylist() == [5] * 5


@engines
def test_a_cell_has_numpys_quantiles_and_the_interval_of_its_median(engine):
    cell = dps_distribution(cleared(21, engine), engine).to_pylist()[0]

    values = np.arange(1, 22)
    assert [cell[f"p{q}"] for q in QUANTILES] == pytest.approx(
        list(np.percentile(values, QUANTILES)), rel=1e-12
    )
    assert (cell["player_count"], cell["encounter_count"], cell["mean_dps"]) == (21, 21, 11)
    assert (cell["median_low"], cell["median_high"]) == (6, 16)
    assert cell["trend"] is None


@pytest.mark.parametrize(
    ("n", "rank"), [(0, 0), (1, 0), (5, 0), (6, 1), (8, 1), (9, 2), (21, 6), (100, 40), (1000, 469)]
)
def test_the_median_interval_takes_the_binomial_order_statistics(n, rank):
    """Checked by exact integers: as narrow as 95 % allows."""
    assert median_rank(n) == rank
    if rank:
        below = sum(math.comb(n, i) for i in range(rank))
        assert below / 2**n <= 0.025 < (below + math.comb(n, rank)) / 2**n


@engines
def test_a_trend_compares_with_the_newest_of_four_weeks(engine):
    weeks = [0, 1, 4, 9]
    rows = pa.concat_tables(
        [
            cleared(
                3,
                engine,
                encounter={"fight_started_at": START + dt.timedelta(weeks=week)},
                player={"damage": 1},
            )
            for week in weeks
        ]
    )
    doubled = pa.array([dps * 2 ** (place // 3) for place, dps in enumerate(rows["dps"].to_pylist())])
    rows = rows.set_column(rows.schema.get_field_index("dps"), "dps", doubled)

    cells = sorted(dps_distribution(rows, engine).to_pylist(), key=lambda cell: cell["week_started_at"])

    assert [cell["p50"] for cell in cells] == [2, 4, 8, 16]
    assert [cell["trend"] for cell in cells] == [None, 1.0, 1.0, None]


@engines
def test_progress_counts_pulls_up_to_the_first_clear(engine):
    outcomes = [(False, 0.6), (None, None), (False, 0.2), (True, 0.0), (True, 0.0), (False, 0.9)]
    encounters = [
        encounter(f"e{i}", is_cleared=won, boss_hp_left=hp, fight_started_at=START + dt.timedelta(hours=i))
        for i, (won, hp) in enumerate(outcomes)
    ]
    specs = ["Mayhem"] * 5 + ["Berserker's Technique"]
    deaths = [1, None, 2, 0, 0, None]
    players = [
        player("p", f"e{i}", dps=100 + i, spec_name=specs[i], deaths=deaths[i]) for i in range(len(outcomes))
    ]
    frames = core(encounters, players)

    row = raid_progression(player_statistics(*frames, None, engine), frames[0], engine).to_pylist()[0]

    assert (row["pulls"], row["clears"], row["wipes"], row["clear_rate"]) == (6, 2, 3, 0.4)
    assert (row["pulls_to_first_clear"], row["best_boss_hp_left"], row["best_dps"]) == (4, 0, 104)
    assert (row["deaths"], row["time_spent_s"], row["spec_name"]) == (3, 600, "Berserker's Technique")
    assert row["first_cleared_at"] == START + dt.timedelta(hours=3)
    assert (row["first_fought_at"], row["last_fought_at"]) == (START, START + dt.timedelta(hours=5))


@engines
def test_progress_without_a_clear_has_no_clear_figures(engine):
    frames = core(
        [encounter(is_cleared=None, boss_hp_left=None), encounter("dup", is_counted=False)],
        [player(), player("p", "dup"), player("You", is_name_known=False)],
    )

    rows = raid_progression(player_statistics(*frames, None, engine), frames[0], engine).to_pylist()

    assert len(rows) == 1
    names = (
        "clear_rate",
        "best_boss_hp_left",
        "deaths",
        "best_dps",
        "pulls_to_first_clear",
        "first_cleared_at",
    )
    assert [rows[0][name] for name in names] == [None] * 6
    assert (rows[0]["pulls"], rows[0]["clears"], rows[0]["wipes"]) == (1, 0, 0)


@engines
def test_no_rows_give_empty_tables_that_conform(engine):
    frames = to_pandas(CORE_ENCOUNTERS.empty()), to_pandas(CORE_PLAYERS.empty())

    rows = player_statistics(*frames, None, engine)
    rows = with_percentiles(rows, rows, engine)

    assert STATS_PLAYER_DPS.conform(rows).num_rows == 0
    assert STATS_DPS_DISTRIBUTION.conform(dps_distribution(rows, engine)).num_rows == 0
    assert STATS_RAID_PROGRESSION.conform(raid_progression(rows, frames[0], engine)).num_rows == 0


def test_an_unknown_engine_is_named():
    with pytest.raises(ValueError, match="no engine 'dask'"):
        to_engine(pa.table({"a": [1]}), "dask")


def test_the_bracket_of_a_level_includes_its_lower_end():
    frame = to_engine(pa.table({"level": [1680.0, 1689.99, 1690.0, None]}), "pandas")

    brackets = to_arrow(frame.select(bracket=item_level_bracket(nw.col("level"))))["bracket"].to_pylist()

    assert brackets == ["1680-1689", "1680-1689", "1690-1699", None]


def random_history(random: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame, pa.Table]:
    """Messy core rows: nulls in every column that a log may lack."""

    def maybe(value: object, share: float = 0.2) -> object:
        return None if random.random() < share else value

    encounters, players = [], []
    for i in range(250):
        at = START + dt.timedelta(hours=int(random.integers(24 * 50)))
        encounters.append(
            encounter(
                f"e{i:03}",
                is_counted=bool(random.random() < 0.9),
                fight_started_at=at,
                raid_name=maybe("Aegir", 0.05),
                difficulty=maybe("Hard"),
                is_cleared=maybe(bool(random.random() < 0.8)),
                region=maybe("KR", 0.5),
                duration_s=int(random.integers(5, 500)),
                boss_hp_left=maybe(float(random.random())),
                is_rdps_valid=maybe(bool(random.random() < 0.9)),
            )
        )
        for k in range(8):
            support = k in {3, 7}
            players.append(
                player(
                    f"p{k}-{random.integers(5)}",
                    f"e{i:03}",
                    fight_date=at.date(),
                    is_dead=maybe(random.random() < 0.1),
                    spec_name=maybe("Blessed Aura" if support else "Mayhem", 0.02),
                    is_support=maybe(support, 0.02),
                    item_level=maybe(1680 + round(20 * float(random.random()), 2), 0.05),
                    deaths=maybe(1),
                    party_number=maybe(1 + k // 4, 0.1),
                    damage=int(random.lognormal(20, 0.4)),
                    dps=int(random.lognormal(15, 0.4)),
                    hits=maybe(int(random.integers(4))),
                    crits=maybe(1),
                    rdps_damage_given=maybe(int(random.lognormal(18, 0.3))) if support else None,
                    support_ap=maybe(float(random.random())),
                    support_brand=maybe(float(random.random())),
                )
            )
    bursts = [
        {
            "encounter_id": row["encounter_id"],
            "player_name": row["player_name"],
            "active_s": maybe(1.234),
            "opener_damage": maybe(7**9),
            "opener_dps": maybe(77),
        }
        for row in players[::2]
    ]
    return *core(encounters, players), pa.Table.from_pylist(bursts)


def test_engines_give_the_same_numbers():
    encounters, players, bursts = random_history(np.random.default_rng(3))
    results = {}
    for engine in ENGINES:
        rows = player_statistics(encounters, players, bursts, engine)
        rows = with_percentiles(rows, rows, engine)
        progress = raid_progression(rows, encounters, engine)
        results[engine] = rows, dps_distribution(rows, engine), progress

    contracts = (STATS_PLAYER_DPS, STATS_DPS_DISTRIBUTION, STATS_RAID_PROGRESSION)
    for contract, left, right in zip(contracts, results["pandas"], results["polars"], strict=True):
        a, b = (sorted_rows(contract, table) for table in (left, right))
        assert len(a) > 50
        for column in contract.names:
            if pa.types.is_floating(contract.by_name[column].dtype):
                pd.testing.assert_series_equal(a[column], b[column], rtol=1e-9, atol=0)
            else:
                assert a[column].equals(b[column]), f"{contract.name}.{column}"


def sorted_rows(contract: Contract, table: pa.Table) -> pd.DataFrame:
    frame = to_pandas(contract.conform(table))
    return frame.sort_values(list(contract.key), na_position="first").reset_index(drop=True)
